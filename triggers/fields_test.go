package triggers

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzTopFields compares with the standard library, which reads all of it.
func FuzzTopFields(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"id":"a"}`, ` { "id" : "a" , "title":"b\\\"c" , "n":1.5e3,"o":{"id":"inner","x":[1,"]}"]},"t":true,"z":null } `,
		`{"id":1,"id":"two"}`, `{"\u0069d":"escaped"}`, `{"a":"\\"}`, `{"a":"\\\"","b":2}`, `[]`, `"x"`, `7`, `null`, `{"":""}`, `{"a":[],"b":{}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			topFields([]byte(text), func(string, []byte) {}) // must only not panic
			return
		}
		var want map[string]json.RawMessage
		_ = json.Unmarshal([]byte(text), &want) // what is no object has no fields
		got := map[string]json.RawMessage{}
		topFields([]byte(text), func(name string, value []byte) {
			got[name] = value
			var s string
			if value[0] == '"' && (json.Unmarshal(value, &s) != nil || plainText(value) != s) {
				t.Errorf("%s: %q is not %q", value, plainText(value), s)
			}
		})
		if len(got) > 0 || len(want) > 0 {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", text, diff)
			}
		}
	})
}
