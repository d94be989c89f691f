package playbooks

import (
	"slices"

	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// What this file finds is no mistake of writing: the playbook could run. But its conditions cannot
// mean what somebody meant, and that is certain, because claims say so only where they know. So it
// is said when a playbook is checked, and not asked again of one that ran before.

// judge looks at the conditions of a playbook that has no other mistakes.
type judge struct {
	book  *Playbook
	c     *compiler // nil: nothing is reported
	think *expression.Decider
	// readings are the conditions, and claims what of them holds for all of a run.
	readings map[*expression.Program]*expression.Reading
	claims   map[*expression.Program]*expression.Claim
	acts     []writing // what the steps write to the object that the event brings
	sets     []string  // see assigned
}

// judge reports conditions that never change, steps that are never reached, filters that exclude
// the condition, and playbooks that run again because of nothing.
func (c *compiler) judge() {
	j := newJudge(c.book)
	j.c, j.think = c, expression.NewDecider(MaxLooks)
	for _, cond := range c.conditions {
		j.constants(cond)
	}
	before := len(c.findings)
	j.filters()
	if c.findings[before:].HasErrors() {
		return // what follows from a contradiction is anything
	}
	j.all()
	j.repeats()
}

func newJudge(p *Playbook) *judge {
	return &judge{book: p, readings: map[*expression.Program]*expression.Reading{}, claims: map[*expression.Program]*expression.Claim{}}
}

// read reads a condition once.
func (j *judge) read(p *expression.Program) *expression.Reading {
	r := j.readings[p]
	if r == nil {
		r = expression.Read(p.Source())
		j.readings[p] = r
	}
	return r
}

// matches is what the playbook's condition says.
func (j *judge) matches() *expression.Claim {
	if j.book.When == nil {
		return nil
	}
	return j.read(j.book.When).Claim()
}

// passes is what a poll's filter lets through.
func (j *judge) passes(p *Poll) *expression.Claim {
	if p.Filter == nil {
		return nil
	}
	return j.read(p.Filter.Program).Claim()
}

// all follows all steps.
func (j *judge) all() {
	j.steps(j.book.Steps, j.start())
	j.steps(j.book.OnFailure, expression.Unknown())
	j.steps(j.book.Finally, j.start())
}

// written is a condition and where it stands.
type written struct {
	node    *document.Node
	program *expression.Program
}

// constants reports the parts of a condition that never change.
func (j *judge) constants(cond written) {
	for _, p := range j.think.Foregone(j.read(cond.program)) {
		message, mend := "this is never true", "look for an and where an or is meant, or remove it"
		switch {
		case p.Written && p.Value:
			message, mend = "this is always true", "remove it"
		case p.Written:
			mend = "remove it with what depends on it, or say when"
		case p.Value:
			message, mend = "this is always true", "look for an or where an and is meant, or remove it"
		}
		if p.Whole && !p.Value && !p.Written {
			j.c.report(cond.node.ErrorIn(p.Offset, p.Length, codeConstant, message, mend))
			continue
		}
		j.c.report(cond.node.WarningIn(p.Offset, p.Length, codeConstant, message, mend))
	}
}

// claim is what a condition says, as far as it stays so during a run.
func (j *judge) claim(p *expression.Program) *expression.Claim {
	if p == nil {
		return nil
	}
	if known, ok := j.claims[p]; ok {
		return known
	}
	claim := j.read(p).Claim().Fixed(j.fixed)
	j.claims[p] = claim
	return claim
}

// fixed says whether what stands at a path is the same throughout a run.
func (j *judge) fixed(path string) bool {
	root, rest := splitPath(path)
	switch root {
	case "steps", "last", "failure", "state", "question":
		return false
	case "vars":
		name, _ := splitPath(rest)
		return name != "" && !slices.Contains(j.assigned(), name)
	}
	return !isWorld(path)
}

// assigned lists the variables that some step sets.
func (j *judge) assigned() []string {
	if j.sets != nil {
		return j.sets
	}
	j.sets = []string{}
	j.book.every(func(s *Step) {
		if b, ok := s.Body.(*Assign); ok {
			for _, v := range b.Values {
				j.sets = append(j.sets, v.Name)
			}
		}
	})
	return j.sets
}

// filters reports polls that bring nothing that the condition takes.
func (j *judge) filters() {
	when := j.matches()
	for _, t := range j.book.Triggers {
		if t.Poll == nil || t.Poll.Filter == nil {
			continue
		}
		filter, n := j.passes(t.Poll), j.c.filters[t.Poll]
		switch {
		case j.think.Impossible(filter):
			j.c.fail(n, codeConstant, "look for an and where an or is meant", "nothing passes this filter")
		case !j.think.Impossible(when) && j.think.Impossible(expression.All(filter, when)):
			j.c.fail(n, codeExcluded, "make them agree, or remove one of them", "nothing that passes this filter meets the condition of when")
		}
	}
}

// start is what holds when the steps begin. Who calls a playbook does not ask its condition.
func (j *judge) start() *expression.Claim {
	for _, t := range j.book.Triggers {
		if t.Manual != nil {
			return nil
		}
	}
	return j.claim(j.book.When)
}

// steps follows a list of steps from what holds before it, and says under which condition the run
// ends inside of it; nil: it does not.
func (j *judge) steps(steps []Step, at *expression.Claim) (ends *expression.Claim) {
	var all []*expression.Claim
	for i := range steps {
		if end := j.step(&steps[i], at); end != nil {
			all = append(all, end)
			at = expression.All(at, end.Not())
		}
	}
	if len(all) == 0 {
		return nil
	}
	return expression.AnyOf(all...)
}

// step follows one step, and says under which condition, beside what holds before it, the run ends
// with it.
//
// A condition that ends in an error is neither true nor false. Only on_error goes on behind one, so
// what a step's conditions say holds neither for its on_error nor, if it has one, for what follows.
func (j *judge) step(s *Step, at *expression.Claim) *expression.Claim {
	before, cond := at, j.claim(s.If)
	if cond != nil {
		j.reached(s.If, at)
		at = expression.All(at, cond)
	}
	var ends []*expression.Claim
	end := func(when, inside *expression.Claim) {
		if inside == nil {
			return
		}
		if s.OnError.handles() {
			when = expression.All(when, expression.Unknown())
		}
		ends = append(ends, expression.All(cond, when, inside))
	}
	switch b := s.Body.(type) {
	case *Stop, *Fail:
		end(nil, expression.Holds(true))
	case *Act:
		guard := j.claim(b.Guard)
		if guard != nil {
			j.reached(b.Guard, at)
		}
		j.act(s, b, expression.All(at, guard))
	case *Call:
		j.call(b, at)
	case *Branch:
		yes := j.claim(b.If)
		j.reached(b.If, at)
		end(yes, j.steps(b.Then, expression.All(at, yes)))
		otherwise := expression.All(at, yes.Not())
		j.elseReached(b.Else, at, otherwise)
		end(yes.Not(), j.steps(b.Else, otherwise))
	case *Switch:
		j.cases(b, at, end)
	default: // how often, and whether, these steps run is for the run to say
		s.Nested(func(name string, steps []Step) {
			if name != "on_error" {
				end(expression.Unknown(), j.steps(steps, expression.All(at, expression.Unknown())))
			}
		})
	}
	end(expression.Unknown(), j.steps(s.OnError.Steps, expression.All(before, expression.Unknown())))
	if len(ends) == 0 {
		return nil
	}
	return expression.AnyOf(ends...)
}

// cases follows the ways of a switch.
func (j *judge) cases(b *Switch, at *expression.Claim, end func(when, inside *expression.Claim)) {
	before := []*expression.Claim{}
	for _, way := range b.Cases {
		here := expression.All(append([]*expression.Claim{at}, before...)...)
		yes := j.claim(way.If)
		j.reached(way.If, here)
		taken := expression.All(append([]*expression.Claim{yes}, before...)...)
		end(taken, j.steps(way.Do, expression.All(here, yes)))
		before = append(before, yes.Not())
	}
	rest := expression.All(before...)
	j.elseReached(b.Else, at, expression.All(at, rest))
	end(rest, j.steps(b.Else, expression.All(at, rest)))
}

// reached reports a condition that is excluded by what holds where it stands.
func (j *judge) reached(p *expression.Program, at *expression.Claim) {
	if j.c == nil {
		return
	}
	claim, n := j.claim(p), j.c.nodeOf(p)
	if n == nil || j.think.Impossible(claim) || j.think.Impossible(at) || !j.think.Impossible(expression.All(at, claim)) {
		return
	}
	j.c.fail(n, codeUnreachable, "remove it with what depends on it, or correct one of the conditions",
		"this never holds here: what must hold for the run to come here excludes it")
}

// elseReached reports an else that is never taken.
func (j *judge) elseReached(steps []Step, before, at *expression.Claim) {
	if j.c == nil || len(steps) == 0 || j.think.Impossible(before) || !j.think.Impossible(at) {
		return
	}
	j.c.reportAt(steps[0].Pos, codeUnreachable, "remove the else, or correct one of the conditions",
		"this step is never reached: the conditions above leave nothing for the else")
}
