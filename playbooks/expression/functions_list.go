package expression

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

func listFunctions() []function {
	l := need("list", List(Any))
	object := need("object", Object(nil))
	return []function{
		{name: "len", summary: "how many items a list, fields an object or characters a text has", params: []param{need("value", Any)}, typ: Int, call: length},
		{name: "first", summary: "the first item, nil of an empty list", params: []param{l}, result: itemOf, call: first},
		{name: "last", summary: "the last item, nil of an empty list", params: []param{l}, result: itemOf, call: last},
		{name: "take", summary: "the first items of a list", params: []param{l, need("count", Int)}, result: sameAs, call: take},
		{name: "reverse", summary: "a list backwards", params: []param{l}, result: sameAs, call: reverse},
		{name: "uniq", summary: "a list without repeated items, in the order of their first place", params: []param{l}, result: sameAs, call: uniq},
		{name: "sort", summary: `a list in ascending order, or in "desc" order`, params: []param{l, allow("order", Text)}, result: sameAs, call: sortList},
		{name: "concat", summary: "lists one after the other", params: []param{l}, variadic: true, result: concatType, call: concat},
		{name: "flatten", summary: "the items of the lists in a list", params: []param{l}, result: flattenType, call: flatten},
		{name: "keys", summary: "the names of an object's fields, sorted", params: []param{object}, typ: List(Text), call: keys},
		{name: "values", summary: "the values of an object's fields, in the order of their names", params: []param{object}, typ: List(Any), call: values},
		{name: "toPairs", summary: "an object as a list of [name, value], in the order of the names", params: []param{object}, typ: List(List(Any)), call: toPairs},
		{name: "fromPairs", summary: "a list of [name, value] as an object", params: []param{l}, typ: OpenObject(nil), call: fromPairs},
		{name: "type", summary: "what a value is: nil, bool, int, float, string, array, map, time or duration", params: []param{need("value", Any)},
			typ: Enum("nil", "bool", "int", "float", "string", "array", "map", "time", "duration"), call: kindName},
	}
}

func length(m *meter, args []any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return int64(0), nil
	case string:
		return int64(utf8.RuneCountInString(v)), m.read(v)
	case map[string]any:
		return int64(len(v)), nil
	}
	l, err := list(args[0])
	if err != nil {
		return nil, fmt.Errorf("%s has no length", describe(args[0]))
	}
	return int64(len(l)), nil
}

// lists reads the first argument and charges for a copy of it.
func lists(m *meter, args []any) ([]any, error) {
	l, err := list(args[0])
	if err != nil {
		return nil, err
	}
	return l, m.write(16 * len(l))
}

func first(_ *meter, args []any) (any, error) {
	l, err := list(args[0])
	if err != nil || len(l) == 0 {
		return nil, err
	}
	return l[0], nil
}

func last(_ *meter, args []any) (any, error) {
	l, err := list(args[0])
	if err != nil || len(l) == 0 {
		return nil, err
	}
	return l[len(l)-1], nil
}

func take(_ *meter, args []any) (any, error) {
	l, err := list(args[0])
	if err != nil {
		return nil, err
	}
	n, ok := wholeNumber(args[1])
	if !ok || n < 0 {
		return nil, errors.New("take needs a number that is not negative")
	}
	n = min(n, len(l))
	return l[:n:n], nil
}

func reverse(m *meter, args []any) (any, error) {
	l, err := lists(m, args)
	if err != nil {
		return nil, err
	}
	l = slices.Clone(l)
	slices.Reverse(l)
	return l, nil
}

// uniq compares items by their JSON, so that it takes one look at each.
func uniq(m *meter, args []any) (any, error) {
	l, err := lists(m, args)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(l))
	out := make([]any, 0, len(l))
	for _, v := range l {
		key, err := jsonOf(m, v)
		if err != nil {
			return nil, err
		}
		if !seen[key] {
			seen[key] = true
			out = append(out, v)
		}
	}
	return out, nil
}

