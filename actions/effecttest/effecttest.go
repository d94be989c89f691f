// Package effecttest holds the promises of effect classes as tests. An action states for each of
// its parts what repeating it does, and the engine recovers by that statement alone; so whatever
// is stated must be true. A new action gets its most important tests by being handed to [Run].
//
// What is checked, each time in a fresh world:
//
//	every part      input that does not fit reaches nothing; a preview reaches nothing; a refusal
//	                is reported as certain and worth another attempt; the output fits its schema;
//	                what changed was announced by Touches
//	reads           nothing changes
//	converges       twice is the same as once, also when the first answer was lost
//	adds            the probe finds nothing before, finds it after the answer was lost, and finds
//	                nothing of another step
//	once            there is no probe; a lost answer is reported as unknown; it arrived once
//	a part that     looks at what the others started and changes nothing; what it says is the
//	awaits          output, or that it is too early, which is worth another look
package effecttest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
)

// World is where the effects of an action can be seen.
type World interface {
	// State is everything that actions can change, as data for cmp, without what changes by
	// itself such as times.
	State(t *testing.T) any
	// Changes lists what was changed since the world began.
	Changes(t *testing.T) []Change
	// Requests counts the requests that arrived.
	Requests() int
	// LoseAnswer lets the next change take effect without an answer.
	LoseAnswer(t *testing.T)
	// Refuse answers the next change with 429, without any effect.
	Refuse(t *testing.T)
}

// Change is what became of one object.
type Change struct {
	Object  string         // as in actions.Touch
	Fields  map[string]any // new values
	Comment bool
}

// Case is an action, an input for it, and a world that nothing has happened in yet.
type Case struct {
	Action actions.Action
	Input  any
	World  World
	// Aside says which objects change as a consequence that nobody can announce: the alerts of
	// an incident that is merged, an incident that is made.
	Aside func(object string) bool
	// ByState says that a part that adds is recognised by the state it leaves, so that another
	// step that wanted the same finds it done.
	ByState bool
}

// Run checks every promise. It calls open for each of them.
func Run(t *testing.T, open func(t *testing.T) Case) {
	t.Helper()
	c := open(t)
	plan, err := c.Action.Plan(c.input(t))
	if err != nil || len(plan) == 0 {
		t.Fatalf("plan of %s is %v, %v", c.Action.Spec().Name, plan, err)
	}
	t.Run("input that does not fit reaches nothing", func(t *testing.T) { refusesInput(t, open(t), plan[0]) })
	t.Run("a dry run reaches nothing", func(t *testing.T) { previews(t, open(t), plan) })
	t.Run("the output of all parts fits the schema", func(t *testing.T) { merges(t, open(t), plan) })
	for _, name := range plan {
		part, ok := c.Action.Spec().Part(name)
		if !ok {
			t.Fatalf("the plan names the part %q, which is not declared", name)
		}
		t.Run(fmt.Sprintf("%s %s", name, part.Effect), func(t *testing.T) {
			switch part.Effect {
			case actions.Reads:
				t.Run("changes nothing", func(t *testing.T) { reads(t, open(t), name) })
				return
			case actions.Converges:
				t.Run("twice is once", func(t *testing.T) { converges(t, open(t), name) })
			case actions.Adds:
				t.Run("is found after a lost answer and not before", func(t *testing.T) { adds(t, open(t), name) })
			case actions.Once:
				t.Run("a lost answer leaves it unknown", func(t *testing.T) { once(t, open(t), name) })
			}
			t.Run("changes only what it announces", func(t *testing.T) { touches(t, open(t), name) })
			t.Run("a refusal is certain", func(t *testing.T) { refused(t, open(t), name) })
		})
	}
	if part, ok := c.Action.Spec().Awaiting(); ok {
		t.Run(part.Name+" awaits", func(t *testing.T) { awaits(t, open(t), plan, part.Name) })
	}
}

