package playbooks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// stepList reads a list of steps. It returns the scope behind the last of them.
func (c *compiler) stepList(n *document.Node, path string, depth int, s *scope) ([]Step, *scope) {
	if !c.isList(n, path[strings.LastIndex(path, "/")+1:]) {
		return nil, s
	}
	switch {
	case len(n.Items) == 0:
		c.fail(n, codeMissing, "add a step, or remove the key", "this list of steps is empty")
		return nil, s
	case depth > MaxStepDepth:
		c.fail(n, codeLimit, "write it flatter", "steps are nested more than %d deep", MaxStepDepth)
		return nil, s
	}
	var (
		steps  []Step
		ending string // what ends the run in every case before the next step
	)
	for i, item := range n.Items {
		if ending != "" {
			c.fail(item, codeUnreachable, "remove it, or give the "+ending+" an if", "this step is never reached: the %s above ends the run", ending)
			ending = ""
		}
		if c.steps++; c.steps > MaxSteps {
			if !c.tooMany {
				c.fail(item, codeLimit, "split the playbook", "there are more than %d steps", MaxSteps)
			}
			c.tooMany = true
			return steps, s
		}
		step, typ, ok := c.step(item, path+"/"+strconv.Itoa(i), depth, s)
		if !ok { // what is wrong with the step is said; that others read it is not wrong
			if id := item.Get("id"); id != nil {
				s = s.withStep(id.Text, anything)
			}
			continue
		}
		s = typ.scope
		if step.ID != "" {
			s = s.withStep(step.ID, typ.step)
		}
		ending = endingOf(step)
		steps = append(steps, step)
	}
	return steps, s
}

// endingOf names what ends the run whenever the step is reached, or "". Behind an on_error the run goes
// on where a condition inside of the step, or the text of its stop, ends in an error.
func endingOf(s Step) string {
	if s.If != nil || s.OnError.handles() {
		return ""
	}
	switch body := s.Body.(type) {
	case *Stop:
		return "stop"
	case *Fail:
		return "fail"
	case *Branch:
		if len(body.Then) == 0 || len(body.Else) == 0 {
			return ""
		}
		if e := endingOf(body.Else[len(body.Else)-1]); e != "" && endingOf(body.Then[len(body.Then)-1]) != "" {
			return e
		}
	case *Switch:
		return endingOfSwitch(body)
	}
	return ""
}

// endingOfSwitch names what ends the run whichever way is taken, or "".
func endingOfSwitch(s *Switch) string {
	if len(s.Else) == 0 {
		return ""
	}
	e := endingOf(s.Else[len(s.Else)-1])
	for _, way := range s.Cases {
		if len(way.Do) == 0 || endingOf(way.Do[len(way.Do)-1]) == "" {
			return ""
		}
	}
	return e
}

// afterStep is what a step leaves behind: the scope of the next one, and its own type.
type afterStep struct {
	scope *scope
	step  expression.Type
}

// step reads one step.
func (c *compiler) step(n *document.Node, path string, depth int, s *scope) (Step, afterStep, bool) {
	after := afterStep{scope: s, step: stepType(nil)}
	body, ok := c.bodyOf(n)
	if !ok {
		return Step{}, after, false
	}
	b, _ := c.block(n, "a step with "+body, stepKeys(body), laterStepKeys())
	step := Step{Path: path, Pos: n.Pos, Name: b.text("name", MaxTextLength)}
	if id := b.get("id"); id != nil && c.identifier(id, "a step") {
		step.ID = id.Text
		c.open[step.ID] = true
		defer delete(c.open, step.ID)
	}
	if cond := b.get("if"); cond != nil && body != "then" {
		if step.If = c.condition(cond, s); step.If == nil {
			step.If = &expression.Program{} // broken, but there: what follows can be reached
		}
	}
	switch body {
	case "action":
		after = c.act(b, &step, depth, s)
	case "foreach":
		after = c.foreach(b, &step, depth, s)
	case "then":
		after = c.branch(b, &step, depth, s)
	case "switch":
		after = c.choose(b, &step, depth, s)
	case "parallel":
		after = c.branches(b, &step, depth, s)
	case "approve":
		after = c.approve(b, &step, depth, s)
	case "ask":
		after = c.ask(b, &step, depth, s)
	case "playbook":
		after = c.call(b, &step, depth, s)
	case "wait":
		after = c.wait(b, &step, depth, s)
	case "set":
		step.Body = c.set(b, s)
	case "stop":
		step.Body = &Stop{Message: c.ends(b.get("stop"), s)}
	case "fail":
		step.Body = &Fail{Message: c.ends(b.get("fail"), s)}
	}
	return step, after, step.Body != nil
}

