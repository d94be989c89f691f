package engine

import (
	"fmt"
	"strconv"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// parallel is a parallel step in progress. Each branch has a scope of its own; when the step is
// over, what the branches left behind is seen by all.
type parallel struct {
	body     *playbooks.Parallel
	branches []*sequence
}

func newParallel(body *playbooks.Parallel, f *frame) *parallel {
	p := &parallel{body: body}
	for i, steps := range body.Branches {
		p.branches = append(p.branches, f.inner(steps, "/branch/"+strconv.Itoa(i), f.scope.fork()))
	}
	return p
}

func (p *parallel) settle(m *Machine, f *frame) {
	over, bad := 0, -1
	for i, b := range p.branches {
		b.settle(m)
		switch {
		case !b.done:
			continue
		case p.body.Any && !b.result.bad():
			p.finish(f, b.result)
			return
		case b.result.bad() && bad < 0:
			bad = i
		}
		over++
	}
	if over < len(p.branches) || f.seq.play.halted {
		return
	}
	if bad < 0 {
		outputs := make([]any, len(p.branches))
		for i, b := range p.branches {
			outputs[i] = b.result.output
		}
		p.finish(f, result{status: "ok", output: outputs})
		return
	}
	r := p.branches[bad].result
	p.finish(f, result{status: r.status, step: r.step,
		fault: &actions.Fault{Code: r.fault.Code, Message: fmt.Sprintf("branch %d: %s", bad+1, r.fault.Message)}})
}

// finish ends the step. Branches that are not over have lost the race: with the end of the step they
// are given up, which is said where their steps are read.
func (p *parallel) finish(f *frame, r result) {
	for i, b := range p.branches {
		if !b.done && b.cur != nil {
			b.scope.keep(b.cur.step.ID, result{status: "canceled"})
		}
		f.scope.adopt(b.scope, p.body.Branches[i])
	}
	f.finish(r)
}

func (p *parallel) next(t *turn, _ *frame) bool {
	for _, b := range p.branches {
		if b.next(t) {
			return true
		}
	}
	return false
}

func (p *parallel) fold(_ *Machine, f *frame, e Entry, _ string) error { return f.strange(e) }

func (p *parallel) drop(m *Machine) {
	for _, b := range p.branches {
		b.drop(m)
	}
}
