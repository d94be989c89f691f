package expression

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the scanner reads is what the standard library reads; what it does not, it leaves to it.
func FuzzScan(f *testing.F) {
	for _, text := range []string{
		`{"id":"a","n":1,"f":1.5,"e":-1e3,"big":123456789012345678901,"huge":1e999,"t":true,"z":null,"o":{"x":[1,"b",{}]},"l":[]}`,
		`{"severity":"HIGH","createdDateTime":"2026-11-22T02:02:32.1234567Z","at":"x","a":"\\u00e4\\n\\ud83d\\ude00\\ud800"}`,
		` [ ] `, `"x"`, `-0`, `01`, `1.`, `.5`, `+1`, `{"a":1,"a":2}`, `{"a":}`, `{,}`, `[1,]`, `{"a":1}}`, `nul`, `[`, `"`, "\"\x80\"", "\"\t\"", "{\"\\u0061\":1}", `[[[[]]]]`,
	} {
		f.Add(text)
	}
	event := Object(map[string]Type{"severity": Enum("low", "high"), "createdDateTime": Time, "l": List(Text), "o": Object(map[string]Type{"x": List(Time)})})
	f.Fuzz(func(t *testing.T, text string) {
		v, ok := scan([]byte(text), event)
		if !ok {
			return
		}
		want, err := decode(json.RawMessage(text), event)
		if err != nil {
			t.Fatalf("%s is read as %#v: %v", text, v, err)
		}
		if diff := cmp.Diff(want, v); diff != "" {
			t.Errorf("%s (-standard +scanned):\n%s", text, diff)
		}
	})
}

func TestUsualDocumentsAreScanned(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"a":[1,2.5,{"b":"c\\n"}],"d":null}`, `[]`, `7`, `"x"`, ` {} `} {
		if _, ok := scan([]byte(text), Any); !ok {
			t.Errorf("%s was left to the standard library", text)
		}
	}
}
