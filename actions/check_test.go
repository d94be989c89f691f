package actions_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/actions"
)

// sample is an input with one field of each kind.
type sample struct {
	Alert  string                    `json:"alert" play:"min=1;max=8;doc=Which alert."`
	Status string                    `json:"status,omitempty" play:"enum=new|inProgress|resolved;retired=old;doc=The status; one of three."`
	Owner  actions.Nullable[string]  `json:"owner,omitzero" play:"doc=Null clears."`
	Kind   actions.Nullable[string]  `json:"kind,omitzero" play:"enum=a|b"`
	Top    int                       `json:"top,omitempty" play:"min=1;max=10;default=5"`
	Ratio  float64                   `json:"ratio,omitempty"`
	On     bool                      `json:"on,omitempty"`
	Tags   []string                  `json:"tags,omitempty" play:"max=3;enum=x|y|z"`
	Facts  map[string]actions.Scalar `json:"facts,omitempty" play:"max=2"`
	Key    actions.SecretRef         `json:"key,omitempty"`
	Body   json.RawMessage           `json:"body,omitempty"`
	Deep   *deep                     `json:"deep,omitempty"`
}

type deep struct {
	_ struct{} `play:"open"`

	List []deepest `json:"list" play:"min=1"`
}

type deepest struct {
	Name string `json:"name" play:"example=n"`
}

// done is the output that goes with it.
type done struct {
	ID string `json:"id"`
}

func sampleSchema() *actions.Schema {
	return define(actions.Doing[sample, done]{Part: actions.Part{Name: "p", Effect: actions.Reads}, Do: doNothing}).Spec().Input
}

func messages(t *testing.T, s *actions.Schema, v any) []string {
	t.Helper()
	found, err := actions.Check(s, v)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range found {
		all = append(all, f.String())
	}
	return all
}

func TestEveryMistakeIsReportedAtItsPlaceInPlainWords(t *testing.T) {
	t.Parallel()
	wrong := map[string]any{
		"statsu": 1, "status": "resolvd", "owner": 3, "kind": "c", "top": 99, "ratio": "x", "on": "yes", "tags": []any{1, "x", "y", "w"},
		"facts": map[string]any{"a": []any{}}, "key": "hunter2", "deep": map[string]any{"list": []any{map[string]any{}}, "more": 1},
	}
	want := []string{
		`missing field "alert": Which alert.`,
		`deep.list.0: missing field "name"`,
		`facts.a: must be text or a number or true or false or null, not a list`,
		`key: must be a secret: write ${{ secrets.NAME }}`,
		`kind: must be one of a, b, null, not "c" (did you mean "a"?)`,
		`on: must be true or false, not text`,
		`owner: must be text or null, not a number: put it in quotes`,
		`ratio: must be a number, not text`,
		`statsu: unknown field "statsu" (did you mean "status"?)`,
		`status: must be one of new, inProgress, resolved, not "resolvd" (did you mean "resolved"?)`,
		`tags: must have at most 3 items, has 4`,
		`tags.0: must be text, not a number: put it in quotes`,
		`tags.3: must be one of x, y, z, not "w" (did you mean "x"?)`,
		`top: must be at most 10, is 99`,
	}
	s := sampleSchema()
	for name, schema := range map[string]*actions.Schema{"value": s, "authoring": actions.AuthoringSchema(s)} {
		got := slices.Sorted(slices.Values(messages(t, schema, wrong)))
		if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
			t.Errorf("%s schema (-want +got):\n%s", name, diff)
		}
	}
}

func TestARetiredValueIsExplained(t *testing.T) {
	t.Parallel()
	got := messages(t, sampleSchema(), map[string]any{"alert": "a", "status": "old"})
	if len(got) != 1 || !strings.Contains(got[0], "is retired") {
		t.Errorf("got %q", got)
	}
}

func TestAValueThatIsNoJSONIsAnErrorAndNoPanic(t *testing.T) {
	t.Parallel()
	for _, v := range []any{math.NaN(), math.Inf(1), make(chan int), func() {}} {
		if _, err := actions.Check(sampleSchema(), map[string]any{"alert": v}); err == nil {
			t.Errorf("%v was checked", v)
		}
	}
	if _, err := actions.Check(nil, 1); err == nil {
		t.Error("nothing was checked against")
	}
}

func TestASchemaLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"file:///etc/passwd", "https://contoso.example/schema.json"} {
		if _, err := actions.Check(&actions.Schema{Ref: ref}, 1); err == nil || !strings.Contains(err.Error(), "stand alone") {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestAFloodOfMistakesIsCut(t *testing.T) {
	t.Parallel()
	for _, n := range []int{actions.MaxViolations, actions.MaxViolations + 1} {
		fields := map[string]any{"alert": "a"}
		for i := range n {
			fields[fmt.Sprintf("unknown%d", i)] = 1
		}
		if got := messages(t, sampleSchema(), fields); len(got) != actions.MaxViolations {
			t.Errorf("%d mistakes give %d violations", n, len(got))
		}
	}
}

func TestHostileValuesAreShortInMessages(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x\u202e", 10_000)
	for _, v := range []map[string]any{{"alert": "a", "status": long}, {"alert": "a", long: 1}, {"alert": "a", "key": long}} {
		found, err := actions.Check(sampleSchema(), v)
		if err != nil || len(found) != 1 {
			t.Fatalf("%v, %v", found, err)
		}
		if len(found[0].Message) > 1000 {
			t.Errorf("a message has %d bytes", len(found[0].Message))
		}
	}
}

// document draws a value that fits the sample's schema, and sometimes one that does not.
func document(t *rapid.T) map[string]any {
	word := rapid.SampledFrom([]string{"new", "resolved", "old", "x", "y", "a", "b", "", "${{ x }}", "secret:k", "long enough text"})
	scalar := rapid.OneOf(rapid.Map(word, func(s string) any { return s }), rapid.Map(rapid.IntRange(-2, 12), func(n int) any { return n }),
		rapid.SampledFrom([]any{true, nil, 1.5}))
	list := rapid.Map(rapid.SliceOfN(scalar, 0, 4), func(s []any) any { return s })
	object := rapid.Map(rapid.MapOfN(word, scalar, 0, 3), func(m map[string]any) any { return m })
	nested := rapid.Map(rapid.SliceOfN(scalar, 0, 3), func(names []any) any {
		rows := []any{}
		for _, n := range names {
			rows = append(rows, map[string]any{"name": n})
		}
		return map[string]any{"list": rows}
	})
	v := map[string]any{"alert": "a"}
	for _, field := range []string{"alert", "status", "owner", "kind", "top", "ratio", "on", "tags", "facts", "key", "body", "deep", "other"} {
		if rapid.IntRange(0, 3).Draw(t, "use "+field) == 0 {
			v[field] = rapid.OneOf(scalar, list, object, nested).Draw(t, field)
		}
	}
	return v
}

func TestWhatTheValueSchemaAcceptsTheAuthoringSchemaAcceptsToo(t *testing.T) {
	t.Parallel()
	s := sampleSchema()
	authoring := actions.AuthoringSchema(s)
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		v := document(t)
		strict, err := actions.Check(s, v)
		if err != nil {
			t.Fatal(err)
		}
		if len(strict) > 0 { // what is left without the wrong fields is right more often than not
			for _, wrong := range strict {
				for _, field := range wrong.Path[:min(1, len(wrong.Path))] {
					delete(v, field)
				}
			}
			v["alert"] = "a"
			if strict, err = actions.Check(s, v); err != nil {
				t.Fatal(err)
			}
		}
		loose, err := actions.Check(authoring, v)
		if err != nil {
			t.Fatal(err)
		}
		if len(strict) > 0 {
			return
		}
		accepted++
		if len(loose) > 0 {
			t.Fatalf("refused as written: %v", loose)
		}
		// And with any one value replaced by an expression it may still be written.
		for field := range v {
			changed := maps.Clone(v)
			changed[field] = "${{ event.x }}"
			if found, err := actions.Check(authoring, changed); err != nil || len(found) > 0 {
				t.Fatalf("%s as an expression: %v, %v", field, found, err)
			}
		}
	})
	if accepted == 0 {
		t.Error("no value was accepted: the property was never tested")
	}
}

func TestAnAuthoringSchemaLeavesItsSourceAlone(t *testing.T) {
	t.Parallel()
	s := &actions.Schema{
		Type:       "object",
		Properties: map[string]*actions.Schema{"a": {Description: "d", OneOf: []*actions.Schema{{Type: "string"}, {Type: "integer"}}}},
		AllOf:      []*actions.Schema{{Properties: map[string]*actions.Schema{"b": {Type: "integer"}}}},
	}
	before, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	authoring := actions.AuthoringSchema(s)
	after, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("the source changed:\n%s", diff)
	}
	for _, v := range []any{map[string]any{"a": "${{ x }}", "b": "${{ y }}"}, map[string]any{"a": 1, "b": 2}, map[string]any{"a": "text"}} {
		if got := messages(t, authoring, v); len(got) > 0 {
			t.Errorf("%v: %v", v, got)
		}
	}
	if got := messages(t, authoring, map[string]any{"a": true, "b": "text"}); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

func FuzzCheckNeverPanics(f *testing.F) {
	f.Add(`{"alert": "a", "tags": ["x"], "deep": {"list": [{"name": "n"}]}}`)
	f.Add(`{"alert": {"$ref": "#"}, "facts": {"a": 1e400}}`)
	f.Add(`[[[[[[]]]]]]`)
	s := sampleSchema()
	authoring := actions.AuthoringSchema(s)
	f.Fuzz(func(t *testing.T, text string) {
		var v any
		if actions.DecodeStrict([]byte(text), &v) != nil {
			return
		}
		strict, err := actions.Check(s, v)
		if err != nil {
			t.Skip()
		}
		loose, err := actions.Check(authoring, v)
		if err != nil || len(strict) == 0 && len(loose) > 0 {
			t.Errorf("%s: as written %v, %v", text, loose, err)
		}
	})
}
