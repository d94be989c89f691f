package engine_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

func TestStepsRunInOrderAndLaterOnesSeeEarlierOutputs(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), `
vars: {who: "${{ alert.title }}"}
steps:
  - id: first
    action: test.read
    with: {value: "${{ vars.who }}"}
  - action: test.put
    with: {value: "${{ steps.first.output.value }} after ${{ steps.first.status }}"}
`)
	var inputs []string
	_, d := drive(t, begin(t, p), func(a engine.Attempt) answer {
		inputs = append(inputs, string(a.Input))
		return fine(a)
	})
	want := []string{`{"value":"Port scan"}`, `{"value":"done after ok"}`}
	if diff := cmp.Diff(want, inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	if d.State != engine.Succeeded {
		t.Errorf("run ended %s (%s), want succeeded", d.State, d.Message)
	}
}

func TestControlFlowTakesThePathThatTheConditionsSay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       []string // intents
		state      engine.RunState
		message    string
	}{
		{"then", `
steps:
  - if: alert.severity == "low"
    then: [{action: test.put, with: {value: a}}]
    else: [{action: test.add, with: {value: b}}]
`, []string{"steps/0/then/0:put#1"}, engine.Succeeded, ""},
		{"else", `
steps:
  - if: alert.severity == "high"
    then: [{action: test.put, with: {value: a}}]
    else: [{action: test.add, with: {value: b}}]
`, []string{"steps/0/else/0:add#1"}, engine.Succeeded, ""},
		{"no else", `
steps:
  - if: alert.severity == "high"
    then: [{action: test.put, with: {value: a}}]
  - {action: test.read, with: {value: c}}
`, []string{"steps/1:read#1"}, engine.Succeeded, ""},
		{"if on a step", `
steps:
  - {id: one, if: 'alert.severity == "high"', action: test.put, with: {value: a}}
  - {if: 'steps.one.status == "skipped"', action: test.read, with: {value: c}}
`, []string{"steps/1:read#1"}, engine.Succeeded, ""},
		{"stop ends the run well", `
steps:
  - if: "true"
    then: [{stop: "enough of ${{ alert.title }}"}]
  - {action: test.put, with: {value: a}}
`, nil, engine.Succeeded, "enough of Port scan"},
		{"fail without a text still says why", `
steps:
  - fail: "${{ alert.assignedTo }}"
`, nil, engine.Failed, "fail at steps/0, whose text has no value"},
		{"fail ends the run as failed", `
steps:
  - if: "true"
    then: [{fail: "not ours"}]
`, nil, engine.Failed, "not ours"},
		{"foreach in order", `
steps:
  - foreach: "[1, 2, 3]"
    as: n
    do: [{action: test.put, with: {value: "${{ string(n) }}"}}]
`, []string{"steps/0[0]/do/0:put#1", "steps/0[1]/do/0:put#1", "steps/0[2]/do/0:put#1"}, engine.Succeeded, ""},
		{"foreach over nothing", `
steps:
  - {foreach: "[]", as: n, do: [{action: test.put, with: {value: a}}]}
`, nil, engine.Succeeded, ""},
		{"set is seen by later steps", `
vars: {count: 1}
steps:
  - set: {count: "${{ vars.count + 1 }}"}
  - if: vars.count == 2
    then: [{action: test.read, with: {value: two}}]
`, []string{"steps/1/then/0:read#1"}, engine.Succeeded, ""},
		{"two parts are two effects", `
steps:
  - {action: test.both, with: {value: a, note: b}}
  - {action: test.both, with: {value: a}}
`, []string{"steps/0:put#1", "steps/0:note#1", "steps/1:put#1"}, engine.Succeeded, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			history, d := drive(t, begin(t, compile(t, new(world).Registry(), c.text)), fine)
			if diff := cmp.Diff(c.want, intents(history)); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
			if d.State != c.state || d.Message != c.message {
				t.Errorf("ended %s %q, want %s %q", d.State, d.Message, c.state, c.message)
			}
		})
	}
}

// fault is an answer that says that nothing happened, or that nobody knows.
func fault(retry, unknown bool) answer {
	return answer{err: &actions.Fault{Code: "test", Message: "as told", Retry: retry, Unknown: unknown}}
}

