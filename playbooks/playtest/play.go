package playtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// stage is one test being played.
type stage struct {
	c        Case
	playbook *playbooks.Playbook
	steps    engine.StepIndex
	lists    map[string]any
	world    *world

	run     engine.Run
	match   engine.Match
	machine *engine.Machine
	now     time.Time
	history []engine.Entry
	last    engine.Decision
	answers []Answer // that were not given yet
	cancel  *Answer
	release *Answer
	uses    []engine.Use
	checks  []Expect // that were not looked at yet, in order of time; those at the end come last

	problems []Problem
}

// play plays a test to its end.
func (s *stage) play() {
	s.now = s.c.At
	if !s.consider() {
		s.judgeAll()
		return
	}
	for range MaxTurns {
		d := s.next()
		s.last = d
		s.history = append(s.history, d.Record...)
		for _, a := range d.Invoke {
			s.settle(a)
		}
		if d.State.Final() || d.State == engine.Parked && s.release == nil {
			s.judgeAll()
			return
		}
		if len(d.Invoke) > 0 || d.More || s.speak() {
			continue
		}
		if !s.passTime(d.Wake) {
			s.judgeAll()
			return
		}
	}
	s.fail(s.c.Pos, "the run ends", fmt.Sprintf("it goes on after %d decisions", MaxTurns))
}

// next decides, with the numbers that limits ask for.
func (s *stage) next() engine.Decision {
	d := s.machine.Next(s.now)
	for s.count(d.Uses); len(d.Asks) > 0; s.count(d.Uses) {
		ask := d.Asks[0]
		counts := make([]int, len(ask.Limits))
		for i, l := range ask.Limits {
			counts[i] = s.c.Earlier.Effects[ask.Action]
			for _, u := range s.uses {
				if u.Playbook == l.Playbook && u.Action == ask.Action && u.At.After(s.now.Add(-l.Within)) {
					counts[i]++
				}
			}
		}
		entries, err := s.machine.Allow(ask.Path, counts, s.now)
		if err != nil {
			s.fail(s.c.Pos, "an action that can be counted", err.Error())
			return d
		}
		more := s.machine.Next(s.now)
		more.Record = slices.Concat(d.Record, entries, more.Record)
		more.Invoke = append(d.Invoke, more.Invoke...)
		d = more
	}
	return d
}

func (s *stage) count(uses []engine.Use) {
	for _, u := range uses {
		u.At = s.now
		s.uses = append(s.uses, u)
	}
}

// consider asks whether the event starts a run, and begins it.
func (s *stage) consider() bool {
	p := s.playbook
	trigger := s.trigger()
	if trigger == nil {
		return false
	}
	payload := s.c.Event
	if payload == nil {
		payload = json.RawMessage("{}")
	}
	ev := engine.Event{ID: "test/" + s.c.Name, Tenant: s.c.Tenant, Source: trigger.Source, Kind: p.Subject, Occurred: s.now, Seen: s.now,
		Payload: payload, By: s.c.By}
	if trigger.Kind == playbooks.ManualTrigger {
		inputs, err := s.inputs()
		if err != nil {
			s.fail(s.c.Pos, "inputs that the playbook takes", err.Error())
			return false
		}
		ev.Inputs = inputs
	}
	subject, err := expression.Decode(payload, p.SubjectType)
	if err != nil {
		s.match = engine.Match{Verdict: engine.Skipped, Reason: engine.SkipError, Detail: err.Error()}
		return false
	}
	if s.c.Before != nil {
		ev.Changes = engine.Compare(p, s.earlier(payload), payload, s.c.ChangedBy)
	}
	s.match = engine.Consider(p, ev, subject, engine.Circumstances{Now: s.now, Updated: s.c.Updated, Lists: s.lists})
	if s.match.Verdict != engine.Matched {
		return false
	}
	s.run = engine.Run{
		ID: engine.NewRunID(p.Name, ev.ID), Playbook: p.Name, Digest: p.Digest, Semantics: engine.Semantics, Event: ev.ID,
		Tenant: ev.Tenant, By: ev.By, Mode: playbooks.Live, State: engine.Ready, Created: s.now,
	}
	if s.holds(ev) {
		return false
	}
	if s.machine, err = engine.Begin(p, s.run, ev, s.lists); err != nil {
		s.fail(s.c.Pos, "a run that can begin", err.Error())
		return false
	}
	return true
}

// holds says whether a limit keeps the run from starting, and nobody releases it.
func (s *stage) holds(ev engine.Event) bool {
	planned := engine.PlannedRun{Run: s.run, Limit: engine.LimitOf(s.playbook, s.run, ev.Source)}
	if planned.Limit.Most == 0 || planned.Limit.Instead != "" || s.c.Earlier.Runs < planned.Limit.Most {
		return false
	}
	run := engine.Hold(planned, true).Run
	s.last = engine.Decision{State: run.State, Message: run.Message}
	if s.release == nil {
		return true
	}
	s.judgeUntil(s.c.At.Add(s.release.After))
	s.now, s.release = s.now.Add(s.release.After), nil
	return false
}

