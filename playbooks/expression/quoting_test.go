package expression_test

import (
	"encoding/csv"
	"html"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestQuotingMakesOneLiteral(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`kql("a\"b\\c'd\ne")`:                     `"a\"b\\c\'d\ne"`,
		`kql(["a", 1, true, nil])`:                `"a", 1, true, dynamic(null)`,
		`kql([])`:                                 `dynamic([])`,
		`kql(now())`:                              `datetime(2027-03-31T08:00:00Z)`,
		`kql("x\") | take 1 //")`:                 `"x\") | take 1 //"`,
		`odata("O'Neil")`:                         `'O''Neil'`,
		`odata(["a", 2])`:                         `'a', 2`,
		`odata(now())`:                            `2027-03-31T08:00:00Z`,
		`odata(nil)`:                              `null`,
		`url("a b/c?d=e&f+g#h")`:                  `a%20b%2Fc%3Fd%3De%26f%2Bg%23h`,
		`url("..")`:                               `%2E%2E`,
		`html("<a href='x'>&\"")`:                 `&lt;a href=&#39;x&#39;&gt;&amp;&#34;`,
		`markdown("[x](http://e) *b*\n# h")`:      `\[x\]\(http\://e\) \*b\* \# h`,
		`markdown("<img src=x>")`:                 `&lt;img src\=x&gt;`,
		`card("[x](http://e) **b**")`:             `\[x\]\(http://e\) \*\*b\*\*`,
		`card("{{DATE(2027)}}")`:                  "{\u200b{\u200bDATE\\(2027\\)}\u200b}\u200b",
		`csv("=HYPERLINK(\"x\")")`:                `"'=HYPERLINK(""x"")"`,
		`csv(["a,b", 1, " +cmd", nil, "@x", -2])`: `"a,b",1,"' +cmd","","'@x",-2`,
	} {
		if got := eval(t, src); got != want {
			t.Errorf("%s = %q, want %q", src, got, want)
		}
	}
}

// Whatever a text holds, its reader gets it back whole, or harmless.
func TestNoTextBreaksOutOfItsQuotes(t *testing.T) {
	t.Parallel()
	program := map[string]quoter{}
	for _, name := range []string{"kql", "odata", "url", "html", "csv", "markdown"} {
		program[name] = quoter{t, name}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("\"'\\\n\r\t\x00=+-@,;<>&|*[](){} a\u2028")))).Draw(t, "text")
		valid := strings.ToValidUTF8(text, "\uFFFD")
		if got := program["kql"].eval(t, text); !closed(got, '"') {
			t.Fatalf("kql: %q", got)
		}
		got := program["odata"].eval(t, text)
		if inner := got[1 : len(got)-1]; strings.Contains(strings.ReplaceAll(inner, "''", ""), "'") {
			t.Fatalf("odata: %q", got)
		}
		if back, err := url.PathUnescape(program["url"].eval(t, text)); err != nil || back != text {
			t.Fatalf("url: %q became %q (%v)", text, back, err)
		}
		if got := program["html"].eval(t, text); strings.ContainsAny(got, "<>\"'") || html.UnescapeString(got) != text && valid == text && !strings.Contains(text, "\x00") {
			t.Fatalf("html: %q", got)
		}
		if got := program["markdown"].eval(t, text); strings.ContainsAny(got, "<>\n\r") {
			t.Fatalf("markdown: %q", got)
		}
		rows, err := csv.NewReader(strings.NewReader(program["csv"].eval(t, text))).ReadAll()
		if err != nil || len(rows) > 1 || len(rows) == 1 && len(rows[0]) != 1 {
			t.Fatalf("csv: %q became %q (%v)", text, rows, err)
		}
		if len(rows) == 1 && rows[0][0] != "" && strings.ContainsRune("=+-@", rune(rows[0][0][0])) {
			t.Fatalf("csv: %q would run", rows[0][0])
		}
	})
}

type quoter struct {
	t    *testing.T
	name string
}

func (q quoter) eval(t *rapid.T, text string) string {
	v, err := compile(q.t, q.name+"(steps)").Eval(map[string]any{"steps": text}, runTime)
	if err != nil {
		t.Fatal(err)
	}
	return v.(string)
}

// closed reports whether a literal ends at its last character and not before.
func closed(s string, quote byte) bool {
	if len(s) < 2 || s[0] != quote || strings.ContainsAny(s, "\n\r\x00\u2028") {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case quote:
			return i == len(s)-1
		}
	}
	return false
}