// awaits looks at what the plan has started.
func awaits(t *testing.T, c Case, plan []string, name string) {
	var outs []json.RawMessage
	for _, part := range plan {
		outs = append(outs, c.do(t, part))
	}
	all, err := actions.Merge(outs...)
	if err != nil {
		t.Fatal(err)
	}
	before := c.World.State(t)
	call := c.call(t, name, "this step")
	call.Started = all
	out, err := c.Action.Do(t.Context(), call)
	if err == nil {
		c.fits(t, out)
	} else if f := actions.FaultOf(err); f.Code != actions.CodeNotYet || !f.Retry || f.Unknown {
		t.Errorf("the look at what was started says %+v", *f)
	}
	same(t, "state", before, c.World.State(t))
	c.fits(t, c.Action.Preview(name, c.input(t)))
}

func (c Case) input(t *testing.T) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(c.Input)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// call is an attempt of a step. Another step has another key.
func (c Case) call(t *testing.T, part, step string) actions.Call {
	t.Helper()
	return actions.Call{Key: "key of " + step, RequestID: "6c1f3b0a-6a8e-8e56-9d2c-5b6a2f0d9e11", Tenant: "contoso",
		Playbook: "test", Run: "r1", Part: part, Input: c.input(t)}
}

func (c Case) do(t *testing.T, part string) json.RawMessage {
	t.Helper()
	out, err := c.Action.Do(t.Context(), c.call(t, part, "this step"))
	if err != nil {
		t.Fatalf("do %s: %v", part, err)
	}
	return out
}

func (c Case) probe(t *testing.T, part, step string) (json.RawMessage, bool) {
	t.Helper()
	out, happened, err := c.Action.Probe(t.Context(), c.call(t, part, step))
	if err != nil {
		t.Fatalf("probe %s: %v", part, err)
	}
	return out, happened
}

// fits checks an output against the action's schema.
func (c Case) fits(t *testing.T, out json.RawMessage) {
	t.Helper()
	var v any
	if err := actions.DecodeStrict(out, &v); err != nil {
		t.Fatalf("output is not JSON: %v: %s", err, out)
	}
	found, err := actions.Check(c.Action.Spec().Output, v)
	if err != nil {
		t.Fatal(err)
	}
	for _, violation := range found {
		t.Errorf("output: %v", violation)
	}
}

func refusesInput(t *testing.T, c Case, part string) {
	before := c.World.Requests()
	var fields map[string]any
	if err := json.Unmarshal(c.input(t), &fields); err != nil {
		t.Fatal(err)
	}
	fields["nobodyKnowsThis"] = true
	c.Input = fields
	_, err := c.Action.Do(t.Context(), c.call(t, part, "this step"))
	if err == nil {
		t.Fatal("an unknown field was accepted")
	}
	if f := actions.FaultOf(err); f.Code != actions.CodeInput || f.Unknown || f.Retry || !strings.Contains(f.Message, "nobodyKnowsThis") {
		t.Errorf("fault is %+v, want a certain one with code %q that names the field", *f, actions.CodeInput)
	}
	if got := c.World.Requests(); got != before {
		t.Errorf("%d requests arrived", got-before)
	}
}

func previews(t *testing.T, c Case, plan []string) {
	state := c.World.State(t)
	before := c.World.Requests()
	for _, part := range plan {
		c.Action.Touches(part, c.input(t))
		c.fits(t, c.Action.Preview(part, c.input(t)))
	}
	if got := c.World.Requests(); got != before {
		t.Errorf("%d requests arrived", got-before)
	}
	same(t, "state", state, c.World.State(t))
}

func merges(t *testing.T, c Case, plan []string) {
	var outs []json.RawMessage
	for _, part := range plan {
		out := c.do(t, part)
		c.fits(t, out)
		outs = append(outs, out)
	}
	all, err := actions.Merge(outs...)
	if err != nil {
		t.Fatal(err)
	}
	c.fits(t, all)
}

