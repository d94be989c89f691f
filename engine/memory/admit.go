package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// Admit implements [engine.Journal]. Each change that it makes comes with how to undo it, for the
// case that a later one can't be made.
func (j *Journal) Admit(ctx context.Context, a engine.Admission) (engine.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return engine.Receipt{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	ad := admission{state: &j.state}
	if err := ad.admit(a); err != nil {
		ad.undo.takeBack()
		return engine.Receipt{}, fmt.Errorf("admit: %w", err)
	}
	return ad.receipt, nil
}

// admission is one Admit in progress.
type admission struct {
	*state
	receipt engine.Receipt
	undo    undo
}

// undo is how to take back what was changed, in the order of the changes.
type undo []func()

// takeBack undoes all of it.
func (u undo) takeBack() {
	for _, back := range slices.Backward(u) {
		back()
	}
}

// put sets a key so that it can be undone.
func put[K comparable, V any](u *undo, m map[K]V, key K, value V) {
	keep(u, m, key)
	m[key] = value
}

// drop deletes a key so that it can be undone.
func drop[K comparable, V any](u *undo, m map[K]V, key K) {
	keep(u, m, key)
	delete(m, key)
}

// keep has what a key holds put back.
func keep[K comparable, V any](u *undo, m map[K]V, key K) {
	old, had := m[key]
	*u = append(*u, func() {
		if had {
			m[key] = old
		} else {
			delete(m, key)
		}
	})
}

// add appends to a list so that it can be undone.
func add[V any](u *undo, list *[]V, value V) {
	*list = append(*list, value)
	*u = append(*u, func() { *list = (*list)[:len(*list)-1] })
}

func (ad *admission) admit(a engine.Admission) error {
	if err := check(a); err != nil {
		return err
	}
	if err := ad.move(a.Cursor); err != nil {
		return err
	}
	for digest, content := range a.Documents {
		if _, ok := ad.documents[digest]; !ok {
			put(&ad.undo, ad.documents, digest, append([]byte{}, content...))
		}
	}
	set, err := ad.set(a.Set)
	if err != nil {
		return err
	}
	for i, p := range a.Events {
		if err := ad.event(i, p, set); err != nil {
			return fmt.Errorf("event %q: %w", p.Event.ID, err)
		}
	}
	return ad.setClocks(a.Clocks)
}

// setClocks stores clocks, each of which must follow on the one that is there.
func (ad *admission) setClocks(clocks []engine.Clock) error {
	for _, c := range clocks {
		k := clockKey{c.Tenant, c.Object, c.Playbook}
		if was := ad.clocks[k].Revision; c.Revision != was+1 {
			return fmt.Errorf("clock of %s at %s: revision %d after %d: %w", c.Object, c.Playbook, c.Revision, was, engine.ErrClockMoved)
		}
		put(&ad.undo, ad.clocks, k, copyClock(c))
	}
	return nil
}

func (ad *admission) move(c *engine.Cursor) error {
	switch {
	case c == nil:
		return nil
	case ad.cursors[c.Source] != c.From:
		return fmt.Errorf("source %q: position is %q, not %q: %w", c.Source, ad.cursors[c.Source], c.From, engine.ErrCursorMoved)
	}
	put(&ad.undo, ad.cursors, c.Source, c.Position)
	return nil
}

// set copies a set, once for each digest.
func (ad *admission) set(s engine.PlaybookSet) ([]engine.SetMember, error) {
	if s.Digest == "" {
		return nil, nil
	}
	if known, ok := ad.sets[s.Digest]; ok {
		return known, nil
	}
	raw, err := json.Marshal(s.Members)
	if err != nil {
		return nil, fmt.Errorf("playbook set: %w", err)
	}
	var members []engine.SetMember
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, fmt.Errorf("playbook set: %w", err)
	}
	put(&ad.undo, ad.sets, s.Digest, members)
	return members, nil
}

