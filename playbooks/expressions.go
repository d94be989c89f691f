package playbooks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// anything is the type of values of which nothing is known.
var anything = expression.Any

// languageNames are roots that have a meaning somewhere in a playbook, now or in a later version.
// Nothing else may take them. The names of subjects are not among them: a loop over alerts may
// call its item alert where no trigger does.
func languageNames() []string {
	return []string{"tenant", "playbook", "run", "vars", "inputs", "lists", "state", "steps", "failure", "last", "secrets",
		"sla", "change", "status", "output", "error"}
}

func laterRoots() []string { return []string{"state", "sla", "change"} }

func laterFunctions() []string {
	return []string{"seen", "history", "onDuty", "leastLoaded", "businessElapsed", "businessAdd", "inBusinessHours"}
}

// condition compiles a bare expression that is true or false.
func (c *compiler) condition(n *document.Node, s *scope) *expression.Program {
	return c.program(n, s, expression.WantBool, "a condition")
}

// items compiles the expression of a foreach and returns the type of its items.
func (c *compiler) items(n *document.Node, s *scope) (*expression.Program, expression.Type) {
	p := c.program(n, s, expression.WantList, "foreach")
	if p == nil {
		return nil, expression.Any
	}
	item, _ := p.Type().IsList()
	return p, item
}

// program compiles a bare expression.
func (c *compiler) program(n *document.Node, s *scope, want expression.Want, what string) *expression.Program {
	switch {
	case n.Kind != document.String && n.Kind != document.Bool:
		c.fail(n, codeKind, "write an expression as text", "%s is an expression, not %s", what, n)
		return nil
	case strings.HasPrefix(strings.TrimSpace(n.Text), "${{"):
		c.fail(n, codeExpression, "remove ${{ and }}", "%s is an expression already", what)
		return nil
	}
	lists, ok := c.names(n, n.Text, 0, s)
	if !ok {
		return nil
	}
	p, problem := expression.Compile(n.Text, s.env(lists), want)
	if problem != nil {
		c.problem(n, problem)
		return nil
	}
	c.needsAlerts(n, p.Paths())
	return p
}

// template compiles a text that may hold expressions.
func (c *compiler) template(n *document.Node, s *scope) *expression.Template {
	lists, clean := map[string]bool{}, true
	for _, e := range embedded(n.Text) {
		found, ok := c.names(n, e.source, e.offset, s)
		for name := range found {
			lists[name] = true
		}
		clean = clean && ok
	}
	if !clean {
		return nil
	}
	t, problem := expression.ParseTemplate(n.Text, s.env(lists))
	if problem != nil {
		c.problem(n, problem)
		return nil
	}
	c.needsAlerts(n, t.Paths())
	return t
}

// keyTemplate compiles the key of concurrency or dedupe.
func (c *compiler) keyTemplate(n *document.Node, s *scope) *expression.Template {
	if n.Kind != document.String || strings.TrimSpace(n.Text) == "" {
		c.fail(n, codeKind, `write a text such as "${{ incident.id }}"`, "key is text, not %s", n)
		return nil
	}
	return c.template(n, s)
}

// problem reports what the expression compiler found, where it stands in the file.
func (c *compiler) problem(n *document.Node, p *expression.Problem) {
	if slices.ContainsFunc(c.unread, func(f diag.Finding) bool { return f.Pos.Line == n.Pos.Line }) {
		return // the text was cut short by something that is reported already
	}
	c.report(n.ErrorIn(p.Offset, p.Length, codeExpression, p.Message, p.Mend))
}

// needsAlerts warns of an incident that is looked into but comes without its alerts.
func (c *compiler) needsAlerts(n *document.Node, paths []string) {
	if c.book.Subject != incidentSubject || c.expanded {
		return
	}
	for _, p := range paths {
		if p == incidentSubject || p == "incident.alerts" || strings.HasPrefix(p, "incident.alerts.") {
			c.warn(n, codeExpand, "add expand: alerts to the poll", "this looks at the incident's alerts, but the poll does not bring them")
			return
		}
	}
}

// names checks the roots of an expression against the rules of the language and remembers what it
// uses. It returns the watchlists that the expression reads.
func (c *compiler) names(n *document.Node, src string, base int, s *scope) (map[string]bool, bool) {
	u := &usage{c: c, node: n, base: base, scope: s, lists: map[string]bool{}, ok: true}
	refs := references(src)
	for i, ref := range refs {
		switch {
		case ref.local || u.local[ref.root]:
			u.bind(ref)
		case ref.call:
			if slices.Contains(laterFunctions(), ref.root) {
				u.fail(refs[i], codeNotYet, notYetMend(ref.root), "%s() is not supported yet", ref.root)
			}
		default:
			u.root(refs[i])
		}
	}
	return u.lists, u.ok
}

// usage is the check of one expression's names.
type usage struct {
	c     *compiler
	node  *document.Node
	base  int // where the expression begins in the node's text
	scope *scope
	local map[string]bool // names that let gives
	lists map[string]bool
	ok    bool
}

func (u *usage) bind(ref reference) {
	if u.local == nil {
		u.local = map[string]bool{}
	}
	u.local[ref.root] = true
}

// fail reports an error at the root of a path.
func (u *usage) fail(ref reference, code, mend, format string, args ...any) {
	u.ok = false
	u.c.report(u.node.ErrorIn(u.base+ref.offset, len([]rune(ref.root)), code, fmt.Sprintf(format, args...), mend))
}

