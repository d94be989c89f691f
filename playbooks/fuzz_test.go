package playbooks_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/playbookd/playbookd/internal/capped"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
)

func TestMain(m *testing.M) {
	o := options()
	capped.Main(m, map[string]capped.Do{
		"compile": func(src []byte) string {
			if p, _ := playbooks.Compile("fuzz.yaml", src, o); p == nil {
				return "finding"
			}
			return "playbook"
		},
	})
}

// material are the playbooks that ship and those of the tests, good and bad.
func material(t testing.TB) []string {
	var texts []string
	files, err := filepath.Glob("library/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no playbooks", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range archives {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			if strings.HasSuffix(f.Name, ".yaml") || strings.HasSuffix(f.Name, ".yml") {
				texts = append(texts, string(f.Data))
			}
		}
	}
	return texts
}

// FuzzCompile holds Compile to its promises for any text: it does not panic, it either returns a playbook or says why
// not, and every finding has a place in the text. The text is tried in a child with little memory first.
func FuzzCompile(f *testing.F) {
	for _, src := range []string{nested, "", "name: a", "name: [", "steps:\n- if: ${{", "triggers:\n- poll: {resource: alerts, filter: \"not (severity in ('x')\"}"} {
		f.Add(src)
	}
	for _, src := range material(f) {
		f.Add(src)
	}
	for _, src := range withKillers() {
		f.Add(src)
	}
	o := options()
	f.Fuzz(func(t *testing.T, src string) {
		capped.Try(t, "compile", []byte(src))
		p, findings := playbooks.Compile("fuzz.yaml", []byte(src), o)
		if (p == nil) != findings.HasErrors() {
			t.Fatalf("a playbook: %v, with findings:\n%s", p != nil, render(t, findings))
		}
		lines := strings.Count(src, "\n") + 2
		for _, f := range findings {
			if f.Message == "" || f.Code == "" || f.Pos.Line > lines || f.Severity == diag.Error && f.Pos.File != "fuzz.yaml" {
				t.Fatalf("odd finding: %+v", f)
			}
		}
		render(t, findings)
		if again, _ := playbooks.Compile("fuzz.yaml", []byte(src), o); p != nil && again.Digest != p.Digest {
			t.Fatal("the same text is another playbook")
		}
	})
}

// FuzzLoad loads two files as one set: what is wrong with one must not hide the other, and names stay unique.
func FuzzLoad(f *testing.F) {
	texts := material(f)
	for i, src := range texts {
		f.Add(src, texts[(i+7)%len(texts)])
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		set, _ := playbooks.Load(fstest.MapFS{"one.yaml": {Data: []byte(one)}, "b/two.yml": {Data: []byte(two)}}, "", options())
		if set == nil {
			return
		}
		names := map[string]bool{}
		for _, p := range set.Playbooks {
			if names[p.Name] {
				t.Fatalf("two playbooks are called %q", p.Name)
			}
			names[p.Name] = true
		}
	})
}

// FuzzDuration holds the reader of durations to what it writes.
func FuzzDuration(f *testing.F) {
	for _, text := range []string{"30s", "1d12h", "500ms", "0s", "-5m", "200000d1h", "9223372036854775807ms", "99999999999999999999d", "1h1h", "µs", "75%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := playbooks.ParseDuration(text)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("the error of %q holds control characters", text)
			}
			return
		}
		if again, err := playbooks.ParseDuration(playbooks.FormatDuration(d)); d < 0 || err != nil || again != d {
			t.Errorf("%q is %v, written %s and read %v, %v", text, d, playbooks.FormatDuration(d), again, err)
		}
	})
}
