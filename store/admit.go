package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/mutant"
)

// Admit implements [engine.Journal].
func (db *DB) Admit(ctx context.Context, a engine.Admission) (engine.Receipt, error) {
	if err := checkAdmission(a); err != nil {
		return engine.Receipt{}, fmt.Errorf("admit: %w", err)
	}
	var receipt engine.Receipt
	err := db.writer.write(ctx, func(t *tx) error {
		ad := admission{tx: t}
		err := ad.store(a)
		receipt = ad.receipt
		return err
	})
	if err != nil {
		return engine.Receipt{}, fmt.Errorf("admit: %w", err)
	}
	return receipt, nil
}

// admission is one Admit within its transaction.
type admission struct {
	*tx
	set     any // number of the set, or nil
	receipt engine.Receipt
}

func (ad *admission) store(a engine.Admission) error {
	if a.Cursor != nil {
		if err := ad.move(*a.Cursor); err != nil {
			return err
		}
	}
	if err := ad.setClocks(a.Clocks); err != nil || len(a.Events) == 0 {
		return err
	}
	if err := ad.useSet(a.Set); err != nil {
		return err
	}
	for digest, content := range a.Documents {
		if err := ad.useDocument(digest, content); err != nil {
			return err
		}
	}
	for i, p := range a.Events {
		if err := ad.event(i, p); err != nil {
			return fmt.Errorf("event %q: %w", p.Event.ID, err)
		}
	}
	return nil
}

const (
	sqlPosition = `SELECT position FROM cursors WHERE source = ?1`
	sqlMove     = `INSERT INTO cursors (source, position) VALUES (?1, ?2)
		ON CONFLICT (source) DO UPDATE SET position = excluded.position`
)

func (ad *admission) move(c engine.Cursor) error {
	var now string // stays "" if there is none
	if _, err := ad.get(sqlPosition, []any{c.Source}, &now); err != nil {
		return err
	}
	if now != c.From {
		return fmt.Errorf("source %q: position is %q, not %q: %w", c.Source, now, c.From, engine.ErrCursorMoved)
	}
	_, err := ad.exec(sqlMove, c.Source, c.Position)
	return err
}

const (
	sqlFindSet = `SELECT n FROM sets WHERE digest = ?1`
	sqlAddSet  = `INSERT INTO sets (digest, members) VALUES (?1, ?2)`
)

// useSet finds or stores the set. A set without a digest is not stored: there is nothing to say
// about playbooks that nobody named.
func (ad *admission) useSet(s engine.PlaybookSet) error {
	if s.Digest == "" {
		return nil
	}
	n, err := ad.w.known.number(s.Digest, ad.w.known.sets, func() (n int64, err error) {
		if ok, err := ad.get(sqlFindSet, []any{s.Digest}, &n); ok || err != nil {
			return n, err
		}
		members, err := ad.members(s.Members)
		if err != nil {
			return 0, err
		}
		return ad.insert(sqlAddSet, s.Digest, members)
	})
	ad.set = n
	return err
}

const (
	sqlFindScreen = `SELECT n FROM screens WHERE version = ?1 AND content = ?2`
	sqlAddScreen  = `INSERT INTO screens (version, content) VALUES (?1, ?2)`
)

// members finds or stores the screens of a set and gives the list of their numbers as JSON.
func (ad *admission) members(members []engine.SetMember) (string, error) {
	numbers := make([]int64, 0, len(members))
	for _, m := range members {
		n, err := ad.screen(m)
		if err != nil {
			return "", fmt.Errorf("playbook set: %q: %w", m.Name, err)
		}
		numbers = append(numbers, n)
	}
	raw, err := json.Marshal(numbers)
	return string(raw), err
}