func reads(t *testing.T, c Case, part string) {
	before := c.World.State(t)
	c.do(t, part)
	same(t, "state", before, c.World.State(t))
	if touched := c.Action.Touches(part, c.input(t)); len(touched) > 0 {
		t.Errorf("a part that reads announces changes: %v", touched)
	}
}

func converges(t *testing.T, c Case, part string) {
	c.World.LoseAnswer(t)
	lost(t, c, part)
	first := c.World.State(t)
	again := c.do(t, part)
	same(t, "state after the second time", first, c.World.State(t))
	third := c.do(t, part)
	same(t, "state after the third time", first, c.World.State(t))
	c.fits(t, again)
	c.fits(t, third)
}

func adds(t *testing.T, c Case, part string) {
	if _, happened := c.probe(t, part, "this step"); happened {
		t.Fatal("the probe finds what has not happened")
	}
	before := c.World.State(t)
	c.World.LoseAnswer(t)
	lost(t, c, part)
	after := c.World.State(t)
	if cmp.Equal(before, after) {
		t.Fatal("nothing changed: the case proves nothing")
	}
	out, happened := c.probe(t, part, "this step")
	if !happened {
		t.Fatal("the probe does not find what happened")
	}
	c.fits(t, out)
	if _, happened := c.probe(t, part, "another step"); happened != c.ByState {
		t.Errorf("the probe of another step says %v, want %v", happened, c.ByState)
	}
	same(t, "state after the probes", after, c.World.State(t))
}

func once(t *testing.T, c Case, part string) {
	if _, _, err := c.Action.Probe(t.Context(), c.call(t, part, "this step")); err == nil {
		t.Error("a part that must not be repeated has a probe: then it adds")
	}
	before := c.World.Requests()
	c.World.LoseAnswer(t)
	lost(t, c, part)
	if got := c.World.Requests() - before; got != 1 {
		t.Errorf("%d requests arrived, want 1", got)
	}
}

// lost performs a part whose answer does not arrive.
func lost(t *testing.T, c Case, part string) {
	t.Helper()
	_, err := c.Action.Do(t.Context(), c.call(t, part, "this step"))
	if err == nil {
		t.Fatal("there was no lost answer")
	}
	if f := actions.FaultOf(err); !f.Unknown {
		t.Fatalf("after a lost answer the fault claims that nothing happened: %+v", *f)
	}
}

func refused(t *testing.T, c Case, part string) {
	before := c.World.State(t)
	c.World.Refuse(t)
	_, err := c.Action.Do(t.Context(), c.call(t, part, "this step"))
	if err == nil {
		t.Fatal("the refusal was taken for success")
	}
	if f := actions.FaultOf(err); f.Unknown || !f.Retry {
		t.Errorf("fault is %+v, want a certain one after which another attempt may help", *f)
	}
	same(t, "state", before, c.World.State(t))
	c.do(t, part) // and so it does
}

func touches(t *testing.T, c Case, part string) {
	announced := c.Action.Touches(part, c.input(t))
	c.do(t, part)
	for _, change := range c.World.Changes(t) {
		if c.Aside != nil && c.Aside(change.Object) {
			continue
		}
		i := slices.IndexFunc(announced, func(touch actions.Touch) bool { return touch.Object == change.Object })
		if i < 0 {
			t.Errorf("%s changed, which nobody announced", change.Object)
			continue
		}
		if change.Comment && !announced[i].Comment {
			t.Errorf("%s got a comment that nobody announced", change.Object)
		}
		for field, value := range change.Fields {
			want, named := announced[i].Fields[field]
			switch {
			case slices.Contains(announced[i].Derived, field):
			case !named:
				t.Errorf("%s.%s changed, which nobody announced", change.Object, field)
			default:
				same(t, change.Object+"."+field, plain(t, want), plain(t, value))
			}
		}
	}
}

// plain is a value as JSON has it.
func plain(t *testing.T, v any) any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
