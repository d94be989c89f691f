package notify

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/actions"
)

// drawn is a message of hostile texts of any length.
func drawn(t *rapid.T) message {
	evil := rapid.SampledFrom([]string{"<!channel>", "**b**", "[x](http://evil.example)", "{{DATE(2026-01-01)}}", "\u202e", "\x00", "<at>all</at>",
		"&", "\"", "\\", "\n", "ä", "界", "\u200b", "plain ", "`", "{{{{", "\xff", "<https://evil.example|ok>"})
	text := rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(evil, 0, 6).Draw(t, "parts")
		return strings.Repeat(strings.Join(parts, ""), rapid.SampledFrom([]int{0, 1, 3, 80, 1500}).Draw(t, "times"))
	})
	facts := map[string]actions.Scalar{}
	for range rapid.IntRange(0, 20).Draw(t, "facts") {
		facts[text.Draw(t, "name")+rapid.StringN(0, 3, -1).Draw(t, "more")] = actions.Scalar(text.Draw(t, "value"))
	}
	return message{Channel: "c", Title: actions.Scalar(text.Draw(t, "title")), Text: actions.Scalar(text.Draw(t, "text")), Facts: facts}
}

// texts collects every string of a payload by the type of the object that holds it.
func texts(v any, found map[string][]string) {
	switch v := v.(type) {
	case map[string]any:
		if text, ok := v["text"].(string); ok {
			kind, _ := v["type"].(string)
			found[kind] = append(found[kind], text)
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			texts(v[name], found)
		}
	case []any:
		for _, e := range v {
			texts(e, found)
		}
	}
}

// sentAs is a payload as the other side reads it.
func sentAs(t *rapid.T, payload any) (size int, found map[string][]string) {
	data, err := encode(payload)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	found = map[string][]string{}
	texts(v, found)
	return len(data), found
}

func TestWhateverIsSaidTeamsTakesItAndReadsNoMarkup(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size, found := sentAs(t, card(drawn(t)))
		if size > MaxTeamsBytes {
			t.Fatalf("the message has %d bytes", size)
		}
		for kind, all := range found {
			if kind != "TextRun" {
				t.Fatalf("text stands in a %q, which knows markdown", kind)
			}
			for _, text := range all {
				if strings.Contains(text, "{{") || strings.ContainsAny(text, "\u202e\x00\u200b\r") {
					t.Fatalf("%q", text)
				}
			}
		}
	})
}

func TestWhateverIsSaidSlackTakesItAndReadsNoMarkup(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := drawn(t)
		_, found := sentAs(t, blocks(m))
		for kind, all := range found {
			if kind != "plain_text" && kind != "" { // "" is the fallback
				t.Fatalf("text stands in a %q, which knows formatting", kind)
			}
			for i, text := range all {
				limit := maxSlackText
				if i == 0 {
					limit = maxSlackTitle
				}
				if strings.ContainsAny(text, "<>\u202e\x00\u200b") || utf8.RuneCountInString(text) > limit {
					t.Fatalf("%d characters: %q", utf8.RuneCountInString(text), text)
				}
			}
		}
	})
}

func TestALongTextIsCutVisiblyAtItsLimit(t *testing.T) {
	t.Parallel()
	one := func(rune) int { return 1 }
	if got := fit(strings.Repeat("a", 100), 100, one); got != strings.Repeat("a", 100) {
		t.Errorf("a text at the limit is cut: %q", got)
	}
	got := fit(strings.Repeat("a", 101), 100, one)
	if !strings.HasSuffix(got, "… [33 more characters]") || utf8.RuneCountInString(got) > 100 {
		t.Errorf("got %q", got)
	}
}

func TestATextIsShownAsItIs(t *testing.T) {
	t.Parallel()
	if got := escaped(plain("Tom & <b>Jerry</b> *x* _y_"), 100); got != "Tom &amp; &lt;b&gt;Jerry&lt;/b&gt; *x* _y_" {
		t.Errorf("Slack gets %q", got)
	}
	if got := plain("a\u202eb\x1bc\td\ne\u200cf"); got != "abc\td\ne\u200cf" {
		t.Errorf("got %q", got)
	}
	if got := (message{Title: "\n \u202e"}).title(); got != "(no title)" {
		t.Errorf("got %q", got)
	}
}

func TestAChannelSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	good := Channel{Name: "soc", Kind: Teams, URL: actions.NewSecretRef("u")}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for _, c := range []Channel{{Kind: Teams, URL: good.URL}, {Name: "a", Kind: "mail", URL: good.URL}, {Name: "a", Kind: Slack}} {
		if c.Check() == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestAWrongChannelIsFoundAtLoad(t *testing.T) {
	t.Parallel()
	configured := Deps{Channels: []Channel{{Name: "soc", Kind: Teams, URL: actions.NewSecretRef("u")}}}
	for name, c := range map[string]struct {
		deps    Deps
		channel any
		found   int
	}{
		"right": {configured, "soc", 0}, "wrong": {configured, "sok", 1}, "an expression": {configured, "${{ x }}", 0},
		"nothing configured": {Deps{}, "sok", 0}, "no text": {configured, 7, 0},
	} {
		if got := c.deps.rule(Teams)(map[string]any{"channel": c.channel}); len(got) != c.found {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := configured.rule(Slack)(map[string]any{"channel": "soc"}); len(got) != 1 || !strings.Contains(got[0].Message, "notify.teams") {
		t.Errorf("got %v", got)
	}
}
