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

// Texts that have killed or stalled a process that compiled them as they are.
func killers() map[string]string {
	return map[string]string{
		"nested repeat":            `repeat(repeat("a", 1000000), 1000000)`,
		"repeat by the back door":  `::repeat("a", 1000000000)`,
		"a million nots":           strings.Repeat("!", 1_000_000) + "true",
		"nots that fit":            strings.Repeat("!", expression.MaxSource-10) + "true",
		"100,000 parentheses":      nest("(", "1", ")", 100_000),
		"many terms":               "1" + strings.Repeat(" + 1", 20_000),
		"large range":              `1..1000000000`,
		"range of a name":          `1..alert.count`,
		"negative range":           `-9223372036854775807..9223372036854775807`,
		"loops in loops":           nest("any(incident.alerts, ", "true", ")", 6),
		"loops over long lists":    `any(1..1000, any(1..1000, any(1..1000, true)))`,
		"chained comparisons":      nest("1 < (", "1", ") < 1", 60),
		"elvis in elvis":           nest("(", "alert.count", " ?: 1)", 60),
		"run-time pattern":         `alert.title matches alert.title`,
		"pattern that is too deep": `alert.title matches "` + nest("(", "a", ")", 1100) + `"`,
		"pattern that is too wide": `alert.title matches "(((a{1000}){1000}){1000})"`,
		"broken text":              "alert.title == \"\xff\"",
		"empty":                    " \n ",
		"deep members":             "steps" + strings.Repeat(".a", 300),
		"deep lists":               nest("[", "1", "]", 300),
		"deep calls":               nest("lower(", `"a"`, ")", 300),
		"unclosed comment":         `1 /* `,
		"unclosed quote":           `"`,
		"lonely pointer":           `#`,
		"lonely operator":          `??`,
	}
}

func TestKnownKillersEndInAProblem(t *testing.T) {
	t.Parallel()
	for name, src := range killers() {
		if p := problem(src); p == nil {
			t.Errorf("%s is accepted", name)
		} else if n := len([]rune(src)); p.Message == "" || p.Offset < 0 || p.Offset > n {
			t.Errorf("%s: %+v", name, p)
		}
	}
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

// Values that grow while they are computed, from programs that are small and cheap to look at.
func TestEvaluationsThatGrowAreStopped(t *testing.T) {
	t.Parallel()
	env, scope := world()
	long := make([]any, expression.MaxItems)
	for i := range long {
		long[i] = strings.Repeat("ab", 400)
	}
	scope["steps"] = map[string]any{"long": long, "text": strings.Repeat("a", 900_000)}
	doubling := func(format string) string {
		var b strings.Builder
		b.WriteString(`let v0 = steps.long; `)
		for i := 1; i <= 30; i++ {
			fmt.Fprintf(&b, format+"; ", i, i-1, i-1)
		}
		return b.String()
	}
	for name, src := range map[string]string{
		"text doubled":             strings.Replace(doubling("let v%d = v%d + v%d"), "steps.long", "steps.text", 1) + "len(v30)",
		"lists doubled":            doubling("let v%d = concat(v%d, v%d)") + "len(v30)",
		"shared lists as JSON":     doubling("let v%d = [v%d, v%d]") + "toJSON(v30)",
		"shared lists as text":     doubling("let v%d = [v%d, v%d]") + "string(v30)",
		"shared lists as a value":  doubling("let v%d = [v%d, v%d]") + "v30",
		"shared lists compared":    doubling("let v%d = [v%d, v%d]") + "v30 == [v29, v28]",
		"shared lists made unique": doubling("let v%d = [v%d, v%d]") + "uniq(v30)",
		"replace":                  `replace(steps.text, "a", steps.text)`,
		"join":                     `join(steps.long, steps.text)`,
		"reduce":                   `reduce(steps.long, #acc + #acc, "aaaaaaaa")`,
		"split":                    `map(steps.long, split(steps.text, "a"))`,
		"loops":                    `any(steps.long, any(steps.long, any(steps.long, false)))`,
		"loops over text":          `any(steps.long, any(steps.long, steps.text contains "b"))`,
		"patterns over text":       `any(steps.long, any(steps.long, steps.text matches "b$"))`,
		"globs over text":          `any(steps.long, glob(steps.text, "*a*a*a*a*b"))`,
		"many empty loops":         `any(steps.long, any(steps.long, any([], false)))`,
		"lists in lists":           `map(steps.long, map(steps.long, ({"a": 1, "b": 2})))`,
		"lookups":                  `all(steps.long, all(steps.long, # not in ["x", "y", "z"] and # != 1 and map(steps.long, #index) != []))`,
		"upper":                    `map(steps.long, upper(steps.text))`,
		"hash":                     `map(steps.long, hash(steps.text))`,
		"table":                    `table(map(steps.long, ({"a": steps.text})))`,
		"kql":                      `map(steps.long, kql(steps.long))`,
		"from JSON":                `map(steps.long, fromJSON("[" + join(steps.long, ",") + "]"))`,
	} {
		p, problem := expression.Compile(src, env, expression.WantAny)
		if problem != nil {
			t.Errorf("%s: %v", name, problem)
			continue
		}
		if v, err := p.Eval(scope, runTime); err == nil {
			t.Errorf("%s: has a value of type %T", name, v)
		}
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
