package daemon_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/daemon"
)

// count tells how many runs of a playbook are in a state, and how many there are.
func (s *site) count(playbook string, state engine.RunState) (in, all int) {
	s.t.Helper()
	runs := s.runs(playbook)
	for _, r := range runs {
		if r.State == state {
			in++
		}
	}
	return in, len(runs)
}

// What one playbook does to its alerts is a change to another, and its end starts a third; what a fourth
// does beyond its limit waits for a person, over a restart.
func TestChangesEndsAndLimitsFromPollToGraph(t *testing.T) {
	t.Parallel()
	const alerts = 6
	s := newSite(t, simulator.Options{Seed: 3, Alerts: alerts})
	s.only("name: take\ntriggers: [{poll: {resource: alerts, every: 10s, on: created}}]\n" +
		"steps: [{action: alert.update, with: {alert: \"${{ alert.id }}\", assignedTo: shift@contoso.example}}]\n")
	s.Write("playbooks/taken.yaml", "name: taken\ntriggers: [{change: {resource: alerts, field: assignedTo, to: shift@contoso.example, by: us}}]\n"+
		"steps: [{action: log, with: {message: \"${{ change.by }}\"}}]\n")
	s.Write("playbooks/given.yaml", "name: given\ntriggers: [{change: {resource: alerts, field: assignedTo, by: person}}]\n"+
		"steps: [{action: log, with: {message: \"${{ change.old }} to ${{ change.new }}\"}}]\n")
	s.Write("playbooks/told.yaml", "name: told\ntriggers: [{run: {playbook: take, state: succeeded}}]\nlimits: {effects: {alert.comment: 2/1h}}\n"+
		"steps: [{action: alert.comment, with: {alert: \"${{ event.object.id }}\", comment: told}}]\n")
	s.start()
	done := func(playbook string, state engine.RunState, want int) func() bool {
		return func() bool { in, all := s.count(playbook, state); return in == want && all <= alerts }
	}
	s.eventually("every alert is taken", done("take", engine.Succeeded, alerts))
	s.eventually("two ends are told of", done("told", engine.Succeeded, 2))
	s.eventually("the others wait for a person", done("told", engine.Parked, alerts-2))
	s.d.PollNow()
	s.eventually("every change is noticed", done("taken", engine.Succeeded, alerts))
	if in, all := s.count("given", engine.Succeeded); all > 0 {
		t.Errorf("%d of %d changes of ours were taken for a person's", in, all)
	}
	id := fmt.Sprint(s.Sim.Alerts()[0]["id"])
	if err := s.Sim.Touch(id, simulator.Document{"assignedTo": "ana@contoso.example"}, "ana@contoso.example"); err != nil {
		t.Fatal(err)
	}
	s.d.PollNow()
	s.eventually("a person's change is noticed", done("given", engine.Succeeded, 1))

	var held engine.Run
	for _, r := range s.runs("told") {
		if r.State == engine.Parked {
			held = r
		}
	}
	if !strings.Contains(held.Message, "alert.comment begin 2/1h") {
		t.Errorf("the held run says %q", held.Message)
	}
	s.stop()
	if _, err := daemon.Release(t.Context(), s.d.Database(), string(held.ID), engine.ReleasedData{By: "ana"}, actions.NewRegistry(builtin.Actions(builtin.Deps{})...)); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.eventually("the released run goes on", done("told", engine.Succeeded, 3))
	s.eventually("and no other", done("told", engine.Parked, alerts-3))
}
