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

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// release lets a run go on, or calls it off.
func (l *lab) release(id engine.RunID, cancel bool) {
	l.t.Helper()
	if err := l.engine.Release(context.Background(), id, engine.ReleasedData{By: "ana", Cancel: cancel}); err != nil {
		l.t.Fatal(err)
	}
	wait(time.Second)
}

// held fails the test unless a run is held with such a message.
func (l *lab) held(id engine.RunID, parts ...string) {
	l.t.Helper()
	run := l.load(id).Run
	for _, part := range append(parts, engine.HeldPrefix, "playbookd release") {
		if run.State != engine.Parked || !strings.Contains(run.Message, part) {
			l.t.Errorf("run %s is %s (%s), want it held and %q", id, run.State, run.Message, part)
		}
	}
}

// each alert is another object, so that no ceiling is in the way.
func (l *lab) alerts(first, n int) (ids []engine.RunID) {
	l.t.Helper()
	for i := first; i < first+n; i++ {
		r := l.deliver(numbered(i))
		ids = append(ids, slices.Concat(r.Started, r.Held)...)
		wait(time.Second)
	}
	return ids
}

func TestRunsBeyondTheirLimitAreHeldAndNothingIsDropped(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("adder", "limits: {runs: 2/1h}\n"+addTitle))
		stop := l.run()
		synctest.Wait()
		ids := l.alerts(1, 4)
		l.each("add alert 1", "add alert 2")
		for _, id := range ids[2:] {
			l.held(id, "limits.runs lets 2/1h start, and 2 have within 1h")
		}
		if told := strings.Count(strings.Join(l.seen.all(), "\n"), "paused parked"); told != 2 {
			t.Errorf("the observer was told of %d held runs, want 2", told)
		}
		stop()
		l.restart()
		defer l.run()()
		synctest.Wait()
		l.release(ids[2], false)
		l.each("add alert 1", "add alert 2", "add alert 3")
		l.release(ids[3], true)
		if run := l.load(ids[3]).Run; run.State != engine.Canceled || run.Message != "canceled by ana" {
			t.Errorf("the run that was called off is %s (%s)", run.State, run.Message)
		}
		// The window slides: when the first two are old there is room again, but for the one that was released.
		wait(time.Hour - 5*time.Second)
		l.held(l.alerts(5, 2)[1])
		l.each("add alert 1", "add alert 2", "add alert 3", "add alert 5")
	})
}

func TestRunsByHandAndRunsThatWatchAreNotHeldByALimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("watcher", "mode: shadow\nlimits: {runs: 1/1h}\n"+addTitle),
			l.book("byhand", "triggers: [manual]\nlimits: {runs: 1/1h}\nsteps: [{action: test.add, with: {value: x}}]\n"))
		defer l.run()()
		synctest.Wait()
		for i := range 2 {
			ev := numbered(i)
			if r := l.deliver(ev); len(r.Held) > 0 {
				t.Errorf("shadow: %+v", r)
			}
			ev.ID, ev.Source = fmt.Sprint("contoso/manual/", i), "manual/byhand"
			if r := l.deliver(ev); r.Matched != 1 || len(r.Held) > 0 {
				t.Errorf("by hand: %+v", r)
			}
		}
		for event, want := range map[string]string{numbered(0).ID: "", numbered(1).ID: "a live run would be held", "contoso/manual/1": "started by hand"} {
			decisions, err := l.journal.Decisions(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(decisions, func(m engine.Match) bool { return m.Run != "" && strings.HasSuffix(m.Detail, want) }) {
				t.Errorf("decisions about %s: %+v, want %q", event, decisions, want)
			}
		}
	})
}

const isolating = `
limits: {effects: {test.once: 2/1h}}
steps:
  - {action: test.read, with: {value: x}}
  - {id: isolate, action: test.once, with: {value: "${{ alert.title }}"}}
  - {action: test.add, with: {value: "after ${{ steps.isolate.output.value }}"}}
`

