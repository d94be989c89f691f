package document_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A case is a file: the document, a line of dashes, and what the reader says of it. If it finds nothing wrong,
// what it read follows as JSON.
func TestReadReports(t *testing.T) {
	t.Parallel()
	const dashes = "----------\n"
	files, err := filepath.Glob("testdata/document/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("only %d cases: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(data), dashes)
			if !ok {
				t.Fatal("the case has no line of dashes")
			}
			got := report(t, input)
			if *update {
				if err := os.WriteFile(file, []byte(input+dashes+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func report(t *testing.T, input string) string {
	t.Helper()
	doc, findings := document.Read("case.yaml", []byte(input))
	var b bytes.Buffer
	if err := diag.Render(&b, findings, false); err != nil {
		t.Fatal(err)
	}
	if !findings.HasErrors() {
		enc := json.NewEncoder(&b)
		enc.SetIndent("", "  ")
		if err := enc.Encode(doc.Root.Any()); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}
