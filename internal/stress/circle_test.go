//go:build unix

package stress_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/record"
	"github.com/playbookd/playbookd/store"
)

const (
	ping = `name: ping
triggers: [{poll: {resource: alerts, every: 10s}}]
when: alert.id == "bulk-000001" and alert.assignedTo != "ping@contoso.example"
steps: [{action: alert.update, with: {alert: "${{ alert.id }}", assignedTo: ping@contoso.example}}]
`
	pong = `name: pong
triggers: [{poll: {resource: alerts, every: 10s}}]
when: alert.id == "bulk-000001" and alert.assignedTo != "pong@contoso.example"
steps: [{action: alert.update, with: {alert: "${{ alert.id }}", assignedTo: pong@contoso.example}}]
`
	// detour has another system change the alert, of which nothing tells that it was ours.
	detour = `name: detour
triggers: [{poll: {resource: alerts, every: 10s}}]
when: alert.id == "bulk-000002"
steps: [{action: http.request, with: {method: PUT, url: "URL", body: {alert: "${{ alert.id }}"}}}]
`
)

// of counts the runs of a playbook by state.
func (s *site) of(r *store.Reader, playbook string) map[engine.RunState][]engine.Run {
	s.t.Helper()
	runs, err := r.Runs(s.t.Context(), store.RunFilter{Playbook: playbook, Limit: store.MaxLimit})
	if err != nil {
		s.t.Fatal(err)
	}
	by := map[engine.RunState][]engine.Run{}
	for _, run := range runs {
		by[run.State] = append(by[run.State], run)
	}
	return by
}

// otherSystem changes the alert that it is asked about, a little differently each time.
func otherSystem(t *testing.T, sim *simulator.Server) (url string, asked *atomic.Int64) {
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		if err := sim.Touch("bulk-000002", simulator.Document{"assignedTo": fmt.Sprintf("queue-%d", n)}, "API-App:tickets"); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, "{}")
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func TestPlaybooksThatStartThemselvesOrEachOtherStopAtTheCeilingAndSaySo(t *testing.T) {
	const alerts = 40
	s := newSite(t, simulator.Options{Documents: simulator.Documents{Alerts: alertsOf(alerts, time.Now())}})
	url, asked := otherSystem(t, s.Sim)
	s.Use(ping, pong, strings.Replace(detour, "URL", url, 1), tenth)
	s.Configure("outbound: {http: [\"" + strings.TrimPrefix(url, "http://") + "\"], private: [127.0.0.1]}\n")
	p := s.start()
	r := s.journal()
	p.until("the circles have begun", func() bool { p.poll(); return asked.Load() > 5 && len(s.Sim.Effects()) > 5 })
	p.stop() // the ceiling outlives the process
	p = s.start()
	stopped := func() bool {
		p.poll()
		if n := asked.Load(); n > engine.CeilingRuns+1 {
			t.Fatalf("the other system was asked %d times: nothing stops the circle", n)
		}
		c := s.counts(r)
		return len(s.of(r, "detour")[engine.Parked]) > 0 && len(s.of(r, "ping")[engine.Parked])+len(s.of(r, "pong")[engine.Parked]) > 0 &&
			c[engine.Ready]+c[engine.Waiting] == 0 && s.missing(r, s.Sim.Alerts()) == 0
	}
	p.until("all circles have stopped", stopped)
	if n := asked.Load(); n != engine.CeilingRuns {
		t.Errorf("the other system was asked %d times, want %d", n, engine.CeilingRuns)
	}
	for _, name := range []string{"ping", "pong", "detour"} {
		by := s.of(r, name)
		if n := len(by[engine.Succeeded]); n > engine.CeilingRuns || name == "detour" && n != engine.CeilingRuns {
			t.Errorf("%s ran %d times, want at most %d", name, n, engine.CeilingRuns)
		}
	}
	_, body := s.get(p, "/readyz")
	for _, want := range []string{"detour", "alerts/bulk-000002", "held", "alerts/bulk-000001"} {
		if !strings.Contains(body, want) {
			t.Errorf("readiness does not say %q: %s", want, body)
		}
	}
	if log := p.log.String(); !strings.Contains(log, "run is parked") || !strings.Contains(log, "playbook=detour") || !strings.Contains(log, "object=alerts/bulk-000002") {
		t.Errorf("the log does not name playbook and object:\n%s", log)
	}
	// Those that behave never meet the ceiling.
	if by := s.of(r, "tenth"); len(by[engine.Succeeded]) != alerts/10 || len(by) != 1 {
		t.Errorf("the runs of a playbook that behaves are %d kinds, %d succeeded", len(by), len(by[engine.Succeeded]))
	}
	// A person lets one go on: it acts once, and what it starts is held again.
	held := s.of(r, "detour")[engine.Parked]
	p.stop()
	if _, err := daemon.Release(t.Context(), s.path("data/"+daemon.DatabaseName), string(held[0].ID), engine.ReleasedData{By: "ana"}, actions.NewRegistry(builtin.Actions(builtin.Deps{})...)); err != nil {
		t.Fatal(err)
	}
	p = s.start()
	p.until("the run went on, and what came of it is held", func() bool { return asked.Load() == engine.CeilingRuns+1 && stopped() })
	p.stop()
	if n := len(s.of(r, "detour")[engine.Parked]); n != len(held) {
		t.Errorf("%d runs are held after one of %d was released and started another", n, len(held))
	}
	s.sound(r)
	record.Keep(t, record.Suite{Name: "stress-circle", Run: "go test ./internal/stress",
		Tries:  "Lets two playbooks undo each other's change, and one start itself through another system, over a restart.",
		Holds:  "Both circles stop at the ceiling; log and readiness name playbook and object; other playbooks are not concerned; a released run goes on.",
		Counts: []record.Count{{What: "runs before the ceiling held", N: int64(engine.CeilingRuns)}, {What: "circles", N: 2}},
	})
}

// get asks a daemon's own pages.
func (s *site) get(p *process, path string) (int, string) {
	s.t.Helper()
	resp, err := http.Get("http://" + p.sample().Addr + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
