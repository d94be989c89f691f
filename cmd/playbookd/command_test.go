package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/demo"
)

// playbookd runs the program as main does, and returns what it printed.
func playbookd(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &streams{in: strings.NewReader(""), out: &out, err: &errs})
	return out.String(), errs.String(), code
}

// must runs a command that has to succeed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := playbookd(t, args...)
	if code != exitOK {
		t.Fatalf("playbookd %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// into decodes the whole of a command's output, which must be one JSON value.
func into[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in\n%.2000s", err, text)
	}
	if dec.More() {
		t.Fatalf("more than one JSON value:\n%.2000s", text)
	}
	return v
}

func TestEveryCommandHasHelpWithItsUsage(t *testing.T) {
	t.Parallel()
	commands := newRoot(&streams{}).Commands()
	if len(commands) < 12 {
		t.Fatalf("only %d commands", len(commands))
	}
	for _, c := range commands {
		out, errs, code := playbookd(t, c.Name(), "--help")
		if code != exitOK || errs != "" {
			t.Errorf("%s --help: exit code %d, standard error %q", c.Name(), code, errs)
		}
		if !strings.Contains(out, "Usage:\n  playbookd "+c.Name()) || !strings.Contains(out, "--json") {
			t.Errorf("%s --help does not say how to use it:\n%s", c.Name(), out)
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s has the short description %q", c.Name(), c.Short)
		}
		if _, errs, code := playbookd(t, c.Name(), "--no-such-flag"); code != exitBroken || !strings.Contains(errs, "see playbookd "+c.Name()+" --help") {
			t.Errorf("%s --no-such-flag: exit code %d, %q", c.Name(), code, errs)
		}
	}
}

func TestWhatIsDerivedIsCompleteAsJSON(t *testing.T) {
	t.Parallel()
	specs := into[[]struct {
		Name, Summary string
		Parts         []struct{ Effect string }
	}](t, must(t, "actions", "--json"))
	if len(specs) < 16 {
		t.Errorf("only %d actions", len(specs))
	}
	for _, s := range specs {
		if s.Name == "" || s.Summary == "" || len(s.Parts) == 0 || s.Parts[0].Effect == "" {
			t.Errorf("an action says too little of itself: %+v", s)
		}
		// What is listed can be described, as text and as JSON.
		if out := must(t, "actions", s.Name); !strings.Contains(out, s.Summary) {
			t.Errorf("actions %s does not say %q", s.Name, s.Summary)
		}
		if one := into[struct{ Name string }](t, must(t, "actions", s.Name, "--json")); one.Name != s.Name {
			t.Errorf("actions %s --json is about %q", s.Name, one.Name)
		}
	}
	codes := into[[]struct{ Code, Severity, Title, Help string }](t, must(t, "explain", "--json"))
	before := ""
	for _, c := range codes {
		if c.Severity == "" || c.Title == "" || c.Help == "" || c.Code <= before {
			t.Errorf("a finding says too little of itself, is out of order or there twice: %+v after %s", c, before)
		}
		before = c.Code
		if out := must(t, "explain", strings.ToLower(c.Code)); !strings.HasPrefix(out, c.Code+" ("+c.Severity+"): ") {
			t.Errorf("explain %s begins %.40q", c.Code, out)
		}
	}
	schema := into[struct {
		Type       string
		Properties map[string]any
		Required   []string
	}](t, must(t, "schema"))
	for _, key := range []string{"name", "triggers", "when", "steps"} {
		if schema.Properties[key] == nil {
			t.Errorf("the schema of playbooks knows no %s", key)
		}
	}
	v := into[versionInfo](t, must(t, "version", "--json"))
	if v.Version == "" || v.Schema < 1 || v.Semantics < 1 || v.SQLite == "" {
		t.Errorf("version %+v", v)
	}
}

// sarif is the part of SARIF 2.1.0 that code scanning reads.
type sarif struct {
	Version string
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name  string
				Rules []struct{ ID string }
			}
		}
		Results []struct {
			RuleID    string
			Level     string
			Message   struct{ Text string }
			Locations []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI string }
					Region           struct{ StartLine, StartColumn, EndColumn int }
				}
			}
		}
	}
}

