package playbooks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/playbooks/schema"
)

// evaluate runs a filter on an alert.
func evaluate(t rapid.TB, filter string, alert map[string]any) bool {
	t.Helper()
	source, problems := translateFilter(filter, alertsResource, alertSubject)
	if len(problems) > 0 {
		t.Fatalf("%s: %v", filter, problems[0])
	}
	env := &expression.Env{Vars: map[string]expression.Type{alertSubject: schema.Alert()}}
	p, problem := expression.Compile(source, env, expression.WantBool)
	if problem != nil {
		t.Fatalf("%s became %s: %v", filter, source, problem)
	}
	got, err := p.Bool(map[string]any{alertSubject: alert}, time.Time{})
	if err != nil {
		t.Fatalf("%s became %s: %v", filter, source, err)
	}
	return got
}

func TestAFilterMeansHereWhatItMeansToGraph(t *testing.T) {
	t.Parallel()
	at := func(s string) time.Time {
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	alert := map[string]any{
		"severity": "high", "status": "new", "assignedTo": nil, "classification": nil,
		"serviceSource": "microsoftDefenderForEndpoint", "createdDateTime": at("2026-11-23T10:00:00Z"), "lastUpdateDateTime": nil,
	}
	for filter, want := range map[string]bool{
		"severity eq 'high'":          true,
		"severity ne 'high'":          false,
		"severity in ('low', 'high')": true,
		"severity in ('low')":         false,
		"not (severity eq 'high')":    false,
		"not severity eq 'low'":       true,
		"severity eq 'low' or status eq 'new' and severity eq 'medium'":    false,
		"(severity eq 'low' or status eq 'new') and severity eq 'high'":    true,
		"severity eq 'high' or severity eq 'low' and status eq 'resolved'": true,
		"assignedTo eq null":                                 true,
		"assignedTo ne null":                                 false,
		"assignedTo ne 'somebody'":                           true,
		"assignedTo eq 'O''Brien'":                           false,
		"classification in ('falsePositive', null)":          true,
		"createdDateTime ge 2026-11-23T10:00:00Z":            true,
		"createdDateTime gt 2026-11-23T10:00:00Z":            false,
		"createdDateTime lt 2026-11-23T12:00:00+01:00":       true,
		"createdDateTime eq 2026-11-23T11:00:00+01:00":       true,
		"createdDateTime le 2026-11-23T09:59:59.9999999Z":    false,
		"lastUpdateDateTime lt 2027-01-01T00:00:00Z":         false,
		"lastUpdateDateTime ne 2027-01-01T00:00:00Z":         true,
		"lastUpdateDateTime eq null":                         true,
		"serviceSource\n eq\t'microsoftDefenderForEndpoint'": true,
	} {
		if got := evaluate(t, filter, alert); got != want {
			t.Errorf("%s is %v, want %v", filter, got, want)
		}
	}
}

func TestAFilterIsSentInOneLineWithItsTextsAsTheyAre(t *testing.T) {
	t.Parallel()
	src := "name: a\ntriggers:\n  - poll:\n      resource: alerts\n      filter: |\n        severity eq 'high'\n          and assignedTo eq 'two  blanks, it''s'\nsteps: [{stop: done}]\n"
	p, findings := Compile("a.yaml", []byte(src), Options{})
	if p == nil {
		t.Fatal(findings)
	}
	if got, want := p.Triggers[0].Poll.Filter.Text, "severity eq 'high' and assignedTo eq 'two  blanks, it''s'"; got != want {
		t.Errorf("sent as %q, want %q", got, want)
	}
}

// node is a filter with what it means, made together.
type node struct {
	text  string
	holds func(alert map[string]any) bool
}

// filters makes filters of all forms, in any nesting of parentheses.
func filters(depth int) *rapid.Generator[node] {
	return rapid.Custom(func(t *rapid.T) node {
		kinds := []string{"enum", "in", "text", "time", "not", "and", "or"}
		if depth == 0 {
			kinds = kinds[:4]
		}
		switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
		case "in":
			words := rapid.SliceOfN(rapid.SampledFrom(severities()), 1, 3).Draw(t, "words")
			return node{"severity in ('" + strings.Join(words, "', '") + "')", func(a map[string]any) bool {
				return strings.Contains("|"+strings.Join(words, "|")+"|", fmt.Sprintf("|%v|", a["severity"]))
			}}
		case "text":
			word := rapid.String().Draw(t, "text")
			return node{"assignedTo eq '" + strings.ReplaceAll(word, "'", "''") + "'", func(a map[string]any) bool { return a["assignedTo"] == word }}
		case "time":
			when := time.Unix(rapid.Int64Range(0, 100).Draw(t, "second"), 0).UTC()
			return node{"createdDateTime ge " + when.Format(time.RFC3339), func(a map[string]any) bool {
				created, ok := a["createdDateTime"].(time.Time)
				return ok && !created.Before(when)
			}}
		case "not":
			n := filters(depth-1).Draw(t, "operand")
			return node{"not (" + n.text + ")", func(a map[string]any) bool { return !n.holds(a) }}
		case "and", "or":
			l, r := filters(depth-1).Draw(t, "left"), filters(depth-1).Draw(t, "right")
			return node{"(" + l.text + ") " + kind + " (" + r.text + ")", func(a map[string]any) bool {
				if kind == "and" {
					return l.holds(a) && r.holds(a)
				}
				return l.holds(a) || r.holds(a)
			}}
		}
		word := rapid.SampledFrom(severities()).Draw(t, "word")
		return node{"severity ne '" + word + "'", func(a map[string]any) bool { return a["severity"] != word }}
	})
}

