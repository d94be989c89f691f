package triggers

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/graph/simulator"
)

// simulated is a client of a simulator in the same process, fit for a bubble.
func simulated(t *testing.T, o simulator.Options) *graph.Client {
	t.Helper()
	sim, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	cred, err := graph.NewCredential(graph.CredentialOptions{
		Kind: graph.KindClientSecret, TenantID: simulator.DefaultTenant, ClientID: simulator.DefaultClient,
		Secret:                   func() string { return simulator.DefaultSecret },
		DisableInstanceDiscovery: true, Transport: sim.Transport(),
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := graph.New(graph.Options{Tenant: "contoso", Credential: cred, Transport: sim.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// allAlerts lists what there is, however often the simulator was asked to fail.
func allAlerts(t *testing.T, c *graph.Client) (all []graph.Alert) {
	t.Helper()
	for range 20 {
		var failure error
		all = nil
		for a, err := range c.Alerts(t.Context(), graph.Query{Top: graph.MaxTop}) {
			failure = err
			all = append(all, a)
		}
		if failure == nil {
			return all
		}
		time.Sleep(2 * time.Minute)
	}
	t.Fatal("the alerts can't be listed")
	return nil
}

func TestNoAlertOfTheSimulatorIsLostWhateverGoesWrong(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]simulator.Options{
		"live-like":       {},
		"strict":          {Mode: simulator.Strict},
		"small pages":     {PageSize: 3},
		"late":            {Late: simulator.Late{Share: 0.5, Visible: 10 * time.Minute, Evidence: 20 * time.Minute}},
		"later than ever": {Late: simulator.Late{Share: 0.3, Visible: 3 * time.Hour}},
		"throttled": {Faults: []simulator.Fault{
			{Path: "/security/alerts_v2", Every: 5, Times: -1, Status: 429, RetryAfter: "90"},
			{Path: "/security/alerts_v2", Every: 7, Times: -1, Status: 503},
			{Path: "/security/alerts_v2", Every: 11, Times: -1, Drop: true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o.Seed, o.Alerts, o.Span, o.Ahead = 7, 400, 20*time.Hour, 24*time.Hour
				c := simulated(t, o)
				m := newMemory()
				l, err := FromGraph(c, "alerts")
				if err != nil {
					t.Fatal(err)
				}
				p, err := NewPoller(PollOptions{Tenant: "contoso", Resource: "alerts", Lister: l, Sink: m, Journal: m, Settings: PollSettings{Every: time.Minute}})
				if err != nil {
					t.Fatal(err)
				}
				stop := run(t, p)
				time.Sleep(50 * time.Hour)
				stop()
				n := 0
				for _, a := range allAlerts(t, c) {
					if a.LastUpdateDateTime < "1999-12-31T00:00:00" {
						continue // before the first look-back
					}
					n++
					if id := "contoso/alerts/" + a.ID + "/" + a.LastUpdateDateTime; !m.known[id] {
						t.Errorf("lost: %s", id)
					}
				}
				if n < 300 || len(m.all()) < n || p.State().Position == "" {
					t.Errorf("%d alerts, %d events, state %+v", n, len(m.all()), p.State())
				}
			})
		})
	}
}

func TestIncidentsArePolledWithTheirAlerts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := simulated(t, simulator.Options{Seed: 7, Alerts: 100, Span: 20 * time.Hour})
		m := newMemory()
		l, err := FromGraph(c, "incidents")
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPoller(PollOptions{Tenant: "contoso", Resource: "incidents", Lister: l, Sink: m, Journal: m,
			Settings: PollSettings{Every: time.Minute, Expand: true, Filter: "status eq 'active'"}})
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, p)
		time.Sleep(5 * time.Minute)
		stop()
		if len(m.all()) == 0 {
			t.Fatalf("no incident was seen: %+v", p.State())
		}
		e := m.all()[0]
		if e.Kind != "incident" || e.Source != "poll/incidents" || !strings.HasPrefix(e.Object, "incidents/") || !strings.Contains(string(e.Payload), `"alerts":[`) {
			t.Errorf("event is %+v with %.200s", e, e.Payload)
		}
		if _, err := FromGraph(c, "users"); err == nil {
			t.Error("users can be polled")
		}
	})
}
