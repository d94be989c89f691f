package enginetest_test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/enginetest"
	"github.com/playbookd/playbookd/engine/memory"
	"github.com/playbookd/playbookd/internal/record"
	"github.com/playbookd/playbookd/store"
)

var update = flag.Bool("update", false, "write what the cases expect anew")

const dir = "../../testdata/conformance"

func embedded(o engine.Options) enginetest.Engine { return engine.New(o) }

func TestTheEmbeddedEngineConforms(t *testing.T) {
	t.Parallel()
	played := enginetest.Suite{Dir: dir, Update: *update, Engine: embedded, Journal: func(*testing.T) func() engine.Journal {
		j := memory.New()
		return func() engine.Journal { return j }
	}}.Run(t)
	record.Keep(t, record.Suite{
		Name: "conformance", Run: "go test ./engine/enginetest",
		Tries:  "plays a case for each construct of the language in each place where it may stand, and ends the process after each entry of the history and before each outcome",
		Holds:  "every case ends as its file says, and with a death in it in the same state, with the same outputs, decisions and effects",
		Counts: []record.Count{{What: "cases", N: played.Cases.Load()}, {What: "deaths of a process", N: played.Deaths.Load()}},
	})
}

// sample is which of the cases, and of the deaths of each, are also played with a database.
const sample = 11

func TestTheEmbeddedEngineConformsOnSQLite(t *testing.T) {
	t.Parallel()
	enginetest.Suite{Dir: dir, Engine: embedded, Every: sample, Journal: func(t *testing.T) func() engine.Journal {
		file := filepath.Join(t.TempDir(), "playbookd.db")
		return func() engine.Journal {
			db, err := store.Open(t.Context(), file, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return db
		}
	}}.Run(t)
}

func TestEveryPairOfConstructsThatCanNestHasACase(t *testing.T) {
	t.Parallel()
	missing, err := enginetest.Missing(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range missing {
		t.Errorf("the cases lack %s", m)
	}
}

// A suite that lacks a case says so.
func TestAMissingCaseIsNoticed(t *testing.T) {
	t.Parallel()
	cases := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "foreach/approve.txt" || name == "cancel/ask.txt" || name == "together/deep.txt" {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		cases[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	missing, err := enginetest.Missing(cases)
	if want := []string{"a case for approve in foreach", "cancel/ask"}; err != nil || !slices.Equal(missing, want) {
		t.Errorf("missing is %q (%v), want %q", missing, err, want)
	}
}

func TestACaseThatCannotBeReadSaysWhy(t *testing.T) {
	t.Parallel()
	const book = "What it shows.\n\n-- playbook.yaml --\nname: x\n"
	for text, want := range map[string]string{
		"name: x\n":                                                     "it is no case",
		"-- playbook.yaml --\nname: x\n":                                "begins with what it shows",
		"About.\n-- other.yaml --\nname: x\n":                           "has a playbook.yaml",
		book + "-- surprises --\n":                                      `no section "surprises"`,
		book + "-- happens --\nput x\n":                                 "write PART VALUE: ENDING",
		book + "-- happens --\nput x: exploded\n":                       `"exploded" is no ending`,
		book + "-- happens --\nput x: takes soon ok\n":                  "soon",
		book + "-- happens --\nafter a while: anna approves\n":          "is no ending",
		book + "-- happens --\nafter soon: anna approves\n":             "soon",
		book + "-- happens --\nafter 5m: anna answers which of these\n": "the answer is not JSON",
	} {
		_, err := enginetest.ReadCases(fstest.MapFS{"odd.txt": {Data: []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "odd.txt") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
