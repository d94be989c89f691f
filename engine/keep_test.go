package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

// fullDisk is a lab whose journal takes no history while full holds.
func fullDisk(t *testing.T, full *atomic.Bool) *lab {
	return newLab(t, func(l *lab) {
		l.journal = &faulty{journal: l.journal, before: func(op string, _ int) error {
			if full.Load() && op == "Append" {
				return errDisk
			}
			return nil
		}}
	})
}

func TestAnOutcomeIsKeptUntilTheJournalTakesIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var full atomic.Bool
		l := fullDisk(t, &full)
		l.world.After = func(context.Context, actions.Call) error { full.Store(true); return nil }
		l.use(l.book("once", "steps: [{action: test.once, with: {value: x}}]\n"))
		defer l.run()()
		synctest.Wait()
		l.deliver(numbered(1))
		wait(time.Hour)
		if n := l.engine.Keeping(); n != 1 {
			t.Errorf("%d runs hold outcomes, want 1", n)
		}
		l.all(engine.Ready)
		full.Store(false)
		wait(engine.KeepPause)
		l.all(engine.Succeeded)
		l.each("once x")
		if n := l.engine.Keeping(); n != 0 {
			t.Errorf("%d runs hold outcomes, want none", n)
		}
	})
}

// A new intent that can't be recorded must not cost the outcomes of attempts that are in the air.
func TestAnIntentThatFailsDoesNotForgetOtherAttemptsInTheAir(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var full atomic.Bool
		l := fullDisk(t, &full)
		tried := false
		l.world.Before = func(_ context.Context, c actions.Call) error {
			if string(c.Input) == `{"value":"slow"}` {
				return nil
			}
			if !tried { // the quick item waits for its second attempt while the slow one is in the air
				tried = true
				return &actions.Fault{Code: "x", Retry: true, After: 10 * time.Second}
			}
			return nil
		}
		l.world.After = func(_ context.Context, c actions.Call) error {
			if string(c.Input) == `{"value":"slow"}` {
				time.Sleep(5 * time.Second)
				full.Store(true)
				time.Sleep(15 * time.Second)
			}
			return nil
		}
		l.use(l.book("both", "steps: [{foreach: \"['slow', 'quick']\", concurrency: 2, do: [{action: test.once, with: {value: '${{ item }}'}}]}]\n"))
		defer l.run()()
		synctest.Wait()
		l.deliver(numbered(1))
		wait(time.Minute)
		full.Store(false)
		wait(time.Minute)
		l.all(engine.Succeeded)
		l.each("once slow", "once quick")
	})
}

func TestAProcessThatEndsWhileTheJournalRefusesLeavesTheStepToAPerson(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var full atomic.Bool
		l := fullDisk(t, &full)
		l.world.After = func(context.Context, actions.Call) error { full.Store(true); return nil }
		l.use(l.book("once", "steps: [{action: test.once, with: {value: x}}]\n"))
		stop := l.run()
		synctest.Wait()
		l.deliver(numbered(1))
		wait(time.Minute)
		began := time.Now()
		stop()
		if took := time.Since(began); took < engine.Grace || took > engine.Grace+engine.KeepPause {
			t.Errorf("the engine stopped after %s, want it to try for %s", took, engine.Grace)
		}
		full.Store(false)
		l.restart()
		stop = l.run()
		wait(time.Minute)
		stop()
		l.all(engine.Parked)
		l.each("once x")
	})
}
