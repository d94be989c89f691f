package expression_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/playbooks/expression"
)

func TestExpressionsHaveTheirValues(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]any{
		`alert.title`:                                     "Port scan",
		`alert["x-new"]`:                                  "kept",
		`alert.count + 1`:                                 int64(4),
		`alert.count / 2`:                                 1.5,
		`alert.count % 2`:                                 int64(1),
		`2 ** 3`:                                          8.0,
		`-alert.count`:                                    int64(-3),
		`alert.title + "!"`:                               "Port scan!",
		`alert.severity in ["low"]`:                       true,
		`alert.title not in ["x"]`:                        true,
		`alert.title contains "scan"`:                     true,
		`alert.title matches "(?i)^port"`:                 true,
		`alert.title startsWith "Port"`:                   true,
		`not (alert.status == "resolved")`:                true,
		`alert.status == "new" ? 1 : 2`:                   int64(1),
		`if alert.status == "new" { "a" } else { "b" }`:   "a",
		`let n = alert.count; n * n`:                      int64(9),
		`now()`:                                           runTime,
		`now() - alert.createdDateTime`:                   time.Hour,
		`now() - alert.createdDateTime > duration("30m")`: true,
		`alert.createdDateTime + duration("1h") == now()`: true,
		`duration("1d") * 2`:                              48 * time.Hour,
		`duration("1h") / duration("30m")`:                2.0,
		`alert.createdDateTime > date("2027-03-31")`:      true,
		`{"b": 1, "a": [1.5, nil]}`:                       map[string]any{"b": int64(1), "a": []any{1.5, nil}},
		`1..3`:                                            []any{int64(1), int64(2), int64(3)},
		`sum(map(1..10, # * 2))`:                          int64(110),
		`reduce(1..4, #acc + #, 0)`:                       int64(10),
		`filter(steps.contain.items, .status == "ok") | map(.host.name)`:            []any{"pc1"},
		`any(incident.alerts, any(.mitreTechniques, techniqueIn(#, ["T1003"])))`:    true,
		`count(alert.evidence, .size > 1)`:                                          int64(3),
		`findIndex(alert.evidence, .ipAddress == "10.9.1.2")`:                       int64(1),
		`keys(groupBy(alert.evidence, .ipAddress))`:                                 []any{"10.9.1.1", "10.9.1.2"},
		`map(sortBy(alert.evidence, .ipAddress, "desc"), .ipAddress)[0]`:            "10.9.1.2",
		`alert.evidence[-1].ipAddress`:                                              "10.9.1.1",
		`alert.title[0:4]`:                                                          "Port",
		`map(alert.evidence, .ipAddress)[:2]`:                                       []any{"10.9.1.1", "10.9.1.2"},
		`[1, alert.count] == [1, 3]`:                                                true,
		`{"a": [alert.count]} == {"a": [3.0]}`:                                      true,
		`alert.evidence[0] in alert.evidence`:                                       true,
		`"id" in alert`:                                                             true,
		`onDuty("tier1", now())`:                                                    "anna@contoso.example",
		`alert /* the one */ .title`:                                                "Port scan",
		`all(ips(alert), inCIDR(#, lists.scanner_ranges)) and len(ips(alert)) == 2`: true,
	} {
		if diff := cmp.Diff(want, eval(t, src)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", src, diff)
		}
	}
}

func TestMissingValuesAreNilAndNeverPanic(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]any{
		`alert.assignedTo == nil`:                  true,
		`alert.assignedTo ?? "nobody"`:             "nobody",
		`alert.assignedTo contains "x"`:            false,
		`alert.assignedTo matches "x"`:             false,
		`steps.nothing.at.all`:                     nil,
		`steps?.nothing?.at`:                       nil,
		`steps.contain.items[7].host.name`:         nil,
		`alert.evidence[99].ipAddress`:             nil,
		`len(steps.nothing)`:                       int64(0),
		`any(steps.nothing, .x == 1)`:              false,
		`all(steps.nothing, .x == 1)`:              true,
		`map(steps.nothing, .x)`:                   []any{},
		`"a" in steps.nothing`:                     false,
		`lower(alert.assignedTo)`:                  nil,
		`first([])`:                                nil,
		`join(steps.nothing, ",")`:                 "",
		`ips(steps.nothing)`:                       []any{},
		`inCIDR(alert.assignedTo, "10.0.0.0/8")`:   false,
		`inCIDR("not an address", "10.0.0.0/8")`:   false,
		`techniqueIn(alert.assignedTo, ["T1003"])`: false,
	} {
		if diff := cmp.Diff(want, eval(t, src)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", src, diff)
		}
	}
}

