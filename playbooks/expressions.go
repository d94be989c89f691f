package playbooks

import (
	"maps"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// anything is the type of values of which nothing is known.
var anything = expression.Any

// languageNames are roots that have a meaning somewhere in a playbook.
// Nothing else may take them. The names of subjects are not among them: a loop over alerts may
// call its item alert where no trigger does.
func languageNames() []string {
	return []string{"tenant", "playbook", "run", "vars", "inputs", "lists", "state", "steps", "failure", "last", "secrets",
		"sla", "change", "status", "output", "error"}
}

// condition compiles a bare expression that is true or false.
func (c *compiler) condition(n *document.Node, s *scope) *expression.Program {
	return c.conditionAs(n, s, "a condition")
}

func (c *compiler) conditionAs(n *document.Node, s *scope, what string) *expression.Program {
	p := c.program(n, s, expression.WantBool, what)
	if p != nil {
		c.conditions = append(c.conditions, written{n, p})
	}
	return p
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
	c.useCalendars(n, p.Calendars(), 0)
	c.needsAlerts(n, p.Paths())
	c.questions(n, p.Names(), p.Calls())
	return p
}

// template compiles a text that may hold expressions.
func (c *compiler) template(n *document.Node, s *scope) *expression.Template {
	lists, clean := map[string]expression.Type{}, true
	for _, e := range embedded(n.Text) {
		found, ok := c.names(n, e.source, e.offset, s)
		maps.Copy(lists, found)
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
	for p, offset := range t.Expressions {
		c.useCalendars(n, p.Calendars(), offset)
	}
	c.needsAlerts(n, t.Paths())
	c.questions(n, t.Names(), t.Calls())
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
