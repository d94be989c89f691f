package diag_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/internal/diag"
)

func at(line, column int) diag.Position {
	return diag.Position{File: "close.yaml", Line: line, Column: column}
}

func render(t *testing.T, color bool, fs ...diag.Finding) string {
	t.Helper()
	var b bytes.Buffer
	if err := diag.Render(&b, fs, color); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAFindingShowsPlaceLineCaretAndMend(t *testing.T) {
	t.Parallel()
	got := render(t, false, diag.Finding{
		Code: "PB012", Severity: diag.Error, Pos: at(12, 9), Length: 6,
		Message: `the key "statsu" is not known`, Mend: `did you mean "status"?`, Excerpt: "        statsu: resolved",
	})
	want := strings.Join([]string{
		`close.yaml:12:9: error PB012: the key "statsu" is not known`,
		`   12 |         statsu: resolved`,
		`      |         ^^^^^^`,
		`   mend: did you mean "status"?`, ``,
	}, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheCaretStandsUnderWideCharactersAndTabs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line           string
		column, length int
		caret          string
	}{
		{"名前: x", 5, 1, "      ^"},
		{"\tkey: x", 2, 3, "    ^^^"},
		{"e\u0301: x", 5, 1, "   ^"},
		{"ab", 3, 1, "  ^"}, // one past the end
		{"名", 1, 1, "^^"},
		{"ab", 99, 4, "  ^"},
	} {
		lines := strings.Split(render(t, false, diag.Finding{Pos: at(1, test.column), Length: test.length, Excerpt: test.line}), "\n")
		if got := strings.TrimPrefix(lines[2], "      | "); got != test.caret {
			t.Errorf("%q at %d: caret %q, want %q", test.line, test.column, got, test.caret)
		}
	}
}

func TestALongLineIsCutAroundTheCaret(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("a", 5000) + "HERE" + strings.Repeat("b", 5000)
	lines := strings.Split(render(t, false, diag.Finding{Pos: at(1, 5001), Length: 4, Excerpt: line}), "\n")
	text, caret := strings.TrimPrefix(lines[1], "    1 | "), strings.TrimPrefix(lines[2], "      | ")
	if n := utf8.RuneCountInString(text); n > diag.MaxExcerpt+2 {
		t.Errorf("the excerpt has %d characters", n)
	}
	under := []rune(text)[strings.Index(caret, "^"):]
	if !strings.HasPrefix(string(under), "HERE") || strings.Count(caret, "^") != 4 {
		t.Errorf("the caret does not stand under HERE:\n%s\n%s", text, caret)
	}
}

func TestHostileTextNeverReachesTheTerminal(t *testing.T) {
	t.Parallel()
	hostile := "x\x1b[31m\x00\u202e\u2066\x7f\u0085\u2028\a end"
	got := render(t, false, diag.Finding{
		Code: "PB001", Severity: diag.Error, Pos: diag.Position{File: "a" + hostile, Line: 1, Column: 1},
		Message: hostile + "\nforged line", Mend: hostile, Excerpt: hostile,
	})
	for _, r := range got {
		if r != '\n' && (r < 0x20 || r == 0x7f || r == 0x85 || r == '\u202e' || r == '\u2066' || r == '\u2028') {
			t.Errorf("%U is printed in %q", r, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 4 {
		t.Errorf("%d lines instead of 4: text forged a line", n)
	}
}

func TestMessagesAreCut(t *testing.T) {
	t.Parallel()
	for _, n := range []int{diag.MaxMessage, diag.MaxMessage + 1} {
		got := diag.Finding{Message: strings.Repeat("m", n)}.String()
		if cut := strings.HasSuffix(got, "…"); cut != (n > diag.MaxMessage) {
			t.Errorf("%d characters: cut is %v", n, cut)
		}
	}
}

func TestRenderingIsSafeForEveryText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := diag.Finding{
			Code: "PB001", Severity: diag.Warning,
			Pos:     at(rapid.IntRange(0, 1e6).Draw(t, "line"), rapid.IntRange(-2, 500).Draw(t, "column")),
			Length:  rapid.IntRange(-2, 500).Draw(t, "length"),
			Message: rapid.String().Draw(t, "message"), Excerpt: rapid.String().Draw(t, "excerpt"),
		}
		var b bytes.Buffer
		if err := diag.Render(&b, diag.Findings{f}, false); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.String() {
			if r < 0x20 && r != '\n' {
				t.Fatalf("%U is printed", r)
			}
		}
		for _, line := range strings.Split(b.String(), "\n") {
			if n := utf8.RuneCountInString(line); n > diag.MaxMessage+200 {
				t.Fatalf("a line of %d characters", n)
			}
		}
	})
}

func TestFindingsSortByPlaceAndErrorsComeFirst(t *testing.T) {
	t.Parallel()
	fs := diag.Findings{
		{Code: "B", Severity: diag.Warning, Pos: at(2, 1)},
		{Code: "A", Severity: diag.Error, Pos: at(2, 1)},
		{Code: "C", Severity: diag.Error, Pos: at(1, 9)},
		{Code: "D", Severity: diag.Error, Pos: diag.Position{File: "a.yaml", Line: 9}},
	}
	fs.Sort()
	var got string
	for _, f := range fs {
		got += f.Code
	}
	if got != "DCAB" {
		t.Errorf("order %s, want DCAB", got)
	}
}

func TestOnlyErrorsMakeAnError(t *testing.T) {
	t.Parallel()
	warning := diag.Finding{Code: "W", Severity: diag.Warning, Pos: at(1, 1), Message: "doubtful"}
	broken := diag.Finding{Code: "E", Severity: diag.Error, Pos: at(2, 3), Message: "wrong"}
	if err := (diag.Findings{warning}).Err(); err != nil {
		t.Errorf("a warning is an error: %v", err)
	}
	err := (diag.Findings{warning, broken, broken}).Err()
	var failure *diag.Failure
	if !errors.As(err, &failure) || len(failure.Findings) != 3 {
		t.Fatalf("%v does not carry its findings", err)
	}
	if got, want := err.Error(), "close.yaml:2:3: error E: wrong (and 1 more)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestJSONHasOneFlatObjectForEachFinding(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := diag.JSON(&b, nil); err != nil || strings.TrimSpace(b.String()) != "{\n  \"findings\": []\n}" {
		t.Errorf("no findings: %q (%v)", b.String(), err)
	}
	b.Reset()
	if err := diag.JSON(&b, diag.Findings{{Code: "PB003", Severity: diag.Error, Pos: at(3, 4), Length: 2, Message: "<m>"}}); err != nil {
		t.Fatal(err)
	}
	var got struct{ Findings []map[string]any }
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"code": "PB003", "severity": "error", "file": "close.yaml", "line": 3.0, "column": 4.0, "length": 2.0, "message": "<m>"}
	if diff := cmp.Diff(want, got.Findings[0]); diff != "" {
		t.Error(diff)
	}
}

func TestSARIFPlacesResultsAndExplainsTheirRules(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	codes := []diag.Code{{Code: "PB003", Title: "Not YAML", Severity: diag.Error, Help: "Look again."}}
	err := diag.SARIF(&b, diag.Findings{
		{Code: "PB003", Severity: diag.Error, Pos: diag.Position{File: "play books/a.yaml", Line: 3, Column: 4}, Length: 2, Message: "m", Mend: "n"},
		{Code: "PB003", Severity: diag.Warning, Pos: diag.Position{File: "b.yaml"}, Message: "whole file"},
	}, "1.2.3", codes)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Version string
					Rules   []struct{ ID string }
				}
			}
			Results []struct {
				RuleID, Level string
				Message       struct{ Text string }
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           *struct{ StartLine, StartColumn, EndColumn int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	run := got.Runs[0]
	if got.Version != "2.1.0" || run.Tool.Driver.Version != "1.2.3" || len(run.Tool.Driver.Rules) != 1 || len(run.Results) != 2 {
		t.Fatalf("unexpected log: %s", b.String())
	}
	place := run.Results[0].Locations[0].PhysicalLocation
	if place.ArtifactLocation.URI != "play%20books/a.yaml" || place.Region.StartLine != 3 || place.Region.StartColumn != 4 || place.Region.EndColumn != 6 {
		t.Errorf("misplaced: %+v", place)
	}
	if run.Results[0].Message.Text != "m\nn" || run.Results[1].Level != "warning" || run.Results[1].Locations[0].PhysicalLocation.Region != nil {
		t.Errorf("unexpected results: %s", b.String())
	}
}

func TestWhateverIsFoundIsValidSARIF(t *testing.T) {
	t.Parallel()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile("testdata/sarif.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	codes := []diag.Code{{Code: "PB001", Title: "t", Severity: diag.Error, Help: "h"}, {Code: "PB038", Title: "u", Severity: diag.Warning}}
	rapid.Check(t, func(t *rapid.T) {
		var findings diag.Findings
		for range rapid.IntRange(0, 4).Draw(t, "findings") {
			findings = append(findings, diag.Finding{
				Code: rapid.SampledFrom([]string{"PB001", "PB038", "PB999"}).Draw(t, "code"), Severity: rapid.SampledFrom([]diag.Severity{diag.Error, diag.Warning}).Draw(t, "severity"),
				Pos: diag.Position{File: rapid.OneOf(rapid.SampledFrom([]string{"a b/c.yaml", "/etc/p.yaml", "c:d.yaml", "%zz.yaml", "ü?#.yaml"}), rapid.String()).Draw(t, "file"),
					Line: rapid.IntRange(0, 1e6).Draw(t, "line"), Column: rapid.IntRange(0, 500).Draw(t, "column")},
				Length: rapid.IntRange(-2, 500).Draw(t, "length"), Message: rapid.String().Draw(t, "message"), Mend: rapid.String().Draw(t, "mend"),
			})
		}
		var b bytes.Buffer
		if err := diag.SARIF(&b, findings, "1.2.3", codes); err != nil {
			t.Fatal(err)
		}
		log, err := jsonschema.UnmarshalJSON(&b)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(log); err != nil {
			t.Fatal(err)
		}
	})
}

func TestColorMarksSeverityAndCaret(t *testing.T) {
	t.Parallel()
	got := render(t, true, diag.Finding{Code: "PB001", Severity: diag.Warning, Pos: at(1, 1), Message: "m", Excerpt: "x"})
	if !strings.Contains(got, "\x1b[1;33mwarning PB001:\x1b[0m") || !strings.Contains(got, "\x1b[1;33m^\x1b[0m") {
		t.Errorf("%q", got)
	}
}

func TestCodesAreFoundWhateverTheirCase(t *testing.T) {
	t.Parallel()
	codes := []diag.Code{{Code: "PB001", Title: "t"}}
	if c, ok := diag.Lookup(codes, "pb001"); !ok || c.Title != "t" {
		t.Error("pb001 is not found")
	}
	if _, ok := diag.Lookup(codes, "PB999"); ok {
		t.Error("PB999 is found")
	}
}

// hostile is text that would clear a terminal, write its title, or turn a line around.
const hostile = "a\x1b[2Jb\u009b31mc\x7fd\u202ee\u2028f\u200bg\U000e0041h\ni é 日 👍"

func TestTextForATerminalHoldsNothingThatItObeys(t *testing.T) {
	t.Parallel()
	const want = "a␛[2Jb\ufffd31mc␡d\ufffde\ufffdf\ufffdg\ufffdh i é 日 👍"
	length := utf8.RuneCountInString(want)
	for most, want := range map[int]string{length: want, length + 1: want, length - 1: strings.TrimSuffix(want, " 👍") + "…", 1: "…"} {
		if got := diag.Plain(hostile, most); got != want {
			t.Errorf("of %d characters: %q, want %q", most, got, want)
		}
	}
}

func TestJSONForATerminalHoldsNothingThatItObeysAndMeansTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.String().Draw(t, "value") + hostile
		var b bytes.Buffer
		enc := json.NewEncoder(diag.Escaped(&b))
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]string{value: value}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if line = strings.TrimSuffix(line, "\n"); diag.Plain(line, len(line)) != line {
				t.Errorf("a terminal obeys %q", line)
			}
		}
		var got map[string]string
		if err := json.Unmarshal(b.Bytes(), &got); err != nil || got[strings.ToValidUTF8(value, "\ufffd")] != strings.ToValidUTF8(value, "\ufffd") {
			t.Errorf("%q became %q (%v)", value, got, err)
		}
	})
}
