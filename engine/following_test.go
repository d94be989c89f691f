package engine_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// afterRun is a playbook that tells of the ends of another one's runs.
func afterRun(trigger string) string {
	return "triggers: [{run: {" + trigger + "}}]\n" +
		"steps: [{action: test.add, with: {value: \"${{ event.playbook }} ${{ event.state }} ${{ event.object.id }}\"}}]\n"
}

const worker = `
steps:
  - {id: one, action: test.put, with: {value: "${{ alert.title }}"}}
outputs: {said: "${{ steps.one.output.value }}", at: "${{ now() }}"}
`

// refusing makes the test actions refuse a value.
func refusing(value string) func(context.Context, actions.Call) error {
	return func(_ context.Context, c actions.Call) error {
		if strings.Contains(string(c.Input), `"`+value+`"`) {
			return actions.Failf("test", "no")
		}
		return nil
	}
}

func titled(id, title string) engine.Event {
	return version(id, 1, `{"id":"`+id+`","title":"`+title+`","status":"new"}`)
}

func TestTheEndOfARunStartsThosePlaybooksThatWaitForIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.world.Before = refusing("bad")
		l.use(l.book("worker", worker), l.book("idle", "steps: [{wait: 1h}]\n"),
			l.book("failed", afterRun("playbook: worker, state: failed")), l.book("any", afterRun("playbook: [idle, worker]")),
			l.book("ended", afterRun("playbook: worker, state: [succeeded, canceled]")))
		defer l.run()()
		synctest.Wait()
		l.deliver(titled("a1", "good"), titled("a2", "bad"))
		wait(time.Minute)
		l.each("put good", "add worker succeeded a1", "add worker succeeded a1", "add worker failed a2", "add worker failed a2")
		wait(time.Hour)
		l.each("put good", "add worker succeeded a1", "add worker succeeded a1", "add worker failed a2", "add worker failed a2",
			"add idle succeeded a1", "add idle succeeded a2")
	})
}

func TestTheEventOfARunsEndSaysHowItEnded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.world.Before = refusing("bad")
		l.use(l.book("worker", worker), l.book("tell", afterRun("playbook: worker")))
		defer l.run()()
		synctest.Wait()
		good, bad := titled("a1", "good"), titled("a2", "bad")
		good.By = "ana"
		began := time.Now().UTC()
		ids := l.deliver(good, bad).Started
		wait(time.Second)
		for i, want := range []map[string]any{
			{"state": "succeeded", "message": "", "by": "ana", "outputs": map[string]any{"said": "good", "at": began.Format(time.RFC3339Nano)}},
			{"state": "failed", "message": "test: one: no", "failure": map[string]any{"step": "one", "code": "test", "message": "one: no"}},
		} {
			run := l.load(ids[i]).Run
			want["playbook"], want["mode"], want["run"], want["url"] = "worker", "live", string(ids[i]), ids[i].URL()
			want["startedAt"], want["endedAt"] = run.Created.Format(time.RFC3339Nano), run.Ended.Format(time.RFC3339Nano)
			want["event"] = map[string]any{"id": run.Event, "source": "poll/alerts", "kind": "alert", "title": run.Title}
			want["object"] = map[string]any{"resource": "alerts", "id": run.Title}
			follower := l.load(engine.NewRunID("tell", "contoso/run/"+string(ids[i])))
			var got map[string]any
			if err := json.Unmarshal(follower.Event.Payload, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the event (-want +got):\n%s", diff)
			}
			if follower.Run.By != run.By || follower.Run.Object != run.Object {
				t.Errorf("the run that follows is %+v", follower.Run)
			}
		}
	})
}

// Whatever the journal refuses, and whenever the process ends: each end starts one run.
func TestTheEndOfARunIsNeitherLostNorToldTwice(t *testing.T) {
	for _, op := range []string{"End", "Load"} {
		for _, when := range []string{"before", "after"} {
			t.Run(op+" "+when, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					fails := func(name string, n int) error {
						if name == op && n <= 3 {
							return errDisk
						}
						return nil
					}
					bad := &faulty{}
					if when == "before" {
						bad.before = fails
					} else {
						bad.after = fails
					}
					l := newLab(t, func(l *lab) { bad.journal = l.journal; l.journal = bad })
					l.use(l.book("worker", worker), l.book("tell", afterRun("playbook: worker")))
					stop := l.run()
					synctest.Wait()
					l.deliver(titled("a1", "good"))
					wait(100 * time.Millisecond)
					stop()
					l.restart()
					defer l.run()()
					wait(time.Minute)
					l.each("put good", "add worker succeeded a1")
				})
			})
		}
	}
}

// A run that ends with its first decision is begun by the loop, so that its end is told.
func TestARunThatEndsAtOnceIsToldOfToo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("stopper", "steps: [{stop: enough}]\n"), l.book("tell", afterRun("playbook: stopper")))
		defer l.run()()
		synctest.Wait()
		l.deliver(titled("a1", "x"))
		wait(time.Second)
		l.each("add stopper succeeded a1")
	})
}

func TestWhatFollowsAShadowRunIsAShadowRun(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("worker", "mode: shadow\n"+worker), l.book("tell", afterRun("playbook: worker")))
		defer l.run()()
		synctest.Wait()
		id := l.deliver(titled("a1", "x")).Started[0]
		wait(time.Second)
		l.each()
		if run := l.load(engine.NewRunID("tell", "contoso/run/"+string(id))).Run; run.Mode != playbooks.Shadow || run.State != engine.Succeeded {
			t.Errorf("the run that follows is %s, %s", run.Mode, run.State)
		}
	})
}

func TestACanceledRunIsToldOfWhetherOrNotItHadBegun(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Ceiling = engine.Ceiling{Runs: 1, Within: time.Hour} })
		l.use(l.book("idle", "steps: [{wait: 1h}]\n"), l.book("tell", afterRun("playbook: idle, state: canceled")))
		defer l.run()()
		synctest.Wait()
		started, held := circle(l, 1, 2)
		if len(started) != 1 || len(held) != 1 {
			t.Fatalf("started %v, held %v", started, held)
		}
		if err := l.engine.Cancel(t.Context(), started[0], engine.CancelData{By: "ana"}); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		l.each("add idle canceled a1")
		if err := l.engine.Release(t.Context(), held[0], engine.ReleasedData{By: "ana", Cancel: true}); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		// The second end is about the same alert, and the ceiling is one: the run that follows is held.
		l.each("add idle canceled a1")
		if run := l.load(engine.NewRunID("tell", "contoso/run/"+string(held[0]))).Run; !strings.HasPrefix(run.Message, engine.HeldPrefix) {
			t.Errorf("the run that follows is %s: %s", run.State, run.Message)
		}
	})
}

// Ends that nobody waits for are no events.
func TestAnEndThatNobodyWaitsForIsNoEvent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("worker", worker), l.book("tell", afterRun("playbook: worker, state: failed")))
		defer l.run()()
		synctest.Wait()
		id := l.deliver(titled("a1", "x")).Started[0]
		wait(time.Second)
		if known, err := l.journal.Known(t.Context(), []string{"contoso/run/" + string(id)}); err != nil || len(known) > 0 {
			t.Errorf("known is %v, %v", known, err)
		}
	})
}
