package document_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/internal/document"
)

func formatted(t *testing.T, src string) string {
	t.Helper()
	out, findings := document.Format("a.yaml", []byte(src))
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestADocumentGetsTheOneLayout(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/format/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Files) != 2 {
			t.Fatalf("%s: %d files instead of 2", file, len(a.Files))
		}
		if diff := cmp.Diff(string(a.Files[1].Data), formatted(t, string(a.Files[0].Data))); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", file, diff)
		}
	}
}

// samples are all documents of the repository that are good: playbooks, tests, lists, configurations, and those of
// the tests.
func samples(t testing.TB) map[string]string {
	all := map[string]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".yaml", ".yml":
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[path] = string(text)
		case ".txtar":
			a, err := txtar.ParseFile(path)
			if err != nil {
				return err
			}
			for _, f := range a.Files {
				if strings.HasSuffix(f.Name, "ml") {
					all[path+" "+f.Name] = string(f.Data)
				}
			}
		case ".md":
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
				all[path+" "+block[1][:min(20, len(block[1]))]] = block[1]
			}
		}
		return nil
	})
	if err != nil || len(all) < 50 {
		t.Fatalf("%d documents (%v)", len(all), err)
	}
	return all
}

// holds holds Format to its promises about one text, and says whether it is a document.
func holds(t interface {
	Helper()
	Fatalf(string, ...any)
}, src string) bool {
	t.Helper()
	out, findings := document.Format("a.yaml", []byte(src))
	if findings.HasErrors() {
		if out != nil {
			t.Fatalf("findings and a text: %v", findings)
		}
		return false
	}
	before, _ := document.Read("a.yaml", []byte(src))
	after, findings := document.Read("a.yaml", out)
	if findings.HasErrors() {
		t.Fatalf("the result is no document: %v\n%s", findings, out)
	}
	if diff := cmp.Diff(before.Root.Any(), after.Root.Any()); diff != "" {
		t.Fatalf("the meaning changed (-before +after):\n%s\n%q\n%q", diff, src, out)
	}
	bare := func(s string) string { return strings.Join(strings.Fields(s), "") }
	if diff := cmp.Diff(bare(src), bare(string(out))); diff != "" {
		t.Fatalf("more than white space changed (-before +after):\n%s", diff)
	}
	again, _ := document.Format("a.yaml", out)
	if diff := cmp.Diff(string(out), string(again)); diff != "" {
		t.Fatalf("formatting again changes it (-first +second):\n%s\n%q", diff, src)
	}
	return true
}

func TestFormattingKeepsTheMeaningAndIsDoneAtOnce(t *testing.T) {
	t.Parallel()
	good := 0
	for name, src := range samples(t) {
		t.Run(name, func(t *testing.T) {
			if holds(t, src) {
				good++
				if !document.HasLayout([]byte(src)) && !strings.HasPrefix(strings.TrimSpace(src), "[") {
					t.Errorf("it was left alone:\n%s", src)
				}
			}
			// However it was indented before.
			wide := regexp.MustCompile(`(?m)^ +`).ReplaceAllStringFunc(src, func(s string) string { return s + s })
			holds(t, wide)
			holds(t, strings.ReplaceAll(src, "\n", "  \n"))
			holds(t, strings.ReplaceAll(src, "\n", "\r\n"))
		})
	}
	if good < 50 {
		t.Errorf("only %d good documents", good)
	}
}

// A document that was indented in another way comes out as the one that has the layout already. Only texts of several
// lines keep how far they stand in, and empty lines may belong to them.
func TestEveryIndentationBecomesTheSame(t *testing.T) {
	t.Parallel()
	compared := 0
	for name, src := range samples(t) {
		out, findings := document.Format("a.yaml", []byte(src))
		if findings.HasErrors() || strings.ContainsAny(src, "|>") {
			continue
		}
		wide := regexp.MustCompile(`(?m)^ +`).ReplaceAllStringFunc(string(out), func(s string) string { return s + s })
		again, findings := document.Format("a.yaml", []byte(wide))
		if findings.HasErrors() || !document.HasLayout(out) {
			continue
		}
		if compared++; string(again) != string(out) {
			t.Errorf("%s:\n%s", name, cmp.Diff(string(out), string(again)))
		}
	}
	if compared < 30 {
		t.Errorf("only %d documents", compared)
	}
}

func TestWhatHasNoLayoutIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, src := range []string{"[ a,  b ]\n", "? a\n:   b\n", "---  {a:   b}\n", "just text\n"} {
		if got := formatted(t, src); got != src || document.HasLayout([]byte(src)) {
			t.Errorf("%q became %q", src, got)
		}
	}
	if out, findings := document.Format("a.yaml", []byte("a: [\n")); out != nil || code(findings) != "PB003" {
		t.Errorf("a document that is broken gives %q, %v", out, findings)
	}
}

// tree writes a document of random form and random white space.
func tree(t *rapid.T, depth, column int) string {
	pad := strings.Repeat(" ", column)
	gap := func(label string) string { return strings.Repeat(" ", rapid.IntRange(1, 4).Draw(t, label)) }
	comment := func() string {
		if rapid.IntRange(0, 5).Draw(t, "comment") > 0 {
			return ""
		}
		return gap("before comment") + "# c: [x"
	}
	scalar := func() string {
		return rapid.SampledFrom([]string{"a", "it's", `"a: b, # c"`, `'it''s, so'`, "${{ x }}", "1.5", "null", "a  b", "x#y", "{a: 1,b:  [2 ,3 ] }", "[ a,'b, c' , {} ]", "{}", `{"k":1, 'l' : 2}`, "[]", "[it's, 'a']"}).Draw(t, "scalar")
	}
	below := func() string {
		in := column + rapid.IntRange(1, 5).Draw(t, "in")
		deeper := strings.Repeat(" ", in)
		switch rapid.IntRange(0, 6).Draw(t, "below") {
		case 0:
			return comment() + "\n" + tree(t, depth-1, in)
		case 1:
			return " |" + rapid.SampledFrom([]string{"", "-", "+"}).Draw(t, "chomp") + "\n" + deeper + "text # no comment\n\n" + deeper + "  more  \n\n"
		case 2:
			return " >\n" + deeper + "folded\n" + deeper + "- text\n"
		case 3:
			return gap("value") + "plain text\n" + deeper + "goes on\n"
		case 4:
			return gap("value") + "\"quoted\n\n" + deeper + "goes on\"" + comment() + "\n"
		case 5:
			return gap("value") + "[a,\n" + deeper + "# inside\n" + deeper + "b]" + comment() + "\n"
		}
		return gap("value") + scalar() + comment() + "\n"
	}
	var b strings.Builder
	list := rapid.Bool().Draw(t, "list")
	for i := range rapid.IntRange(1, 3).Draw(t, "entries") {
		if rapid.IntRange(0, 4).Draw(t, "line") == 0 {
			b.WriteString(rapid.SampledFrom([]string{"\n", "\n\n\n", pad + "# about\n", "# at the left\n", pad + "  # to the right\n"}).Draw(t, "between"))
		}
		switch {
		case list && depth > 0 && rapid.Bool().Draw(t, "compact"):
			in := rapid.IntRange(2, 4).Draw(t, "dash")
			b.WriteString(pad + "-" + strings.Repeat(" ", in-1) + strings.TrimLeft(tree(t, depth-1, column+in), "\n "))
		case list:
			b.WriteString(pad + "-" + gap("value") + scalar() + comment() + "\n")
		case depth > 0:
			b.WriteString(pad + string(rune('k'+i)) + ":" + below())
		default:
			b.WriteString(pad + string(rune('k'+i)) + rapid.SampledFrom([]string{":", " :"}).Draw(t, "colon") + gap("value") + scalar() + comment() + "\n")
		}
	}
	return b.String()
}

func TestAnyDocumentKeepsItsMeaning(t *testing.T) {
	t.Parallel()
	good := 0
	rapid.Check(t, func(t *rapid.T) {
		src := tree(t, 3, 0)
		if holds(t, src) {
			good++
			if !document.HasLayout([]byte(src)) {
				t.Fatalf("it was left alone:\n%s", src)
			}
		}
	})
	t.Logf("%d good documents", good)
	if good == 0 {
		t.Error("no document was good")
	}
}

func TestALargeDocumentIsFormattedQuickly(t *testing.T) {
	t.Parallel()
	for _, src := range []string{
		strings.Repeat("#\n", document.MaxSize/2-5) + "a: 1\n", "a:\n" + strings.Repeat("  - b\n", document.MaxSize/6-5),
		"a: \"" + strings.Repeat("\n", document.MaxSize-8) + "\"\n", "a: |\n" + strings.Repeat(" b\n", document.MaxSize/3-5), "a: [" + strings.Repeat("\n1,", document.MaxSize/3-5) + "]\n",
	} {
		if !holds(t, src) {
			t.Errorf("%.20q is not good", src)
		}
	}
}

func FuzzFormat(f *testing.F) {
	for _, src := range samples(f) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) { holds(t, src) })
}
