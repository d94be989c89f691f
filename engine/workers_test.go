package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

// occupied makes a lab with one worker and a run that takes a time.
func occupied(t *testing.T, takes time.Duration) (l *lab, stop func()) {
	l = newLab(t, func(l *lab) { l.options.Workers = 1 })
	l.world.Before = func(ctx context.Context, _ actions.Call) error {
		time.Sleep(takes)
		return nil
	}
	l.use(l.book("adder", addTitle))
	stop = l.run()
	synctest.Wait()
	l.deliver(numbered(1))
	return l, stop
}

func TestAPushedEventWaitsAMomentSoThatItsRunBeginsWithIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l, stop := occupied(t, engine.Patience/2)
		defer stop()
		l.deliver(numbered(2))
		if n := len(l.load(l.ids[1]).Entries); n == 0 {
			t.Error("the run was admitted without its first intent")
		}
		wait(time.Second)
		l.all(engine.Succeeded)
	})
}

func TestABatchWaitsForNoWorker(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l, stop := occupied(t, engine.Patience/2)
		defer stop()
		began := time.Now()
		l.deliver(numbered(2), numbered(3))
		if took := time.Since(began); took > 0 {
			t.Errorf("it waited %s", took)
		}
		wait(time.Second)
		l.all(engine.Succeeded)
	})
}

func TestPatienceEndsAndIsLessTheNextTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l, stop := occupied(t, time.Minute)
		defer stop()
		began := time.Now()
		l.deliver(numbered(2))
		if took := time.Since(began); took != engine.Patience {
			t.Errorf("it waited %s, want %s", took, engine.Patience)
		}
		const more = 20
		for n := range more {
			l.deliver(numbered(3 + n))
		}
		// Half of it each time, down to a millisecond.
		if took := time.Since(began); took > 2*engine.Patience+more*time.Millisecond {
			t.Errorf("while no worker gets free, %d events waited %s", more+1, took)
		}
		wait(time.Hour)
		l.all(engine.Succeeded)
	})
}

func TestWhatWasLeftToTheLoopGoesBeforeWhatComesLater(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l, stop := occupied(t, engine.Patience*5/4)
		defer stop()
		l.deliver(numbered(2)) // loses patience, and is left to the loop
		l.deliver(numbered(3)) // would get the worker first if it only waited for one
		wait(time.Minute)
		l.all(engine.Succeeded)
		var order []string
		for _, c := range l.world.Did() {
			order = append(order, c.Run)
		}
		for i, id := range l.ids {
			if order[i] != string(id) {
				t.Errorf("runs went in the order %v, want %v", order, l.ids)
				break
			}
		}
	})
}
