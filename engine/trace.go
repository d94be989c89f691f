package engine

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// StepTrace is what a history says about one step: the answer to "what did it do, and why".
type StepTrace struct {
	Path     string          `json:"path"`
	ID       string          `json:"id,omitempty"`
	Name     string          `json:"name,omitempty"`
	Kind     string          `json:"kind"` // action, if, switch, foreach, parallel, wait, approve, ask, playbook, set, stop, fail
	Action   string          `json:"action,omitempty"`
	Status   string          `json:"status"` // ok, failed, skipped, dry, uncertain, running, waiting, held
	Taken    *bool           `json:"taken,omitempty"`
	Way      int             `json:"way,omitempty"` // of a switch: which case, from 1
	Items    int             `json:"items,omitempty"`
	Until    *time.Time      `json:"until,omitempty"`  // of a wait
	Rounds   int             `json:"rounds,omitempty"` // of a wait: how often its time has come
	Asked    *AskedData      `json:"asked,omitempty"`
	Answers  []AnsweredData  `json:"answers,omitempty"`
	Message  string          `json:"message,omitempty"`
	Input    json.RawMessage `json:"input,omitempty"`
	Output   json.RawMessage `json:"output,omitempty"`
	Fault    *actions.Fault  `json:"fault,omitempty"`
	Attempts []AttemptTrace  `json:"attempts,omitempty"`
	Readings []Reading       `json:"readings,omitempty"` // what its expressions asked the world
	outputs  []json.RawMessage
}

// AttemptTrace is one attempt at one part of an action.
type AttemptTrace struct {
	Part        string         `json:"part"`
	Number      int            `json:"number"`
	Effect      actions.Effect `json:"effect,omitempty"`
	Probe       bool           `json:"probe,omitempty"`
	Interrupted bool           `json:"interrupted,omitempty"`
	Key         string         `json:"key,omitempty"`
	RequestID   string         `json:"requestId,omitempty"`
	Began       time.Time      `json:"began"`
	Ended       time.Time      `json:"ended,omitzero"`
	Status      OutcomeStatus  `json:"status,omitempty"` // empty: in flight
	Fault       *actions.Fault `json:"fault,omitempty"`
}

// Effective says whether the attempt changed something outside, as far as the journal knows.
func (a AttemptTrace) Effective() bool {
	return a.Status == Took && a.Effect != actions.Reads && !a.Probe
}

// Trace reads a history step by step, in the order in which they began. p gives names to the
// steps; nil leaves them nameless.
func Trace(p *playbooks.Playbook, history []Entry) []*StepTrace {
	t := tracer{steps: map[string]*StepTrace{}}
	if p != nil {
		t.known = Steps(p)
	}
	for _, e := range history {
		t.entry(e)
	}
	return t.order
}

type tracer struct {
	order []*StepTrace
	steps map[string]*StepTrace
	known StepIndex
}

// StepIndex finds the steps of a playbook by their path in the syntax tree; those of called playbooks
// are below the call.
type StepIndex map[string]*playbooks.Step

// Steps indexes the steps of a playbook.
func Steps(p *playbooks.Playbook) StepIndex {
	x := StepIndex{}
	x.add(p, "")
	return x
}

func (x StepIndex) add(p *playbooks.Playbook, base string) {
	var walk func(steps []playbooks.Step)
	walk = func(steps []playbooks.Step) {
		for i := range steps {
			s := &steps[i]
			x[base+s.Path] = s
			s.Nested(func(_ string, steps []playbooks.Step) { walk(steps) })
			if call, ok := s.Body.(*playbooks.Call); ok {
				x.add(call.Playbook, base+s.Path+"/call/")
			}
		}
	}
	for _, list := range [][]playbooks.Step{p.Steps, p.OnFailure, p.Finally} {
		walk(list)
	}
}

// At returns the step that an entry or an attempt with this path is about; nil if there is none.
func (x StepIndex) At(path string) *playbooks.Step { return x[TreePath(path)] }