func TestWhatCannotBeDecidedIsAnErrorThatSaysWhy(t *testing.T) {
	t.Parallel()
	_, scope := world()
	for src, want := range map[string]string{
		`steps.x > 1`:                           "x ?? y",
		`alert.flag and true`:                   "missing (nil)",
		`steps.contain.items + 1`:               "does not work for",
		`any(steps.contain, true)`:              "a list is needed",
		`steps.contain.items.status`:            "chosen by a number",
		`alert.createdDateTime > steps.contain`: "does not work for",
		`10 % (alert.count - 3)`:                "divide by zero",
		`1 / (alert.count - 3)`:                 "division by zero",
		`inCIDR("10.0.0.1", "10.0.0.0/99")`:     "is not a range",
		`int("x")`:                              "not a whole number",
		`date("yesterday")`:                     "not a time",
		`fromJSON("{")`:                         "not JSON",
		`kql(steps)`:                            "no literal",
		`odata([])`:                             "len(list) > 0",
		`sort([1, "a"])`:                        "have no order",
		`groupBy(steps.contain.items, .host)`:   "unhashable",
	} {
		_, err := compile(t, src).Eval(scope, runTime)
		var fault *expression.Fault
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", src, err, want)
		}
	}
}

func TestAConditionSaysWhichTermIsFalse(t *testing.T) {
	t.Parallel()
	env, scope := world()
	for _, test := range []struct {
		src, because string
		terms        int
	}{
		{`alert.status == "new" and alert.title in lists.known_noise and len(ips(alert)) > 0`, "", 3},
		{`alert.status == "new" and alert.title == "x" and 1 > 2`, `alert.title == "x"`, 3},
		{"(alert.status == \"new\"\n  && ((alert.count > 9))) and true", `((alert.count > 9))`, 3},
		{`((alert.status == "new" and alert.count > 9))`, `alert.count > 9`, 2},
		{`alert.status == "resolved" or alert.count > 9`, `alert.status == "resolved" or alert.count > 9`, 1},
		{`(alert.count > 9 or alert.count < 0) and true`, `(alert.count > 9 or alert.count < 0)`, 2},
		{`not (alert.status == "new" and true)`, `not (alert.status == "new" and true)`, 1},
		{`any(alert.evidence, .size > 0 and .size > 99) and true`, `any(alert.evidence, .size > 0 and .size > 99)`, 2},
		{`alert.title == "ü and ö" and alert.title == "x"`, `alert.title == "ü and ö"`, 2},
		{`let x = alert.count; x > 1 and x > 5`, `let x = alert.count; x > 1 and x > 5`, 1},
	} {
		p, problem := expression.Compile(test.src, env, expression.WantBool)
		if problem != nil {
			t.Errorf("%s: %v", test.src, problem)
			continue
		}
		ok, because, err := p.Match(scope, runTime)
		if err != nil || ok != (test.because == "") || because != test.because {
			t.Errorf("%s: %v because %q (%v), want %q", test.src, ok, because, err, test.because)
		}
		if got := len(p.Terms()); got != test.terms {
			t.Errorf("%s: %d terms %q, want %d", test.src, got, p.Terms(), test.terms)
		}
		v, err := p.Eval(scope, runTime)
		if err != nil || v != ok {
			t.Errorf("%s: Eval says %v (%v), Match %v", test.src, v, err, ok)
		}
	}
}

func TestTermsAfterAFalseOneAreNotEvaluated(t *testing.T) {
	t.Parallel()
	_, scope := world()
	ok, because, err := compile(t, `alert.count > 9 and steps.x > 1`).Match(scope, runTime)
	if ok || because != "alert.count > 9" || err != nil {
		t.Errorf("%v %q %v", ok, because, err)
	}
}

func TestProgramsTellWhatTheyUse(t *testing.T) {
	t.Parallel()
	p := compile(t, `alert.title in lists.known_noise and any(alert.evidence, .ipAddress != nil) and alert["x-new"] == onDuty("a")`)
	if diff := cmp.Diff([]string{"alert", "lists"}, p.Names()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"alert.evidence", "alert.title", "alert.x-new", "lists.known_noise"}, p.Paths()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"onDuty"}, p.Funcs()); diff != "" {
		t.Error(diff)
	}
}

func TestTypesAreCarriedThroughLists(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`alert.evidence[0].size`:                                "a whole number",
		`map(alert.evidence, .ipAddress)`:                       "a list (each text)",
		`first(filter(alert.evidence, .size > 1)).roles`:        "a list (each text)",
		`alert.count / 2`:                                       "a number",
		`alert.severity`:                                        "one of low, medium, high",
		`now() - alert.createdDateTime`:                         "a duration",
		`devices(incident)[0].mdeDeviceId`:                      "text",
		`alert.assignedTo ?? "x"`:                               "text",
		`true ? alert.count : 1.5`:                              "a number",
		`steps.anything`:                                        "any value",
		`users(alert)`:                                          "a list (each an object)",
		`reverse(uniq(concat(lists.known_noise, ["a"])))`:       "a list (each text)",
		`max(map(alert.evidence, .size))`:                       "a whole number",
		`{"a": alert.count}.a`:                                  "a whole number",
		`let x = alert.evidence; x[0].ipAddress`:                "text",
		`findLast(alert.evidence, .ipAddress != nil).ipAddress`: "text",
	} {
		if got := compile(t, src).Type().String(); got != want {
			t.Errorf("%s is %s, want %s", src, got, want)
		}
	}
}

func TestALoopFromTheEndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]any{
		`[5, findLast(["A", "B", "C"], # != "C"), 4]`:                []any{int64(5), "B", int64(4)},
		`[5, findLast(["A"], false), 4]`:                             []any{int64(5), nil, int64(4)},
		`[5, findLastIndex([7, 7, 8], # == 7), 4]`:                   []any{int64(5), int64(1), int64(4)},
		`[5, findLastIndex([7], # == 8), 4]`:                         []any{int64(5), nil, int64(4)},
		`findLastIndex([[1], [2, 3]], findLastIndex(#, # > 1) == 1)`: int64(1),
		`lower(findLast(["A", "B"], true))`:                          "b",
	} {
		if diff := cmp.Diff(want, eval(t, src)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", src, diff)
		}
	}
}

func TestTheWantedTypeIsChecked(t *testing.T) {
	t.Parallel()
	env, scope := world()
	for _, test := range []struct {
		src  string
		want expression.Want
		ok   bool
	}{
		{`alert.title`, expression.WantText, true}, {`alert.count`, expression.WantText, false},
		{`alert.count`, expression.WantNumber, true}, {`alert.title`, expression.WantBool, false},
		{`alert.evidence`, expression.WantList, true}, {`alert`, expression.WantList, false},
		{`alert`, expression.WantObject, true}, {`now()`, expression.WantTime, true},
		{`alert.title`, expression.WantTime, false}, {`duration("1h")`, expression.WantDuration, true},
		{`steps.x`, expression.WantBool, true},
	} {
		_, problem := expression.Compile(test.src, env, test.want)
		if (problem == nil) != test.ok {
			t.Errorf("%s: %v", test.src, problem)
		}
	}
	// What is not known at load is checked when the value is there.
	p, problem := expression.Compile(`steps.contain`, env, expression.WantBool)
	if problem != nil {
		t.Fatal(problem)
	}
	if _, err := p.Bool(scope, runTime); err == nil {
		t.Error("an object was taken for true or false")
	}
	p, problem = expression.Compile(`steps.contain`, env, expression.WantList)
	if problem != nil {
		t.Fatal(problem)
	}
	if _, err := p.Eval(scope, runTime); err == nil {
		t.Error("an object was taken for a list")
	}
}

func TestAnEnvIsExtendedWithoutBeingChanged(t *testing.T) {
	t.Parallel()
	env, _ := world()
	more := env.With("host", expression.Object(map[string]expression.Type{"name": expression.Text}))
	if _, problem := expression.Compile(`host.name`, more, expression.WantText); problem != nil {
		t.Error(problem)
	}
	if _, problem := expression.Compile(`onDuty(host.name)`, more, expression.WantText); problem != nil {
		t.Error(problem)
	}
	if _, problem := expression.Compile(`host.name`, env, expression.WantText); problem == nil {
		t.Error("the first Env has changed")
	}
	if _, problem := expression.Compile(`host.name`, more.Without("host"), expression.WantText); problem == nil {
		t.Error("the name is still there")
	}
	if _, problem := expression.Compile(`1 + 1`, nil, expression.WantNumber); problem != nil {
		t.Errorf("no Env at all: %v", problem)
	}
}

func TestOneProgramServesManyGoroutinesAndLeavesTheScopeAlone(t *testing.T) {
	t.Parallel()
	_, scope := world()
	_, before := world()
	p := compile(t, `sort(map(alert.evidence, .ipAddress)) == sort(reverse(map(alert.evidence, .ipAddress))) and now() > alert.createdDateTime`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if ok, err := p.Bool(scope, runTime); !ok || err != nil {
					t.Errorf("%v %v", ok, err)
				}
			}
		})
	}
	wg.Wait()
	delete(scope, "onDuty")
	delete(before, "onDuty")
	if diff := cmp.Diff(before, scope); diff != "" {
		t.Errorf("the scope has changed:\n%s", diff)
	}
}

func TestErrorsOfHostFunctionsAreFaults(t *testing.T) {
	t.Parallel()
	_, scope := world()
	p := compile(t, `onDuty("tier1")`)
	scope["onDuty"] = expression.HostFunc(func([]any) (any, error) { return nil, context.DeadlineExceeded })
	if _, err := p.Eval(scope, runTime); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("%v", err)
	}
	scope["onDuty"] = expression.HostFunc(func([]any) (any, error) { panic("boom") })
	if _, err := p.Eval(scope, runTime); err == nil {
		t.Error("a panic was not an error")
	}
	delete(scope, "onDuty")
	if _, err := p.Eval(scope, runTime); err == nil || !strings.Contains(err.Error(), "not available") {
		t.Errorf("%v", err)
	}
}
