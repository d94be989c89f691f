package demo_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/demo"
)

// number reads how much of something a longer run should do.
func number(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number above 0", name, text)
	}
	return n
}

// settle runs a demo until its work is done.
func settle(t *testing.T, o simulator.Options) (demo.Summary, *demo.Demo) {
	t.Helper()
	d, err := demo.New(t.Context(), demo.Options{Simulator: o, Once: true, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	// Not a promise about speed: a demo that never settles should say so before the test binary's own limit.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	sum, err := d.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("the work was not done in time: %+v", sum)
	}
	return sum, d
}

// agree fails the test if journal and simulator tell different stories.
func agree(t *testing.T, sum demo.Summary) {
	t.Helper()
	for _, w := range sum.Wrong {
		t.Error(w)
	}
	if n := sum.Runs[engine.Ready] + sum.Runs[engine.Waiting]; n > 0 {
		t.Errorf("%d runs are under way after the work was done", n)
	}
}

func TestDemoDoesItsWorkForManySeedsAndRecordsExactlyWhatItDid(t *testing.T) {
	t.Parallel()
	for seed := range number(t, "PLAYBOOKD_SEEDS", 3) {
		t.Run(fmt.Sprintf("seed %d", seed+1), func(t *testing.T) {
			sum, d := settle(t, simulator.Options{Seed: int64(seed + 1), Alerts: 60})
			agree(t, sum)
			if sum.Runs[engine.Succeeded] == 0 || sum.Runs[engine.Failed]+sum.Runs[engine.Parked] > 0 {
				t.Errorf("runs %v, want all succeeded", sum.Runs)
			}
			for _, op := range []string{simulator.OpAlertUpdate, simulator.OpAlertComment, simulator.OpAlertMove, simulator.OpIncidentUpdate, simulator.OpIncidentComment} {
				if sum.Effects[op] == 0 {
					t.Errorf("no %s was done: the shipped playbooks should find work in every seed; did %v", op, sum.Effects)
				}
			}
			onlyNoiseWasClosed(t, d.Simulator())
		})
	}
}

// onlyNoiseWasClosed looks at what the playbooks left behind, independently of them: whatever an
// app closed has no address outside the scanner's range, and no new scanner alert stayed open.
func onlyNoiseWasClosed(t *testing.T, sim *simulator.Server) {
	t.Helper()
	for _, a := range sim.Alerts() {
		evidence, _ := a["evidence"].([]any)
		ours, foreign := 0, 0
		for _, e := range evidence {
			fields, _ := e.(map[string]any)
			if ip, ok := fields["ipAddress"].(string); ok {
				if strings.HasPrefix(ip, "10.9.") {
					ours++
				} else {
					foreign++
				}
			}
		}
		comments := fmt.Sprint(a["comments"])
		closed := strings.Contains(comments, "Closed by resolve-known-false-positives")
		if closed && (foreign > 0 || ours == 0) {
			t.Errorf("alert %v was closed although it has %d addresses that are not ours", a["id"], foreign)
		}
		if closed && a["status"] != "resolved" {
			t.Errorf("alert %v says that it was closed, but its status is %v", a["id"], a["status"])
		}
	}
}

func TestDemoKeepsItsRecordHonestUnderFaults(t *testing.T) {
	t.Parallel()
	faults := map[string][]simulator.Fault{
		"throttled":                   {{Path: "/security/**", Every: 7, Times: 12, Status: 429, RetryAfter: "1"}},
		"throttled without a header":  {{Path: "/security/**", Every: 9, Times: 4, Status: 429}},
		"5xx before the effect":       {{Method: "PATCH", Path: "/security/**", Every: 2, Times: 4, Status: 503}, {Method: "POST", Path: "/security/**", Every: 3, Times: 4, Status: 500}},
		"5xx after the effect":        {{Method: "PATCH", Path: "/security/**", Every: 2, Times: 4, Status: 502, When: simulator.After}, {Method: "POST", Path: "/security/**", Every: 2, Times: 5, Status: 504, When: simulator.After}},
		"dropped before the effect":   {{Method: "PATCH", Path: "/security/**", Every: 2, Times: 4, Drop: true}, {Method: "POST", Path: "/security/**", Every: 3, Times: 4, Drop: true}},
		"dropped after the effect":    {{Method: "PATCH", Path: "/security/**", Every: 2, Times: 4, Drop: true, When: simulator.After}, {Method: "POST", Path: "/security/**", Every: 2, Times: 5, Drop: true, When: simulator.After}},
		"polls that fail":             {{Method: "GET", Path: "/security/incidents*", Times: 2, Status: 500}, {Method: "GET", Path: "/security/alerts_v2*", Times: 2, Drop: true}},
		"sign-in that fails at first": {{Method: "POST", Path: "/*/oauth2/v2.0/token", Times: 1, Status: 503}},
	}
	for name, list := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sum, d := settle(t, simulator.Options{Seed: 5, Alerts: 40, Faults: list})
			agree(t, sum)
			if len(sum.Parked) > 0 || sum.Runs[engine.Failed] > 0 {
				t.Errorf("runs %v: what may be repeated or looked up should have come right by itself", sum.Runs)
			}
			onlyNoiseWasClosed(t, d.Simulator())
		})
	}
}

func TestDemoTakesTheExportsThatGraphGives(t *testing.T) {
	t.Parallel()
	samples, err := filepath.Glob("../../testdata/graph/samples/*.response.json")
	if err != nil || len(samples) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	taken := 0
	for _, file := range samples {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		docs, err := simulator.Load(f)
		_ = f.Close()
		if err != nil {
			if !strings.Contains(err.Error(), "line ") && !strings.Contains(err.Error(), "export") {
				t.Errorf("%s is refused without saying where or why: %v", file, err)
			}
			continue
		}
		taken++
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			sum, _ := settle(t, simulator.Options{Documents: docs})
			agree(t, sum)
			if sum.Runs[engine.Failed]+sum.Runs[engine.Parked] > 0 {
				t.Errorf("runs %v", sum.Runs)
			}
			want := 0 // what the playbooks' filters ask for at least
			for _, a := range docs.Alerts {
				if a["severity"] == "low" || a["severity"] == "informational" {
					want++
				}
			}
			if got := sum.Events["alert"]; got < want {
				t.Errorf("%d of %d low alerts were seen", got, want)
			}
		})
	}
	if taken < 5 {
		t.Errorf("only %d samples could be used as an export", taken)
	}
}
