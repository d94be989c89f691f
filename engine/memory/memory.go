// Package memory is a journal that forgets everything when the program ends. Dry runs and the
// tests of playbooks use it: they need all that a journal promises but that it outlives them.
//
// What it promises is what [engine.Journal] says, and package journaltest checks it with the
// same tests as the database. Nothing that is handed in or out is shared with the caller.
package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// Journal is a journal in memory. Use [New] to make one.
type Journal struct {
	mu    sync.Mutex
	state state
}

var _ engine.Journal = (*Journal)(nil)

// state is all that is remembered.
type state struct {
	events    []event
	sets      map[string][]engine.SetMember // by digest
	runs      []*run                        // in order of admission
	open      []*run                        // those that were not over when they were last looked at
	byEvent   map[string]int
	byRun     map[engine.RunID]*run
	latest    map[object]int
	documents map[string][]byte
	cursors   map[string]string
	dedupe    map[dedupeKey]dedupe
	uses      []engine.Use
	clocks    map[clockKey]engine.Clock
	left      left
}

type event struct {
	engine.Event
	facts   []byte // as JSON; nil if there are none
	set     []engine.SetMember
	matches []engine.Match
}

// run is a run with its history.
type run struct {
	engine.Run
	n       int // in order of admission
	entries []engine.Entry
	writes  []engine.Write
}

type object struct{ tenant, name string }

type clockKey struct{ tenant, object, playbook string }

type dedupeKey struct{ tenant, playbook, key string }

type dedupe struct {
	until time.Time
	run   engine.RunID
}

// New makes an empty journal.
func New() *Journal {
	return &Journal{state: state{
		sets: map[string][]engine.SetMember{}, byEvent: map[string]int{}, byRun: map[engine.RunID]*run{}, latest: map[object]int{},
		documents: map[string][]byte{}, cursors: map[string]string{}, dedupe: map[dedupeKey]dedupe{},
		clocks: map[clockKey]engine.Clock{},
		left:   newLeft(),
	}}
}

// Append implements [engine.Journal].
func (j *Journal) Append(ctx context.Context, a engine.Append) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.append(a); err != nil {
		return fmt.Errorf("append to run %s: %w", a.Run, err)
	}
	return nil
}

func (j *Journal) append(a engine.Append) error {
	if err := a.State.Check(a.Wake, a.Ended); err != nil {
		return err
	}
	writes, err := copyWrites(a.Writes, a.Run)
	if err != nil {
		return err
	}
	r, ok := j.state.byRun[a.Run]
	switch {
	case !ok:
		return engine.ErrNotFound
	case r.State.Final():
		return fmt.Errorf("it is over (%s): %w", r.State, engine.ErrOutOfOrder)
	}
	if err := engine.CheckEntries(a.Entries, len(r.entries)); err != nil {
		return err
	}
	var u undo
	if err := j.state.left.take(&u, a.Left); err != nil {
		u.takeBack()
		return err
	}
	r.State, r.Message, r.Wake, r.Ended = a.State, a.Message, plain(a.Wake), plain(a.Ended)
	r.entries = append(r.entries, copyEntries(a.Entries)...)
	r.writes = append(r.writes, writes...)
	for _, u := range a.Uses {
		u.At = plain(u.At)
		j.state.uses = append(j.state.uses, u)
	}
	return nil
}

