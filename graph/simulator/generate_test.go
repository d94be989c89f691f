package simulator_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/graph/simulator"
)

var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func TestTheSameSeedGivesTheSameWeek(t *testing.T) {
	t.Parallel()
	g := simulator.Generation{Seed: 11, Start: monday, Alerts: 80}
	equal(t, "two runs", simulator.Generate(g), simulator.Generate(g))
	other := g
	other.Seed = 12
	if simulator.Generate(other).Alerts[0]["id"] == simulator.Generate(g).Alerts[0]["id"] {
		t.Error("another seed gives the same alerts")
	}
}

// addresses returns the ipEvidence of an alert.
func addresses(alert simulator.Document) (ips []netip.Addr) {
	for _, item := range alert["evidence"].([]any) {
		if e := item.(map[string]any); e["@odata.type"] == "#microsoft.graph.security.ipEvidence" {
			ips = append(ips, netip.MustParseAddr(e["ipAddress"].(string)))
		}
	}
	return ips
}

// evidenceIDs returns the device ids (or user ids) of an alert.
func evidenceIDs(alert simulator.Document, device bool) (ids []string) {
	for _, item := range alert["evidence"].([]any) {
		e := item.(map[string]any)
		if e["@odata.type"] == "#microsoft.graph.security.deviceEvidence" && device {
			ids = append(ids, e["mdeDeviceId"].(string))
		}
		if e["@odata.type"] == "#microsoft.graph.security.userEvidence" && !device {
			ids = append(ids, e["userAccount"].(map[string]any)["azureAdUserId"].(string))
		}
	}
	return ids
}

func TestEveryFullWeekHoldsItsSpecialCases(t *testing.T) {
	t.Parallel()
	scanner := netip.MustParsePrefix("10.9.0.0/16")
	titles := []string{"Port scan", "Vulnerability scan detected", "Suspicious network enumeration"}
	for seed := range int64(12) {
		for _, n := range []int{20, 21, 60, 300} {
			docs := simulator.Generate(simulator.Generation{Seed: seed, Start: monday, Alerts: n})
			if len(docs.Alerts) != n {
				t.Fatalf("seed %d: %d alerts, want %d", seed, len(docs.Alerts), n)
			}
			noise, lookalikes, forgotten := 0, 0, 0
			inIncident := map[string][]simulator.Document{}
			for _, a := range docs.Alerts {
				inIncident[a["incidentId"].(string)] = append(inIncident[a["incidentId"].(string)], a)
				created, err := time.Parse(time.RFC3339Nano, a["createdDateTime"].(string))
				if err != nil || created.After(monday) {
					t.Fatalf("seed %d: created %v: %v", seed, a["createdDateTime"], err)
				}
				if slices.Contains(titles, a["title"].(string)) {
					outside := slices.ContainsFunc(addresses(a), func(ip netip.Addr) bool { return !scanner.Contains(ip) })
					switch {
					case a["status"] != "new" || a["severity"] != "low" && a["severity"] != "informational" || len(addresses(a)) == 0:
						t.Errorf("seed %d: scan alert %v %v %v", seed, a["status"], a["severity"], addresses(a))
					case outside:
						lookalikes++
					default:
						noise++
					}
				}
				if a["severity"] == "high" && a["status"] == "new" && a["assignedTo"] == nil && monday.Sub(created) > 4*time.Hour {
					forgotten++
				}
			}
			if noise < 3 || lookalikes < 1 || forgotten < 2 {
				t.Errorf("seed %d, %d alerts: noise %d, look-alikes %d, forgotten %d", seed, n, noise, lookalikes, forgotten)
			}
			if !slices.ContainsFunc(docs.Incidents, func(i simulator.Document) bool { return ransom(i, inIncident[i["id"].(string)]) }) {
				t.Errorf("seed %d, %d alerts: no active high incident with T1486 or T1003", seed, n)
			}
			if largest(docs, inIncident) < 3 {
				t.Errorf("seed %d, %d alerts: nothing to group", seed, n)
			}
		}
	}
}

func ransom(incident simulator.Document, alerts []simulator.Document) bool {
	return incident["status"] == "active" && incident["severity"] == "high" && slices.ContainsFunc(alerts, func(a simulator.Document) bool {
		techniques := fmt.Sprint(a["mitreTechniques"])
		return (strings.Contains(techniques, "T1486") || strings.Contains(techniques, "T1003")) && len(evidenceIDs(a, true)) > 0
	})
}

// largest is the size of the largest set of new medium alerts, each its own incident, that share something within two hours.
func largest(docs simulator.Documents, inIncident map[string][]simulator.Document) int {
	best := 0
	for _, byDevice := range []bool{true, false} {
		times := map[string][]time.Time{}
		for _, a := range docs.Alerts {
			if a["severity"] != "medium" || a["status"] != "new" || len(inIncident[a["incidentId"].(string)]) != 1 {
				continue
			}
			at, _ := time.Parse(time.RFC3339Nano, a["createdDateTime"].(string))
			for _, id := range evidenceIDs(a, byDevice) {
				times[id] = append(times[id], at)
			}
		}
		for _, list := range times {
			for _, from := range list {
				n := 0
				for _, at := range list {
					if d := at.Sub(from); d >= 0 && d <= 2*time.Hour {
						n++
					}
				}
				best = max(best, n)
			}
		}
	}
	return best
}

