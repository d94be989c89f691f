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
	c         Case
	playbook  *playbooks.Playbook
	steps     engine.StepIndex
	lists     map[string]any
	calendars expression.Calendars
	world     *world
	memory    *memory

	match   engine.Match // the last decision
	decided []engine.Match
	runs    []*playing // one, but of a clock one for each stage that starts one
	clock   *clock     // of an sla trigger; nil: another one brings the event
	now     time.Time
	answers []Answer // that were not given yet
	cancel  *Answer
	release *Answer
	uses    []engine.Use
	checks  []Expect // that were not looked at yet, in order of time; those at the end come last

	problems []Problem
}

// playing is a run of a test.
type playing struct {
	run     engine.Run
	machine *engine.Machine // nil: a limit holds it before it begins
	history []engine.Entry
	last    engine.Decision
	over    bool // it ended, or needs a person
}

// questions are what the run asks people.
func (r *playing) questions() []engine.Question {
	if r.machine == nil {
		return nil
	}
	return r.machine.Questions()
}

// latest is the run that began last: what is expected of a run is expected of it. Before there is one,
// it is empty.
func (s *stage) latest() *playing {
	if len(s.runs) == 0 {
		return &playing{}
	}
	return s.runs[len(s.runs)-1]
}

// play plays a test to its end.
func (s *stage) play() {
	s.now = s.c.At
	s.begin()
	for range MaxTurns {
		if s.over() {
			s.judgeAll()
			return
		}
		if s.tick() || s.turn() || s.speak() {
			continue
		}
		if !s.passTime() {
			s.judgeAll()
			return
		}
	}
	s.fail(s.c.Pos, "the run ends", fmt.Sprintf("it goes on after %d decisions", MaxTurns))
}

// next decides, with the numbers that limits ask for.
func (s *stage) next(r *playing) engine.Decision {
	d := r.machine.Next(s.now)
	for s.use(d.Uses); len(d.Asks) > 0; s.use(d.Uses) {
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
		entries, err := r.machine.Allow(ask.Path, counts, s.now)
		if err != nil {
			s.fail(s.c.Pos, "an action that can be counted", err.Error())
			return d
		}
		more := r.machine.Next(s.now)
		more.Record = slices.Concat(d.Record, entries, more.Record)
		more.Invoke = append(d.Invoke, more.Invoke...)
		more.Left.Puts = append(d.Left.Puts, more.Left.Puts...)
		d = more
	}
	return d
}

func (s *stage) use(uses []engine.Use) {
	for _, u := range uses {
		u.At = s.now
		s.uses = append(s.uses, u)
	}
}

// over says that nothing can come of the test any more.
func (s *stage) over() bool {
	return s.clock == nil && !slices.ContainsFunc(s.runs, func(r *playing) bool { return !r.over })
}

// begin lets the event happen.
func (s *stage) begin() {
	trigger := s.trigger()
	if trigger == nil {
		return
	}
	payload := s.c.Event
	if payload == nil {
		payload = json.RawMessage("{}")
	}
	if trigger.Kind == playbooks.SLATrigger {
		s.clock = newClock(s.c, trigger.SLA, payload)
		s.count()
		return
	}
	ev := engine.Event{ID: "test/" + s.c.Name, Tenant: s.c.Tenant, Source: trigger.Source, Kind: s.playbook.Subject, Occurred: s.now, Seen: s.now,
		Payload: payload, By: s.c.By}
	if trigger.Kind == playbooks.ManualTrigger {
		inputs, err := s.inputs()
		if err != nil {
			s.fail(s.c.Pos, "inputs that the playbook takes", err.Error())
			return
		}
		ev.Inputs = inputs
	}
	s.consider(ev, s.c.Updated)
}

// consider asks whether an event starts a run, and begins it.
func (s *stage) consider(ev engine.Event, updated bool) {
	p := s.playbook
	subject, err := expression.Decode(ev.Payload, p.SubjectType)
	if err != nil {
		s.decide(engine.Match{Verdict: engine.Skipped, Reason: engine.SkipError, Detail: err.Error()})
		return
	}
	if s.c.Before != nil {
		ev.Changes = engine.Compare(p, s.earlier(ev.Payload), ev.Payload, s.c.ChangedBy)
	}
	c := s.circumstances()
	c.Updated = updated
	m, err := engine.Consider(p, ev, subject, c)
	if err != nil {
		s.fail(s.c.Pos, "a condition that can be decided", err.Error())
		return
	}
	s.decide(m)
	if s.match.Verdict != engine.Matched {
		return
	}
	r := &playing{run: engine.Run{
		ID: engine.NewRunID(p.Name, ev.ID), Playbook: p.Name, Digest: p.Digest, Semantics: engine.Semantics, Event: ev.ID,
		Tenant: ev.Tenant, By: ev.By, Mode: playbooks.Live, State: engine.Ready, Created: s.now,
	}}
	if s.holds(r, ev) {
		return
	}
	if r.machine, err = engine.Begin(p, r.run, ev, &c); err != nil {
		s.fail(s.c.Pos, "a run that can begin", err.Error())
		return
	}
	r.machine.Consult(s.memory)
	s.runs = append(s.runs, r)
}

