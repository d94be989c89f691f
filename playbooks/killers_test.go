package playbooks_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/internal/killer"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/triggers"
)

// withKillers are playbooks that are good but for one killer, by the killer.
func withKillers() map[killer.Killer]string {
	books := map[killer.Killer]string{}
	for _, k := range killer.Documents() {
		books[k] = k.Text
	}
	const head = "name: a\ntriggers:\n  - poll: {resource: alerts}\n"
	for _, k := range killer.Expressions() {
		quoted := strconv.Quote(k.Text)
		if k.Code == "PB002" {
			quoted = "'" + k.Text + "'"
		}
		books[k] = head + "when: " + quoted + "\nsteps: [{stop: done}]\n"
	}
	for _, k := range killer.Schedules() {
		books[k] = "name: a\ntriggers:\n  - schedule: {cron: " + strconv.Quote(k.Text) + "}\nsteps: [{stop: done}]\n"
	}
	for _, k := range killer.Filters() {
		books[k] = "name: a\ntriggers:\n  - poll: {resource: alerts, filter: " + strconv.Quote(k.Text) + "}\nsteps: [{stop: done}]\n"
	}
	return books
}

func TestEveryKnownKillerEndsInAFinding(t *testing.T) {
	t.Parallel()
	o := options()
	o.Schedule = triggers.CheckSchedule
	for k, src := range withKillers() {
		p, findings := playbooks.Compile("a.yaml", []byte(src), o)
		if p != nil {
			t.Errorf("%s became a playbook", k.Name)
		}
		var codes []string
		for _, f := range findings {
			codes = append(codes, f.Code)
			if f.Mend == "" && f.Code != "PB030" {
				t.Errorf("%s: %s does not say how to mend it", k.Name, f.Code)
			}
		}
		if !strings.Contains(strings.Join(codes, " "), k.Code) {
			t.Errorf("%s ends in %v, want %s:\n%.300s", k.Name, codes, k.Code, render(t, findings))
		}
	}
}
