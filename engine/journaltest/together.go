package journaltest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// crowd is how many goroutines use a journal at the same time.
const crowd = 24

// all runs f in a crowd and waits for it.
func all(f func(i int)) {
	var wg sync.WaitGroup
	for i := range crowd {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func together() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"many can admit, append and look at the same time": func(t *testing.T, w world) {
			const rounds = 10
			all(func(i int) {
				for n := range rounds {
					ev := event(fmt.Sprintf("e%d-%d", i, n))
					p := plan(ev, "triage")
					if _, err := w.Admit(t.Context(), admission(planned(ev, p))); err != nil {
						t.Errorf("admit: %v", err)
						return
					}
					for seq := 1; seq <= 3; seq++ {
						a := engine.Append{Run: p.Run.ID, Entries: []engine.Entry{entry(seq)}, State: engine.Ready}
						if seq == 3 {
							a.State, a.Ended = engine.Succeeded, at(3)
						}
						if err := w.Append(t.Context(), a); err != nil {
							t.Errorf("append: %v", err)
							return
						}
						// Whoever was told that it is stored finds it.
						l, err := w.Load(t.Context(), p.Run.ID)
						if err != nil || len(l.Entries) != seq || l.Run.State != a.State {
							t.Errorf("load after entry %d: %d entries, %s, %v", seq, len(l.Entries), l.Run.State, err)
							return
						}
					}
					if _, err := w.Ready(t.Context(), at(0), 100); err != nil {
						t.Errorf("ready: %v", err)
					}
				}
			})
			for i := range crowd {
				for n := range rounds {
					if l := w.load(engine.NewRunID("triage", fmt.Sprintf("e%d-%d", i, n))); len(l.Entries) != 3 {
						t.Fatalf("%s has %d entries", l.Run.Event, len(l.Entries))
					}
				}
			}
		},
		"of those who move a position from the same place one wins": func(t *testing.T, w world) {
			var won atomic.Int32
			all(func(i int) {
				a := admission(planned(event(fmt.Sprint("e", i))))
				a.Cursor = &engine.Cursor{Source: "s", Position: fmt.Sprint("p", i)}
				switch _, err := w.Admit(t.Context(), a); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, engine.ErrCursorMoved):
					t.Error(err)
				}
			})
			admitted := 0
			for i := range crowd {
				if w.knows(fmt.Sprint("e", i)) {
					admitted++
					same(t, "position", w.position("s"), fmt.Sprint("p", i))
				}
			}
			if won.Load() != 1 || admitted != 1 {
				t.Fatalf("%d won, %d admitted", won.Load(), admitted)
			}
		},
		"an event that many admit is admitted once": func(t *testing.T, w world) {
			var admitted, matched atomic.Int32
			all(func(int) {
				ev := event("e1")
				r, err := w.Admit(t.Context(), admission(planned(ev, plan(ev, "triage"))))
				if err != nil {
					t.Error(err)
				}
				admitted.Add(int32(r.Admitted))
				matched.Add(int32(r.Matched))
			})
			if admitted.Load() != 1 || matched.Load() != 1 {
				t.Fatalf("admitted %d times, %d runs", admitted.Load(), matched.Load())
			}
		},
		"a dedupe key that many take is taken once": func(t *testing.T, w world) {
			var matched atomic.Int32
			all(func(i int) {
				r, err := w.Admit(t.Context(), admission(dedupes(fmt.Sprint("e", i), "triage", "k", at(i))))
				if err != nil {
					t.Error(err)
				}
				matched.Add(int32(r.Matched))
			})
			if matched.Load() != 1 {
				t.Fatalf("%d runs", matched.Load())
			}
		},
		"of those who append the same entry one wins": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			var won atomic.Int32
			all(func(i int) {
				err := w.Append(t.Context(), engine.Append{
					Run: r.ID, Entries: []engine.Entry{entry(1)}, State: engine.Ready, Message: fmt.Sprint(i),
				})
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, engine.ErrOutOfOrder):
					t.Error(err)
				}
			})
			same(t, "winners", int(won.Load()), 1)
			same(t, "entries", w.load(r.ID).Entries, []engine.Entry{entry(1)})
		},
		"only one run of a key is ready, whoever came when": func(t *testing.T, w world) {
			all(func(i int) {
				ev := event(fmt.Sprint("e", i))
				p := plan(ev, "triage")
				p.Run.Key = "k"
				if _, err := w.Admit(t.Context(), admission(planned(ev, p))); err != nil {
					t.Error(err)
				}
			})
			for range crowd {
				ids := w.ready(at(0), 2)
				if len(ids) != 1 {
					t.Fatalf("ready: %v", ids)
				}
				w.append(engine.Append{Run: ids[0], State: engine.Succeeded, Ended: at(1)})
			}
			same(t, "ready in the end", w.ready(at(0), 2), []engine.RunID{})
		},
	}
}

// survives checks that a journal that was closed and opened again is the same.
func survives(t *testing.T, open func(*testing.T) engine.Journal, reopen func(*testing.T, engine.Journal) engine.Journal) {
	w := world{Journal: open(t), t: t}
	ev := event("e1")
	p := plan(ev, "triage")
	list := []byte(`["ann"]`)
	p.Run.Key, p.Run.Lists = "k", map[string]string{"vips": digest(list)}
	p.DedupeKey, p.DedupeWindow = "d", time.Hour
	p.Entries = []engine.Entry{entry(1)}
	p.Writes = []engine.Write{write(p.Run, "alerts/x", at(1))}
	a := admission(planned(ev, p))
	a.Documents[digest(list)] = list
	a.Cursor = &engine.Cursor{Source: "s", Position: "p1"}
	a.Clocks = []engine.Clock{clock(ev.Object, at(70))}
	w.admit(a)
	blocked := w.begin("e2", "triage", keyed("k"))
	waits := w.begin("e3", "triage", waiting(at(50)))
	big := entry(2)
	big.Data = make([]byte, 3<<20)
	w.append(engine.Append{Run: p.Run.ID, Entries: []engine.Entry{big}, State: engine.Ready, Message: "m"})
	before := []engine.Loaded{w.load(p.Run.ID), w.load(blocked.ID), w.load(waits.ID)}

	w.Journal = reopen(t, w.Journal)
	for _, want := range before {
		same(t, "loaded", w.load(want.Run.ID), want)
	}
	same(t, "position", w.position("s"), "p1")
	same(t, "ready", w.ready(at(0), 9), []engine.RunID{p.Run.ID})
	same(t, "next wake", w.nextWake(), at(50))
	same(t, "clocks", w.clocks(ev.Object), a.Clocks)
	if _, err := w.Admit(t.Context(), a); !errors.Is(err, engine.ErrCursorMoved) {
		t.Fatalf("admit from the position of before: %v", err)
	}
	a.Cursor, a.Clocks = nil, nil
	same(t, "receipt of the same again", w.admit(a), engine.Receipt{Duplicates: 1, Repeated: []int{0}})
	if r := w.admit(admission(dedupes("e4", "triage", "d", at(1)))); r.Matched != 0 {
		t.Fatalf("the dedupe key was forgotten: %+v", r)
	}
	latest, err := w.Latest(t.Context(), ev.Tenant, ev.Object)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "latest", latest, ev)
	writes, err := w.Writes(t.Context(), ev.Tenant, "alerts/x", at(0))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "writes", writes, p.Writes)
	w.append(engine.Append{Run: p.Run.ID, Entries: []engine.Entry{entry(3)}, State: engine.Succeeded, Ended: at(3)})
	same(t, "ready after the first is over", w.ready(at(0), 9), []engine.RunID{blocked.ID})
}
