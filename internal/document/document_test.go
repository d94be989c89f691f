package document_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/internal/killer"
)

func read(t *testing.T, src string) *document.Document {
	t.Helper()
	doc, findings := document.Read("a.yaml", []byte(src))
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	return doc
}

func code(findings diag.Findings) string {
	if len(findings) == 0 {
		return ""
	}
	return findings[0].Code
}

func TestSizeAndDepthAreLimited(t *testing.T) {
	t.Parallel()
	text := "a: " + strings.Repeat("x", document.MaxSize-3)
	nested := func(n int) string { return strings.Repeat("[", n-1) + "1" + strings.Repeat("]", n-1) }
	for name, test := range map[string]struct{ src, code string }{
		"largest":       {text, ""},
		"too large":     {text + "x", "PB001"},
		"deepest":       {nested(document.MaxDepth), ""},
		"too deep":      {nested(document.MaxDepth + 1), "PB009"},
		"very deep":     {nested(9000), "PB009"},
		"far too deep":  {nested(50000), "PB003"},
		"deep in keys":  {strings.Repeat("{a: ", 40) + "1" + strings.Repeat("}", 40), "PB009"},
		"block nesting": {strings.Repeat("- ", 40) + "1", "PB009"},
	} {
		_, findings := document.Read("a.yaml", []byte(test.src))
		if got := code(findings); got != test.code {
			t.Errorf("%s: %q, want %q", name, got, test.code)
		}
	}
}

func TestWhatCannotBeSeenIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]diag.Position{
		"\xef\xbb\xbfa: 1":      {File: "a.yaml", Line: 1, Column: 1},
		"\xff\xfea\x00":         {File: "a.yaml", Line: 1, Column: 1},
		"a: 1\nb: \xff":         {File: "a.yaml", Line: 2, Column: 4},
		"a: ü\u2028b: 1":        {File: "a.yaml", Line: 1, Column: 5},
		"a: x\rb: 1":            {File: "a.yaml", Line: 1, Column: 5},
		"a: x\u0085":            {File: "a.yaml", Line: 1, Column: 5},
		"a: 1\nb: \x1b[31m":     {File: "a.yaml", Line: 2, Column: 4},
		"a: \x00":               {File: "a.yaml", Line: 1, Column: 4},
		"a: 1\r\nb: \ufeffyes ": {File: "a.yaml", Line: 2, Column: 4},
	} {
		_, findings := document.Read("a.yaml", []byte(src))
		if code(findings) != "PB002" || findings[0].Pos != want || findings[0].Mend == "" {
			t.Errorf("%q: %+v, want PB002 at %v", src, findings, want)
		}
	}
}

