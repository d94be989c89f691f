package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/store"
)

// With every call of the journal failing once, before or after it took effect, no alert is lost
// and nothing that must not happen twice does.
func TestNoFailureOfTheJournalLosesOrDoublesAnything(t *testing.T) {
	const text = `
steps:
  - {action: test.read, with: {value: '${{ alert.id }}'}}
  - {action: test.both, with: {value: '${{ alert.id }}', note: n}}
  - {action: test.put, with: {value: '${{ alert.id }} again'}}
  - {action: test.once, with: {value: '${{ alert.id }}'}, on_error: continue}
`
	for _, op := range []string{"Admit", "Append", "Ready", "NextWake", "Load", "Latest", "Writes"} {
		for _, effective := range []bool{false, true} {
			for _, workers := range []int{1, 8} {
				t.Run(fmt.Sprintf("%s, effective %v, %d workers", op, effective, workers), func(t *testing.T) {
					t.Parallel()
					for n, reached := 1, true; reached; n++ {
						synctest.Test(t, func(t *testing.T) { reached = failNth(t, text, op, n, effective, workers) })
					}
				})
			}
		}
	}
}

// failNth plays a scenario in which the n-th call of op fails, and reports whether there was one.
func failNth(t *testing.T, text, op string, n int, effective bool, workers int) (reached bool) {
	f := new(faulty)
	fail := func(o string, i int) error {
		if o == op && i == n {
			reached = true
			return errDisk
		}
		return nil
	}
	f.before = fail
	if effective {
		f.before, f.after = nil, fail
	}
	l := newLab(t, func(l *lab) { f.journal = l.journal; l.journal, l.options.Workers = f, workers })
	l.use(l.book("steady", text), l.book("keyed", "concurrency: {key: all}\nsteps: [{action: test.add, with: {value: 'keyed ${{ alert.id }}'}}]\n"))
	persist := func(ev engine.Event) {
		for range 5 { // a source delivers until it is told that the event is durable
			if _, err := l.engine.Deliver(t.Context(), engine.Batch{Events: []engine.Event{ev}}); err == nil {
				return
			}
			time.Sleep(time.Second)
		}
		t.Errorf("call %d: event %s can't be delivered", n, ev.ID)
	}
	persist(numbered(1))
	stop := l.run()
	synctest.Wait()
	persist(numbered(2))
	persist(version("a2", 2, `{"id":"a2","title":"alert 2","status":"new","severity":"high"}`))
	wait(10 * time.Minute)
	stop()
	f.before, f.after = nil, nil
	for _, ev := range []engine.Event{numbered(1), numbered(2), version("a2", 2, "{}")} {
		for _, book := range []string{"steady", "keyed"} {
			if r := l.load(engine.NewRunID(book, ev.ID)).Run; r.State != engine.Succeeded {
				t.Errorf("call %d: run of %s for %s is %s (%s)", n, book, ev.ID, r.State, r.Message)
			}
		}
	}
	l.unique(n)
	return reached
}

// unique fails the test if a part that must happen once did not, or did twice.
func (l *lab) unique(n int) {
	done := map[string]int{}
	for _, c := range l.world.Did() {
		done[c.Part+" "+c.Key]++
	}
	parts := map[string]int{}
	for what, times := range done {
		part, _, _ := strings.Cut(what, " ")
		parts[part]++
		if times > 1 && (part == "add" || part == "note" || part == "once") {
			l.t.Errorf("call %d: %s happened %d times", n, what, times)
		}
	}
	// A once whose record got lost may be left undone, and says so; all else happens.
	if parts["put"] < 6 || parts["note"] != 3 || parts["add"] != 3 || parts["read"] != 3 {
		l.t.Errorf("call %d: effects by part %v", n, parts)
	}
}

// The event is durable before Deliver has handed its run to the loop. The loop may look at the
// journal in between and must not take the run for one that was left behind.
func TestARunIsNeverDrivenTwiceWhileItIsHandedOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) {
			l.journal = &faulty{journal: l.journal, after: func(op string, _ int) error {
				if op == "Admit" {
					l.engine.Use(l.set) // wakes the loop
					time.Sleep(3 * time.Second)
				}
				return nil
			}}
		})
		l.use(l.book("once", "steps: [{action: test.once, with: {value: x}}]\n"), l.book("adder", addTitle))
		defer l.run()()
		synctest.Wait()
		l.deliver(numbered(1))
		wait(time.Minute)
		l.all(engine.Succeeded)
		l.each("once x", "add alert 1")
	})
}

