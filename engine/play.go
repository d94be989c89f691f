package engine

import (
	"maps"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// play is a playbook in progress: its steps, then on_failure if they failed, then finally.
//
//	steps ──ended well──────────────► cleaning ──► over
//	  │                                  ▲
//	  ├──failed──► failing (on_failure) ─┤
//	  └──canceled────────────────────────┘
//
// Between two stages what is in the air must land, and what nobody knows stays for a person.
type play struct {
	book    *playbooks.Playbook
	caller  *play  // nil: the run's own
	base    string // put before the paths of its lists: "" for the run's own
	scope   scope
	stage   stageOfPlay
	seq     *sequence // of the stage
	halted  bool      // the stage was cut short: by stop, fail or a cancellation
	ending  *EndedData
	failure failure // what made it fail
}

type stageOfPlay int

const (
	inSteps stageOfPlay = iota
	failing
	cleaning
	isOver
)

// failure is what on_failure and finally may ask about.
type failure struct {
	step string
	actions.Fault
}

func (f failure) value() map[string]any {
	return map[string]any{"step": f.step, "code": f.Code, "message": f.Message}
}

func newPlay(book *playbooks.Playbook, s scope, base string) *play {
	p := &play{book: book, base: base, scope: s}
	p.seq = &sequence{steps: book.Steps, base: base + "steps", scope: s, play: p}
	return p
}

// halt ends the stage. What is in the air goes on; nothing new begins.
func (p *play) halt(end EndedData) {
	p.ending, p.halted = &end, true
}

// cancel ends the play from outside. One that cleans up already goes on with that, whatever it was that ended; only a
// second cancellation gives up cleaning, too.
func (p *play) cancel(message string) {
	end := EndedData{State: Canceled, Message: message}
	if p.stage == cleaning && p.ending.State != Canceled {
		p.ending = &end
		return
	}
	p.halt(end)
}

// settle moves on as far as the recorded facts allow.
func (p *play) settle(m *Machine) {
	for p.stage != isOver {
		if !p.seq.dropped {
			if !p.halted {
				p.seq.settle(m)
			}
			if !p.halted && !p.seq.done {
				return
			}
			p.conclude()
			p.seq.drop(m)
		}
		if m.busy(p) {
			return
		}
		p.advance()
	}
}

// conclude takes over how the stage ended.
func (p *play) conclude() {
	r := p.seq.result
	switch {
	case p.halted || !r.bad() && p.ending != nil:
	case !r.bad():
		p.ending = &EndedData{State: Succeeded}
	case p.stage == inSteps:
		p.ending = &EndedData{State: Failed, Message: r.fault.Error()}
		p.failure = failure{step: r.step, Fault: *r.fault}
	case p.stage == failing:
		// The run has failed already; the trace shows that this failed, too.
	case p.ending.State == Succeeded:
		p.ending = &EndedData{State: Failed, Message: "finally: " + r.fault.Error()}
	}
}

// advance begins the next stage.
func (p *play) advance() {
	p.halted = false
	switch p.stage {
	case inSteps:
		p.stage = failing
		if p.ending.State == Failed {
			p.begin("on_failure", p.book.OnFailure)
			return
		}
		fallthrough
	case failing:
		p.stage = cleaning
		p.begin("finally", p.book.Finally)
	case cleaning, isOver:
		p.stage = isOver
	}
}

func (p *play) begin(base string, steps []playbooks.Step) {
	var s scope // nobody looks at it if there are no steps
	if len(steps) > 0 {
		s = maps.Clone(p.scope)
		s["failure"] = nil
		if p.ending.State == Failed {
			s["failure"] = p.failure.value()
		}
	}
	p.seq = &sequence{steps: steps, base: p.base + base, scope: s, play: p}
}

// next does the first thing that can be done.
func (p *play) next(t *turn) bool {
	return p.stage != isOver && !p.seq.dropped && p.seq.next(t)
}

// busy says whether something of the play that was given up has not landed yet.
func (m *Machine) busy(p *play) bool {
	for _, f := range m.active {
		if f.dropped && f.seq.play == p {
			return true
		}
	}
	return false
}

// outputs works out what the play leaves behind.
func (p *play) outputs(m *Machine) (values map[string]any, fault *actions.Fault) {
	if len(p.book.Outputs) == 0 || p.ending.State != Succeeded {
		return nil, nil
	}
	values = map[string]any{}
	for _, b := range p.book.Outputs {
		v, err := b.Value.Eval(p.scope, m.run.Created)
		if err != nil {
			return nil, expressionFault("outputs."+b.Name, err)
		}
		values[b.Name] = v
	}
	return values, nil
}
