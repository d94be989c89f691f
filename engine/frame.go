package engine

import (
	"fmt"
	"strconv"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// sequence is a list of steps in progress: the root, a branch, an iteration, an error handler.
type sequence struct {
	steps  []playbooks.Step
	base   string // path of the list: steps get base/0, base/1, …
	scope  scope
	pos    int
	cur    *frame
	done   bool
	result result // of the sequence: its last step's output, or its failure
}

// settle moves on as far as the recorded facts allow. Finished frames are folded into the scope
// and forgotten, so a run costs what is in progress, not what is behind it.
func (s *sequence) settle(m *Machine) {
	for !s.done && m.ending == nil {
		if s.cur == nil {
			if s.pos == len(s.steps) {
				s.done = true
				if s.result.status == "" {
					s.result.status = "ok"
				}
				return
			}
			step := &s.steps[s.pos]
			s.cur = &frame{step: step, path: s.base + "/" + strconv.Itoa(s.pos), scope: s.scope}
			m.active[s.cur.path] = s.cur
		}
		s.cur.settle(m)
		if s.cur.stage != finished {
			return
		}
		s.close(m)
	}
}

// close takes over what the current step left behind.
func (s *sequence) close(m *Machine) {
	f := s.cur
	delete(m.active, f.path)
	s.scope.keep(f.step.ID, f.out)
	if f.out.bad() && !f.handled {
		s.done = true
		s.result = result{status: f.out.status, fault: named(f.step, f.out.fault)}
		return
	}
	s.result = result{status: "ok", output: f.out.output}
	s.cur = nil
	s.pos++
}

// named puts the step's name before a fault's message, once.
func named(step *playbooks.Step, f *actions.Fault) *actions.Fault {
	name := step.ID
	if name == "" {
		name = step.Path
	}
	g := *f
	g.Message = name + ": " + g.Message
	return &g
}

// next does the first thing that can be done in the sequence.
func (s *sequence) next(t *turn) bool { return s.cur != nil && s.cur.next(t) }

// stage is how far a step has come.
type stage int

const (
	asking   stage = iota // its `if` is not decided yet
	working               // its body is in progress
	handling              // its body failed, its on_error steps are in progress
	finished
)

// frame is a step in progress.
type frame struct {
	step    *playbooks.Step
	path    string // stable: the syntax tree's path with the index of each iteration
	scope   scope
	stage   stage
	out     result
	handled bool // a failure that on_error took care of

	act    *act
	loop   *loop
	branch *sequence // of a Branch, or the on_error steps while handling
}

func (f *frame) settle(m *Machine) {
	if f.stage == asking && f.step.If == nil {
		f.stage = working
	}
	if f.stage == working {
		f.work(m)
	}
	if f.stage == handling {
		f.branch.settle(m)
		if f.branch.done {
			f.handled = !f.branch.result.bad()
			if !f.handled {
				f.out.fault = f.branch.result.fault
			}
			f.stage = finished
		}
	}
}

// work settles the body.
func (f *frame) work(m *Machine) {
	switch body := f.step.Body.(type) {
	case *playbooks.Act:
		if f.act == nil {
			f.act = &act{body: body}
		}
	case *playbooks.Branch:
		if f.branch == nil {
			return
		}
		f.branch.settle(m)
		if f.branch.done {
			out := f.branch.result
			f.branch = nil
			f.finish(out)
		}
	case *playbooks.Foreach:
		if f.loop == nil {
			return
		}
		if f.loop.settle(m, f) {
			f.finish(f.loop.result(body))
		}
	}
}

// finish ends the body with a result. A failure goes to on_error first.
func (f *frame) finish(r result) {
	f.out, f.stage = r, finished
	f.act = nil // while on_error is in progress, nothing of the body is in the air
	if !r.bad() {
		return
	}
	switch on := f.step.OnError; {
	case on.Continue:
		f.handled = true
	case on.Steps != nil:
		f.stage = handling
		s := f.scope.child("failure", failureValue(f, r))
		f.branch = &sequence{steps: on.Steps, base: f.path + "/on_error", scope: s}
	}
}

func failureValue(f *frame, r result) map[string]any {
	name := f.step.ID
	if name == "" {
		name = f.path
	}
	return map[string]any{"step": name, "code": r.fault.Code, "message": r.fault.Message}
}

// fold takes an entry that is about this step.
func (f *frame) fold(m *Machine, e Entry, part string) error {
	switch {
	case e.Kind == Chose && f.stage == asking:
		return f.foldIf(e)
	case e.Kind == Chose && f.isOpen(f.branch == nil, isBranch):
		return f.foldBranch(e)
	case e.Kind == Looped && f.isOpen(f.loop == nil, isForeach):
		return f.foldLoop(e)
	case e.Kind == Assign && f.isOpen(true, isAssign):
		return f.foldAssign(m, e)
	case f.act != nil && f.stage == working:
		return f.act.fold(m, f, e, part)
	}
	return fmt.Errorf("%w: entry %d (%s) does not fit step %s", errNotFollowing, e.Seq, e.Kind, f.path)
}

func (f *frame) isOpen(fresh bool, is func(playbooks.Body) bool) bool {
	return f.stage == working && fresh && is(f.step.Body)
}

func isBranch(b playbooks.Body) bool  { _, ok := b.(*playbooks.Branch); return ok }
func isForeach(b playbooks.Body) bool { _, ok := b.(*playbooks.Foreach); return ok }

func isAssign(b playbooks.Body) bool {
	switch b.(type) {
	case *playbooks.Assign, *playbooks.Stop, *playbooks.Fail:
		return true
	}
	return false
}

func (f *frame) foldIf(e Entry) error {
	d, err := decodeData[choseData](e)
	if err != nil {
		return err
	}
	switch {
	case d.Fault != nil:
		f.finish(result{status: "failed", fault: d.Fault})
	case d.Take:
		f.stage = working
	default:
		f.out, f.stage = result{status: "skipped"}, finished
	}
	return nil
}

func (f *frame) foldBranch(e Entry) error {
	d, err := decodeData[choseData](e)
	if err != nil {
		return err
	}
	if d.Fault != nil {
		f.finish(result{status: "failed", fault: d.Fault})
		return nil
	}
	body := f.step.Body.(*playbooks.Branch)
	steps, name := body.Else, "else"
	if d.Take {
		steps, name = body.Then, "then"
	}
	f.branch = &sequence{steps: steps, base: f.path + "/" + name, scope: f.scope}
	return nil
}

func (f *frame) foldLoop(e Entry) error {
	d, err := decodeData[loopedData](e)
	if err != nil {
		return err
	}
	if d.Fault != nil {
		f.finish(result{status: "failed", fault: d.Fault})
		return nil
	}
	v, err := decodeValue(d.Items)
	if err != nil {
		return err
	}
	items, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%w: entry %d holds no list", errNotFollowing, e.Seq)
	}
	f.loop = newLoop(f.step.Body.(*playbooks.Foreach), items)
	return nil
}

