package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

const twoSteps = "steps: [{action: test.once, with: {value: first}}, {action: test.once, with: {value: second}}]\n"

// slow makes every attempt take a time, or until it is cut off.
func slow(d time.Duration) func(context.Context, actions.Call) error {
	return func(ctx context.Context, _ actions.Call) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestStoppingWaitsForWhatIsInFlightAndBeginsNothingNew(t *testing.T) {
	for name, again := range map[string]func(*lab){"the same engine": func(*lab) {}, "another process": (*lab).restart} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := newLab(t)
				l.world.Before = slow(10 * time.Second)
				l.use(l.book("two", twoSteps))
				stop := l.run()
				synctest.Wait()
				l.deliver(numbered(1))
				time.Sleep(time.Second)
				began := time.Now()
				stop()
				if d := time.Since(began); d != 9*time.Second {
					t.Errorf("stopping took %s, want as long as the attempt", d)
				}
				l.each("once first")
				l.all(engine.Ready)
				again(l)
				stop = l.run()
				wait(time.Minute)
				stop()
				l.each("once first", "once second")
				l.all(engine.Succeeded)
			})
		})
	}
}

func TestWhatIsHandedOverWhileStoppingIsNotUncertain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) {
			l.journal = &faulty{journal: l.journal, after: func(op string, n int) error {
				if op == "Admit" && n == 1 {
					time.Sleep(5 * time.Second) // the engine is told to stop meanwhile
				}
				return nil
			}}
		})
		l.use(l.book("two", twoSteps))
		stop := l.run()
		synctest.Wait()
		delivered := make(chan engine.Receipt)
		go func() { delivered <- l.deliver(numbered(1)) }()
		time.Sleep(time.Second)
		stop()
		<-delivered
		l.restart()
		stop = l.run()
		wait(time.Minute)
		stop()
		l.each("once first", "once second")
		l.all(engine.Succeeded)
	})
}

func TestAnAttemptIsCutOffAfterTheGraceAndThatCostsItNothing(t *testing.T) {
	for _, c := range []struct {
		action string
		want   []string
		state  engine.RunState
	}{
		{"put", []string{"put x"}, engine.Succeeded},
		{"read", []string{"read x"}, engine.Succeeded},
		{"add", []string{"add x"}, engine.Succeeded},
		{"once", nil, engine.Parked}, // nobody knows
	} {
		t.Run(c.action, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := newLab(t)
				l.world.Before = slow(45 * time.Second)
				l.use(l.book("patient", "steps: [{action: test."+c.action+", with: {value: x}, retry: {attempts: 1}}]\n"))
				stop := l.run()
				synctest.Wait()
				l.deliver(numbered(1))
				time.Sleep(time.Second)
				began := time.Now()
				stop()
				if d := time.Since(began); d != engine.Grace {
					t.Errorf("stopping took %s, want the grace of %s", d, engine.Grace)
				}
				l.restart()
				stop = l.run()
				wait(5 * time.Minute)
				stop()
				l.each(c.want...)
				l.all(c.state)
			})
		})
	}
}

func TestADefiniteAnswerDuringTheCutStaysOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.world.Before = func(ctx context.Context, _ actions.Call) error {
			<-ctx.Done()
			return &actions.Fault{Code: "forbidden", Message: "no"}
		}
		l.use(l.book("refused", "steps: [{action: test.put, with: {value: x}, timeout: 50s}]\n"))
		stop := l.run()
		synctest.Wait()
		l.deliver(numbered(1))
		time.Sleep(time.Second)
		stop()
		l.restart()
		stop = l.run()
		wait(time.Minute)
		stop()
		l.all(engine.Failed)
		l.each()
	})
}

func TestAnAttemptThatTakesTooLongIsAFault(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("timely", `
steps:
  - {action: test.once, with: {value: x}, timeout: 5s, on_error: [{action: test.read, with: {value: '${{ failure.code }}: ${{ failure.message }}'}}]}
`))
		began := time.Now()
		l.world.After = func(context.Context, actions.Call) error {
			if d := time.Since(began); d != 5*time.Second {
				t.Errorf("given up after %s, want 5s", d)
			}
			return nil
		}
		l.world.Before = func(ctx context.Context, c actions.Call) error {
			if c.Part == "read" {
				return nil
			}
			return slow(time.Hour)(ctx, c)
		}
		defer l.run()()
		l.deliver(numbered(1))
		wait(time.Minute)
		l.each("read uncertain: timeout: no answer within 5s")
		l.all(engine.Succeeded)
	})
}

