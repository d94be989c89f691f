package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/engine"
)

// circle delivers versions of one alert, each different enough to be nobody's echo.
func circle(l *lab, first, n int) (started, held []engine.RunID) {
	for i := first; i < first+n; i++ {
		r := l.deliver(version("a1", i, fmt.Sprintf(`{"id":"a1","title":"alert %d","status":"new","severity":"low"}`, i)))
		started, held = append(started, r.Started...), append(held, r.Held...)
		wait(time.Second)
	}
	return started, held
}

func TestAPlaybookRunsForOneObjectUpToTheCeilingAndNoFurther(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("adder", addTitle))
		defer l.run()()
		synctest.Wait()
		started, held := circle(l, 1, engine.CeilingRuns+3)
		if len(started) != engine.CeilingRuns || len(held) != 3 {
			t.Fatalf("%d runs started and %d held", len(started), len(held))
		}
		if n := len(l.world.Effects()); n != engine.CeilingRuns {
			t.Errorf("%d effects, want %d", n, engine.CeilingRuns)
		}
		for _, id := range held {
			run := l.load(id).Run
			if run.State != engine.Parked || !strings.HasPrefix(run.Message, engine.HeldPrefix) || !strings.Contains(run.Message, "20 runs") {
				t.Errorf("a held run is %s: %s", run.State, run.Message)
			}
			decisions, err := l.journal.Decisions(t.Context(), run.Event)
			if err != nil || len(decisions) != 1 || decisions[0].Verdict != engine.Matched || decisions[0].Run != id {
				t.Errorf("decisions %+v, %v", decisions, err)
			}
		}
		told := 0
		for _, line := range l.seen.all() {
			if line == "paused parked" {
				told++
			}
		}
		if told != 3 {
			t.Errorf("the observer was told of %d held runs, want 3", told)
		}
	})
}

func TestTheCeilingOutlivesTheProcessAndOpensWhenTheRunsAreOld(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Ceiling = engine.Ceiling{Runs: 4, Within: time.Hour} })
		l.use(l.book("adder", addTitle))
		stop := l.run()
		synctest.Wait()
		if _, held := circle(l, 1, 3); len(held) > 0 {
			t.Errorf("held %v below the ceiling", held)
		}
		stop()
		l.restart()
		defer l.run()()
		synctest.Wait()
		if started, held := circle(l, 4, 2); len(started) != 1 || len(held) != 1 {
			t.Errorf("after a restart %d started and %d are held, want 1 and 1", len(started), len(held))
		}
		wait(time.Hour)
		if started, held := circle(l, 6, 1); len(started) != 1 || len(held) > 0 {
			t.Errorf("an hour later %d started and %d are held, want 1 and 0", len(started), len(held))
		}
	})
}

func TestManyObjectsMeetNoCeiling(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Ceiling = engine.Ceiling{Runs: 2, Within: time.Hour} })
		l.use(l.book("adder", addTitle))
		defer l.run()()
		synctest.Wait()
		for n := range 100 {
			for v := range 2 {
				ev := version(fmt.Sprintf("a%d", n), v, fmt.Sprintf(`{"id":"a%d","title":"alert %d","status":"new"}`, n, v))
				if r := l.deliver(ev); r.Matched != 1 || len(r.Held) > 0 {
					t.Fatalf("version %d of alert %d: %+v", v, n, r)
				}
			}
		}
		wait(time.Second)
		l.all(engine.Succeeded)
	})
}

func TestShadowRunsAndRunsByHandAreNeverHeld(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Ceiling = engine.Ceiling{Runs: 1, Within: time.Hour} })
		l.use(l.book("shadow", "mode: shadow\n"+addTitle), l.book("byhand", "triggers: [manual, {poll: {resource: incidents, every: 1m}}]\nsteps: [{action: test.add, with: {value: x}}]\n"))
		defer l.run()()
		synctest.Wait()
		for v := range 3 {
			ev := version("a1", v, fmt.Sprintf(`{"id":"a1","title":"alert %d"}`, v))
			if r := l.deliver(ev); len(r.Held) > 0 {
				t.Errorf("shadow: %+v", r)
			}
			ev.ID, ev.Source = fmt.Sprintf("contoso/manual/%d", v), "manual/byhand"
			if r := l.deliver(ev); r.Matched != 1 || len(r.Held) > 0 {
				t.Errorf("by hand: %+v", r)
			}
		}
	})
}

func TestAHeldRunGoesOnOrIsCanceledAsAPersonSays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Ceiling = engine.Ceiling{Runs: 1, Within: time.Hour} })
		l.use(l.book("adder", addTitle))
		stop := l.run()
		synctest.Wait()
		started, held := circle(l, 1, 3)
		if len(started) != 1 || len(held) != 2 {
			t.Fatalf("%v started, %v held", started, held)
		}
		release := func(id engine.RunID, cancel bool) error {
			return l.engine.Release(context.Background(), id, engine.ReleasedData{By: "ana", Note: "mended", Cancel: cancel})
		}
		if err := release(held[0], false); err != nil {
			t.Fatal(err)
		}
		if err := release(held[1], true); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		for i, want := range []engine.RunState{engine.Succeeded, engine.Canceled} {
			loaded := l.load(held[i])
			if loaded.Run.State != want {
				t.Errorf("run %d is %s (%s), want %s", i, loaded.Run.State, loaded.Run.Message, want)
			}
			word := engine.ReleasedBy(loaded.Entries)
			if diff := cmp.Diff(&engine.ReleasedData{By: "ana", Note: "mended", Cancel: i == 1}, word); diff != "" {
				t.Errorf("a person's word (-want +got):\n%s", diff)
			}
		}
		if message := l.load(held[1]).Run.Message; message != "canceled by ana" {
			t.Errorf("the canceled run says %q", message)
		}
		l.each("add alert 1", "add alert 2")
		for _, id := range append(started, held...) {
			if err := release(id, false); !errors.Is(err, engine.ErrNotHeld) {
				t.Errorf("releasing a run that is not held: %v", err)
			}
		}
		if err := release("r0", false); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("releasing nothing: %v", err)
		}
		// What goes on after a release is replayed like any other history.
		stop()
		l.restart()
		defer l.run()()
		wait(time.Second)
		l.each("add alert 1", "add alert 2")
	})
}
