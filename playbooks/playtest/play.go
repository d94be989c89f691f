package playtest

import (
	"encoding/json"
	"fmt"
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
		d := s.machine.Next(s.now)
		s.last = d
		s.history = append(s.history, d.Record...)
		for _, a := range d.Invoke {
			s.settle(a)
		}
		if d.State.Final() || d.State == engine.Parked {
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
	s.match = engine.Consider(p, ev, subject, engine.Circumstances{Now: s.now, Updated: s.c.Updated, Lists: s.lists})
	if s.match.Verdict != engine.Matched {
		return false
	}
	s.run = engine.Run{
		ID: engine.NewRunID(p.Name, ev.ID), Playbook: p.Name, Digest: p.Digest, Semantics: engine.Semantics, Event: ev.ID,
		Tenant: ev.Tenant, By: ev.By, Mode: playbooks.Live, State: engine.Ready, Created: s.now,
	}
	if s.machine, err = engine.Begin(p, s.run, ev, s.lists); err != nil {
		s.fail(s.c.Pos, "a run that can begin", err.Error())
		return false
	}
	return true
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
	if s.cancel != nil {
		sooner(s.cancel.After)
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