// bodyOf finds out what a step does.
func (c *compiler) bodyOf(n *document.Node) (string, bool) {
	if !c.isMap(n, "a step") {
		return "", false
	}
	var bodies []string
	later := false
	for _, p := range n.Pairs {
		if slices.Contains(bodyKeys(), p.Key.Text) {
			bodies = append(bodies, p.Key.Text)
		}
		later = later || slices.Contains(laterStepKeys(), p.Key.Text)
	}
	switch {
	case len(bodies) > 1:
		c.fail(n.Pair(bodies[1]).Key, codeConflict, `start a new step with "- "`, "one step cannot have both %s and %s", bodies[0], bodies[1])
	case len(bodies) == 1:
		return bodies[0], true
	case len(n.Pairs) == 0:
		c.fail(n, codeMissing, "add what it does, such as action", "this step is empty")
	default: // judge the keys, and say that the step does nothing if none of them is the reason
		before := len(c.findings)
		c.block(n, "a step", StepKeys(), laterStepKeys())
		if len(c.findings) == before {
			c.fail(n, codeMissing, "add what it does, such as action, or then after an if", "this step does nothing")
		}
	}
	return "", false
}

// message reads the text that a run ends with.
func (c *compiler) message(n *document.Node, s *scope) *expression.Template {
	if n.Kind == document.String {
		return c.template(n, s)
	}
	c.fail(n, codeKind, "say why the run ends here", "the message is text, not %s", n)
	return nil
}

// branch reads if, then and else.
func (c *compiler) branch(b *block, step *Step, depth int, s *scope) afterStep {
	body := &Branch{}
	if cond, ok := b.need("if", "a condition"); ok {
		body.If = c.condition(cond, s)
	}
	after := s
	if n := b.get("then"); n != nil {
		body.Then, after = c.stepList(n, step.Path+"/then", depth+1, s)
	}
	if n := b.get("else"); n != nil {
		body.Else, after = c.stepList(n, step.Path+"/else", depth+1, after)
	}
	step.Body = body
	c.onError(b, step, depth, s)
	return afterStep{scope: after, step: stepType(nil)}
}

// set reads new values of variables.
func (c *compiler) set(b *block, s *scope) Body {
	n := b.get("set")
	if !c.isMap(n, "set") {
		return nil
	}
	if variable := func(p document.Pair) bool { return p.Key.Text != stateKey }; c.parallel > 0 && slices.ContainsFunc(n.Pairs, variable) {
		c.fail(n, codeConflict, "remove concurrency from the foreach, or read steps.ID.items behind it",
			"items that are worked on at the same time cannot set variables: which one comes last is chance")
	}
	names := sortedNames(s.vars)
	body := &Assign{}
	for _, p := range n.Pairs {
		if p.Key.Text == stateKey {
			body.State = c.stateWrites(p.Value, s)
			continue
		}
		if _, ok := s.vars[p.Key.Text]; !ok {
			mend := didYouMean(p.Key.Text, names)
			if mend == "" {
				mend = "declare it under vars first"
			}
			c.fail(p.Key, codeUnknownName, mend, "there is no variable %q", shorten(p.Key.Text))
			continue
		}
		value, _ := c.value(p.Value, s)
		c.gives(p.Key.Text, p.Value, value, s)
		body.Values = append(body.Values, Binding{Name: p.Key.Text, Value: value})
	}
	if len(n.Pairs) == 0 {
		c.fail(n, codeMissing, "add name: value", "set is empty")
	}
	return body
}

