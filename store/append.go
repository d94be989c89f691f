package store

import (
	"context"
	"fmt"

	"github.com/playbookd/playbookd/engine"
)

// Append implements [engine.Journal]. A run that is over takes no more: that is also
// [engine.ErrOutOfOrder].
func (db *DB) Append(ctx context.Context, a engine.Append) error {
	err := checkState(a.State, a.Wake, a.Ended)
	if err == nil {
		err = checkWrites(a.Writes, a.Run)
	}
	if err == nil {
		err = db.writer.write(ctx, func(t *tx) error { return t.append(a) })
	}
	if err != nil {
		return fmt.Errorf("append to run %s: %w", a.Run, err)
	}
	return nil
}

const (
	sqlStands = `SELECT n, state, playbook, concurrency, last FROM runs WHERE id = ?1`
	sqlStand  = `UPDATE runs SET state = ?2, message = ?3, wake = ?4, ended = ?5, last = ?6 WHERE n = ?1`
	// The oldest of those that wait for their turn goes on. If the run that ended was not at the
	// head, the head is told what it knows already.
	sqlNextTurn = `UPDATE runs SET blocked = 0 WHERE n = (
		SELECT min(n) FROM runs
		WHERE playbook = ?1 AND concurrency = ?2 AND concurrency <> '' AND ended IS NULL)`
)

func (t *tx) append(a engine.Append) error {
	var n int64
	var state, playbook, key string
	var last int
	ok, err := t.get(sqlStands, []any{string(a.Run)}, &n, &state, &playbook, &key, &last)
	switch {
	case err != nil:
		return err
	case !ok:
		return engine.ErrNotFound
	case engine.RunState(state).Final():
		return fmt.Errorf("it is over (%s): %w", state, engine.ErrOutOfOrder)
	}
	if err := checkEntries(a.Entries, last); err != nil {
		return err
	}
	if err := t.addHistory(n, a.Entries, a.Writes); err != nil {
		return err
	}
	_, err = t.exec(sqlStand, n, string(a.State), a.Message, optional(a.Wake), optional(a.Ended), last+len(a.Entries))
	if err == nil && a.State.Final() && key != "" {
		_, err = t.exec(sqlNextTurn, playbook, key)
	}
	return err
}
