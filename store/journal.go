package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/playbookd/playbookd/engine"
)

const (
	// Each half is cut by itself, in the order of its index: of thousands that are due at once, as
	// after a day without Graph, no more are looked at than are asked for. A bare parameter as a limit
	// would have SQLite compile the statement anew each time, to see whether its value suggests another plan.
	sqlReady = `SELECT * FROM (` + selectRuns + ` WHERE r.state = 'ready' AND r.blocked = 0 AND r.ended IS NULL
			ORDER BY r.n LIMIT ?2 + 0)
		UNION ALL SELECT * FROM (` + selectRuns + ` WHERE r.state = 'waiting' AND r.blocked = 0 AND r.ended IS NULL AND r.wake <= ?1
			ORDER BY r.wake, r.n LIMIT ?2 + 0)
		ORDER BY 1 LIMIT ?2 + 0`
	// Blocked runs and others apart, so that each minimum is the first entry of an index.
	sqlNextWake = `SELECT min(wake) FROM (
		SELECT min(wake) AS wake FROM runs WHERE state = 'waiting' AND blocked = 0 AND ended IS NULL
		UNION ALL
		SELECT min(wake) FROM runs WHERE state = 'waiting' AND blocked = 1 AND ended IS NULL) w`
)

// Ready implements [engine.Journal]. The order is that of admission, which no clock can disturb.
func (r *Reader) Ready(ctx context.Context, now time.Time, limit int) ([]engine.Run, error) {
	var runs []engine.Run
	err := r.look(ctx, func(v *view) (err error) {
		runs, err = v.runs(sqlReady, stamp(now), max(limit, 0))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ready runs: %w", err)
	}
	return runs, nil
}

// NextWake implements [engine.Journal].
func (r *Reader) NextWake(ctx context.Context) (time.Time, error) {
	var wake *int64
	err := r.look(ctx, func(v *view) error {
		_, err := v.get(sqlNextWake, nil, &wake)
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("next wake: %w", err)
	}
	return optionalMoment(wake), nil
}

// Load implements [engine.Journal].
func (r *Reader) Load(ctx context.Context, id engine.RunID) (engine.Loaded, error) {
	var l engine.Loaded
	err := r.look(ctx, func(v *view) (err error) {
		l, err = v.load(id)
		return err
	})
	if err != nil {
		return engine.Loaded{}, fmt.Errorf("load run %s: %w", id, err)
	}
	return l, nil
}

// Position implements [engine.Journal].
func (r *Reader) Position(ctx context.Context, source string) (string, error) {
	var position string
	err := r.look(ctx, func(v *view) error {
		_, err := v.get(sqlPosition, []any{source}, &position)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("position of %q: %w", source, err)
	}
	return position, nil
}

// Known implements [engine.Journal].
func (r *Reader) Known(ctx context.Context, ids []string) (map[string]bool, error) {
	known := map[string]bool{}
	err := r.look(ctx, func(v *view) error {
		for _, id := range ids {
			var n int64
			ok, err := v.get(sqlFindEvent, []any{id}, &n)
			if err != nil {
				return err
			}
			if ok {
				known[id] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("known events: %w", err)
	}
	return known, nil
}

const sqlLatest = selectEvents + ` WHERE object = ?1 AND object <> '' AND tenant = ?2 AND ` + isVersion + ` ORDER BY n DESC LIMIT 1`

// Latest implements [engine.Journal].
func (r *Reader) Latest(ctx context.Context, tenant, object string) (engine.Event, error) {
	var ev engine.Event
	err := r.look(ctx, func(v *view) (err error) {
		ev, err = v.event(sqlLatest, object, tenant)
		return err
	})
	if err != nil {
		return engine.Event{}, fmt.Errorf("latest version of %q: %w", object, err)
	}
	return ev, nil
}

// The number is found first, so that no payload but the one wanted is read.
const sqlNewest = selectEvents + ` WHERE n = (SELECT n FROM events
	WHERE object = ?1 AND object <> '' AND tenant = ?2 AND source = ?3 AND started_by = '' ORDER BY occurred DESC, n DESC LIMIT 1)`

// Newest implements [engine.Journal].
func (r *Reader) Newest(ctx context.Context, tenant, object, source string) (engine.Event, error) {
	var ev engine.Event
	err := r.look(ctx, func(v *view) (err error) {
		ev, err = v.event(sqlNewest, object, tenant, source)
		return err
	})
	if err != nil {
		return engine.Event{}, fmt.Errorf("newest version of %q: %w", object, err)
	}
	return ev, nil
}

const sqlWrites = `SELECT w.tenant, w.playbook, r.id, w.path, w.at, w.object, w.fields, w.comment
	FROM writes w JOIN runs r ON r.n = w.run
	WHERE w.object = ?1 AND w.tenant = ?2 AND w.at >= ?3 ORDER BY w.at, w.n`

// Writes implements [engine.Journal].
func (r *Reader) Writes(ctx context.Context, tenant, object string, since time.Time) ([]engine.Write, error) {
	var writes []engine.Write
	err := r.look(ctx, func(v *view) (err error) {
		writes, err = collect(v, sqlWrites, []any{object, tenant, stamp(since)}, readWrite)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("writes to %q: %w", object, err)
	}
	return writes, nil
}

func readWrite(row scanner) (engine.Write, error) {
	var w engine.Write
	var at int64
	var fields []byte
	err := row.Scan(&w.Tenant, &w.Playbook, &w.Run, &w.Path, &at, &w.Object, &fields, &w.Comment)
	if err != nil {
		return w, err
	}
	w.At = moment(at)
	if err := json.Unmarshal(fields, &w.Fields); err != nil {
		return w, fmt.Errorf("%w: fields of a write of run %s: %w", ErrCorrupt, w.Run, err)
	}
	return w, nil
}
