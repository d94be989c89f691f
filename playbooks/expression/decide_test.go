package expression_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/playbooks/expression"
)

const looks = 100_000

// foregone lists the parts of a condition that never change, as TEXT=value.
func foregone(src string) string {
	var all []string
	for _, c := range expression.NewDecider(looks).Foregone(expression.Read(src)) {
		text := fmt.Sprintf("%s=%v", c.Text, c.Value)
		if c.Whole {
			text += "!"
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func TestConditionsThatNeverChangeAreFound(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		// What nobody could call constant.
		`alert.severity == "high"`:                                                        "",
		`alert.severity == "high" and alert.status == "new"`:                              "",
		`alert.severity in ["high", "medium"] and alert.severity != "low"`:                "",
		`alert.severity == "low" or alert.severity == "high"`:                             "",
		`alert.assignedTo == nil or alert.assignedTo != ""`:                               "", // it may be ""
		`alert.assignedTo == nil or alert.assignedTo == ""`:                               "",
		`len(ips(alert)) > 0 and len(ips(alert)) < 2`:                                     "",
		`alert.count > 3 and alert.count < 4`:                                             "", // 3.5
		`any(alert.evidence, .size > 1) and none(alert.evidence, .size > 1)`:              "",
		`alert.title in lists.a and not (alert.title in lists.b)`:                         "",
		`alert.title contains "a" and alert.title contains "b"`:                           "",
		`alert.count < 1e300`:                                                             "",
		`now() > alert.createdDateTime or now() < alert.createdDateTime`:                  "",
		`(alert.a ? alert.b : alert.c).x == 1 and (alert.a ? alert.b : alert.c.x) == 2`:   "", // two places
		`(let n = alert.count; n + 1) * 2 == 4 and (let n = alert.count; n + 1 * 2) == 5`: "",
		`alert.count > 9007199254740992 and alert.count == 9007199254740992.0`:            "", // 9007199254740993
		// Never.
		`alert.severity == "high" and alert.severity == "low"`:                                      `alert.severity == "high" and alert.severity == "low"=false!`,
		`alert.status == "new" and (alert.severity in ["low"] and alert.severity == "high")`:        `alert.status == "new" and (alert.severity in ["low"] and alert.severity == "high")=false!`,
		`alert.flag and not alert.flag`:                                                             `alert.flag and not alert.flag=false!`,
		`alert.flag == true and alert.flag == false`:                                                `alert.flag == true and alert.flag == false=false!`,
		`len(ips(alert)) > 3 and len(ips(alert)) < 2`:                                               `len(ips(alert)) > 3 and len(ips(alert)) < 2=false!`,
		`alert.count >= 3 and 3 > alert.count`:                                                      `alert.count >= 3 and 3 > alert.count=false!`,
		`alert.title == "Port scan" and alert.title startsWith "port"`:                              `alert.title == "Port scan" and alert.title startsWith "port"=false!`,
		`alert.createdDateTime > date("2026-02-01") and alert.createdDateTime < date("2026-01-01")`: `alert.createdDateTime > date("2026-02-01") and alert.createdDateTime < date("2026-01-01")=false!`,
		`glob(alert.title, "a*") and not glob(alert.title, "a*")`:                                   `glob(alert.title, "a*") and not glob(alert.title, "a*")=false!`,
		`alert?.severity == "high" and alert["severity"] == "low"`:                                  `alert?.severity == "high" and alert["severity"] == "low"=false!`,
		`false`:  `false=false!`,
		`1 == 2`: `1 == 2=false!`,
		// Always.
		`alert.severity != "high" or alert.severity != "low"`:   `alert.severity != "high" or alert.severity != "low"=true!`,
		`not (alert.severity == "a" and alert.severity == "b")`: `not (alert.severity == "a" and alert.severity == "b")=true!`,
		`true`: `true=true!`,
		// Parts.
		`alert.status == "new" and (alert.title == nil or alert.title != nil)`:                  `(alert.title == nil or alert.title != nil)=true`,
		`alert.status == "new" and (alert.count < 5 or alert.count >= 5)`:                       "", // it may be nil
		`alert.status == "new" or (alert.severity == "low" and alert.severity == "high")`:       `(alert.severity == "low" and alert.severity == "high")=false`,
		`any(alert.evidence, .size == 1 and .size == 2)`:                                        `.size == 1 and .size == 2=false`,
		`all(alert.evidence, any(#.roles, # == "a" and # == "b") or .size == 1) and alert.flag`: `# == "a" and # == "b"=false`,
		`alert.flag and true`: `true=true`,
	} {
		if got := foregone(src); got != want {
			t.Errorf("%s\n gives %s\n  want %s", src, got, want)
		}
	}
}

// drawn writes a condition over three fields with few values, so that every world can be tried.
func drawn(t *rapid.T, depth int) string {
	if depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") == 0 {
		return rapid.SampledFrom([]string{
			`a == "x"`, `a != "x"`, `a == "y"`, `a in ["x", "z"]`, `not (a in ["y"])`, `a == nil`, `a contains "x"`, `a startsWith "xy"`,
			`b`, `not b`, `b == true`, `b != false`, `n < 2`, `n >= 2`, `2 > n`, `n == 3`, `n in [1, 3]`, `n != nil`,
			`len(a ?? "") > 1`, `glob(a ?? "", "x*")`, `a in lists.l`, `any(lists.l, # == "x")`, `true`, `false`,
		}).Draw(t, "term")
	}
	left, right := drawn(t, depth-1), drawn(t, depth-1)
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 0:
		return "(" + left + " and " + right + ")"
	case 1:
		return "(" + left + " or " + right + ")"
	case 2:
		return "not (" + left + ")"
	}
	return "(" + left + " ? " + right + " : " + drawn(t, depth-1) + ")"
}

