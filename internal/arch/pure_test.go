package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// decisionFiles are the files of package engine that decide. The others do.
var decisionFiles = []string{"act.go", "calling.go", "change.go", "choice.go", "consider.go", "data.go", "echo.go", "encode.go", "event.go",
	"frame.go", "inquiry.go", "limit.go", "loop.go", "machine.go", "parallel.go", "pause.go", "play.go", "retry.go", "run.go", "sla.go"}

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
