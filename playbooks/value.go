package playbooks

import (
	"time"

	"github.com/playbookd/playbookd/playbooks/expression"
)

// Value is a tree of JSON in which strings may hold expressions: what a step's `with` becomes.
type Value interface {
	// Eval gives the value as plain JSON data: map[string]any, []any, string, numbers, bool, nil.
	Eval(scope map[string]any, now time.Time) (any, error)
}

// Literal is a value without expressions.
type Literal struct{ Value any }

// Text is a string that holds expressions.
type Text struct{ Template *expression.Template }

// List is a list of values.
type List []Value

// Object is an object of values, in the order of the playbook.
type Object []Binding

// Eval returns the literal itself, which nobody may change.
func (l Literal) Eval(map[string]any, time.Time) (any, error) { return l.Value, nil }

// Eval evaluates the template.
func (t Text) Eval(scope map[string]any, now time.Time) (any, error) {
	return t.Template.Eval(scope, now)
}

// Eval evaluates each item.
func (l List) Eval(scope map[string]any, now time.Time) (any, error) {
	out := make([]any, len(l))
	for i, v := range l {
		var err error
		if out[i], err = v.Eval(scope, now); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Eval evaluates each member.
func (o Object) Eval(scope map[string]any, now time.Time) (any, error) {
	out := make(map[string]any, len(o))
	for _, b := range o {
		v, err := b.Value.Eval(scope, now)
		if err != nil {
			return nil, err
		}
		out[b.Name] = v
	}
	return out, nil
}