// TreePath is the path in the syntax tree of what an entry's path says: without the part of an action
// and the indexes of iterations.
func TreePath(path string) string {
	path, _, _ = strings.Cut(path, ":")
	return iterationIndex.ReplaceAllString(path, "")
}

var iterationIndex = regexp.MustCompile(`\[\d+\]`)

func (t *tracer) step(path string) *StepTrace {
	if s := t.steps[path]; s != nil {
		return s
	}
	s := &StepTrace{Path: path, Kind: "action", Status: "running"}
	if known := t.known.At(path); known != nil {
		s.ID, s.Name = known.ID, known.Name
		switch b := known.Body.(type) {
		case *playbooks.Act:
			s.Action = b.Spec.Name
		case *playbooks.Branch:
			s.Kind = "if"
		case *playbooks.Switch:
			s.Kind = "switch"
		case *playbooks.Parallel:
			s.Kind = "parallel"
		case *playbooks.Wait:
			s.Kind = "wait"
		case *playbooks.Question:
			s.Kind = "ask"
			if b.Approve {
				s.Kind = "approve"
			}
		case *playbooks.Call:
			s.Kind, s.Action = "playbook", b.Name
		case *playbooks.Foreach:
			s.Kind = "foreach"
		case *playbooks.Assign:
			s.Kind = "set"
		case *playbooks.Stop:
			s.Kind = "stop"
		case *playbooks.Fail:
			s.Kind = "fail"
		}
	}
	t.steps[path] = s
	t.order = append(t.order, s)
	return s
}

func (t *tracer) entry(e Entry) {
	path, part, _ := strings.Cut(e.Path, ":")
	switch e.Kind {
	case Read:
		if d, err := decodeData[readData](e); err == nil && path != "" { // those of vars are the run's
			s := t.step(path)
			s.Readings = append(s.Readings, d.Readings...)
		}
	case Chose:
		t.chose(t.step(path), e)
	case Looped:
		t.looped(t.step(path), e)
	case Timed:
		t.timed(t.step(path), e)
	case Woke:
		t.woke(t.step(path))
	case Asked, Answered, Lapsed:
		t.question(t.step(path), e)
	case Called:
		s := t.step(path)
		if d, err := decodeData[calledData](e); err == nil {
			s.Kind, s.Input, s.Fault = "playbook", d.Inputs, d.Fault
			if d.Fault != nil {
				s.Status = "failed"
			}
		}
	case Returned:
		s := t.step(path)
		if d, err := decodeData[returnedData](e); err == nil {
			s.Status, s.Output, s.Fault = "ok", d.Outputs, d.Fault
			if d.Fault != nil {
				s.Status = "failed"
			}
		}
	case Assign:
		t.assigned(t.step(path), e)
	case Limited:
		s := t.step(path)
		if d, err := decodeData[LimitedData](e); err == nil {
			s.Status, s.Message = "held", fmt.Sprintf("limits.effects of %s: %s, and %d began before", d.Beyond.Playbook, d.Beyond.Limit, d.Beyond.Count)
		}
	case Intent:
		t.intent(t.step(path), part, e)
	case Outcome:
		t.outcome(t.step(path), part, e)
	case Resolve:
		s := t.step(path)
		if d, err := decodeData[ResolveData](e); err == nil {
			s.Status, s.Message = "running", "did not happen, says "+d.By
			if d.Happened {
				s.Status, s.Message = "ok", "happened, says "+d.By
			}
			if d.Note != "" {
				s.Message += ": " + d.Note
			}
		}
	}
}

func (t *tracer) chose(s *StepTrace, e Entry) {
	d, err := decodeData[choseData](e)
	if err != nil {
		return
	}
	s.Taken, s.Fault = &d.Take, d.Fault
	switch {
	case d.Fault != nil:
		s.Status = "failed"
	case s.Kind == "switch" && d.Take:
		s.Status, s.Way = "ok", d.Way+1
	case s.Kind == "if", s.Kind == "switch":
		s.Status = "ok"
	case s.Kind == "wait" && d.Take && s.Until != nil:
		s.Status = "ok"
	case s.Kind == "wait" && s.Until != nil && !e.At.Before(*s.Until):
		s.Status, s.Fault = "failed", actions.Failf(actions.CodeTimeout, "the condition did not hold in time")
	case !d.Take:
		s.Status = "skipped"
	}
}

