// Package record keeps what the robustness suites tried, so that docs/robustness.md can say it
// without anybody typing numbers.
//
// A suite calls [Keep] once when it has ended well. Nothing happens unless the environment
// variable PLAYBOOKD_RECORD names a directory; then the suite's line is written there as JSON,
// and `make robustness` turns all of them into the page. A suite that failed keeps nothing: a
// page that shows its numbers would claim more than was seen.
package record

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Dir is the environment variable that names the directory.
const Dir = "PLAYBOOKD_RECORD"

// Count is how often something was tried or seen.
type Count struct {
	What string `json:"what"` // plural: "kills", "polls", "requests with a fault"
	N    int64  `json:"n"`
}

// Suite is what one suite tried.
type Suite struct {
	Name   string  `json:"name"`   // file name and heading: "kill-sweep"
	Tries  string  `json:"tries"`  // one sentence: what it does to the program
	Holds  string  `json:"holds"`  // one sentence: what must hold afterwards
	Run    string  `json:"run"`    // how to run it: "make sweep"
	Counts []Count `json:"counts"` // of this run
}

// Keep writes the suite's line at the end of the test, if the test passed and somebody asked for it.
func Keep(t testing.TB, s Suite) {
	t.Helper()
	dir := os.Getenv(Dir)
	if dir == "" {
		return
	}
	t.Cleanup(func() {
		if t.Failed() || t.Skipped() {
			return
		}
		text, err := json.MarshalIndent(s, "", "  ")
		if err == nil {
			err = os.MkdirAll(dir, 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, s.Name+".json"), append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Errorf("record of %s: %v", s.Name, err)
		}
	})
}
