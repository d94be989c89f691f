package playbooks

import (
	"slices"
	"strings"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// shapeOf is an action's output schema as a type, so that a misspelt field of a step's output is
// found before anything runs.
func shapeOf(s *actions.Schema) expression.Type { return shapeAt(s, 0) }

// maxShape bounds how deep a schema is followed: schemas may refer to themselves.
const maxShape = 16

func shapeAt(s *actions.Schema, depth int) expression.Type {
	if s == nil || depth > maxShape {
		return expression.Any
	}
	switch typeOf(s) {
	case "string":
		switch {
		case s.Format == "date-time":
			return expression.Time
		case len(s.Enum) > 0:
			if words, ok := enumWords(s); ok {
				return expression.Enum(words...)
			}
		}
		return expression.Text
	case "integer":
		return expression.Int
	case "number":
		return expression.Number
	case "boolean":
		return expression.Bool
	case "array":
		return expression.List(shapeAt(s.Items, depth+1))
	case "object":
		return objectShape(s, depth)
	}
	return expression.Any
}

// objectShape keeps an object without declared fields open: nothing is known of it.
func objectShape(s *actions.Schema, depth int) expression.Type {
	fields := make(map[string]expression.Type, len(s.Properties))
	for name, p := range s.Properties {
		fields[name] = shapeAt(p, depth+1)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Not != nil && len(fields) > 0 {
		return expression.Object(fields)
	}
	if len(fields) == 0 {
		return expression.Any
	}
	return expression.OpenObject(fields)
}

// typeOf is a schema's one type besides null, or "".
func typeOf(s *actions.Schema) string {
	if s == nil {
		return ""
	}
	if s.Type != "" {
		return s.Type
	}
	types := slices.DeleteFunc(slices.Clone(s.Types), func(t string) bool { return t == "null" })
	if len(types) == 1 {
		return types[0]
	}
	return ""
}

func enumWords(s *actions.Schema) ([]string, bool) {
	var words []string
	for _, v := range s.Enum {
		word, ok := v.(string)
		if !ok && v != nil {
			return nil, false
		}
		if ok {
			words = append(words, word)
		}
	}
	return words, true
}

// fits says whether a value of type t may turn out to be what the schema takes. What is not known
// passes: the engine checks the value before the action sees it.
func fits(t expression.Type, s *actions.Schema) bool {
	want := typeOf(s)
	if want == "" || t.IsAny() {
		return true
	}
	item, isList := t.IsList()
	switch {
	case t.IsText():
		return want == "string" && overlap(t.Values(), s)
	case t.IsTime():
		return want == "string"
	case t.IsNumber():
		return want == "number" || want == "integer"
	case t.IsBool():
		return want == "boolean"
	case isList:
		return want == "array" && fits(item, s.Items)
	case t.IsObject():
		return want == "object"
	}
	return true
}

// overlap says whether an enumeration has a value that the schema takes.
func overlap(values []string, s *actions.Schema) bool {
	allowed, ok := enumWords(s)
	if !ok || len(allowed) == 0 || len(values) == 0 {
		return true
	}
	return slices.ContainsFunc(values, func(v string) bool { return slices.Contains(allowed, v) })
}

// schemaWords names what a schema takes, as people would.
func schemaWords(s *actions.Schema) string {
	switch typeOf(s) {
	case "string":
		if words, ok := enumWords(s); ok && len(words) > 0 && len(words) <= 8 {
			return "one of " + strings.Join(words, ", ")
		}
		return "text"
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "an object"
	}
	return "any value"
}

// mendType advises on an expression whose type does not fit.
func mendType(t expression.Type, s *actions.Schema) string {
	_, isList := t.IsList()
	switch want := typeOf(s); {
	case want == "string" && isList:
		return `join(list, ", ") makes text of a list, first(list) takes one of it`
	case want == "string" && !t.IsText():
		return "string(x) makes text of a value"
	case want == "array" && !isList:
		return "[x] is a list of one"
	case want == "integer" || want == "number":
		return "int(x) makes a number of text"
	case want == "boolean":
		return `compare it with something, as in x == "new"`
	}
	return "use another value"
}
