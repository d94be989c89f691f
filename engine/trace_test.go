package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/engine"
)

// line is a step's trace as a person reads it.
func line(s *engine.StepTrace) string {
	text := fmt.Sprintf("%s %s", s.Path, s.Kind)
	if s.ID != "" {
		text += " " + s.ID
	}
	text += ": " + s.Status
	if s.Taken != nil {
		text += fmt.Sprintf(" taken=%t", *s.Taken)
	}
	if s.Items > 0 {
		text += fmt.Sprintf(" items=%d", s.Items)
	}
	if s.Message != "" {
		text += fmt.Sprintf(" %q", s.Message)
	}
	if len(s.Input) > 0 {
		text += " in=" + string(s.Input)
	}
	if len(s.Output) > 0 {
		text += " out=" + string(s.Output)
	}
	if s.Fault != nil {
		text += fmt.Sprintf(" fault=%s", s.Fault.Code)
	}
	for _, a := range s.Attempts {
		text += fmt.Sprintf(" [%s#%d", a.Part, a.Number)
		if a.Probe {
			text += "?"
		}
		if a.Interrupted {
			text += "!"
		}
		text += fmt.Sprintf(" %s", a.Status)
		if a.Effective() {
			text += " *"
		}
		text += "]"
	}
	return text
}

func lines(steps []*engine.StepTrace) []string {
	var list []string
	for _, s := range steps {
		list = append(list, line(s))
	}
	return list
}

