package journaltest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
)

func appending() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"entries follow each other": func(t *testing.T, w world) {
			r := w.begin("e1", "triage", func(p *engine.PlannedRun) { p.Entries = []engine.Entry{entry(1)} })
			w.append(engine.Append{Run: r.ID, Entries: []engine.Entry{entry(2), entry(3)}, State: engine.Ready})
			w.append(engine.Append{Run: r.ID, Entries: []engine.Entry{entry(4)}, State: engine.Ready})
			same(t, "entries", w.load(r.ID).Entries, []engine.Entry{entry(1), entry(2), entry(3), entry(4)})
		},
		"where the run stands is replaced as a whole": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			w.append(engine.Append{Run: r.ID, State: engine.Waiting, Message: "for an answer", Wake: at(5)})
			r.State, r.Message, r.Wake = engine.Waiting, "for an answer", at(5)
			same(t, "waiting", w.load(r.ID).Run, r)
			w.append(engine.Append{Run: r.ID, State: engine.Parked})
			r.State, r.Message, r.Wake = engine.Parked, "", time.Time{}
			same(t, "parked", w.load(r.ID).Run, r)
			for _, message := range []string{"", "asks", "asks", ""} { // whatever it was before
				w.append(engine.Append{Run: r.ID, State: engine.Parked, Message: message})
				r.Message = message
				same(t, "parked", w.load(r.ID).Run, r)
			}
			w.append(engine.Append{Run: r.ID, State: engine.Failed, Message: "no", Ended: at(9)})
			r.State, r.Message, r.Ended = engine.Failed, "no", at(9)
			same(t, "failed", w.load(r.ID).Run, r)
		},
		"an entry that does not follow is refused and nothing of it is kept": func(t *testing.T, w world) {
			r := w.begin("e1", "triage", func(p *engine.PlannedRun) { p.Entries = []engine.Entry{entry(1)} })
			for _, entries := range [][]engine.Entry{
				{entry(1)}, {entry(3)}, {entry(0)}, {entry(-1)}, {entry(2), entry(2)}, {entry(2), entry(4)},
			} {
				err := w.Append(t.Context(), engine.Append{
					Run: r.ID, Entries: entries, State: engine.Parked, Message: "no",
					Writes: []engine.Write{write(r, "alerts/x", at(1))},
				})
				if !errors.Is(err, engine.ErrOutOfOrder) {
					t.Fatalf("%v: %v", entries, err)
				}
			}
			l := w.load(r.ID)
			same(t, "run", l.Run, r)
			same(t, "entries", l.Entries, []engine.Entry{entry(1)})
			writes, err := w.Writes(t.Context(), r.Tenant, "alerts/x", time.Time{})
			if err != nil || len(writes) != 0 {
				t.Fatalf("writes: %v, %v", writes, err)
			}
		},
		"a run that is over takes no more": func(t *testing.T, w world) {
			for i, state := range []engine.RunState{engine.Succeeded, engine.Failed, engine.Canceled} {
				r := w.begin(fmt.Sprint("e", i), "triage")
				w.append(engine.Append{Run: r.ID, Entries: []engine.Entry{entry(1)}, State: state, Ended: at(1)})
				for _, a := range []engine.Append{
					{Run: r.ID, Entries: []engine.Entry{entry(2)}, State: engine.Ready},
					{Run: r.ID, State: engine.Ready},
					{Run: r.ID, State: engine.Canceled, Ended: at(2)},
				} {
					if err := w.Append(t.Context(), a); !errors.Is(err, engine.ErrOutOfOrder) {
						t.Fatalf("%s: %v", state, err)
					}
				}
				l := w.load(r.ID)
				same(t, "state", l.Run.State, state)
				same(t, "ended", l.Run.Ended, at(1))
			}
		},
		"a run that nobody knows is not found": func(t *testing.T, w world) {
			err := w.Append(t.Context(), engine.Append{Run: "rnone", State: engine.Ready})
			if !errors.Is(err, engine.ErrNotFound) {
				t.Fatal(err)
			}
		},
		"what could not be gone on with is refused": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			for name, a := range map[string]engine.Append{
				"no state":           {},
				"unknown state":      {State: "resting"},
				"waits for nothing":  {State: engine.Waiting},
				"over without end":   {State: engine.Succeeded},
				"end but not over":   {State: engine.Ready, Ended: at(1)},
				"entry without kind": {State: engine.Ready, Entries: []engine.Entry{{Seq: 1}}},
				"foreign write":      {State: engine.Ready, Writes: []engine.Write{{Run: "r2"}}},
			} {
				a.Run = r.ID
				if err := w.Append(t.Context(), a); err == nil {
					t.Errorf("%s: appended", name)
				}
			}
			same(t, "run", w.load(r.ID).Run, r)
		},
		"what a step means to write is kept with its intent": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			second := write(r, "alerts/x", at(2))
			second.Comment, second.Fields = true, nil
			w.append(engine.Append{
				Run: r.ID, Entries: []engine.Entry{entry(1)}, State: engine.Ready,
				Writes: []engine.Write{write(r, "alerts/x", at(1)), second, write(r, "alerts/y", at(1))},
			})
			writes, err := w.Writes(t.Context(), r.Tenant, "alerts/x", at(0))
			if err != nil {
				t.Fatal(err)
			}
			same(t, "writes", writes, []engine.Write{write(r, "alerts/x", at(1)), second})
		},
	}
}
