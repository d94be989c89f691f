package store

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Queue is what waits for the engine.
type Queue struct {
	Ready   int       // runs that have something to do, those under way included
	Blocked int       // runs behind an older one with the same concurrency key
	Oldest  time.Time // when the oldest of Ready was created; zero: there is none
}

const (
	sqlReadyRuns   = `SELECT count(*) FROM runs WHERE state = 'ready' AND blocked = ?1`
	sqlWaitingRuns = `SELECT count(*) FROM runs WHERE state = 'waiting' AND blocked = ?1`
	sqlOldest      = `SELECT created FROM runs WHERE state = 'ready' AND blocked = 0 ORDER BY n LIMIT 1`
)

// Queue returns what waits for the engine. It counts entries of an index, not runs.
func (r *Reader) Queue(ctx context.Context) (Queue, error) {
	var q Queue
	err := r.look(ctx, func(v *view) error {
		var behind int
		for _, c := range []struct {
			query   string
			blocked int
			n       *int
		}{{sqlReadyRuns, 0, &q.Ready}, {sqlReadyRuns, 1, &q.Blocked}, {sqlWaitingRuns, 1, &behind}} {
			if _, err := v.get(c.query, []any{c.blocked}, c.n); err != nil {
				return err
			}
		}
		q.Blocked += behind
		var created int64
		ok, err := v.get(sqlOldest, nil, &created)
		if ok {
			q.Oldest = moment(created)
		}
		return err
	})
	if err != nil {
		return Queue{}, fmt.Errorf("queue: %w", err)
	}
	return q, nil
}

// Sizes returns how large the database and its write-ahead log are on disk, in bytes.
func (db *DB) Sizes() (database, log int64) {
	return sizeOf(db.path), sizeOf(db.path + "-wal")
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0 // there is no log between a checkpoint and the next write
	}
	return info.Size()
}
