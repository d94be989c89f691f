package store

import (
	"context"
	"fmt"

	"github.com/playbookd/playbookd/engine"
)

const (
	sqlEventSet = `SELECT e.n, s.members FROM events e LEFT JOIN sets s ON s.n = e.set_n WHERE e.id = ?1`
	sqlMatches  = `SELECT v.playbook, v.digest, m.verdict, m.reason, m.detail, m.run
		FROM matches m JOIN versions v ON v.n = m.version WHERE m.event = ?1 ORDER BY m.version`
)

// Decisions returns what every playbook that was loaded when the event was admitted decided about
// it, in the order of the set. A playbook without a stored decision has no trigger that listens
// to the event's source, and that is what is returned for it: there is no third state.
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

const sqlEventOfRun = `SELECT e.id FROM runs r JOIN events e ON e.n = r.event WHERE r.id = ?1`

func (v *view) decisions(event string) ([]engine.Match, error) {
	var n int64
	var members []byte
	ok, err := v.get(sqlEventSet, []any{event}, &n, &members)
	if err == nil && !ok {
		err = engine.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	stored, err := collect(v, sqlMatches, []any{n}, readMatch)
	if err != nil || members == nil {
		return stored, err
	}
	set, err := readSet(members)
	if err != nil {
		return nil, err
	}
	return complete(set, stored), nil
}

// complete gives every member of the set its decision. What was stored about a playbook that the
// set doesn't name comes last.
func complete(set []engine.SetMember, stored []engine.Match) []engine.Match {
	found := make(map[engine.SetMember]engine.Match, len(stored))
	for _, m := range stored {
		found[engine.SetMember{Name: m.Playbook, Digest: m.Digest}] = m
	}
	list := make([]engine.Match, 0, len(set))
	for _, member := range set {
		m, ok := found[member]
		if !ok {
			m = engine.Match{
				Playbook: member.Name, Digest: member.Digest,
				Verdict: engine.Skipped, Reason: engine.SkipNoTrigger,
			}
		}
		delete(found, member)
		list = append(list, m)
	}
	for _, m := range stored {
		if _, left := found[engine.SetMember{Name: m.Playbook, Digest: m.Digest}]; left {
			list = append(list, m)
		}
	}
	return list
}

func readMatch(row scanner) (engine.Match, error) {
	var m engine.Match
	err := row.Scan(&m.Playbook, &m.Digest, &m.Verdict, &m.Reason, &m.Detail, &m.Run)
	if err != nil {
		return m, err
	}
	if err := checkVerdict(m.Verdict); err != nil {
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
