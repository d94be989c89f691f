package memory

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
func (l *left) mark(m engine.Sighting) error {
	if l.seen(m) != m.Seen {
		return fmt.Errorf("key %q of %s: %w", m.Key, m.Playbook, engine.ErrMoved)
	}
	known := func(o engine.Sighting) bool {
		return o.Tenant == m.Tenant && o.Playbook == m.Playbook && o.Key == m.Key && o.Event == m.Event
	}
	if !slices.ContainsFunc(l.marks, known) {
		l.marks = append(l.marks, m)
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

func (l *left) put(p engine.Put) error {
	key := engine.StateKey{Tenant: p.Tenant, Playbook: p.Playbook, Key: p.Key}
	if p.Read && !bytes.Equal(l.value(key, p.At), p.Was) {
		return fmt.Errorf("state %q of %s: %w", p.Key, p.Playbook, engine.ErrMoved)
	}
	if p.Value == nil {
		delete(l.kept, key)
		return nil
	}
	l.kept[key] = kept{value: copyBytes(p.Value), expires: plain(p.Expires)}
	return nil
}

// take stores what a decision leaves behind, all of it or nothing.
func (l *left) take(more engine.Left) error {
	if len(more.Sightings)+len(more.Puts)+len(more.Loads) == 0 {
		return nil
	}
	next := *l
	next.marks, next.kept, next.loads = slices.Clone(l.marks), maps.Clone(l.kept), maps.Clone(l.loads)
	for _, m := range more.Sightings {
		if err := next.mark(m); err != nil {
			return err
		}
	}
	for _, p := range more.Puts {
		if err := next.put(p); err != nil {
			return err
		}
	}
	for _, load := range more.Loads {
		next.assign(load)
	}
	*l = next
	return nil
}

func (l *left) assign(load engine.Load) {
	at := object{load.Tenant, load.Object}
	if load.Who == "" {
		delete(l.loads, at)
		return
	}
	l.loads[at] = load.Who
}

// index adds an event to the index. It never fails, and what it adds of an event that is not stored in the end
// is taken away by the copy that Admit keeps.
func (l *left) index(x engine.IndexedEvent) {
	for _, t := range x.Traits {
		key := traitKey{x.Tenant, t}
		objects := l.traits[key]
		if objects == nil {
			objects = map[string]time.Time{}
			l.traits[key] = objects
		}
		if at, known := objects[x.Object]; !known || x.Seen.Before(at) {
			objects[x.Object] = plain(x.Seen)
		}
	}
	for _, load := range x.Loads {
		l.assign(load)
	}
}

// clone copies all of it, for an Admit that may be undone.
func (l *left) clone() left {
	c := *l
	c.marks, c.kept, c.loads = slices.Clone(l.marks), maps.Clone(l.kept), maps.Clone(l.loads)
	c.traits = make(map[traitKey]map[string]time.Time, len(l.traits))
	for k, v := range l.traits {
		c.traits[k] = maps.Clone(v)
	}
	return c
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
		j.state.left.index(ev)
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