func (ad *admission) event(place int, p engine.Planned, set []engine.SetMember) error {
	if _, known := ad.byEvent[p.Event.ID]; known {
		ad.receipt.Duplicates++
		ad.receipt.Repeated = append(ad.receipt.Repeated, place)
		return nil
	}
	if _, known := ad.latest[object{p.Event.Tenant, p.Event.Object}]; known && p.New {
		return engine.ErrNotNew
	}
	if err := ad.setClocks(p.Clocks); err != nil {
		return err
	}
	if err := ad.left.take(&ad.undo, engine.Left{Sightings: p.Sightings}); err != nil {
		return err
	}
	if p.Index != nil {
		ad.left.index(&ad.undo, *p.Index)
	}
	ad.receipt.Admitted++
	ev := event{Event: copyEvent(p.Event), set: set, matches: copyMatches(p.Matches)}
	if p.Facts != nil {
		var err error
		if ev.facts, err = json.Marshal(p.Facts); err != nil {
			return fmt.Errorf("facts: %w", err)
		}
	}
	for _, planned := range p.Runs {
		if repeated := ad.repeats(planned); repeated != "" {
			ev.matches = engine.Repeats(ev.matches, planned.Run, repeated)
			continue
		}
		circles, limited := ad.beyond(planned), false
		if !circles && ad.beyondLimit(planned) {
			if limited = planned.Limit.Instead == ""; !limited {
				ev.matches = engine.Note(ev.matches, planned)
			}
		}
		if circles || limited {
			planned = engine.Hold(planned, limited)
		}
		if err := ad.start(planned); err != nil {
			return fmt.Errorf("run %s: %w", planned.Run.ID, err)
		}
		if circles || limited {
			ad.receipt.Held = append(ad.receipt.Held, planned.Run.ID)
			if limited {
				ad.receipt.Limited = append(ad.receipt.Limited, planned.Run.ID)
			}
			continue
		}
		if use, counted := planned.Start(); counted {
			use.At = plain(use.At)
			add(&ad.undo, &ad.uses, use)
		}
		ad.receipt.Matched++
		ad.receipt.Started = append(ad.receipt.Started, planned.Run.ID)
	}
	n := len(ad.events)
	add(&ad.undo, &ad.events, ev)
	put(&ad.undo, ad.byEvent, ev.ID, n)
	if ev.Object != "" && !engine.FromClock(ev.Event) {
		put(&ad.undo, ad.latest, object{ev.Tenant, ev.Object}, n)
	}
	return nil
}

// repeats tells which run a planned one would repeat, "" if none. Otherwise the planned run takes
// the key.
func (ad *admission) repeats(p engine.PlannedRun) engine.RunID {
	if p.DedupeKey == "" {
		return ""
	}
	k := dedupeKey{p.Run.Tenant, p.Run.Playbook, p.DedupeKey}
	if d, used := ad.dedupe[k]; used && p.Run.Created.Before(d.until) {
		return d.run
	}
	put(&ad.undo, ad.dedupe, k, dedupe{until: plain(p.Run.Created.Add(p.DedupeWindow)), run: p.Run.ID})
	return ""
}

// beyond says whether a planned run is beyond its ceiling.
func (ad *admission) beyond(p engine.PlannedRun) bool {
	if p.Ceiling.Runs <= 0 {
		return false
	}
	since, n := plain(p.Run.Created.Add(-p.Ceiling.Within)), 0
	for _, r := range ad.runs {
		if r.Object == p.Run.Object && r.Playbook == p.Run.Playbook && r.Tenant == p.Run.Tenant &&
			r.Mode == playbooks.Live && r.Created.After(since) {
			n++
		}
	}
	return n >= p.Ceiling.Runs
}

// beyondLimit says whether a planned run is beyond the limit of its playbook.
func (ad *admission) beyondLimit(p engine.PlannedRun) bool {
	use, counted := p.Start()
	return counted && ad.used(use, plain(p.Run.Created.Add(-p.Limit.Within))) >= p.Limit.Most
}

