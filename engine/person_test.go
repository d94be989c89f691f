package engine_test

import (
	"context"
	"errors"
	"regexp"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

const needsYes = `
steps:
  - {id: ok, approve: {title: "Go on?", by: [anna], within: 2h}}
  - {if: steps.ok.approved, action: test.put, with: {value: "yes"}}
finally: [{action: test.add, with: {value: cleaned}}]
`

// question waits until a run asks, and returns what.
func (l *lab) question(id engine.RunID) engine.Question {
	l.t.Helper()
	list, err := l.engine.Questions(context.Background(), id)
	if err != nil || len(list) != 1 {
		l.t.Fatalf("questions %v (%v)", list, err)
	}
	return list[0]
}

func yes(q engine.Question) engine.AnsweredData {
	return engine.AnsweredData{By: "anna", Approve: true, Digest: q.Asked.Digest}
}

func TestAnAnswerReachesARunWhereverItIs(t *testing.T) {
	for _, c := range []struct {
		name  string
		until time.Duration // how long the run has waited
		stop  bool          // the engine is not running
		again bool          // another process took over
	}{
		{"as soon as it asks", 0, false, false},
		{"once it is put away", 10 * time.Minute, false, false},
		{"while nothing runs", 10 * time.Minute, true, false},
		{"after a restart", 10 * time.Minute, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := newLab(t)
				l.use(l.book("ask", needsYes))
				stop := l.run()
				id := l.deliver(numbered(1)).Started[0]
				wait(c.until)
				if run := l.load(id).Run; run.State != engine.Waiting || run.Message == "" {
					t.Errorf("the run is %s (%s), want it waiting and saying for what", run.State, run.Message)
				}
				if c.stop {
					stop()
				}
				if c.again {
					l.restart()
				}
				q := l.question(id)
				if err := l.engine.Answer(t.Context(), id, q.Asked.ID, engine.AnsweredData{By: "eve", Approve: true, Digest: q.Asked.Digest}); !errors.Is(err, engine.ErrMayNot) {
					t.Errorf("an answer of somebody else: %v", err)
				}
				if err := l.engine.Answer(t.Context(), id, q.Asked.ID, yes(q)); err != nil {
					t.Fatal(err)
				}
				if err := l.engine.Answer(t.Context(), id, q.Asked.ID, yes(q)); !errors.Is(err, engine.ErrNotFound) {
					t.Errorf("the same answer again: %v", err)
				}
				if c.stop {
					stop = l.run()
				}
				wait(time.Second)
				stop()
				l.all(engine.Succeeded)
				l.each("put yes", "add cleaned")
			})
		})
	}
}

func TestARunIsCanceledWhereverItIs(t *testing.T) {
	for _, c := range []struct {
		name, text string
		until      time.Duration
		want       []string
	}{
		{"while it waits for a person", needsYes, 0, []string{"add cleaned"}},
		{"once it is put away", needsYes, time.Hour, []string{"add cleaned"}},
		{"while it waits", "steps: [{wait: 2d}, {action: test.put, with: {value: a}}]\nfinally: [{action: test.add, with: {value: cleaned}}]\n", time.Hour, []string{"add cleaned"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := newLab(t)
				l.use(l.book("ask", c.text))
				stop := l.run()
				id := l.deliver(numbered(1)).Started[0]
				wait(c.until)
				if err := l.engine.Cancel(t.Context(), id, engine.CancelData{By: "boss", Reason: "not now"}); err != nil {
					t.Fatal(err)
				}
				wait(time.Second)
				if err := l.engine.Cancel(t.Context(), id, engine.CancelData{By: "boss"}); !errors.Is(err, engine.ErrNotFound) {
					t.Errorf("calling off what is over: %v", err)
				}
				stop()
				if run := l.load(id).Run; run.State != engine.Canceled || run.Message != "canceled by boss: not now" {
					t.Errorf("the run is %s (%s)", run.State, run.Message)
				}
				l.each(c.want...)
			})
		})
	}
}

func TestARunThatHasNotBegunIsCanceledWithoutATrace(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("queue", "concurrency: {key: one}\nsteps: [{wait: 1h}, {action: test.put, with: {value: a}}]\nfinally: [{action: test.add, with: {value: cleaned}}]\n"))
		stop := l.run()
		l.deliver(numbered(1), numbered(2))
		wait(time.Minute)
		if err := l.engine.Cancel(t.Context(), l.ids[1], engine.CancelData{By: "boss"}); err != nil {
			t.Fatal(err)
		}
		wait(2 * time.Hour)
		stop()
		if a, b := l.load(l.ids[0]).Run.State, l.load(l.ids[1]).Run.State; a != engine.Succeeded || b != engine.Canceled {
			t.Errorf("the runs are %s and %s", a, b)
		}
		l.each("put a", "add cleaned")
	})
}

