package store

import (
	"context"
	"fmt"
	"time"
)

// PruneBatch is how many runs or events one transaction of Prune deletes: so few that the engine's
// writes, which come in between, don't notice.
const PruneBatch = 100

// ObjectMemory is how much longer than others the latest event of an object is kept. While it
// is there, an old alert that somebody touches is an update and not a new alert, its changes are
// told from our own, and the same version can't be admitted twice. It is longer than Graph keeps
// alerts.
const ObjectMemory = 365 * 24 * time.Hour

// Pruned tells what Prune has deleted.
type Pruned struct {
	Runs, Events, Dedupe, Uses, Documents, Sets, Clocks int
}

// Prune deletes runs that ended before a time, events that were seen before it and have no runs
// any more, at most limit of each, and of everything else all that has had its time or that nothing
// refers to then; in small transactions. Call it again while it deletes runs or events.
//
// It keeps everything that belongs to a run that is not over; the latest version of each object, and the
// newest that each source brought by itself, for [ObjectMemory] longer, and clocks as long as any of their object; dedupe keys
// until their window is over, and what limits count for as long as any may; documents that were handed
// over since the database was opened. Keep at least as much as the sources look back, or events
// that have no object are taken for new.
func (db *DB) Prune(ctx context.Context, before time.Time, limit int) (Pruned, error) {
	p := pruning{db: db, moment: before, before: stamp(before), forget: stamp(before.Add(-ObjectMemory))}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return p.runs(ctx, limit) },
		func(ctx context.Context) error { return p.events(ctx, limit) },
		p.dedupe, p.uses, p.clocks, p.asked, p.rest,
	} {
		if err := step(ctx); err != nil {
			return p.done, fmt.Errorf("prune: %w", err)
		}
	}
	return p.done, nil
}

// pruning is one call of Prune.
type pruning struct {
	db             *DB
	moment         time.Time
	before, forget int64
	done           Pruned
}

const (
	sqlOldRuns      = `SELECT n, state FROM runs WHERE ended < ?1 ORDER BY ended, n LIMIT ?2`
	sqlBlobsOfRun   = `SELECT data_blob FROM history WHERE run = ?1 AND data_blob IS NOT NULL`
	sqlDropHistory  = `DELETE FROM history WHERE run = ?1`
	sqlDropWrites   = `DELETE FROM writes WHERE run = ?1`
	sqlDropRunLists = `DELETE FROM run_lists WHERE run = ?1`
	sqlDropRun      = `DELETE FROM runs WHERE n = ?1`
	sqlDropBlob     = `DELETE FROM blobs WHERE n = ?1`
	sqlBlobsOfEvent = `SELECT payload_blob, inputs_blob FROM events WHERE n = ?1`
	sqlDropMatches  = `DELETE FROM matches WHERE event = ?1`
	sqlDropEvent    = `DELETE FROM events WHERE n = ?1`
	sqlDropDedupe   = `DELETE FROM dedupe WHERE n IN (SELECT n FROM dedupe WHERE until < ?1 ORDER BY until LIMIT ?2)`
	sqlOldEvents    = `SELECT seen, n FROM events
		WHERE seen < ?1 AND (seen, n) > (?2, ?3)
			AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.event = events.n)
			AND (object = '' OR seen < ?4 OR NOT ` + isVersion + ` OR EXISTS (
				SELECT 1 FROM events later WHERE later.object = events.object AND later.object <> ''
					AND later.tenant = events.tenant AND later.n > events.n AND later.` + isVersion + `)
				AND (started_by <> '' OR EXISTS (SELECT 1 FROM events newer WHERE newer.object = events.object AND newer.object <> ''
					AND newer.tenant = events.tenant AND newer.source = events.source AND newer.started_by = ''
					AND (newer.occurred, newer.n) > (events.occurred, events.n))))
		ORDER BY seen, n LIMIT ?5`
)

