package expression

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

func numberFunctions() []function {
	n := need("number", Number)
	numbers := need("numbers", Any)
	return []function{
		{name: "abs", summary: "a number without its sign", params: []param{n}, result: sameNumber, call: abs},
		{name: "ceil", summary: "a number rounded up", params: []param{n}, typ: Number, call: rounded(math.Ceil)},
		{name: "floor", summary: "a number rounded down", params: []param{n}, typ: Number, call: rounded(math.Floor)},
		{name: "round", summary: "a number rounded to the nearest whole one", params: []param{n}, typ: Number, call: rounded(math.Round)},
		{name: "int", summary: "a number or text as a whole number", params: []param{need("value", Any)}, typ: Int, call: toInt},
		{name: "float", summary: "a number or text as a number", params: []param{need("value", Any)}, typ: Number, call: toFloat},
		{name: "max", summary: "the largest of numbers, texts or times, given singly or as a list; missing ones do not count", params: []param{numbers}, variadic: true, result: extremeType, call: extreme(1)},
		{name: "min", summary: "the smallest of numbers, texts or times, given singly or as a list; missing ones do not count", params: []param{numbers}, variadic: true, result: extremeType, call: extreme(-1)},
		{name: "mean", summary: "the mean of numbers", params: []param{need("numbers", List(Number))}, typ: Number, call: mean},
		{name: "median", summary: "the median of numbers", params: []param{need("numbers", List(Number))}, typ: Number, call: median},
	}
}

func sameNumber(args []Type) Type {
	if args[0].IsNumber() {
		return args[0]
	}
	return Number
}

func abs(_ *meter, args []any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return nil, nil
	case int64:
		return max(v, -v), nil
	case int:
		return max(v, -v), nil
	case float64:
		return math.Abs(v), nil
	}
	return nil, fmt.Errorf("a number is needed, this is %s", describe(args[0]))
}

func rounded(f func(float64) float64) func(*meter, []any) (any, error) {
	return func(_ *meter, args []any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		n, ok := number(args[0])
		if !ok {
			return nil, fmt.Errorf("a number is needed, this is %s", describe(args[0]))
		}
		return f(n), nil
	}
}

func toInt(_ *meter, args []any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return nil, nil
	case int:
		return int64(v), nil
	case int64:
		return v, nil
	case float64:
		if !(v > -9.2e18 && v < 9.2e18) {
			return nil, errors.New("the number is too large")
		}
		return int64(v), nil
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is not a whole number", quoted(v))
		}
		return n, nil
	}
	return nil, fmt.Errorf("a number cannot be made of %s", describe(args[0]))
}

func toFloat(_ *meter, args []any) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	if n, ok := number(args[0]); ok {
		return n, nil
	}
	if s, ok := args[0].(string); ok {
		n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return nil, fmt.Errorf("%s is not a number", quoted(s))
		}
		return n, nil
	}
	return nil, fmt.Errorf("a number cannot be made of %s", describe(args[0]))
}

func extremeType(args []Type) Type {
	t := nilType
	for _, a := range args {
		if a.kind == kindList {
			a = a.item()
		}
		t = join(t, a)
	}
	return t
}

// extreme is max and min; sign is the sign of the comparison that replaces the value so far.
func extreme(sign int) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		var best any
		consider := func(v any) error {
			if v == nil {
				return nil
			}
			if best == nil {
				best = v
			}
			c, err := compareValues(v, best)
			if c == sign {
				best = v
			}
			return err
		}
		for _, a := range args {
			l := []any{a}
			switch a := a.(type) {
			case []any:
				l = a
			case []int:
				l, _ = list(a)
			}
			if err := m.spend(len(l)); err != nil {
				return nil, err
			}
			for _, v := range l {
				if err := consider(v); err != nil {
					return nil, err
				}
			}
		}
		return best, nil
	}
}

// numbersOf reads a list of numbers; missing ones do not count.
func numbersOf(m *meter, v any) ([]float64, error) {
	l, err := lists(m, []any{v})
	if err != nil {
		return nil, err
	}
	out := make([]float64, 0, len(l))
	for _, v := range l {
		if v == nil {
			continue
		}
		n, ok := number(v)
		if !ok {
			return nil, fmt.Errorf("numbers are needed, an item is %s", describe(v))
		}
		out = append(out, n)
	}
	return out, nil
}

func mean(m *meter, args []any) (any, error) {
	ns, err := numbersOf(m, args[0])
	if err != nil || len(ns) == 0 {
		return nil, err
	}
	sum := 0.0
	for _, n := range ns {
		sum += n
	}
	return sum / float64(len(ns)), nil
}

func median(m *meter, args []any) (any, error) {
	ns, err := numbersOf(m, args[0])
	if err != nil || len(ns) == 0 {
		return nil, err
	}
	slices.Sort(ns)
	half := len(ns) / 2
	if len(ns)%2 == 1 {
		return ns[half], nil
	}
	return (ns[half-1] + ns[half]) / 2, nil
}

func timeFunctions() []function {
	return []function{
		{name: "now", summary: "the time of the run, the same for as long as the run lasts and whenever it is decided again", typ: Time, call: now},
		{name: "duration", summary: "a duration from text such as 90s, 30m, 4h, 2d", params: []param{need("text", Text)}, typ: Duration, call: toDuration},
		{name: "date", summary: "a time from text: RFC 3339, 2027-03-31 or 2027-03-31 08:00:00, in UTC unless the text says otherwise", params: []param{need("text", Any)}, typ: Time, call: toTime},
	}
}

func now(m *meter, _ []any) (any, error) { return m.now, nil }

func toDuration(_ *meter, args []any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return nil, nil
	case time.Duration:
		return v, nil
	case string:
		if d, ok := parseDuration(v); ok {
			return d, nil
		}
		return nil, fmt.Errorf("%s is not a duration; write 90s, 30m, 4h or 2d", quoted(v))
	}
	return nil, fmt.Errorf("text is needed, this is %s", describe(args[0]))
}

// parseDuration reads Go's durations and, before them, days: 2d, 1d12h.
func parseDuration(s string) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	days, rest, found := strings.Cut(s, "d")
	if !found {
		d, err := time.ParseDuration(s)
		return d, err == nil
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n > 36500 {
		return 0, false
	}
	total := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return total, true
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > 24*365*100*time.Hour {
		return 0, false
	}
	return total + d, true
}

func toTime(_ *meter, args []any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return nil, nil
	case time.Time:
		return v, nil
	case string:
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly, time.DateTime, "2006-01-02T15:04:05", "2006-01-02T15:04"} {
			if t, err := time.Parse(layout, strings.TrimSpace(v)); err == nil {
				return t.UTC(), nil
			}
		}
		return nil, fmt.Errorf("%s is not a time; write 2027-03-31T08:00:00Z", quoted(v))
	}
	return nil, fmt.Errorf("a time cannot be made of %s", describe(args[0]))
}
