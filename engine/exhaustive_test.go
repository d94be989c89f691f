package engine_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// ending is one way in which an attempt can end.
type ending string

const (
	endsWell      ending = "ok"
	endsRefused   ending = "refused"   // certainly nothing happened, and no use in trying again
	endsThrottled ending = "throttled" // certainly nothing happened, try again
	endsLost      ending = "lost"      // it happened, the answer got lost
	endsNowhere   ending = "nowhere"   // it did not happen, and nobody knows
	endsKilled    ending = "killed"    // the process ended; it happened
	endsKilledOff ending = "killedOff" // the process ended; it did not happen
)

var endings = []ending{endsWell, endsRefused, endsThrottled, endsLost, endsNowhere, endsKilled, endsKilledOff}

// truth is what really happened in the world, by idempotency key.
type truth map[string]int

// play drives a run through a script of endings; when the script is over everything ends well.
// A kill throws the machine away and makes it anew from the history. It returns the history, the
// last decision and the truth.
func play(t *rapid.T, fail func(string, ...any), p *playbooks.Playbook, script []ending) ([]engine.Entry, engine.Decision, truth) {
	ev := alert("")
	m, err := engine.Begin(p, newRun(p, ev), ev, nil)
	if err != nil {
		fail("begin: %v", err)
	}
	world := truth{}
	now := epoch
	var history []engine.Entry
	for turn := 0; ; turn++ {
		if turn > 2000 {
			fail("the run does not end; script %v", script)
			return history, engine.Decision{}, world
		}
		d := m.Next(now)
		history = append(history, d.Record...)
		if d.State.Final() || d.State == engine.Parked {
			return history, d, world
		}
		if len(d.Invoke) == 0 && !d.More {
			if d.Wake.IsZero() {
				fail("stuck: %+v", d)
				return history, d, world
			}
			now = d.Wake
			continue
		}
		killed := false
		for _, a := range d.Invoke {
			e := endsWell
			if len(script) > 0 {
				e, script = script[0], script[1:]
			}
			if e == endsKilled || e == endsKilledOff {
				if e == endsKilled && !a.Probe {
					world[a.Key]++
				}
				killed = true
				continue
			}
			s := settle(a, e, world)
			entry, err := m.Settle(a, s.out, s.absent, s.err, now)
			if err != nil {
				fail("settle: %v", err)
			}
			history = append(history, entry)
		}
		if killed {
			if m, err = engine.Begin(p, newRun(p, ev), ev, nil); err != nil {
				fail("begin again: %v", err)
			}
			if err := m.Replay(history); err != nil {
				fail("the history does not replay: %v", err)
			}
			history = append(history, m.Interrupt(now, false)...)
		}
	}
}

func settle(a engine.Attempt, e ending, world truth) answer {
	happens := e == endsWell || e == endsLost
	if a.Probe {
		switch e {
		case endsWell:
			if world[a.Key] == 0 {
				return answer{absent: true}
			}
			return answer{out: json.RawMessage(`{}`)}
		case endsRefused:
			return fault(false, false)
		default:
			return fault(true, false)
		}
	}
	if happens {
		world[a.Key]++
	}
	switch e {
	case endsRefused:
		return fault(false, false)
	case endsThrottled:
		return fault(true, false)
	case endsLost, endsNowhere:
		return fault(true, true)
	default:
		return fine(a)
	}
}

