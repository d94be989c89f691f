package store

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/playbookd/playbookd/engine"
)

const (
	sqlEventSet = `SELECT e.n, e.tenant, e.source, e.facts, coalesce(s.digest, ''), coalesce(s.members, '')
		FROM events e LEFT JOIN sets s ON s.n = e.set_n WHERE e.id = ?1`
	sqlMember  = `SELECT v.playbook, v.digest, s.content FROM screens s JOIN versions v ON v.n = s.version WHERE s.n = ?1`
	sqlMatches = `SELECT v.playbook, v.digest, m.verdict, m.reason, m.detail, m.run, m.readings
		FROM matches m JOIN versions v ON v.n = m.version WHERE m.event = ?1 ORDER BY m.version`
)

// Decisions returns what every playbook that was loaded when the event was admitted decided about
// it, in the order of the set: the stored decision, or the one that follows from the facts, as
// [engine.Decisions] has it. If there is neither the database is damaged: there is no third state.
func (r *Reader) Decisions(ctx context.Context, event string) ([]engine.Match, error) {
	var list []engine.Match
	err := r.look(ctx, func(v *view) (err error) {
		list, err = v.decisions(event)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("decisions about event %q: %w", event, err)
	}
	return list, nil
}

// Matches returns the decisions about the event that started a run.
func (r *Reader) Matches(ctx context.Context, run engine.RunID) ([]engine.Match, error) {
	var list []engine.Match
	err := r.look(ctx, func(v *view) error {
		var event string
		ok, err := v.get(sqlEventOfRun, []any{string(run)}, &event)
		if err == nil && !ok {
			err = engine.ErrNotFound
		}
		if err == nil {
			list, err = v.decisions(event)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("decisions that led to run %s: %w", run, err)
	}
	return list, nil
}

const sqlFacts = `SELECT facts FROM events WHERE id = ?1`

// ListVersions returns the digests of the watchlists that an event was held against, by name.
func (r *Reader) ListVersions(ctx context.Context, event string) (map[string]string, error) {
	var f *engine.Facts
	err := r.look(ctx, func(v *view) error {
		var facts []byte
		ok, err := v.get(sqlFacts, []any{event}, &facts)
		switch {
		case err == nil && !ok:
			return engine.ErrNotFound
		case err != nil || facts == nil:
			return err
		}
		if err := json.Unmarshal(facts, &f); err != nil {
			return fmt.Errorf("%w: facts: %w", ErrCorrupt, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("watchlists of event %q: %w", event, err)
	}
	if f == nil {
		return nil, nil
	}
	return f.Versions, nil
}

const sqlEventOfRun = `SELECT e.id FROM runs r JOIN events e ON e.n = r.event WHERE r.id = ?1`

func (v *view) decisions(event string) ([]engine.Match, error) {
	ev := engine.Event{ID: event}
	var n int64
	var facts []byte
	var digest, members string
	ok, err := v.get(sqlEventSet, []any{event}, &n, &ev.Tenant, &ev.Source, &facts, &digest, &members)
	if err == nil && !ok {
		err = engine.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	stored, err := collect(v, sqlMatches, []any{n}, readMatch)
	if err != nil || digest == "" {
		return stored, err
	}
	set, err := v.set(digest, members)
	if err != nil {
		return nil, err
	}
	var f *engine.Facts
	if facts != nil {
		if err := json.Unmarshal(facts, &f); err != nil {
			return nil, fmt.Errorf("%w: facts: %w", ErrCorrupt, err)
		}
	}
	list, err := engine.Decisions(ev, f, set, stored)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return list, nil
}

// maxSets is how many sets a reader remembers. Most events that somebody looks at were admitted
// under the last few.
const maxSets = 4

// sets are those that were read last, by digest.
type sets struct {
	mu   sync.Mutex
	read map[string][]engine.SetMember
}

// set reads the members of a set. They are never changed, so they are read once.
func (v *view) set(digest, members string) ([]engine.SetMember, error) {
	v.sets.mu.Lock()
	set, ok := v.sets.read[digest]
	v.sets.mu.Unlock()
	if ok {
		return set, nil
	}
	var numbers []int64
	if err := json.Unmarshal([]byte(members), &numbers); err != nil {
		return nil, fmt.Errorf("%w: playbook set: %w", ErrCorrupt, err)
	}
	set = make([]engine.SetMember, 0, len(numbers))
	for _, n := range numbers {
		m, err := v.member(n)
		if err != nil {
			return nil, err
		}
		set = append(set, m)
	}
	v.sets.mu.Lock()
	defer v.sets.mu.Unlock()
	if v.sets.read == nil || len(v.sets.read) >= maxSets {
		v.sets.read = map[string][]engine.SetMember{}
	}
	v.sets.read[digest] = set
	return set, nil
}

func (v *view) member(n int64) (m engine.SetMember, err error) {
	var screen string
	ok, err := v.get(sqlMember, []any{n}, &m.Name, &m.Digest, &screen)
	if err == nil && !ok {
		err = fmt.Errorf("%w: playbook set: screen %d is missing", ErrCorrupt, n)
	}
	if err != nil || screen == "" {
		return m, err
	}
	if err := json.Unmarshal([]byte(screen), &m.Screen); err != nil {
		return m, fmt.Errorf("%w: screen of %s: %w", ErrCorrupt, m.Name, err)
	}
	return m, nil
}

func readMatch(row scanner) (engine.Match, error) {
	var m engine.Match
	var readings []byte
	err := row.Scan(&m.Playbook, &m.Digest, &m.Verdict, &m.Reason, &m.Detail, &m.Run, &readings)
	if err != nil {
		return m, err
	}
	if readings != nil {
		if err := json.Unmarshal(readings, &m.Readings); err != nil {
			return m, fmt.Errorf("%w: readings: %w", ErrCorrupt, err)
		}
	}
	if err := m.Verdict.Check(); err != nil {
		return m, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return m, nil
}

const sqlCounts = `SELECT state, runs FROM counts`

// Counts returns how many runs are in each state. Every state is there.
func (r *Reader) Counts(ctx context.Context) (map[engine.RunState]int, error) {
	type count struct {
		state engine.RunState
		runs  int
	}
	counts := map[engine.RunState]int{}
	err := r.look(ctx, func(v *view) error {
		rows, err := collect(v, sqlCounts, nil, func(row scanner) (c count, err error) {
			return c, row.Scan(&c.state, &c.runs)
		})
		for _, c := range rows {
			counts[c.state] = c.runs
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count runs: %w", err)
	}
	return counts, nil
}
