package playbooks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// RunSource is the source of events that say that a run has ended.
const RunSource = "run"

// EndOfRun concerns the ends of other playbooks' runs.
type EndOfRun struct {
	Playbooks []string // by name
	States    []string // in which they ended
	// Filter is the same as an expression on the event.
	Filter *Filter
}

// Wants says whether a run's end concerns the trigger.
func (r *EndOfRun) Wants(playbook, state string) bool {
	return slices.Contains(r.Playbooks, playbook) && slices.Contains(r.States, state)
}

// endStates are the states in which a run ends.
func endStates() []string { return []string{"succeeded", "failed", "canceled"} }

// ended reads a trigger that waits for other playbooks' runs to end.
func (c *compiler) ended(n *document.Node) *EndOfRun {
	b, ok := c.block(n, "run", runKeys(), nil)
	if !ok {
		return nil
	}
	r := &EndOfRun{States: endStates()}
	if names, ok := b.need("playbook", "the name of the playbook whose runs it waits for, or a list of names"); ok {
		r.Playbooks = c.endedPlaybooks(names)
	}
	if states := b.get("state"); states != nil {
		r.States = c.someOf(states, "state", endStates())
	}
	source := fmt.Sprintf("event.playbook in %s and event.state in %s", textList(r.Playbooks), textList(r.States))
	env := &expression.Env{Vars: map[string]expression.Type{eventSubject: endedType()}}
	if program, problem := expression.Compile(source, env, expression.WantBool); problem == nil {
		r.Filter = &Filter{Text: source, Program: program}
	} else if len(r.Playbooks) > 0 && len(r.States) > 0 {
		c.fail(n, codeExpression, "name fewer playbooks", "the trigger cannot be evaluated: %s", problem.Message)
	}
	return r
}

// textList writes texts as an expression does. Names and states have no quotes in them.
func textList(list []string) string { return `["` + strings.Join(list, `", "`) + `"]` }

func (c *compiler) endedPlaybooks(n *document.Node) []string {
	items := []*document.Node{n}
	if n.Kind == document.List {
		items = n.Items
	}
	switch {
	case len(items) == 0:
		c.fail(n, codeMissing, "write the name of a playbook", "playbook is empty, so nothing would start this playbook")
	case len(items) > MaxEndedPlaybooks:
		c.fail(items[MaxEndedPlaybooks], codeLimit, "use several triggers", "playbook names %d playbooks; at most %d are allowed", len(items), MaxEndedPlaybooks)
		return nil
	}
	var names []string
	for _, item := range items {
		name := c.text(item, "the name of a playbook", MaxNameLength)
		switch {
		case name == "":
		case !isKebab(name):
			c.fail(item, codeName, "write the playbook's name as it stands in its file", "%q cannot be the name of a playbook", shorten(name))
		case name == c.book.Name:
			c.fail(item, codeRunLoop, "name another playbook; to try again, use retry or on_failure",
				"the playbook would be started by the end of its own runs, for ever")
		case slices.Contains(names, name):
			c.fail(item, codeDuplicate, "remove one of them", "playbook holds %q twice", name)
		default:
			names = append(names, name)
		}
	}
	return names
}

// someOf reads one of a few words, or a list of them.
func (c *compiler) someOf(n *document.Node, what string, words []string) []string {
	items := []*document.Node{n}
	if n.Kind == document.List {
		items = n.Items
	}
	if len(items) == 0 {
		c.fail(n, codeMissing, "write one of "+strings.Join(words, ", "), "%s is empty, so nothing would start this playbook", what)
	}
	var chosen []string
	for _, item := range items {
		if w, ok := c.oneOf(item, what, words); ok && !slices.Contains(chosen, w) {
			chosen = append(chosen, w)
		}
	}
	return chosen
}

// endedType is the event of a run's end.
func endedType() expression.Type {
	return expression.Object(map[string]expression.Type{
		"playbook": expression.Text, "state": expression.Enum(endStates()...), "message": expression.Text,
		"run": expression.Text, "url": expression.Text, "mode": expression.Enum(string(Live), string(Shadow)), "by": expression.Text,
		"startedAt": expression.Time, "endedAt": expression.Time, "outputs": expression.Any,
		"failure": failureType(),
		"event":   expression.Object(map[string]expression.Type{"id": expression.Text, "source": expression.Text, "kind": expression.Text, "title": expression.Text}),
		"object":  expression.Object(map[string]expression.Type{"resource": expression.Text, "id": expression.Text}),
	})
}

// chains leaves out playbooks that wait for runs of playbooks that are not there, and those that
// start each other in a circle: which of the circle should not be is not for us to choose.
func (l *loader) chains(books []*Playbook) []*Playbook {
	byName := map[string]*Playbook{}
	for _, p := range books {
		byName[p.Name] = p
	}
	return slices.DeleteFunc(books, func(p *Playbook) bool {
		for _, t := range p.Triggers {
			if t.Run == nil {
				continue
			}
			for _, name := range t.Run.Playbooks {
				if byName[name] == nil {
					l.failTrigger(codeAwaited, t, orElse(didYouMean(name, sortedNames(byName)), "put it beside this one, without mistakes of its own"),
						"there is no playbook %q whose runs could end", name)
					return true
				}
			}
			if circle := circleThrough(p.Name, t.Run.Playbooks, byName); circle != nil {
				l.failTrigger(codeRunLoop, t, "take one of the run triggers out", "runs of these playbooks start each other for ever: %s", strings.Join(circle, " → "))
				return true
			}
		}
		return false
	})
}

func (l *loader) failTrigger(code string, t Trigger, mend, format string, args ...any) {
	l.findings = append(l.findings, diag.Finding{Code: code, Severity: diag.Error, Pos: t.Pos, Length: 1,
		Message: fmt.Sprintf(format, args...), Mend: mend})
}

// circleThrough finds a way from a playbook to itself, from each run to those that it starts. awaited are
// the playbooks whose ends start it.
func circleThrough(name string, awaited []string, books map[string]*Playbook) []string {
	seen := map[string]bool{}
	var back func(at string, way []string) []string
	back = func(at string, way []string) []string {
		way = append([]string{at}, way...)
		if at == name {
			return way
		}
		if seen[at] || books[at] == nil {
			return nil
		}
		seen[at] = true
		for _, t := range books[at].Triggers {
			if t.Run == nil {
				continue
			}
			for _, next := range t.Run.Playbooks {
				if circle := back(next, way); circle != nil {
					return circle
				}
			}
		}
		return nil
	}
	for _, a := range awaited {
		if circle := back(a, []string{name}); circle != nil {
			return circle
		}
	}
	return nil
}