func (s *stage) decide(m engine.Match) {
	s.match = m
	s.decided = append(s.decided, m)
}

func (s *stage) circumstances() engine.Circumstances {
	return engine.Circumstances{Now: s.now, Lists: s.lists, Calendars: s.calendars, World: s.memory}
}

// turn lets every run do what it can do now, and says whether there was anything.
func (s *stage) turn() (did bool) {
	for _, r := range s.runs {
		if r.over {
			continue
		}
		d := s.next(r)
		r.last = d
		if err := s.memory.keep(d.Left.Puts); err != nil {
			s.fail(s.c.Pos, "a state that can be kept", err.Error())
		}
		r.history = append(r.history, d.Record...)
		for _, a := range d.Invoke {
			s.settle(r, a)
		}
		r.over = d.State.Final() || d.State == engine.Parked && s.release == nil
		did = did || len(d.Invoke) > 0 || d.More || r.over
	}
	return did
}

// holds says whether a limit keeps the run from starting, and nobody releases it.
func (s *stage) holds(r *playing, ev engine.Event) bool {
	planned := engine.PlannedRun{Run: r.run, Limit: engine.LimitOf(s.playbook, r.run, ev.Source)}
	if planned.Limit.Most == 0 || planned.Limit.Instead != "" || s.c.Earlier.Runs < planned.Limit.Most {
		return false
	}
	run := engine.Hold(planned, true).Run
	r.last = engine.Decision{State: run.State, Message: run.Message}
	s.runs = append(s.runs, r)
	if s.release == nil {
		r.over = true
		return true
	}
	s.judgeUntil(s.c.At.Add(s.release.After))
	s.now, s.release = s.now.Add(s.release.After), nil
	s.runs = s.runs[:len(s.runs)-1] // it begins now
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
func (s *stage) settle(r *playing, a engine.Attempt) {
	out, absent, err := s.world.answer(r.run.ID, a, s.stepID(a.Path), s.now)
	e, err := r.machine.Settle(a, out, absent, err, s.now)
	if err != nil {
		s.fail(s.c.Pos, "an attempt that can be settled", err.Error())
	}
	r.history = append(r.history, e)
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
	if len(s.runs) > 0 && s.latest().machine == nil { // held before it began: nobody reaches it
		return false
	}
	if c := s.cancel; c != nil && c.After <= since && len(s.runs) > 0 {
		s.cancel = nil
		r := s.latest()
		e, err := r.machine.Cancel(engine.CancelData{By: c.By, Reason: c.Reason}, s.now)
		if err != nil {
			s.fail(c.Pos, "a run that can be canceled", err.Error())
			return false
		}
		r.history = append(r.history, e)
		return true
	}
	if w := s.release; w != nil && w.After <= since && len(s.runs) > 0 && (w.After > 0 || len(s.latest().machine.Held()) > 0) {
		s.release = nil
		r := s.latest()
		entries, err := r.machine.Release(engine.ReleasedData{By: w.By, Note: w.Reason}, s.now)
		if err != nil {
			s.fail(w.Pos, "a run that a limit holds", err.Error())
			return false
		}
		r.history = append(r.history, entries...)
		return true
	}
	for i, a := range s.answers {
		r, q := s.question(a)
		if a.After > since || r == nil && (a.After == 0 || len(s.runs) == 0) {
			continue
		}
		s.answers = append(s.answers[:i:i], s.answers[i+1:]...)
		s.answer(a, r, q)
		return true
	}
	return false
}

// question finds the question that an answer is to.
func (s *stage) question(a Answer) (*playing, engine.Question) {
	for _, r := range s.runs {
		for _, q := range r.questions() {
			if a.Step == "" || q.Step == a.Step {
				return r, q
			}
		}
	}
	return nil, engine.Question{}
}

// answer gives an answer. If nobody asks, the run says what it makes of it.
func (s *stage) answer(a Answer, r *playing, q engine.Question) {
	if r == nil {
		r = s.latest()
	}
	e, err := r.machine.Answer(q.Asked.ID, engine.AnsweredData{
		By: a.By, Roles: a.Roles, Digest: q.Asked.Digest, Approve: a.Approve, Answer: a.Value, Comment: a.Reason}, s.now)
	switch {
	case err != nil && !a.Refused:
		s.fail(a.Pos, "an answer that counts", err.Error())
	case err == nil && a.Refused:
		s.fail(a.Pos, "an answer that is refused", "it counted")
	}
	if err == nil {
		r.history = append(r.history, e)
	}
}

// passTime goes on to the next moment at which something happens: a run wakes, a clock is due, somebody
// speaks, or something is expected. It reports false if there is none.
func (s *stage) passTime() bool {
	var next time.Time
	at := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	sooner := func(after time.Duration) {
		if t := s.c.At.Add(after); t.After(s.now) {
			at(t)
		}
	}
	for _, r := range s.runs {
		if !r.over {
			at(r.last.Wake)
		}
	}
	if s.clock != nil {
		at(s.clock.next(s.c.At))
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
