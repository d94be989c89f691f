package docs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/internal/record"
)

// found is a flaw that a suite found, and what became of it.
type found struct {
	Suite  string `json:"suite"`
	Found  string `json:"found"`
	Mended string `json:"mended"`
}

const robustnessIntro = `# Robustness

What is done to the program to find out whether it keeps its promises, how often, and what that has found so far. This page
is made from what the suites wrote down when they last ran in full (` + "`make robustness`" + `, two cores) and from the list
of mutants; nobody types its numbers.

All suites ask the same checker, ` + "`internal/invariant`" + `. It lays the simulator's log of effects, which is the truth, beside the
journal, which is the claim:

1. every effect has an earlier durable intent, where its class needs one;
2. every settled success has its effect, and nothing recorded as certainly not done was done;
3. what adds or converges is visible exactly once in the final state, what may happen once is at most once in the log;
4. no object below the poll position is missing among the events;
5. every event has a decision for every playbook;
6. every run has ended, or has a next step, or is parked and says why; and its history, decided again, gives the same;
7. the same seed gives the same journal.

`

// robustnessPage tells what the suites tried and found.
func robustnessPage(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(robustnessIntro)
	b.WriteString("## What is tried\n\n")
	files, err := filepath.Glob("robustness/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if filepath.Base(file) == foundFile {
			continue
		}
		var s record.Suite
		readJSON(t, file, &s)
		fmt.Fprintf(&b, "### %s\n\n%s\n\n%s. Run it with `%s`. The last full run:\n\n| what | how often |\n|---|---|\n", s.Name, s.Tries, strings.TrimSuffix(s.Holds, "."), s.Run)
		for _, c := range s.Counts {
			fmt.Fprintf(&b, "| %s | %s |\n", c.What, grouped(int(c.N)))
		}
		b.WriteString("\n")
	}
	b.WriteString("## What it found\n\nFlaws of the program, not of the suites. Each is mended, and the suite that found it would find it again.\n\n| suite | found | mended |\n|---|---|---|\n")
	var list []found
	readJSON(t, filepath.Join("robustness", foundFile), &list)
	for _, f := range list {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(f.Suite), cell(f.Found), cell(f.Mended))
	}
	b.WriteString("\n## What proves the suites\n\nA suite that has never failed proves nothing. Built with the tag `mutant`, the program can be made to break one rule at a\ntime (`internal/mutant`); `make mutants` does so for each, and fails if a test that should notice passes.\n\n| mutant | the broken program | must be noticed by |\n|---|---|---|\n")
	for _, m := range mutant.All {
		var tests []string
		for _, t := range m.Tests {
			tests = append(tests, "`"+t.Package+"` "+t.Name)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.Name, cell(m.Does), strings.Join(tests, ", "))
	}
	return b.Bytes()
}

const foundFile = "found.json"

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// Whoever reads the page should find in it every suite that keeps a record, and no other.
func TestEverySuiteThatKeepsARecordStandsInThePage(t *testing.T) {
	t.Parallel()
	kept := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") || strings.Contains(path, "internal/record/") || strings.HasSuffix(path, "robustness_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, part := range strings.Split(string(text), "record.Suite{")[1:] {
			_, rest, ok := strings.Cut(part, "Name:")
			quoted, _ := strconv.QuotedPrefix(strings.TrimSpace(rest))
			name, bad := strconv.Unquote(quoted)
			if !ok || bad != nil {
				t.Errorf("%s: a suite without a constant name", path)
			}
			kept[name] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range kept {
		if _, err := os.Stat(filepath.Join("robustness", name+".json")); err != nil {
			t.Errorf("suite %s has no record in docs/robustness: run make robustness", name)
		}
	}
	files, _ := filepath.Glob("robustness/*.json")
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); name != "found" && !kept[name] {
			t.Errorf("%s is the record of no suite", file)
		}
	}
}