// failName reports an error at the name behind the root.
func (u *usage) failName(ref reference, code, mend, format string, args ...any) {
	u.ok = false
	u.c.report(u.node.ErrorIn(u.base+ref.nameOffset, len([]rune(ref.name)), code, fmt.Sprintf(format, args...), mend))
}

// root judges one path by its root.
func (u *usage) root(ref reference) {
	s := u.scope
	switch {
	case ref.root == "secrets":
		u.fail(ref, codeSecret, "only a field of an action that takes a secret may be ${{ secrets.NAME }}, and nothing else",
			"a secret cannot be used in an expression")
	case ref.root == "lists":
		u.list(ref)
	case slices.Contains([]string{"vars", "steps", "run", "last", "inputs"}, ref.root) && !s.running:
		u.fail(ref, codePhase, "use the event itself here", "%s has no value yet: this is worked out before a run exists", ref.root)
	case ref.root == "steps":
		u.step(ref)
	case ref.root == "vars" && ref.name != "":
		if _, ok := s.vars[ref.name]; !ok {
			u.failName(ref, codeUnknownName, orElse(didYouMean(ref.name, sortedNames(s.vars)), "declare it under vars, above its use"),
				"there is no variable %q", ref.name)
		}
	case s.has(ref.root):
	case ref.root == "failure":
		u.fail(ref, codePhase, "use it in the steps of on_error", "failure has a value only in the steps of an on_error")
	case slices.Contains(laterRoots(), ref.root):
		u.fail(ref, codeNotYet, notYetMend(ref.root), "%s is not supported yet", ref.root)
	case slices.Contains([]string{alertSubject, incidentSubject, eventSubject}, ref.root):
		u.fail(ref, codeSubject, "write "+u.c.book.Subject, "the triggers of this playbook bring an %s, not an %s", u.c.book.Subject, ref.root)
	case ref.root == "inputs":
		u.fail(ref, codeUnknownName, "declare them: - manual: {inputs: {host: text}}", "this playbook has no inputs")
	}
}

func orElse(mend, fallback string) string {
	if mend == "" {
		return fallback
	}
	return mend
}

func (u *usage) list(ref reference) {
	known := u.c.o.Lists
	switch _, exists := known[ref.name]; {
	case ref.name == "":
		u.fail(ref, codeUnknownList, "write lists.NAME", "a watchlist is named when the playbook is loaded, not worked out")
	case known != nil && !exists:
		u.failName(ref, codeUnknownList, orElse(didYouMean(ref.name, sortedNames(known)), "add a file of that name to the watchlists"),
			"there is no watchlist %q", ref.name)
	default:
		u.lists[ref.name] = true
		u.c.lists[ref.name] = true
	}
}

func (u *usage) step(ref reference) {
	visible := u.scope.steps
	_, here := visible[ref.name]
	declared := u.c.ids[ref.name]
	switch {
	case ref.name == "":
		u.fail(ref, codeUnknownName, "write steps.ID", "a step is named when the playbook is loaded, not worked out")
	case here:
		u.c.used[ref.name] = true
	case declared != nil:
		u.c.used[ref.name] = true
		at := u.node.OffsetPos(u.base + ref.nameOffset)
		switch {
		case declared.Pos.Compare(at) > 0 || u.c.open[ref.name]:
			u.failName(ref, codeLaterStep, "use it in a later step, or move this one down", "the step %q has not ended at this place", ref.name)
		default:
			u.failName(ref, codeLaterStep, "read steps.ID.items of the foreach instead",
				"the step %q is inside of a foreach and cannot be read from outside", ref.name)
		}
	default:
		u.failName(ref, codeUnknownName, didYouMean(ref.name, sortedNames(visible)), "there is no step %q", ref.name)
	}
}

// value compiles a value that may be of any type, and says what is known of it.
func (c *compiler) value(n *document.Node, s *scope) (Value, expression.Type) {
	in := &input{c: c, scope: s, judged: map[string]bool{}}
	v, _, _ := in.value(n, nil, nil)
	return v, typeOfValue(v)
}

// typeOfValue is the type of a compiled value.
func typeOfValue(v Value) expression.Type {
	switch v := v.(type) {
	case Text:
		return v.Template.Type()
	case Object:
		fields := make(map[string]expression.Type, len(v))
		for _, b := range v {
			fields[b.Name] = typeOfValue(b.Value)
		}
		return expression.Object(fields)
	case List:
		return expression.List(expression.Any)
	case Literal:
		return typeOfPlain(v.Value)
	}
	return expression.Any
}

func typeOfPlain(v any) expression.Type {
	switch v := v.(type) {
	case string:
		return expression.Text
	case bool:
		return expression.Bool
	case int64:
		return expression.Int
	case float64:
		return expression.Number
	case []any:
		isText := func(item any) bool { _, ok := item.(string); return ok }
		if len(v) > 0 && !slices.ContainsFunc(v, func(item any) bool { return !isText(item) }) {
			return expression.List(expression.Text)
		}
		return expression.List(expression.Any)
	case map[string]any:
		fields := make(map[string]expression.Type, len(v))
		for name, field := range v {
			fields[name] = typeOfPlain(field)
		}
		return expression.Object(fields)
	}
	return expression.Any
}