// honest checks what must hold of every run, however it went.
func honest(fail func(string, ...any), p *playbooks.Playbook, history []engine.Entry, d engine.Decision, world truth) {
	effects := map[string]actions.Effect{}
	settled := map[string]bool{}
	keys := map[string]string{} // path → key
	for _, e := range history {
		switch e.Kind {
		case engine.Intent:
			var data engine.IntentData
			if err := json.Unmarshal(e.Data, &data); err != nil {
				fail("intent: %v", err)
			}
			if old, known := keys[e.Path]; known && old != data.Key {
				fail("the attempts at %s have different keys", e.Path)
			}
			keys[e.Path], effects[data.Key] = data.Key, data.Effect
		case engine.Outcome:
			var data engine.OutcomeData
			if err := json.Unmarshal(e.Data, &data); err != nil {
				fail("outcome: %v", err)
			}
			if data.Status == engine.Took && e.Attempt > 0 {
				settled[keys[e.Path]] = true
			}
		default:
		}
	}
	for key, n := range world {
		class, known := effects[key]
		if !known {
			fail("an effect without an intent")
		}
		if n > 1 && (class == actions.Once || class == actions.Adds) {
			fail("a part that %s took effect %d times", class, n)
		}
	}
	for key := range settled {
		if world[key] == 0 && effects[key] != actions.Reads {
			fail("a success without an effect")
		}
	}
	if d.State == engine.Parked && d.Message == "" {
		fail("parked without a reason")
	}
	if d.State == engine.Failed && d.Message == "" {
		fail("failed without a reason")
	}
}

// Every order of endings up to a length, for every effect class and for steps in a row.
func TestNoOrderOfFailuresLosesOrDoublesAnEffect(t *testing.T) {
	t.Parallel()
	const depth = 4
	reg := new(world).Registry()
	for name, text := range map[string]string{
		"once":       "steps: [{action: test.once, with: {value: a}}]\n",
		"adds":       "steps: [{action: test.add, with: {value: a}}]\n",
		"converges":  "steps: [{action: test.put, with: {value: a}}]\n",
		"two parts":  "steps: [{action: test.both, with: {value: a, note: b}}]\n",
		"in a row":   "steps: [{action: test.add, with: {value: a}}, {action: test.once, with: {value: b}}]\n",
		"go on":      "steps: [{action: test.once, with: {value: a}, on_error: continue}, {action: test.add, with: {value: b}}]\n",
		"handler":    "steps: [{action: test.put, with: {value: a}, on_error: [{action: test.add, with: {value: b}}, {action: test.once, with: {value: c}}]}]\n",
		"concurrent": "steps: [{foreach: '[1, 2]', as: n, concurrency: 2, do: [{action: test.once, with: {value: a}}]}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := compile(t, reg, text)
			var script [depth]ending
			var try func(i int)
			try = func(i int) {
				if i < depth {
					for _, e := range endings {
						script[i] = e
						try(i + 1)
					}
					return
				}
				fail := func(format string, args ...any) { t.Fatalf("script %v: %s", script, fmt.Sprintf(format, args...)) }
				history, d, world := play(nil, fail, p, script[:])
				honest(fail, p, history, d, world)
			}
			try(0)
		})
	}
}

