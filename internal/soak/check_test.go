package soak_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/store"
)

// settle lets the world live in fair weather until everything had its turn: what waits for hours,
// and the sweep that looks for what surfaced late.
func (w *world) settle() {
	w.t.Helper()
	w.weather.clear()
	w.sim.SetClock(0)
	w.skew.Store(0)
	for hour := range 60 {
		time.Sleep(time.Hour)
		w.decide()
		w.flush(nil)
		if hour > 30 && w.unfinished() == 0 {
			return
		}
	}
	w.t.Errorf("seed %d: %d runs are under way after 60 hours of fair weather", w.seed, w.unfinished())
}

// check stops the daemon and says all that is wrong.
func (w *world) check() {
	w.t.Helper()
	wrong := w.d.Unready(context.Background())
	for name, err := range wrong {
		w.t.Errorf("seed %d: after fair weather readiness complains: %s: %v", w.seed, name, err)
	}
	books := w.d.Engine().Playbooks()
	w.stop()
	if to := os.Getenv("PLAYBOOKD_SOAK_KEEP"); to != "" {
		if err := os.CopyFS(filepath.Join(to, fmt.Sprint(w.seed)), os.DirFS(w.dir)); err != nil {
			w.t.Error(err)
		}
	}
	r := w.reader()
	defer r.Close()
	c := invariant.Case{Journal: invariant.Store(r), Books: books, Slack: 2 * maxStep}
	c.Simulator(sandbox.TenantName, w.sim)
	c.Targets = append(c.Targets, w.pager.Target())
	violations, err := c.Check(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for i, v := range violations {
		if i == 20 {
			w.t.Errorf("seed %d: and %d more", w.seed, len(violations)-i)
			break
		}
		w.t.Errorf("seed %d: %v", w.seed, v)
	}
	w.asUsersSeeIt()
}

// asUsersSeeIt looks at the tenant and the pager and at nothing else.
func (w *world) asUsersSeeIt() {
	w.t.Helper()
	closed, gone := 0, w.gone()
	for _, a := range w.sim.Alerts() {
		id, _ := a["id"].(string)
		status, _ := a["status"].(string)
		ours := said(a, "Closed by close-noise")
		judged, reopened := w.people.judged[id], w.people.reopened[id]
		switch {
		case noise(a) && w.service.found[id] == "new" && !judged && status != "resolved":
			w.t.Errorf("seed %d: scanner alert %s should be closed and is %s: %v", w.seed, id, status, a["lastUpdateDateTime"])
		case noise(a) && ours > 1 && !reopened:
			w.t.Errorf("seed %d: scanner alert %s was closed %d times", w.seed, id, ours)
		case !noise(a) && ours > 0:
			w.t.Errorf("seed %d: alert %s is no scanner's and was closed", w.seed, id)
		case !noise(a) && !judged && !reopened && status != w.service.found[id]:
			w.t.Errorf("seed %d: alert %s was %s, nobody touched it, and it is %s", w.seed, id, w.service.found[id], status)
		case ours > 0:
			closed++
		}
		w.reminded(a)
		w.followedUp(a, gone)
	}
	if closed == 0 {
		w.t.Errorf("seed %d: no alert was closed: the plan is no test", w.seed)
	}
	for _, i := range w.sim.Incidents() {
		if w.attack(i) && i["status"] == "active" {
			w.t.Errorf("seed %d: incident %v is an attack and nobody was given it", w.seed, i["id"])
		}
	}
	w.delivered()
}

// reminded checks that an alert that waits has its one reminder.
func (w *world) reminded(a simulator.Document) {
	n := said(a, "Triage reminder")
	waits := a["severity"] == "high" && a["status"] == "new" && a["assignedTo"] == nil
	if n > 1 || waits && n == 0 {
		w.t.Errorf("seed %d: alert %v has %d reminders", w.seed, a["id"], n)
	}
}

// gone are the alerts that could not be followed up: when the service's clock is set back, it hides for a while what it
// has shown before, and says that there is no such alert.
func (w *world) gone() map[string]bool {
	w.t.Helper()
	r := w.reader()
	defer r.Close()
	runs, err := r.Runs(context.Background(), store.RunFilter{Playbook: "followup", State: engine.Failed, Limit: store.MaxLimit})
	if err != nil {
		w.t.Fatal(err)
	}
	gone := map[string]bool{}
	for _, run := range runs {
		gone[strings.TrimPrefix(run.Object, "alerts/")] = strings.Contains(run.Message, "404")
	}
	return gone
}

// followedUp checks that the shift was asked about a high alert once, and that its word counted.
func (w *world) followedUp(a simulator.Document, gone map[string]bool) {
	id, _ := a["id"].(string)
	if gone[id] {
		return
	}
	want := 0
	if a["severity"] == "high" && w.service.found[id] != "" {
		want = 1
	}
	if n := said(a, "Follow-up"); n != want {
		w.t.Errorf("seed %d: alert %s was followed up %d times, want %d", w.seed, id, n, want)
	}
	if word := w.people.answered["alerts/"+id]; word != "" && said(a, word) != 1 {
		w.t.Errorf("seed %d: of alert %s the shift said that %q, and the comment says something else", w.seed, id, word)
	}
}

// attack says whether an incident is one that is to be escalated.
func (w *world) attack(i simulator.Document) bool {
	if i["severity"] != "high" {
		return false
	}
	for _, a := range w.sim.Alerts() {
		if a["incidentId"] != i["id"] {
			continue
		}
		for _, technique := range []string{"T1486", "T1003"} {
			techniques, _ := a["mitreTechniques"].([]any)
			for _, t := range techniques {
				if t == technique {
					return true
				}
			}
		}
	}
	return false
}

// delivered checks that each delivery that was taken paged once and has its ticket.
func (w *world) delivered() {
	if n := len(w.sender.pending); n > 0 {
		w.t.Errorf("seed %d: %d deliveries were never taken", w.seed, n)
	}
	seen := map[string]int{}
	for _, e := range w.pager.Target().Effects {
		seen[e.Op+" "+e.Object]++
	}
	for _, id := range w.sender.taken {
		if n := seen["POST /pages/"+id]; n != 1 {
			w.t.Errorf("seed %d: delivery %s paged %d times", w.seed, id, n)
		}
		if seen["PUT /tickets/"+id] == 0 {
			w.t.Errorf("seed %d: delivery %s has no ticket", w.seed, id)
		}
	}
	if len(seen) == 0 {
		w.t.Errorf("seed %d: nobody was paged: the plan is no test", w.seed)
	}
}

// maxStep is the most by which the service's clock may be wrong, and ours.
const maxStep = 4 * time.Hour

// digest sums the journal up.
func (w *world) digest() string {
	w.t.Helper()
	r := w.reader()
	defer r.Close()
	d, err := invariant.Digest(context.Background(), invariant.Store(r), invariant.WithTimes)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// lines are what the digest is made of.
func (w *world) lines() map[string]bool {
	w.t.Helper()
	r := w.reader()
	defer r.Close()
	all := map[string]bool{}
	if err := invariant.Lines(context.Background(), invariant.Store(r), func(l string) { all[l] = true }); err != nil {
		w.t.Fatal(fmt.Errorf("lines: %w", err))
	}
	return all
}
