package playbooks

import (
	"maps"

	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/playbooks/schema"
)

// The names of the subject of a playbook.
const (
	alertSubject    = "alert"
	incidentSubject = "incident"
	eventSubject    = "event"
)

// scope is what an expression may name at one place of a playbook. It is never changed: steps
// that come later get a scope of their own.
type scope struct {
	vars    map[string]expression.Type // below vars
	steps   map[string]expression.Type // below steps
	names   map[string]expression.Type // everything else
	running bool                       // a run exists: vars, steps, run and last have a meaning
	asks    bool                       // what is decided here is recorded, so it may ask the world
}

func (s *scope) clone() *scope {
	return &scope{vars: maps.Clone(s.vars), steps: maps.Clone(s.steps), names: maps.Clone(s.names), running: s.running, asks: s.asks}
}

func (s *scope) withVar(name string, t expression.Type) *scope {
	next := s.clone()
	next.vars[name] = t
	return next
}

func (s *scope) withStep(id string, t expression.Type) *scope {
	next := s.clone()
	next.steps[id] = t
	return next
}

// merge adds the steps of another scope: those of a way that may not have been taken.
func (s *scope) merge(other *scope) *scope {
	next := s.clone()
	maps.Copy(next.steps, other.steps)
	return next
}

func (s *scope) withName(name string, t expression.Type) *scope {
	next := s.clone()
	next.names[name] = t
	return next
}

// has says whether a root means anything here.
func (s *scope) has(root string) bool {
	if _, ok := s.names[root]; ok {
		return true
	}
	return s.running && (root == "vars" || root == "steps") || root == "lists"
}

// env is the scope in the form that the expression compiler takes. lists are the watchlists that
// the expression names.
func (s *scope) env(lists map[string]expression.Type) *expression.Env {
	vars := maps.Clone(s.names)
	if s.running {
		vars["vars"] = expression.Object(s.vars)
		vars["steps"] = expression.Object(s.steps)
	}
	vars["lists"] = expression.Object(lists)
	env := &expression.Env{Vars: vars}
	if s.asks {
		vars["state"] = expression.Any
		env.Funcs = askedFunctions()
	}
	return env
}

// withoutAsking is the scope of what is worked out before it can be recorded.
func (s *scope) withoutAsking() *scope {
	next := s.clone()
	next.asks = false
	return next
}

// matchScope is what conditions and keys may name: all that is known before there is a run.
func (c *compiler) matchScope() *scope {
	names := map[string]expression.Type{
		c.book.Subject: c.book.SubjectType,
		"tenant":       tenantType(),
		"playbook":     playbookType(),
	}
	if t, ok := c.changeType(); ok {
		names["change"] = t
	}
	s := &scope{
		asks:  true,
		vars:  map[string]expression.Type{},
		steps: map[string]expression.Type{},
		names: names,
	}
	if sla := c.book.SLA(); sla != nil {
		s.names[slaSubject] = slaType(sla)
	}
	return s
}

// runScope is what the run adds.
func (c *compiler) runScope(match *scope) *scope {
	s := match.clone()
	s.running = true
	s.names["run"] = runType()
	s.names["last"] = expression.Any
	if t, ok := c.inputsType(); ok {
		s.names["inputs"] = t
	}
	return s
}

// tenantType is what expressions know of tenant.
func tenantType() expression.Type {
	return expression.Object(map[string]expression.Type{"name": expression.Text})
}

// playbookType is what expressions know of playbook.
func playbookType() expression.Type {
	return expression.Object(map[string]expression.Type{
		"name": expression.Text, "description": expression.Text, "owner": expression.Text, "reason": expression.Text,
		"mode": expression.Enum(string(Live), string(Shadow)), "digest": expression.Text,
		"tags": expression.List(expression.Text),
	})
}

// runType is what expressions know of run.
func runType() expression.Type {
	return expression.Object(map[string]expression.Type{
		"id": expression.Text, "url": expression.Text, "startedAt": expression.Time, "mode": expression.Enum(string(Live), string(Shadow)),
	})
}

// scheduledType is the event of a schedule.
func scheduledType() expression.Type {
	return expression.Object(map[string]expression.Type{"scheduled": expression.Time})
}

// SubjectTypeOf is what expressions know of an event of that kind: alert, incident or event.
func SubjectTypeOf(kind string) expression.Type {
	switch kind {
	case alertSubject:
		return schema.Alert()
	case incidentSubject:
		return schema.Incident()
	}
	return expression.Any
}

// stepStatuses are the values of steps.ID.status. A step that was not reached, in a branch that was not
// taken, is pending.
func stepStatuses() []string {
	return []string{"ok", "failed", "skipped", "uncertain", "canceled", "pending"}
}

// stepType is what expressions know of a step that has ended.
func stepType(fields map[string]expression.Type) expression.Type {
	all := map[string]expression.Type{
		"status":   expression.Enum(stepStatuses()...),
		"error":    errorType(),
		"attempts": expression.Int,
	}
	maps.Copy(all, fields)
	return expression.Object(all)
}

// failureType is what the steps of on_error know of the failure they handle.
func failureType() expression.Type {
	return expression.Object(map[string]expression.Type{
		"step": expression.Text, "code": expression.Text, "message": expression.Text,
	})
}

func errorType() expression.Type {
	return expression.Object(map[string]expression.Type{"code": expression.Text, "message": expression.Text})
}

// inputsType is the type of inputs, if the playbook can be started by hand with any.
func (c *compiler) inputsType() (expression.Type, bool) {
	fields := map[string]expression.Type{}
	for _, t := range c.book.Triggers {
		if t.Manual == nil {
			continue
		}
		for _, in := range t.Manual.Inputs {
			fields[in.Name] = inputType(in)
		}
	}
	return expression.Object(fields), len(fields) > 0
}

func inputType(in Input) expression.Type {
	switch in.Type {
	case "int":
		return expression.Int
	case "number":
		return expression.Number
	case "bool":
		return expression.Bool
	case "list":
		return expression.List(expression.Any)
	}
	if len(in.Enum) > 0 {
		return expression.Enum(in.Enum...)
	}
	return expression.Text
}
