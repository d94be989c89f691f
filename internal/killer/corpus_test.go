package killer_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/internal/killer"
	"github.com/playbookd/playbookd/internal/record"
)

// targets finds the fuzz targets of the repository: "dir Name".
func targets(t *testing.T, root string) map[string]bool {
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				found[filepath.Dir(path)+" "+f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A file in the corpus of a target that was renamed would be run by nobody.
func TestEveryFileOfACorpusBelongsToATarget(t *testing.T) {
	root := filepath.Join("..", "..")
	all := targets(t, root)
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		target := filepath.Dir(path)
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(target)) != "fuzz" || filepath.Base(filepath.Dir(filepath.Dir(target))) != "testdata" {
			return err
		}
		files++
		if pkg := filepath.Dir(filepath.Dir(filepath.Dir(target))); !all[pkg+" "+filepath.Base(target)] {
			t.Errorf("%s belongs to no target", path)
		}
		text, err := os.ReadFile(path)
		if err == nil && !bytes.HasPrefix(text, []byte("go test fuzz v1\n")) {
			t.Errorf("%s is no file of a corpus", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 25 || files == 0 {
		t.Errorf("only %d targets and %d files", len(all), files)
	}
	killers := len(killer.Expressions()) + len(killer.Growing()) + len(killer.Documents()) + len(killer.Schedules()) + len(killer.Filters())
	record.Keep(t, record.Suite{
		Name:  "fuzz",
		Tries: "gives mutated and generated texts, requests, answers, histories and journal rows to everything that reads them, expressions in a child process with a memory cap",
		Holds: "nothing panics, hangs or fills the memory; what is wrong ends in a finding, a refusal or a parked run, and what two readers read they read alike",
		Run:   "make fuzz FUZZTIME=5m",
		Counts: []record.Count{
			{What: "fuzz targets", N: int64(len(all))},
			{What: "known killers, each with the finding that it must end in", N: int64(killers)},
			{What: "kept inputs that once failed", N: int64(files)},
		},
	})
}

func TestKillersHaveNamesOfTheirOwn(t *testing.T) {
	for _, list := range [][]killer.Killer{killer.Expressions(), killer.Growing(), killer.Documents(), killer.Schedules(), killer.Filters()} {
		seen := map[string]bool{}
		for _, k := range list {
			if k.Name == "" || seen[k.Name] {
				t.Errorf("%q is the name of two killers", k.Name)
			}
			seen[k.Name] = true
		}
	}
}