// generated draws a playbook of nested constructs.
func generated(t *rapid.T) string {
	var block func(depth int, indent string) string
	n := 0
	block = func(depth int, indent string) string {
		var b strings.Builder
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			n++
			id := n
			kind := rapid.SampledFrom([]string{"read", "put", "add", "once", "both", "if", "foreach", "set", "handled", "switch", "parallel", "wait", "poll", "call", "start"}).Draw(t, "kind")
			if depth == 0 && slices.Contains([]string{"if", "foreach", "switch", "parallel"}, kind) {
				kind = "put"
			}
			switch kind {
			case "switch":
				fmt.Fprintf(&b, "%s- switch:\n%s    - if: alert.severity == %q\n%s      do:\n%s%s    - else:\n%s", indent, indent,
					rapid.SampledFrom([]string{"low", "high"}).Draw(t, "severity"), indent, block(depth-1, indent+"        "), indent, block(depth-1, indent+"        "))
			case "parallel":
				fmt.Fprintf(&b, "%s- join: %s\n%s  parallel:\n%s    -\n%s%s    -\n%s", indent,
					rapid.SampledFrom([]string{"all", "any"}).Draw(t, "join"), indent, indent, block(depth-1, indent+"      "), indent, block(depth-1, indent+"      "))
			case "start":
				fmt.Fprintf(&b, "%s- {action: test.start, with: {value: v%d}, await: 1m}\n", indent, id)
			case "call":
				fmt.Fprintf(&b, "%s- {playbook: sub, with: {value: %s}, on_error: %s}\n", indent,
					rapid.SampledFrom([]string{"a", "stop", "fail"}).Draw(t, "value"), rapid.SampledFrom([]string{"fail", "continue"}).Draw(t, "onError"))
			case "wait":
				fmt.Fprintf(&b, "%s- wait: %s\n", indent, rapid.SampledFrom([]string{"1s", "5m", "2d"}).Draw(t, "time"))
			case "poll":
				fmt.Fprintf(&b, "%s- wait: {until: %s, every: 5s, within: 12s, do: [{action: test.add, with: {value: v%d}}]}\n%s  on_error: %s\n", indent,
					rapid.SampledFrom([]string{"true", "false", `'last != nil'`}).Draw(t, "until"), n, indent, rapid.SampledFrom([]string{"fail", "continue"}).Draw(t, "onError"))
			case "if":
				fmt.Fprintf(&b, "%s- if: alert.severity == %q\n%s  then:\n%s%s  else:\n%s", indent,
					rapid.SampledFrom([]string{"low", "high"}).Draw(t, "severity"), indent, block(depth-1, indent+"    "), indent, block(depth-1, indent+"    "))
			case "foreach":
				fmt.Fprintf(&b, "%s- foreach: 1..%d\n%s  as: i%d\n%s  concurrency: %d\n%s  on_error: %s\n%s  do:\n%s", indent,
					rapid.IntRange(1, 4).Draw(t, "items"), indent, id, indent, rapid.IntRange(1, 3).Draw(t, "concurrency"), indent,
					rapid.SampledFrom([]string{"fail", "continue"}).Draw(t, "onError"), indent, block(depth-1, indent+"    "))
			case "set":
				fmt.Fprintf(&b, "%s- {if: alert.severity == \"low\", action: test.read, with: {value: v%d}}\n", indent, id)
			case "handled":
				fmt.Fprintf(&b, "%s- {action: test.once, with: {value: v%d}, on_error: %s}\n", indent, id,
					rapid.SampledFrom([]string{"continue", fmt.Sprintf("[{action: test.add, with: {value: h%d}}]", id)}).Draw(t, "onError"))
			case "both":
				fmt.Fprintf(&b, "%s- {action: test.both, with: {value: v%d, note: n}}\n", indent, id)
			default:
				fmt.Fprintf(&b, "%s- {action: test.%s, with: {value: v%d}}\n", indent, kind, n)
			}
		}
		return b.String()
	}
	text := "steps:\n" + block(2, "  ")
	for _, tail := range []string{"on_failure", "finally"} {
		if rapid.Bool().Draw(t, tail) {
			text += tail + ":\n" + block(1, "  ")
		}
	}
	return text
}

func TestAnyPlaybookUnderAnyFailuresStaysHonest(t *testing.T) {
	t.Parallel()
	reg := new(world).Registry()
	rapid.Check(t, func(rt *rapid.T) {
		text := generated(rt)
		p := compile(t, reg, text)
		script := rapid.SliceOfN(rapid.SampledFrom(endings), 0, 25).Draw(rt, "script")
		fail := func(format string, args ...any) { rt.Fatalf("%s\n%s", fmt.Sprintf(format, args...), text) }
		history, d, world := play(rt, fail, p, script)
		honest(fail, p, history, d, world)

		// Deciding again from the record, at once or bit by bit, comes out the same.
		ev := alert("")
		again, err := engine.Begin(p, newRun(p, ev), ev, nil)
		if err != nil {
			rt.Fatal(err)
		}
		if err := again.Replay(history); err != nil {
			rt.Fatalf("the history does not replay: %v", err)
		}
		second := again.Next(history[len(history)-1].At.Add(time.Hour))
		if second.State != d.State || len(second.Record) != 0 {
			rt.Fatalf("decided again, the run is %s with %d new entries; it was %s", second.State, len(second.Record), d.State)
		}
	})
}