func TestAnEffectBeyondItsLimitHoldsTheRunAtItsStep(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("isolator", isolating))
		stop := l.run()
		synctest.Wait()
		ids := l.alerts(1, 4)
		done := []string{"read x", "read x", "read x", "read x", "once alert 1", "add after alert 1", "once alert 2", "add after alert 2"}
		l.each(done...)
		for _, id := range ids[2:] {
			l.held(id, "limits.effects of isolator lets test.once begin 2/1h", "2 began within that time", "isolate waits")
			trace := engine.Trace(nil, l.load(id).Entries)
			if last := trace[len(trace)-1]; last.Status != "held" || last.Path != "steps/1" {
				t.Errorf("the last step is %+v", last)
			}
		}
		stop()
		l.restart()
		defer l.run()()
		wait(2 * time.Hour) // time alone lets nothing go on
		l.each(done...)
		l.release(ids[2], false)
		done = append(done, "once alert 3", "add after alert 3")
		l.each(done...)
		l.release(ids[3], true)
		l.each(done...)
		if run := l.load(ids[3]).Run; run.State != engine.Canceled {
			t.Errorf("the run that was called off is %s (%s)", run.State, run.Message)
		}
		// What was released has counted.
		more := l.alerts(5, 2)
		l.each(append(done, "read x", "read x", "once alert 5", "add after alert 5")...)
		l.held(more[1])
		for _, id := range append(ids, more...) {
			loaded := l.load(id)
			m, err := engine.Rebuild(l.set.Playbooks[0], loaded)
			if err != nil {
				t.Errorf("the history does not replay: %v", err)
				continue
			}
			if d := m.Next(time.Now()); d.State != loaded.Run.State || len(d.Record) > 0 || len(d.Asks) > 0 {
				t.Errorf("decided again the run is %s (%s), and was %s", d.State, d.Message, loaded.Run.State)
			}
		}
	})
}

// Twenty runs that begin at once find room for two, also while a slow journal takes what the first began.
func TestRunsAtTheSameTimeShareALimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		slow := &faulty{before: func(op string, _ int) error {
			if op == "Append" {
				time.Sleep(10 * time.Millisecond)
			}
			return nil
		}}
		l := newLab(t, func(l *lab) { slow.journal = l.journal; l.journal = slow })
		l.use(l.book("isolator", isolating))
		defer l.run()()
		synctest.Wait()
		var events []engine.Event
		for i := range 20 {
			events = append(events, numbered(i))
		}
		l.deliver(events...)
		wait(time.Minute)
		if n := strings.Count(strings.Join(l.world.Effects(), "\n"), "once "); n != 2 {
			t.Errorf("%d effects, want 2", n)
		}
		if diff := cmp.Diff(map[engine.RunState]int{engine.Succeeded: 2, engine.Parked: 18}, l.states()); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
	})
}

// Items of one run count like those of many, a retry is not another effect, and a release is for the
// whole run.
func TestALimitCountsBeginningsOfActionsWithinARunToo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		tries := 0
		l.world.Before = func(context.Context, actions.Call) error {
			if tries++; tries == 1 {
				return fault(true, false).err
			}
			return nil
		}
		l.use(l.book("each", `
limits: {effects: {test.once: 2/1h}}
steps:
  - foreach: "[\"a\", \"b\", \"c\", \"d\"]"
    concurrency: 4
    do: [{action: test.once, with: {value: "${{ item }}"}}]
`))
		defer l.run()()
		synctest.Wait()
		id := l.alerts(1, 1)[0]
		wait(time.Minute)
		l.each("once a", "once b")
		l.held(id, "test.once")
		l.release(id, false)
		l.each("once a", "once b", "once c", "once d")
		l.all(engine.Succeeded)
	})
}

func TestALimitHoldsForWhatACalledPlaybookDoesAndForWhoeverCallsIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		contain := l.book("contain", "triggers: [manual, {poll: {resource: alerts, every: 1m}}]\nlimits: {effects: {test.once: 1/1h}}\nsteps: [{action: test.once, with: {value: \"${{ alert.title }}\"}}]\n")
		call := func(name, limits string) *playbooks.Playbook {
			p, findings := playbooks.Compile(name+".yaml", []byte("name: "+name+"\ntriggers: [{poll: {resource: alerts, every: 1m}}]\n"+limits+"steps: [{playbook: contain}]\n"),
				playbooks.Options{Catalog: l.world.Registry(), Callees: map[string]*playbooks.Playbook{"contain": contain}})
			if findings.HasErrors() {
				t.Fatal(findings)
			}
			return p
		}
		l.use(call("one", ""), call("two", "limits: {effects: {test.once: 5/1h}}\n"))
		defer l.run()()
		synctest.Wait()
		l.alerts(1, 1)
		if diff := cmp.Diff(map[engine.RunState]int{engine.Succeeded: 1, engine.Parked: 1}, l.states()); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
		for _, id := range l.ids {
			if run := l.load(id).Run; run.State == engine.Parked {
				l.held(id, "limits.effects of contain")
			}
		}
	})
}

