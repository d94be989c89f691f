package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// circled leaves a journal in which a playbook ran once for an alert and was held twice.
func circled(t *testing.T, data string) {
	t.Helper()
	p, findings := playbooks.Compile("looper.yaml", []byte("name: looper\ntriggers: [{poll: {resource: alerts, every: 1m}}]\n"+
		"steps: [{action: log, with: {message: x}}]\n"), playbooks.Options{Catalog: catalog()})
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(data, daemon.DatabaseName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	e := engine.New(engine.Options{Journal: db, Ceiling: engine.Ceiling{Runs: 1, Within: time.Hour}})
	e.Use(playbooks.NewSet(p))
	for n := range 3 {
		ev := engine.Event{ID: fmt.Sprintf("contoso/alerts/a1/%d", n), Tenant: "contoso", Source: "poll/alerts", Kind: "alert",
			Object: "alerts/a1", Title: "Port scan", Payload: json.RawMessage(fmt.Sprintf(`{"id":"a1","title":"%d"}`, n))}
		if _, err := e.Deliver(t.Context(), engine.Batch{Events: []engine.Event{ev}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAHeldRunIsExplainedAndReleasedByName(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	circled(t, data)
	held := into[[]engine.Run](t, must(t, "runs", "--data", data, "--state", "parked", "--json"))
	if len(held) != 2 {
		t.Fatalf("%d held runs, want 2", len(held))
	}
	first, second := string(held[1].ID), string(held[0].ID)
	if out := must(t, "runs", "--data", data); !strings.Contains(out, "held: 1 runs of this playbook") {
		t.Errorf("runs does not say why:\n%s", out)
	}
	if out := must(t, "show", "--data", data, first); !strings.Contains(out, "playbookd release "+first) || !strings.Contains(out, "alerts/a1") {
		t.Errorf("show does not say what to do:\n%s", out)
	}
	for _, args := range [][]string{{"release", "--data", data, first}, {"release", "--data", data, "nowhere", "--by", "me"}} {
		if _, errs, code := playbookd(t, args...); code != exitBroken || errs == "" {
			t.Errorf("%q: exit code %d, %q", args, code, errs)
		}
	}
	if out := must(t, "release", "--data", data, first, "--by", "ana", "--note", "condition mended"); !strings.Contains(out, "goes on at the next start") {
		t.Errorf("release says %q", out)
	}
	if out := must(t, "release", "--data", data, second, "--by", "ana", "--cancel"); !strings.Contains(out, "is called off at the next start") {
		t.Errorf("release --cancel says %q", out)
	}
	if out := must(t, "show", "--data", data, first); !strings.Contains(out, "released by ana: condition mended") || !strings.Contains(out, "ready") {
		t.Errorf("show after the release:\n%s", out)
	}
	if out := must(t, "show", "--data", data, second); !strings.Contains(out, "called off by ana") {
		t.Errorf("show after the cancellation:\n%s", out)
	}
	_, errs, code := playbookd(t, "release", "--data", data, first, "--by", "me")
	if code != exitBroken || !strings.Contains(errs, "only a run that is held") {
		t.Errorf("releasing it again: exit code %d, %q", code, errs)
	}
	if _, errs, code := playbookd(t, "release", "--data", data, second, "--by", "me"); code != exitBroken || !strings.Contains(errs, "only a run that is held") {
		t.Errorf("releasing what is canceled: exit code %d, %q", code, errs)
	}
}

func TestAHeldRunIsReleasedWhileTheDaemonRuns(t *testing.T) {
	t.Parallel()
	file, _, _ := people(t)
	data := filepath.Join(filepath.Dir(file), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	circled(t, data)
	held := into[[]engine.Run](t, must(t, "runs", "-c", file, "--state", "parked", "--json"))
	first, second := string(held[1].ID), string(held[0].ID)
	as := persons(t, file)
	said := false
	served(t, file, func() bool {
		if !said {
			if _, _, code := as("lena", "approvals"); code != exitOK {
				return false
			}
			refused(t, "a role that is missing", "needs the role operator")(as("anna", "release", first))
			if out, errs, code := as("lena", "release", first, "--note", "condition mended"); code != exitOK || out != "run "+first+" goes on\n" {
				t.Errorf("release: exit code %d, %q, %q", code, out, errs)
			}
			if out, errs, code := as("lena", "release", second, "--cancel"); code != exitOK || out != "run "+second+" is called off\n" {
				t.Errorf("release --cancel: exit code %d, %q, %q", code, out, errs)
			}
			refused(t, "a run that is over", "only a run that is held")(as("lena", "release", second))
			said = true
		}
		return len(into[[]engine.Run](t, must(t, "runs", "-c", file, "--state", "succeeded", "--json"))) == 2
	})
	for id, want := range map[string]string{first: "released by lena: condition mended", second: "called off by lena"} {
		if out := must(t, "show", "-c", file, id); !strings.Contains(out, want) {
			t.Errorf("show does not say %q:\n%s", want, out)
		}
	}
}
