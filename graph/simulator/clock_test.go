package simulator_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/graph/simulator"
)

func TestTheServicesClockMayDifferFromOursAndBeSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tn := inProcess(t, simulator.Options{Documents: someAlerts(1), TokenLifetime: time.Hour})
		stamp := func() string {
			a := tn.want(200, "PATCH", "/security/alerts_v2/a1", `{"assignedTo":"ada@contoso.example"}`)
			return a.body["lastUpdateDateTime"].(string)
		}
		first := stamp()
		tn.SetClock(30 * time.Minute)
		ahead := stamp()
		if at, err := time.Parse(time.RFC3339Nano, ahead); err != nil || at.Before(time.Now().Add(29*time.Minute)) {
			t.Errorf("with its clock ahead the service stamps %s", ahead)
		}
		tn.SetClock(-time.Minute)
		tn.want(401, "GET", "/security/alerts_v2", nil) // the token is from its future
		tn.SetClock(2 * time.Minute)
		if back := stamp(); back <= ahead || ahead <= first {
			t.Errorf("stamps %s, %s, %s: one object's never go back", first, ahead, back)
		}
		tn.SetClock(2 * time.Hour)
		tn.want(401, "GET", "/security/alerts_v2", nil) // the token is over
		if got := time.Until(tn.Now()); got != 2*time.Hour {
			t.Errorf("its clock is %s ahead, want 2h", got)
		}
	})
}

func TestChanceStrikesWhatNoListedFaultStruck(t *testing.T) {
	t.Parallel()
	asked := 0
	tn := inProcess(t, simulator.Options{Documents: someAlerts(1), Faults: []simulator.Fault{{Path: "/security/incidents", Status: 500}},
		Chance: func(method, path string) *simulator.Fault {
			if method != "PATCH" {
				return nil
			}
			asked++
			return &simulator.Fault{Path: "**", Status: 503, When: simulator.After}
		}})
	tn.want(500, "GET", "/security/incidents", nil)
	tn.want(200, "GET", "/security/incidents", nil)
	tn.want(503, "PATCH", "/security/alerts_v2/a1", `{"status":"resolved"}`)
	if asked != 1 || len(tn.Effects()) != 1 {
		t.Errorf("chance struck %d times, and %d effects happened", asked, len(tn.Effects()))
	}
}