func (p *pruning) runs(ctx context.Context, limit int) error {
	for left := limit; left > 0; {
		batch := min(left, PruneBatch)
		dropped := 0
		err := p.db.writer.write(ctx, func(t *tx) error {
			old, err := rowsOf(ctx, t.direct, sqlOldRuns, []any{p.before, batch}, func(row scanner) (r standing, err error) {
				return r, row.Scan(&r.n, &r.state)
			})
			dropped = len(old)
			for _, r := range old {
				if err == nil {
					err = t.dropRun(r.n)
					t.count(r.state, -1)
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		p.done.Runs += dropped
		if dropped < batch {
			return nil
		}
		left -= dropped
	}
	return nil
}

func (t *tx) dropRun(n int64) error {
	blobs, err := t.numbers(sqlBlobsOfRun, n)
	if err != nil {
		return err
	}
	for _, query := range []string{sqlDropHistory, sqlDropWrites, sqlDropRunLists, sqlDropRun} {
		if _, err := t.exec(query, n); err != nil {
			return err
		}
	}
	return t.dropBlobs(blobs)
}

func (t *tx) dropBlobs(blobs []int64) error {
	for _, n := range blobs {
		if _, err := t.exec(sqlDropBlob, n); err != nil {
			return err
		}
	}
	return nil
}

// place is where an event stands in the order in which Prune walks.
type place struct{ seen, n int64 }

// events looks for events with a reader, since those that stay are many, and has the writer only
// delete. An event that could go can't be needed again in between: runs begin with their event.
func (p *pruning) events(ctx context.Context, limit int) error {
	at := place{seen: always}
	for left := limit; left > 0; {
		batch := min(left, PruneBatch)
		var found []place
		err := p.db.look(ctx, func(v *view) (err error) {
			found, err = collect(v, sqlOldEvents, []any{p.before, at.seen, at.n, p.forget, batch},
				func(row scanner) (e place, err error) { return e, row.Scan(&e.seen, &e.n) })
			return err
		})
		if err != nil || len(found) == 0 {
			return err
		}
		err = p.db.writer.write(ctx, func(t *tx) error {
			for _, e := range found {
				if err := t.dropEvent(e.n); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		p.done.Events += len(found)
		left -= len(found)
		at = found[len(found)-1]
	}
	return nil
}

func (t *tx) dropEvent(n int64) error {
	var payload, inputs *int64
	if _, err := t.get(sqlBlobsOfEvent, []any{n}, &payload, &inputs); err != nil {
		return err
	}
	for _, query := range []string{sqlDropMatches, sqlDropEvent} {
		if _, err := t.exec(query, n); err != nil {
			return err
		}
	}
	var blobs []int64
	for _, blob := range []*int64{payload, inputs} {
		if blob != nil {
			blobs = append(blobs, *blob)
		}
	}
	return t.dropBlobs(blobs)
}

func (p *pruning) dedupe(ctx context.Context) error {
	return p.drop(ctx, sqlDropDedupe, p.before, &p.done.Dedupe)
}

// drop deletes all that a query finds that takes a moment and how much to delete at a time. There is no
// limit: of these rows an event may leave many behind, and what one call left would never be caught up with.
func (p *pruning) drop(ctx context.Context, query string, before int64, done *int) error {
	for {
		var dropped int64
		err := p.db.writer.write(ctx, func(t *tx) error {
			res, err := t.exec(query, before, PruneBatch)
			if err == nil {
				dropped, err = res.RowsAffected()
			}
			return err
		})
		if err != nil {
			return err
		}
		*done += int(dropped)
		if dropped < PruneBatch {
			return nil
		}
	}
}

// What was left behind for later questions, with the time before which it goes. A value of the state that has
// expired, and a mark whose window is over, answer nothing any more.
const (
	sqlDropMarks = `DELETE FROM marks WHERE n IN (SELECT n FROM marks WHERE until < ?1 ORDER BY until LIMIT ?2)`
	sqlDropKept  = `DELETE FROM kept WHERE (playbook, tenant, key) IN (
		SELECT playbook, tenant, key FROM kept WHERE expires < ?1 ORDER BY expires LIMIT ?2)`
	sqlDropTraits = `DELETE FROM traits WHERE (trait, object) IN (SELECT trait, object FROM traits WHERE seen < ?1 ORDER BY seen LIMIT ?2)`
	sqlDropLoads  = `DELETE FROM loads WHERE (tenant, object) IN (SELECT tenant, object FROM loads WHERE at < ?1 ORDER BY at LIMIT ?2)`
)

// asked deletes what nobody can ask for any more, and what history() counts with the events that it counts.
func (p *pruning) asked(ctx context.Context) error {
	for _, old := range []struct {
		query  string
		before int64
	}{{sqlDropMarks, p.before}, {sqlDropKept, p.before}, {sqlDropTraits, p.before}, {sqlDropLoads, p.forget}} {
		if err := p.drop(ctx, old.query, old.before, new(int)); err != nil {
			return err
		}
	}
	return nil
}

const (
	sqlUnusedSets = `SELECT n FROM sets WHERE n < (SELECT max(n) FROM sets)
		AND NOT EXISTS (SELECT 1 FROM events e WHERE e.set_n = sets.n) LIMIT ?1`
	sqlDropSet         = `DELETE FROM sets WHERE n = ?1`
	sqlUnusedDocuments = `SELECT n, digest FROM documents d
		WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.digest = d.digest)
			AND NOT EXISTS (SELECT 1 FROM run_lists l WHERE l.digest = d.digest)`
	sqlDropDocument = `DELETE FROM documents WHERE n = ?1`
)

// rest deletes sets and documents that nothing refers to. They are few: one for each edit of a
// playbook or list.
func (p *pruning) rest(ctx context.Context) error {
	var sets, documents []int64
	err := p.db.writer.write(ctx, func(t *tx) (err error) {
		t.w.known.forget() // SQLite gives the numbers to others
		if sets, err = t.numbers(sqlUnusedSets, PruneBatch); err != nil {
			return err
		}
		if documents, err = t.unusedDocuments(); err != nil {
			return err
		}
		for _, n := range sets {
			if _, err := t.exec(sqlDropSet, n); err != nil {
				return err
			}
		}
		for _, n := range documents {
			if _, err := t.exec(sqlDropDocument, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.done.Sets += len(sets)
	p.done.Documents += len(documents)
	return nil
}

// unusedDocuments finds documents that no run needs and that nobody counts on.
func (t *tx) unusedDocuments() (list []int64, err error) {
	err = t.query(context.Background(), sqlUnusedDocuments, nil, func(r row) error {
		var n int64
		var digest string
		err := r.Scan(&n, &digest)
		if err == nil && !t.w.known.handed[digest] {
			list = append(list, n)
		}
		return err
	})
	return list, err
}

func readNumber(row scanner) (n int64, err error) { return n, row.Scan(&n) }

// numbers reads a column of row numbers.
func (t *tx) numbers(query string, args ...any) ([]int64, error) {
	return rowsOf(context.Background(), t.direct, query, args, readNumber)
}
