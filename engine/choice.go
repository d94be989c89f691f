package engine

import (
	"strconv"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// choice is an if or a switch in progress: which way is decided once and recorded.
type choice struct {
	pick  picker
	taken *sequence
}

// picker is what if and switch differ in.
type picker struct {
	// ask says which way to go; -1 is the way of else.
	ask func(t *turn, f *frame) choseData
	// way gives the steps of a recorded choice and the name of their list; false: no such way.
	way func(d choseData) (steps []playbooks.Step, name string, ok bool)
}

func branchPick(b *playbooks.Branch) picker {
	return picker{
		ask: func(t *turn, f *frame) (d choseData) {
			d.Take, d.Fault = f.test(t, "if", b.If)
			return d
		},
		way: func(d choseData) ([]playbooks.Step, string, bool) {
			if d.Take {
				return b.Then, "/then", true
			}
			return b.Else, "/else", true
		},
	}
}

func switchPick(b *playbooks.Switch) picker {
	return picker{
		ask: func(t *turn, f *frame) choseData {
			for i := range b.Cases {
				ok, fault := f.test(t, "case "+strconv.Itoa(i+1), b.Cases[i].If)
				if ok || fault != nil {
					return choseData{Take: ok, Way: i, Fault: fault}
				}
			}
			return choseData{}
		},
		way: func(d choseData) ([]playbooks.Step, string, bool) {
			switch {
			case !d.Take:
				return b.Else, "/else", true
			case d.Way < 0 || d.Way >= len(b.Cases):
				return nil, "", false
			}
			return b.Cases[d.Way].Do, "/case/" + strconv.Itoa(d.Way), true
		},
	}
}

func (c *choice) settle(m *Machine, f *frame) {
	if c.taken == nil {
		return
	}
	c.taken.settle(m)
	if c.taken.done {
		f.finish(c.taken.result)
	}
}

func (c *choice) next(t *turn, f *frame) bool {
	if c.taken != nil {
		return c.taken.next(t)
	}
	t.record(f.path, Chose, 0, c.pick.ask(t, f))
	return true
}

func (c *choice) fold(_ *Machine, f *frame, e Entry, _ string) error {
	if e.Kind != Chose || c.taken != nil {
		return f.strange(e)
	}
	d, err := decodeData[choseData](e)
	if err != nil {
		return err
	}
	if d.Fault != nil {
		f.finish(failed(d.Fault))
		return nil
	}
	steps, name, ok := c.pick.way(d)
	if !ok {
		return f.strange(e)
	}
	c.taken = f.inner(steps, name, f.scope)
	return nil
}

func (c *choice) drop(m *Machine) {
	if c.taken != nil {
		c.taken.drop(m)
	}
}

// assignment is a set, a stop or a fail in progress: one entry is all of it.
type assignment struct{}

func (assignment) settle(*Machine, *frame) {}
func (assignment) drop(*Machine)           {}

func (assignment) next(t *turn, f *frame) bool {
	t.record(f.path, Assign, 0, f.assign(t))
	return true
}

func (assignment) fold(_ *Machine, f *frame, e Entry, _ string) error {
	if e.Kind != Assign {
		return f.strange(e)
	}
	d, err := decodeData[assignData](e)
	if err != nil {
		return err
	}
	if d.Fault != nil {
		f.finish(failed(d.Fault))
		return nil
	}
	switch f.step.Body.(type) {
	case *playbooks.Stop:
		f.seq.play.halt(EndedData{State: Succeeded, Message: d.Message})
	case *playbooks.Fail:
		f.seq.play.failure = failure{step: nameOf(f.step), Fault: actions.Fault{Code: "fail", Message: d.Message}}
		f.seq.play.halt(EndedData{State: Failed, Message: d.Message})
	case *playbooks.Assign:
		v, err := decodeValue(d.Values)
		if err != nil {
			return err
		}
		values, ok := v.(map[string]any)
		if !ok {
			return f.strange(e)
		}
		vars := f.scope["vars"].(map[string]any)
		for name, value := range values {
			vars[name] = value
		}
		f.finish(result{status: "ok", output: f.scope["last"]})
	}
	return nil
}

// assign works out what a set, a stop or a fail records.
func (f *frame) assign(t *turn) assignData {
	at := t.m.run.Created
	switch body := f.step.Body.(type) {
	case *playbooks.Stop:
		text, err := message(body.Message, f.scope, at)
		if err != nil {
			return assignData{Fault: expressionFault("stop", err)}
		}
		return assignData{Message: text}
	case *playbooks.Fail:
		text, err := message(body.Message, f.scope, at)
		if err != nil {
			return assignData{Fault: expressionFault("fail", err)}
		}
		if text == "" {
			text = "fail at " + f.path + ", whose text has no value"
		}
		return assignData{Message: text}
	case *playbooks.Assign:
		values := map[string]any{}
		for _, b := range body.Values {
			v, err := b.Value.Eval(f.scope, at)
			if err != nil {
				return assignData{Fault: expressionFault("set."+b.Name, err)}
			}
			values[b.Name] = v
		}
		raw, err := encodeValue(values)
		if err != nil {
			return assignData{Fault: expressionFault("set", err)}
		}
		kept, fault := f.kept(t, body.State)
		if fault != nil {
			return assignData{Fault: fault}
		}
		return assignData{Values: raw, State: kept}
	}
	return assignData{Fault: actions.Failf(actions.CodeInternal, "step %s has a body of unknown kind", f.path)}
}
