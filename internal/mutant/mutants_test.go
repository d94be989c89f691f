//go:build mutant

package mutant_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/internal/record"
)

// patience is how long a test of a broken program may take. One that hangs has not noticed anything.
const patience = 2 * time.Minute

// suites builds the tests of each package once, with the tag.
func suites(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	binaries := map[string]string{}
	for _, m := range mutant.All {
		for _, test := range m.Tests {
			if binaries[test.Package] != "" {
				continue
			}
			file := filepath.Join(dir, strings.ReplaceAll(test.Package, "/", "-")+".test")
			out, err := exec.Command("go", "test", "-c", "-tags", "mutant", "-o", file, "github.com/playbookd/playbookd/"+test.Package).CombinedOutput()
			if err != nil {
				t.Fatalf("build the tests of %s: %v\n%s", test.Package, err, out)
			}
			binaries[test.Package] = file
		}
	}
	return binaries
}

// verdict runs one test with one rule broken; "" for none. It says whether the test passed, and
// whether it failed by itself rather than by a crash or for lack of time.
func verdict(t *testing.T, binary string, test mutant.Test, broken mutant.Name) (passed, failed bool, out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^"+test.Name+"$", "-test.count=1", "-test.v")
	cmd.Dir = filepath.Join("..", "..", test.Package)
	// What rapid found in a broken program is no example to keep.
	examples := filepath.Join(cmd.Dir, "testdata", "rapid")
	if _, err := os.Stat(examples); errors.Is(err, fs.ErrNotExist) {
		t.Cleanup(func() { _ = os.RemoveAll(examples) })
	}
	cmd.Env = append(os.Environ(), mutant.Env+"="+string(broken))
	text, err := cmd.CombinedOutput()
	out = string(text)
	passed = err == nil && strings.Contains(out, "--- PASS: "+test.Name+" ")
	failed = err != nil && strings.Contains(out, "--- FAIL: "+test.Name+" ")
	return passed, failed, out
}

func TestEveryMutantIsNoticed(t *testing.T) {
	binaries := suites(t)
	tests := map[mutant.Test]bool{}
	noticed := 0
	for _, m := range mutant.All {
		for _, test := range m.Tests {
			if !tests[test] {
				tests[test] = true
				if passed, _, out := verdict(t, binaries[test.Package], test, ""); !passed {
					t.Fatalf("%s %s does not pass when no rule is broken:\n%s", test.Package, test.Name, out)
				}
			}
			t.Run(string(m.Name)+" by "+test.Package+" "+test.Name, func(t *testing.T) {
				_, failed, out := verdict(t, binaries[test.Package], test, m.Name)
				if !failed {
					t.Errorf("nothing was noticed: %s\n%s", m.Does, out)
				}
			})
			noticed++
		}
	}
	record.Keep(t, record.Suite{
		Name: "mutants", Run: "make mutants",
		Tries:  "Breaks one rule of the program at a time and runs the tests that guard it.",
		Holds:  "Every one of them fails.",
		Counts: []record.Count{{What: "broken rules", N: int64(len(mutant.All))}, {What: "tests that noticed", N: int64(noticed)}},
	})
}