func TestAShadowRunRecordsThatALimitWouldHaveHeldItAndGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("isolator", "mode: shadow\n"+isolating))
		defer l.run()()
		synctest.Wait()
		ids := l.alerts(1, 3)
		l.all(engine.Succeeded)
		for i, id := range ids {
			var counts []int
			for _, e := range l.load(id).Entries {
				var d engine.OutcomeData
				if e.Kind == engine.Outcome && strings.HasPrefix(e.Path, "steps/1") {
					if err := json.Unmarshal(e.Data, &d); err != nil {
						t.Fatal(err)
					}
				}
				for _, c := range d.Limits {
					counts = append(counts, c.Count)
				}
			}
			if !slices.Equal(counts, []int{i}) {
				t.Errorf("run %d counted %v before it, want %d", i, counts, i)
			}
		}
	})
}

// A branch that is held does not keep another from going on, and a run that waits can be released.
func TestAHeldStepDoesNotStopTheOtherBranches(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("branches", `
limits: {effects: {test.once: 1/1h}}
steps:
  - {action: test.once, with: {value: first}}
  - parallel:
      - - {action: test.once, with: {value: second}}
      - - {wait: 30m}
        - {action: test.add, with: {value: waited}}
`))
		defer l.run()()
		synctest.Wait()
		id := l.alerts(1, 1)[0]
		if run := l.load(id).Run; run.State != engine.Waiting || !strings.HasPrefix(run.Message, engine.WordPrefix+engine.HeldPrefix) {
			t.Errorf("the run is %s (%s), want waiting, with what is held", run.State, run.Message)
		}
		wait(10 * time.Minute)
		l.release(id, false)
		l.each("once first", "once second")
		wait(time.Hour)
		l.each("once first", "once second", "add waited")
		l.all(engine.Succeeded)
	})
}

// A branch that lost the race is held no longer.
func TestAHeldBranchThatLosesIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("race", `
limits: {effects: {test.once: 1/1h}}
steps:
  - {action: test.once, with: {value: first}}
  - join: any
    parallel:
      - - {id: lost, action: test.once, with: {value: second}}
      - - {wait: 30m}
  - {if: steps.lost.status == "canceled" or steps.lost.status == "pending", action: test.add, with: {value: went on}}
`))
		defer l.run()()
		synctest.Wait()
		id := l.alerts(1, 1)[0]
		wait(time.Hour)
		l.each("once first", "add went on")
		l.all(engine.Succeeded)
		if err := l.engine.Release(t.Context(), id, engine.ReleasedData{By: "ana"}); !errors.Is(err, engine.ErrNotHeld) {
			t.Errorf("releasing it: %v", err)
		}
	})
}

// Where the journal can't count, nothing begins, and nothing is lost: it is asked again.
func TestNothingBeginsUncounted(t *testing.T) {
	for _, op := range []string{"Uses", "Append"} {
		t.Run(op, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				bad := &faulty{before: func(name string, n int) error {
					if name == op && n <= 5 {
						return errDisk
					}
					return nil
				}}
				l := newLab(t, func(l *lab) { bad.journal = l.journal; l.journal = bad })
				l.use(l.book("isolator", isolating))
				defer l.run()()
				synctest.Wait()
				l.deliver(numbered(1), numbered(2), numbered(3), numbered(4))
				wait(time.Minute)
				if n := strings.Count(strings.Join(l.world.Effects(), "\n"), "once "); n != 2 {
					t.Errorf("%d effects, want 2", n)
				}
				if diff := cmp.Diff(map[engine.RunState]int{engine.Succeeded: 2, engine.Parked: 2}, l.states()); diff != "" {
					t.Errorf("runs (-want +got):\n%s", diff)
				}
			})
		})
	}
}