// sortList sorts numbers, texts or times; a mixture has no order.
func sortList(m *meter, args []any) (any, error) {
	l, err := lists(m, args)
	if err != nil {
		return nil, err
	}
	descending := false
	if len(args) > 1 {
		switch args[1] {
		case "asc", nil:
		case "desc":
			descending = true
		default:
			return nil, errors.New(`the order is "asc" or "desc"`)
		}
	}
	if err := m.spend(len(l) * 16); err != nil {
		return nil, err
	}
	l = slices.Clone(l)
	var failed error
	slices.SortStableFunc(l, func(a, b any) int {
		c, err := compareValues(a, b)
		if err != nil {
			failed = err
		}
		if descending {
			return -c
		}
		return c
	})
	return l, failed
}

// compareValues orders two values of one kind.
func compareValues(a, b any) (int, error) {
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			switch {
			case x < y:
				return -1, nil
			case x > y:
				return 1, nil
			}
			return 0, nil
		}
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), nil
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y), nil
		}
	case time.Duration:
		if y, ok := b.(time.Duration); ok {
			return int(max(-1, min(1, x-y))), nil
		}
	}
	return 0, fmt.Errorf("%s and %s have no order", describe(a), describe(b))
}

func concatType(args []Type) Type {
	t := sameAs(args[:1])
	for _, a := range args[1:] {
		t = join(t, sameAs([]Type{a}))
	}
	return t
}

func concat(m *meter, args []any) (any, error) {
	var out []any
	for _, a := range args {
		l, err := lists(m, []any{a})
		if err != nil {
			return nil, err
		}
		out = append(out, l...)
	}
	if out == nil {
		out = []any{}
	}
	return out, nil
}

func flattenType(args []Type) Type {
	if inner := args[0].item(); inner.kind == kindList {
		return inner
	}
	return List(Any)
}

// flatten takes one level of lists away.
func flatten(m *meter, args []any) (any, error) {
	l, err := lists(m, args)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, v := range l {
		if _, single := v.([]any); !single {
			out = append(out, v)
			continue
		}
		inner, err := lists(m, []any{v})
		if err != nil {
			return nil, err
		}
		out = append(out, inner...)
	}
	return out, nil
}

// fields reads an object and charges for its fields; nil is an empty one.
func fields(m *meter, v any) (map[string]any, []string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil, nil
	case map[string]any:
		if err := m.write(32 * len(v)); err != nil {
			return nil, nil, err
		}
		return v, slices.Sorted(maps.Keys(v)), nil
	}
	return nil, nil, fmt.Errorf("an object is needed, this is %s", describe(v))
}

func keys(m *meter, args []any) (any, error) {
	_, names, err := fields(m, args[0])
	out := make([]any, len(names))
	for i, name := range names {
		out[i] = name
	}
	return out, err
}

func values(m *meter, args []any) (any, error) {
	object, names, err := fields(m, args[0])
	out := make([]any, len(names))
	for i, name := range names {
		out[i] = object[name]
	}
	return out, err
}

func toPairs(m *meter, args []any) (any, error) {
	object, names, err := fields(m, args[0])
	out := make([]any, len(names))
	for i, name := range names {
		out[i] = []any{name, object[name]}
	}
	return out, err
}

func fromPairs(m *meter, args []any) (any, error) {
	l, err := lists(m, args)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(l))
	for _, v := range l {
		pair, err := list(v)
		if err != nil || len(pair) != 2 {
			return nil, errors.New("fromPairs needs a list of [name, value]")
		}
		name, ok := pair[0].(string)
		if !ok {
			return nil, fmt.Errorf("a name is text, not %s", describe(pair[0]))
		}
		out[name] = pair[1]
	}
	return out, nil
}

func kindName(_ *meter, args []any) (any, error) {
	switch args[0].(type) {
	case nil:
		return "nil", nil
	case bool:
		return "bool", nil
	case int, int64:
		return "int", nil
	case float64:
		return "float", nil
	case string:
		return "string", nil
	case time.Time:
		return "time", nil
	case time.Duration:
		return "duration", nil
	case []any, []int:
		return "array", nil
	}
	return "map", nil
}
