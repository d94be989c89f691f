package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

const addTitle = "steps: [{action: test.add, with: {value: '${{ alert.title }}'}}]\n"

func TestEveryEventIsActedOnOnceWheneverItIsDelivered(t *testing.T) {
	for name, running := range map[string]bool{"before the engine runs": false, "while it runs": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := newLab(t, func(l *lab) { l.options.Workers = 2 })
				l.use(l.book("adder", addTitle))
				stop := func() {}
				if running {
					stop = l.run()
					synctest.Wait()
				}
				// More than there are workers: some runs begin at once, the others from disk.
				for n := range 5 {
					l.deliver(numbered(2*n), numbered(2*n+1))
				}
				if !running {
					stop = l.run()
				}
				wait(time.Second)
				l.all(engine.Succeeded)
				l.each("add alert 0", "add alert 1", "add alert 2", "add alert 3", "add alert 4",
					"add alert 5", "add alert 6", "add alert 7", "add alert 8", "add alert 9")
				stop()
			})
		})
	}
}

func TestAnEventThatIsDeliveredAgainChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("adder", addTitle))
		defer l.run()()
		synctest.Wait()
		if r := l.deliver(numbered(1), numbered(1)); r.Admitted != 1 || r.Duplicates != 1 || r.Matched != 1 {
			t.Errorf("the same event twice in a batch: %+v", r)
		}
		wait(time.Second)
		if r := l.deliver(numbered(1)); r.Admitted != 0 || r.Duplicates != 1 || r.Matched != 0 {
			t.Errorf("the same event later: %+v", r)
		}
		wait(time.Second)
		l.each("add alert 1")
	})
}

// A duplicate takes a worker while it is considered. When it gives the worker back, whoever found
// none has to hear of it.
func TestARunNeverWaitsForAWorkerThatIsFree(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Workers = 1 })
		l.use(
			l.book("once-a-day", "priority: 2\ndedupe: {key: all, window: 24h}\n"+addTitle),
			l.book("keyed", "priority: 1\nconcurrency: {key: '${{ alert.id }}'}\nsteps: [{action: test.put, with: {value: '${{ alert.title }}'}}]\n"))
		defer l.run()()
		synctest.Wait()
		l.deliver(numbered(1))
		wait(5 * time.Second)
		// once-a-day begins with the worker and turns out to be a duplicate; keyed waits on disk.
		l.deliver(numbered(2))
		wait(100 * time.Millisecond)
		l.each("add alert 1", "put alert 1", "put alert 2")
	})
}

func TestRunsThatShareAKeyGoOneAtATimeOldestFirst(t *testing.T) {
	for name, restart := range map[string]bool{"in one life": false, "across a restart": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var now, most atomic.Int32
				l := newLab(t)
				l.world.Before = func(ctx context.Context, _ actions.Call) error {
					most.Store(max(most.Load(), now.Add(1)))
					defer now.Add(-1)
					time.Sleep(3 * time.Second)
					return nil
				}
				l.use(l.book("keyed", "concurrency: {key: '${{ alert.severity }}'}\n"+addTitle))
				stop := l.run()
				synctest.Wait()
				want := []string{}
				for n := range 6 {
					l.deliver(numbered(n))
					want = append(want, fmt.Sprintf("add alert %d", n))
				}
				time.Sleep(7 * time.Second)
				if restart {
					stop()
					l.restart()
					stop = l.run()
				}
				wait(time.Minute)
				stop()
				l.all(engine.Succeeded)
				if diff := cmp.Diff(want, l.world.Effects()); diff != "" {
					t.Errorf("order (-want +got):\n%s", diff)
				}
				if most.Load() != 1 {
					t.Errorf("%d at a time", most.Load())
				}
			})
		})
	}
}

func TestAKeyBelongsToItsPlaybookAndAnEmptyKeyIsNone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.world.Before = func(context.Context, actions.Call) error { time.Sleep(time.Minute); return nil }
		l.use(l.book("one", "concurrency: {key: '${{ alert.severity }}'}\n"+addTitle),
			l.book("two", "concurrency: {key: '${{ alert.severity }}'}\n"+addTitle),
			l.book("three", "concurrency: {key: '${{ alert.incidentId }}'}\n"+addTitle))
		defer l.run()()
		l.deliver(numbered(1), numbered(2))
		wait(70 * time.Second)
		if n := len(l.world.Effects()); n != 4 {
			t.Errorf("after the time of one attempt %d were made, want one of each key and two without", n)
		}
		wait(70 * time.Second)
		l.all(engine.Succeeded)
	})
}