func TestATraceTellsWhatEachStepDid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		answers    map[string][]answer // by part, in order; then all is well
		want       []string
	}{
		{"actions in order", "steps: [{id: look, action: test.read, with: {value: x}}, {action: test.put, with: {value: y}}]\n", nil, []string{
			`steps/0 action look: ok in={"value":"x"} out={"value":"done"} [read#1 ok]`,
			`steps/1 action: ok in={"value":"y"} out={"value":"done"} [put#1 ok *]`,
		}},
		{"a step of two parts", "steps: [{action: test.both, with: {value: x, note: n}}]\n",
			map[string][]answer{"note": {{out: json.RawMessage(`{"note":"n"}`)}}}, []string{
				`steps/0 action: ok in={"note":"n","value":"x"} out={"note":"n","value":"done"} [put#1 ok *] [note#1 ok *]`,
			}},
		{"tried again", "steps: [{action: test.put, with: {value: x}}]\n", map[string][]answer{"put": {fault(true, false), fault(true, true)}}, []string{
			`steps/0 action: ok in={"value":"x"} out={"value":"done"} [put#1 fault] [put#2 fault] [put#3 ok *]`,
		}},
		{"probed and repeated", "steps: [{action: test.add, with: {value: x}}]\n", map[string][]answer{"add": {fault(true, true), {absent: true}}}, []string{
			`steps/0 action: ok in={"value":"x"} out={"value":"done"} [add#1 fault] [add#2? absent] [add#3 ok *]`,
		}},
		{"failed", "steps: [{action: test.put, with: {value: x}}]\n", map[string][]answer{"put": {fault(false, false)}}, []string{
			`steps/0 action: failed in={"value":"x"} fault=test [put#1 fault]`,
		}},
		{"uncertain", "steps: [{action: test.once, with: {value: x}}]\n", map[string][]answer{"once": {fault(true, true)}}, []string{
			`steps/0 action: uncertain in={"value":"x"} fault=test [once#1 fault]`,
		}},
		{"shadow", "mode: shadow\nsteps: [{action: test.add, with: {value: x}}]\n", nil, []string{
			`steps/0 action: dry in={"value":"x"} out={"value":"preview of x"}`,
		}},
		{"branches and skipped steps", `
steps:
  - {id: nope, if: 'alert.severity == "high"', action: test.put, with: {value: x}}
  - id: fork
    if: alert.severity == "low"
    then: [{set: {a: "${{ 1 }}"}}]
  - stop: "enough of ${{ alert.title }}"
vars: {a: 0}
`, nil, []string{
			`steps/0 action nope: skipped taken=false`,
			`steps/1 if fork: ok taken=true`,
			`steps/1/then/0 set: ok out={"a":1}`,
			`steps/2 stop: ok "enough of Port scan"`,
		}},
		{"a condition that can't be evaluated", "steps: [{if: 'int(alert.title) > 1', action: test.put, with: {value: x}}]\n", nil, []string{
			`steps/0 action: failed taken=false fault=expression`,
		}},
		{"each item is a step", `
steps:
  - id: all
    foreach: '["a", "b"]'
    as: x
    on_error: continue
    do: [{id: one, action: test.put, with: {value: "${{ x }}"}}]
`, map[string][]answer{"put": {fault(false, false)}}, []string{
			`steps/0 foreach all: ok items=2`,
			`steps/0[0]/do/0 action one: failed in={"value":"a"} fault=test [put#1 fault]`,
			`steps/0[1]/do/0 action one: ok in={"value":"b"} out={"value":"done"} [put#1 ok *]`,
		}},
		{"what on_error does", "steps: [{action: test.put, with: {value: x}, on_error: [{action: test.add, with: {value: y}}]}]\n",
			map[string][]answer{"put": {fault(false, false)}}, []string{
				`steps/0 action: failed in={"value":"x"} fault=test [put#1 fault]`,
				`steps/0/on_error/0 action: ok in={"value":"y"} out={"value":"done"} [add#1 ok *]`,
			}},
		{"fail", "steps: [{fail: 'not ours'}]\n", nil, []string{`steps/0 fail: ok "not ours"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := compile(t, new(world).Registry(), c.text)
			history, _ := drive(t, begin(t, p), func(a engine.Attempt) answer {
				if left := c.answers[a.Part]; len(left) > 0 {
					c.answers[a.Part] = left[1:]
					return left[0]
				}
				return fine(a)
			})
			if diff := cmp.Diff(c.want, lines(engine.Trace(p, history))); diff != "" {
				t.Errorf("trace (-want +got):\n%s", diff)
			}
			for _, s := range engine.Trace(nil, history) {
				if s.ID != "" || s.Status == "" {
					t.Errorf("without its playbook: %+v", s)
				}
			}
		})
	}
}

func TestATraceTellsOfCutsAndOfAPersonsWord(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), "steps: [{action: test.once, with: {value: x}}]\n")
	m := begin(t, p)
	history := m.Next(epoch).Record
	if got := lines(engine.Trace(p, history)); len(got) != 1 || got[0] != `steps/0 action: running in={"value":"x"} [once#1 ]` {
		t.Errorf("in flight: %q", got)
	}
	history = append(history, m.Interrupt(epoch, false)...)
	if got := lines(engine.Trace(p, history)); got[0] != `steps/0 action: uncertain in={"value":"x"} fault=interrupted [once#1! fault]` {
		t.Errorf("cut off: %q", got)
	}
	m.Next(epoch)
	e, err := m.Resolve("steps/0", engine.ResolveData{Happened: true, By: "ana"}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	got := lines(engine.Trace(p, append(history, e)))
	if !strings.Contains(got[0], `ok "happened, says ana"`) {
		t.Errorf("resolved: %q", got)
	}
}

func TestATraceOfDamagedEntriesIsShortAndNoPanic(t *testing.T) {
	t.Parallel()
	for _, kind := range []engine.EntryKind{engine.Began, engine.Chose, engine.Looped, engine.Assign, engine.Intent, engine.Outcome, engine.Resolve, engine.Ended, "odd"} {
		for _, data := range []string{"", "null", "[]", `{"items":1,"output":1,"fault":{}}`} {
			engine.Trace(nil, []engine.Entry{{Seq: 1, Path: "steps/0:x", Kind: kind, Data: json.RawMessage(data)}})
		}
	}
}
