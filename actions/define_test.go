package actions_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
)

func doNothing(context.Context, actions.Call, sample) (done, error) { return done{}, nil }

func findNothing(context.Context, actions.Call, sample) (done, bool, error) {
	return done{}, false, nil
}

func define(parts ...actions.Doing[sample, done]) actions.Action {
	return actions.Define(actions.Spec{Name: "test.action", Summary: "Tests."}, parts...)
}

func TestAMistakenDeclarationStopsTheProgramAtItsStart(t *testing.T) {
	t.Parallel()
	type doing = actions.Doing[sample, done]
	part := func(name string, e actions.Effect) actions.Part { return actions.Part{Name: name, Effect: e} }
	fine := doing{Part: part("p", actions.Reads), Do: doNothing}
	for name, declare := range map[string]func(){
		"no parts":           func() { define() },
		"no effect":          func() { define(doing{Part: part("p", ""), Do: doNothing}) },
		"unknown effect":     func() { define(doing{Part: part("p", "maybe"), Do: doNothing}) },
		"no Do":              func() { define(doing{Part: part("p", actions.Reads)}) },
		"adds without probe": func() { define(doing{Part: part("p", actions.Adds), Do: doNothing}) },
		"once with probe":    func() { define(doing{Part: part("p", actions.Once), Do: doNothing, Probe: findNothing}) },
		"reads and touches": func() {
			define(doing{Part: part("p", actions.Reads), Do: doNothing, Touches: func(sample) []actions.Touch { return nil }})
		},
		"the same part twice":    func() { define(fine, fine) },
		"the same action twice":  func() { actions.NewRegistry(define(fine), define(fine)) },
		"a name like a sentence": func() { actions.Define(actions.Spec{Name: "Do it", Summary: "s"}, fine) },
		"no summary":             func() { actions.Define(actions.Spec{Name: "a.b"}, fine) },
		"an unreadable tag": func() {
			type in struct {
				A string `json:"a" play:"sort=x"`
			}
			actions.Define(actions.Spec{Name: "a.b", Summary: "s"}, actions.Doing[in, done]{Part: part("p", actions.Reads),
				Do: func(context.Context, actions.Call, in) (done, error) { return done{}, nil }})
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			declare()
		}()
	}
}

// guarded is an action that counts how often it is reached.
func guarded(reached *int) actions.Action {
	return actions.Define(actions.Spec{Name: "test.action", Summary: "Tests.", Rule: func(in map[string]any) []actions.Violation {
		if in["alert"] == "bad" {
			return []actions.Violation{actions.Violationf("alert", "is bad: use a good one")}
		}
		return nil
	}}, actions.Doing[sample, done]{
		Part: actions.Part{Name: "p", Effect: actions.Adds},
		When: func(in sample) bool { return in.Top != 7 },
		Do: func(_ context.Context, c actions.Call, in sample) (done, error) {
			*reached++
			c.Log.Info("heard") // there is always a logger
			return done{ID: in.Alert}, nil
		},
		Probe: func(_ context.Context, _ actions.Call, in sample) (done, bool, error) {
			*reached++
			return done{ID: in.Alert}, in.On, nil
		},
	})
}

func TestInputThatDoesNotFitNeverReachesAPart(t *testing.T) {
	t.Parallel()
	reached := 0
	a := guarded(&reached)
	for _, text := range []string{
		``, `null`, `[]`, `{}`, `{"alert": "a"} {}`, `{"alert": "bad"}`, `{"alert": "a", "Alert": "b"}`, `{"alert": "123456789"}`,
		`{"alert": "a", "nope": 1}`, `{"alert": 1}`, `{"alert": "a", "top": 1.5}`, `{"alert": "a", "owner": {}}`, `{"alert": "a", "key": "${{ x }}"}`,
	} {
		input := json.RawMessage(text)
		_, planned := a.Plan(input)
		_, did := a.Do(t.Context(), actions.Call{Part: "p", Input: input})
		_, _, probed := a.Probe(t.Context(), actions.Call{Part: "p", Input: input})
		for what, err := range map[string]error{"plan": planned, "do": did, "probe": probed} {
			if err == nil {
				t.Errorf("%s of %s: no error", what, text)
			} else if f := actions.FaultOf(err); f.Code != actions.CodeInput || f.Unknown || f.Retry {
				t.Errorf("%s of %s: %+v", what, text, f)
			}
		}
		if a.Touches("p", input) != nil || a.Preview("p", input) != nil {
			t.Errorf("%s is previewed", text)
		}
	}
	if _, err := a.Do(t.Context(), actions.Call{Part: "q", Input: json.RawMessage(`{"alert": "a"}`)}); err == nil {
		t.Error("an unknown part was done")
	}
	if _, err := a.Do(t.Context(), actions.Call{Part: "p", Input: json.RawMessage(`{"alert": "a", "top": 7}`)}); err == nil {
		t.Error("a part was done that this input does not take")
	}
	if _, err := a.Plan(json.RawMessage(`{"alert": "a", "top": 7}`)); err == nil {
		t.Error("an input that takes no part was planned")
	}
	if reached != 0 {
		t.Fatalf("the part was reached %d times", reached)
	}
}