func TestDedupeStartsOneRunInAWindowAndTellsWhichItWas(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("deduped", "dedupe: {key: '${{ alert.severity }}', window: 1h}\n"+addTitle))
		defer l.run()()
		l.deliver(numbered(1))
		wait(time.Hour - time.Second)
		l.deliver(numbered(2))
		d, err := l.journal.Decisions(t.Context(), numbered(2).ID)
		if err != nil || d[0].Reason != engine.SkipDuplicate || d[0].Detail != string(l.ids[0]) {
			t.Errorf("decision %+v, %v; want a duplicate of run %s", d, err, l.ids[0])
		}
		wait(time.Second)
		l.deliver(numbered(3))
		wait(time.Second)
		l.each("add alert 1", "add alert 3")
	})
}

func TestEventsWithoutWhatTheDedupeKeyIsMadeOfAreAllActedOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("deduped", "dedupe: {key: '${{ alert.incidentId }}', window: 1h}\n"+addTitle))
		defer l.run()()
		l.deliver(numbered(1), numbered(2))
		wait(time.Second)
		l.each("add alert 1", "add alert 2")
	})
}

func TestALongWaitLeavesItsWorkerToOthersAndEndsOnTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Workers = 1 })
		began := time.Now()
		var retried time.Duration
		l.world.Before = func(_ context.Context, c actions.Call) error {
			switch {
			case !strings.Contains(string(c.Input), "alert 1"):
			case time.Since(began) < time.Hour:
				return &actions.Fault{Code: "throttled", Message: "later", Retry: true, After: time.Hour}
			default:
				retried = time.Since(began)
			}
			return nil
		}
		l.use(l.book("adder", addTitle))
		defer l.run()()
		synctest.Wait()
		l.deliver(numbered(1))
		wait(time.Second)
		if s := l.states(); s[engine.Waiting] != 1 {
			t.Fatalf("states %v, want the run waiting", s)
		}
		l.deliver(numbered(2))
		wait(time.Second)
		l.each("add alert 2")
		wait(time.Hour)
		l.each("add alert 1", "add alert 2")
		if retried < time.Hour || retried > time.Hour+10*time.Millisecond {
			t.Errorf("tried again after %s, want one hour", retried)
		}
		l.all(engine.Succeeded)
	})
}

func TestManyMoreRunsThanWorkersAllEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var now, most atomic.Int32
		l := newLab(t, func(l *lab) { l.options.Workers = 3 })
		l.world.Before = func(_ context.Context, c actions.Call) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(time.Duration(len(c.Input)%7) * time.Second)
			return nil
		}
		l.use(l.book("adder", addTitle), l.book("keyed", "concurrency: {key: all}\n"+addTitle))
		defer l.run()()
		var want []string
		for n := range 100 {
			want = append(want, fmt.Sprintf("add alert %d", n), fmt.Sprintf("add alert %d", n))
			l.deliver(numbered(n))
			time.Sleep(100 * time.Millisecond)
		}
		wait(time.Hour)
		l.all(engine.Succeeded)
		l.each(want...)
		if most.Load() > 3 {
			t.Errorf("%d attempts at a time with 3 workers", most.Load())
		}
	})
}

func TestABatchBeyondTheLimitIsRefusedWhole(t *testing.T) {
	t.Parallel()
	for _, n := range []int{engine.MaxBatch, engine.MaxBatch + 1} {
		l := newLab(t)
		var events []engine.Event
		for i := range n {
			events = append(events, numbered(i))
		}
		r, err := l.engine.Deliver(t.Context(), engine.Batch{Events: events})
		if refused := n > engine.MaxBatch; (err != nil) != refused || refused && r.Admitted != 0 || !refused && r.Admitted != n {
			t.Errorf("%d events: %+v, %v", n, r, err)
		}
	}
}

func TestADryEngineTouchesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Dry = true })
		l.use(l.book("live", "steps: [{action: test.read, with: {value: r}}, {action: test.add, with: {value: x}}]\n"))
		defer l.run()()
		l.deliver(numbered(1))
		wait(time.Second)
		l.each("read r")
		l.all(engine.Succeeded)
	})
}

func TestTheObserverIsToldWhatHappens(t *testing.T) {
	const waiting = "steps: [{action: test.put, with: {value: x}}]\n"
	for _, c := range []struct {
		name, text string
		answer     *actions.Fault // to the first attempt
		want       []string
	}{
		{"a run of two steps", "steps: [{action: test.read, with: {value: x}}, {action: test.put, with: {value: y}}]\n", nil,
			[]string{"started", "step steps/0:read", "step steps/1:put", "ended succeeded"}},
		{"a run that ends at once", "steps: [{stop: enough}]\n", nil, []string{"started", "ended succeeded"}},
		{"a run that waits", waiting, &actions.Fault{Code: "x", Retry: true, After: time.Minute},
			[]string{"started", "step steps/0:put", "paused waiting", "started", "step steps/0:put", "ended succeeded"}},
		{"a run that waits a moment", waiting, &actions.Fault{Code: "x", Retry: true},
			[]string{"started", "step steps/0:put", "step steps/0:put", "ended succeeded"}},
		{"a run that needs a person", "steps: [{action: test.once, with: {value: x}}]\n", &actions.Fault{Code: "x", Unknown: true},
			[]string{"started", "step steps/0:once", "paused parked"}},
		{"a run that fails", waiting, &actions.Fault{Code: "x"}, []string{"started", "step steps/0:put", "ended failed"}},
	} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, delivered early %v", c.name, early), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					l := newLab(t)
					answer := c.answer
					l.world.Before = func(context.Context, actions.Call) error {
						if f := answer; f != nil {
							answer = nil
							return f
						}
						return nil
					}
					l.use(l.book("told", c.text))
					if early {
						l.deliver(numbered(1))
					}
					defer l.run()()
					synctest.Wait()
					if !early {
						l.deliver(numbered(1))
					}
					wait(2 * time.Minute)
					got := l.seen.all()
					if diff := cmp.Diff(c.want, got); diff != "" {
						t.Errorf("told (-want +got):\n%s", diff)
					}
					last := l.seen.runs[len(got)-1]
					stored := l.load(l.ids[0])
					if last.State != stored.Run.State || last.Message != stored.Run.Message || !last.Ended.Equal(stored.Run.Ended) {
						t.Errorf("told of %s %q %s, the journal has %s %q %s", last.State, last.Message, last.Ended,
							stored.Run.State, stored.Run.Message, stored.Run.Ended)
					}
					if stored.Run.State.Final() && l.seen.size != len(stored.Entries) {
						t.Errorf("told of %d entries, the journal has %d", l.seen.size, len(stored.Entries))
					}
				})
			})
		}
	}
}

func TestASecondVersionInABatchIsAnUpdate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("fresh", "triggers: [{poll: {resource: alerts, every: 1m, on: created}}]\n"+addTitle))
		defer l.run()()
		l.deliver(version("a", 1, `{"id":"a","title":"one"}`), version("a", 2, `{"id":"a","title":"two"}`))
		wait(time.Second)
		l.each("add one")
	})
}

func TestAListIsTheSameBeforeAndAfterARestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Lists = lists{"ports": {int64(9007199254740993), "x", 1.5}} })
		l.use(l.book("ports", "steps: [{action: test.put, with: {value: '${{ lists.ports[0] }} ${{ lists.ports[2] }}'}}]\n"))
		stop := l.run()
		synctest.Wait()
		l.deliver(numbered(1))
		wait(time.Second)
		stop()
		l.deliver(numbered(2))
		l.restart()
		l.options.Lists = nil
		stop = l.run()
		wait(time.Second)
		stop()
		l.all(engine.Succeeded)
		if got := l.world.Effects(); len(got) != 2 || got[0] != got[1] {
			t.Errorf("done was %q, want the same twice", got)
		}
	})
}

// lists are watchlists that never change.
type lists map[string][]any

func (l lists) Get(name string) ([]any, []byte, bool) {
	values, ok := l[name]
	return slices.Clone(values), []byte(`[9007199254740993,"x",1.5]`), ok
}
