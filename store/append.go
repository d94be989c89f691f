package store

import (
	"context"
	"fmt"

	"github.com/playbookd/playbookd/engine"
)

// Append implements [engine.Journal]. A run that is over takes no more: that is also
// [engine.ErrOutOfOrder].
func (db *DB) Append(ctx context.Context, a engine.Append) error {
	err := checkAppend(a)
	if err == nil {
		err = db.writer.write(ctx, func(t *tx) error { return t.append(a) })
	}
	if err != nil {
		return fmt.Errorf("append to run %s: %w", a.Run, err)
	}
	return nil
}

func checkAppend(a engine.Append) error {
	if err := a.State.Check(a.Wake, a.Ended); err != nil {
		return err
	}
	return checkWrites(a.Writes, a.Run)
}

const (
	sqlStands = `SELECT n, state, playbook, concurrency, last, message = '' AND wake IS NULL FROM runs WHERE id = ?1`
	sqlStand  = `UPDATE runs SET state = ?2, message = ?3, wake = ?4, ended = ?5, last = ?6 WHERE n = ?1`
	// Of a run that only goes on nothing changes that is in an index.
	sqlGoOn = `UPDATE runs SET last = ?2 WHERE n = ?1`
	// The oldest of those that wait for their turn goes on. If the run that ended was not at the
	// head, the head is told what it knows already.
	sqlNextTurn = `UPDATE runs SET blocked = 0 WHERE n = (
		SELECT min(n) FROM runs
		WHERE playbook = ?1 AND concurrency = ?2 AND concurrency <> '' AND ended IS NULL)`
)

func (t *tx) append(a engine.Append) error {
	r, err := t.standing(a.Run)
	if err != nil {
		return err
	}
	if r.state.Final() {
		return fmt.Errorf("it is over (%s): %w", r.state, engine.ErrOutOfOrder)
	}
	if err := checkEntries(a.Entries, r.last); err != nil {
		return err
	}
	if err := t.leave(a.Left); err != nil {
		return err
	}
	if err := t.addHistory(r.n, a.Entries, a.Writes); err != nil {
		return err
	}
	for _, u := range a.Uses {
		if err := t.addUse(u); err != nil {
			return err
		}
	}
	last, bare := r.last+len(a.Entries), a.Message == "" && a.Wake.IsZero()
	if a.State == r.state && bare && r.bare {
		_, err = t.exec(sqlGoOn, r.n, last)
	} else {
		_, err = t.exec(sqlStand, r.n, string(a.State), a.Message, optional(a.Wake), optional(a.Ended), last)
	}
	if err != nil {
		return err
	}
	t.count(r.state, -1)
	t.count(a.State, 1)
	if !a.State.Final() {
		r.state, r.last, r.bare = a.State, last, bare
		t.w.known.standing(a.Run, r)
		return nil
	}
	delete(t.w.known.runs, a.Run)
	if r.key != "" {
		_, err = t.exec(sqlNextTurn, r.playbook, r.key)
	}
	return err
}

// standing tells where a run stands.
func (t *tx) standing(id engine.RunID) (standing, error) {
	if r, ok := t.w.known.runs[id]; ok {
		return r, nil
	}
	var r standing
	ok, err := t.get(sqlStands, []any{string(id)}, &r.n, &r.state, &r.playbook, &r.key, &r.last, &r.bare)
	if err == nil && !ok {
		err = engine.ErrNotFound
	}
	return r, err
}
