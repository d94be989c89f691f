package store

import (
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/playbooks"
)

const (
	sqlDedupe    = `SELECT until, run FROM dedupe WHERE playbook = ?1 AND key = ?2 AND tenant = ?3`
	sqlSetDedupe = `INSERT INTO dedupe (playbook, key, tenant, until, run) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (playbook, key, tenant) DO UPDATE SET until = excluded.until, run = excluded.run`
)

// repeats tells which run a planned one would repeat, "" if none. Otherwise the key is taken for
// the planned run. The window starts with the run that takes the key and is not prolonged by
// those that it keeps from starting: a storm of alerts can't silence a playbook for ever.
func (t *tx) repeats(p engine.PlannedRun) (engine.RunID, error) {
	if p.DedupeKey == "" {
		return "", nil
	}
	r := p.Run
	var until int64
	var run string
	used, err := t.get(sqlDedupe, []any{r.Playbook, p.DedupeKey, r.Tenant}, &until, &run)
	if err != nil {
		return "", err
	}
	if used && stamp(r.Created) < until && !mutant.On(mutant.LostDuplicate) {
		return engine.RunID(run), nil
	}
	_, err = t.exec(sqlSetDedupe, r.Playbook, p.DedupeKey, r.Tenant, stamp(r.Created.Add(p.DedupeWindow)), string(r.ID))
	return "", err
}

// sqlCeiling finds the run before which so many were created; it looks no further.
const sqlCeiling = `SELECT 1 FROM runs
	WHERE object = ?1 AND object <> '' AND created > ?2 AND playbook = ?3 AND tenant = ?4 AND mode = ?5
	ORDER BY created DESC, n DESC LIMIT 1 OFFSET ?6`

// beyond says whether a planned run is beyond its ceiling.
func (t *tx) beyond(p engine.PlannedRun) (bool, error) {
	if p.Ceiling.Runs <= 0 {
		return false, nil
	}
	var found int
	return t.get(sqlCeiling, []any{p.Run.Object, stamp(p.Run.Created.Add(-p.Ceiling.Within)), p.Run.Playbook,
		p.Run.Tenant, string(playbooks.Live), p.Ceiling.Runs - 1}, &found)
}

const (
	sqlIsTaken = `SELECT 1 FROM runs
		WHERE playbook = ?1 AND concurrency = ?2 AND concurrency <> '' AND ended IS NULL LIMIT 1`
	sqlAddRun = `INSERT INTO runs (id, playbook, digest, semantics, event, tenant, object, title, mode,
			lists, concurrency, blocked, state, message, created, wake, ended, last)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)`
	sqlAddRunList = `INSERT INTO run_lists (run, name, digest) VALUES (?1, ?2, ?3)`
)

// start stores a new run with the beginning of its history.
func (ad *admission) start(event int64, p engine.PlannedRun) error {
	r := p.Run
	if err := ad.needDocument(r.Digest, "playbook"); err != nil {
		return err
	}
	for _, digest := range r.Lists {
		if err := ad.needDocument(digest, "watchlist"); err != nil {
			return err
		}
	}
	blocked := 0
	if r.Key != "" && !mutant.On(mutant.NoTurn) {
		if _, err := ad.get(sqlIsTaken, []any{r.Playbook, r.Key}, &blocked); err != nil {
			return err
		}
	}
	n, err := ad.insert(sqlAddRun, string(r.ID), r.Playbook, r.Digest, r.Semantics, event, r.Tenant, r.Object,
		r.Title, string(r.Mode), len(r.Lists), r.Key, blocked, string(r.State), r.Message,
		stamp(r.Created), optional(r.Wake), optional(r.Ended), len(p.Entries))
	if err != nil {
		return err
	}
	for name, digest := range r.Lists {
		if _, err := ad.exec(sqlAddRunList, n, name, digest); err != nil {
			return err
		}
	}
	ad.count(r.State, 1)
	if !r.State.Final() {
		ad.w.known.standing(r.ID, standing{n: n, state: r.State, playbook: r.Playbook, key: r.Key, last: len(p.Entries), bare: r.Message == "" && r.Wake.IsZero()})
	}
	return ad.addHistory(n, p.Entries, p.Writes)
}

// Inline is the size up to which a value is stored in its row. A larger one is a row of blobs, so
// that walking over rows does not mean walking over megabytes.
const Inline = 32 << 10

const sqlAddBlob = `INSERT INTO blobs (content) VALUES (?1)`

// value prepares a value for its two columns: the one for small and the one for large values.
func (t *tx) value(data []byte) (inline, blob any, err error) {
	switch {
	case len(data) == 0:
		return nil, nil, nil
	case len(data) <= Inline:
		return data, nil, nil
	}
	n, err := t.insert(sqlAddBlob, data)
	return nil, n, err
}