// worlds are all combinations of a few values of each field.
func worlds() []map[string]any {
	var all []map[string]any
	for _, a := range []any{nil, "x", "y", "z", "xy", "q"} {
		for _, b := range []any{nil, true, false} {
			for _, n := range []any{nil, int64(1), 1.5, int64(2), int64(3), int64(4)} {
				for _, l := range []any{nil, []any{"x"}, []any{"q"}} {
					all = append(all, map[string]any{"a": a, "b": b, "n": n, "lists": map[string]any{"l": l}})
				}
			}
		}
	}
	return all
}

var small = &expression.Env{Vars: map[string]expression.Type{
	"a": expression.Text, "b": expression.Bool, "n": expression.Number,
	"lists": expression.Object(map[string]expression.Type{"l": expression.List(expression.Text)}),
}}

func TestWhatIsCalledConstantIsSoInEveryWorld(t *testing.T) {
	t.Parallel()
	every := worlds()
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		src := drawn(t, 3)
		for _, c := range expression.NewDecider(looks).Foregone(expression.Read(src)) {
			found++
			p, problem := expression.Compile(c.Text, small, expression.WantBool)
			if problem != nil {
				continue // a part that stands on the item of a list
			}
			for _, world := range every {
				if holds, err := p.Bool(world, runTime); err == nil && holds != c.Value {
					t.Fatalf("%s in %s is called %v, but is %v for %v", c.Text, src, c.Value, holds, world)
				}
			}
		}
	})
	if found == 0 {
		t.Error("nothing constant was drawn")
	}
}

// Of conditions that only compare with ==, every one that is false in all worlds is found.
func TestEveryContradictionOfComparisonsIsFound(t *testing.T) {
	t.Parallel()
	every := worlds()
	rapid.Check(t, func(t *rapid.T) {
		var terms []string
		for range rapid.IntRange(1, 5).Draw(t, "terms") {
			terms = append(terms, "("+strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
				`a == "x"`, `a != "x"`, `a == "y"`, `a in ["x", "z"]`, `a == nil`, `a != nil`, `n == 3`, `n != 3`, `n in [1, 2]`, `b == true`, `b != true`,
			}), 1, 3).Draw(t, "alternatives"), " or ")+")")
		}
		src := strings.Join(terms, " and ")
		p, problem := expression.Compile(src, small, expression.WantBool)
		if problem != nil {
			t.Fatal(problem)
		}
		possible := false
		for _, world := range every {
			holds, err := p.Bool(world, runTime)
			possible = possible || holds && err == nil
		}
		if impossible := expression.NewDecider(looks).Impossible(expression.ClaimOf(src)); impossible == possible {
			t.Fatalf("%s: possible is %v, called impossible: %v", src, possible, impossible)
		}
	})
}

func TestADeciderThatHasLookedTooOftenClaimsNothing(t *testing.T) {
	t.Parallel()
	contradiction := expression.ClaimOf(`a == "x" and a == "y"`)
	if !expression.NewDecider(looks).Impossible(contradiction) || expression.NewDecider(3).Impossible(contradiction) {
		t.Error("an answer without looking, or none with")
	}
	var hard []string // 2 to the 60 ways to try, were there no end
	for i := range 60 {
		hard = append(hard, fmt.Sprintf(`(f(%d) and g(%d) or not f(%d) and g(%d))`, i, i+1, i, i+2))
	}
	if expression.NewDecider(looks).Impossible(expression.ClaimOf(strings.Join(hard, " and ") + ` and (not f(0) or not f(1))`)) {
		t.Error("not known, but called impossible")
	}
}

func TestAClaimAboutAChangedWorldKnowsWhatChanged(t *testing.T) {
	t.Parallel()
	d := expression.NewDecider(looks)
	resolved := map[string]expression.Change{"alert.status": {Value: "resolved"}, "alert.comments": {Unknown: true}}
	for src, want := range map[string]bool{ // whether it certainly holds after the change, if it held before
		`alert.severity == "high"`:                                         true,
		`alert.status == "new"`:                                            false,
		`alert.status != "new"`:                                            true,
		`alert.severity == "high" or alert.status == "new"`:                false,
		`alert.severity == "high" and alert.status in ["new", "resolved"]`: true,
		`none(alert.comments, .comment contains "seen")`:                   false,
		`len(ips(alert)) > 0 and inCIDR(ips(alert)[0], ["10.0.0.0/8"])`:    true,
		`string(alert) contains "x"`:                                       false,
		`alert.createdDateTime > now() - duration("1h")`:                   true,
		`alert.status contains "res"`:                                      true,
	} {
		before := expression.ClaimOf(src)
		if got := d.Impossible(expression.All(before, before.After(resolved).Not())); got != want {
			t.Errorf("%s: certain afterwards: %v, want %v", src, got, want)
		}
	}
	recent := expression.ClaimOf(`alert.createdDateTime > now() - duration("1h")`)
	later := recent.Fixed(func(path string) bool { return path != "now()" })
	if d.Impossible(expression.All(recent, later.Not())) {
		t.Error("what depends on the time is taken for fixed")
	}
}
