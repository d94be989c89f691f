package docs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// form is a function with a condition on each item of a list. The expression package checks them
// as syntax, so its list of functions does not hold them.
type form struct{ form, summary, example, gives string }

func forms() []form {
	return []form{
		{"all(list, condition)", "whether the condition holds for every item; true for an empty list", `all([2, 4], # % 2 == 0)`, `true`},
		{"any(list, condition)", "whether it holds for at least one", `any(["new", "resolved"], # == "new")`, `true`},
		{"one(list, condition)", "whether it holds for exactly one", `one([1, 2, 3], # > 2)`, `true`},
		{"none(list, condition)", "whether it holds for no item", `none([1, 2], # > 2)`, `true`},
		{"filter(list, condition)", "the items for which it holds", `filter([1, 2, 3], # > 1)`, `[2,3]`},
		{"map(list, value)", "the value for each item", `map([{"id": "a"}, {"id": "b"}], .id)`, `["a","b"]`},
		{"count(list, condition)", "for how many items it holds", `count([1, 2, 3], # > 1)`, `2`},
		{"sum(list, number)", "the sum of a number for each item", `sum([{"n": 1}, {"n": 2}], .n)`, `3`},
		{"find(list, condition)", "the first item for which it holds, nil if there is none", `find([1, 2, 3], # > 1)`, `2`},
		{"findLast(list, condition)", "the last one", `findLast([1, 2, 3], # > 1)`, `3`},
		{"findIndex(list, condition)", "where the first one stands, counting from 0; nil if there is none", `findIndex(["a", "b"], # == "b")`, `1`},
		{"findLastIndex(list, condition)", "where the last one stands", `findLastIndex(["b", "b"], # == "b")`, `1`},
		{"sortBy(list, value, order)", `the items in the order of a value; "desc" turns it round`, `sortBy([{"n": 2}, {"n": 1}], .n)`, `[{"n":1},{"n":2}]`},
		{"groupBy(list, value)", "an object with the items of each value", `groupBy(["a", "b", "a"], #)`, `{"a":["a","a"],"b":["b"]}`},
		{"reduce(list, value, start)", "one value out of all: #acc is what there is so far", `reduce([1, 2, 3], #acc + #, 10)`, `16`},
	}
}

func TestEveryFormDoesWhatThePageSays(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		p, problem := expression.Compile(f.example, nil, expression.WantAny)
		if problem != nil {
			t.Errorf("%s: %v", f.example, problem)
			continue
		}
		v, err := p.Eval(map[string]any{}, time.Time{})
		got, _ := json.Marshal(v)
		if err != nil || string(got) != f.gives {
			t.Errorf("%s gives %s (%v), the page says %s", f.example, got, err, f.gives)
		}
	}
}

// office is the calendar of the examples.
const office = "{timezone: Europe/Berlin, hours: {mon-fri: 08:00-18:00}, holidays: [2026-12-25]}"

func business() [][2]string {
	return [][2]string{
		{`businessElapsed(date("2026-11-20T16:00:00Z"), date("2026-11-23T08:00:00Z"), "office")`, "2h"},
		{`businessElapsed(date("2026-11-24T07:00:00Z"), "office")`, "5h"},
		{`businessAdd(date("2026-11-20T16:00:00Z"), duration("4h"), "office")`, "2026-11-23T10:00:00Z"},
		{`inBusinessHours(date("2026-12-25T09:00:00Z"), "office")`, "false"},
	}
}

func TestEveryExampleOfBusinessTimeGivesWhatThePageSays(t *testing.T) {
	t.Parallel()
	c, findings := calendar.Parse("office", "office.yaml", []byte(office), nil)
	if c == nil {
		t.Fatal(findings)
	}
	scope := map[string]any{expression.CalendarsName: expression.Calendars{"office": c}}
	for _, example := range business() {
		p, problem := expression.ParseTemplate("${{ string("+example[0]+") }}", nil)
		if problem != nil {
			t.Fatal(problem)
		}
		got, err := p.Text(scope, time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
		if err != nil || got != example[1] {
			t.Errorf("%s gives %s (%v), the page says %s", example[0], got, err, example[1])
		}
	}
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func functionsPage() []byte {
	var b bytes.Buffer
	b.WriteString("# Functions\n\nWhat expressions can call. The same arguments give the same value, on every day; a function that is not here does not exist.\n\n| function | what it gives | example | |\n|---|---|---|---|\n")
	for _, f := range expression.Functions() {
		e := examples()[f.Name]
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | `%s` |\n", cell(f.Signature), cell(f.Summary), cell(e.source), cell(e.gives))
	}
	b.WriteString(`
## For each item of a list

In the condition or value, ` + "`#` is the item and `.name` one of its fields. `list | filter(# > 1)` is the same as `filter(list, # > 1)`." + `

| form | what it gives | example | |
|---|---|---|---|
`)
	for _, f := range forms() {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | `%s` |\n", cell(f.form), cell(f.summary), cell(f.example), cell(f.gives))
	}
	fmt.Fprintf(&b, `
## Business time

The last argument names a [calendar](configuration.md#calendars), written out. A time or duration that is nil gives nil. The two times of
`+"`businessElapsed`"+` may be ten years apart. With the calendar `+"`office`, `%s`"+`, on 2026-11-24 at noon UTC:

| call | gives |
|---|---|
`, office)
	for _, example := range business() {
		fmt.Fprintf(&b, "| `%s` | `%s` |\n", cell(example[0]), example[1])
	}
	b.WriteString(`
## What the evidence holds

Each of these takes an alert, an incident that was polled with ` + "`expand: alerts`" + `, or a list of alerts. Only evidence of
that kind counts. What was there before is left out; the order is that of the evidence. Any field may be missing.

| function | each item |
|---|---|
`)
	for _, name := range []string{"ips", "users", "devices", "files", "urls", "mails", "processes"} {
		p, problem := expression.Compile(name+"(nil)", nil, expression.WantAny)
		if problem != nil {
			panic(problem)
		}
		item, _ := p.Type().IsList()
		what := "text"
		if item.IsObject() {
			what = "`" + strings.Join(item.Fields(), "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, what)
	}
	questionsPage(&b)
	return b.Bytes()
}
