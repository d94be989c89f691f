package named_test

import (
	"io/fs"
	"maps"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks/named"
)

func things() named.Kind {
	return named.Kind{What: "a thing", Form: regexp.MustCompile(`^[a-z]+$`), FormMend: "small letters", Extensions: []string{".yaml", ".txt"},
		MaxFiles: 3, MaxSize: 10, Codes: named.Codes{Name: "N", Unreadable: "U", Limit: "L", Twice: "T"}}
}

// load reads a directory and says what was given, by name, and which codes the findings have, by file.
func load(fsys fs.FS) (given map[string]string, codes map[string]string) {
	given, codes = map[string]string{}, map[string]string{}
	for _, f := range named.Read(fsys, "things", things(), func(name, _ string, src []byte) diag.Findings {
		given[name] = string(src)
		return nil
	}) {
		codes[strings.TrimPrefix(f.Pos.File, "things/")] = f.Code
	}
	return given, codes
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestEveryFileDefinesWhatBearsItsName(t *testing.T) {
	t.Parallel()
	given, codes := load(fstest.MapFS{"things/a.yaml": file("one"), "things/b.txt": file("two"), "things/c.md": file("no"), "things/.d.txt": file("no"),
		"things/e/f.txt": file("no"), "other/g.txt": file("no")})
	if want := map[string]string{"a": "one", "b": "two"}; !maps.Equal(given, want) || len(codes) > 0 {
		t.Errorf("given %v, findings %v; want %v", given, codes, want)
	}
}

func TestAFileThatCantBeUsedLeavesTheOthersUsable(t *testing.T) {
	t.Parallel()
	given, codes := load(fstest.MapFS{"things/a.txt": file("first"), "things/a.yaml": file("second"), "things/A b.txt": file("x"),
		"things/big.txt": file("ten bytes +"), "things/full.txt": file("ten bytes.")})
	if want := map[string]string{"a": "first", "full": "ten bytes."}; !maps.Equal(given, want) {
		t.Errorf("given %v, want %v", given, want)
	}
	if want := map[string]string{"a.yaml": "T", "A b.txt": "N", "big.txt": "L"}; !maps.Equal(codes, want) {
		t.Errorf("findings %v, want %v", codes, want)
	}
}

// still fails the test if a file is opened that has something to wait for.
type still struct {
	fstest.MapFS
	t *testing.T
}

func (s still) Open(name string) (fs.File, error) {
	if f := s.MapFS[name]; f != nil && f.Mode.Type() == fs.ModeNamedPipe {
		s.t.Errorf("%s is opened, which waits for somebody to write into it", name)
	}
	return s.MapFS.Open(name)
}

func (s still) Stat(name string) (fs.FileInfo, error) { return fs.Stat(s.MapFS, name) }

func TestAPipeAmongTheFilesIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	given, codes := load(still{fstest.MapFS{"things/a.txt": {Mode: fs.ModeNamedPipe}, "things/b.txt": file("two")}, t})
	if want := map[string]string{"b": "two"}; !maps.Equal(given, want) || codes["a.txt"] != "U" {
		t.Errorf("given %v, findings %v", given, codes)
	}
}

func TestThereAreNoMoreFilesThanAllowed(t *testing.T) {
	t.Parallel()
	given, codes := load(fstest.MapFS{"things/a.txt": file(""), "things/b.txt": file(""), "things/c.txt": file(""), "things/d.txt": file("")})
	if want := map[string]string{"d.txt": "L"}; len(given) != 3 || !maps.Equal(codes, want) {
		t.Errorf("given %v, findings %v; want %v", given, codes, want)
	}
}

func TestADirectoryThatIsNotThereHoldsNothing(t *testing.T) {
	t.Parallel()
	if given, codes := load(fstest.MapFS{}); len(given)+len(codes) > 0 {
		t.Errorf("%v, %v", given, codes)
	}
	if _, codes := load(fstest.MapFS{"things": file("a file")}); codes["things"] != "U" {
		t.Errorf("a file in its place: %v", codes)
	}
}
