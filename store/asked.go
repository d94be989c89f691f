package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/playbooks"
)

const (
	sqlOwnMark = `SELECT n FROM marks WHERE playbook = ?1 AND key = ?2 AND tenant = ?3 AND event = ?4`
	sqlSeen    = `SELECT 1 FROM marks
		WHERE playbook = ?1 AND key = ?2 AND tenant = ?3 AND at >= ?4 AND n < ?5 LIMIT 1`
	sqlMark = `INSERT INTO marks (playbook, key, tenant, event, at, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`
)

// lookup is what readers and the writer have in common.
type lookup interface {
	get(query string, args []any, dest ...any) (bool, error)
}

// seen says whether another event asked for the key before the event of the mark did. own is the event's own
// mark, 0 if it has none.
func seen(l lookup, m engine.Sighting) (yes bool, own int64, err error) {
	if _, err := l.get(sqlOwnMark, []any{m.Playbook, m.Key, m.Tenant, m.Event}, &own); err != nil {
		return false, 0, err
	}
	before := own
	if own == 0 {
		before = math.MaxInt64 // behind all of them
	}
	var one int
	yes, err = l.get(sqlSeen, []any{m.Playbook, m.Key, m.Tenant, stamp(m.At.Add(-m.Window)), before}, &one)
	return yes, own, err
}

