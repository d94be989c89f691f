package daemon_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/server"
	"github.com/playbookd/playbookd/store"
)

// push sends a signed delivery to the webhook edr and returns the answer's status.
func (s *site) push(id, key, body string) int {
	s.t.Helper()
	stamp := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.d.Addr()+"/webhooks/edr", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", stamp)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// series are the samples of /metrics by name and labels.
func series(t *testing.T, body string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line)[i+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[line[:i]] = v
	}
	return all
}

// sum adds up the samples whose name and labels match.
func sum(all map[string]float64, pattern string) float64 {
	total := 0.0
	for name, v := range all {
		if regexp.MustCompile("^" + pattern + "$").MatchString(name) {
			total += v
		}
	}
	return total
}

const (
	edrKey  = "an-example-key-of-32-characters!"
	withKey = "data: data\nsecrets: {edr_key: {file: edr.key}}"
	shadows = "name: shadows\nmode: shadow\ntriggers: [{poll: {resource: alerts, every: 10s}}]\nsteps: [{action: alert.comment, with: {alert: \"${{ alert.id }}\", comment: seen}}]\n"
)

func TestMetricsAgreeWithTheJournalAndTheSimulator(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Seed: 3, Alerts: 40, Faults: []simulator.Fault{
		{Method: "PATCH", Path: "/security/**", Times: 1, Status: 503}, {Method: "PATCH", Path: "/security/**", Times: 1, Status: 400},
	}})
	s.Write("playbooks/pushed.yaml", hook)
	s.Write("playbooks/shadows.yaml", shadows)
	s.Write("edr.key", edrKey+"\n")
	s.Edit("playbookd.yaml", "data: data", withKey)
	s.start()
	s.eventually("the daemon listens", func() bool { code, _ := s.get("/healthz"); return code == 200 })
	pushed := `[{"id":"a1","title":"Ransomware on canary-host","severity":"high","status":"new"},{"id":"a2","title":"x"}]`
	for i, want := range []int{202, 202, 401} {
		key := edrKey
		if i == 2 {
			key = "another-key-of-32-characters-...."
		}
		if got := s.push("m1", key, pushed); got != want {
			t.Errorf("delivery %d: %d", i, got)
		}
	}
	if err := s.d.FireSchedules(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled := s.d.Settling()
	s.eventually("the work is done", func() bool { done, err := settled(t.Context()); return done && err == nil })

	code, body := s.get("/metrics")
	all := series(t, body)
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	events, err := s.d.Store().Events(t.Context(), store.EventFilter{Limit: store.MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	decided, byVerdict := 0, map[string]int{}
	for _, e := range events {
		matches, err := s.d.Store().Decisions(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range matches {
			if m.Reason == "no_trigger" {
				continue // not counted, see the table
			}
			decided++
			byVerdict[string(m.Verdict)]++
		}
	}
	runs := len(s.runs(""))
	requests, pages := 0, 0
	for _, r := range s.Sim.Requests() {
		if strings.Contains(r.Query, "lastUpdateDateTime") && r.Status == 200 {
			pages++
		}
		if strings.Contains(r.Path, "/security/") {
			requests++
		}
	}
	for _, c := range []struct {
		pattern string
		want    float64
	}{
		{`playbookd_events_total{outcome="admitted",.*`, float64(len(events))},
		{`playbookd_events_total{outcome="(admitted|duplicate)",source="webhook/edr",.*`, 4},
		{`playbookd_events_total{outcome="duplicate",source="webhook/edr",.*`, 2},
		{`playbookd_event_lateness_seconds_count.*`, float64(len(events))},
		{`playbookd_decisions_total.*`, float64(decided)},
		{`playbookd_decisions_total.*verdict="matched".*`, float64(byVerdict["matched"])},
		{`playbookd_decisions_total.*verdict="(not_matched|skipped|screened)".*`, float64(byVerdict["not_matched"] + byVerdict["skipped"])},
		{`playbookd_runs_started_total.*`, float64(runs)},
		{`playbookd_runs_ended_total.*`, float64(runs)},
		{`playbookd_runs_ended_total{playbook="pushed",state="succeeded"}`, 2},
		{`playbookd_runs_ended_total{.*state="failed"}`, 1},
		{`playbookd_run_delay_seconds_count`, float64(runs)},
		{`playbookd_run_duration_seconds_count.*`, float64(runs)},
		{`playbookd_runs{state="succeeded"}`, float64(runs - 1)},
		{`playbookd_poll_pages_total.*`, float64(pages)},
		{`playbookd_graph_requests_total.*`, float64(requests)},
		{`playbookd_graph_requests_total{answer="4xx".*`, 1},
		{`playbookd_graph_requests_total{answer="5xx".*`, 1},
		{`playbookd_graph_request_duration_seconds_count.*`, float64(requests)},
		{`playbookd_attempts_total{.*effect="converges",ending="(refused|unknown)"}`, 2},
		{`playbookd_step_retries_total`, 1},
		{`playbookd_step_outcomes_total{outcome="dry"}`, float64(len(s.runs("shadows")))},
		{`playbookd_webhook_requests_total{hook="edr",status="202"}`, 2},
		{`playbookd_webhook_requests_total{hook="edr",status="401"}`, 1},
		{`playbookd_playbooks`, 6},
		{`playbookd_queue_(ready|blocked)`, 0},
	} {
		if got := sum(all, c.pattern); got != c.want {
			t.Errorf("%s: %v, want %v", c.pattern, got, c.want)
		}
	}
	if sum(all, `playbookd_journal_commit_writes_count`) == 0 || sum(all, `playbookd_journal_commit_writes_count`) != sum(all, `playbookd_journal_commit_duration_seconds_count`) {
		t.Error("commits are not counted")
	}
	everyRow(t, body)
	for _, e := range events {
		for _, text := range []string{e.ID, e.Object, e.Title} {
			if len(text) > 8 && !strings.HasPrefix(e.Source, "schedule/") && strings.Contains(body, text) {
				t.Errorf("the metrics show %q", text)
			}
		}
	}
}

// everyRow fails for a metric of the table that is not shown, or has other labels.
func everyRow(t *testing.T, body string) {
	t.Helper()
	label := regexp.MustCompile(`(\w+)="`)
	for _, row := range server.Table() {
		if row.Name == "playbookd_runs_held_total" {
			continue // shown once there is one
		}
		sample := regexp.MustCompile(`(?m)^` + row.Name + `(_count)?(\{.*\})? .*$`).FindStringSubmatch(body)
		if sample == nil {
			t.Errorf("%s is not shown", row.Name)
			continue
		}
		var labels []string
		for _, m := range label.FindAllStringSubmatch(sample[2], -1) {
			labels = append(labels, m[1])
		}
		want := slices.Clone(row.Labels)
		slices.Sort(want)
		slices.Sort(labels)
		if !slices.Equal(labels, want) {
			t.Errorf("%s has labels %v, the table says %v", row.Name, labels, want)
		}
	}
}

func TestMetricsAreServedWhereTheConfigurationSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		says         string
		main, aside  int
		sameListener bool
	}{{"", 200, 200, true}, {"metrics: none\n", 404, 404, true}, {"metrics: 127.0.0.1:0\n", 404, 200, false}} {
		s := newSite(t, simulator.Options{})
		s.Edit("playbookd.yaml", "data: data", c.says+"data: data")
		s.start()
		s.eventually("the daemon listens", func() bool { code, _ := s.get("/healthz"); return code == 200 })
		if code, _ := s.get("/metrics"); code != c.main {
			t.Errorf("%q: %d beside webhooks, want %d", c.says, code, c.main)
		}
		resp, err := http.Get("http://" + s.d.MetricsAddr() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.aside || (s.d.MetricsAddr() == s.d.Addr()) != c.sameListener {
			t.Errorf("%q: %d at %s, want %d", c.says, resp.StatusCode, s.d.MetricsAddr(), c.aside)
		}
	}
	s := newSite(t, simulator.Options{})
	s.Edit("playbookd.yaml", "data: data", "metrics: 0.0.0.0:9464\ndata: data")
	if err := s.fails(); err == nil || !strings.Contains(err.Error(), "metrics") || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("an address that others reach: %v", err)
	}
}
