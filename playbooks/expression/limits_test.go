package expression_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/playbooks/expression"
)

func problem(src string) *expression.Problem {
	env, _ := world()
	_, p := expression.Compile(src, env, expression.WantAny)
	return p
}

// nest writes something around something n times.
func nest(before, middle, after string, n int) string {
	return strings.Repeat(before, n) + middle + strings.Repeat(after, n)
}

func TestTextsAtTheLimitAreAcceptedAndBeyondItRefused(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	terms := func(n int) string { return "1" + strings.Repeat("+1", n-1) } // n numbers and n-1 operators
	for _, test := range []struct {
		name, at, beyond string
	}{
		{"source", text(expression.MaxSource), text(expression.MaxSource + 1)},
		{"nodes", "[" + strings.Repeat("1,", expression.MaxNodes-2) + "1]", "[" + strings.Repeat("1,", expression.MaxNodes-1) + "1]"},
		{"nesting", terms(expression.MaxNesting), terms(expression.MaxNesting + 1)},
		{"range", fmt.Sprintf("1..%d", expression.MaxRange), fmt.Sprintf("1..%d", expression.MaxRange+1)},
		{"cost", `any(1..1000, any(1..1000, true))`, `any(1..1000, any(1..1000, any([1, 2], true)))`},
		{"assumed cost", nest("any(incident.alerts, ", "true", ")", 3), nest("any(incident.alerts, ", "true", ")", 4)},
	} {
		if p := problem(test.at); p != nil {
			t.Errorf("%s: at the limit: %v", test.name, p)
		}
		if p := problem(test.beyond); p == nil {
			t.Errorf("%s: beyond the limit is accepted", test.name)
		}
	}
	env, _ := world()
	if _, p := expression.ParseTemplate(strings.Repeat("x", expression.MaxTemplate), env); p != nil {
		t.Error(p)
	}
	if _, p := expression.ParseTemplate(strings.Repeat("x", expression.MaxTemplate+1), env); p == nil {
		t.Error("a template beyond the limit is accepted")
	}
}

func TestOrdinaryWorkIsFarFromTheLimits(t *testing.T) {
	t.Parallel()
	_, scope := world()
	long := make([]any, expression.MaxItems)
	for i := range long {
		long[i] = map[string]any{"name": fmt.Sprint("host", i), "ip": fmt.Sprint("10.0.", i/256, ".", i%256)}
	}
	scope["steps"] = map[string]any{"hosts": long}
	for _, src := range []string{
		`len(filter(steps.hosts, inCIDR(.ip, ["10.0.0.0/8", "192.168.0.0/16"])))`,
		`len(uniq(map(steps.hosts, .name)))`,
		`kql(map(steps.hosts, .name))`,
		`table(steps.hosts, ["name", "ip"])`,
		`len(map(steps.hosts, upper(.name)) | sort())`,
		`len(groupBy(steps.hosts, .ip))`,
		`toJSON(steps.hosts)`,
	} {
		if _, err := compile(t, src).Eval(scope, runTime); err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
}

func TestEventsBeyondTheLimitsAreRefused(t *testing.T) {
	t.Parallel()
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]" }
	text := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	for _, test := range []struct{ name, at, beyond string }{
		{"size", text(expression.MaxPayload), text(expression.MaxPayload + 1)},
		{"items", list(expression.MaxItems), list(expression.MaxItems + 1)},
		{"items further in", `{"a":` + list(expression.MaxItems) + `}`, `{"a":` + list(expression.MaxItems+1) + `}`},
		{"depth", nest("[", "1", "]", expression.MaxDepth), nest("[", "1", "]", expression.MaxDepth+1)},
		{"depth of objects", nest(`{"a":`, "1", "}", expression.MaxDepth), nest(`{"a":`, "1", "}", 100_000)},
	} {
		if _, err := expression.Decode(json.RawMessage(test.at), expression.Any); err != nil {
			t.Errorf("%s: at the limit: %v", test.name, err)
		}
		if _, err := expression.Decode(json.RawMessage(test.beyond), expression.Any); err == nil {
			t.Errorf("%s: beyond the limit is accepted", test.name)
		}
	}
}

func TestAnEvaluationEndsAtItsLimits(t *testing.T) {
	t.Parallel()
	if expression.MaxRange*expression.MaxRange != expression.MaxCost {
		t.Error("two ranges inside each other are no longer what may be written: see the cases of the cost")
	}
	_, scope := world()
	list := func(n int, v any) []any {
		l := make([]any, n)
		for i := range l {
			l[i] = v
		}
		return l
	}
	// Two loops inside each other take their items times their items.
	side := 1
	for side*side < expression.MaxWork {
		side++
	}
	for n, fits := range map[int]bool{side / 2: true, side: false} {
		scope["steps"] = list(n, int64(1))
		if _, err := compile(t, "any(steps, any(steps, # == 2))").Eval(scope, runTime); (err == nil) != fits {
			t.Errorf("%d times %d steps of %d: %v", n, n, expression.MaxWork, err)
		}
	}
	// Sixteen texts are joined.
	for length, fits := range map[int]bool{expression.MaxBytes / 16: true, expression.MaxBytes/16 + 1: false} {
		scope["steps"] = list(16, strings.Repeat("x", length))
		if _, err := compile(t, `len(join(steps, "")) > 0`).Eval(scope, runTime); (err == nil) != fits {
			t.Errorf("a text of %d bytes, where %d may be made: %v", 16*length, expression.MaxBytes, err)
		}
	}
}