func TestADeliverThatFailsLeavesNoWorkerTaken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) {
			l.options.Workers = 2
			l.journal = &faulty{journal: l.journal, before: func(op string, n int) error {
				if op == "Admit" && n <= 10 || op == "Latest" && n%3 == 0 && n < 20 {
					return errDisk
				}
				return nil
			}}
		})
		l.use(l.book("adder", addTitle))
		defer l.run()()
		synctest.Wait()
		for range 20 {
			if _, err := l.engine.Deliver(t.Context(), engine.Batch{Events: []engine.Event{numbered(1), numbered(2), numbered(3)}}); err == nil {
				break
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.engine.Deliver(ctx, engine.Batch{Events: []engine.Event{numbered(8)}}); err == nil {
			t.Error("a batch was admitted for nobody")
		}
		l.deliver(numbered(4), numbered(5))
		wait(5 * time.Second)
		l.each("add alert 1", "add alert 2", "add alert 3", "add alert 4", "add alert 5")
	})
}

func TestARunThatCantBeReadStandsInNobodysWayAndIsNotGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := new(unreadable)
		l := newLab(t, func(l *lab) {
			f.faulty.journal = l.journal
			l.journal, l.options.Workers = f, 2
		})
		l.use(l.book("adder", addTitle))
		l.deliver(numbered(1), numbered(2), numbered(3), numbered(4))
		f.bad = l.ids[:3]
		f.damaged.Store(true)
		stop := l.run()
		wait(10 * time.Second)
		l.each("add alert 4")
		asked := f.count("Ready")
		wait(10 * time.Minute)
		if n := f.count("Ready") - asked; n > 200 {
			t.Errorf("the journal was asked %d times in ten minutes", n)
		}
		f.damaged.Store(false)
		wait(2 * time.Minute)
		stop()
		l.all(engine.Succeeded)
		l.each("add alert 1", "add alert 2", "add alert 3", "add alert 4")
	})
}

func TestAnOverdueRunThatCantBeRecordedDoesNotMakeTheLoopSpin(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var down atomic.Bool
		f := &faulty{before: func(op string, _ int) error {
			if down.Load() && op == "Append" {
				return errDisk
			}
			return nil
		}}
		l := newLab(t, func(l *lab) { f.journal, l.journal = l.journal, f })
		first := true
		l.world.Before = func(context.Context, actions.Call) error {
			if first {
				first = false
				return &actions.Fault{Code: "x", Retry: true, After: time.Minute}
			}
			return nil
		}
		l.use(l.book("adder", addTitle))
		defer l.run()()
		synctest.Wait()
		l.deliver(numbered(1))
		wait(30 * time.Second)
		down.Store(true)
		before := f.count("Ready")
		wait(10 * time.Minute)
		if n := f.count("Ready") - before; n > 1200 {
			t.Errorf("the journal was asked %d times in ten minutes", n)
		}
		down.Store(false)
		wait(2 * time.Minute)
		l.all(engine.Succeeded)
		l.each("add alert 1")
	})
}

func TestAFailureToReadTheNextWakeDoesNotMakeARunLate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		began := time.Now()
		f := &faulty{before: func(op string, _ int) error {
			if op == "NextWake" && time.Since(began) < 5*time.Second {
				return errDisk
			}
			return nil
		}}
		l := newLab(t, func(l *lab) { f.journal, l.journal = l.journal, f })
		first, late := true, time.Duration(0)
		l.world.Before = func(context.Context, actions.Call) error {
			if first {
				first = false
				return &actions.Fault{Code: "x", Retry: true, After: 10 * time.Second}
			}
			late = time.Since(began) - 10*time.Second
			return nil
		}
		l.use(l.book("adder", addTitle))
		defer l.run()()
		synctest.Wait()
		l.deliver(numbered(1))
		wait(5 * time.Minute)
		l.each("add alert 1")
		if late > 2*engine.JournalPause {
			t.Errorf("tried again %s late", late)
		}
	})
}

func TestTheRealJournalGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir() // outside of the bubble, which can't clean up what SQLite's threads hold
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(dir, "journal.db")
		open := func() *store.DB {
			db, err := store.Open(context.Background(), path, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return db
		}
		db := open()
		l := newLab(t, func(l *lab) { l.journal, l.options.Workers = db, 4 })
		l.world.After = func(_ context.Context, c actions.Call) error {
			time.Sleep(time.Duration(len(l.world.Effects())%5) * time.Second)
			return nil
		}
		l.use(l.book("adder", addTitle), l.book("keyed", "concurrency: {key: all}\nsteps: [{action: test.put, with: {value: '${{ alert.title }}'}}]\n"))
		stop := l.run()
		var want []string
		for n := range 20 {
			l.deliver(numbered(n))
			want = append(want, fmt.Sprintf("add alert %d", n), fmt.Sprintf("put alert %d", n))
			if n%5 == 4 {
				time.Sleep(time.Second)
				stop()
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				db = open()
				l.journal = db
				l.restart()
				stop = l.run()
			}
		}
		wait(10 * time.Minute)
		stop()
		l.all(engine.Succeeded)
		l.each(want...)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(filepath.Join(dir, "journal.db")); err != nil {
		t.Error(err)
	}
}
