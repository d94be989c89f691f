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
		if got, want := Valid([]byte(text)), json.Valid([]byte(text)); got != want {
			t.Fatalf("%s: valid is %v, want %v", text, got, want)
		}
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

// Every single mistake that a slip of a byte can make is found.
func TestAMistakeInADocumentIsFoundWhereverItIs(t *testing.T) {
	t.Parallel()
	text := `{"a":[1,-2.5e3,{"b":"c\\n"}],"d":null,"e":true,"f":[],"g":{}} `
	for i := range len(text) {
		for _, c := range []byte("{}[]\",:\\ 0e.-tn\n\x00\xff") {
			wrong := []byte(text[:i] + string([]byte{c}) + text[i+1:])
			if got, want := Valid(wrong), json.Valid(wrong); got != want {
				t.Errorf("%q: valid is %v, want %v", wrong, got, want)
			}
		}
	}
}