func (t *tracer) question(s *StepTrace, e Entry) {
	switch e.Kind {
	case Asked:
		if d, err := decodeData[AskedData](e); err == nil {
			s.Status, s.Asked, s.Fault = "waiting", &d, d.Fault
			if d.Fault != nil {
				s.Status = "failed"
			} else if d.Dry {
				s.Status = "dry"
			}
		}
	case Answered:
		if d, err := decodeData[AnsweredData](e); err == nil {
			s.Answers = append(s.Answers, d)
			if s.Asked == nil || !s.Asked.Approve || !d.Approve || len(s.Answers) >= s.Asked.Count {
				s.Status = "ok"
			}
		}
	default:
		s.Status, s.Message = "ok", "nobody answered in time"
		if s.Asked != nil && s.Asked.Otherwise == playbooks.OtherwiseFail {
			s.Status = "failed"
		}
	}
}

func (t *tracer) timed(s *StepTrace, e Entry) {
	d, err := decodeData[timedData](e)
	if err != nil {
		return
	}
	s.Kind, s.Status, s.Fault = "wait", "waiting", d.Fault
	if d.Fault != nil {
		s.Status = "failed"
		return
	}
	s.Until = &d.Until
}

func (t *tracer) woke(s *StepTrace) {
	s.Rounds++
	if known := t.known.At(s.Path); known != nil {
		if b, ok := known.Body.(*playbooks.Wait); ok && b.Poll != nil {
			return // it looks again
		}
	}
	s.Status = "ok"
}

func (t *tracer) looped(s *StepTrace, e Entry) {
	d, err := decodeData[loopedData](e)
	if err != nil {
		return
	}
	s.Kind, s.Status, s.Fault = "foreach", "ok", d.Fault
	if d.Fault != nil {
		s.Status = "failed"
		return
	}
	var items []json.RawMessage
	if json.Unmarshal(d.Items, &items) == nil {
		s.Items = len(items)
	}
}

func (t *tracer) assigned(s *StepTrace, e Entry) {
	d, err := decodeData[assignData](e)
	if err != nil {
		return
	}
	s.Status, s.Message, s.Output, s.Fault = "ok", d.Message, d.Values, d.Fault
	if d.Fault != nil {
		s.Status = "failed"
	}
}

func (t *tracer) intent(s *StepTrace, part string, e Entry) {
	d, err := decodeData[IntentData](e)
	if err != nil {
		return
	}
	if len(d.Input) > 0 {
		s.Input = d.Input
	}
	s.Status = "running"
	s.Attempts = append(s.Attempts, AttemptTrace{Part: part, Number: e.Attempt, Effect: d.Effect, Probe: d.Probe,
		Key: d.Key, RequestID: d.RequestID, Began: e.At})
}

func (t *tracer) outcome(s *StepTrace, part string, e Entry) {
	d, err := decodeData[OutcomeData](e)
	if err != nil {
		return
	}
	if len(d.Input) > 0 {
		s.Input = d.Input
	}
	for i := range s.Attempts {
		a := &s.Attempts[i]
		if a.Part == part && a.Number == e.Attempt && a.Status == "" {
			a.Ended, a.Status, a.Fault, a.Interrupted = e.At, d.Status, d.Fault, d.Interrupted
		}
	}
	s.Fault = d.Fault
	switch {
	case d.Status == Took:
		s.Status = "ok"
	case d.Status == Dry:
		s.Status = "dry"
	case d.Status == Absent:
		s.Status = "running"
	case d.Fault != nil && d.Fault.Unknown:
		s.Status = "uncertain"
	default:
		s.Status = "failed"
	}
	if len(d.Output) > 0 {
		s.outputs = append(s.outputs, d.Output)
		if merged, err := actions.Merge(s.outputs...); err == nil {
			s.Output = merged
		}
	}
}
