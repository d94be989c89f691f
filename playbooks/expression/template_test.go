package expression_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/playbooks/expression"
)

func template(t *testing.T, src string) *expression.Template {
	t.Helper()
	env, _ := world()
	tpl, problem := expression.ParseTemplate(src, env)
	if problem != nil {
		t.Fatalf("%s: %v", src, problem)
	}
	return tpl
}

func TestTemplatesHaveTheirValues(t *testing.T) {
	t.Parallel()
	_, scope := world()
	for src, want := range map[string]any{
		``:                                     "",
		`plain`:                                "plain",
		`${{ alert.count }}`:                   int64(3),
		`${{alert.count}}`:                     int64(3),
		`${{ ips(alert) }}`:                    []any{"10.9.1.1", "10.9.1.2"},
		`${{ alert.assignedTo }}`:              nil,
		` ${{ alert.count }}`:                  " 3",
		`${{ alert.count }}${{ alert.count }}`: "33",
		`all of ${{ join(ips(alert), ', ') }} are`:    "all of 10.9.1.1, 10.9.1.2 are",
		`[${{ alert.assignedTo }}]`:                   "[]",
		`at ${{ now() }}`:                             "at 2027-03-31T08:00:00Z",
		`${{ ips(alert) }}!`:                          `["10.9.1.1","10.9.1.2"]!`,
		`${{ {"a": {"b": 1}} }}`:                      map[string]any{"a": map[string]any{"b": int64(1)}},
		`x ${{ {"a": "}}"} }}`:                        `x {"a":"}}"}`,
		`${{ "}}" }}`:                                 "}}",
		`${{ '}}\'' }}`:                               "}}'",
		"${{ `}}` }}":                                 "}}",
		`${{ 1 /* }} */ }}`:                           int64(1),
		`$${{ alert.count }}`:                         "${{ alert.count }}",
		`$$${{ x`:                                     "$${{ x",
		`$${{ a }} ${{ alert.count }}`:                "${{ a }} 3",
		`{{ x }} }} $ { ${`:                           "{{ x }} }} $ { ${",
		`waited ${{ now() - alert.createdDateTime }}`: "waited 1h",
	} {
		got, err := template(t, src).Eval(scope, runTime)
		if err != nil {
			t.Errorf("%s: %v", src, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", src, diff)
		}
	}
}

func TestTemplatesKnowTheirTypeAndWhatTheyUse(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`x`: "text", `${{ alert.count }}`: "a whole number", `${{ alert.count }} `: "text", `${{ ips(alert) }}`: "a list (each text)",
	} {
		if got := template(t, src).Type().String(); got != want {
			t.Errorf("%s is %s, want %s", src, got, want)
		}
	}
	tpl := template(t, `${{ alert.title }} ${{ onDuty(alert.id) }} ${{ lists.known_noise }}`)
	if tpl.Static() || !template(t, `$${{ x }}`).Static() {
		t.Error("Static is wrong")
	}
	if diff := cmp.Diff([]string{"alert", "lists"}, tpl.Names()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"alert.id", "alert.title", "lists.known_noise"}, tpl.Paths()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"onDuty"}, tpl.Funcs()); diff != "" {
		t.Error(diff)
	}
}

func TestProblemsOfTemplatesPointIntoTheWholeText(t *testing.T) {
	t.Parallel()
	env, _ := world()
	for src, want := range map[string]struct{ offset, length int }{
		`ü ${{ alert.sevrity }} x`:          {12, 7},
		`ok ${{ alert.title }} ${{ alrt }}`: {26, 4},
		`never closed ${{ alert.title`:      {13, 3},
		`never closed ${{ "}}`:              {13, 3},
		`${{ }}`:                            {3, 1},
	} {
		_, problem := expression.ParseTemplate(src, env)
		if problem == nil {
			t.Errorf("%s is accepted", src)
			continue
		}
		if problem.Offset != want.offset || problem.Length != want.length {
			t.Errorf("%s: %v at %d+%d, want %d+%d", src, problem, problem.Offset, problem.Length, want.offset, want.length)
		}
	}
}

// Text that holds no expression comes out as it went in, once escaped.
func TestEscapedTextSurvives(t *testing.T) {
	t.Parallel()
	env, scope := world()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("a${} \"'ü\n"))).Draw(t, "text")
		tpl, problem := expression.ParseTemplate(strings.ReplaceAll(text, "${{", "$${{"), env)
		if problem != nil {
			t.Fatal(problem)
		}
		got, err := tpl.Eval(scope, runTime)
		if err != nil || got != text || !tpl.Static() {
			t.Fatalf("%q became %q (%v)", text, got, err)
		}
	})
}

func TestATemplateThatGrowsIsStopped(t *testing.T) {
	t.Parallel()
	_, scope := world()
	scope["steps"] = strings.Repeat("x", 1_000_000)
	if _, err := template(t, strings.Repeat("${{ steps }}", 20)).Eval(scope, runTime); err == nil {
		t.Error("20 MB of text were made")
	}
}

func TestTextIsTheValueAsText(t *testing.T) {
	t.Parallel()
	_, scope := world()
	got, err := template(t, `${{ alert.createdDateTime }}`).Text(scope, runTime)
	if err != nil || got != runTime.Add(-time.Hour).Format(time.RFC3339) {
		t.Errorf("%q %v", got, err)
	}
}
