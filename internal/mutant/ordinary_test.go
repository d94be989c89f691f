//go:build !mutant

package mutant_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/playbookd/playbookd/internal/mutant"
)

// The whole program is built as a release is, and none of the names is in it.
func TestAnOrdinaryBuildHasNoMutants(t *testing.T) {
	if mutant.Built {
		t.Fatal("this build can be broken")
	}
	t.Setenv(mutant.Env, string(mutant.DropIntent))
	if mutant.On(mutant.DropIntent) {
		t.Error("the environment breaks an ordinary build")
	}
	program := filepath.Join(t.TempDir(), "playbookd")
	out, err := exec.Command("go", "build", "-o", program, "github.com/playbookd/playbookd/cmd/playbookd").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte(mutant.Env)) {
		t.Errorf("the program knows %s", mutant.Env)
	}
	for _, m := range mutant.All {
		if bytes.Contains(text, []byte(m.Name)) {
			t.Errorf("the program knows the mutant %s", m.Name)
		}
	}
}