func (ad *admission) screen(m engine.SetMember) (n int64, err error) {
	if !utf8.ValidString(m.Name) || !utf8.ValidString(m.Digest) {
		return 0, errors.New("the name is not UTF-8")
	}
	content := ""
	if m.Screen != nil {
		raw, err := json.Marshal(m.Screen)
		if err != nil {
			return 0, fmt.Errorf("screen: %w", err)
		}
		content = string(raw)
	}
	version, err := ad.version(m.Name, m.Digest)
	if err != nil {
		return 0, err
	}
	if known, err := ad.get(sqlFindScreen, []any{version, content}, &n); known || err != nil {
		return n, err
	}
	return ad.insert(sqlAddScreen, version, content)
}

const (
	sqlFindDocument = `SELECT n FROM documents WHERE digest = ?1`
	sqlAddDocument  = `INSERT INTO documents (digest, content) VALUES (?1, ?2)`
)

func (ad *admission) useDocument(digest string, content []byte) error {
	ad.w.known.handed[digest] = true
	if content == nil {
		content = []byte{} // an empty document, not a missing one
	}
	_, err := ad.w.known.number(digest, ad.w.known.documents, func() (n int64, err error) {
		if ok, err := ad.get(sqlFindDocument, []any{digest}, &n); ok || err != nil {
			return n, err
		}
		return ad.insert(sqlAddDocument, digest, content)
	})
	return err
}

// needDocument asks that the journal holds what a run will need.
func (ad *admission) needDocument(digest, what string) error {
	_, err := ad.w.known.number(digest, ad.w.known.documents, func() (n int64, err error) {
		ok, err := ad.get(sqlFindDocument, []any{digest}, &n)
		if err == nil && !ok {
			err = fmt.Errorf("%s %q was never handed to the journal", what, digest)
		}
		return n, err
	})
	return err
}

const (
	sqlFindEvent = `SELECT n FROM events WHERE id = ?1`
	sqlAddEvent  = `INSERT INTO events (id, tenant, source, kind, object, title, occurred, seen,
			payload, payload_blob, inputs, inputs_blob, set_n, started_by, facts, changes, sla)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
		ON CONFLICT (id) DO NOTHING`
	sqlEarlier = `SELECT 1 FROM events WHERE object = ?1 AND object <> '' AND tenant = ?2 AND n < ?3 AND ` + isVersion + ` LIMIT 1`
	// Stages of clocks are no versions of their objects.
	isVersion = `source NOT GLOB 'sla/*'`
)

func (ad *admission) event(place int, p engine.Planned) error {
	n, err := ad.addEvent(p.Event, p.Facts)
	if err != nil {
		return err
	}
	if n == 0 {
		ad.receipt.Duplicates++
		ad.receipt.Repeated = append(ad.receipt.Repeated, place)
		return nil
	}
	if p.New {
		var one int
		if known, err := ad.get(sqlEarlier, []any{p.Event.Object, p.Event.Tenant, n}, &one); err != nil {
			return err
		} else if known {
			return engine.ErrNotNew
		}
	}
	if err := ad.setClocks(p.Clocks); err != nil {
		return err
	}
	if err := ad.leave(engine.Left{Sightings: p.Sightings}); err != nil {
		return err
	}
	if p.Index != nil {
		if err := ad.index(*p.Index); err != nil {
			return err
		}
	}
	ad.receipt.Admitted++
	matches := p.Matches
	for _, run := range p.Runs {
		repeated, err := ad.repeats(run)
		if err != nil {
			return fmt.Errorf("run %s: %w", run.Run.ID, err)
		}
		if repeated != "" {
			matches = engine.Repeats(slices.Clone(matches), run.Run, repeated)
			continue
		}
		if matches, err = ad.startOrHold(n, run, matches); err != nil {
			return fmt.Errorf("run %s: %w", run.Run.ID, err)
		}
	}
	return ad.decisions(n, matches)
}

