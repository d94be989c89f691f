package playtest_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/playtest"
)

var update = flag.Bool("update", false, "write what the tests see into testdata")

func tester(t testing.TB) *playtest.Tester {
	t.Helper()
	catalog := actions.NewRegistry(builtin.Actions(builtin.Deps{})...)
	set, findings := playbooks.Load(os.DirFS("testdata"), "testdata", playbooks.Options{Catalog: catalog})
	if findings.HasErrors() {
		t.Fatal(findings)
	}
	return &playtest.Tester{Set: set}
}

func read(t testing.TB, name string) *playtest.File {
	t.Helper()
	f, findings := playtest.Read(os.DirFS("testdata"), name)
	if findings.HasErrors() {
		t.Fatal(findings)
	}
	return f
}

func TestATestThatHoldsPasses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"close.test.yaml", "approve.test.yaml", "isolate.test.yaml", "contain.test.yaml", "tell.test.yaml", "triage.test.yaml"} {
		results := tester(t).Run(read(t, name))
		var text bytes.Buffer
		playtest.Text(&text, results)
		if len(results) == 0 || text.Len() > 0 {
			t.Errorf("%s: %d results\n%s", name, len(results), text.String())
		}
	}
}

func TestWhatDoesNotHoldIsSaidWithWhatWasWantedAndWhatCame(t *testing.T) {
	t.Parallel()
	results := tester(t).Run(read(t, "wrong.test.yaml.txt"))
	var text bytes.Buffer
	playtest.Text(&text, results)
	golden := filepath.Join("testdata", "wrong.golden")
	if *update {
		if err := os.WriteFile(golden, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, r := range results {
		if r.Passed() {
			t.Errorf("%s passed, and should not", r.Name)
		}
	}
}

func TestAReadThatIsNotMockedFailsTheTest(t *testing.T) {
	t.Parallel()
	f := read(t, "approve.test.yaml")
	f.Cases = f.Cases[1:2]
	f.Cases[0].Mocks = nil
	results := tester(t).Run(f)
	if results[0].Passed() || !strings.Contains(results[0].Problems[len(results[0].Problems)-1].Want, "alert.get") {
		t.Errorf("%+v", results)
	}
}

func TestCoverageNamesWhatNoTestHasSeen(t *testing.T) {
	t.Parallel()
	tt := tester(t)
	f := read(t, "approve.test.yaml")
	f.Cases = f.Cases[:1]
	tt.Run(f)
	c := tt.Coverage()[0]
	want := []string{"steps/2 else", "steps/2/else/0 (line 13)"}
	if diff := cmp.Diff(want, c.Missing); diff != "" || c.Steps != 6 || c.Reached != 5 || c.Ways != 2 || c.Taken != 1 {
		t.Errorf("%+v (-want +got):\n%s", c, diff)
	}
	tt.Run(read(t, "approve.test.yaml"))
	if c := tt.Coverage()[0]; len(c.Missing) > 0 {
		t.Errorf("with all tests: %+v", c)
	}
}

func TestTheJUnitReportIsXMLWithEveryTest(t *testing.T) {
	t.Parallel()
	tt := tester(t)
	results := append(tt.Run(read(t, "close.test.yaml")), tt.Run(read(t, "wrong.test.yaml.txt"))...)
	var b bytes.Buffer
	if err := playtest.JUnit(&b, results); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name string `xml:"name,attr"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil || len(got.Suites) != 2 {
		t.Fatal(err, b.String())
	}
	if got.Suites[0].Failures != 0 || got.Suites[1].Failures != got.Suites[1].Tests || len(got.Suites[0].Cases) != 4 {
		t.Errorf("%+v", got)
	}
}

func TestMistakesInATestFileAreFindingsWithAPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"tests: []":                       "1:1: error PT001: the file does not say which playbook",
		"playbook: a":                     "1:1: error PT001: the file has no tests",
		"playbook: a\ntests: [{name: b}]": "2:9: error PT001: a test that expects nothing cannot fail",
		"playbook: a\ntests: [{expect: {matched: true}}]":                                                         "2:9: error PT001: a test needs a name",
		"playbook: a\nlist: {}\ntests: []":                                                                        `2:1: error PT001: a test file has no key "list"`,
		"playbook: a\ntests: [{name: b, expect: {match: true}}]":                                                  `2:28: error PT001: expect has no key "match"`,
		"playbook: a\ntests: [{name: b, event: {alert: none.json}, expect: {matched: true}}]":                     "2:34: error PT002: none.json cannot be read",
		"playbook: a\ntests: [{name: b, event: {alert: {}, patch: {\"a[0].b\": 1}}, expect: {matched: true}}]":    "2:45: error PT002: a[0].b: there is no a",
		"playbook: a\ntests: [{name: b, mocks: [{step: x}], expect: {matched: true}}]":                            "2:27: error PT001: a mock answers with an output or with a fault",
		"playbook: a\ntests: [{name: b, at: noon, expect: {matched: true}}]":                                      "2:23: error PT001: at is a time",
		"playbook: a\ntests: [{name: b, expect: {after: 7, matched: true}}]":                                      "2:35: error PT001: a time with a unit",
		"playbook: a\ntests: [{name: b, before: new, expect: {matched: true}}]":                                   "2:27: error PT001: before is a map, not",
		"playbook: a\ntests: [{name: b, changed_by: bob, expect: {matched: true}}]":                               "2:31: error PT001: changed_by says who made the change",
		"playbook: a\ntests: [{name: b, earlier: {runs: -1}, expect: {matched: true}}]":                           "2:35: error PT001: the number of runs is a number from 0",
		"playbook: a\ntests: [{name: b, earlier: {effects: [log]}, expect: {matched: true}}]":                     "2:38: error PT001: effects is a map, not",
		"playbook: a\ntests: [{name: b, expect: {kept: count}}]":                                                  "2:34: error PT001: kept is a map, not",
		"playbook: a\ntests: [{name: b, expect: {outputs: [a]}}]":                                                 "2:37: error PT001: outputs is a map, not",
		"playbook: a\ntests: [{name: b, expect: {steps: ok}}]":                                                    "2:35: error PT001: steps is a map, not",
		"playbook: a\ntests: [{name: b, event: {alert: {}, patch: status}, expect: {matched: true}}]":             "2:45: error PT001: patch is a map, not",
		"playbook: a\ntests: [{name: b, loads: {ann: few}, expect: {matched: true}}]":                             "2:32: error PT001: ann is a number from 0",
		"playbook: a\ntests: [{name: b, history: [{usr: ann, count: 3}], expect: {matched: true}}]":               `2:30: error PT001: an entry of history has no key "usr"`,
		"playbook: a\ntests: [{name: b, history: [{user: 5, count: 3}], expect: {matched: true}}]":                "2:36: error PT001: text is needed here",
		"playbook: a\ntests: [{name: b, history: [{user: ann}], expect: {matched: true}}]":                        "2:29: error PT001: the entry does not say what is counted",
		"playbook: a\ntests:\n" + strings.Repeat("  - {name: b, expect: {matched: true}}\n", playtest.MaxCases+1): "PT003: tests has 501 entries",
	} {
		_, findings := playtest.Read(fstest.MapFS{"a.test.yaml": {Data: []byte(text)}}, "a.test.yaml")
		got := ""
		for _, f := range findings {
			got += f.String() + "\n"
		}
		if !strings.Contains(got, want) {
			t.Errorf("%.80s\nfindings %s\nwant %s", text, got, want)
		}
	}
}

func TestExpectationsOfAClockThatDoNotHoldAreSaid(t *testing.T) {
	t.Parallel()
	f := read(t, "triage.test.yaml")
	f.Cases = f.Cases[:1]
	f.Cases[0].Expects = f.Cases[0].Expects[:1]
	f.Cases[0].Expects[0].Stages = &[]string{"breached"}
	results := tester(t).Run(f)
	if results[0].Passed() || results[0].Problems[0].Want != `the stages ["breached"]` || results[0].Problems[0].Got != `[]` {
		t.Errorf("%+v", results)
	}
	f = read(t, "triage.test.yaml")
	f.Calendars = nil
	if results = tester(t).Run(f); results[0].Passed() || !strings.Contains(results[0].Problems[0].Got, "there is no calendar office") {
		t.Errorf("without its calendar: %+v", results)
	}
}

func TestUpdatesOfAClockAreWrittenInOrderAndWithinLimits(t *testing.T) {
	t.Parallel()
	head := "playbook: triage\ntests:\n  - name: a\n    event: {alert: {id: a}}\n    expect: {stages: []}\n    updates:\n"
	for name, c := range map[string]struct{ updates, code string }{
		"in order":          {"      - {after: 1m, patch: {a: 1}}\n      - {after: 2m, patch: {a: 2}}\n", ""},
		"out of order":      {"      - {after: 2m, patch: {a: 1}}\n      - {after: 1m, patch: {a: 2}}\n", playtest.CodeForm},
		"without a time":    {"      - {patch: {a: 1}}\n", playtest.CodeForm},
		"without a change":  {"      - {after: 1m}\n", playtest.CodeForm},
		"as many as may be": {many(playtest.MaxUpdates), ""},
		"one more":          {many(playtest.MaxUpdates + 1), playtest.CodeLimit},
	} {
		_, findings := playtest.Read(fstest.MapFS{"a.test.yaml": {Data: []byte(head + c.updates)}}, "a.test.yaml")
		if c.code == "" && len(findings) > 0 || c.code != "" && (len(findings) == 0 || findings[0].Code != c.code) {
			t.Errorf("%s: %v, want %q", name, findings, c.code)
		}
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "      - {after: %dm, patch: {a: 1}}\n", i+1)
	}
	return b.String()
}

// A test of a run that goes on and on ends, and says so. Here each iteration takes one decision.
func TestARunIsFollowedForManyDecisionsAndNoFurther(t *testing.T) {
	t.Parallel()
	const inner = 1000
	for outer, want := range map[int]string{
		playtest.MaxTurns/inner - 1: "",
		playtest.MaxTurns/inner + 1: fmt.Sprintf("it goes on after %d decisions", playtest.MaxTurns),
	} {
		book := fmt.Sprintf("name: long\ntriggers: [manual]\nvars: {list: \"${{ 1..%d }}\"}\nsteps:\n  - foreach: 1..%d\n    as: a\n    do:\n      - foreach: vars.list\n"+
			"        as: b\n        do: [{action: log, with: {message: \"${{ string(a + b) }}\"}}]\n", inner, outer)
		files := fstest.MapFS{
			"long.yaml":      {Data: []byte(book)},
			"long.test.yaml": {Data: []byte("playbook: long\ntests: [{name: it ends, mocks: [{action: log, output: {}}], expect: {state: succeeded}}]\n")},
		}
		set, findings := playbooks.Load(files, "", playbooks.Options{Catalog: actions.NewRegistry(builtin.Actions(builtin.Deps{})...)})
		file, more := playtest.Read(files, "long.test.yaml")
		if findings.HasErrors() || more.HasErrors() {
			t.Fatal(findings, more)
		}
		got := ""
		for _, p := range (&playtest.Tester{Set: set}).Run(file)[0].Problems {
			got += p.Got
		}
		if got != want {
			t.Errorf("%d iterations end with %q, want %q", outer*inner, got, want)
		}
	}
}
