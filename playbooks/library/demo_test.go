package library_test

import (
	"encoding/json"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// week is what a simulated security team has on its desk.
func week(t *testing.T) simulator.Documents {
	t.Helper()
	return simulator.Generate(simulator.Generation{Seed: 7, Start: start, Alerts: 120})
}

// decode gives a document the form that expressions see.
func decode(t *testing.T, doc any, as expression.Type) any {
	t.Helper()
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	v, err := expression.Decode(data, as)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func lookup(t *testing.T, name string) *playbooks.Playbook {
	t.Helper()
	p, ok := load(t).Lookup(name)
	if !ok {
		t.Fatalf("there is no playbook %s", name)
	}
	return p
}

// matches says whether a playbook would run for an event.
func matches(t *testing.T, p *playbooks.Playbook, scope map[string]any) bool {
	t.Helper()
	for _, condition := range []*expression.Program{p.Triggers[0].Poll.Filter.Program, p.When} {
		ok, err := condition.Bool(scope, start)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return false
		}
	}
	return true
}

func eval(t *testing.T, v playbooks.Value, scope map[string]any) any {
	t.Helper()
	got, err := v.Eval(scope, start)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// running adds what a run brings: its variables.
func running(t *testing.T, p *playbooks.Playbook, scope map[string]any) map[string]any {
	t.Helper()
	vars := map[string]any{}
	scope = maps.Clone(scope)
	scope["vars"] = vars
	scope["playbook"] = map[string]any{"name": p.Name}
	for _, b := range p.Vars {
		vars[b.Name] = eval(t, b.Value, scope)
	}
	return scope
}

// fits evaluates the input of a step and checks it as the engine would.
func fits(t *testing.T, step playbooks.Step, scope map[string]any) map[string]any {
	t.Helper()
	act := step.Body.(*playbooks.Act)
	input := eval(t, act.With, scope)
	violations, err := playbooks.CheckInput(act, input)
	if err != nil || len(violations) > 0 {
		t.Fatalf("%s: %v %v", step.Path, violations, err)
	}
	return input.(map[string]any)
}

func TestOnlyOurOwnScannerIsClosed(t *testing.T) {
	t.Parallel()
	p := lookup(t, "resolve-known-false-positives")
	ours := netip.MustParsePrefix("10.9.0.0/16")
	lists := map[string]any{
		"known_noise":    []any{"Port scan", "Vulnerability scan detected", "Suspicious network enumeration"},
		"scanner_ranges": []any{"10.9.0.0/16"},
	}
	closed, spared := 0, 0
	for _, doc := range week(t).Alerts {
		scope := map[string]any{"alert": decode(t, doc, p.SubjectType), "lists": lists}
		if !matches(t, p, scope) {
			if doc["title"] == "Port scan" {
				spared++
			}
			continue
		}
		closed++
		input := fits(t, p.Steps[0], running(t, p, scope))
		if input["alert"] != doc["id"] || input["status"] != "resolved" {
			t.Errorf("input is %v", input)
		}
		evidence, _ := json.Marshal(doc["evidence"])
		var items []struct {
			IP string `json:"ipAddress"`
		}
		if err := json.Unmarshal(evidence, &items); err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			if addr, err := netip.ParseAddr(item.IP); item.IP != "" && (err != nil || !ours.Contains(addr)) {
				t.Errorf("%v has the address %s and is closed", doc["id"], item.IP)
			}
		}
	}
	if closed == 0 || spared == 0 {
		t.Errorf("%d alerts closed, %d look-alikes spared: want some of both", closed, spared)
	}
}

func TestCriticalIncidentsAreEscalatedOnce(t *testing.T) {
	t.Parallel()
	p := lookup(t, "escalate-critical-incidents")
	docs := week(t)
	escalated := 0
	for _, doc := range docs.Incidents {
		full := maps.Clone(doc)
		var alerts []any
		for _, a := range docs.Alerts {
			if a["incidentId"] == doc["id"] {
				alerts = append(alerts, a)
			}
		}
		full["alerts"] = alerts
		scope := map[string]any{"incident": decode(t, full, p.SubjectType)}
		if !matches(t, p, scope) {
			continue
		}
		escalated++
		scope = running(t, p, scope)
		after := fits(t, p.Steps[0], scope)
		loop := p.Steps[1].Body.(*playbooks.Foreach)
		hosts, err := loop.Items.Eval(scope, start)
		if err != nil || len(hosts.([]any)) == 0 {
			t.Errorf("incident %v has the devices %v (%v)", doc["id"], hosts, err)
			continue
		}
		scope[loop.As] = hosts.([]any)[0]
		if comment := fits(t, loop.Do[0], scope)["comment"].(string); !strings.Contains(comment, "isolation") {
			t.Errorf("the comment is %q", comment)
		}
		full["status"] = after["status"]
		if matches(t, p, map[string]any{"incident": decode(t, full, p.SubjectType)}) {
			t.Errorf("incident %v matches again after it was taken", doc["id"])
		}
	}
	if escalated == 0 {
		t.Error("no incident is escalated")
	}
}

// listed is the answer of alert.list for documents that pass.
func listed(t *testing.T, step playbooks.Step, docs []simulator.Document, pass func(simulator.Document) bool) map[string]any {
	t.Helper()
	rows := []any{}
	for _, d := range docs {
		if pass(d) {
			rows = append(rows, d)
		}
	}
	out := map[string]any{"alerts": rows, "count": len(rows), "more": false}
	return map[string]any{step.ID: map[string]any{"status": "ok", "output": decode(t, out, step.Body.(*playbooks.Act).Output)}}
}

func TestAReminderIsGivenOnceToEachForgottenAlert(t *testing.T) {
	t.Parallel()
	p := lookup(t, "triage-reminder")
	docs := week(t).Alerts
	high := func(d simulator.Document) bool { return d["severity"] == "high" && d["status"] == "new" }
	scope := running(t, p, map[string]any{"event": map[string]any{"scheduled": start}})
	loop := p.Steps[1].Body.(*playbooks.Foreach)
	remind := func() int {
		scope["steps"] = listed(t, p.Steps[0], docs, high)
		items, err := loop.Items.Eval(scope, start)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items.([]any) {
			scope[loop.As] = item
			input := fits(t, loop.Do[0], scope)
			for _, d := range docs {
				if d["id"] == input["alert"] {
					d["comments"] = []any{map[string]any{"comment": input["comment"]}}
				}
			}
		}
		return len(items.([]any))
	}
	if n := remind(); n == 0 {
		t.Error("nobody is reminded")
	}
	if n := remind(); n != 0 {
		t.Errorf("%d alerts are reminded of twice", n)
	}
}

func TestRelatedAlertsEndInOneIncidentAndStayThere(t *testing.T) {
	t.Parallel()
	p := lookup(t, "group-related-alerts")
	docs := week(t).Alerts
	medium := func(around time.Time) func(simulator.Document) bool {
		return func(d simulator.Document) bool {
			created, err := time.Parse(time.RFC3339, d["createdDateTime"].(string))
			if err != nil {
				t.Fatal(err)
			}
			return d["severity"] == "medium" && d["status"] == "new" && !created.After(around) && created.After(around.Add(-2*time.Hour))
		}
	}
	choice := p.Steps[2].Body.(*playbooks.Branch)
	group := func() (moved int) {
		for _, doc := range docs {
			scope := map[string]any{"alert": decode(t, doc, p.SubjectType)}
			if !matches(t, p, scope) {
				continue
			}
			scope = running(t, p, scope)
			created := scope["alert"].(map[string]any)["createdDateTime"].(time.Time)
			fits(t, p.Steps[0], scope)
			scope["steps"] = listed(t, p.Steps[0], docs, medium(created))
			for _, b := range p.Steps[1].Body.(*playbooks.Assign).Values {
				scope["vars"].(map[string]any)[b.Name] = eval(t, b.Value, scope)
			}
			related, err := choice.If.Bool(scope, start)
			if err != nil {
				t.Fatal(err)
			}
			if !related {
				continue
			}
			moved++
			doc["incidentId"] = fits(t, choice.Then[0], scope)["incident"]
		}
		return moved
	}
	if n := group(); n == 0 {
		t.Error("nothing is grouped")
	}
	for range 3 { // chains need a round for each link
		group()
	}
	if n := group(); n != 0 {
		t.Errorf("%d alerts are still moving", n)
	}
}
