package expression

import (
	"fmt"
	"time"
)

// typeOf is the type of a value, not looking into lists and objects.
func typeOf(v any) Type {
	switch v.(type) {
	case nil:
		return nilType
	case bool:
		return Bool
	case int, int64:
		return Int
	case float64:
		return Number
	case string:
		return Text
	case time.Time:
		return Time
	case time.Duration:
		return Duration
	case []any, []int:
		return List(Any)
	case map[string]any:
		return OpenObject(nil)
	}
	return Any
}

// describe names a value's type in messages, never the value: it may be long, or secret.
func describe(v any) string {
	if v == nil {
		return "missing (nil)"
	}
	return typeOf(v).brief()
}

// get is object.field, object["field"] and list[0]. What is not there is nil.
func get(_ *meter, args []any) (any, error) {
	switch base := args[0].(type) {
	case nil:
		return nil, nil
	case map[string]any:
		key, ok := args[1].(string)
		if !ok {
			return nil, fmt.Errorf("a field is chosen by text, not by %s", describe(args[1]))
		}
		return base[key], nil
	case []any, []int, string:
		return item(base, args[1])
	case Keyed:
		return base.Get(args[1])
	}
	return nil, fmt.Errorf("%s has no fields", describe(args[0]))
}

// item is list[i] and text[i]; negative numbers count from the end.
func item(base, index any) (any, error) {
	i, ok := wholeNumber(index)
	if !ok {
		return nil, fmt.Errorf("an item is chosen by a number, not by %s", describe(index))
	}
	switch base := base.(type) {
	case []any:
		if i = fromEnd(i, len(base)); i >= 0 && i < len(base) {
			return base[i], nil
		}
	case []int:
		if i = fromEnd(i, len(base)); i >= 0 && i < len(base) {
			return base[i], nil
		}
	case string:
		runes := []rune(base)
		if i = fromEnd(i, len(runes)); i >= 0 && i < len(runes) {
			return string(runes[i]), nil
		}
	}
	return nil, nil
}

func fromEnd(i, n int) int {
	if i < 0 {
		return n + i
	}
	return i
}

// wholeNumber reads a number that counts something.
func wholeNumber(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case int64:
		return int(v), true
	case float64:
		if v == float64(int64(v)) {
			return int(v), true
		}
	}
	return 0, false
}

// number reads a number.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// slice is x[from:to] of a list or a text, counted in items or characters. Beyond the ends there is nothing.
func slice(m *meter, args []any) (any, error) {
	from, to := 0, -1
	var ok bool
	if args[1] != nil {
		if from, ok = wholeNumber(args[1]); !ok {
			return nil, fmt.Errorf("a position is a number, not %s", describe(args[1]))
		}
	}
	open := args[2] == nil
	if !open {
		if to, ok = wholeNumber(args[2]); !ok {
			return nil, fmt.Errorf("a position is a number, not %s", describe(args[2]))
		}
	}
	bounds := func(n int) (int, int) {
		a, b := min(max(fromEnd(from, n), 0), n), n
		if !open {
			b = min(max(fromEnd(to, n), 0), n)
		}
		return min(a, b), b
	}
	switch base := args[0].(type) {
	case nil:
		return nil, nil
	case string:
		if err := m.write(len(base)); err != nil {
			return nil, err
		}
		runes := []rune(base)
		a, b := bounds(len(runes))
		return string(runes[a:b]), nil
	}
	base, err := list(args[0])
	if err != nil {
		return nil, err
	}
	a, b := bounds(len(base))
	return base[a:b:b], nil
}

// list reads a list; nil is an empty one.
func list(v any) ([]any, error) {
	switch v := v.(type) {
	case nil:
		return []any{}, nil
	case []any:
		return v, nil
	case []int:
		out := make([]any, len(v))
		for i, n := range v {
			out[i] = int64(n)
		}
		return out, nil
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = s
		}
		return out, nil
	}
	return nil, fmt.Errorf("a list is needed, this is %s", describe(v))
}

// items prepares a list for a loop and charges for it. One list is visited once for each pass of the loop
// around it, so nested loops pay the product of their sizes.
func items(m *meter, args []any) (any, error) {
	l, err := list(args[0])
	if err != nil {
		return nil, err
	}
	return l, m.spend(loopCost + len(l))
}

// mirror is the index that an index from the end stands for.
func mirror(_ *meter, args []any) (any, error) {
	l, err := list(args[0])
	index, ok := args[1].(int)
	if err != nil || !ok {
		return nil, err // nothing was found
	}
	return len(l) - 1 - index, nil
}

// grouped gives the result of groupBy texts as keys.
func grouped(m *meter, args []any) (any, error) {
	groups, ok := args[0].(map[any][]any)
	if !ok {
		return nil, fmt.Errorf("groupBy needs a list")
	}
	out := make(map[string]any, len(groups))
	for key, values := range groups {
		name, err := textOf(m, key)
		if err != nil {
			return nil, err
		}
		if _, taken := out[name]; taken {
			return nil, fmt.Errorf("groupBy found two different keys that read %s", quoted(name))
		}
		out[name] = values
	}
	return out, nil
}

// keyText checks a computed key of an object.
func keyText(_ *meter, args []any) (any, error) {
	if key, ok := args[0].(string); ok {
		return key, nil
	}
	return nil, fmt.Errorf("a key is text, not %s", describe(args[0]))
}
