package actions_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/actions"
)

func TestACommentIsFoundByItsOwnKeyAndNoOther(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text, key, other := rapid.String().Draw(t, "text"), rapid.String().Draw(t, "key"), rapid.String().Draw(t, "other")
		written := actions.Mark(text, key)
		if !actions.Marked(written, key) || !actions.Marked(written+"\r\n", key) {
			t.Fatalf("%q is not found", written)
		}
		if key != other && actions.Marked(written, other) {
			t.Fatalf("%q is found by another key", written)
		}
		// A comment that quotes another one does not pass for it.
		if key != other && actions.Marked(actions.Mark(written, other), key) {
			t.Fatalf("a quotation passes for the original")
		}
		if !utf8.ValidString(written) || utf8.RuneCountInString(written) > actions.MaxMarked {
			t.Fatalf("%d characters", utf8.RuneCountInString(written))
		}
	})
}

func TestALongCommentIsCutVisiblyAndKeepsItsMarker(t *testing.T) {
	t.Parallel()
	room := actions.MaxMarked - utf8.RuneCountInString(actions.Marker("k"))
	for n, cut := range map[int]bool{room: false, room + 1: true, 10 * actions.MaxMarked: true} {
		written := actions.Mark(strings.Repeat("ä", n), "k")
		if utf8.RuneCountInString(written) > actions.MaxMarked || strings.Contains(written, "[cut]") != cut || !actions.Marked(written, "k") {
			t.Errorf("of %d characters %d are written, cut %v", n, utf8.RuneCountInString(written), strings.Contains(written, "[cut]"))
		}
	}
}

// FuzzMark marks any text: the marker is found by its key alone, also after the service trimmed the comment, and a text
// that quotes markers passes for none.
func FuzzMark(f *testing.F) {
	f.Add("Closed by us.", "k1", "k2")
	f.Add("", "", "x")
	f.Add("quotes another\n[playbookd 0123456789ab]", "k", "")
	f.Add("quotes itself"+actions.Marker("k")+" and goes on", "k2", "k")
	f.Add(strings.Repeat("ü", 2*actions.MaxMarked), "k", "l")
	f.Add("\xff\u2028[playbookd \u202e", "\x00", "\xff")
	f.Fuzz(func(t *testing.T, text, key, other string) {
		marked := actions.Mark(text, key)
		if !actions.Marked(marked, key) || !actions.Marked(" "+marked+"\r\n", key) || actions.Marked(marked, other) && key != other {
			t.Errorf("%q marked with %q is %q", text, key, marked)
		}
		if utf8.RuneCountInString(marked) > actions.MaxMarked || !utf8.ValidString(marked) {
			t.Errorf("%d characters", utf8.RuneCountInString(marked))
		}
		if actions.Marked(actions.Mark(marked+" quoted", other), key) && key != other {
			t.Errorf("a quotation of %q passes for it", marked)
		}
	})
}
