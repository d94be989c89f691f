package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/playbookd/playbookd/engine"
)

// Admit implements [engine.Journal]. It works on a copy of what is remembered, which takes the
// place of the original when all has gone well.
func (j *Journal) Admit(ctx context.Context, a engine.Admission) (engine.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return engine.Receipt{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	next := j.state.clone()
	receipt, err := next.admit(a)
	if err != nil {
		return engine.Receipt{}, fmt.Errorf("admit: %w", err)
	}
	j.state = next
	return receipt, nil
}

// clone copies the indexes. Runs are shared: admitting adds some and changes none.
func (s state) clone() state {
	s.events, s.runs = slices.Clip(s.events), slices.Clip(s.runs)
	s.byEvent, s.byRun, s.latest = maps.Clone(s.byEvent), maps.Clone(s.byRun), maps.Clone(s.latest)
	s.documents, s.cursors, s.dedupe = maps.Clone(s.documents), maps.Clone(s.cursors), maps.Clone(s.dedupe)
	return s
}

func (s *state) admit(a engine.Admission) (engine.Receipt, error) {
	var receipt engine.Receipt
	if c := a.Cursor; c != nil {
		if c.Source == "" {
			return receipt, fmt.Errorf("position %q: the source has no name", c.Position)
		}
		if s.cursors[c.Source] != c.From {
			return receipt, fmt.Errorf("source %q: position is %q, not %q: %w",
				c.Source, s.cursors[c.Source], c.From, engine.ErrCursorMoved)
		}
		s.cursors[c.Source] = c.Position
	}
	for digest, content := range a.Documents {
		if err := checkDocument(digest, content); err != nil {
			return receipt, err
		}
		if _, ok := s.documents[digest]; !ok {
			s.documents[digest] = append([]byte{}, content...)
		}
	}
	for _, p := range a.Events {
		if err := checkPlanned(p); err != nil {
			return receipt, fmt.Errorf("event %q: %w", p.Event.ID, err)
		}
		if err := s.event(p, a.Set.Members, &receipt); err != nil {
			return receipt, fmt.Errorf("event %q: %w", p.Event.ID, err)
		}
	}
	return receipt, nil
}

func (s *state) event(p engine.Planned, set []engine.SetMember, receipt *engine.Receipt) error {
	if _, known := s.byEvent[p.Event.ID]; known {
		receipt.Duplicates++
		return nil
	}
	receipt.Admitted++
	ev := event{Event: copyEvent(p.Event), set: slices.Clone(set), matches: slices.Clone(p.Matches)}
	for _, planned := range p.Runs {
		if repeated := s.repeats(planned); repeated != "" {
			ev.matches = suppress(ev.matches, planned.Run, repeated)
			continue
		}
		if err := s.start(planned); err != nil {
			return fmt.Errorf("run %s: %w", planned.Run.ID, err)
		}
		receipt.Matched++
		receipt.Started = append(receipt.Started, planned.Run.ID)
	}
	n := len(s.events)
	s.events = append(s.events, ev)
	s.byEvent[ev.ID] = n
	if ev.Object != "" {
		s.latest[object{ev.Tenant, ev.Object}] = n
	}
	return nil
}

// repeats tells which run a planned one would repeat, "" if none. Otherwise the planned run takes
// the key.
func (s *state) repeats(p engine.PlannedRun) engine.RunID {
	if p.DedupeKey == "" {
		return ""
	}
	k := dedupeKey{p.Run.Tenant, p.Run.Playbook, p.DedupeKey}
	if d, used := s.dedupe[k]; used && p.Run.Created.Before(d.until) {
		return d.run
	}
	s.dedupe[k] = dedupe{until: plain(p.Run.Created.Add(p.DedupeWindow)), run: p.Run.ID}
	return ""
}

func suppress(matches []engine.Match, r engine.Run, repeated engine.RunID) []engine.Match {
	m := engine.Match{
		Playbook: r.Playbook, Digest: r.Digest, Verdict: engine.Skipped,
		Reason: engine.SkipDuplicate, Detail: string(repeated),
	}
	for i := range matches {
		if matches[i].Playbook == r.Playbook && matches[i].Digest == r.Digest {
			matches[i] = m
			return matches
		}
	}
	return append(matches, m)
}

func (s *state) start(p engine.PlannedRun) error {
	if _, ok := s.byRun[p.Run.ID]; ok {
		return fmt.Errorf("there is a run with this ID")
	}
	needed := slices.Sorted(maps.Values(p.Run.Lists))
	for _, digest := range append(needed, p.Run.Digest) {
		if _, ok := s.documents[digest]; !ok {
			return fmt.Errorf("document %q was never handed to the journal", digest)
		}
	}
	writes, err := copyWrites(p.Writes, p.Run.ID)
	if err != nil {
		return err
	}
	r := &run{Run: copyRun(p.Run), entries: copyEntries(p.Entries), writes: writes}
	s.runs = append(s.runs, r)
	s.byRun[r.ID] = r
	return nil
}

func copyEvent(e engine.Event) engine.Event {
	e.Occurred, e.Seen = plain(e.Occurred), plain(e.Seen)
	e.Payload, e.Inputs = copyBytes(e.Payload), copyBytes(e.Inputs)
	return e
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