// earlier is the version before the event.
func (s *stage) earlier(payload json.RawMessage) json.RawMessage {
	fields := map[string]any{}
	if json.Unmarshal(payload, &fields) != nil {
		return payload
	}
	maps.Copy(fields, s.c.Before)
	raw, err := json.Marshal(fields)
	if err != nil {
		s.fail(s.c.Pos, "an earlier version that is JSON", err.Error())
	}
	return raw
}

// inputs completes the inputs of a run by hand.
func (s *stage) inputs() (json.RawMessage, error) {
	given := map[string]any{}
	if len(s.c.Inputs) > 0 {
		if err := json.Unmarshal(s.c.Inputs, &given); err != nil {
			return nil, fmt.Errorf("inputs are no object: %w", err)
		}
	}
	complete, err := s.playbook.Given(given)
	if err != nil {
		return nil, err
	}
	return json.Marshal(complete)
}

// trigger finds the trigger that brings the event.
func (s *stage) trigger() *playbooks.Trigger {
	if s.c.Kind != "" && s.c.Kind != s.playbook.Subject {
		s.fail(s.c.Pos, "an event of the playbook's kind: "+s.playbook.Subject, "the test's is "+s.c.Kind)
		return nil
	}
	for i := range s.playbook.Triggers {
		t := &s.playbook.Triggers[i]
		manual := t.Kind == playbooks.ManualTrigger
		if s.c.Trigger == string(t.Kind) || s.c.Trigger == "" && manual == (s.c.Inputs != nil && s.c.Kind == "") {
			return t
		}
	}
	if s.c.Trigger == "" && len(s.playbook.Triggers) > 0 {
		return &s.playbook.Triggers[0]
	}
	s.fail(s.c.Pos, "a trigger of the playbook", fmt.Sprintf("it has no %q", s.c.Trigger))
	return nil
}

// settle lets the test's world answer an attempt.
func (s *stage) settle(a engine.Attempt) {
	out, absent, err := s.world.answer(a, s.stepID(a.Path), s.now)
	e, err := s.machine.Settle(a, out, absent, err, s.now)
	if err != nil {
		s.fail(s.c.Pos, "an attempt that can be settled", err.Error())
	}
	s.history = append(s.history, e)
}

// stepID is the id of the step at a path.
func (s *stage) stepID(path string) string {
	if step := s.steps.At(path); step != nil {
		return step.ID
	}
	return ""
}

// speak gives the answers and the cancellation that are due, and says whether there were any.
func (s *stage) speak() bool {
	since := s.now.Sub(s.c.At)
	if c := s.cancel; c != nil && c.After <= since {
		s.cancel = nil
		e, err := s.machine.Cancel(engine.CancelData{By: c.By, Reason: c.Reason}, s.now)
		if err != nil {
			s.fail(c.Pos, "a run that can be canceled", err.Error())
			return false
		}
		s.history = append(s.history, e)
		return true
	}
	if r := s.release; r != nil && r.After <= since && (r.After > 0 || len(s.machine.Held()) > 0) {
		s.release = nil
		entries, err := s.machine.Release(engine.ReleasedData{By: r.By, Note: r.Reason}, s.now)
		if err != nil {
			s.fail(r.Pos, "a run that a limit holds", err.Error())
			return false
		}
		s.history = append(s.history, entries...)
		return true
	}
	for i, a := range s.answers {
		q, open := s.question(a)
		if a.After > since || !open && a.After == 0 {
			continue
		}
		s.answers = append(s.answers[:i:i], s.answers[i+1:]...)
		s.answer(a, q)
		return true
	}
	return false
}

// question finds the question that an answer is to.
func (s *stage) question(a Answer) (engine.Question, bool) {
	for _, q := range s.machine.Questions() {
		if a.Step == "" || q.Step == a.Step {
			return q, true
		}
	}
	return engine.Question{}, false
}

func (s *stage) answer(a Answer, q engine.Question) {
	e, err := s.machine.Answer(q.Asked.ID, engine.AnsweredData{
		By: a.By, Roles: a.Roles, Digest: q.Asked.Digest, Approve: a.Approve, Answer: a.Value, Comment: a.Reason}, s.now)
	switch {
	case err != nil && !a.Refused:
		s.fail(a.Pos, "an answer that counts", err.Error())
	case err == nil && a.Refused:
		s.fail(a.Pos, "an answer that is refused", "it counted")
	}
	if err == nil {
		s.history = append(s.history, e)
	}
}

// passTime goes on to the next moment at which something happens: the run wakes, somebody speaks,
// or something is expected. It reports false if there is none.
func (s *stage) passTime(wake time.Time) bool {
	next := wake
	sooner := func(after time.Duration) {
		if at := s.c.At.Add(after); at.After(s.now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, a := range s.answers {
		sooner(a.After)
	}
	for _, a := range []*Answer{s.cancel, s.release} {
		if a != nil {
			sooner(a.After)
		}
	}
	for _, e := range s.checks {
		if e.After != nil {
			sooner(*e.After)
		}
	}
	if next.IsZero() {
		return false
	}
	s.judgeUntil(next)
	s.now = next
	return true
}
