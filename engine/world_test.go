package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
)

// epoch is when the tests' runs are created.
var epoch = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// The test actions do nothing but remember: one for each effect class, and one with two parts.
type (
	in struct {
		Value string `json:"value,omitempty"`
		Note  string `json:"note,omitempty"`
		List  []any  `json:"list,omitempty"`
	}
	out struct {
		Value string `json:"value,omitempty"`
		Note  string `json:"note,omitempty"`
	}
)

// world is where the test actions act.
type world struct {
	mu     sync.Mutex
	did    []actions.Call
	before func(ctx context.Context, c actions.Call) error // returns an error: nothing happened
	after  func(ctx context.Context, c actions.Call) error // returns an error: the answer got lost
}

func (w *world) do(ctx context.Context, c actions.Call, i in) (out, error) {
	if w.before != nil {
		if err := w.before(ctx, c); err != nil {
			return out{}, err
		}
	}
	w.mu.Lock()
	w.did = append(w.did, c)
	w.mu.Unlock()
	if w.after != nil {
		if err := w.after(ctx, c); err != nil {
			return out{}, err
		}
	}
	return out{Value: i.Value}, nil
}

func (w *world) probe(_ context.Context, c actions.Call, i in) (out, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.did {
		if d.Key == c.Key {
			return out{Value: i.Value}, true, nil
		}
	}
	return out{}, false, nil
}

// registry declares the test actions over a world.
func (w *world) registry() *actions.Registry {
	part := func(name string, e actions.Effect) actions.Part {
		return actions.Part{Name: name, Effect: e, Summary: name}
	}
	one := func(name string, e actions.Effect) actions.Action {
		d := actions.Doing[in, out]{Part: part(name, e), Do: w.do, Preview: func(i in) out { return out{Value: "preview of " + i.Value} }}
		if e == actions.Adds {
			d.Probe = w.probe
		}
		if e == actions.Converges {
			d.Touches = func(i in) []actions.Touch {
				return []actions.Touch{{Object: "alerts/a1", Fields: map[string]any{"status": i.Value}}}
			}
		}
		return actions.Define(actions.Spec{Name: "test." + name, Summary: "Test " + name + "."}, d)
	}
	both := actions.Define(actions.Spec{Name: "test.both", Summary: "Test two parts."},
		actions.Doing[in, out]{Part: part("put", actions.Converges), Do: w.do},
		actions.Doing[in, out]{Part: part("note", actions.Adds), Do: w.do, Probe: w.probe, When: func(i in) bool { return i.Note != "" }})
	end := part("await", actions.Reads)
	end.Awaits = true
	start := actions.Define(actions.Spec{Name: "test.start", Summary: "Test what only starts something."},
		actions.Doing[in, out]{Part: part("start", actions.Once), Do: w.do, Preview: func(i in) out { return out{Value: "preview of " + i.Value} }},
		actions.Doing[in, out]{Part: end, Do: w.do})
	return actions.NewRegistry(one("read", actions.Reads), one("put", actions.Converges), one("add", actions.Adds), one("once", actions.Once), both, start)
}

// compile compiles a playbook whose text is given without name and triggers.
func compile(t testing.TB, reg *actions.Registry, text string) *playbooks.Playbook {
	t.Helper()
	src := "name: test\ntriggers:\n  - poll: {resource: alerts, every: 1m}\n" + text
	o := playbooks.Options{Catalog: reg, AsItWas: true} // what is drawn may contradict itself
	sub, findings := playbooks.Compile("sub.yaml", []byte(called), o)
	if findings.HasErrors() {
		t.Fatal(findings)
	}
	o.Callees = map[string]*playbooks.Playbook{"sub": sub}
	p, findings := playbooks.Compile("test.yaml", []byte(src), o)
	for _, f := range findings {
		if f.Severity == diag.Error {
			t.Fatalf("playbook does not compile: %v\n%s", f, src)
		}
	}
	return p
}

// called is a playbook that the tests' playbooks can call.
const called = `
name: sub
triggers: [{manual: {inputs: {value: {type: text, required: true}, note: {type: text, default: none}}}}]
vars: {both: "${{ inputs.value + inputs.note }}"}
steps:
  - {id: one, action: test.add, with: {value: "${{ vars.both }}"}}
  - {wait: 5m}
  - {if: inputs.value == "stop", stop: early}
  - {if: inputs.value == "fail", id: bad, fail: on purpose}
  - {action: test.put, with: {value: b}}
finally: [{action: test.put, with: {value: cleaned}}]
outputs: {said: "${{ steps.one.output.value }}"}
`

func alert(fields string) engine.Event {
	return engine.Event{
		ID: "contoso/alerts/a1/1", Tenant: "contoso", Source: "poll/alerts", Kind: "alert", Object: "alerts/a1",
		Title: "Port scan", Occurred: epoch, Seen: epoch,
		Payload: json.RawMessage(`{"id":"a1","title":"Port scan","status":"new","severity":"low"` + fields + `}`),
	}
}

func newRun(p *playbooks.Playbook, ev engine.Event) engine.Run {
	return engine.Run{
		ID: engine.NewRunID(p.Name, ev.ID), Playbook: p.Name, Digest: p.Digest, Semantics: engine.Semantics,
		Event: ev.ID, Tenant: ev.Tenant, Object: ev.Object, Mode: p.Mode, State: engine.Ready, Created: epoch,
	}
}

func begin(t testing.TB, p *playbooks.Playbook) *engine.Machine {
	t.Helper()
	ev := alert("")
	m, err := engine.Begin(p, newRun(p, ev), ev, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// drive runs a machine to its end with answer deciding each attempt, letting time pass at will.
// It returns the history and the last decision.
func drive(t testing.TB, m *engine.Machine, answer func(engine.Attempt) answer) ([]engine.Entry, engine.Decision) {
	t.Helper()
	now := epoch
	var history []engine.Entry
	for range 10_000 {
		d := m.Next(now)
		history = append(history, d.Record...)
		switch {
		case d.State.Final() || d.State == engine.Parked:
			return history, d
		case d.More:
			continue
		case len(d.Invoke) == 0 && d.Wake.IsZero():
			t.Fatalf("nothing to do and nothing to wait for: %+v", d)
		case len(d.Invoke) == 0:
			now = d.Wake
			continue
		}
		for _, a := range d.Invoke {
			s := answer(a)
			e, err := m.Settle(a, s.out, s.absent, s.err, now)
			if err != nil {
				t.Fatal(err)
			}
			history = append(history, e)
		}
	}
	t.Fatal("the run does not end")
	return nil, engine.Decision{}
}

// answer is how an attempt ends.
type answer struct {
	out    json.RawMessage
	absent bool
	err    error
}

func fine(engine.Attempt) answer { return answer{out: json.RawMessage(`{"value":"done"}`)} }

// intents lists "path#attempt" of every attempt in a history.
func intents(history []engine.Entry) []string {
	var list []string
	for _, e := range history {
		if e.Kind == engine.Intent {
			list = append(list, fmt.Sprintf("%s#%d", e.Path, e.Attempt))
		}
	}
	return list
}
