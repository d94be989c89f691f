package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// Limits of lists.
const (
	DefaultLimit = 50     // of a filter that has no limit
	MaxLimit     = 10_000 // more is not returned at once: page with Before
	MaxCandidate = 5      // candidates that an AmbiguousError names
)

// RunFilter chooses runs. Empty fields choose all.
type RunFilter struct {
	Playbook string
	State    engine.RunState
	Object   string // "alerts/ID"
	Since    time.Time
	Limit    int
	Before   engine.RunID // continue a list: the last run of the page before
}

// Runs returns runs, newest first.
func (r *Reader) Runs(ctx context.Context, f RunFilter) ([]engine.Run, error) {
	var runs []engine.Run
	err := r.look(ctx, func(v *view) error {
		var created, n int64
		if f.Before != "" {
			ok, err := v.get(sqlRunPlace, []any{string(f.Before)}, &created, &n)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("run %s, after which the list should go on: %w", f.Before, engine.ErrNotFound)
			}
		}
		query, args := f.query(created, n)
		var err error
		runs, err = v.runs(query, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return runs, nil
}

const sqlRunPlace = `SELECT created, n FROM runs WHERE id = ?1`

// conditions puts a query together from the conditions that are needed, so that each combination
// can use an index.
type conditions struct {
	text strings.Builder
	args []any
}

// and adds a condition; each ? in it takes the next of the arguments.
func (c *conditions) and(text string, args ...any) {
	for _, arg := range args {
		c.args = append(c.args, arg)
		text = strings.Replace(text, "? ", fmt.Sprintf("?%d ", len(c.args)), 1)
	}
	c.text.WriteString(text)
}

func (f RunFilter) query(created, n int64) (string, []any) {
	var c conditions
	c.and(selectRuns+` WHERE r.created >= ? `, stamp(f.Since))
	if f.Playbook != "" {
		c.and(`AND r.playbook = ? `, f.Playbook)
	}
	switch f.State {
	case "":
	case engine.Ready: // said so that the index of those that are ready can be used
		c.and(`AND r.state = 'ready' `)
	case engine.Succeeded: // most of all runs
		c.and(`AND r.state = 'succeeded' `)
	default:
		c.and(`AND r.state NOT IN ('ready', 'succeeded') AND r.state = ? `, string(f.State))
	}
	if f.Object != "" {
		c.and(`AND r.object = ? AND r.object <> '' `, f.Object)
	}
	if f.Before != "" {
		c.and(`AND (r.created, r.n) < (? , ? ) `, created, n)
	}
	c.and(`ORDER BY r.created DESC, r.n DESC LIMIT ? `, limit(f.Limit))
	return c.text.String(), c.args
}

func limit(n int) int {
	if n <= 0 {
		return DefaultLimit
	}
	return min(n, MaxLimit)
}

// The index runs_asking has the runs that wait and need a person. SQLite uses it where a query repeats its
// conditions word for word; 'asks ' is [engine.AskingPrefix], and 'asks for a word: ' [engine.WordPrefix].
const (
	needy       = ` WHERE r.ended IS NULL AND r.message GLOB 'asks *' AND r.created >= ?1`
	asking      = needy + ` AND (r.message GLOB 'asks q*' OR instr(r.message, '; asks q') > 0)`
	stuck       = needy + ` AND r.message GLOB 'asks for a word: *'`
	sqlAsking   = selectRuns + asking + ` ORDER BY r.created, r.n LIMIT ?2`
	sqlAskers   = `SELECT count(*) FROM runs r` + asking
	sqlAskedBy  = `SELECT r.id FROM runs r` + needy + ` AND instr(r.message, ?2) > 0 ORDER BY r.created, r.n LIMIT ?3`
	sqlStuck    = selectRuns + stuck + ` ORDER BY r.created, r.n LIMIT ?2`
	sqlStuckAll = `SELECT count(*) FROM runs r` + stuck
)

// Asking returns the runs that wait for people's answers, the oldest first, at most so many, and how
// many there are in all.
func (r *Reader) Asking(ctx context.Context, most int) (runs []engine.Run, all int, err error) {
	return r.needy(ctx, sqlAsking, sqlAskers, most)
}

// Stuck returns the runs that wait for their time in one place and for a person in another, where a step is
// uncertain or held: the oldest first, at most so many, and how many there are in all. They will be parked
// when there is nothing else to wait for.
func (r *Reader) Stuck(ctx context.Context, most int) (runs []engine.Run, all int, err error) {
	return r.needy(ctx, sqlStuck, sqlStuckAll, most)
}

func (r *Reader) needy(ctx context.Context, list, count string, most int) (runs []engine.Run, all int, err error) {
	err = r.look(ctx, func(v *view) (err error) {
		if _, err = v.get(count, []any{stamp(time.Time{})}, &all); err == nil {
			runs, err = v.runs(list, stamp(time.Time{}), limit(most))
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list runs that need a person: %w", err)
	}
	return runs, all, nil
}

// AskedBy returns the runs that may be those that ask the question with an ID: what a run says that it
// asks holds texts of others, too.
func (r *Reader) AskedBy(ctx context.Context, question string) (ids []engine.RunID, err error) {
	err = r.look(ctx, func(v *view) (err error) {
		ids, err = collect(v, sqlAskedBy, []any{stamp(time.Time{}), engine.AskingPrefix + question + ":", MaxLimit}, func(row scanner) (id engine.RunID, err error) {
			return id, row.Scan(&id)
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find who asks %.64q: %w", question, err)
	}
	return ids, nil
}

const sqlRunPrefix = `SELECT id FROM runs WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3`

// Run returns the run with this ID, or the only one whose ID begins so. If several do, the error
// is an [*AmbiguousError].
func (r *Reader) Run(ctx context.Context, ref string) (engine.Loaded, error) {
	var l engine.Loaded
	err := r.look(ctx, func(v *view) error {
		id, err := v.resolve(ref)
		if err == nil {
			l, err = v.load(id)
		}
		return err
	})
	if err != nil {
		return engine.Loaded{}, fmt.Errorf("run %q: %w", ref, err)
	}
	return l, nil
}

// resolve finds the run that somebody means.
func (v *view) resolve(ref string) (engine.RunID, error) {
	if ref == "" {
		return "", errors.New("give the ID of a run, or the beginning of one")
	}
	var n, created int64
	if ok, err := v.get(sqlRunPlace, []any{ref}, &created, &n); ok || err != nil {
		return engine.RunID(ref), err
	}
	// In UTF-8 nothing that begins with ref is above ref and the highest byte.
	ids, err := collect(v, sqlRunPrefix, []any{ref, ref + "\xff", MaxCandidate + 1}, func(row scanner) (id engine.RunID, err error) {
		return id, row.Scan(&id)
	})
	switch {
	case err != nil:
		return "", err
	case len(ids) == 0:
		return "", engine.ErrNotFound
	case len(ids) > 1:
		return "", &AmbiguousError{Prefix: ref, Candidates: ids[:min(len(ids), MaxCandidate)], More: len(ids) > MaxCandidate}
	}
	return ids[0], nil
}

// EventFilter chooses events. Empty fields choose all.
type EventFilter struct {
	Source string
	Object string // "alerts/ID"
	Since  time.Time
	Limit  int
	Before string // continue a list: the ID of the last event of the page before
}

// Events returns events, those seen last first.
func (r *Reader) Events(ctx context.Context, f EventFilter) ([]engine.Event, error) {
	var events []engine.Event
	err := r.look(ctx, func(v *view) error {
		var seen, n int64
		if f.Before != "" {
			ok, err := v.get(sqlEventPlace, []any{f.Before}, &seen, &n)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("event %q, after which the list should go on: %w", f.Before, engine.ErrNotFound)
			}
		}
		query, args := f.query(seen, n)
		var err error
		events, err = v.events(query, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return events, nil
}

const sqlEventPlace = `SELECT seen, n FROM events WHERE id = ?1`

func (f EventFilter) query(seen, n int64) (string, []any) {
	var c conditions
	c.and(selectEvents+` WHERE seen >= ? `, stamp(f.Since))
	if f.Source != "" {
		c.and(`AND source = ? `, f.Source)
	}
	if f.Object != "" {
		c.and(`AND object = ? AND object <> '' `, f.Object)
	}
	if f.Before != "" {
		c.and(`AND (seen, n) < (? , ? ) `, seen, n)
	}
	c.and(`ORDER BY seen DESC, n DESC LIMIT ? `, limit(f.Limit))
	return c.text.String(), c.args
}

// Event returns an event.
func (r *Reader) Event(ctx context.Context, id string) (engine.Event, error) {
	var ev engine.Event
	err := r.look(ctx, func(v *view) (err error) {
		ev, err = v.event(sqlOneEvent, id)
		return err
	})
	if err != nil {
		return engine.Event{}, fmt.Errorf("event %q: %w", id, err)
	}
	return ev, nil
}
