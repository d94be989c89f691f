package expression

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm/runtime"
)

// equals is == for values that may be lists or objects. Numbers are equal whatever their Go type.
func equals(m *meter, args []any) (any, error) {
	return deepEqual(m, args[0], args[1], 0)
}

func deepEqual(m *meter, a, b any, depth int) (bool, error) {
	if err := m.spend(1); err != nil {
		return false, err
	}
	if depth > MaxDepth {
		return false, fmt.Errorf("values nested more than %d deep cannot be compared", MaxDepth)
	}
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		for key, v := range x {
			w, ok := y[key]
			if !ok {
				return false, nil
			}
			if eq, err := deepEqual(m, v, w, depth+1); !eq || err != nil {
				return false, err
			}
		}
		return true, nil
	case []any, []int:
		return equalLists(m, a, b, depth)
	case string:
		y, ok := b.(string)
		if ok && len(x) == len(y) {
			if err := m.read(x); err != nil {
				return false, err
			}
		}
		return ok && x == y, nil
	case nil:
		return b == nil, nil
	}
	switch b.(type) {
	case map[string]any, []any, []int, nil, string:
		return false, nil
	}
	return runtime.Equal(a, b), nil
}

func equalLists(m *meter, a, b any, depth int) (bool, error) {
	if b == nil {
		return false, nil
	}
	x, err := list(a)
	if err != nil {
		return false, err
	}
	y, err := list(b)
	if err != nil || len(x) != len(y) {
		return false, nil // something else than a list is simply not equal
	}
	for i := range x {
		if eq, err := deepEqual(m, x[i], y[i], depth+1); !eq || err != nil {
			return false, err
		}
	}
	return true, nil
}

// in is item in list and key in object.
func in(m *meter, args []any) (any, error) { return isIn(m, args[0], args[1]) }

// IsIn reports whether a value is an item of a list, as in finds it.
func IsIn(value any, list []any) bool {
	found, err := isIn(&meter{}, value, list)
	return found && err == nil
}

func isIn(m *meter, needle, haystack any) (bool, error) {
	switch haystack := haystack.(type) {
	case nil:
		return false, nil
	case map[string]any:
		key, ok := needle.(string)
		if !ok {
			return false, nil
		}
		_, found := haystack[key]
		return found, nil
	case []any:
		if err := m.spend(len(haystack)); err != nil {
			return false, err
		}
		if s, ok := needle.(string); ok {
			for _, v := range haystack {
				if t, ok := v.(string); ok && s == t {
					return true, nil
				}
			}
			return false, nil
		}
		return inList(m, needle, haystack)
	}
	l, err := list(haystack)
	if err != nil {
		return false, notSearchable(haystack)
	}
	return inList(m, needle, l)
}

func notSearchable(v any) error {
	return fmt.Errorf("in looks into a list or an object, this is %s", describe(v))
}

func inList(m *meter, needle any, haystack []any) (bool, error) {
	for _, v := range haystack {
		if eq, err := deepEqual(m, needle, v, 0); eq || err != nil {
			return eq, err
		}
	}
	return false, nil
}

// truth is the right side of and, or.
func truth(_ *meter, args []any) (any, error) {
	if _, ok := args[0].(bool); !ok {
		return nil, fmt.Errorf("true or false is needed, but the value is %s", describe(args[0]))
	}
	return args[0], nil
}

// twoTexts reads the sides of a text operator. A missing side makes the operator false.
func twoTexts(m *meter, op string, left, right any) (a, b string, ok bool, err error) {
	if left == nil || right == nil {
		return "", "", false, nil
	}
	a, ok = left.(string)
	b, ok2 := right.(string)
	if !ok || !ok2 {
		return "", "", false, fmt.Errorf("%s needs text on both sides, not %s and %s", op, describe(left), describe(right))
	}
	return a, b, true, m.read(a)
}

func contains(m *meter, args []any) (any, error) { return containsText(m, args[0], args[1]) }

func containsText(m *meter, text, part any) (bool, error) {
	a, b, ok, err := twoTexts(m, "contains", text, part)
	return ok && strings.Contains(a, b), err
}

func startsWith(m *meter, args []any) (any, error) { return startsWithText(m, args[0], args[1]) }

func startsWithText(m *meter, text, prefix any) (bool, error) {
	a, b, ok, err := twoTexts(m, "startsWith", text, prefix)
	return ok && strings.HasPrefix(a, b), err
}

func endsWith(m *meter, args []any) (any, error) { return endsWithText(m, args[0], args[1]) }

func endsWithText(m *meter, text, suffix any) (bool, error) {
	a, b, ok, err := twoTexts(m, "endsWith", text, suffix)
	return ok && strings.HasSuffix(a, b), err
}

// matches runs a constant pattern. Go's matching is linear in the text but slow, so it is charged eightfold.
func matches(m *meter, args []any) (any, error) {
	if args[0] == nil {
		return false, nil
	}
	s, ok := args[0].(string)
	pattern, ok2 := args[1].(*regexp.Regexp)
	if !ok || !ok2 {
		return nil, fmt.Errorf("matches looks into text, this is %s", describe(args[0]))
	}
	if err := m.spend(8 * (1 + len(s)/bytesPerStep)); err != nil {
		return nil, err
	}
	return pattern.MatchString(s), nil
}

// add is + where a side may be text: what it makes is charged before it is made.
func add(m *meter, args []any) (any, error) {
	a, ok := args[0].(string)
	b, ok2 := args[1].(string)
	if ok && ok2 {
		if err := m.write(len(a) + len(b)); err != nil {
			return nil, err
		}
		return a + b, nil
	}
	if ok || ok2 {
		return nil, fmt.Errorf("+ does not work for %s and %s; write string(x) to make text of a value", describe(args[0]), describe(args[1]))
	}
	return runtime.Add(args[0], args[1]), nil
}

var errScale = errors.New("the duration is too long")

// scale multiplies and divides durations.
func scale(op string) func(m *meter, args []any) (any, error) {
	return func(_ *meter, args []any) (any, error) {
		a, aDur := args[0].(time.Duration)
		b, bDur := args[1].(time.Duration)
		x, xok := number(args[0])
		y, yok := number(args[1])
		var f float64
		switch {
		case op == "/" && aDur && bDur:
			return float64(a) / float64(b), nil
		case op == "/" && aDur && yok:
			f = float64(a) / y
		case op == "*" && aDur && yok:
			f = float64(a) * y
		case op == "*" && bDur && xok:
			f = float64(b) * x
		default:
			return nil, fmt.Errorf("%s does not work for %s and %s", op, describe(args[0]), describe(args[1]))
		}
		if !(f > -9.2e18 && f < 9.2e18) {
			return nil, errScale
		}
		return time.Duration(f), nil
	}
}
