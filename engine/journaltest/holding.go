package journaltest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// version plans a run for a version of alerts/a1 that may be one of two within an hour.
func version(id, playbook string, created time.Time) engine.Planned {
	ev := event(id)
	ev.Object = "alerts/a1"
	p := plan(ev, playbook)
	p.Run.Created, p.Ceiling = created, engine.Ceiling{Runs: 2, Within: time.Hour}
	p.Entries, p.Writes = []engine.Entry{entry(1)}, []engine.Write{write(p.Run, ev.Object, created)}
	return planned(ev, p)
}

// full admits the two versions that may start a run.
func (w world) full() {
	w.t.Helper()
	if r := w.admit(admission(version("e1", "triage", at(0)), version("e2", "triage", at(1)))); r.Matched != 2 || len(r.Held) > 0 {
		w.t.Fatalf("below the ceiling: %+v", r)
	}
}

func holding() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"a run beyond its ceiling is there, parked, and nothing of it has begun": func(t *testing.T, w world) {
			w.full()
			third := version("e3", "triage", at(2))
			id := third.Runs[0].Run.ID
			same(t, "receipt", w.admit(admission(third)), engine.Receipt{Admitted: 1, Held: []engine.RunID{id}})
			want := engine.Hold(third.Runs[0], false).Run
			if l := w.load(id); len(l.Entries) > 0 {
				t.Errorf("it has a history: %+v", l.Entries)
			} else {
				same(t, "run", l.Run, want)
			}
			same(t, "decisions", w.decisions("e3"), third.Matches)
			writes, err := w.Writes(t.Context(), "contoso", "alerts/a1", at(-10))
			if err != nil || len(writes) != 2 {
				t.Errorf("writes %+v, %v", writes, err)
			}
			for _, ready := range w.ready(at(1000), 100) {
				if ready == id {
					t.Error("it is ready")
				}
			}
		},
		"the ceiling holds within a batch": func(t *testing.T, w world) {
			r := w.admit(admission(version("e1", "triage", at(0)), version("e2", "triage", at(0)), version("e3", "triage", at(0))))
			if r.Matched != 2 || len(r.Held) != 1 {
				t.Errorf("%+v", r)
			}
		},
		"a run counts until it is too old, to the nanosecond": func(t *testing.T, w world) {
			w.full() // at 0 and 1
			if r := w.admit(admission(version("e3", "triage", at(3600)))); r.Matched != 1 {
				t.Errorf("an hour after the first: %+v", r)
			}
			if r := w.admit(admission(version("e4", "triage", at(3601).Add(-time.Nanosecond)))); len(r.Held) != 1 {
				t.Errorf("almost an hour after the second: %+v", r)
			}
		},
		"runs that are over count, and so do those that are held": func(t *testing.T, w world) {
			first := version("e1", "triage", at(0))
			w.admit(admission(first, version("e2", "triage", at(1))))
			w.finish(first.Runs[0].Run)
			for i, step := range []struct{ created, held int }{{2, 1}, {3601, 0}, {3601, 1}} {
				if r := w.admit(admission(version(fmt.Sprintf("f%d", i), "triage", at(step.created)))); len(r.Held) != step.held {
					t.Errorf("run %d created at %d: %+v", i, step.created, r)
				}
			}
		},
		"other objects, playbooks, tenants and shadow runs are not concerned": func(t *testing.T, w world) {
			w.full()
			object, tenant, shadow := version("e3", "triage", at(2)), version("e4", "triage", at(2)), version("e6", "quiet", at(2))
			object.Event.Object, object.Runs[0].Run.Object = "alerts/a2", "alerts/a2"
			tenant.Event.Tenant, tenant.Runs[0].Run.Tenant = "fabrikam", "fabrikam"
			tenant.Runs[0].Writes[0].Tenant = "fabrikam"
			shadow.Runs[0].Run.Mode = playbooks.Shadow
			for _, p := range []engine.Planned{object, tenant, version("e5", "other", at(2)), shadow, version("e7", "quiet", at(2)), version("e8", "quiet", at(2))} {
				if r := w.admit(admission(p)); r.Matched != 1 {
					t.Errorf("%s: %+v", p.Event.ID, r)
				}
			}
		},
		"a run without a ceiling is never held": func(t *testing.T, w world) {
			w.full()
			p := version("e3", "triage", at(2))
			p.Runs[0].Ceiling = engine.Ceiling{}
			if r := w.admit(admission(p)); r.Matched != 1 || len(r.Held) > 0 {
				t.Errorf("%+v", r)
			}
		},
		"a run that is held goes on when it is made ready": func(t *testing.T, w world) {
			w.full()
			third := version("e3", "triage", at(2))
			w.admit(admission(third))
			id := third.Runs[0].Run.ID
			w.append(engine.Append{Run: id, State: engine.Ready, Entries: []engine.Entry{{Seq: 1, Kind: engine.Released, At: at(3)}}})
			if l := w.load(id); l.Run.State != engine.Ready || l.Run.Message != "" || len(l.Entries) != 1 {
				t.Errorf("%+v", l)
			}
		},
		"an event that is known holds nothing": func(t *testing.T, w world) {
			w.full()
			w.admit(admission(version("e3", "triage", at(2))))
			same(t, "receipt", w.admit(admission(version("e3", "triage", at(2)))), engine.Receipt{Duplicates: 1, Repeated: []int{0}})
		},
		"a batch that is refused holds nothing": func(t *testing.T, w world) {
			w.full()
			a := admission(version("e3", "triage", at(2)))
			a.Cursor = &engine.Cursor{Source: "s", From: "elsewhere", Position: "p"}
			if _, err := w.Admit(t.Context(), a); !errors.Is(err, engine.ErrCursorMoved) {
				t.Fatal(err)
			}
			if _, err := w.Load(t.Context(), a.Events[0].Runs[0].Run.ID); !errors.Is(err, engine.ErrNotFound) {
				t.Errorf("load: %v", err)
			}
		},
	}
}
