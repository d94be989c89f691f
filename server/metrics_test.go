package server

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/playbookd/playbookd/internal/meter"
)

// all gives a reading of every row.
func all(_ context.Context, r *Readings) error {
	for m, row := range table {
		values := make([]string, len(row.Labels))
		for i := range values {
			values[i] = "x"
		}
		switch {
		case Metric(m) == CheckOK: // the server's own
		case row.Kind == Histogram:
			r.Distribution(Metric(m), meter.NewHistogram(meter.Short()).Load(), values...)
		default:
			r.Value(Metric(m), 1, values...)
		}
	}
	return nil
}

func TestEveryMetricIsNamedAsPrometheusHasIt(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	checks := newReport([]Check{{"journal", func(context.Context) error { return nil }}})
	if err := registry.Register(newCollector(all, checks)); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	n, err := testutil.GatherAndCount(registry)
	if err != nil || n != len(table) || len(table) != int(metrics) {
		t.Errorf("%d metrics shown, %d in the table, %d named, %v", n, len(table), metrics, err)
	}
	units := map[string]string{"seconds": "_seconds", "bytes": "_bytes"}
	name := regexp.MustCompile(`^playbookd_[a-z_]+$`)
	for _, row := range table {
		base := strings.TrimSuffix(row.Name, "_total")
		if !name.MatchString(row.Name) || !strings.HasSuffix(base, units[row.Unit]) || row.Help == "" || strings.HasSuffix(row.Help, ".") {
			t.Errorf("%s: %s, %q", row.Name, row.Unit, row.Help)
		}
		for _, forbidden := range []string{"title", "object", "event", "run", "id", "message"} {
			if slices.Contains(row.Labels, forbidden) {
				t.Errorf("%s has the label %s: without bound, and text of alerts", row.Name, forbidden)
			}
		}
	}
}

func TestWhatCannotBeReadIsSaidAndTheRestIsShown(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := started(t, Options{
		Metrics: func(_ context.Context, r *Readings) error {
			r.Value(Workers, 7)
			r.Value(Retries, 1, "a label that the table does not have")
			panic("oops")
		},
		Health: []Check{{"journal", func(context.Context) error { return nil }}},
		Log:    slog.New(slog.NewTextHandler(&log, nil)),
	})
	status, body, head := get(t, "http://"+s.Addr()+"/metrics")
	for _, want := range []string{"playbookd_workers 7\n", "go_goroutines ", "process_start_time_seconds ", `playbookd_check_ok{check="journal"} 1`} {
		if !strings.Contains(body, want) {
			t.Errorf("%d: there is no %s in\n%s", status, want, body)
		}
	}
	if status != 200 || !strings.HasPrefix(head.Get("Content-Type"), "text/plain") || head.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", status, head)
	}
	get(t, "http://"+s.Addr()+"/metrics")
	for _, want := range []string{"inconsistent label cardinality", "reading the counts panicked"} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("the log says %d times %q, want once:\n%s", n, want, log.String())
		}
	}
}

func TestMetricsHaveAnAddressOfTheirOwnOrNone(t *testing.T) {
	t.Parallel()
	code := func(s *Server, path string) int {
		status, _, _ := get(t, "http://"+s.Addr()+path)
		return status
	}
	none := started(t, Options{})
	if got := code(none, "/metrics"); got != 404 {
		t.Errorf("without metrics: %d", got)
	}
	own := started(t, Options{Metrics: all, MetricsOnly: true})
	if got := []int{code(own, "/metrics"), code(own, "/healthz"), code(own, "/readyz"), code(own, "/webhooks/x")}; !slices.Equal(got, []int{200, 404, 404, 404}) {
		t.Errorf("metrics only: %v", got)
	}
}

func TestAMomentIsSecondsAndNoMomentIsZero(t *testing.T) {
	t.Parallel()
	s := started(t, Options{Metrics: func(_ context.Context, r *Readings) error {
		r.Time(LastCommit, time.UnixMilli(1500))
		r.Time(LastReload, time.Time{})
		return nil
	}})
	_, body, _ := get(t, "http://"+s.Addr()+"/metrics")
	if !strings.Contains(body, "playbookd_journal_last_commit_timestamp_seconds 1.5\n") || !strings.Contains(body, "playbookd_reload_last_timestamp_seconds 0\n") {
		t.Error(body)
	}
}
