package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// decisionFiles are the files of package engine that decide. The others do.
var decisionFiles = []string{"act.go", "calling.go", "change.go", "choice.go", "consider.go", "data.go", "echo.go", "encode.go", "event.go",
	"frame.go", "inquiry.go", "interrupt.go", "keeping.go", "limit.go", "loop.go", "machine.go", "parallel.go", "pause.go", "play.go", "retry.go",
	"run.go", "screen.go", "sla.go"}

// deciders are the types of package engine whose methods decide, wherever they are written.
var deciders = []string{"Machine", "turn", "frame", "act"}

func TestWhateverDecidesIsHeldToBePure(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "engine", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || strings.HasSuffix(name, "_test.go") {
				continue
			}
			star, ok := f.Recv.List[0].Type.(*ast.StarExpr)
			if !ok {
				continue
			}
			if of, ok := star.X.(*ast.Ident); !ok || !slices.Contains(deciders, of.Name) {
				continue
			}
			if seen++; !slices.Contains(decisionFiles, filepath.Base(name)) {
				t.Errorf("%s holds %s, which decides: add the file to decisionFiles", filepath.Base(name), f.Name.Name)
			}
		}
	}
	if seen == 0 {
		t.Errorf("none of %v has a method: the test looks for what is not there any more", deciders)
	}
}

// A decision must come out the same in every process, on every day, in another engine for
// durable execution: so the files that decide read no clock, start nothing, wait for nothing and
// import nothing that could.
func TestTheDecisionFunctionIsPure(t *testing.T) {
	t.Parallel()
	may := []string{
		"bytes", "crypto/sha256", "encoding/base32", "encoding/hex", "encoding/json", "errors", "fmt", "hash/fnv",
		"maps", "math", "reflect", "slices", "strconv", "strings", "time",
		module + "/actions", module + "/playbooks", module + "/playbooks/expression", module + "/internal/mutant",
	}
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	for _, name := range decisionFiles {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join("..", "..", "engine", name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range file.Imports {
			if path, _ := strconv.Unquote(imp.Path.Value); !slices.Contains(may, path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
				t.Errorf("%s: goroutines and channels do not belong in a decision", fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%s: time.%s reads the clock", fset.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}
