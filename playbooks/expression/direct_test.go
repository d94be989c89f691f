package expression_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/playbooks/expression"
)

// Places, constants and values that conditions meet, and some that they should not.
func places() []string {
	return []string{"e", "e.a", "e.b.c", `e["a"]`, `e?.b?.c`, `e["x y"].c`, "e.list", "e.object"}
}

func constants() []string {
	return []string{`"new"`, `"x"`, `""`, `"5"`, "5", "0", "9007199254740993", "true", "false", "nil", `"\u{FFFD}"`}
}

func oddValues() []any {
	return []any{nil, "new", "x", "", "5", int64(5), int64(0), 5.0, 5.5, int64(9007199254740993), 9007199254740992.0, true, false, []any{},
		[]any{"x", "new", nil, int64(5), 5.0}, []any{[]any{"x"}, map[string]any{"a": "x"}}, map[string]any{}, map[string]any{"a": "new", "x": nil},
		map[string]any{"c": "new"}, map[string]any{"c": []any{"new"}}, []any{map[string]any{"a": "x"}, map[string]any{"a": "new"}, "text"},
		[]any{"text", map[string]any{"a": "x"}}, []any{map[string]any{"a": map[string]any{"c": int64(5)}}, nil}, runTime, time.Hour}
}

// oddTerm draws a term: mostly comparisons, and what is almost one.
func oddTerm(t *rapid.T) string { return formed(t, rapid.IntRange(0, 14).Draw(t, "form")) }

func formed(t *rapid.T, form int) string {
	place := rapid.SampledFrom(places()).Draw(t, "place")
	c := rapid.SampledFrom(constants())
	one := c.Draw(t, "constant")
	switch form {
	case 0:
		return fmt.Sprintf("%s == %s", place, one)
	case 1:
		return fmt.Sprintf("%s != %s", one, place)
	case 2:
		return fmt.Sprintf("%s in [%s, %s]", place, one, c.Draw(t, "second"))
	case 3:
		return fmt.Sprintf("%s not in lists.known", place)
	case 4:
		return fmt.Sprintf("%s in lists.known", place)
	case 5:
		return fmt.Sprintf("%s in lists.none", place)
	case 6:
		return fmt.Sprintf("%s in %s", one, place)
	case 7:
		return fmt.Sprintf("(%s == %s or %s in [%s] || %s == %s)", place, one, place, c.Draw(t, "second"), place, c.Draw(t, "third"))
	case 8:
		return fmt.Sprintf("not (%s == %s or %s == %s)", place, one, rapid.SampledFrom(places()).Draw(t, "other"), c.Draw(t, "second"))
	case 9:
		return fmt.Sprintf("any(%s, .a == %s)", place, one)
	case 10:
		return fmt.Sprintf("not any(%s, #.a.c in [%s] or .a.c == %s)", place, one, c.Draw(t, "second"))
	case 11:
		return fmt.Sprintf("any(%s, # == %s)", place, one)
	case 12:
		return fmt.Sprintf("%s %s %s", place, rapid.SampledFrom([]string{"contains", "startsWith", "endsWith"}).Draw(t, "op"), one)
	case 13:
		return fmt.Sprintf("!(%s contains \"e\")", place)
	}
	return fmt.Sprintf("%s > 3", place)
}

func oddScope(t *rapid.T) map[string]any {
	v := rapid.SampledFrom(oddValues())
	object := map[string]any{}
	for _, name := range []string{"a", "b", "x y", "list", "object"} {
		if rapid.Bool().Draw(t, "has "+name) {
			object[name] = v.Draw(t, name)
		}
	}
	var e any = object
	if rapid.IntRange(0, 9).Draw(t, "odd event") == 0 {
		e = v.Draw(t, "event")
	}
	return map[string]any{"e": e, "lists": map[string]any{"known": []any{"new", int64(5), "x"}}}
}

func oddEnv() *expression.Env {
	return &expression.Env{Vars: map[string]expression.Type{
		"e": expression.Any, "lists": expression.Object(map[string]expression.Type{"known": expression.List(expression.Text), "none": expression.List(expression.Text)}),
	}}
}

