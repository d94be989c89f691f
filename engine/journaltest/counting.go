package journaltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// limited plans a run of a playbook that may start twice within an hour, each time for another object.
func limited(id string, created time.Time, change ...func(*engine.PlannedRun)) engine.Planned {
	ev := event(id)
	p := plan(ev, "triage")
	p.Run.Created, p.Limit = created, engine.RunLimit{Rate: playbooks.Rate{Most: 2, Within: time.Hour}}
	p.Entries = []engine.Entry{entry(1)}
	for _, c := range change {
		c(&p)
	}
	return planned(ev, p)
}

func begun(r engine.Run, when time.Time) engine.Use {
	return engine.Use{Tenant: r.Tenant, Playbook: r.Playbook, Action: "device.isolate", Mode: r.Mode, Run: r.ID, At: when}
}

func (w world) uses(like engine.Use, after time.Time) int {
	w.t.Helper()
	n, err := w.Uses(w.t.Context(), like, after)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// counting is about what limits count.
func counting() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"a run beyond its limit is there, parked, and the decision stands": func(t *testing.T, w world) {
			w.admit(admission(limited("e1", at(0)), limited("e2", at(1))))
			third := limited("e3", at(2))
			id := third.Runs[0].Run.ID
			same(t, "receipt", w.admit(admission(third)), engine.Receipt{Admitted: 1, Held: []engine.RunID{id}, Limited: []engine.RunID{id}})
			l := w.load(id)
			same(t, "run", l.Run, engine.Hold(third.Runs[0], true).Run)
			same(t, "entries", len(l.Entries), 0)
			same(t, "decisions", w.decisions("e3"), third.Matches)
		},
		"a limit slides, to the nanosecond, and what was held does not count": func(t *testing.T, w world) {
			w.admit(admission(limited("e1", at(0)), limited("e2", at(1)), limited("e3", at(2)), limited("e4", at(3))))
			for i, step := range []struct {
				created time.Time
				held    int
			}{{at(3600).Add(-time.Nanosecond), 1}, {at(3600), 0}, {at(3600), 1}, {at(3601), 0}} {
				if r := w.admit(admission(limited(fmt.Sprint("f", i), step.created))); len(r.Limited) != step.held {
					t.Errorf("run %d: %+v", i, r)
				}
			}
		},
		"live and shadow, tenants and playbooks are counted apart": func(t *testing.T, w world) {
			w.admit(admission(limited("e1", at(0)), limited("e2", at(1))))
			shadow := limited("e3", at(2), func(p *engine.PlannedRun) { p.Run.Mode = playbooks.Shadow })
			foreign := limited("e4", at(2), func(p *engine.PlannedRun) { p.Run.Tenant = "fabrikam" })
			ev := event("e5")
			other := plan(ev, "other")
			other.Limit = engine.RunLimit{Rate: playbooks.Rate{Most: 2, Within: time.Hour}}
			for _, p := range []engine.Planned{shadow, foreign, planned(ev, other)} {
				if r := w.admit(admission(p)); r.Matched != 1 || len(r.Held) > 0 {
					t.Errorf("%s: %+v", p.Event.ID, r)
				}
			}
		},
		"a run that is started beyond its limit says so in its decision": func(t *testing.T, w world) {
			noted := func(p *engine.PlannedRun) { p.Limit.Instead = "a live run would be held" }
			w.admit(admission(limited("e1", at(0), noted), limited("e2", at(1), noted)))
			if r := w.admit(admission(limited("e3", at(2), noted))); r.Matched != 1 || len(r.Held) > 0 {
				t.Errorf("%+v", r)
			}
			same(t, "within", w.decisions("e2")[0].Detail, "")
			same(t, "beyond", w.decisions("e3")[0].Detail, "a live run would be held")
		},
		"a run that repeats another counts nothing": func(t *testing.T, w world) {
			deduped := func(p *engine.PlannedRun) { p.DedupeKey, p.DedupeWindow = "k", time.Hour }
			w.admit(admission(limited("e1", at(0), deduped), limited("e2", at(1), deduped), limited("e3", at(1), deduped)))
			if r := w.admit(admission(limited("e4", at(2)))); r.Matched != 1 || len(r.Held) > 0 {
				t.Errorf("%+v", r)
			}
		},
		"uses are counted by tenant, playbook, action and mode, after a moment": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			like := begun(r, time.Time{})
			same(t, "before any", w.uses(like, at(-100)), 0)
			other, foreign, shadow, action := begun(r, at(5)), begun(r, at(5)), begun(r, at(5)), begun(r, at(5))
			other.Playbook, foreign.Tenant, shadow.Mode, action.Action = "other", "fabrikam", playbooks.Shadow, "user.disable"
			w.append(engine.Append{Run: r.ID, State: engine.Ready, Uses: []engine.Use{begun(r, at(1)), begun(r, at(2)), other, foreign, shadow, action}})
			w.append(engine.Append{Run: r.ID, State: engine.Ready, Uses: []engine.Use{begun(r, at(3))}})
			for after, want := range map[time.Time]int{at(0): 3, at(1): 2, at(2): 1, at(3): 0} {
				same(t, fmt.Sprint("after ", after), w.uses(like, after), want)
			}
			for _, u := range []engine.Use{other, foreign, shadow, action} {
				same(t, fmt.Sprintf("%+v", u), w.uses(u, at(0)), 1)
			}
		},
		"what could not be appended is no use": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			err := w.Append(t.Context(), engine.Append{Run: r.ID, State: engine.Ready, Entries: []engine.Entry{entry(7)}, Uses: []engine.Use{begun(r, at(1))}})
			if !errors.Is(err, engine.ErrOutOfOrder) {
				t.Fatal(err)
			}
			same(t, "uses", w.uses(begun(r, at(1)), at(0)), 0)
		},
	}
}

