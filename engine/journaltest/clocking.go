package journaltest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// clock makes the first revision of the clock of an object.
func clock(object string, due time.Time) engine.Clock {
	return engine.Clock{
		Tenant: "contoso", Playbook: "triage", Object: object, Title: "Suspicious", Revision: 1, Seen: at(0), State: engine.ClockRunning,
		Start: at(-60), At: at(-60), Elapsed: 1, Within: time.Hour, Next: "at_risk", Due: due, Breach: at(3600), Calendar: "office",
		Marks: []engine.Mark{{Stage: "soon", At: at(-1), Fired: true}},
	}
}

// seenVersion makes an event that is a version of an object.
func seenVersion(object string, n int) engine.Event {
	ev := event(fmt.Sprintf("contoso/%s/%d", object, n))
	ev.Object = object
	return ev
}

func clocking() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"a clock comes back as it was stored, with its event or without one": func(t *testing.T, w world) {
			a, b := clock("alerts/a", at(10)), clock("alerts/a", at(20))
			b.Playbook = "other"
			p := planned(seenVersion("alerts/a", 1))
			p.Clocks = []engine.Clock{a}
			w.admit(admission(p))
			w.admit(engine.Admission{Clocks: []engine.Clock{b}})
			same(t, "of the object", w.clocks("alerts/a"), []engine.Clock{b, a})
			same(t, "of another", len(w.clocks("alerts/b")), 0)
			a.Revision, a.State, a.Due, a.Breach, a.Next, a.Fault = 2, engine.ClockStopped, time.Time{}, time.Time{}, "", "stopped"
			w.admit(engine.Admission{Clocks: []engine.Clock{a}})
			same(t, "after a change", w.clocks("alerts/a"), []engine.Clock{b, a})
		},
		"a clock that does not follow on the one stored is refused with its batch": func(t *testing.T, w world) {
			c := clock("alerts/a", at(10))
			w.admit(engine.Admission{Clocks: []engine.Clock{c}})
			for _, revision := range []int{1, 3, 0, -1} {
				c.Revision = revision
				p := planned(event("e1"))
				_, err := w.Admit(t.Context(), engine.Admission{Events: []engine.Planned{p}, Clocks: []engine.Clock{c}})
				if !errors.Is(err, engine.ErrClockMoved) {
					t.Errorf("revision %d: %v", revision, err)
				}
				p.Clocks = []engine.Clock{c}
				if _, err = w.Admit(t.Context(), admission(p)); !errors.Is(err, engine.ErrClockMoved) {
					t.Errorf("revision %d with its event: %v", revision, err)
				}
			}
			same(t, "known", w.knows("e1"), false)
			second, third := c, c
			second.Revision, third.Revision = 2, 3
			w.admit(engine.Admission{Clocks: []engine.Clock{second, third}}) // each follows on the one before
			same(t, "revision", w.clocks("alerts/a")[0].Revision, 3)
		},
		"what comes with a duplicate does not move a clock": func(t *testing.T, w world) {
			ev := seenVersion("alerts/a", 1)
			w.admit(admission(planned(ev)))
			p := planned(ev)
			p.Clocks = []engine.Clock{clock("alerts/a", at(10))}
			if r := w.admit(admission(p)); r.Duplicates != 1 {
				t.Errorf("%+v", r)
			}
			same(t, "clocks", len(w.clocks("alerts/a")), 0)
		},
		"a clock without names or in an unknown state is refused": func(t *testing.T, w world) {
			for _, spoil := range []func(*engine.Clock){
				func(c *engine.Clock) { c.Object = "" }, func(c *engine.Clock) { c.Playbook = "" }, func(c *engine.Clock) { c.State = "tired" },
			} {
				c := clock("alerts/a", at(10))
				spoil(&c)
				p := planned(event("e1"))
				p.Clocks = []engine.Clock{c}
				_, alone := w.Admit(t.Context(), engine.Admission{Clocks: []engine.Clock{c}})
				_, with := w.Admit(t.Context(), admission(p))
				if alone == nil || with == nil {
					t.Errorf("%+v was stored", c)
				}
			}
		},
		"clocks that are due come in the order in which they are": func(t *testing.T, w world) {
			late, soon, never, foreign, other := clock("alerts/late", at(30)), clock("alerts/soon", at(10)), clock("alerts/never", time.Time{}),
				clock("alerts/foreign", at(5)), clock("alerts/other", at(5))
			foreign.Tenant, other.Playbook = "fabrikam", "other"
			w.admit(engine.Admission{Clocks: []engine.Clock{late, soon, never, foreign, other}})
			for limit, want := range map[int][]engine.Clock{10: {soon, late}, 1: {soon}} {
				got, err := w.DueClocks(t.Context(), "contoso", "triage", limit)
				if err != nil {
					t.Fatal(err)
				}
				same(t, fmt.Sprint("at most ", limit), got, want)
			}
		},
		"the last version of each object is that which a poll has read": func(t *testing.T, w world) {
			a1, a2, b1 := seenVersion("alerts/a", 1), seenVersion("alerts/a", 2), seenVersion("alerts/b", 1)
			byHand, pushed, stage, foreign := event("contoso/poll/alerts/x"), event("webhook/edr/1"), seenVersion("alerts/a", 3), seenVersion("alerts/c", 1)
			byHand.Object, pushed.Object, pushed.Source, stage.Source = "alerts/a", "alerts/b", "webhook/edr", "sla/triage"
			foreign.Tenant = "fabrikam"
			w.admit(admission(planned(a1), planned(b1), planned(a2), planned(byHand), planned(pushed), planned(stage), planned(foreign)))
			for name, c := range map[string]struct {
				q    engine.VersionQuery
				want []engine.Event
			}{
				"all":           {engine.VersionQuery{Limit: 9}, []engine.Event{a2, b1}},
				"one at a time": {engine.VersionQuery{Limit: 1}, []engine.Event{a2}},
				"the next one":  {engine.VersionQuery{Limit: 1, After: "alerts/a"}, []engine.Event{b1}},
				"behind all":    {engine.VersionQuery{Limit: 1, After: "alerts/b"}, nil},
				"of one object": {engine.VersionQuery{Limit: 9, Object: "alerts/a"}, []engine.Event{a2}},
				"of none":       {engine.VersionQuery{Limit: 9, Object: "alerts/x"}, nil},
			} {
				c.q.Tenant, c.q.Source = "contoso", "poll/alerts"
				got, err := w.Versions(t.Context(), c.q)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != 0 || len(c.want) != 0 {
					same(t, name, got, c.want)
				}
			}
		},
		"a stage of a clock is an event of its object and no version of it": func(t *testing.T, w world) {
			first := seenVersion("alerts/a", 1)
			stage := event("contoso/sla/triage/breached/alerts/a")
			stage.Source, stage.Object = "sla/triage", "alerts/a"
			stage.SLA = &engine.SLA{Stage: "breached", Target: "30m", Elapsed: "31m", Start: at(-60), Due: at(-1)}
			run := plan(stage, "triage")
			w.admit(admission(planned(first), planned(stage, run)))
			latest, err := w.Latest(t.Context(), "contoso", "alerts/a")
			if err != nil {
				t.Fatal(err)
			}
			same(t, "latest", latest, first)
			same(t, "what the run sees", w.load(run.Run.ID).Event, stage)
		},
	}
}

func (w world) clocks(object string) []engine.Clock {
	w.t.Helper()
	list, err := w.Clocks(w.t.Context(), "contoso", object)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}