func (ad *admission) start(p engine.PlannedRun) error {
	if _, ok := ad.byRun[p.Run.ID]; ok {
		return fmt.Errorf("there is a run with this ID")
	}
	needed := slices.Sorted(maps.Values(p.Run.Lists))
	for _, digest := range append(needed, p.Run.Digest) {
		if _, ok := ad.documents[digest]; !ok {
			return fmt.Errorf("document %q was never handed to the journal", digest)
		}
	}
	writes, err := copyWrites(p.Writes, p.Run.ID)
	if err != nil {
		return err
	}
	r := &run{Run: copyRun(p.Run), n: len(ad.runs), entries: copyEntries(p.Entries), writes: writes}
	add(&ad.undo, &ad.runs, r)
	add(&ad.undo, &ad.open, r)
	put(&ad.undo, ad.byRun, r.ID, r)
	return nil
}

func copyEvent(e engine.Event) engine.Event {
	e.Occurred, e.Seen = plain(e.Occurred), plain(e.Seen)
	e.Payload, e.Inputs = copyBytes(e.Payload), copyBytes(e.Inputs)
	changes := e.Changes
	e.Changes = nil
	for field, c := range changes {
		if e.Changes == nil {
			e.Changes = map[string]engine.Change{}
		}
		e.Changes[field] = engine.Change{Old: copyBytes(c.Old), New: copyBytes(c.New), By: c.By}
	}
	if e.SLA != nil {
		sla := *e.SLA
		sla.Start, sla.Due = plain(sla.Start), plain(sla.Due)
		e.SLA = &sla
	}
	return e
}

func copyClock(c engine.Clock) engine.Clock {
	c.Seen, c.Start, c.At, c.Due, c.Breach = plain(c.Seen), plain(c.Start), plain(c.At), plain(c.Due), plain(c.Breach)
	c.Marks = slices.Clone(c.Marks)
	for i := range c.Marks {
		c.Marks[i].At = plain(c.Marks[i].At)
	}
	return c
}

func copyMatches(matches []engine.Match) []engine.Match {
	list := slices.Clone(matches)
	for i := range list {
		list[i].Readings = copyReadings(list[i].Readings)
	}
	return list
}

func copyReadings(readings []engine.Reading) []engine.Reading {
	if len(readings) == 0 {
		return nil
	}
	list := slices.Clone(readings)
	for i := range list {
		list[i].Args, list[i].Value = copyBytes(list[i].Args), copyBytes(list[i].Value)
	}
	return list
}

func copyRun(r engine.Run) engine.Run {
	r.Created, r.Wake, r.Ended = plain(r.Created), plain(r.Wake), plain(r.Ended)
	r.Lists = maps.Clone(r.Lists)
	if len(r.Lists) == 0 {
		r.Lists = nil
	}
	return r
}

func copyEntries(entries []engine.Entry) []engine.Entry {
	if len(entries) == 0 {
		return nil
	}
	list := slices.Clone(entries)
	for i := range list {
		list[i].At, list[i].Data = plain(list[i].At), copyBytes(list[i].Data)
	}
	return list
}

func copyWrites(writes []engine.Write, id engine.RunID) ([]engine.Write, error) {
	list := slices.Clone(writes)
	for i := range list {
		if list[i].Run != id {
			return nil, fmt.Errorf("write to %q belongs to run %s", list[i].Object, list[i].Run)
		}
		fields, err := throughJSON(list[i].Fields)
		if err != nil {
			return nil, fmt.Errorf("write to %q: %w", list[i].Object, err)
		}
		list[i].At, list[i].Fields = plain(list[i].At), fields
	}
	return list, nil
}

// copyBytes makes no difference between no value and an empty one.
func copyBytes[B ~[]byte](b B) B {
	if len(b) == 0 {
		return nil
	}
	return bytes.Clone(b)
}
