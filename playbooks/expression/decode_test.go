package expression_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/playbooks/expression"
)

func TestEventsBecomeValues(t *testing.T) {
	t.Parallel()
	typ := expression.OpenObject(map[string]expression.Type{
		"at": expression.Time, "list": expression.List(expression.OpenObject(map[string]expression.Type{"at": expression.Time})),
		"status": expression.Enum("new", "inProgress"), "times": expression.List(expression.Time),
	})
	for src, want := range map[string]any{
		`{"at":"2021-04-27T12:19:27.7211305Z"}`:         map[string]any{"at": time.Date(2021, 4, 27, 12, 19, 27, 721130500, time.UTC)},
		`{"at":"2021-04-27T12:19:27.721130512345Z"}`:    map[string]any{"at": time.Date(2021, 4, 27, 12, 19, 27, 721130512, time.UTC)},
		`{"at":"2021-04-27T14:19:27+02:00"}`:            map[string]any{"at": time.Date(2021, 4, 27, 12, 19, 27, 0, time.UTC)},
		`{"at":"soon","status":"INPROGRESS"}`:           map[string]any{"at": "soon", "status": "inProgress"},
		`{"at":null,"status":"brandNew","other":"x"}`:   map[string]any{"at": nil, "status": "brandNew", "other": "x"},
		`{"list":[{"at":"2021-04-27T12:19:27Z"},null]}`: map[string]any{"list": []any{map[string]any{"at": time.Date(2021, 4, 27, 12, 19, 27, 0, time.UTC)}, nil}},
		`{"times":["2021-04-27T12:19:27Z"]}`:            map[string]any{"times": []any{time.Date(2021, 4, 27, 12, 19, 27, 0, time.UTC)}},
		`{"n":[1,-2,1.5,1e3,9223372036854775807,9223372036854775808]}`: map[string]any{"n": []any{
			int64(1), int64(-2), 1.5, 1000.0, int64(9223372036854775807), 9223372036854775808.0}},
		`{"n":1e999}`: map[string]any{"n": "1e999"},
		`7`:           int64(7),
		`"x"`:         "x",
	} {
		got, err := expression.Decode(json.RawMessage(src), typ)
		if err != nil {
			t.Errorf("%s: %v", src, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", src, diff)
		}
	}
}

func TestWhatIsNotOneJSONValueIsRefused(t *testing.T) {
	t.Parallel()
	for _, src := range []string{``, `{`, `{} {}`, `{}x`, `nul`, `[1,]`, "\xff", `]`, `}}}}{{{{`} {
		if v, err := expression.Decode(json.RawMessage(src), expression.Any); err == nil {
			t.Errorf("%q became %v", src, v)
		}
	}
}
