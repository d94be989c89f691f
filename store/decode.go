package store

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/playbookd/playbookd/engine"
)

const selectEvents = `SELECT id, tenant, source, kind, object, title, occurred, seen,
	payload, payload_blob, inputs, inputs_blob, started_by, changes, sla FROM events`

// eventRow is an event as its row has it.
type eventRow struct {
	engine.Event
	payload, inputs, changes, sla []byte
	payloadBlob, inputsBlob       *int64
}

func readEvent(row scanner) (eventRow, error) {
	var e eventRow
	var occurred, seen int64
	err := row.Scan(&e.ID, &e.Tenant, &e.Source, &e.Kind, &e.Object, &e.Title, &occurred, &seen,
		&e.payload, &e.payloadBlob, &e.inputs, &e.inputsBlob, &e.By, &e.changes, &e.sla)
	e.Occurred, e.Seen = moment(occurred), moment(seen)
	if err == nil && len(e.changes) > 0 {
		if err = json.Unmarshal(e.changes, &e.Changes); err != nil {
			err = fmt.Errorf("%w: changes of event %q: %w", ErrCorrupt, e.ID, err)
		}
	}
	return e, err
}

// events reads events with their large values.
func (v *view) events(query string, args ...any) ([]engine.Event, error) {
	rows, err := collect(v, query, args, readEvent)
	if err != nil {
		return nil, err
	}
	var list []engine.Event
	for _, e := range rows {
		if e.Payload, err = v.value(e.payload, e.payloadBlob); err != nil {
			return nil, fmt.Errorf("event %q: %w", e.ID, err)
		}
		if e.Inputs, err = v.value(e.inputs, e.inputsBlob); err != nil {
			return nil, fmt.Errorf("event %q: %w", e.ID, err)
		}
		if e.SLA, err = slaOf(e.sla); err != nil {
			return nil, fmt.Errorf("event %q: %w", e.ID, err)
		}
		list = append(list, e.Event)
	}
	return list, nil
}

// event reads the one event that the query finds.
func (v *view) event(query string, args ...any) (engine.Event, error) {
	list, err := v.events(query, args...)
	if err == nil && len(list) == 0 {
		err = engine.ErrNotFound
	}
	if err != nil {
		return engine.Event{}, err
	}
	return list[0], nil
}

const selectRuns = `SELECT r.n, r.id, r.playbook, r.digest, r.semantics, e.id, r.tenant, r.object, r.title,
	r.mode, r.lists, r.concurrency, r.state, r.message, r.created, r.wake, r.ended, r.last, e.started_by
	FROM runs r JOIN events e ON e.n = r.event`

// runRow is a run as its row has it.
type runRow struct {
	engine.Run
	n           int64
	lists, last int
}

func readRun(row scanner) (runRow, error) {
	var r runRow
	var created int64
	var wake, ended *int64
	err := row.Scan(&r.n, &r.ID, &r.Playbook, &r.Digest, &r.Semantics, &r.Event, &r.Tenant, &r.Object, &r.Title,
		&r.Mode, &r.lists, &r.Key, &r.State, &r.Message, &created, &wake, &ended, &r.last, &r.By)
	if err != nil {
		return r, err
	}
	r.Created, r.Wake, r.Ended = moment(created), optionalMoment(wake), optionalMoment(ended)
	if err = r.State.Check(r.Wake, r.Ended); err == nil {
		err = engine.CheckMode(r.Mode)
	}
	if err != nil {
		return r, fmt.Errorf("%w: run %q: %w", ErrCorrupt, r.ID, err)
	}
	return r, nil
}

const sqlRunLists = `SELECT name, digest FROM run_lists WHERE run = ?1`

// runs reads runs with the names of their lists.
func (v *view) runs(query string, args ...any) ([]engine.Run, error) {
	rows, err := collect(v, query, args, readRun)
	if err != nil {
		return nil, err
	}
	var list []engine.Run
	for _, r := range rows {
		if err := v.lists(&r); err != nil {
			return nil, err
		}
		list = append(list, r.Run)
	}
	return list, nil
}

func (v *view) lists(r *runRow) error {
	if r.lists == 0 {
		return nil
	}
	pairs, err := collect(v, sqlRunLists, []any{r.n}, func(row scanner) (p [2]string, err error) {
		return p, row.Scan(&p[0], &p[1])
	})
	if err != nil {
		return err
	}
	if len(pairs) != r.lists {
		return fmt.Errorf("%w: run %q has %d of %d lists", ErrCorrupt, r.ID, len(pairs), r.lists)
	}
	r.Lists = make(map[string]string, len(pairs))
	for _, p := range pairs {
		r.Lists[p[0]] = p[1]
	}
	return nil
}

const (
	sqlOneRun   = selectRuns + ` WHERE r.id = ?1`
	sqlOneEvent = selectEvents + ` WHERE id = ?1`
	sqlDocument = `SELECT content FROM documents WHERE digest = ?1`
)

// load reads a run with all that belongs to it.
func (v *view) load(id engine.RunID) (engine.Loaded, error) {
	var l engine.Loaded
	rows, err := collect(v, sqlOneRun, []any{string(id)}, readRun)
	if err == nil && len(rows) == 0 {
		err = engine.ErrNotFound
	}
	if err != nil {
		return l, err
	}
	r := rows[0]
	if err := v.lists(&r); err != nil {
		return l, err
	}
	l.Run = r.Run
	if l.Event, err = v.event(sqlOneEvent, r.Event); err != nil {
		return l, err
	}
	if l.Entries, err = v.history(r.n, r.last); err != nil {
		return l, err
	}
	if l.Source, err = v.document(r.Digest); err != nil {
		return l, err
	}
	for name, digest := range r.Lists {
		content, err := v.document(digest)
		if err != nil {
			return l, err
		}
		if l.Lists == nil {
			l.Lists = map[string][]byte{}
		}
		l.Lists[name] = content
	}
	return l, nil
}

// document reads a content and makes sure that it is the one that was stored: what a damaged
// playbook would do, nobody wants to know.
func (v *view) document(digest string) ([]byte, error) {
	content := []byte{}
	ok, err := v.get(sqlDocument, []any{digest}, &content)
	if err == nil && !ok {
		err = fmt.Errorf("%w: document %s is missing", ErrCorrupt, digest)
	}
	if err != nil {
		return nil, err
	}
	if err := checkDocument(digest, content); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return content, nil
}

// always is before every moment that is stored, the missing one included.
const always = math.MinInt64