func TestAPanicIsAFaultOfItsStepAndOfNobodyElse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.world.Before = func(_ context.Context, c actions.Call) error {
			switch {
			case strings.Contains(string(c.Input), "alert 1"):
				panic("what was that")
			case strings.Contains(string(c.Input), "alert 2"):
				var none *actions.Fault
				return none // an error that is none
			}
			return nil
		}
		l.use(l.book("panicky", "steps: [{action: test.put, with: {value: '${{ alert.title }}'}, on_error: continue}, {action: test.read, with: {value: next}}]\n"))
		defer l.run()()
		synctest.Wait()
		l.deliver(numbered(1), numbered(2), numbered(3))
		wait(time.Minute)
		l.all(engine.Succeeded)
		l.each("put alert 3", "read next", "read next", "read next")
	})
}

func TestAnActionThatPanicsWhileDecidingParksItsRun(t *testing.T) {
	for name, early := range map[string]bool{"begun with the event": false, "begun by the loop": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := newLab(t)
				p := l.book("touchy", "steps: [{action: test.put, with: {value: x}}]\n")
				body := p.Steps[0].Body.(*playbooks.Act)
				body.Action = panicking{body.Action}
				l.use(p, l.book("adder", addTitle))
				if early {
					l.deliver(numbered(1))
				}
				defer l.run()()
				synctest.Wait()
				if !early {
					l.deliver(numbered(1))
				}
				wait(time.Minute)
				l.each("add alert 1")
				run := l.load(engine.NewRunID("touchy", numbered(1).ID)).Run
				if run.State != engine.Parked || !strings.Contains(run.Message, "no idea") {
					t.Errorf("the run is %s (%s), want it parked with the reason", run.State, run.Message)
				}
			})
		})
	}
}

// panicking panics where an action is asked what it would do.
type panicking struct{ actions.Action }

func (panicking) Plan(json.RawMessage) ([]string, error) { panic("no idea") }

func TestAnEngineRunsOnceAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		stop := l.run()
		synctest.Wait()
		if err := l.engine.Run(t.Context()); err == nil {
			t.Error("it ran twice at the same time")
		}
		stop()
		l.run()()
	})
}

func TestAPersonsWordLetsAParkedRunGoOn(t *testing.T) {
	for _, happened := range []bool{true, false} {
		t.Run(fmt.Sprint("happened ", happened), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := newLab(t)
				lost := true
				l.world.After = func(context.Context, actions.Call) error {
					if lost {
						lost = false
						return errors.New("the line went dead")
					}
					return nil
				}
				l.use(l.book("unsure", twoSteps))
				defer l.run()()
				synctest.Wait()
				l.deliver(numbered(1))
				wait(time.Minute)
				l.all(engine.Parked)
				if err := l.engine.Resolve(t.Context(), l.ids[0], "steps/1", engine.ResolveData{By: "ana"}); !errors.Is(err, engine.ErrNotFound) {
					t.Errorf("a step that is not uncertain was resolved: %v", err)
				}
				if err := l.engine.Resolve(t.Context(), l.ids[0], "steps/0", engine.ResolveData{Happened: happened, By: "ana"}); err != nil {
					t.Fatal(err)
				}
				wait(time.Second)
				l.all(engine.Succeeded)
				want := []string{"once first", "once second"}
				if !happened {
					want = slices.Insert(want, 0, "once first")
				}
				l.each(want...)
			})
		})
	}
}

func TestAPersonsWordDoesNotDisturbARunInProgress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.world.After = func(_ context.Context, c actions.Call) error {
			if strings.Contains(string(c.Input), "lost") {
				return errors.New("the line went dead")
			}
			time.Sleep(30 * time.Second)
			return nil
		}
		l.use(l.book("both", "steps: [{foreach: '[\"lost\", \"slow\"]', as: x, concurrency: 2, do: [{action: test.once, with: {value: '${{ x }}'}}]}]\n"))
		defer l.run()()
		synctest.Wait()
		l.deliver(numbered(1))
		time.Sleep(time.Second)
		word := engine.ResolveData{Happened: true, By: "ana"}
		if err := l.engine.Resolve(t.Context(), l.ids[0], "steps/0[0]/do/0", word); err == nil {
			t.Error("a step was resolved while the run was in progress")
		}
		wait(time.Minute)
		l.all(engine.Parked)
		if err := l.engine.Resolve(t.Context(), l.ids[0], "steps/0[0]/do/0", word); err != nil {
			t.Error(err)
		}
		wait(time.Minute)
		l.all(engine.Succeeded)
		l.each("once lost", "once slow")
	})
}
