package record_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/playbookd/playbookd/internal/record"
)

func TestASuiteIsKeptWhenItPassedAndSomebodyAsked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	t.Setenv(record.Dir, dir)
	t.Run("passed", func(t *testing.T) {
		record.Keep(t, record.Suite{Name: "a", Counts: []record.Count{{What: "kills", N: 3}}})
	})
	text, err := os.ReadFile(filepath.Join(dir, "a.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s record.Suite
	if err := json.Unmarshal(text, &s); err != nil || len(s.Counts) != 1 || s.Counts[0].N != 3 {
		t.Errorf("kept %s (%v)", text, err)
	}
}
