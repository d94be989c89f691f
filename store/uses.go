package store

import (
	"context"
	"fmt"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

const (
	sqlAddUse = `INSERT INTO uses (tenant, playbook, action, mode, run, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`
	sqlUses   = `SELECT count(*) FROM uses WHERE playbook = ?1 AND action = ?2 AND tenant = ?3 AND mode = ?4 AND at > ?5`
)

func (t *tx) addUse(u engine.Use) error {
	_, err := t.exec(sqlAddUse, u.Tenant, u.Playbook, u.Action, string(u.Mode), string(u.Run), stamp(u.At))
	return err
}

func usesLike(u engine.Use, after time.Time) []any {
	return []any{u.Playbook, u.Action, u.Tenant, string(u.Mode), stamp(after)}
}

// beyondLimit says whether a planned run is beyond the limit of its playbook.
func (t *tx) beyondLimit(p engine.PlannedRun) (bool, error) {
	use, counted := p.Start()
	if !counted {
		return false, nil
	}
	var n int
	_, err := t.get(sqlUses, usesLike(use, p.Run.Created.Add(-p.Limit.Within)), &n)
	return n >= p.Limit.Most, err
}

// Uses implements [engine.Journal].
func (r *Reader) Uses(ctx context.Context, like engine.Use, after time.Time) (int, error) {
	var n int
	err := r.look(ctx, func(v *view) error {
		_, err := v.get(sqlUses, usesLike(like, after), &n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("uses of %s: %w", like.Playbook, err)
	}
	return n, nil
}

// End implements [engine.Journal].
func (db *DB) End(ctx context.Context, a engine.Append, following engine.Admission) (engine.Receipt, error) {
	err := checkAppend(a)
	if err == nil {
		err = checkAdmission(following)
	}
	var receipt engine.Receipt
	if err == nil {
		err = db.writer.write(ctx, func(t *tx) error {
			if err := t.append(a); err != nil {
				return err
			}
			ad := admission{tx: t}
			err := ad.store(following)
			receipt = ad.receipt
			return err
		})
	}
	if err != nil {
		return engine.Receipt{}, fmt.Errorf("end of run %s: %w", a.Run, err)
	}
	return receipt, nil
}

const sqlDropUses = `DELETE FROM uses WHERE n IN (SELECT n FROM uses WHERE at < ?1 ORDER BY at LIMIT ?2)`

// uses deletes what no limit can count any more.
func (p *pruning) uses(ctx context.Context) error {
	before := stamp(p.moment.Add(-playbooks.MaxRateWindow))
	return p.drop(ctx, sqlDropUses, before, &p.done.Uses)
}