func TestGeneratedWeeksAreVaried(t *testing.T) {
	t.Parallel()
	docs := simulator.Generate(simulator.Generation{Seed: 1, Start: monday, Alerts: 400})
	seen := map[string]map[any]int{}
	for _, a := range docs.Alerts {
		for _, field := range []string{"serviceSource", "status", "classification", "severity", "title", "id"} {
			if seen[field] == nil {
				seen[field] = map[any]int{}
			}
			seen[field][a[field]]++
		}
	}
	for field, least := range map[string]int{"serviceSource": 7, "status": 3, "classification": 4, "severity": 4, "title": 20, "id": 400} {
		if len(seen[field]) < least {
			t.Errorf("%s: only %v", field, seen[field])
		}
	}
	if len(docs.Incidents) >= 400 {
		t.Error("no incident has several alerts")
	}
}

func TestSmallWeeksHaveExactlyTheirNumber(t *testing.T) {
	t.Parallel()
	for n := range 20 {
		if got := len(simulator.Generate(simulator.Generation{Seed: 5, Start: monday, Alerts: n}).Alerts); got != n {
			t.Errorf("%d alerts, want %d", got, n)
		}
	}
}

func TestEverySeedValidatesAgainstThePublicSchema(t *testing.T) {
	t.Parallel()
	for seed := range int64(2) {
		tn := inProcess(t, simulator.Options{Seed: seed, Alerts: 150, PageSize: 500})
		tn.want(200, "GET", "/security/alerts_v2", nil)
		tn.want(200, "GET", "/security/incidents?$expand=alerts", nil, "Prefer", "")
	}
}

func TestAlertsAheadAppearAsTimePasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tn := inProcess(t, simulator.Options{Seed: 2, Alerts: 100, Span: time.Hour, Ahead: 24 * time.Hour, TokenLifetime: 100 * time.Hour})
		seen := len(tn.Alerts())
		if seen == 0 || seen == 100 {
			t.Fatalf("%d alerts at the start", seen)
		}
		for range 25 {
			now := time.Now()
			for _, doc := range append(tn.Alerts(), tn.Incidents()...) {
				for _, field := range []string{"createdDateTime", "lastUpdateDateTime"} {
					at, _ := time.Parse(time.RFC3339Nano, doc[field].(string))
					if at.After(now.Add(time.Second)) {
						t.Fatalf("%s %s is ahead of %s", field, at, now)
					}
				}
			}
			if n := len(tn.Alerts()); n < seen {
				t.Fatalf("%d alerts after %d", n, seen)
			} else {
				seen = n
			}
			time.Sleep(time.Hour)
		}
		if len(tn.Alerts()) != 100 {
			t.Errorf("%d alerts at the end", len(tn.Alerts()))
		}
		for _, incident := range tn.Incidents() {
			if len(tn.want(200, "GET", "/security/incidents/"+incident["id"].(string)+"/alerts", nil).ids(t)) == 0 {
				t.Errorf("incident %v has no alerts", incident["id"])
			}
		}
	})
}

func TestLateAlertsAppearOutOfOrderWithTheirOldTimestamps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tn := inProcess(t, simulator.Options{Seed: 4, Documents: someAlerts(50), Late: simulator.Late{Share: 0.5, Visible: 10 * time.Minute}})
		before := tn.want(200, "GET", "/security/alerts_v2?$top=100", nil).ids(t)
		if len(before) < 10 || len(before) > 40 {
			t.Fatalf("%d of 50 alerts are visible at once", len(before))
		}
		var hidden string
		for i := range 50 {
			if id := fmt.Sprintf("a%d", i+1); !slices.Contains(before, id) {
				hidden = id
			}
		}
		stamp := tn.Alert(hidden)["lastUpdateDateTime"]
		tn.want(404, "GET", "/security/alerts_v2/"+hidden, nil)
		tn.want(404, "PATCH", "/security/alerts_v2/"+hidden, `{}`)
		tn.want(404, "GET", "/security/incidents/"+hidden[1:], nil)
		time.Sleep(10 * time.Minute)
		if n := len(tn.want(200, "GET", "/security/alerts_v2?$top=100", nil).ids(t)); n != 50 {
			t.Errorf("%d alerts after the delay", n)
		}
		if a := tn.want(200, "GET", "/security/alerts_v2/"+hidden, nil); a.body["lastUpdateDateTime"] != stamp {
			t.Errorf("a late alert changed its timestamp to %v", a.body["lastUpdateDateTime"])
		}
	})
}

func TestLateEvidenceBumpsTheUpdateTimeWhenItComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tn := inProcess(t, simulator.Options{})
		week := simulator.Generate(simulator.Generation{Seed: 1, Start: time.Now().Add(-time.Hour), Alerts: 1})
		alert := week.Alerts[0]
		id := alert["id"].(string)
		if err := tn.AddLate(simulator.Arrival{Visible: time.Minute, Evidence: 5 * time.Minute}, alert); err != nil {
			t.Fatal(err)
		}
		tn.want(404, "GET", "/security/alerts_v2/"+id, nil)
		time.Sleep(time.Minute)
		early := tn.want(200, "GET", "/security/alerts_v2/"+id, nil)
		if n := len(early.body["evidence"].([]any)); n != 0 {
			t.Errorf("%d items of evidence at first", n)
		}
		time.Sleep(5*time.Minute + time.Second)
		full := tn.want(200, "GET", "/security/alerts_v2/"+id, nil)
		equal(t, "evidence", alert["evidence"], full.body["evidence"])
		at, _ := time.Parse(time.RFC3339Nano, full.body["lastUpdateDateTime"].(string))
		if !at.Equal(time.Now().Add(-time.Second)) {
			t.Errorf("bumped to %s, but the evidence came at %s", at, time.Now().Add(-time.Second))
		}
		if err := tn.AddLate(simulator.Arrival{Visible: -1}, alert); err == nil {
			t.Error("an arrival in the past was accepted")
		}
		for _, bad := range []simulator.Document{nil, {"id": "x"}, {"title": "x"}} {
			if tn.Add(bad) == nil {
				t.Errorf("%v was accepted", bad)
			}
		}
	})
}
