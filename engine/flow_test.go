package engine_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

// failing answers with a definite no for some values and well for the others.
func failing(values ...string) func(engine.Attempt) answer {
	return func(a engine.Attempt) answer {
		var i in
		_ = json.Unmarshal(a.Input, &i) // only what fits an action's input gets here
		if slices.Contains(values, i.Value) {
			return fault(false, false)
		}
		return fine(a)
	}
}

func TestTheConstructsOfTheLanguageDoWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		fail       []string // values whose attempts are refused
		want       []string // intents
		state      engine.RunState
		message    string // part of it
	}{
		{name: "switch takes the first case that holds", text: `
steps:
  - switch:
      - if: alert.severity == "high"
        do: [{action: test.put, with: {value: a}}]
      - if: alert.status == "new"
        do: [{action: test.put, with: {value: b}}]
      - if: alert.severity == "low"
        do: [{action: test.put, with: {value: c}}]
      - else: [{action: test.put, with: {value: d}}]
`, want: []string{"steps/0/case/1/0:put#1"}, state: engine.Succeeded},
		{name: "switch without a case that holds takes else", text: `
steps:
  - switch:
      - if: alert.severity == "high"
        do: [{action: test.put, with: {value: a}}]
      - else: [{action: test.put, with: {value: d}}]
`, want: []string{"steps/0/else/0:put#1"}, state: engine.Succeeded},
		{name: "switch without else does nothing", text: `
steps:
  - switch:
      - if: alert.severity == "high"
        do: [{action: test.put, with: {value: a}}]
  - {action: test.put, with: {value: b}}
`, want: []string{"steps/1:put#1"}, state: engine.Succeeded},
		{name: "all branches of a parallel begin together", text: `
steps:
  - parallel:
      - - {id: one, action: test.put, with: {value: a}}
        - {action: test.put, with: {value: b}}
      - - {id: two, action: test.put, with: {value: c}}
  - {action: test.put, with: {value: "${{ steps.one.output.value }}${{ steps.two.output.value }}"}}
`, want: []string{"steps/0/branch/0/0:put#1", "steps/0/branch/1/0:put#1", "steps/0/branch/0/1:put#1", "steps/1:put#1"}, state: engine.Succeeded},
		{name: "a branch that fails lets the others end and fails the step", text: `
steps:
  - parallel:
      - - {id: one, action: test.put, with: {value: bad}}
      - - {action: test.put, with: {value: b}}
        - {action: test.put, with: {value: c}}
`, fail: []string{"bad"}, want: []string{"steps/0/branch/0/0:put#1", "steps/0/branch/1/0:put#1", "steps/0/branch/1/1:put#1"},
			state: engine.Failed, message: "branch 1: one: "},
		{name: "a parallel that fails may be handled", text: `
steps:
  - on_error: continue
    parallel:
      - - {action: test.put, with: {value: bad}}
      - - {action: test.put, with: {value: b}}
  - {action: test.put, with: {value: c}}
`, fail: []string{"bad"}, want: []string{"steps/0/branch/0/0:put#1", "steps/0/branch/1/0:put#1", "steps/1:put#1"}, state: engine.Succeeded},
		{name: "join any is over with the first that ends well", text: `
steps:
  - join: any
    parallel:
      - - {action: test.put, with: {value: bad}}
      - - {action: test.put, with: {value: b}}
      - - {wait: 1h}
        - {action: test.put, with: {value: never}}
  - {action: test.put, with: {value: c}}
`, fail: []string{"bad"}, want: []string{"steps/0/branch/0/0:put#1", "steps/0/branch/1/0:put#1", "steps/1:put#1"}, state: engine.Succeeded},
		{name: "join any fails if every branch does", text: `
steps:
  - join: any
    parallel:
      - - {action: test.put, with: {value: bad}}
      - - {action: test.put, with: {value: bad}}
`, fail: []string{"bad"}, want: []string{"steps/0/branch/0/0:put#1", "steps/0/branch/1/0:put#1"}, state: engine.Failed, message: "branch 1"},
		{name: "the loser of a race is canceled and says so", text: `
steps:
  - join: any
    parallel:
      - - {action: test.put, with: {value: a}}
      - - {id: slow, wait: 1h}
  - {if: steps.slow.status == "canceled", action: test.put, with: {value: c}}
`, want: []string{"steps/0/branch/0/0:put#1", "steps/1:put#1"}, state: engine.Succeeded},
		{name: "on_failure knows what failed, and the run stays failed", text: `
steps:
  - {id: one, action: test.put, with: {value: bad}}
on_failure:
  - {if: failure.step == "one" and failure.code == "test", action: test.add, with: {value: "${{ failure.message }}"}}
`, fail: []string{"bad"}, want: []string{"steps/0:put#1", "on_failure/0:add#1"}, state: engine.Failed, message: "one: "},
		{name: "on_failure does not run when nothing failed", text: `
steps: [{action: test.put, with: {value: a}}]
on_failure: [{action: test.add, with: {value: b}}]
`, want: []string{"steps/0:put#1"}, state: engine.Succeeded},
		{name: "fail runs on_failure, and finally comes last", text: `
steps: [{id: enough, fail: no more}, ]
on_failure: [{if: failure.step == "enough", action: test.add, with: {value: "${{ failure.message }}"}}]
finally: [{if: failure != nil, action: test.put, with: {value: c}}]
`, want: []string{"on_failure/0:add#1", "finally/0:put#1"}, state: engine.Failed, message: "no more"},
		{name: "finally runs after a stop", text: `
steps: [{if: true, stop: that will do}, {action: test.put, with: {value: a}}]
finally: [{if: failure == nil, action: test.put, with: {value: c}}]
`, want: []string{"finally/0:put#1"}, state: engine.Succeeded, message: "that will do"},
		{name: "a finally that fails makes the run fail", text: `
steps: [{action: test.put, with: {value: a}}]
finally: [{action: test.put, with: {value: bad}}]
`, fail: []string{"bad"}, want: []string{"steps/0:put#1", "finally/0:put#1"}, state: engine.Failed, message: "finally: "},
		{name: "finally sees steps that were not reached as pending", text: `
steps:
  - {action: test.put, with: {value: bad}}
  - {id: later, action: test.put, with: {value: b}}
finally: [{if: steps.later.status == "pending", action: test.put, with: {value: c}}]
`, fail: []string{"bad"}, want: []string{"steps/0:put#1", "finally/0:put#1"}, state: engine.Failed},
		{name: "a wait for a condition runs its steps before each look", text: `
steps:
  - wait: {until: look.output.value == "done", every: 5s, within: 1m, do: [{id: look, action: test.read, with: {value: a}}]}
`, state: engine.Succeeded, want: []string{"steps/0[0]/do/0:read#1"}},
		{name: "a wait whose condition does not come about fails in time", text: `
steps:
  - wait: {until: alert.severity == "high", every: 5s, within: 12s, do: [{action: test.read, with: {value: a}}]}
`, state: engine.Failed, message: "did not hold within 12s",
			want: []string{"steps/0[0]/do/0:read#1", "steps/0[1]/do/0:read#1", "steps/0[2]/do/0:read#1", "steps/0[3]/do/0:read#1"}},
		{name: "a called playbook has names of its own and gives back its outputs", text: `
vars: {both: mine}
steps:
  - {id: sub, playbook: sub, with: {value: a}}
  - {if: vars.both == "mine" and steps.sub.output.said == "done", action: test.put, with: {value: c}}
`, want: []string{"steps/0/call/steps/0:add#1", "steps/0/call/steps/4:put#1", "steps/0/call/finally/0:put#1", "steps/1:put#1"}, state: engine.Succeeded},
		{name: "a stop ends the called playbook and not the run", text: `
steps:
  - {playbook: sub, with: {value: stop}}
  - {action: test.put, with: {value: c}}
`, want: []string{"steps/0/call/steps/0:add#1", "steps/0/call/finally/0:put#1", "steps/1:put#1"}, state: engine.Succeeded},
		{name: "a called playbook that fails is a step that fails, and cleans up", text: `
steps:
  - {id: sub, playbook: sub, with: {value: fail}}
on_failure: [{if: failure.step == "bad", action: test.add, with: {value: "${{ failure.message }}"}}]
`, want: []string{"steps/0/call/steps/0:add#1", "steps/0/call/finally/0:put#1", "on_failure/0:add#1"}, state: engine.Failed, message: "sub: on purpose"},
		{name: "a called playbook that lost a race cleans up", text: `
steps:
  - join: any
    parallel:
      - - {playbook: sub, with: {value: a}}
      - - {action: test.put, with: {value: b}}
  - {wait: 1h}
`, want: []string{"steps/0/branch/0/0/call/steps/0:add#1", "steps/0/branch/1/0:put#1", "steps/0/branch/0/0/call/finally/0:put#1"}, state: engine.Succeeded},
		{name: "a moment that is past is not waited for", text: `
steps:
  - wait: {until: alert.createdDateTime}
  - {action: test.put, with: {value: a}}
`, want: []string{"steps/1:put#1"}, state: engine.Succeeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := strings.ReplaceAll(c.text, "look.output", "steps.look.output")
			p := compile(t, new(world).Registry(), text)
			ev := alert(`,"createdDateTime":"2026-11-21T10:00:00Z"`)
			m, err := engine.Begin(p, newRun(p, ev), ev, nil)
			if err != nil {
				t.Fatal(err)
			}
			history, d := drive(t, m, failing(c.fail...))
			if diff := cmp.Diff(c.want, intents(history)); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
			if d.State != c.state || !strings.Contains(d.Message, c.message) {
				t.Errorf("run ended %s (%s), want %s (%s)", d.State, d.Message, c.state, c.message)
			}
			again, err := engine.Begin(p, newRun(p, ev), ev, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Replay(history); err != nil {
				t.Errorf("the history does not replay: %v", err)
			}
		})
	}
}