func TestWithoutTheMachineTheValueTheErrorAndTheChargeAreTheSame(t *testing.T) {
	t.Parallel()
	direct := 0
	rapid.Check(t, func(t *rapid.T) {
		src := oddTerm(t)
		for range rapid.IntRange(0, 3).Draw(t, "more terms") {
			src += " and " + oddTerm(t)
		}
		p, problem := expression.Compile(src, oddEnv(), expression.WantBool)
		if problem != nil {
			return
		}
		scope := oddScope(t)
		want, got := expression.MatchByMachine(p, scope, runTime), expression.MatchMetered(p, scope, runTime)
		if want != got {
			t.Fatalf("%s of %v:\nby the machine %+v\nwithout        %+v", src, scope, want, got)
		}
		direct += expression.Direct(p)
	})
	if direct == 0 {
		t.Error("no term was evaluated without the machine")
	}
}

// decide evaluates a comparison as an index does: from what is at the key and nothing else.
func decide(c expression.Comparison, scope map[string]any) (holds bool, err error) {
	found := false
	err = c.Key.Visit(scope[c.Key.Root], func(v any) {
		constant, ok := expression.Constant(v)
		values := c.Values
		if c.List != "" {
			values, _ = scope["lists"].(map[string]any)[c.List].([]any)
		}
		found = found || ok && slices.Contains(values, constant)
	})
	if err != nil && !found {
		return false, err
	}
	return found != c.Not, nil
}

func TestAComparisonHoldsWhenItsValuesSaySo(t *testing.T) {
	t.Parallel()
	for form := range 12 {
		seen := 0
		rapid.Check(t, func(t *rapid.T) {
			src := formed(t, form)
			p, problem := expression.Compile(src, oddEnv(), expression.WantBool)
			if problem != nil {
				return
			}
			scope := oddScope(t)
			for _, c := range p.Comparisons() {
				seen++
				want := expression.MatchByMachine(p, scope, runTime)
				holds, err := decide(c, scope)
				message := ""
				if err != nil {
					message = (&expression.Fault{Source: src, Message: err.Error()}).Error()
				}
				if holds != want.Holds || message != want.Err || c.Text != src {
					t.Fatalf("%s of %v: %v %q from the values of %s, %+v by the machine", src, scope, holds, message, c.Key, want)
				}
			}
		})
		if seen == 0 {
			t.Errorf("no term of the form %d was a comparison", form)
		}
	}
}

func TestComparisonsEndAtTheFirstTermThatIsNone(t *testing.T) {
	t.Parallel()
	for src, want := range map[string][]string{
		`alert.status == "new" and (alert.title in lists.known_noise and alert.flag) and alert.count == 3`: {
			"alert.status in [new]", "alert.title in lists.known_noise"},
		`"T1003" in alert.mitreTechniques and any(alert.evidence, .ipAddress == "10.9.1.1")`: {
			"alert.mitreTechniques[] in [T1003]", "alert.evidence[#.ipAddress] in [10.9.1.1]"},
		`alert.severity not in ["low", "high"] and alert["x-new"] != nil`: {
			"alert.severity not in [low high]", `alert["x-new"] not in [<nil>]`},
		`(alert.status == "new" or alert.severity == "low") and alert.status == "new"`: nil,
		`alert.title contains "scan"`:                           nil,
		`any(alert.evidence, .size == 1 and .ipAddress == "x")`: nil,
		`any(alert.evidence, .ipAddress == alert.title)`:        nil,
		`any(alert.evidence, .ipAddress != "x")`:                nil,
		`alert.count == -3`:                                     nil,
		`alert.count == 9007199254740993`:                       nil,
		`alert.title in []`:                                     nil,
		`let s = alert.status; s == "new"`:                      nil,
		`alert.evidence[0].ipAddress == "10.9.1.1"`:             nil,
		`alert.status == "new" ? true : false`:                  nil,
	} {
		var got []string
		for _, c := range compile(t, src).Comparisons() {
			line := c.Key.String()
			if c.Not {
				line += " not"
			}
			if c.List != "" {
				got = append(got, line+" in lists."+c.List)
				continue
			}
			got = append(got, line+fmt.Sprint(" in ", c.Values))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, not %q", src, got, want)
		}
	}
}

func TestTheUsualConditionIsEvaluatedWithoutMemory(t *testing.T) {
	for _, status := range []string{"new", "resolved"} {
		_, scope := world()
		scope["alert"].(map[string]any)["status"] = status
		p := compile(t, usual)
		if n := testing.AllocsPerRun(100, func() {
			if _, _, err := p.Match(scope, runTime); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", status, n)
		}
	}
}