func TestTranslationKeepsTheMeaningOfEveryFilter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := filters(3).Draw(t, "filter")
		alert := map[string]any{
			"severity":        rapid.SampledFrom(severities()).Draw(t, "severity"),
			"assignedTo":      rapid.OneOf(rapid.Just(any(nil)), rapid.Map(rapid.String(), func(s string) any { return s })).Draw(t, "assignedTo"),
			"createdDateTime": time.Unix(rapid.Int64Range(0, 100).Draw(t, "created"), 0).UTC(),
		}
		if got, want := evaluate(t, n.text, alert), n.holds(alert); got != want {
			t.Fatalf("%s is %v for %v, want %v", n.text, got, alert, want)
		}
	})
}

func TestTheLongestFilterStillCompiles(t *testing.T) {
	t.Parallel()
	for _, one := range []string{
		"createdDateTime ne 2026-11-23T10:00:00.1234567Z", "createdDateTime ge 2026-11-23T10:00:00.1234567Z",
		"not (serviceSource eq 'microsoftInsiderRiskManagement')",
	} {
		filter := strings.TrimSuffix(strings.Repeat(one+" or ", MaxFilterComparisons), " or ")
		evaluate(t, filter, map[string]any{"createdDateTime": nil})
	}
}

func TestDurationsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "5m": 5 * time.Minute, "2h": 2 * time.Hour, "7d": 168 * time.Hour,
		"1h30m": 90 * time.Minute, "1d12h": 36 * time.Hour, "500ms": 500 * time.Millisecond, "0s": 0,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "5x", "m", "-5m", "0.5h", "5m1h", "5m5m", "5 m", "75%", "99999999999999999999d", "200000d1h", "1H"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestEveryDurationCanBeWrittenAndReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, 1<<42).Draw(t, "ms")) * time.Millisecond
		if got, err := ParseDuration(FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%v is written %s and read %v, %v", d, FormatDuration(d), got, err)
		}
	})
}

func TestReferencesAreFoundWhereverTheyStand(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`steps.a.output`:                          "steps.a",
		`alert.steps.x`:                           "alert.steps",
		`steps?.a`:                                "steps.a",
		`steps["a"].x + steps [ 'b' ]`:            "steps.a steps.b",
		`lists[x]`:                                "lists x",
		`"steps.a" + 'lists.b' + ` + "`vars.c`":   "",
		`/* steps.a */ vars.b // c`:               "vars.b c",
		`{steps: 1, "x": vars.y}`:                 "vars.y",
		`x ? steps : lists`:                       "x steps lists",
		`any(alert.evidence, .steps == # .lists)`: "any() alert.evidence",
		`1..n`:                   "n",
		`let steps = 1; steps.x`: "=steps steps.x",
		`"\"" + steps.a`:         "steps.a",
		`"unclosed steps.a`:      "",
	} {
		var got []string
		for _, r := range references(src) {
			text := r.root
			switch {
			case r.local:
				text = "=" + text
			case r.call:
				text += "()"
			case r.name != "":
				text += "." + r.name
			}
			got = append(got, text)
			if runes := []rune(src); string(runes[r.offset:r.offset+len(r.root)]) != r.root {
				t.Errorf("%s: %s is not at %d", src, r.root, r.offset)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s has %q, want %q", src, strings.Join(got, " "), want)
		}
	}
}