func TestAHistoryOfAnotherPlaybookIsNoticed(t *testing.T) {
	t.Parallel()
	reg := new(world).Registry()
	p := compile(t, reg, "steps: [{action: test.put, with: {value: a}}, {action: test.add, with: {value: b}}]\n")
	other := compile(t, reg, "steps: [{action: test.add, with: {value: b}}, {action: test.put, with: {value: a}}]\n")
	history, _ := drive(t, begin(t, p), fine)
	if err := begin(t, other).Replay(history); !engine.IsHistoryError(err) {
		t.Errorf("replaying under another playbook: %v, want a complaint", err)
	}
	for cut := range history {
		broken := append(append([]engine.Entry(nil), history[:cut]...), history[cut+1:]...)
		if cut < len(history)-1 {
			if err := begin(t, p).Replay(broken); !engine.IsHistoryError(err) {
				t.Errorf("without entry %d: %v, want a complaint", cut+1, err)
			}
		}
	}
}

func TestValuesKeepTheirTypesThroughTheRecord(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), `
vars: {when: "${{ alert.createdDateTime }}"}
steps:
  - foreach: '[vars.when]'
    as: x
    do:
      - if: x < now()
        then: [{action: test.read, with: {value: earlier}}]
`)
	ev := alert(`,"createdDateTime":"2026-11-21T10:00:00.1234567Z","customDetails":{"$time":"2026-01-01T00:00:00Z"}`)
	m, err := engine.Begin(p, newRun(p, ev), ev, nil)
	if err != nil {
		t.Fatal(err)
	}
	history, d := drive(t, m, fine)
	if diff := cmp.Diff([]string{"steps/0[0]/do/0/then/0:read#1"}, intents(history)); diff != "" {
		t.Errorf("attempts (-want +got):\n%s (%s)", diff, d.Message)
	}
}

// Whatever became of a record, reading it is an answer or a complaint, and never a panic.
func TestADamagedHistoryIsRefusedWithoutAPanic(t *testing.T) {
	t.Parallel()
	reg := new(world).Registry()
	rapid.Check(t, func(rt *rapid.T) {
		text := generated(rt)
		p := compile(t, reg, text)
		fail := func(format string, args ...any) { rt.Fatalf(format, args...) }
		script := rapid.SliceOfN(rapid.SampledFrom(endings), 0, 10).Draw(rt, "script")
		history, _, _ := play(rt, fail, p, script)
		i := rapid.IntRange(0, len(history)-1).Draw(rt, "entry")
		e := &history[i]
		kinds := []engine.EntryKind{engine.Began, engine.Chose, engine.Looped, engine.Assign, engine.Intent, engine.Outcome, engine.Resolve, engine.Ended,
			engine.Timed, engine.Woke, engine.Called, engine.Returned, engine.Canceling}
		switch rapid.IntRange(0, 4).Draw(rt, "damage") {
		case 0:
			e.Kind = rapid.SampledFrom(kinds).Draw(rt, "kind")
		case 1:
			e.Data = json.RawMessage(rapid.SampledFrom([]string{"", "null", "{}", "[]", "7", `{"status":"fault"}`, `{"status":"dry"}`,
				`{"status":"absent","probe":true}`, `{"status":"ok"}`, `{"items":{}}`, `{"values":[]}`, `{"vars":[]}`, `{"state":"odd"}`, `{"take":true,"way":9}`, `{"until":"2026-11-22T09:00:00Z"}`, `{"by":"anna"}`, `{"fault":null,"status":"fault","interrupted":true}`}).Draw(rt, "data"))
		case 2:
			e.Path = rapid.SampledFrom([]string{"", ":", "steps/0", "steps/0:", "steps/0:odd", history[0].Path, history[len(history)/2].Path}).Draw(rt, "path")
		case 3:
			e.Attempt = rapid.IntRange(-1, 3).Draw(rt, "attempt")
		default:
			other := history[rapid.IntRange(0, len(history)-1).Draw(rt, "other")]
			other.Seq = e.Seq
			*e = other
		}
		ev := alert("")
		m, err := engine.Begin(p, newRun(p, ev), ev, nil)
		if err != nil {
			rt.Fatal(err)
		}
		if err := m.Replay(history); err != nil {
			if !engine.IsHistoryError(err) && !strings.Contains(err.Error(), "recorded value") {
				rt.Fatalf("an odd complaint: %v", err)
			}
			return
		}
		m.Interrupt(epoch.Add(time.Hour), false)
		m.Next(epoch.Add(time.Hour))
	})
}