func TestInputThatFitsReachesItsPart(t *testing.T) {
	t.Parallel()
	reached := 0
	a := guarded(&reached)
	call := actions.Call{Part: "p", Input: json.RawMessage(`{"alert": "a"}`)}
	if out, err := a.Do(t.Context(), call); err != nil || string(out) != `{"id":"a"}` {
		t.Errorf("do gives %s, %v", out, err)
	}
	if _, happened, err := a.Probe(t.Context(), call); happened || err != nil {
		t.Errorf("the probe finds what is not there: %v", err)
	}
	call.Input = json.RawMessage(`{"alert": "a", "on": true}`)
	if out, happened, err := a.Probe(t.Context(), call); !happened || err != nil || string(out) != `{"id":"a"}` {
		t.Errorf("the probe gives %s, %v, %v", out, happened, err)
	}
	if reached != 3 {
		t.Errorf("the part was reached %d times", reached)
	}
}

func TestTheRulesWordsWinOverTheSchemas(t *testing.T) {
	t.Parallel()
	s := define(actions.Doing[sample, done]{Part: actions.Part{Name: "p", Effect: actions.Reads}, Do: doNothing}).Spec()
	s.Rule = func(map[string]any) []actions.Violation {
		return []actions.Violation{actions.Violationf("status", "is better left out"), actions.Violationf("", "a bad day")}
	}
	authoring := actions.AuthoringSchema(s.Input)
	want := []string{`ratio: must be a number, not text`, `status: is better left out`, `a bad day`}
	for name, check := range map[string]func(any) ([]actions.Violation, error){
		"input":   func(v any) ([]actions.Violation, error) { return actions.CheckInput(s, v) },
		"written": func(v any) ([]actions.Violation, error) { return actions.CheckWritten(s, authoring, v) },
	} {
		found, err := check(map[string]any{"alert": "a", "status": "wrong", "ratio": "x"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range found {
			got = append(got, v.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAnUnknownActionSuggestsTheRightOne(t *testing.T) {
	t.Parallel()
	r := actions.NewRegistry(define(actions.Doing[sample, done]{Part: actions.Part{Name: "p", Effect: actions.Reads}, Do: doNothing}))
	_, err := r.Lookup("test.acton")
	unknown, ok := errors.AsType[*actions.UnknownError](err)
	if !ok || unknown.Closest != "test.action" || !strings.Contains(err.Error(), `did you mean "test.action"?`) {
		t.Errorf("got %v", err)
	}
	if _, err := r.Lookup(strings.Repeat("z", 1<<20)); err == nil {
		t.Error("found")
	}
}

func TestPermissionsAreTheUnionOfTheParts(t *testing.T) {
	t.Parallel()
	s := actions.Spec{Parts: []actions.Part{{Permissions: []string{"b", "a"}}, {Permissions: []string{"b", "c"}}, {}}}
	if diff := cmp.Diff([]string{"a", "b", "c"}, s.Permissions()); diff != "" {
		t.Error(diff)
	}
}

func TestAnAbsentFieldIsNotNullAndNullIsNotEmpty(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{`{"alert":"a"}`: "absent", `{"alert":"a","owner":null}`: "null",
		`{"alert":"a","owner":""}`: "value", `{"alert":"a","owner":"x"}`: "value"} {
		var in sample
		if err := actions.DecodeStrict([]byte(text), &in); err != nil {
			t.Fatal(err)
		}
		got := "absent"
		if _, ok := in.Owner.Get(); ok {
			got = "value"
		} else if in.Owner.IsNull() {
			got = "null"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		again, err := json.Marshal(in)
		if err != nil || string(again) != text {
			t.Errorf("%s becomes %s, %v", text, again, err)
		}
	}
}

func TestOutputsOfPartsAreOneObject(t *testing.T) {
	t.Parallel()
	got, err := actions.Merge(json.RawMessage(`{"a":1,"b":2}`), nil, json.RawMessage(`{"a":null,"b":3,"c":4}`))
	if err != nil || string(got) != `{"a":1,"b":3,"c":4}` {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := actions.Merge(json.RawMessage(`{}`), json.RawMessage(`[]`)); err == nil {
		t.Error("a list was merged")
	}
}
