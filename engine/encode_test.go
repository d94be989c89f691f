package engine_test

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

// someValue draws a value as expressions have them, with texts of all kinds.
func someValue(t *rapid.T, depth int) any {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z<>&"\\ é\x{2028}\n\x7f]{0,6}`), rapid.Just("\xff\xfe"))
	switch rapid.IntRange(0, 9-2*depth).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "truth")
	case 2:
		return rapid.Int64().Draw(t, "whole")
	case 3:
		return rapid.Float64Range(-1e30, 1e30).Draw(t, "number")
	case 4, 5:
		return text.Draw(t, "text")
	case 6, 7:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "items"))
		for i := range list {
			list[i] = someValue(t, min(depth+1, 2))
		}
		return list
	}
	fields := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "fields") {
		fields[text.Draw(t, "name")] = someValue(t, min(depth+1, 2))
	}
	return fields
}

func TestAnInputIsWrittenAsTheStandardLibraryWritesIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := someValue(t, 0)
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := engine.InputJSON(v); err != nil || string(got) != string(want) {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	})
}

func TestTimesAndDurationsAreWrittenAsPeopleDo(t *testing.T) {
	t.Parallel()
	got, err := engine.InputJSON(map[string]any{"at": time.Date(2026, 11, 22, 2, 0, 0, 500, time.UTC), "for": []any{90 * time.Minute}})
	if want := `{"at":"2026-11-22T02:00:00.0000005Z","for":["1h30m"]}`; err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestIntentsAndOutcomesAreWrittenAsTheStandardLibraryWritesThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := func(name string) json.RawMessage {
			if rapid.Bool().Draw(t, "no "+name) {
				return nil
			}
			v, err := json.Marshal(someValue(t, 0))
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		text := rapid.String()
		intent := engine.IntentData{
			Key: text.Draw(t, "key"), RequestID: text.Draw(t, "request"), Effect: actions.Effect(text.Draw(t, "effect")),
			Probe: rapid.Bool().Draw(t, "probe"), Parts: rapid.SliceOf(text).Draw(t, "parts"), Input: raw("input"),
		}
		outcome := engine.OutcomeData{
			Status: rapid.SampledFrom([]engine.OutcomeStatus{engine.Took, engine.Faulty, engine.Absent, engine.Dry}).Draw(t, "status"),
			Probe:  intent.Probe, Interrupted: rapid.Bool().Draw(t, "interrupted"), Parts: intent.Parts, Input: intent.Input, Output: raw("output"),
		}
		if rapid.Bool().Draw(t, "limits") {
			intent.Limits = []engine.Counted{{Playbook: text.Draw(t, "playbook"), Limit: "5/1h", Count: 4}}
			outcome.Limits = intent.Limits
		}
		if rapid.Bool().Draw(t, "fault") {
			outcome.Fault = &actions.Fault{Code: text.Draw(t, "code"), Message: text.Draw(t, "message"), Retry: true, After: time.Second}
		}
		for _, v := range []any{intent, outcome} {
			want, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if got := engine.Encode(v); string(got) != string(want) {
				t.Errorf("%s\nwant %s", got, want)
			}
		}
	})
}