// startOrHold stores a run, and says in the decision about it if it is beyond a limit nevertheless.
func (ad *admission) startOrHold(event int64, run engine.PlannedRun, matches []engine.Match) ([]engine.Match, error) {
	circles, err := ad.beyond(run)
	if err != nil {
		return matches, err
	}
	limited := false
	if !circles {
		if limited, err = ad.beyondLimit(run); err != nil {
			return matches, err
		}
		if limited && run.Limit.Instead != "" {
			limited, matches = false, engine.Note(matches, run)
		}
	}
	if circles || limited {
		ad.receipt.Held = append(ad.receipt.Held, run.Run.ID)
		if limited {
			ad.receipt.Limited = append(ad.receipt.Limited, run.Run.ID)
		}
		return matches, ad.start(event, engine.Hold(run, limited))
	}
	ad.receipt.Matched++
	ad.receipt.Started = append(ad.receipt.Started, run.Run.ID)
	if err := ad.start(event, run); err != nil {
		return matches, err
	}
	if use, counted := run.Start(); counted {
		err = ad.addUse(use)
	}
	return matches, err
}

// addEvent stores an event and tells its number; 0 for one that is known.
func (ad *admission) addEvent(ev engine.Event, f *engine.Facts) (int64, error) {
	if max(len(ev.Payload), len(ev.Inputs)) > Inline { // what is known should not leave values behind
		var n int64
		if known, err := ad.get(sqlFindEvent, []any{ev.ID}, &n); known || err != nil {
			return 0, err
		}
	}
	payload, payloadBlob, err := ad.value(ev.Payload)
	if err != nil {
		return 0, err
	}
	inputs, inputsBlob, err := ad.value(ev.Inputs)
	if err != nil {
		return 0, err
	}
	var facts any
	if f != nil {
		if facts, err = json.Marshal(f); err != nil {
			return 0, fmt.Errorf("facts: %w", err)
		}
	}
	var changes any
	if len(ev.Changes) > 0 {
		if changes, err = json.Marshal(ev.Changes); err != nil {
			return 0, fmt.Errorf("changes: %w", err)
		}
	}
	sla, err := slaText(ev.SLA)
	if err != nil {
		return 0, err
	}
	res, err := ad.exec(sqlAddEvent, ev.ID, ev.Tenant, ev.Source, ev.Kind, ev.Object, ev.Title,
		stamp(ev.Occurred), stamp(ev.Seen), payload, payloadBlob, inputs, inputsBlob, ad.set, ev.By, facts, changes, sla)
	if err != nil {
		return 0, err
	}
	if added, err := res.RowsAffected(); added == 0 || err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

const (
	sqlFindVersion = `SELECT n FROM versions WHERE playbook = ?1 AND digest = ?2`
	sqlAddVersion  = `INSERT INTO versions (playbook, digest) VALUES (?1, ?2)`
	sqlAddMatch    = `INSERT INTO matches (event, version, verdict, reason, detail, run, readings)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`
)

// version finds or stores the number of a version of a playbook.
func (ad *admission) version(playbook, digest string) (int64, error) {
	return ad.w.known.number(playbook+"\x00"+digest, ad.w.known.versions, func() (n int64, err error) {
		if ok, err := ad.get(sqlFindVersion, []any{playbook, digest}, &n); ok || err != nil {
			return n, err
		}
		return ad.insert(sqlAddVersion, playbook, digest)
	})
}

func (ad *admission) decisions(event int64, matches []engine.Match) error {
	for _, m := range matches {
		if m.Verdict != engine.Matched && mutant.On(mutant.ForgetDecision) {
			continue
		}
		version, err := ad.version(m.Playbook, m.Digest)
		var readings any
		if err == nil && len(m.Readings) > 0 {
			readings, err = json.Marshal(m.Readings)
		}
		if err == nil {
			_, err = ad.exec(sqlAddMatch, event, version, string(m.Verdict), m.Reason, m.Detail, string(m.Run), readings)
		}
		if err != nil {
			return fmt.Errorf("decision of %s: %w", m.Playbook, err)
		}
	}
	return nil
}