// Seen implements [engine.Journal].
func (r *Reader) Seen(ctx context.Context, m engine.Sighting) (yes bool, err error) {
	err = r.look(ctx, func(v *view) (err error) {
		yes, _, err = seen(v, m)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("whether %s has seen %q: %w", m.Playbook, m.Key, err)
	}
	return yes, nil
}

// mark stores that a key was asked for, if the answer is still what it was.
func (t *tx) mark(m engine.Sighting) error {
	yes, own, err := seen(t, m)
	if err != nil {
		return err
	}
	if yes != m.Seen && !mutant.On(mutant.StaleAnswer) {
		return fmt.Errorf("key %q of %s: %w", m.Key, m.Playbook, engine.ErrMoved)
	}
	if own != 0 {
		return nil
	}
	_, err = t.exec(sqlMark, m.Playbook, m.Key, m.Tenant, m.Event, stamp(m.At), stamp(m.At.Add(m.Window)))
	return err
}

const (
	sqlState = `SELECT value FROM kept WHERE playbook = ?1 AND tenant = ?2 AND key = ?3 AND expires > ?4`
	sqlKeys  = `SELECT 1 FROM kept WHERE playbook = ?1 AND tenant = ?2 AND expires > ?3 LIMIT 1 OFFSET ?4`
	sqlKeep  = `INSERT INTO kept (playbook, tenant, key, value, expires) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (playbook, tenant, key) DO UPDATE SET value = excluded.value, expires = excluded.expires`
	sqlForget = `DELETE FROM kept WHERE playbook = ?1 AND tenant = ?2 AND key = ?3`
	// Two for each that is kept: so those that have expired never become many.
	sqlForgetOld = `DELETE FROM kept WHERE (playbook, tenant, key) IN (
		SELECT playbook, tenant, key FROM kept WHERE playbook = ?1 AND tenant = ?2 AND expires <= ?3 ORDER BY expires LIMIT 2)`
)

func value(l lookup, key engine.StateKey, now time.Time) (raw []byte, err error) {
	_, err = l.get(sqlState, []any{key.Playbook, key.Tenant, key.Key, stamp(now)}, &raw)
	return raw, err
}

// State implements [engine.Journal].
func (r *Reader) State(ctx context.Context, key engine.StateKey, now time.Time) (json.RawMessage, error) {
	var raw []byte
	err := r.look(ctx, func(v *view) (err error) {
		raw, err = value(v, key, now)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("state %q of %s: %w", key.Key, key.Playbook, err)
	}
	return raw, nil
}

// StateRoom implements [engine.Journal].
func (r *Reader) StateRoom(ctx context.Context, key engine.StateKey, now time.Time) (room bool, err error) {
	err = r.look(ctx, func(v *view) error {
		if raw, err := value(v, key, now); raw != nil || err != nil {
			room = raw != nil
			return err
		}
		var one int
		full, err := v.get(sqlKeys, []any{key.Playbook, key.Tenant, stamp(now), engine.MaxStateKeys - 1}, &one)
		room = !full
		return err
	})
	if err != nil {
		return false, fmt.Errorf("size of the state of %s: %w", key.Playbook, err)
	}
	return room, nil
}

// put stores a value of the state, if what it was worked out from is still there.
func (t *tx) put(p engine.Put) error {
	key := engine.StateKey{Tenant: p.Tenant, Playbook: p.Playbook, Key: p.Key}
	if p.Read && !mutant.On(mutant.StaleAnswer) {
		was, err := value(t, key, p.At)
		if err != nil {
			return err
		}
		if !bytes.Equal(was, p.Was) {
			return fmt.Errorf("state %q of %s: %w", p.Key, p.Playbook, engine.ErrMoved)
		}
	}
	if _, err := t.exec(sqlForgetOld, p.Playbook, p.Tenant, stamp(p.At)); err != nil {
		return err
	}
	if p.Value == nil {
		_, err := t.exec(sqlForget, p.Playbook, p.Tenant, p.Key)
		return err
	}
	_, err := t.exec(sqlKeep, p.Playbook, p.Tenant, p.Key, []byte(p.Value), stamp(p.Expires))
	return err
}

// leave stores what a decision leaves behind.
func (t *tx) leave(l engine.Left) error {
	for _, m := range l.Sightings {
		if err := t.mark(m); err != nil {
			return err
		}
	}
	for _, p := range l.Puts {
		if err := t.put(p); err != nil {
			return err
		}
	}
	return t.assign(l.Loads)
}

const (
	sqlAddTrait = `INSERT INTO traits (trait, object, seen) VALUES (?1, ?2, ?3)
		ON CONFLICT (trait, object) DO UPDATE SET seen = excluded.seen WHERE excluded.seen < traits.seen`
	sqlAssign = `INSERT INTO loads (tenant, object, who, at) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (tenant, object) DO UPDATE SET who = excluded.who, at = excluded.at`
	sqlUnassign = `DELETE FROM loads WHERE tenant = ?1 AND object = ?2`
	sqlNoLoads  = `DELETE FROM loads`
	sqlLoads    = `SELECT who, count(*) FROM loads
		WHERE tenant = ?1 AND who IN (SELECT d.value FROM json_each(?2) d) GROUP BY who`
	sqlIndexed   = `SELECT s.kind, s.field FROM indexed s ORDER BY s.kind, s.field`
	sqlNoIndexed = `DELETE FROM indexed`
	sqlAddField  = `INSERT INTO indexed (kind, field) VALUES (?1, ?2)`
	sqlStored    = selectEvents + ` WHERE n < coalesce((SELECT e.n FROM events e WHERE e.id = ?1), 9223372036854775807) ORDER BY n DESC LIMIT ?2`
)

// traitOf is a trait as it is stored.
func traitOf(tenant, kind, field, value string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q%q%q%q", tenant, kind, field, value))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// index adds an event to the index.
func (t *tx) index(x engine.IndexedEvent) error {
	for _, trait := range x.Traits {
		if _, err := t.exec(sqlAddTrait, traitOf(x.Tenant, trait.Kind, trait.Field, trait.Value), x.Object, stamp(x.Seen)); err != nil {
			return err
		}
	}
	return t.assign(x.Loads)
}

func (t *tx) assign(loads []engine.Load) error {
	for _, l := range loads {
		var err error
		if l.Who == "" {
			_, err = t.exec(sqlUnassign, l.Tenant, l.Object)
		} else {
			_, err = t.exec(sqlAssign, l.Tenant, l.Object, l.Who, stamp(l.At))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Index implements [engine.Journal].
func (db *DB) Index(ctx context.Context, x engine.Indexed) error {
	err := db.writer.write(ctx, func(t *tx) error {
		if x.Anew {
			if _, err := t.exec(sqlNoLoads); err != nil {
				return err
			}
		}
		for _, ev := range x.Events {
			if err := t.index(ev); err != nil {
				return err
			}
		}
		if x.Fields == nil {
			return nil
		}
		if _, err := t.exec(sqlNoIndexed); err != nil {
			return err
		}
		for _, f := range x.Fields {
			if _, err := t.exec(sqlAddField, f.Kind, f.Field); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return nil
}

// Indexed implements [engine.Journal].
func (r *Reader) Indexed(ctx context.Context) ([]playbooks.HistoryField, error) {
	var list []playbooks.HistoryField
	err := r.look(ctx, func(v *view) (err error) {
		list, err = collect(v, sqlIndexed, nil, func(row scanner) (f playbooks.HistoryField, err error) {
			return f, row.Scan(&f.Kind, &f.Field)
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("indexed fields: %w", err)
	}
	return list, nil
}

// Stored implements [engine.Journal].
func (r *Reader) Stored(ctx context.Context, before string, limit int) (events []engine.Event, err error) {
	err = r.look(ctx, func(v *view) (err error) {
		events, err = v.events(sqlStored, before, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("stored events: %w", err)
	}
	return events, nil
}

// Loads implements [engine.Journal].
func (r *Reader) Loads(ctx context.Context, tenant string, people []string) (map[string]int, error) {
	names, err := json.Marshal(people)
	if err != nil {
		return nil, err
	}
	type load struct {
		who string
		n   int
	}
	loads := map[string]int{}
	err = r.look(ctx, func(v *view) error {
		rows, err := collect(v, sqlLoads, []any{tenant, string(names)}, func(row scanner) (l load, err error) {
			return l, row.Scan(&l.who, &l.n)
		})
		for _, l := range rows {
			loads[l.who] = l.n
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("loads: %w", err)
	}
	return loads, nil
}

const (
	sqlHaving = `SELECT object, seen FROM traits WHERE trait = ?1 AND seen BETWEEN ?2 AND ?3 ORDER BY seen DESC, object LIMIT ?4`
	sqlHas    = `SELECT seen FROM traits WHERE trait = ?1 AND object = ?2`
)

// having is an object that has a value, since when it was first seen.
type having struct {
	object string
	seen   int64
}

// History implements [engine.Journal]. It walks over the objects that have one of the values of the first field,
// the newest first, and looks each of them up under the other values and fields.
func (r *Reader) History(ctx context.Context, q engine.HistoryQuery) ([]string, error) {
	if len(q.Where) == 0 {
		return nil, nil
	}
	var objects []string
	err := r.look(ctx, func(v *view) error {
		candidates, err := v.having(q)
		if err != nil {
			return err
		}
		for _, object := range candidates {
			if len(objects) == q.Limit {
				break
			}
			fits, err := v.fits(q, object)
			if err != nil {
				return err
			}
			if fits {
				objects = append(objects, object)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return objects, nil
}

// having finds the objects that got one of the values of the first field within the time, the newest first.
func (v *view) having(q engine.HistoryQuery) ([]string, error) {
	scan := engine.MaxHistoryScan
	if len(q.Where) == 1 && len(q.Where[0].Values) == 1 { // then all that are found count,
		scan = q.Limit + 1 // but for the one that does not
	}
	var found []having
	for _, value := range q.Where[0].Values {
		some, err := collect(v, sqlHaving, []any{traitOf(q.Tenant, q.Kind, q.Where[0].Field, value), stamp(q.From), stamp(q.To), scan},
			func(row scanner) (h having, err error) { return h, row.Scan(&h.object, &h.seen) })
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(a, b having) int { return cmp.Or(cmp.Compare(b.seen, a.seen), cmp.Compare(a.object, b.object)) })
	met := map[string]bool{q.Except: true}
	var objects []string
	for _, h := range found {
		if !met[h.object] && len(objects) < engine.MaxHistoryScan {
			objects = append(objects, h.object)
		}
		met[h.object] = true
	}
	return objects, nil
}

// fits says whether an object did not have one of the values of the first field before the time already, and has
// one of the values in each of the others.
func (v *view) fits(q engine.HistoryQuery, object string) (bool, error) {
	if len(q.Where[0].Values) > 1 {
		first, has, err := v.firstSeen(q, q.Where[0], object)
		if err != nil || !has || first < stamp(q.From) {
			return false, err
		}
	}
	for _, term := range q.Where[1:] {
		if _, has, err := v.firstSeen(q, term, object); err != nil || !has {
			return false, err
		}
	}
	return true, nil
}

// firstSeen tells when an object was first seen with one of the values of a field.
func (v *view) firstSeen(q engine.HistoryQuery, term engine.HistoryTerm, object string) (first int64, has bool, err error) {
	for _, value := range term.Values {
		var seen int64
		found, err := v.get(sqlHas, []any{traitOf(q.Tenant, q.Kind, term.Field, value), object}, &seen)
		if err != nil {
			return 0, false, err
		}
		if found && (!has || seen < first) {
			first, has = seen, true
		}
	}
	return first, has, nil
}
