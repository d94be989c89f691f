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

// wall is a clock that somebody sets: it is wrong by so much.
type wall struct{ by atomic.Int64 }

// now has no reading of a monotonic clock: nothing may depend on one.
func (w *wall) now() time.Time          { return time.Now().Add(time.Duration(w.by.Load())).Round(0) }
func (w *wall) set(wrong time.Duration) { w.by.Store(int64(wrong)) }

func onClock(t *testing.T) (*lab, *wall) {
	w := new(wall)
	return newLab(t, func(l *lab) { l.options.Now = w.now }), w
}

// What waits when the clock is set back goes on when the clock has come that far again, and no later; what is set ahead
// brings it forward. Either way it goes on once, also if another process has taken over meanwhile.
func TestWhatWaitsGoesOnWhenTheClockSaysSo(t *testing.T) {
	throttled := "steps: [{action: test.put, with: {value: bad}, retry: {attempts: 2, backoff: constant, initial: 1m}, on_error: continue}, {action: test.once, with: {value: done}}]\n"
	for _, c := range []struct {
		name, text string
		lasts      time.Duration // by the clock
		jitter     time.Duration // that it may be shorter
	}{
		{"a wait", "steps: [{wait: 30m}, {action: test.once, with: {value: done}}]\n", 30 * time.Minute, 0},
		{"a question", "steps: [{approve: {title: 'Go on?', by: [anna], within: 30m}}, {action: test.once, with: {value: done}}]\n", 30 * time.Minute, 0},
		{"a retry", throttled, time.Minute, 15 * time.Second},
		{"a condition", "steps: [{wait: {until: 'false', every: 10m, within: 30m}, on_error: continue}, {action: test.once, with: {value: done}}]\n", 30 * time.Minute, 0},
	} {
		for name, step := range map[string]time.Duration{"back": -2 * time.Hour, "a little back": -5 * time.Second, "ahead": 2 * time.Hour} {
			for _, again := range []bool{false, true} {
				t.Run(c.name+", "+name, func(t *testing.T) {
					inBubble(t, func(t *testing.T) {
						l, clock := onClock(t)
						l.world.Before = failingFor("bad")
						l.use(l.book("waiting", c.text))
						stop := l.run()
						synctest.Wait()
						id := l.deliver(numbered(1)).Started[0]
						wait(20 * time.Second)
						clock.set(step)
						if again {
							stop()
							l.restart()
							stop = l.run()
						}
						early := c.jitter + time.Second
						wait(c.lasts - step - 20*time.Second - early)
						if step < 0 && l.load(id).Run.State != engine.Waiting {
							t.Errorf("before its time the run is %s", l.load(id).Run.State)
						}
						wait(early + engine.RecheckEvery)
						stop()
						l.all(engine.Succeeded)
						l.each("once done")
					})
				})
			}
		}
	}
}

// Whether a change is our own is told by when we wrote it and what we had seen, and stays so when the clock is set in
// between.
func TestOurOwnChangeIsKnownAlthoughTheClockWasSet(t *testing.T) {
	for name, step := range map[string]time.Duration{"back": -2 * time.Hour, "not at all": 0, "ahead": 2 * time.Hour} {
		for then, later := range map[string]time.Duration{"": 0, " and right again": -step} {
			t.Run(name+then, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					l, clock := onClock(t)
					l.world.Before = slowOnce(time.Minute)
					l.use(l.book("mine", "steps: [{action: test.read, with: {value: slow}, timeout: 5m}, {action: test.put, with: {value: done}}]\n"))
					defer l.run()()
					synctest.Wait()
					if r := l.deliver(version("a1", 1, `{"id":"a1","title":"t","status":"new"}`)); r.Matched != 1 {
						t.Fatalf("the alert: %+v", r)
					}
					time.Sleep(time.Second) // the first step is in the air
					clock.set(step)
					wait(2 * time.Minute)
					l.each("read slow", "put done")
					clock.set(step + later)
					wait(time.Second)
					if r := l.deliver(version("a1", 2, `{"id":"a1","title":"t","status":"done"}`)); r.Matched != 0 {
						t.Errorf("our own change started a run: %+v", r)
					}
				})
			})
		}
	}
}

// failingFor refuses the attempts with a value for now.
func failingFor(value string) func(context.Context, actions.Call) error {
	return func(_ context.Context, c actions.Call) error {
		if string(c.Input) == `{"value":"`+value+`"}` {
			return &actions.Fault{Code: "busy", Message: "not now", Retry: true}
		}
		return nil
	}
}
