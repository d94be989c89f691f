package memory

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// left is what decisions left behind for later ones, and the index of events.
type left struct {
	marks   []engine.Sighting // in the order in which they were made
	kept    map[engine.StateKey]kept
	traits  map[traitKey]map[string]time.Time // object → when it was first seen with the trait
	loads   map[object]string                 // who has it
	indexed []playbooks.HistoryField
}

type kept struct {
	value   json.RawMessage
	expires time.Time
}

type traitKey struct {
	tenant string
	engine.Trait
}

func newLeft() left {
	return left{kept: map[engine.StateKey]kept{}, traits: map[traitKey]map[string]time.Time{}, loads: map[object]string{}}
}

// Seen implements [engine.Journal].
func (j *Journal) Seen(ctx context.Context, m engine.Sighting) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.left.seen(m), nil
}

func (l *left) seen(m engine.Sighting) bool {
	for _, o := range l.marks {
		if o.Tenant != m.Tenant || o.Playbook != m.Playbook || o.Key != m.Key {
			continue
		}
		if o.Event == m.Event {
			return false // what comes now was asked after this event
		}
		if !o.At.Before(m.At.Add(-m.Window)) {
			return true
		}
	}
	return false
}

// mark adds what was asked, if it would still be answered so.
func (l *left) mark(u *undo, m engine.Sighting) error {
	if l.seen(m) != m.Seen {
		return fmt.Errorf("key %q of %s: %w", m.Key, m.Playbook, engine.ErrMoved)
	}
	known := func(o engine.Sighting) bool {
		return o.Tenant == m.Tenant && o.Playbook == m.Playbook && o.Key == m.Key && o.Event == m.Event
	}
	if !slices.ContainsFunc(l.marks, known) {
		add(u, &l.marks, m)
	}
	return nil
}

// State implements [engine.Journal].
func (j *Journal) State(ctx context.Context, key engine.StateKey, now time.Time) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return copyBytes(j.state.left.value(key, now)), nil
}

func (l *left) value(key engine.StateKey, now time.Time) json.RawMessage {
	if k, ok := l.kept[key]; ok && now.Before(k.expires) {
		return k.value
	}
	return nil
}

// StateRoom implements [engine.Journal].
func (j *Journal) StateRoom(ctx context.Context, key engine.StateKey, now time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for k, v := range j.state.left.kept {
		if k.Tenant == key.Tenant && k.Playbook == key.Playbook && k != key && now.Before(v.expires) {
			n++
		}
	}
	return n < engine.MaxStateKeys || j.state.left.value(key, now) != nil, nil
}

func (l *left) put(u *undo, p engine.Put) error {
	key := engine.StateKey{Tenant: p.Tenant, Playbook: p.Playbook, Key: p.Key}
	if p.Read && !bytes.Equal(l.value(key, p.At), p.Was) {
		return fmt.Errorf("state %q of %s: %w", p.Key, p.Playbook, engine.ErrMoved)
	}
	if p.Value == nil {
		drop(u, l.kept, key)
		return nil
	}
	put(u, l.kept, key, kept{value: copyBytes(p.Value), expires: plain(p.Expires)})
	return nil
}

// take stores what a decision leaves behind.
func (l *left) take(u *undo, more engine.Left) error {
	for _, m := range more.Sightings {
		if err := l.mark(u, m); err != nil {
			return err
		}
	}
	for _, p := range more.Puts {
		if err := l.put(u, p); err != nil {
			return err
		}
	}
	l.assign(u, more.Loads)
	return nil
}

func (l *left) assign(u *undo, loads []engine.Load) {
	for _, load := range loads {
		at := object{load.Tenant, load.Object}
		if load.Who == "" {
			drop(u, l.loads, at)
		} else {
			put(u, l.loads, at, load.Who)
		}
	}
}

// index adds an event to the index.
func (l *left) index(u *undo, x engine.IndexedEvent) {
	for _, t := range x.Traits {
		key := traitKey{x.Tenant, t}
		objects := l.traits[key]
		if objects == nil {
			objects = map[string]time.Time{}
			l.traits[key] = objects
		}
		if at, known := objects[x.Object]; !known || x.Seen.Before(at) {
			put(u, objects, x.Object, plain(x.Seen))
		}
	}
	l.assign(u, x.Loads)
}

// History implements [engine.Journal].
func (j *Journal) History(ctx context.Context, q engine.HistoryQuery) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	l := &j.state.left
	type found struct {
		object string
		at     time.Time
	}
	var list []found
	for i, term := range q.Where {
		has := map[string]time.Time{} // the objects of the term
		for _, v := range term.Values {
			for name, at := range l.traits[traitKey{q.Tenant, engine.Trait{Kind: q.Kind, Field: term.Field, Value: v}}] {
				if old, ok := has[name]; !ok || at.Before(old) {
					has[name] = at
				}
			}
		}
		if i > 0 {
			list = slices.DeleteFunc(list, func(f found) bool { _, ok := has[f.object]; return !ok })
			continue
		}
		for name, at := range has {
			if name != q.Except && !at.Before(q.From) && !at.After(q.To) {
				list = append(list, found{name, at})
			}
		}
	}
	slices.SortFunc(list, func(a, b found) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.object, b.object)) })
	var names []string
	for _, f := range list[:min(len(list), q.Limit)] {
		names = append(names, f.object)
	}
	return names, nil
}

// Loads implements [engine.Journal].
func (j *Journal) Loads(ctx context.Context, tenant string, people []string) (map[string]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n := map[string]int{}
	for o, who := range j.state.left.loads {
		if o.tenant == tenant && slices.Contains(people, who) {
			n[who]++
		}
	}
	return n, nil
}

// Indexed implements [engine.Journal].
func (j *Journal) Indexed(ctx context.Context) ([]playbooks.HistoryField, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.state.left.indexed), nil
}

// Index implements [engine.Journal].
func (j *Journal) Index(ctx context.Context, x engine.Indexed) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if x.Anew {
		clear(j.state.left.loads)
	}
	for _, ev := range x.Events {
		j.state.left.index(new(undo), ev) // nothing of it can fail
	}
	if x.Fields != nil {
		j.state.left.indexed = slices.Clone(x.Fields)
	}
	return nil
}

// Stored implements [engine.Journal].
func (j *Journal) Stored(ctx context.Context, before string, limit int) ([]engine.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n, known := j.state.byEvent[before]
	if !known {
		n = len(j.state.events)
	}
	var list []engine.Event
	for n > 0 && len(list) < limit {
		n--
		list = append(list, copyEvent(j.state.events[n].Event))
	}
	return list, nil
}