// slowOnce delays the attempts of the step that is called slow, and no others.
func slowOnce(d time.Duration) func(context.Context, actions.Call) error {
	return func(ctx context.Context, c actions.Call) error {
		if string(c.Input) != `{"value":"slow"}` {
			return nil
		}
		return slow(d)(ctx, c)
	}
}

// busy asks while an attempt is in the air: the run is in the hands of its driver.
const busy = `
steps:
  - parallel:
      - [{action: test.once, with: {value: slow}, timeout: 1h}]
      - [{id: ok, approve: {title: "Go on?", by: [anna], within: 2h}}, {action: test.put, with: {value: "yes"}}]
`

func TestAnAnswerReachesARunThatIsBusy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.world.Before = slowOnce(50 * time.Minute)
		l.use(l.book("ask", busy))
		defer l.run()()
		synctest.Wait()
		id := l.deliver(numbered(1)).Started[0]
		synctest.Wait()
		q := l.question(id)
		if err := l.engine.Answer(t.Context(), id, q.Asked.ID, yes(q)); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		l.all(engine.Ready)
		l.each("put yes")
	})
}

// Nobody is told that an answer does not count while it may still come to count.
func TestAnAnswerThatTheJournalRefusesIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var full atomic.Bool
		l := fullDisk(t, &full)
		l.world.Before = slowOnce(10 * time.Minute)
		l.use(l.book("ask", busy))
		defer l.run()()
		synctest.Wait()
		id := l.deliver(numbered(1)).Started[0]
		synctest.Wait()
		q := l.question(id)
		full.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := l.engine.Answer(ctx, id, q.Asked.ID, yes(q)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an answer that is not recorded yet: %v", err)
		}
		full.Store(false)
		if err := l.engine.Answer(t.Context(), id, q.Asked.ID, yes(q)); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("the answer, said again: %v", err)
		}
		wait(time.Hour)
		l.all(engine.Succeeded)
		l.each("once slow", "put yes")
	})
}

// Many people at once: exactly one of them is the one whose word counts.
func TestOfManyAnswersAtOnceOneCounts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("ask", needsYes))
		stop := l.run()
		id := l.deliver(numbered(1)).Started[0]
		wait(time.Minute)
		q := l.question(id)
		errs := make(chan error)
		for range 20 {
			go func() { errs <- l.engine.Answer(context.Background(), id, q.Asked.ID, yes(q)) }()
		}
		counted := 0
		for range 20 {
			if err := <-errs; err == nil {
				counted++
			} else if !errors.Is(err, engine.ErrNotFound) && !errors.Is(err, engine.ErrMayNot) {
				t.Error(err)
			}
		}
		synctest.Wait()
		stop()
		if counted != 1 {
			t.Errorf("%d answers counted", counted)
		}
		l.each("put yes", "add cleaned")
	})
}

// A run that waits in one branch does not hide that a step of another is in doubt, nor what it asks besides.
func TestARunThatWaitsSaysThatAStepOfItIsInDoubt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.world.Before = func(_ context.Context, c actions.Call) error {
			if c.Part == "once" {
				return &actions.Fault{Code: "cut", Message: "no answer", Unknown: true}
			}
			return nil
		}
		l.use(l.book("doubt", `
steps:
  - parallel:
      - [{action: test.once, with: {value: a}}]
      - [{action: test.once, with: {value: b}}]
      - [{approve: {title: "Isolate?", by: [ann], within: 1h, otherwise: reject}}]
      - [{wait: 2h}]
`))
		defer l.run()()
		l.deliver(numbered(1))
		doubt := engine.UncertainPrefix + "test.once at steps/0/branch/0/0 took effect: no answer (and 1 more)"
		for _, c := range []struct {
			after time.Duration
			state engine.RunState
			says  string
		}{
			{time.Minute, engine.Waiting, engine.WordPrefix + doubt + "; asks Q: Isolate?"},
			{time.Hour, engine.Waiting, engine.WordPrefix + doubt},
			{time.Hour, engine.Parked, doubt},
		} {
			wait(c.after)
			run := l.load(l.ids[0]).Run
			if says := askedID.ReplaceAllString(run.Message, "asks Q:"); run.State != c.state || says != c.says {
				t.Errorf("the run is %s and says %q, want %s and %q", run.State, says, c.state, c.says)
			}
		}
	})
}

var askedID = regexp.MustCompile("asks q[0-9a-v]+:")