func TestTheEffectClassDecidesWhatFollowsALostAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, action string
		answers      []answer
		want         []string
		state        engine.RunState
	}{
		{"reads are repeated", "read", []answer{fault(true, true)}, []string{"#1", "#2"}, engine.Succeeded},
		{"converging parts are repeated", "put", []answer{fault(true, true)}, []string{"#1", "#2"}, engine.Succeeded},
		{"adding parts are probed, and left when they happened", "add",
			[]answer{fault(true, true), {out: json.RawMessage("{}")}}, []string{"#1", "#2?"}, engine.Succeeded},
		{"adding parts are probed, and repeated when they did not happen", "add",
			[]answer{fault(true, true), {absent: true}}, []string{"#1", "#2?", "#3"}, engine.Succeeded},
		{"a probe that fails is tried again", "add",
			[]answer{fault(true, true), fault(true, false), {absent: true}}, []string{"#1", "#2?", "#3?", "#4"}, engine.Succeeded},
		{"a probe that can't work leaves the step to a person", "add",
			[]answer{fault(true, true), fault(false, false)}, []string{"#1", "#2?"}, engine.Parked},
		{"once is never repeated when nobody knows", "once", []answer{fault(true, true)}, []string{"#1"}, engine.Parked},
		{"once is repeated when it was certainly not accepted", "once", []answer{fault(true, false)}, []string{"#1", "#2"}, engine.Succeeded},
		{"no attempt follows a definite no", "put", []answer{fault(false, false)}, []string{"#1"}, engine.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := compile(t, new(world).Registry(), "steps: [{action: test."+c.action+", with: {value: x}}]\n")
			answers := c.answers
			var got []string
			_, d := drive(t, begin(t, p), func(a engine.Attempt) answer {
				mark := "#" + string(rune('0'+a.Number))
				if a.Probe {
					mark += "?"
				}
				got = append(got, mark)
				if len(answers) == 0 {
					return fine(a)
				}
				s := answers[0]
				answers = answers[1:]
				return s
			})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
			if d.State != c.state {
				t.Errorf("ended %s (%s), want %s", d.State, d.Message, c.state)
			}
		})
	}
}

func TestAFailedStepDoesWhatOnErrorSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, onError string
		want          []string
		state         engine.RunState
	}{
		{"fail", "fail", []string{"steps/0:put#1"}, engine.Failed},
		{"continue", "continue", []string{"steps/0:put#1", "steps/1:read#1"}, engine.Succeeded},
		{"steps", `[{action: test.add, with: {value: "${{ failure.code }} at ${{ failure.step }}"}}]`,
			[]string{"steps/0:put#1", "steps/0/on_error/0:add#1", "steps/1:read#1"}, engine.Succeeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := compile(t, new(world).Registry(), `
steps:
  - {id: it, action: test.put, with: {value: x}, on_error: `+c.onError+`}
  - {action: test.read, with: {value: "${{ steps.it.status }} ${{ steps.it.error.code }}"}}
`)
			var last string
			history, d := drive(t, begin(t, p), func(a engine.Attempt) answer {
				last = string(a.Input)
				if a.Part == "put" {
					return fault(false, false)
				}
				if a.Part == "add" && !strings.Contains(last, "test at it") {
					t.Errorf("the handler saw %s, want the failure's code and step", last)
				}
				return fine(a)
			})
			if diff := cmp.Diff(c.want, intents(history)); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
			if d.State != c.state {
				t.Errorf("ended %s (%s), want %s", d.State, d.Message, c.state)
			}
			if c.state == engine.Succeeded && last != `{"value":"failed test"}` {
				t.Errorf("the next step saw %s of the failed one", last)
			}
		})
	}
}

func TestAnUncertainStepGoesOnOnlyIfThePlaybookSaysSo(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), `
steps:
  - {id: it, action: test.once, with: {value: x}, on_error: continue}
  - {action: test.read, with: {value: "${{ steps.it.status }}"}}
`)
	var last string
	_, d := drive(t, begin(t, p), func(a engine.Attempt) answer {
		last = string(a.Input)
		if a.Part == "once" {
			return fault(true, true)
		}
		return fine(a)
	})
	if d.State != engine.Succeeded || last != `{"value":"uncertain"}` {
		t.Errorf("ended %s, the next step saw %s; want success and the status uncertain", d.State, last)
	}
}

func TestAPersonsWordSettlesAnUncertainStep(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{true, false} {
		p := compile(t, new(world).Registry(), "steps: [{action: test.once, with: {value: x}}]\n")
		m := begin(t, p)
		_, d := drive(t, m, func(engine.Attempt) answer { return fault(true, true) })
		if d.State != engine.Parked || !cmp.Equal(m.Uncertain(), []string{"steps/0"}) {
			t.Fatalf("state %s, uncertain %v; want the run parked at steps/0", d.State, m.Uncertain())
		}
		if _, err := m.Resolve("steps/0", engine.ResolveData{Happened: happened, By: "ana"}, epoch); err != nil {
			t.Fatal(err)
		}
		history, d := drive(t, m, fine)
		if again := len(intents(history)) == 1; again == happened {
			t.Errorf("happened=%v: attempts afterwards %v", happened, intents(history))
		}
		if d.State != engine.Succeeded {
			t.Errorf("happened=%v: ended %s (%s), want succeeded", happened, d.State, d.Message)
		}
		if _, err := m.Resolve("steps/0", engine.ResolveData{}, epoch); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("a settled step was settled again: %v", err)
		}
	}
}