// End implements [engine.Journal].
func (j *Journal) End(ctx context.Context, a engine.Append, following engine.Admission) (engine.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return engine.Receipt{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	ad := admission{state: &j.state}
	err := ad.admit(following)
	if err == nil {
		err = j.append(a)
	}
	if err != nil {
		ad.undo.takeBack()
		return engine.Receipt{}, fmt.Errorf("end of run %s: %w", a.Run, err)
	}
	return ad.receipt, nil
}

// Uses implements [engine.Journal].
func (j *Journal) Uses(ctx context.Context, like engine.Use, after time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.used(like, after), nil
}

func (s *state) used(like engine.Use, after time.Time) int {
	n := 0
	for _, u := range s.uses {
		if u.Tenant == like.Tenant && u.Playbook == like.Playbook && u.Action == like.Action && u.Mode == like.Mode && u.At.After(after) {
			n++
		}
	}
	return n
}

// Ready implements [engine.Journal].
func (j *Journal) Ready(ctx context.Context, now time.Time, limit int) ([]engine.Run, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	type turn struct{ playbook, key string }
	taken := map[turn]bool{}
	var ready, due []*run
	for _, r := range j.state.unfinished() {
		t := turn{r.Playbook, r.Key}
		if r.Key != "" && taken[t] {
			continue
		}
		taken[t] = true
		switch {
		case r.State == engine.Ready && len(ready) < limit:
			ready = append(ready, r)
		case r.State == engine.Waiting && !r.Wake.After(now):
			due = append(due, r)
		}
	}
	slices.SortStableFunc(due, func(a, b *run) int { return a.Wake.Compare(b.Wake) })
	chosen := append(ready, due[:min(len(due), max(limit, 0))]...)
	slices.SortFunc(chosen, func(a, b *run) int { return a.n - b.n })
	var list []engine.Run
	for _, r := range chosen[:min(len(chosen), max(limit, 0))] {
		list = append(list, copyRun(r.Run))
	}
	return list, nil
}

// unfinished returns the runs that are not over, oldest first.
func (s *state) unfinished() []*run {
	s.open = slices.DeleteFunc(s.open, func(r *run) bool { return r.State.Final() })
	return s.open
}

// NextWake implements [engine.Journal].
func (j *Journal) NextWake(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var next time.Time
	for _, r := range j.state.unfinished() {
		if r.State == engine.Waiting && (next.IsZero() || r.Wake.Before(next)) {
			next = r.Wake
		}
	}
	return next, nil
}

// Load implements [engine.Journal].
func (j *Journal) Load(ctx context.Context, id engine.RunID) (engine.Loaded, error) {
	if err := ctx.Err(); err != nil {
		return engine.Loaded{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	r, ok := j.state.byRun[id]
	if !ok {
		return engine.Loaded{}, fmt.Errorf("load run %s: %w", id, engine.ErrNotFound)
	}
	l := engine.Loaded{
		Run: copyRun(r.Run), Event: copyEvent(j.state.events[j.state.byEvent[r.Event]].Event),
		Entries: copyEntries(r.entries), Source: bytes.Clone(j.state.documents[r.Digest]),
	}
	for name, digest := range r.Lists {
		if l.Lists == nil {
			l.Lists = map[string][]byte{}
		}
		l.Lists[name] = bytes.Clone(j.state.documents[digest])
	}
	return l, nil
}

// Position implements [engine.Journal].
func (j *Journal) Position(ctx context.Context, source string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.cursors[source], nil
}

// Known implements [engine.Journal].
func (j *Journal) Known(ctx context.Context, ids []string) (map[string]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	known := map[string]bool{}
	for _, id := range ids {
		if _, ok := j.state.byEvent[id]; ok {
			known[id] = true
		}
	}
	return known, nil
}

// Latest implements [engine.Journal].
func (j *Journal) Latest(ctx context.Context, tenant, name string) (engine.Event, error) {
	if err := ctx.Err(); err != nil {
		return engine.Event{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n, ok := j.state.latest[object{tenant, name}]
	if !ok {
		return engine.Event{}, fmt.Errorf("latest version of %q: %w", name, engine.ErrNotFound)
	}
	return copyEvent(j.state.events[n].Event), nil
}

// Newest implements [engine.Journal].
func (j *Journal) Newest(ctx context.Context, tenant, name, source string) (engine.Event, error) {
	if err := ctx.Err(); err != nil {
		return engine.Event{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var newest *event
	for i := range j.state.events {
		e := &j.state.events[i]
		if name != "" && e.Tenant == tenant && e.Object == name && e.Source == source && e.By == "" && (newest == nil || !e.Occurred.Before(newest.Occurred)) {
			newest = e
		}
	}
	if newest == nil {
		return engine.Event{}, fmt.Errorf("newest version of %q: %w", name, engine.ErrNotFound)
	}
	return copyEvent(newest.Event), nil
}

// Writes implements [engine.Journal].
func (j *Journal) Writes(ctx context.Context, tenant, name string, since time.Time) ([]engine.Write, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []engine.Write
	for _, r := range j.state.runs {
		for _, w := range r.writes {
			if w.Tenant == tenant && w.Object == name && !w.At.Before(since) {
				list = append(list, w)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b engine.Write) int { return a.At.Compare(b.At) })
	for i := range list {
		copied, err := throughJSON(list[i].Fields)
		if err != nil {
			return nil, err
		}
		list[i].Fields = copied
	}
	return list, nil
}

// Runs returns all runs in the order of their admission.
func (j *Journal) Runs() []engine.Run {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]engine.Run, 0, len(j.state.runs))
	for _, r := range j.state.runs {
		list = append(list, copyRun(r.Run))
	}
	return list
}

// Events returns all events in the order of their admission.
func (j *Journal) Events() []engine.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]engine.Event, 0, len(j.state.events))
	for _, e := range j.state.events {
		list = append(list, copyEvent(e.Event))
	}
	return list
}

// Decisions returns what every playbook of the set decided about an event, in the order of the
// set.
func (j *Journal) Decisions(ctx context.Context, id string) ([]engine.Match, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n, ok := j.state.byEvent[id]
	if !ok {
		return nil, fmt.Errorf("decisions about event %q: %w", id, engine.ErrNotFound)
	}
	ev := j.state.events[n]
	var facts *engine.Facts
	if ev.facts != nil {
		if err := json.Unmarshal(ev.facts, &facts); err != nil {
			return nil, fmt.Errorf("facts about event %q: %w", id, err)
		}
	}
	list, err := engine.Decisions(ev.Event, facts, ev.set, ev.matches)
	if err != nil {
		return nil, fmt.Errorf("decisions about event %q: %w", id, err)
	}
	return copyMatches(list), nil
}

// throughJSON copies values and gives them the types that they have when read from JSON, as any
// journal that stores them would.
func throughJSON(fields map[string]any) (map[string]any, error) {
	raw, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(raw, &out)
}