func TestAWaitLastsAsLongAsItSaysAlsoThroughARestart(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), "steps: [{wait: 30m}, {action: test.put, with: {value: a}}]\n")
	m := begin(t, p)
	d := m.Next(epoch)
	if d.State != engine.Waiting || !d.Wake.Equal(epoch.Add(30*time.Minute)) {
		t.Fatalf("the run is %s until %v, want waiting for half an hour", d.State, d.Wake)
	}
	again := begin(t, p)
	if err := again.Replay(d.Record); err != nil {
		t.Fatal(err)
	}
	if d = again.Next(epoch.Add(29 * time.Minute)); d.State != engine.Waiting || len(d.Record) > 0 || !d.Wake.Equal(epoch.Add(30*time.Minute)) {
		t.Fatalf("after 29 minutes and a restart: %+v", d)
	}
	if d = again.Next(epoch.Add(30 * time.Minute)); len(d.Invoke) != 1 {
		t.Fatalf("after 30 minutes: %+v, want the attempt", d)
	}
}

func TestWhatIsOnlyStartedIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	const text = "steps: [{id: one, action: test.start, with: {value: a}, await: 1m}, {action: test.put, with: {value: \"${{ steps.one.output.value }}\"}}]\n"
	p := compile(t, new(world).Registry(), text)
	looks := 0
	history, d := drive(t, begin(t, p), func(a engine.Attempt) answer {
		if a.Part != "await" {
			return answer{out: json.RawMessage(`{"value":"begun"}`)}
		}
		if string(a.Started) != `{"value":"begun"}` {
			t.Errorf("the look knows %s of what was started", a.Started)
		}
		if looks++; looks < 3 {
			return answer{err: actions.NotYet("still at it")}
		}
		return answer{out: json.RawMessage(`{"value":"ended"}`)}
	})
	want := []string{"steps/0:start#1", "steps/0:await#1", "steps/0:await#2", "steps/0:await#3", "steps/1:put#1"}
	if diff := cmp.Diff(want, intents(history)); diff != "" || d.State != engine.Succeeded {
		t.Errorf("attempts (-want +got):\n%s%s %s", diff, d.State, d.Message)
	}
	if at := history[len(history)-1].At.Sub(epoch); at != 2*engine.AwaitEvery {
		t.Errorf("it took %s, want two looks after %s each", at, engine.AwaitEvery)
	}

	m := begin(t, p)
	history, d = drive(t, m, func(a engine.Attempt) answer {
		if a.Part != "await" {
			return fine(a)
		}
		return answer{err: actions.NotYet("still at it")}
	})
	if d.State != engine.Failed || !strings.Contains(d.Message, "did not come to its end within 1m: still at it") {
		t.Errorf("without an end: %s (%s)", d.State, d.Message)
	}
	if at := history[len(history)-1].At.Sub(epoch); at != time.Minute {
		t.Errorf("it gave up after %s", at)
	}

	shadow := compile(t, new(world).Registry(), "mode: shadow\n"+text)
	if d := begin(t, shadow).Next(epoch); d.State != engine.Succeeded || len(d.Invoke) > 0 {
		t.Errorf("a run that only watches: %+v", d)
	}
}

