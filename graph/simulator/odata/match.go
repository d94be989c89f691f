package odata

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"
)

// scope is what names mean: the document, and the elements lambdas have named, innermost first.
type scope struct {
	document map[string]any
	name     string
	element  any
	outer    *scope
}

type node interface{ match(scope) bool }

type operand struct {
	path       []string
	quantifier string // any or all, when the path is the collection of a lambda
	literal    Literal
}

func (o operand) isLiteral() bool { return len(o.path) == 0 }

// value finds what the operand stands for; absent and null are both nil.
func (o operand) value(sc scope) any {
	if o.isLiteral() {
		return o.literal.value()
	}
	for s := &sc; s != nil; s = s.outer {
		if s.name != "" && s.name == o.path[0] {
			return walk(s.element, o.path[1:])
		}
	}
	return walk(sc.document, o.path)
}

func (l Literal) value() any {
	switch l.Kind {
	case String:
		return l.Text
	case Number:
		return l.number
	case Bool:
		return l.Text == "true"
	case Time:
		return l.time
	}
	return nil
}

// walk follows a path. A segment with a dot is a type cast: the value passes only when it says it has the type.
func walk(v any, path []string) any {
	for _, segment := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		if strings.Contains(segment, ".") && !strings.HasPrefix(segment, "@") {
			if kind, _ := object["@odata.type"].(string); strings.TrimPrefix(kind, "#") != segment {
				return nil
			}
			continue
		}
		v = object[segment]
	}
	return v
}

// junction is a chain of and (or of or).
type junction struct {
	parts []node
	or    bool
}

func (j junction) reduce() node {
	if len(j.parts) == 1 {
		return j.parts[0]
	}
	return j
}

func (j junction) match(sc scope) bool {
	for _, part := range j.parts {
		if part.match(sc) == j.or {
			return j.or
		}
	}
	return !j.or
}

type negation struct{ inner node }

func (n negation) match(sc scope) bool { return !n.inner.match(sc) }

type comparison struct {
	op          string
	left, right operand
}

// match follows OData 4.01: null equals null only, and an order with null on either side is false.
func (c comparison) match(sc scope) bool {
	a, b := c.left.value(sc), c.right.value(sc)
	switch c.op {
	case "eq":
		return equal(a, b)
	case "ne":
		return !equal(a, b)
	}
	order, ok := compare(a, b)
	if !ok {
		return false
	}
	switch c.op {
	case "gt":
		return order > 0
	case "ge":
		return order >= 0
	case "lt":
		return order < 0
	}
	return order <= 0
}

type membership struct {
	left    operand
	members []Literal
}

func (m membership) match(sc scope) bool {
	value := m.left.value(sc)
	for _, member := range m.members {
		if equal(value, member.value()) {
			return true
		}
	}
	return false
}

type lambda struct {
	collection operand
	name       string
	body       node // nil: any element will do
	all        bool
}

func (l lambda) match(sc scope) bool {
	elements, _ := l.collection.value(sc).([]any)
	for _, element := range elements {
		if l.body == nil {
			return true
		}
		inner := scope{document: sc.document, name: l.name, element: element, outer: &sc}
		if l.body.match(inner) != l.all {
			return !l.all
		}
	}
	return l.all
}

func equal(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	order, ok := compare(a, b)
	return ok && order == 0
}

// compare orders two values, if they can be: times also against text that is a time.
func compare(a, b any) (int, bool) {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return cmp.Compare(x, y), ok
	}
	switch x := a.(type) {
	case bool:
		y, ok := b.(bool)
		return cmp.Compare(rank(x), rank(y)), ok
	case string:
		switch y := b.(type) {
		case string:
			return cmp.Compare(x, y), true
		case time.Time:
			t, err := parseTime(x)
			return t.Compare(y), err == nil
		}
	case time.Time:
		switch y := b.(type) {
		case time.Time:
			return x.Compare(y), true
		case string:
			t, err := parseTime(y)
			return x.Compare(t), err == nil
		}
	}
	return 0, false
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	case int:
		return float64(n), true
	}
	return 0, false
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}
