package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/sandbox"
)

var site = sandbox.Site{URL: "https://127.0.0.1:9", CA: []byte("ca"), Tenant: "t", Client: "c", Secret: "a-secret-of-the-sandbox"}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheWrittenConfigurationIsCleanAndHoldsNoSecret(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	file, err := sandbox.Write(dir, site)
	if err != nil {
		t.Fatal(err)
	}
	if _, findings := config.Load(file); len(findings) > 0 {
		t.Errorf("findings %v", findings)
	}
	if strings.Contains(read(t, dir, sandbox.ConfigName), site.Secret) {
		t.Error("the secret stands in the configuration")
	}
	info, err := os.Stat(filepath.Join(dir, "client-secret.txt"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret's file is %v (%v), want it for its owner alone", info.Mode(), err)
	}
}

func TestPlaybooksThatWereEditedStayAndTheRestIsWrittenAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := sandbox.Write(dir, site); err != nil {
		t.Fatal(err)
	}
	edited := filepath.Join(dir, "playbooks", "triage-reminder.yaml")
	if err := os.WriteFile(edited, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	moved := site
	moved.URL = "https://127.0.0.1:10"
	if _, err := sandbox.Write(dir, moved); err != nil {
		t.Fatal(err)
	}
	if read(t, dir, "playbooks/triage-reminder.yaml") != "mine" {
		t.Error("the edited playbook was overwritten")
	}
	if !strings.Contains(read(t, dir, sandbox.ConfigName), moved.URL) {
		t.Error("the configuration does not name the new address")
	}
}

func TestHasteChangesHowOftenAndNothingElse(t *testing.T) {
	t.Parallel()
	calm, hasty := t.TempDir(), t.TempDir()
	quick := site
	quick.Hasty = true
	for dir, s := range map[string]sandbox.Site{calm: site, hasty: quick} {
		if _, err := sandbox.Write(dir, s); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(calm, "playbooks", "*.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d playbooks (%v)", len(files), err)
	}
	for _, file := range files {
		name := "playbooks/" + filepath.Base(file)
		before, after := strings.Split(read(t, calm, name), "\n"), strings.Split(read(t, hasty, name), "\n")
		if len(before) != len(after) {
			t.Fatalf("%s has other lines", name)
		}
		for i := range before {
			if before[i] != after[i] && !strings.Contains(before[i], "every:") && !strings.Contains(before[i], "cron:") {
				t.Errorf("%s: %q became %q", name, before[i], after[i])
			}
		}
	}
}
