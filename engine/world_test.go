package engine_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/enginetest"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
)

// epoch is when the tests' runs are created.
var epoch = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// The tests' actions act on a world that only remembers.
type (
	world = enginetest.World
	in    = enginetest.In
)

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
