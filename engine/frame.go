package engine

import (
	"fmt"
	"strconv"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// sequence is a list of steps in progress: of a play, a branch, an iteration, an error handler.
type sequence struct {
	steps   []playbooks.Step
	base    string // path of the list: steps get base/0, base/1, …
	scope   scope
	play    *play
	pos     int
	cur     *frame
	done    bool
	dropped bool   // given up: nothing of it begins any more
	result  result // of the sequence: its last step's output, or its failure
}

// settle moves on as far as the recorded facts allow. Finished frames are folded into the scope
// and forgotten, so a run costs what is in progress, not what is behind it.
func (s *sequence) settle(m *Machine) {
	for !s.done && !s.play.halted {
		if s.cur == nil {
			if s.pos == len(s.steps) {
				s.done = true
				if s.result.status == "" {
					s.result.status = "ok"
				}
				return
			}
			step := &s.steps[s.pos]
			s.cur = &frame{step: step, path: s.base + "/" + strconv.Itoa(s.pos), scope: s.scope, seq: s}
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
		s.result = result{status: f.out.status, step: f.out.step, fault: named(f.step, f.out.fault)}
		if s.result.step == "" {
			s.result.step = nameOf(f.step)
		}
		return
	}
	s.result = result{status: "ok", output: f.out.output}
	s.cur = nil
	s.pos++
}

// nameOf is what people call a step.
func nameOf(step *playbooks.Step) string {
	if step.ID != "" {
		return step.ID
	}
	return step.Path
}

// named puts the step's name before a fault's message, once.
func named(step *playbooks.Step, f *actions.Fault) *actions.Fault {
	g := *f
	g.Message = nameOf(step) + ": " + g.Message
	return &g
}

// next does the first thing that can be done in the sequence.
func (s *sequence) next(t *turn) bool { return s.cur != nil && s.cur.next(t) }

// drop gives the sequence up. What is in the air, and what nobody knows, stays until it is settled.
func (s *sequence) drop(m *Machine) {
	s.dropped = true
	if s.cur != nil {
		s.cur.drop(m)
	}
}

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
	seq     *sequence // that it is a step of
	stage   stage
	out     result
	handled bool // a failure that on_error took care of
	dropped bool // given up while an attempt of it was in the air

	work   work
	act    *act      // work, if the step calls an action
	rescue *sequence // the on_error steps while handling
}

// work is what a step of one kind does once its `if` has let it.
type work interface {
	// settle moves on as far as the recorded facts allow, and finishes the frame when it is over.
	settle(m *Machine, f *frame)
	// next does the first thing that can be done now.
	next(t *turn, f *frame) bool
	// fold takes an entry that is about the step.
	fold(m *Machine, f *frame, e Entry, part string) error
	// drop gives up what is not in the air.
	drop(m *Machine)
}

// newWork begins a step's body.
func (f *frame) newWork() work {
	switch body := f.step.Body.(type) {
	case *playbooks.Act:
		f.act = &act{body: body}
		return f.act
	case *playbooks.Branch:
		return &choice{pick: branchPick(body)}
	case *playbooks.Switch:
		return &choice{pick: switchPick(body)}
	case *playbooks.Foreach:
		return &loop{body: body}
	case *playbooks.Parallel:
		return newParallel(body, f)
	case *playbooks.Wait:
		return &pause{body: body}
	case *playbooks.Question:
		return &inquiry{body: body}
	case *playbooks.Call:
		return &calling{body: body}
	}
	return assignment{}
}

// inner is a sequence of steps below the step.
func (f *frame) inner(steps []playbooks.Step, name string, s scope) *sequence {
	return &sequence{steps: steps, base: f.path + name, scope: s, play: f.seq.play}
}

func (f *frame) settle(m *Machine) {
	if f.stage == asking && f.step.If == nil {
		f.stage = working
	}
	if f.stage == working {
		if f.work == nil {
			f.work = f.newWork()
		}
		f.work.settle(m, f)
	}
	if f.work != nil && f.stage != working {
		f.work.drop(m) // the body is over: what is still to do in it, such as telling people what is asked, need not be done
		f.work = nil
	}
	if f.stage == handling {
		f.rescue.settle(m)
		if f.rescue.done {
			f.handled = !f.rescue.result.bad()
			if !f.handled {
				f.out.fault, f.out.step = f.rescue.result.fault, f.rescue.result.step
			}
			f.stage = finished
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
	case on.Steps != nil && !f.dropped:
		f.stage = handling
		s := f.scope.child("failure", failureOf(f, r).value())
		f.rescue = f.inner(on.Steps, "/on_error", s)
	}
}

func failureOf(f *frame, r result) failure {
	name := r.step
	if name == "" && f.step.ID != "" {
		name = f.step.ID
	}
	if name == "" {
		name = f.path
	}
	return failure{step: name, Fault: *r.fault}
}

// failed is the result of a step that did not come to do anything.
func failed(fault *actions.Fault) result { return result{status: "failed", fault: fault} }

// fold takes an entry that is about this step.
func (f *frame) fold(m *Machine, e Entry, part string) error {
	switch {
	case f.stage == asking && e.Kind == Chose:
		return f.foldIf(e)
	case f.stage == working && f.work != nil:
		return f.work.fold(m, f, e, part)
	}
	return f.strange(e)
}

// strange is the error of an entry that the step does not wait for.
func (f *frame) strange(e Entry) error {
	return fmt.Errorf("%w: entry %d (%s) does not fit step %s", errNotFollowing, e.Seq, e.Kind, f.path)
}

func (f *frame) foldIf(e Entry) error {
	d, err := decodeData[choseData](e)
	if err != nil {
		return err
	}
	switch {
	case d.Fault != nil:
		f.finish(failed(d.Fault))
	case d.Take:
		f.stage = working
	default:
		f.out, f.stage = result{status: "skipped"}, finished
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
	case working:
		return f.work.next(t, f)
	case handling:
		return f.rescue.next(t)
	}
	return false
}

func (f *frame) test(t *turn, name string, p tester) (bool, *actions.Fault) {
	ok, err := p.Bool(f.scope, t.m.run.Created)
	if err != nil {
		return false, expressionFault(name, err)
	}
	return ok, nil
}

// drop gives the step up.
func (f *frame) drop(m *Machine) {
	f.dropped = true
	if f.rescue != nil {
		f.rescue.drop(m)
	} else if f.work != nil {
		f.work.drop(m)
	}
	f.release(m)
}

// release forgets a step that was given up, once nothing of it is in the air, in doubt, or to be
// cleaned up.
func (f *frame) release(m *Machine) {
	if !f.dropped {
		return
	}
	if c, ok := f.work.(*calling); ok && c.play != nil && f.stage == working {
		m.left[f.path] = f
		return
	}
	if f.act == nil || f.stage != working || !f.act.inFlight() && f.act.phase != unsure {
		delete(m.active, f.path)
		delete(m.left, f.path)
	}
}
