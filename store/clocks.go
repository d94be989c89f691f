package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/playbookd/playbookd/engine"
)

const (
	// The one after "/" is "0": an ID that begins with the object's is that of a version. The + keeps SQLite
	// from walking over all that a source ever brought: objects are read in their order, and no more than asked for.
	versionOf = `+source = ?2 AND tenant = ?1 AND object <> ''
		AND id >= tenant || '/' || object || '/' AND id < tenant || '/' || object || '0'`
	sqlVersion  = selectEvents + ` WHERE ` + versionOf + ` AND object = ?3 ORDER BY n DESC LIMIT 1`
	sqlVersions = selectEvents + ` WHERE n IN (SELECT max(n) FROM events
		WHERE ` + versionOf + ` AND object > ?3 GROUP BY object ORDER BY object LIMIT ?4) ORDER BY object`
)

// Versions implements [engine.Journal].
func (r *Reader) Versions(ctx context.Context, q engine.VersionQuery) ([]engine.Event, error) {
	var events []engine.Event
	err := r.look(ctx, func(v *view) (err error) {
		if q.Object != "" {
			events, err = v.events(sqlVersion, q.Tenant, q.Source, q.Object)
			return err
		}
		events, err = v.events(sqlVersions, q.Tenant, q.Source, q.After, max(q.Limit, 0))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("versions of %s: %w", q.Source, err)
	}
	return events, nil
}

const (
	sqlClocks    = `SELECT content FROM clocks WHERE object = ?1 AND tenant = ?2 ORDER BY playbook`
	sqlDueClocks = `SELECT content FROM clocks WHERE tenant = ?1 AND playbook = ?2 AND due IS NOT NULL ORDER BY due, object LIMIT ?3`
)

func readClock(row scanner) (engine.Clock, error) {
	var c engine.Clock
	var content []byte
	if err := row.Scan(&content); err != nil {
		return c, err
	}
	if err := json.Unmarshal(content, &c); err != nil {
		return c, fmt.Errorf("%w: a clock: %w", ErrCorrupt, err)
	}
	return c, nil
}

func (r *Reader) clocks(ctx context.Context, query string, args ...any) ([]engine.Clock, error) {
	var list []engine.Clock
	err := r.look(ctx, func(v *view) (err error) {
		list, err = collect(v, query, args, readClock)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("clocks: %w", err)
	}
	return list, nil
}

// Clocks implements [engine.Journal].
func (r *Reader) Clocks(ctx context.Context, tenant, object string) ([]engine.Clock, error) {
	return r.clocks(ctx, sqlClocks, object, tenant)
}

// DueClocks implements [engine.Journal].
func (r *Reader) DueClocks(ctx context.Context, tenant, playbook string, limit int) ([]engine.Clock, error) {
	return r.clocks(ctx, sqlDueClocks, tenant, playbook, max(limit, 0))
}

// ClockFilter chooses clocks of a board. Empty fields choose all.
type ClockFilter struct {
	Tenant   string
	Playbook string
	Object   string // "alerts/ID"
	All      bool   // also those that are stopped, and those without a target
	Limit    int
}

// Board returns clocks in the order in which their targets are used up, or were; those of which that
// won't happen as things stand come last.
func (r *Reader) Board(ctx context.Context, f ClockFilter) ([]engine.Clock, error) {
	query, args := f.query()
	return r.clocks(ctx, query, args...)
}

func (f ClockFilter) query() (string, []any) {
	var c conditions
	if f.All {
		c.and(`SELECT content FROM clocks WHERE seen >= ? `, int64(always))
	} else {
		c.and(`SELECT content FROM clocks INDEXED BY clocks_open WHERE state <> 'stopped' AND state < 'stopped'
			AND (json_extract(content, '$.within') > 0 OR json_extract(content, '$.fault') <> '') `)
	}
	if f.Tenant != "" {
		c.and(`AND tenant = ? `, f.Tenant)
	}
	if f.Playbook != "" {
		c.and(`AND playbook = ? `, f.Playbook)
	}
	if f.Object != "" {
		c.and(`AND object = ? `, f.Object)
	}
	c.and(`ORDER BY breach IS NULL, breach, object, tenant, playbook LIMIT ? `, limit(f.Limit))
	return c.text.String(), c.args
}

const sqlCountClocks = `SELECT count(*) FROM clocks WHERE state <> 'stopped' AND state = ?1`

// ClockCounts counts the clocks that are not stopped, by state.
func (r *Reader) ClockCounts(ctx context.Context) (map[engine.ClockState]int, error) {
	counts := map[engine.ClockState]int{}
	err := r.look(ctx, func(v *view) error {
		for _, state := range []engine.ClockState{engine.ClockRunning, engine.ClockPaused} {
			var n int
			if _, err := v.get(sqlCountClocks, []any{string(state)}, &n); err != nil {
				return err
			}
			counts[state] = n
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count clocks: %w", err)
	}
	return counts, nil
}

const (
	sqlRevision = `SELECT revision FROM clocks WHERE object = ?1 AND tenant = ?2 AND playbook = ?3`
	sqlSetClock = `INSERT INTO clocks (object, tenant, playbook, revision, state, seen, due, breach, content)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
		ON CONFLICT (object, tenant, playbook) DO UPDATE SET revision = excluded.revision, state = excluded.state,
			seen = excluded.seen, due = excluded.due, breach = excluded.breach, content = excluded.content`
)

// setClocks stores clocks, each of which must follow on the one that is there.
func (t *tx) setClocks(clocks []engine.Clock) error {
	for _, c := range clocks {
		was := 0
		if _, err := t.get(sqlRevision, []any{c.Object, c.Tenant, c.Playbook}, &was); err != nil {
			return err
		}
		if c.Revision != was+1 {
			return fmt.Errorf("clock of %s at %s: revision %d after %d: %w", c.Object, c.Playbook, c.Revision, was, engine.ErrClockMoved)
		}
		content, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("clock of %s at %s: %w", c.Object, c.Playbook, err)
		}
		_, err = t.exec(sqlSetClock, c.Object, c.Tenant, c.Playbook, c.Revision, string(c.State), stamp(c.Seen), optional(c.Due),
			optional(c.Breach), string(content))
		if err != nil {
			return err
		}
	}
	return nil
}

// sqlDropClocks forgets clocks of objects that the journal has forgotten.
const sqlDropClocks = `DELETE FROM clocks WHERE n IN (SELECT n FROM clocks WHERE seen < ?1
	AND NOT EXISTS (SELECT 1 FROM events e WHERE e.object = clocks.object AND e.object <> '' AND e.tenant = clocks.tenant) ORDER BY seen LIMIT ?2)`

func (p *pruning) clocks(ctx context.Context) error {
	return p.drop(ctx, sqlDropClocks, p.forget, &p.done.Clocks)
}

// slaOf reads what an event of a clock says.
func slaOf(content []byte) (*engine.SLA, error) {
	if len(content) == 0 {
		return nil, nil
	}
	var s engine.SLA
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, fmt.Errorf("%w: stage of a clock: %w", ErrCorrupt, err)
	}
	s.Start, s.Due = s.Start.UTC(), s.Due.UTC()
	return &s, nil
}

func slaText(s *engine.SLA) (any, error) {
	if s == nil {
		return nil, nil
	}
	raw, err := json.Marshal(s)
	return string(raw), err
}