func TestWhatTakesLongIsLookedAtLessOften(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), "steps: [{id: one, action: test.start, with: {value: a}, await: 24h}]\n")
	history, d := drive(t, begin(t, p), func(a engine.Attempt) answer {
		if a.Part != "await" {
			return fine(a)
		}
		return answer{err: actions.NotYet("still at it")}
	})
	var looks []time.Duration
	for _, e := range history {
		if e.Kind == engine.Intent && strings.HasSuffix(e.Path, ":await") {
			looks = append(looks, e.At.Sub(epoch))
		}
	}
	if d.State != engine.Failed || looks[len(looks)-1] != 24*time.Hour || len(looks) > 320 {
		t.Errorf("%s after %d looks, the last after %s", d.State, len(looks), looks[len(looks)-1])
	}
	for i := range len(looks) - 2 { // the last one comes at the end of the time
		pause := looks[i+1] - looks[i]
		if want := max(engine.AwaitEvery, min(looks[i]/4, engine.AwaitPause)); pause != want {
			t.Errorf("after %s the pause is %s, want %s", looks[i], pause, want)
		}
	}
}

func TestFailedLooksBetweenGoodOnesDoNotAddUp(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), "steps: [{id: one, action: test.start, with: {value: a}, await: 6h}]\n")
	looks := 0
	_, d := drive(t, begin(t, p), func(a engine.Attempt) answer {
		switch {
		case a.Part != "await":
			return fine(a)
		case looks == 3*engine.DefaultAttempts:
			return fine(a)
		}
		if looks++; looks%2 == 0 {
			return answer{err: &actions.Fault{Code: "unavailable", Message: "503", Retry: true}}
		}
		return answer{err: actions.NotYet("still at it")}
	})
	if d.State != engine.Succeeded {
		t.Errorf("%s (%s), want a run that outlives every second look", d.State, d.Message)
	}
}