// ending is about ends of runs that others wait for.
func ending() map[string]func(*testing.T, world) {
	end := func(r engine.Run) engine.Append {
		return engine.Append{Run: r.ID, State: engine.Failed, Message: "no", Ended: at(9), Entries: []engine.Entry{{Seq: 1, Kind: engine.Ended, At: at(9)}}}
	}
	following := func(r engine.Run) engine.Planned {
		ev := engine.Event{ID: "contoso/run/" + string(r.ID), Tenant: "contoso", Source: "run", Kind: "event", Title: "triage failed",
			Occurred: at(9), Seen: at(9), Payload: json.RawMessage(`{"state":"failed"}`)}
		return planned(ev, plan(ev, "tell"))
	}
	return map[string]func(*testing.T, world){
		"a run ends together with what follows from its end": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			p := following(r)
			receipt, err := w.End(t.Context(), end(r), admission(p))
			if err != nil {
				t.Fatal(err)
			}
			same(t, "receipt", receipt, engine.Receipt{Admitted: 1, Matched: 1, Started: []engine.RunID{p.Runs[0].Run.ID}})
			same(t, "state", w.load(r.ID).Run.State, engine.Failed)
			same(t, "event", w.load(p.Runs[0].Run.ID).Event, p.Event)
			same(t, "ready", w.ready(at(10), 9), []engine.RunID{p.Runs[0].Run.ID})
		},
		"a run that can't end starts nothing": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			wrong := end(r)
			wrong.Entries[0].Seq = 5
			if _, err := w.End(t.Context(), wrong, admission(following(r))); !errors.Is(err, engine.ErrOutOfOrder) {
				t.Fatal(err)
			}
			same(t, "known", w.knows("contoso/run/"+string(r.ID)), false)
			same(t, "ready", w.ready(at(10), 9), []engine.RunID{r.ID})
		},
		"a run does not end if what follows can't be stored": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			a := admission(following(r))
			a.Documents = nil
			if _, err := w.End(t.Context(), end(r), a); err == nil {
				t.Fatal("a run without its playbook was admitted")
			}
			same(t, "known", w.knows("contoso/run/"+string(r.ID)), false)
			same(t, "state", w.load(r.ID).Run.State, engine.Ready)
		},
		"a run ends once": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			p := following(r)
			if _, err := w.End(t.Context(), end(r), admission(p)); err != nil {
				t.Fatal(err)
			}
			if _, err := w.End(t.Context(), end(r), admission(p)); !errors.Is(err, engine.ErrOutOfOrder) {
				t.Fatal(err)
			}
			same(t, "ready", w.ready(at(10), 9), []engine.RunID{p.Runs[0].Run.ID})
		},
	}
}
