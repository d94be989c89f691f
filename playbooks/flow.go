package playbooks

import (
	"strconv"

	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// choose reads a switch: a list of cases, the last of which may be an else.
func (c *compiler) choose(b *block, step *Step, depth int, s *scope) afterStep {
	n := b.get("switch")
	after := s
	body := &Switch{}
	step.Body = body
	switch {
	case !c.isList(n, "switch"):
	case len(n.Items) == 0:
		c.fail(n, codeMissing, "add - if: CONDITION with do: STEPS", "this switch is empty")
	case len(n.Items) > MaxCases:
		c.fail(n.Items[MaxCases], codeLimit, "split it", "a switch has %d cases; at most %d are allowed", len(n.Items), MaxCases)
	default:
		for i, item := range n.Items {
			after = c.choice(item, body, step.Path, i == len(n.Items)-1, depth, s, after)
		}
	}
	c.onError(b, step, depth, s)
	return afterStep{scope: after, step: stepType(nil)}
}

// choice reads one case. after collects the ids of all cases: those not taken are pending.
func (c *compiler) choice(n *document.Node, body *Switch, path string, last bool, depth int, s, after *scope) *scope {
	if n.Kind == document.Map && n.Get("else") != nil {
		b, _ := c.block(n, "the else of a switch", elseKeys(), nil)
		if !last {
			c.fail(n, codeUnreachable, "move else to the end", "the cases behind else are never looked at")
		}
		steps, inside := c.stepList(b.get("else"), path+"/else", depth+1, s)
		body.Else = steps
		return after.merge(inside)
	}
	b, ok := c.block(n, "a case of a switch", caseKeys(), nil)
	if !ok {
		return after
	}
	way := Case{}
	if cond, ok := b.need("if", "a condition"); ok {
		way.If = c.condition(cond, s)
	}
	if list, ok := b.need("do", "a list of steps"); ok {
		var inside *scope
		way.Do, inside = c.stepList(list, path+"/case/"+strconv.Itoa(len(body.Cases)), depth+1, s)
		after = after.merge(inside)
	}
	body.Cases = append(body.Cases, way)
	return after
}

// branches reads a parallel: lists of steps that are in progress at the same time. No branch sees
// the steps of another; behind the step all of them are seen.
func (c *compiler) branches(b *block, step *Step, depth int, s *scope) afterStep {
	n := b.get("parallel")
	after := s
	body := &Parallel{Any: b.word("join", "all", "all", "any") == "any"}
	step.Body = body
	switch {
	case !c.isList(n, "parallel"):
	case len(n.Items) < 2:
		c.fail(n, codeMissing, "add another branch, or write the steps without parallel", "parallel needs at least two branches")
	case len(n.Items) > MaxBranches:
		c.fail(n.Items[MaxBranches], codeLimit, "use foreach with concurrency", "parallel has %d branches; at most %d are allowed", len(n.Items), MaxBranches)
	default:
		c.parallel++
		for i, item := range n.Items {
			if item.Kind != document.List {
				c.fail(item, codeKind, `begin each branch with "- - "`, "a branch of parallel is a list of steps, not %s", item)
				continue
			}
			steps, inside := c.stepList(item, step.Path+"/branch/"+strconv.Itoa(i), depth+1, s)
			body.Branches = append(body.Branches, steps)
			after = after.merge(inside)
		}
		c.parallel--
	}
	c.onError(b, step, depth, s)
	return afterStep{scope: after, step: stepType(nil)}
}

// wait reads a wait: for a time, until a moment, or until a condition holds.
func (c *compiler) wait(b *block, step *Step, depth int, s *scope) afterStep {
	body := &Wait{}
	step.Body = body
	n := b.get("wait")
	if n.Kind != document.Map {
		body.For = b.duration("wait", MinWait, MaxWait, 0)
		c.onError(b, step, depth, s)
		return afterStep{scope: s, step: stepType(nil)}
	}
	w, _ := c.block(n, "wait", waitKeys(), nil)
	until, ok := w.need("until", "a time, or a condition with within")
	if !ok {
		return afterStep{scope: s, step: stepType(nil)}
	}
	inside := s
	poll := &WaitPoll{}
	if do := w.get("do"); do != nil {
		poll.Do, inside = c.stepList(do, step.Path+"/do", depth+1, s)
	}
	program := c.program(until, inside, expression.WantAny, "until")
	looks := w.get("every") != nil || w.get("within") != nil || w.get("do") != nil
	switch {
	case program == nil:
	case !looks && (program.Type().IsTime() || program.Type().IsAny()):
		body.Until = program
	case !program.Type().IsBool() && !program.Type().IsAny():
		c.fail(until, codeExpression, `write a condition such as steps.look.output.status == "done", or a time without every, within and do`,
			"until is %s, but a condition or a time is needed", program.Type())
	default:
		poll.Until = program
		c.conditions = append(c.conditions, written{until, program})
		poll.Every = w.duration("every", MinWaitEvery, MaxWait, DefaultWaitEvery)
		if _, ok := w.need("within", "how long to try, such as 30m"); ok {
			poll.Within = w.duration("within", MinWait, MaxWait, 0)
		}
		if poll.Within > 0 && poll.Within/poll.Every > MaxWaitRounds {
			c.fail(w.get("within"), codeLimit, "look less often, or give up sooner", "that is %d looks; at most %d are allowed", poll.Within/poll.Every, MaxWaitRounds)
		}
		body.Poll = poll
	}
	c.onError(b, step, depth, s)
	return afterStep{scope: s, step: stepType(nil)}
}

// after reads what follows the steps: on_failure, finally and outputs. They see every step; those
// that were not reached are pending.
func (c *compiler) after(b *block, s *scope) {
	c.tail++
	if n := b.get("on_failure"); n != nil {
		c.book.OnFailure, s = c.stepList(n, "on_failure", 1, s.withName("failure", failureType()))
	}
	if n := b.get("finally"); n != nil {
		c.finally++
		c.book.Finally, s = c.stepList(n, "finally", 1, s.withName("failure", failureType()))
		c.finally--
	}
	c.tail--
	n := b.get("outputs")
	if n == nil || !c.isMap(n, "outputs") {
		return
	}
	if len(n.Pairs) > MaxOutputs {
		c.fail(n.Pairs[MaxOutputs].Key, codeLimit, "join some of them", "there are more than %d outputs", MaxOutputs)
		return
	}
	types := map[string]expression.Type{}
	c.book.OutputTypes = types
	for _, p := range n.Pairs {
		if c.identifier(p.Key, "an output") {
			value, typ := c.value(p.Value, s)
			c.book.Outputs = append(c.book.Outputs, Binding{Name: p.Key.Text, Value: value})
			types[p.Key.Text] = typ
		}
	}
}

// ends reads a stop or a fail. Where the run is ending anyway there is nothing to stop.
func (c *compiler) ends(n *document.Node, s *scope) *expression.Template {
	if c.tail > 0 {
		c.fail(n, codeConflict, "use if to leave steps out", "the run is ending already: on_failure and finally cannot stop it or make it fail")
	}
	return c.message(n, s)
}