// A bomb of aliases must cost nothing: it is refused as text, not expanded.
func TestAnAliasBombIsRefused(t *testing.T) {
	t.Parallel()
	src := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 20; i++ {
		src += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	doc, findings := document.Read("a.yaml", []byte(src))
	if code(findings) != "PB006" || doc.Root == nil {
		t.Errorf("findings %v", findings)
	}
}

func TestPathsLeadToNodesOrToTheLastOneThatExists(t *testing.T) {
	t.Parallel()
	doc := read(t, "steps:\n  - id: x\n    with:\n      status: resolved\n  - id: y\n")
	for _, test := range []struct {
		path   []string
		found  bool
		line   int
		column int
	}{
		{nil, true, 1, 1},
		{[]string{"steps", "0", "with", "status"}, true, 4, 15},
		{[]string{"steps", "1", "id"}, true, 5, 9},
		{[]string{"steps", "0", "with", "missing"}, false, 4, 7},
		{[]string{"steps", "7"}, false, 2, 3},
		{[]string{"steps", "-1"}, false, 2, 3},
		{[]string{"nothing", "at", "all"}, false, 1, 1},
	} {
		n, ok := doc.Root.Find(test.path)
		if ok != test.found || n.Pos.Line != test.line || n.Pos.Column != test.column {
			t.Errorf("%v: found %v at %v", test.path, ok, n.Pos)
		}
	}
	key, ok := doc.Root.FindKey([]string{"steps", "0", "with", "status"})
	if !ok || key.Text != "status" || key.Pos.Column != 7 || key.Length != 6 {
		t.Errorf("key %v at %v", key, key.Pos)
	}
	if got := doc.Root.Get("steps").Items[1].Get("id").String(); got != `text "y"` {
		t.Errorf("described as %s", got)
	}
}

func TestValuesKeepTheirKind(t *testing.T) {
	t.Parallel()
	got := read(t, "a: 1\nb: '1'\nc: 1.5\nd: true\ne: ~\nf: 2027-03-31\ng: 12:30\nh: |\n  x\ni: -7\nj: 0xff\nk: 1_000\nl: y\n").Root.Any()
	want := map[string]any{
		"a": int64(1), "b": "1", "c": 1.5, "d": true, "e": nil, "f": "2027-03-31", "g": "12:30", "h": "x\n",
		"i": int64(-7), "j": int64(255), "k": "1_000", "l": "y",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestANilNodeIsNothing(t *testing.T) {
	t.Parallel()
	var n *document.Node
	if n.Get("x") != nil || n.Any() != nil || !n.IsNull() || n.String() != "nothing" || n.Pair("x") != nil {
		t.Error("a missing node is something")
	}
	if _, ok := n.Str(); ok {
		t.Error("a missing node is text")
	}
	if pos := n.OffsetPos(3); pos != (diag.Position{}) {
		t.Errorf("a missing node is at %v", pos)
	}
}

// Each case marks one character of the source with ⟨⟩ around it; the n-th character of the value must be found
// there.
func TestCharactersOfAValueAreFoundInTheFile(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, src, find string }{
		{"plain", "when: alert.⟨s⟩evrity == 1", "sevrity"},
		{"plain after wide characters", "k: \"名前 ⟨b⟩ad\"", "bad"},
		{"plain over lines", "when: one\n  two\n\n  ⟨t⟩hree", "three"},
		{"single quoted", "when: 'it''s ⟨b⟩ad'", "bad"},
		{"single quoted over lines", "when: 'one\n\n  two ''x''\n  ⟨b⟩ad'", "bad"},
		{"double quoted", `when: "a\t\"\u00e9\x41\U0001F600 ⟨b⟩ad"`, "bad"},
		{"double quoted, escaped line break", "when: \"one \\\n    ⟨b⟩ad\"", "bad"},
		{"double quoted, folded", "when: \"one\n    two\n\n   ⟨b⟩ad\"", "bad"},
		{"literal", "when: |\n  one\n    two\n  ⟨b⟩ad", "bad"},
		{"literal with indicator", "when: |2-\n   one\n  ⟨b⟩ad", "bad"},
		{"folded", "when: >\n  alert.status == \"new\"\n  and alert.title in lists.x\n  and ⟨b⟩ad", "bad"},
		{"folded with an indented line", "when: >-\n  one\n\n    two\n   three\n  ⟨b⟩ad", "bad"},
		{"folded after empty lines", "when: >\n\n\n  ⟨b⟩ad", "bad"},
		{"folded, crlf", "when: >\r\n  one\r\n  two\r\n  ⟨b⟩ad\r\n", "bad"},
		{"in a list in braces", "a: [{b: \"x ${{ ⟨b⟩ad }}\"}]", "bad"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before, rest, _ := strings.Cut(test.src, "⟨")
			src := before + strings.Replace(rest, "⟩", "", 1)
			lines := strings.Split(before, "\n")
			want := diag.Position{File: "a.yaml", Line: len(lines), Column: len([]rune(lines[len(lines)-1])) + 1}
			node := deepest(read(t, src).Root)
			at := strings.Index(node.Text, test.find)
			if at < 0 {
				t.Fatalf("%q is not in %q", test.find, node.Text)
			}
			if got := node.OffsetPos(len([]rune(node.Text[:at]))); got != want {
				t.Errorf("%q is said to be at %v, but is at %v", test.find, got, want)
			}
		})
	}
}

// deepest follows the first value down to a scalar.
func deepest(n *document.Node) *document.Node {
	for {
		switch {
		case len(n.Pairs) > 0:
			n = n.Pairs[0].Value
		case len(n.Items) > 0:
			n = n.Items[0]
		default:
			return n
		}
	}
}

func TestFindingsInsideAScalarUnderlineWhatIsMeant(t *testing.T) {
	t.Parallel()
	n := deepest(read(t, "when: >\n  alert.x\n  and alert.sevrity == 1\n").Root)
	f := n.ErrorIn(strings.Index(n.Text, "sevrity"), len("sevrity"), "PB100", "m", "n")
	if f.Pos.Line != 3 || f.Pos.Column != 13 || f.Length != 7 || f.Excerpt != "  and alert.sevrity == 1" {
		t.Errorf("%+v", f)
	}
	// What goes on over the end of a line is underlined up to it.
	if f := n.ErrorIn(0, len(n.Text), "PB100", "m", "n"); f.Pos.Line != 2 || f.Length != 7 {
		t.Errorf("%+v", f)
	}
}

func TestEveryCodeIsExplainedOnceAndBelongsToThisPackage(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range document.Codes() {
		if seen[c.Code] || c.Code < "PB001" || c.Code > "PB019" || c.Title == "" || len(c.Help) < 40 {
			t.Errorf("code %+v", c)
		}
		seen[c.Code] = true
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"a: 1", "a: &x [1]\nb: *x", "- |\n  x\n- >-\n  y\n\n  z", "\"a\\u0041\\\n  b\": 'c''d'", "? [a]\n: b", "a: ${{ x }}",
		"a:\t1", "%YAML 1.1\n---\na: 1\n...\n---\nb", "{a: [b, {c: d}]}", "a: !!str b", "a: 'x\n\n y'", "\u0085", ": x", "- - - a",
		"a: |1\n  x\n y", "a: >+\n\n\n", "# c\n", "a: \"\\x", "[[[[[[[[", "a: b: c", "*x", "a: 0777\nb: no",
	} {
		f.Add([]byte(seed))
	}
	for _, k := range killer.Documents() {
		f.Add([]byte(k.Text))
	}
	for _, pattern := range []string{"../../playbooks/library/*.yaml", "../../examples/*/*.yaml", "../../examples/*/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal("no files like", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	codes := document.Codes()
	f.Fuzz(func(t *testing.T, src []byte) {
		doc, findings := document.Read("a.yaml", src)
		for _, finding := range findings {
			if _, ok := diag.Lookup(codes, finding.Code); !ok || finding.Message == "" || finding.Mend == "" {
				t.Errorf("unexplained finding %+v", finding)
			}
			if finding.Pos.Line < 0 || finding.Pos.Line > doc.Lines()+1 {
				t.Errorf("finding on line %d of %d", finding.Pos.Line, doc.Lines())
			}
		}
		if doc.Root == nil {
			if !findings.HasErrors() {
				t.Error("nothing was read and nothing reported")
			}
			return
		}
		doc.Root.Any()
		walk(t, doc, doc.Root, 1)
	})
}

func walk(t *testing.T, doc *document.Document, n *document.Node, depth int) {
	if depth > document.MaxDepth+1 {
		t.Fatal("the tree is too deep")
	}
	if n.Length < 1 || n.Pos.Column < 1 || n.Pos.Line < 1 {
		t.Errorf("%v has length %d at %v", n, n.Length, n.Pos)
	}
	if n.Kind == document.String && len(n.Text) < 300 {
		last := n.Pos
		for i := range []rune(n.Text) {
			pos := n.OffsetPos(i)
			if pos.Line < last.Line || pos.Line == last.Line && pos.Column < last.Column {
				t.Errorf("character %d of %q is at %v, before %v", i, n.Text, pos, last)
			}
			last = pos
		}
	}
	for _, p := range n.Pairs {
		walk(t, doc, p.Key, depth+1)
		walk(t, doc, p.Value, depth+1)
	}
	for _, item := range n.Items {
		walk(t, doc, item, depth+1)
	}
}
