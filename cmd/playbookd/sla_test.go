package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// clocked leaves a journal with clocks that began so long ago, by the alert's ID. It stays open, as that of
// a daemon that runs.
func clocked(t *testing.T, data string, ages map[string]time.Duration, fields map[string]string) {
	t.Helper()
	p, findings := playbooks.Compile("triage.yaml", []byte(`
name: triage
triggers:
  - sla:
      resource: alerts
      start: alert.createdDateTime
      pause: alert.assignedTo == "vendor"
      stop: alert.status == "resolved"
      target: [{if: alert.severity == "high", within: 30m}]
      stages: {at_risk: 75%, breached: 100%, escalated: 200%}
steps: [{action: log, with: {message: x}}]
`), playbooks.Options{Catalog: catalog()})
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(data, daemon.DatabaseName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	e := engine.New(engine.Options{Journal: db})
	e.Use(playbooks.NewSet(p))
	tenants := []string{"contoso"}
	asOf := func(string, string) time.Time { return time.Now() }
	if _, err := e.Strike(t.Context(), tenants, asOf); err != nil {
		t.Fatal(err)
	}
	for id, age := range ages {
		created := time.Now().Add(-age)
		ev := engine.Event{ID: "contoso/alerts/" + id + "/1", Tenant: "contoso", Source: "poll/alerts", Kind: "alert", Object: "alerts/" + id,
			Title: "About " + id + "\x1b[31m", Occurred: time.Now(), Payload: json.RawMessage(fmt.Sprintf(
				`{"id":%q,"severity":"high","status":"new","createdDateTime":%q%s}`, id, created.UTC().Format(time.RFC3339Nano), fields[id]))}
		if _, err := e.Deliver(t.Context(), engine.Batch{Events: []engine.Event{ev}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Strike(t.Context(), tenants, asOf); err != nil {
		t.Fatal(err)
	}
}

func TestTheBoardShowsTheMostUrgentClockFirst(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	clocked(t, data, map[string]time.Duration{"fresh": time.Minute, "risky": 25 * time.Minute, "over": 40 * time.Minute, "held": 5 * time.Minute,
		"done": time.Minute, "free": time.Minute}, map[string]string{"held": `,"assignedTo":"vendor"`, "done": `,"status":"resolved"`, "free": `,"severity":"low"`})
	lines := strings.Split(strings.TrimSpace(must(t, "sla", "--data", data)), "\n")
	for i, want := range []string{"BREACHES", "over by 1", "4m5", "28m5", "24m5"} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d of the board does not say %q:\n%s", i, want, strings.Join(lines, "\n"))
		}
	}
	if text := strings.Join(lines, "\n"); strings.Contains(text, "\x1b") || strings.Contains(text, "alerts/done") || !strings.Contains(lines[4], "paused") {
		t.Errorf("the board:\n%q", text)
	}
	reports := into[[]clockReport](t, must(t, "sla", "--data", data, "--json"))
	if len(reports) != 4 {
		t.Fatalf("%d clocks, want 4: %+v", len(reports), reports)
	}
	if r := reports[0]; r.Object != "alerts/over" || !r.Over || r.Stage != "breached" || r.Next != "escalated" || r.Target != "30m" {
		t.Errorf("first: %+v", r)
	}
	if r := reports[1]; r.Object != "alerts/risky" || r.Over || r.Stage != "at_risk" || r.Next != "breached" || !r.Due.Equal(r.Breach) {
		t.Errorf("second: %+v", r)
	}
	if all := into[[]clockReport](t, must(t, "sla", "--data", data, "--json", "--all", "--object", "alerts/done")); len(all) != 1 || all[0].State != engine.ClockStopped {
		t.Errorf("stopped: %+v", all)
	}
	if out := must(t, "sla", "--data", data, "--all", "--object", "alerts/free"); !strings.Contains(out, "no target") {
		t.Errorf("without a target:\n%s", out)
	}
}

func TestARunOfAStageSaysWhichAndHowMuchTimeHadPassed(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	clocked(t, data, map[string]time.Duration{"a": 25 * time.Minute}, nil)
	runs := into[[]engine.Run](t, must(t, "runs", "--data", data, "--object", "alerts/a", "--json"))
	if len(runs) != 1 {
		t.Fatalf("%d runs, want 1", len(runs))
	}
	if out := must(t, "show", "--data", data, string(runs[0].ID)); !strings.Contains(out, "stage     at_risk: 25m of 30m") {
		t.Errorf("show:\n%s", out)
	}
}

func TestABoardWithoutClocksSaysSo(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	clocked(t, data, nil, nil)
	out, errs, code := playbookd(t, "sla", "--data", data)
	if out != "" || !strings.Contains(errs, "no clocks") || code != exitOK {
		t.Errorf("%q, %q, %d", out, errs, code)
	}
	if out := must(t, "sla", "--data", data, "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("%q", out)
	}
	if _, errs, code := playbookd(t, "sla", "--data", data, "--limit", "0"); code != exitBroken || !strings.Contains(errs, "outside the limits") {
		t.Errorf("%q, %d", errs, code)
	}
}