func TestOutputsAreWorkedOutWhenTheRunEndedWell(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), `
steps: [{id: one, action: test.put, with: {value: a}}]
outputs: {said: "${{ steps.one.output.value }}", at: "${{ now() }}"}
`)
	history, d := drive(t, begin(t, p), fine)
	var end engine.EndedData
	if err := json.Unmarshal(history[len(history)-1].Data, &end); err != nil || d.State != engine.Succeeded {
		t.Fatal(err, d)
	}
	if got := string(end.Outputs); got != `{"at":{"$time":"2026-11-22T09:00:00Z"},"said":"done"}` {
		t.Errorf("outputs %s", got)
	}
}

// Whatever a run is doing when it is called off, what is in the air lands, finally runs to its end, and
// the record replays.
func TestACanceledRunLandsWhatIsInTheAirAndCleansUp(t *testing.T) {
	t.Parallel()
	reg := new(world).Registry()
	rapid.Check(t, func(rt *rapid.T) {
		text := strings.Split(generated(rt), "on_failure:")[0]
		text = strings.Split(text, "finally:")[0] + "finally: [{action: test.put, with: {value: cleaned}}]\n"
		p := compile(t, reg, text)
		m, at := begin(t, p), rapid.IntRange(0, 12).Draw(rt, "moment")
		now := epoch
		var history []engine.Entry
		var air []engine.Attempt
		for turn := 0; ; turn++ {
			d := m.Next(now)
			history = append(history, d.Record...)
			air = append(air, d.Invoke...)
			if d.State.Final() {
				if turn > at && d.State != engine.Canceled && d.State != engine.Succeeded {
					rt.Fatalf("ended %s: %s\n%s", d.State, d.Message, text)
				}
				break
			}
			if turn == at {
				if e, err := m.Cancel(engine.CancelData{By: "anna"}, now); err == nil {
					history = append(history, e)
				}
			}
			switch {
			case len(air) > 0:
				e, err := m.Settle(air[0], fine(air[0]).out, false, nil, now)
				if err != nil {
					rt.Fatalf("what was in the air can't land: %v\n%s", err, text)
				}
				history, air = append(history, e), air[1:]
			case !d.Wake.IsZero() && turn != at:
				now = d.Wake
			case turn > 3000:
				rt.Fatalf("the run does not end\n%s", text)
			}
		}
		if len(air) > 0 {
			rt.Fatalf("the run ended with attempts in the air\n%s", text)
		}
		if list := intents(history); !slices.Contains(list, "finally/0:put#1") {
			rt.Fatalf("finally did not run: %v\n%s", list, text)
		}
		if err := begin(t, p).Replay(history); err != nil {
			rt.Fatalf("the history does not replay: %v\n%s", err, text)
		}
	})
}

// A guard is the last word before an effect: it sees what the steps before have found.
func TestAGuardKeepsAStepFromActing(t *testing.T) {
	for state, want := range map[string][]string{
		"new":   {"put closed", "add done"},
		"taken": {"add guard the guard does not hold: steps.now.output.value == \"new\"", "add done"},
	} {
		t.Run(state, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := newLab(t)
				l.use(l.book("guarded", `
steps:
  - {id: now, action: test.put, with: {value: `+state+`}}
  - action: test.put
    guard: steps.now.output.value == "new"
    with: {value: closed}
    on_error:
      - {action: test.add, with: {value: "${{ failure.code }} ${{ failure.message }}"}}
  - {action: test.add, with: {value: done}}
`))
				defer l.run()()
				l.deliver(numbered(1))
				wait(time.Minute)
				l.all(engine.Succeeded)
				l.each(append([]string{"put " + state}, want...)...)
			})
		})
	}
}
