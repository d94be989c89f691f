package soak_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/graph/simulator"
)

// service is what happens at Microsoft's side: alerts appear, late and out of order, in storms, and
// with evidence that comes afterwards.
type service struct {
	born  int               // incidents made so far
	found map[string]string // status in which an alert appeared
}

// group is an incident with its alerts, to appear together.
type group struct {
	incident simulator.Document
	alerts   []simulator.Document
	lateness time.Duration
	evidence time.Duration
	at       string // another group's timestamps; "" for its own
}

// invent makes the groups of a day, in the order in which they appear.
func invent(rng *rand.Rand, alerts int) []group {
	docs := simulator.Generate(simulator.Generation{
		Seed: rng.Int64(), Start: time.Now(), Alerts: alerts, Span: 24 * time.Hour, Tenant: simulator.DefaultTenant,
	})
	byIncident := map[string][]simulator.Document{}
	for _, a := range docs.Alerts {
		id, _ := a["incidentId"].(string)
		byIncident[id] = append(byIncident[id], a)
	}
	var groups []group
	for _, incident := range docs.Incidents {
		g := group{incident: incident, alerts: byIncident[incident["id"].(string)]}
		switch n := rng.IntN(100); {
		case n < 20:
			g.lateness = time.Duration(rng.Int64N(int64(15 * time.Minute)))
		case n < 30:
			g.lateness = time.Duration(rng.Int64N(int64(3 * time.Hour)))
		case n < 35:
			g.lateness = time.Duration(rng.Int64N(int64(18 * time.Hour)))
		}
		if rng.IntN(6) == 0 {
			g.evidence = time.Duration(rng.Int64N(int64(3 * time.Hour)))
		}
		groups = append(groups, g)
	}
	rng.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
	return groups
}

// appear puts a group into the tenant, as of now on the service's clock.
func (w *world) appear(g group) {
	w.t.Helper()
	at := w.sim.Now().UTC().Format(time.RFC3339Nano)
	if g.at != "" {
		at = g.at
	}
	w.service.born++
	id := fmt.Sprint(100_000 + w.service.born)
	g.incident["id"] = id
	docs := []simulator.Document{g.incident}
	for _, a := range g.alerts {
		a["incidentId"] = id
		w.service.found[a["id"].(string)], _ = a["status"].(string)
		docs = append(docs, a)
	}
	for _, d := range docs {
		d["createdDateTime"], d["lastUpdateDateTime"] = at, at
	}
	if err := w.sim.AddLate(simulator.Arrival{Visible: g.lateness, Evidence: g.evidence}, docs...); err != nil {
		w.t.Fatal(err)
	}
	w.weather.count("alerts", int64(len(g.alerts)))
	if g.lateness > 0 {
		w.weather.count("alerts that surfaced late", int64(len(g.alerts)))
	}
	if g.evidence > 0 {
		w.weather.count("alerts with late evidence", int64(len(g.alerts)))
	}
}

// storm makes many alerts appear with one timestamp.
func (w *world) storm(rng *rand.Rand, n int) {
	w.t.Helper()
	at := w.sim.Now().UTC().Format(time.RFC3339Nano)
	for left := n; left > 0; {
		for _, g := range invent(rng, 60) {
			if left <= 0 {
				break
			}
			g.at, g.lateness, g.evidence = at, 0, 0
			left -= len(g.alerts)
			w.appear(g)
		}
	}
	w.weather.count("storms of alerts with one timestamp", 1)
}

// noise says whether an alert is what the scanner raises and nobody has to look at.
func noise(a simulator.Document) bool {
	titles := []string{"Port scan", "Vulnerability scan detected", "Suspicious network enumeration"}
	title, _ := a["title"].(string)
	severity, _ := a["severity"].(string)
	if !slices.Contains(titles, title) || severity != "low" && severity != "informational" {
		return false
	}
	ours := netip.MustParsePrefix("10.9.0.0/16")
	found := false
	evidence, _ := a["evidence"].([]any)
	for _, e := range evidence {
		fields, _ := e.(map[string]any)
		text, ok := fields["ipAddress"].(string)
		if !ok {
			continue
		}
		ip, err := netip.ParseAddr(text)
		if err != nil || !ours.Contains(ip) {
			return false
		}
		found = true
	}
	return found
}

// said counts the comments of an object that hold a text.
func said(d simulator.Document, text string) int {
	n := 0
	comments, _ := d["comments"].([]any)
	for _, c := range comments {
		fields, _ := c.(map[string]any)
		if words, _ := fields["comment"].(string); strings.Contains(words, text) {
			n++
		}
	}
	return n
}