func TestTextJSONAndSARIFTellOfTheSameFindings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "three.yaml")
	text := "name: three\ntriggers:\n  - poll: {resource: alert}\nwhen: alert.sevrity == \"high\"\nsteps:\n  - action: alert.updte\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	plainText, _, code := playbookd(t, "check", file)
	if code != exitFound {
		t.Errorf("exit code %d, want %d", code, exitFound)
	}
	asJSON, _, code := playbookd(t, "check", "--json", file)
	if code != exitFound {
		t.Errorf("--json: exit code %d, want %d", code, exitFound)
	}
	asSARIF, _, code := playbookd(t, "check", "--sarif", file)
	if code != exitFound {
		t.Errorf("--sarif: exit code %d, want %d", code, exitFound)
	}
	list := into[struct {
		Findings []struct {
			Code, Message, Mend, File string
			Line, Column, Length      int
		}
	}](t, asJSON).Findings
	if len(list) < 3 {
		t.Fatalf("%d findings, want one about each mistake:\n%s", len(list), plainText)
	}
	s := into[sarif](t, asSARIF)
	if s.Version != "2.1.0" || len(s.Runs) != 1 || s.Runs[0].Tool.Driver.Name != "playbookd" || len(s.Runs[0].Results) != len(list) {
		t.Fatalf("SARIF does not hold one run with %d results:\n%s", len(list), asSARIF)
	}
	rules := map[string]bool{}
	for _, r := range s.Runs[0].Tool.Driver.Rules {
		rules[r.ID] = true
	}
	for i, f := range list {
		if head := fmt.Sprintf("%s:%d:%d: error %s: %s", f.File, f.Line, f.Column, f.Code, f.Message); !strings.Contains(plainText, head) {
			t.Errorf("the text lacks %q:\n%s", head, plainText)
		}
		if f.Mend == "" || !strings.Contains(plainText, "mend: "+f.Mend) {
			t.Errorf("the text lacks the mend %q", f.Mend)
		}
		r := s.Runs[0].Results[i]
		if r.RuleID != f.Code || !rules[r.RuleID] || r.Level != "error" || !strings.Contains(r.Message.Text, f.Message) || len(r.Locations) != 1 {
			t.Errorf("result %d of SARIF is %+v, want %+v", i, r, f)
			continue
		}
		region := r.Locations[0].PhysicalLocation.Region
		if region.StartLine != f.Line || region.StartColumn != f.Column || region.EndColumn != f.Column+f.Length {
			t.Errorf("result %d of SARIF is at %+v, want %d:%d and %d characters", i, region, f.Line, f.Column, f.Length)
		}
	}
}

func TestTheDemosLinesAndItsSummaryAgree(t *testing.T) {
	t.Parallel()
	for _, seed := range []string{"1", "4"} {
		out := must(t, "demo", "--once", "--json", "--count", "40", "--seed", seed)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		runs, did := map[engine.RunState]int{}, map[string]int{}
		for _, text := range lines[:len(lines)-1] {
			line := into[demoLine](t, text)
			runs[line.State]++
			for _, d := range line.Did {
				did[d]++
			}
			if line.Run == "" || line.Playbook == "" || line.Did == nil {
				t.Errorf("a run says too little of itself: %s", text)
			}
		}
		last := into[struct{ Summary *demo.Summary }](t, lines[len(lines)-1])
		if last.Summary == nil {
			t.Fatalf("the last line is no summary: %s", lines[len(lines)-1])
		}
		sum, total := *last.Summary, 0
		for state, n := range sum.Runs {
			if total += n; runs[state] != n {
				t.Errorf("seed %s: %d runs %s in the summary, %d lines of them", seed, n, state, runs[state])
			}
		}
		if len(lines)-1 != total || total == 0 || total != sum.Decisions[string(engine.Matched)] {
			t.Errorf("seed %s: %d lines, %d runs and %d decisions to run", seed, len(lines)-1, total, sum.Decisions[string(engine.Matched)])
		}
		comments := did["alert.comment comment"] + did["alert.update comment"]
		if comments == 0 || comments != sum.Effects["alert.comment"] {
			t.Errorf("seed %s: the lines tell of %d comments on alerts, the simulator of %d", seed, comments, sum.Effects["alert.comment"])
		}
		if len(sum.Wrong) > 0 {
			t.Errorf("seed %s: %v", seed, sum.Wrong)
		}
	}
}

func TestAnExportMayBeAnObjectAnArrayOrLines(t *testing.T) {
	t.Parallel()
	alert := func(n int) string {
		return fmt.Sprintf(`{"id":"x%d","title":"Port scan","severity":"low","status":"new","createdDateTime":"2021-05-02T14:19:01Z",`+
			`"lastUpdateDateTime":"2021-05-02T14:19:01Z","evidence":[{"@odata.type":"#microsoft.graph.security.ipEvidence","ipAddress":"10.9.1.1"}]}`, n)
	}
	for name, text := range map[string]string{
		"object.json": `{"@odata.context":"x","value":[` + alert(1) + "," + alert(2) + `]}`,
		"array.json":  "[" + alert(1) + "," + alert(2) + "]",
		"lines.jsonl": alert(1) + "\n" + alert(2) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(must(t, "demo", "--once", "--json", "--alerts", file)), "\n")
			sum := into[struct{ Summary demo.Summary }](t, lines[len(lines)-1]).Summary
			if sum.Events["alert"] < 2 || sum.Effects["alert.update"] != 2 || len(sum.Wrong) > 0 {
				t.Errorf("both alerts are known noise and should have been closed: %+v", sum)
			}
		})
	}
}

func TestACanceledCommandEndsCleanly(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	out := &lineSignal{seen: make(chan struct{})}
	var errs bytes.Buffer
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"demo", "--count", "10"}, &streams{out: out, err: &errs}) }()
	<-out.seen // a run has ended: the demo is in the middle of its work
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if text := out.String(); !strings.Contains(text, "and the journal agree") {
		t.Errorf("an interrupted demo does not sum up:\n%s", text)
	}
}
