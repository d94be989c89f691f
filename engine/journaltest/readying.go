package journaltest

import (
	"fmt"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
)

func readying() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"the oldest come first, as many as were asked for": func(t *testing.T, w world) {
			var want []engine.RunID
			for i := range 5 {
				// Created in the opposite order: our clock may go back, admission doesn't.
				r := w.begin(fmt.Sprint("e", i), "triage", func(p *engine.PlannedRun) {
					p.Run.Created = at(-i)
					if i%2 == 1 {
						p.Run.State, p.Run.Wake = engine.Waiting, at(-i)
					}
				})
				want = append(want, r.ID)
			}
			same(t, "all", w.ready(at(0), 9), want)
			same(t, "three", w.ready(at(0), 3), want[:3])
			same(t, "none", w.ready(at(0), 0), []engine.RunID{})
		},
		"a ready run is returned as it was stored": func(t *testing.T, w world) {
			r := w.begin("e1", "triage", keyed("k"))
			runs, err := w.Ready(t.Context(), at(0), 9)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "runs", runs, []engine.Run{r})
		},
		"a waiting run is ready when its time has come, to the nanosecond": func(t *testing.T, w world) {
			r := w.begin("e1", "triage", waiting(at(10)))
			same(t, "before", w.ready(at(10).Add(-time.Nanosecond), 9), []engine.RunID{})
			same(t, "then", w.ready(at(10), 9), []engine.RunID{r.ID})
			same(t, "after", w.ready(at(11), 9), []engine.RunID{r.ID})
		},
		"of more that are due than are asked for, those whose time came first": func(t *testing.T, w world) {
			w.begin("e1", "triage", waiting(at(30)))
			second := w.begin("e2", "triage", waiting(at(20)))
			third := w.begin("e3", "triage", waiting(at(10)))
			ready := w.begin("e4", "triage")
			same(t, "two", w.ready(at(40), 2), []engine.RunID{second.ID, third.ID})
			same(t, "three", w.ready(at(15), 3), []engine.RunID{third.ID, ready.ID})
		},
		"runs that are parked or over have nothing to do": func(t *testing.T, w world) {
			for i, a := range []engine.Append{
				{State: engine.Parked}, {State: engine.Succeeded, Ended: at(1)},
				{State: engine.Failed, Ended: at(1)}, {State: engine.Canceled, Ended: at(1)},
			} {
				a.Run = w.begin(fmt.Sprint("e", i), "triage").ID
				w.append(a)
			}
			same(t, "ready", w.ready(at(1000), 9), []engine.RunID{})
			same(t, "next wake", w.nextWake(), time.Time{})
		},
		"of runs with the same key only the oldest goes on": func(t *testing.T, w world) {
			a := w.begin("e1", "triage", keyed("k"))
			b := w.begin("e2", "triage", keyed("k"))
			c := w.begin("e3", "triage", keyed("k"))
			same(t, "first", w.ready(at(0), 9), []engine.RunID{a.ID})
			w.append(engine.Append{Run: a.ID, State: engine.Waiting, Wake: at(50)})
			same(t, "while it waits", w.ready(at(0), 9), []engine.RunID{})
			w.append(engine.Append{Run: a.ID, State: engine.Parked})
			same(t, "while it is parked", w.ready(at(0), 9), []engine.RunID{})
			w.append(engine.Append{Run: a.ID, State: engine.Ready})
			same(t, "again", w.ready(at(0), 9), []engine.RunID{a.ID})
			w.append(engine.Append{Run: a.ID, State: engine.Canceled, Ended: at(60)})
			same(t, "second", w.ready(at(0), 9), []engine.RunID{b.ID})
			w.finish(b)
			same(t, "third", w.ready(at(0), 9), []engine.RunID{c.ID})
			w.finish(c)
			same(t, "none", w.ready(at(0), 9), []engine.RunID{})
			d := w.begin("e4", "triage", keyed("k"))
			same(t, "a new one", w.ready(at(0), 9), []engine.RunID{d.ID})
		},
		"a run that ends out of turn lets nobody pass": func(t *testing.T, w world) {
			a := w.begin("e1", "triage", keyed("k"))
			b := w.begin("e2", "triage", keyed("k"))
			c := w.begin("e3", "triage", keyed("k"))
			w.append(engine.Append{Run: b.ID, State: engine.Canceled, Ended: at(1)})
			same(t, "still the first", w.ready(at(0), 9), []engine.RunID{a.ID})
			w.finish(a)
			same(t, "then the third", w.ready(at(0), 9), []engine.RunID{c.ID})
		},
		"keys of one batch are kept apart too": func(t *testing.T, w world) {
			e1, e2 := event("e1"), event("e2")
			p1, p2 := plan(e1, "triage"), plan(e2, "triage")
			p1.Run.Key, p2.Run.Key = "k", "k"
			w.admit(admission(planned(e1, p1), planned(e2, p2)))
			same(t, "ready", w.ready(at(0), 9), []engine.RunID{p1.Run.ID})
		},
		"a run that was over when it was admitted takes no turn": func(t *testing.T, w world) {
			w.begin("e1", "triage", keyed("k"), func(p *engine.PlannedRun) {
				p.Run.State, p.Run.Ended = engine.Failed, at(0)
			})
			b := w.begin("e2", "triage", keyed("k"))
			same(t, "ready", w.ready(at(0), 9), []engine.RunID{b.ID})
		},
		"other playbooks, other keys and runs without a key are not held back": func(t *testing.T, w world) {
			a := w.begin("e1", "triage", keyed("k"))
			b := w.begin("e2", "other", keyed("k"))
			c := w.begin("e3", "triage", keyed("K"))
			d, e := w.begin("e4", "triage"), w.begin("e5", "triage")
			same(t, "ready", w.ready(at(0), 9), []engine.RunID{a.ID, b.ID, c.ID, d.ID, e.ID})
		},
		"the earliest wake is told": func(t *testing.T, w world) {
			same(t, "without runs", w.nextWake(), time.Time{})
			w.begin("e1", "triage", func(p *engine.PlannedRun) { p.Run.Wake = at(1) }) // ready: not a wait
			same(t, "without waiting runs", w.nextWake(), time.Time{})
			r := w.begin("e2", "triage", waiting(at(20)))
			w.begin("e3", "triage", waiting(at(30)))
			same(t, "first", w.nextWake(), at(20))
			w.append(engine.Append{Run: r.ID, State: engine.Waiting, Wake: at(40)})
			same(t, "second", w.nextWake(), at(30))
			// A time that has passed is still told: nobody may oversleep.
			w.begin("e4", "triage", waiting(at(-1000)))
			same(t, "passed", w.nextWake(), at(-1000))
		},
	}
}
