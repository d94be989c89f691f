package engine

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// calling is a called playbook in progress: a play within the play, with names of its own. It is
// part of the caller's run, so it survives whatever the run survives.
//
//	called (inputs, vars) ─► its steps, on_failure, finally ─► returned (outputs)
type calling struct {
	body *playbooks.Call
	play *play
}

// What the entries of a call hold.
type (
	calledData struct {
		Digest string          `json:"digest"` // of the playbook that was called
		Inputs json.RawMessage `json:"inputs,omitempty"`
		Vars   json.RawMessage `json:"vars,omitempty"`
		Fault  *actions.Fault  `json:"fault,omitempty"`
	}
	returnedData struct {
		Outputs json.RawMessage `json:"outputs,omitempty"`
		Fault   *actions.Fault  `json:"fault,omitempty"`
	}
)

func (c *calling) settle(m *Machine, _ *frame) {
	if c.play != nil {
		c.play.settle(m)
	}
}

func (c *calling) next(t *turn, f *frame) bool {
	switch {
	case c.play == nil:
		t.record(f.path, Called, 0, c.begin(t, f))
		return true
	case c.play.stage == isOver:
		t.record(f.path, Returned, 0, c.end(t.m))
		return true
	}
	return c.play.next(t)
}

// begin works out what the called playbook is given.
func (c *calling) begin(t *turn, f *frame) calledData {
	d := calledData{Digest: c.body.Playbook.Digest}
	given := map[string]any{}
	for _, b := range c.body.With {
		v, err := b.Value.Eval(f.scope, t.m.run.Created)
		if err != nil {
			return calledData{Digest: d.Digest, Fault: expressionFault("with."+b.Name, err)}
		}
		given[b.Name] = v
	}
	inputs, err := c.body.Playbook.Given(given)
	if err != nil {
		return calledData{Digest: d.Digest, Fault: actions.Failf(actions.CodeInput, "%v", err)}
	}
	vars, fault := evalVars(c.body.Playbook, c.scope(t.m, f, inputs, map[string]any{}), t.m.run.Created)
	if fault == nil {
		d.Inputs, err = encodeValue(inputs)
		if err == nil && len(vars) > 0 {
			d.Vars, err = encodeValue(vars)
		}
		if err != nil {
			fault = expressionFault("with", err)
		}
	}
	d.Fault = fault
	return d
}

// end works out what the called playbook leaves behind.
func (c *calling) end(m *Machine) returnedData {
	if end := c.play.ending; end.State != Succeeded {
		fault := c.play.failure.Fault
		if fault.Code == "" {
			fault.Code = string(end.State)
		}
		fault.Message = end.Message
		return returnedData{Fault: &fault}
	}
	values, fault := c.play.outputs(m)
	if fault != nil || values == nil {
		return returnedData{Fault: fault}
	}
	raw, err := encodeValue(values)
	if err != nil {
		return returnedData{Fault: expressionFault("outputs", err)}
	}
	return returnedData{Outputs: raw}
}

// scope is what the called playbook's expressions see: nothing of the caller but the event, if
// both work on the same kind.
func (c *calling) scope(m *Machine, f *frame, inputs, vars map[string]any) scope {
	p := c.body.Playbook
	steps := map[string]any{}
	for _, list := range [][]playbooks.Step{p.Steps, p.OnFailure, p.Finally} {
		pending(list, steps)
	}
	s := scope{p.Subject: nil, "inputs": inputs, "vars": vars, "steps": steps, "last": nil, "change": nil, "playbook": playbookScope(p)}
	for _, name := range []string{"lists", "tenant", "run", expression.CalendarsName} {
		s[name] = f.scope[name]
	}
	if c.body.Pass {
		s[p.Subject] = f.scope[p.Subject]
	}
	if m.reads != nil {
		m.reads.into(s, p) // with a memory of its own, as it has names of its own
	}
	return s
}

func (c *calling) fold(m *Machine, f *frame, e Entry, _ string) error {
	switch {
	case e.Kind == Called && c.play == nil:
		return c.foldCalled(m, f, e)
	case e.Kind == Returned && c.play != nil && c.play.stage == isOver:
		return c.foldReturned(f, e)
	}
	return f.strange(e)
}

func (c *calling) foldCalled(m *Machine, f *frame, e Entry) error {
	d, err := decodeData[calledData](e)
	if err != nil {
		return err
	}
	if d.Digest != c.body.Playbook.Digest {
		return f.strange(e)
	}
	if d.Fault != nil {
		f.finish(failed(d.Fault))
		return nil
	}
	inputs, err := decodeFields(d.Inputs)
	if err != nil {
		return err
	}
	vars, err := decodeFields(d.Vars)
	if err != nil {
		return err
	}
	c.play = newPlay(c.body.Playbook, c.scope(m, f, inputs, vars), f.path+"/call/")
	c.play.caller = f.seq.play
	return nil
}

func (c *calling) foldReturned(f *frame, e Entry) error {
	d, err := decodeData[returnedData](e)
	if err != nil {
		return err
	}
	if d.Fault != nil {
		f.finish(result{status: "failed", step: c.play.failure.step, fault: d.Fault})
		return nil
	}
	outputs, err := decodeFields(d.Outputs)
	if err != nil {
		return err
	}
	f.finish(result{status: "ok", output: outputs})
	return nil
}

// decodeFields reads a recorded object; nothing is an empty one.
func decodeFields(raw json.RawMessage) (map[string]any, error) {
	if len(raw) == 0 {
		return map[string]any{}, nil
	}
	v, err := decodeValue(raw)
	if err != nil {
		return nil, err
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, errNotFollowing
	}
	return fields, nil
}

// drop cancels the called playbook, which still cleans up.
func (c *calling) drop(m *Machine) {
	if c.play != nil && c.play.stage != isOver {
		c.play.cancel("the playbook that called it gave it up")
		c.play.settle(m)
	}
}

// evalVars works out the variables of a playbook, in order: each may use those above it.
func evalVars(p *playbooks.Playbook, s scope, now time.Time) (map[string]any, *actions.Fault) {
	vars := map[string]any{}
	inner := maps.Clone(s)
	inner["vars"] = vars
	for _, b := range p.Vars {
		v, err := b.Value.Eval(inner, now)
		if err != nil {
			return nil, expressionFault("vars."+b.Name, err)
		}
		vars[b.Name] = v
	}
	return vars, nil
}