func TestRetriesFollowThePolicyAndWhatTheServiceAsksFor(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), `
steps:
  - action: test.put
    with: {value: x}
    retry: {attempts: 3, backoff: exponential, initial: 10s, max: 15s}
`)
	m := begin(t, p)
	now := epoch
	d := m.Next(now)
	var waits []time.Duration
	for _, after := range []time.Duration{0, time.Hour} {
		if _, err := m.Settle(d.Invoke[0], nil, false, &actions.Fault{Code: "throttled", Retry: true, After: after}, now); err != nil {
			t.Fatal(err)
		}
		d = m.Next(now)
		waits = append(waits, d.Wake.Sub(now))
		if early := m.Next(d.Wake.Add(-time.Nanosecond)); len(early.Invoke) != 0 {
			t.Error("an attempt was made before its time")
		}
		now = d.Wake
		d = m.Next(now)
	}
	if waits[0] > 10*time.Second || waits[0] < 7*time.Second {
		t.Errorf("first wait %s, want 10s less at most a quarter", waits[0])
	}
	if waits[1] != time.Hour {
		t.Errorf("second wait %s, want the hour that the service asked for", waits[1])
	}
	if _, err := m.Settle(d.Invoke[0], nil, false, &actions.Fault{Code: "throttled", Retry: true}, now); err != nil {
		t.Fatal(err)
	}
	if d = m.Next(now); d.State != engine.Failed {
		t.Errorf("after three attempts the run is %s, want failed", d.State)
	}
}

func TestAShadowRunPerformsOnlyWhatReads(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), `
mode: shadow
steps:
  - {id: look, action: test.read, with: {value: a}}
  - {id: both, action: test.both, with: {value: b, note: c}}
  - {id: add, action: test.add, with: {value: d}}
  - {action: test.read, with: {value: "${{ steps.add.output.value }}"}}
`)
	var inputs []string
	history, d := drive(t, begin(t, p), func(a engine.Attempt) answer {
		inputs = append(inputs, a.Part+string(a.Input))
		return fine(a)
	})
	if diff := cmp.Diff([]string{`read{"value":"a"}`, `read{"value":"preview of d"}`}, inputs); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	var dry []string
	for _, e := range history {
		var o engine.OutcomeData
		if e.Kind == engine.Outcome && json.Unmarshal(e.Data, &o) == nil && o.Status == engine.Dry {
			dry = append(dry, e.Path)
		}
	}
	if diff := cmp.Diff([]string{"steps/1:put", "steps/1:note", "steps/2:add"}, dry); diff != "" {
		t.Errorf("recorded as not done (-want +got):\n%s", diff)
	}
	if d.State != engine.Succeeded {
		t.Errorf("ended %s (%s)", d.State, d.Message)
	}
}

func TestForeachKeepsARowForEachItemAndObeysItsLimits(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), `
steps:
  - id: loop
    foreach: '["a", "b", "c", "d"]'
    as: x
    concurrency: 2
    on_error: continue
    do: [{id: inner, action: test.put, with: {value: "${{ x }}"}}]
  - action: test.read
    with: {value: "${{ join(map(steps.loop.items, .x + ':' + .status), ' ') }}"}
`)
	m := begin(t, p)
	d := m.Next(epoch)
	if len(d.Invoke) != 2 {
		t.Fatalf("%d attempts at once, want the concurrency of 2", len(d.Invoke))
	}
	var last string
	// b fails; answers come out of order.
	for len(d.Invoke) > 0 {
		pending := d.Invoke
		d = engine.Decision{}
		for i := len(pending) - 1; i >= 0; i-- {
			a := pending[i]
			last = string(a.Input)
			s := fine(a)
			if last == `{"value":"b"}` {
				s = fault(false, false)
			}
			if _, err := m.Settle(a, s.out, s.absent, s.err, epoch); err != nil {
				t.Fatal(err)
			}
			next := m.Next(epoch)
			d.Invoke = append(d.Invoke, next.Invoke...)
			d.State = next.State
		}
	}
	if want := `{"value":"a:ok b:failed c:ok d:ok"}`; last != want {
		t.Errorf("rows %s, want %s", last, want)
	}
	if d.State != engine.Succeeded {
		t.Errorf("ended %s", d.State)
	}
}

func TestForeachBeyondItsLimitFailsTheRunInsteadOfStarting(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		items string
		state engine.RunState
	}{
		{"flatten(map(1..100, map(1..100, #)))", engine.Succeeded},
		{"concat(flatten(map(1..100, map(1..100, #))), [1])", engine.Failed},
	} {
		p := compile(t, new(world).Registry(), "mode: shadow\nsteps:\n  - foreach: '"+c.items+`'
    as: x
    do: [{action: test.put, with: {value: same}}]
`)
		history, d := drive(t, begin(t, p), fine)
		if d.State != c.state {
			t.Errorf("%s: ended %s (%s), want %s", c.items, d.State, d.Message, c.state)
		}
		if c.state == engine.Succeeded && len(history) != engine.MaxItems+3 {
			t.Errorf("%d entries, want one for each of %d items and three", len(history), engine.MaxItems)
		}
	}
}