func (f *frame) foldAssign(m *Machine, e Entry) error {
	d, err := decodeData[assignData](e)
	if err != nil {
		return err
	}
	if d.Fault != nil {
		f.finish(result{status: "failed", fault: d.Fault})
		return nil
	}
	switch f.step.Body.(type) {
	case *playbooks.Stop:
		m.ending = &EndedData{State: Succeeded, Message: d.Message}
	case *playbooks.Fail:
		m.ending = &EndedData{State: Failed, Message: d.Message}
	case *playbooks.Assign:
		v, err := decodeValue(d.Values)
		if err != nil {
			return err
		}
		values, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%w: entry %d holds no values", errNotFollowing, e.Seq)
		}
		for name, value := range values {
			m.vars[name] = value
		}
		f.finish(result{status: "ok", output: f.scope["last"]})
	}
	return nil
}

// next does the first thing that can be done in the step.
func (f *frame) next(t *turn) bool {
	switch f.stage {
	case asking:
		var d choseData
		d.Take, d.Fault = f.test(t, "if", f.step.If)
		t.record(f.path, Chose, 0, d)
		return true
	case handling:
		return f.branch.next(t)
	case finished:
		return false
	}
	switch body := f.step.Body.(type) {
	case *playbooks.Act:
		return f.act.next(t, f)
	case *playbooks.Branch:
		if f.branch != nil {
			return f.branch.next(t)
		}
		var d choseData
		d.Take, d.Fault = f.test(t, "if", body.If)
		t.record(f.path, Chose, 0, d)
	case *playbooks.Foreach:
		if f.loop != nil {
			return f.loop.next(t)
		}
		t.record(f.path, Looped, 0, f.items(t, body))
	default:
		t.record(f.path, Assign, 0, f.assign(t))
	}
	return true
}

func (f *frame) test(t *turn, name string, p tester) (bool, *actions.Fault) {
	ok, err := p.Bool(f.scope, t.m.run.Created)
	if err != nil {
		return false, expressionFault(name, err)
	}
	return ok, nil
}

func (f *frame) items(t *turn, body *playbooks.Foreach) loopedData {
	v, err := body.Items.Eval(f.scope, t.m.run.Created)
	if err != nil {
		return loopedData{Fault: expressionFault("foreach", err)}
	}
	list, ok := v.([]any)
	switch {
	case v == nil:
		list = []any{}
	case !ok:
		return loopedData{Fault: actions.Failf("expression", "foreach: the value is no list but %T", v)}
	case len(list) > MaxItems:
		return loopedData{Fault: actions.Failf("limit", "foreach: %d items; at most %d are allowed", len(list), MaxItems)}
	}
	raw, err := encodeValue(list)
	if err != nil {
		return loopedData{Fault: expressionFault("foreach", err)}
	}
	return loopedData{Items: raw}
}

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
		return assignData{Values: raw}
	}
	return assignData{Fault: actions.Failf(actions.CodeInternal, "step %s has a body of unknown kind", f.path)}
}