// onError reads what a failure of the step means.
func (c *compiler) onError(b *block, step *Step, depth int, s *scope) {
	n := b.get("on_error")
	switch {
	case n == nil:
	case n.Kind == document.List: // these steps may ask what went wrong; nobody sees them from outside
		step.OnError.Steps, _ = c.stepList(n, step.Path+"/on_error", depth+1, s.withName("failure", failureType()))
	default:
		w, _ := c.oneOf(n, "on_error", []string{"fail", "continue"})
		step.OnError.Continue = w == "continue"
	}
}

// retry reads a retry policy.
func (c *compiler) retry(n *document.Node) *Retry {
	b, ok := c.block(n, "retry", retryKeys(), nil)
	if !ok {
		return nil
	}
	r := &Retry{
		Attempts: b.number("attempts", 1, MaxAttempts, DefaultAttempts),
		Backoff:  b.word("backoff", "exponential", "exponential", "constant"),
		Initial:  b.duration("initial", MinBackoff, MaxBackoff, DefaultInitial),
	}
	r.Max = b.duration("max", MinBackoff, MaxBackoff, max(DefaultMax, r.Initial))
	if r.Max < r.Initial {
		c.fail(b.get("max"), codeConflict, fmt.Sprintf("write at least %s", FormatDuration(r.Initial)),
			"max (%s) is less than initial (%s)", FormatDuration(r.Max), FormatDuration(r.Initial))
	}
	return r
}

// collect looks the whole document over for the names that steps give: a reference to a later
// step is a different mistake from a reference to none.
func (c *compiler) collect(root *document.Node) {
	c.ids, c.setVars = map[string]*document.Node{}, map[string]bool{}
	for _, key := range []string{"steps", "on_failure", "finally"} {
		c.collectSteps(root.Get(key))
	}
}

func (c *compiler) collectSteps(n *document.Node) {
	if n == nil || n.Kind != document.List {
		return
	}
	for _, item := range n.Items {
		if id := item.Get("id"); id != nil && id.Kind == document.String {
			if first := c.ids[id.Text]; first != nil {
				c.fail(id, codeDuplicate, "give one of them another id", "the id %q is taken by the step in line %d", shorten(id.Text), first.Pos.Line)
			} else {
				c.ids[id.Text] = id
			}
		}
		if set := item.Get("set"); set != nil {
			for _, p := range set.Pairs {
				c.setVars[p.Key.Text] = true
			}
		}
		for _, list := range nested(item) {
			c.collectSteps(list)
		}
	}
}

// nested gives the lists of steps that stand below a step in the document.
func nested(step *document.Node) []*document.Node {
	lists := []*document.Node{step.Get("then"), step.Get("else"), step.Get("do"), step.Get("on_error")}
	if ways := step.Get("switch"); ways != nil {
		for _, way := range ways.Items {
			lists = append(lists, way.Get("do"), way.Get("else"))
		}
	}
	if branches := step.Get("parallel"); branches != nil {
		lists = append(lists, branches.Items...)
	}
	if wait := step.Get("wait"); wait != nil {
		lists = append(lists, wait.Get("do"))
	}
	return lists
}

// unusedIDs warns of ids that nothing reads: most often a sign of a reference that went astray.
func (c *compiler) unusedIDs() {
	if c.findings.HasErrors() {
		return // a use may stand in an expression that could not be read
	}
	for id, n := range c.ids {
		if !c.used[id] {
			c.warn(n, codeUnusedID, "remove it, or use steps."+id+" below", "nothing reads steps.%s", id)
		}
	}
}

// unusedNames warns of variables and inputs that nothing reads.
func (c *compiler) unusedNames() {
	if c.findings.HasErrors() {
		return
	}
	for root, names := range map[string][]*document.Node{"vars": c.named, "inputs": c.asked} {
		for _, n := range names {
			if !c.read[root+"."] && !c.read[root+"."+n.Text] {
				c.warn(n, codeUnusedName, "remove it, or use "+root+"."+n.Text+" below", "nothing reads %s.%s", root, n.Text)
			}
		}
	}
}
