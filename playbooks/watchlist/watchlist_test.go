package watchlist_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/playbooks/watchlist"
)

func load(files map[string]string) (*watchlist.Set, []string) {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys["lists/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	set, findings := watchlist.Load(fsys, "lists")
	var codes []string
	for _, f := range findings {
		codes = append(codes, f.Code)
	}
	return set, codes
}

func TestBothFormsOfAListGiveTheSameValues(t *testing.T) {
	t.Parallel()
	set, codes := load(map[string]string{
		"a.yaml": "- 10.9.0.0/16\n- 10.10.0.0/16\n",
		"b.txt":  "# scanners\n10.9.0.0/16\n\n  10.10.0.0/16  \n",
	})
	if codes != nil {
		t.Fatalf("findings %v, want none", codes)
	}
	a, contentA, _ := set.Get("a")
	b, contentB, _ := set.Get("b")
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("yaml and txt differ (-yaml +txt):\n%s", diff)
	}
	if string(contentA) != string(contentB) {
		t.Errorf("contents differ: %s and %s: the digest kept with a decision must not depend on the form", contentA, contentB)
	}
	if diff := cmp.Diff([]string{"a", "b"}, set.Names()); diff != "" {
		t.Error(diff)
	}
}

func TestABrokenListIsAFindingAndLeavesTheOthersUsable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, text, code string }{
		{"a map", "bad.yaml", "a: b\n", watchlist.CodeForm},
		{"a nested list", "bad.yaml", "- [a]\n", watchlist.CodeForm},
		{"a name with capitals", "Bad.yaml", "- a\n", watchlist.CodeName},
		{"two files of one name", "good.txt", "a\n", watchlist.CodeTwice},
		{"an entry beyond the limit", "bad.txt", strings.Repeat("x", watchlist.MaxEntry+1), watchlist.CodeLimit},
		{"more entries than the limit", "bad.txt", strings.Repeat("x\n", watchlist.MaxEntries+1), watchlist.CodeLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set, codes := load(map[string]string{"good.yaml": "- x\n", c.file: c.text})
			if diff := cmp.Diff([]string{c.code}, codes); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if _, _, ok := set.Get("good"); !ok {
				t.Error("the good list is gone")
			}
		})
	}
}

func TestAListOfTheGreatestSizeIsTaken(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range watchlist.MaxEntries {
		fmt.Fprintf(&text, "%0*d\n", 8, i)
	}
	set, codes := load(map[string]string{"big.txt": text.String(), "long.txt": strings.Repeat("x", watchlist.MaxEntry)})
	values, _, _ := set.Get("big")
	if codes != nil || len(values) != watchlist.MaxEntries {
		t.Errorf("got %d entries, findings %v; want %d and none", len(values), codes, watchlist.MaxEntries)
	}
}

func TestNoDirectoryMeansNoLists(t *testing.T) {
	t.Parallel()
	set, findings := watchlist.Load(fstest.MapFS{}, "lists")
	if len(set.Names()) != 0 || len(findings) != 0 {
		t.Errorf("got lists %v, findings %v; want none", set.Names(), findings)
	}
}

func TestThereAreNoMoreListsThanAllowed(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range watchlist.MaxLists {
		files[fmt.Sprintf("l%04d.txt", i)] = "x\n"
	}
	if set, codes := load(files); len(set.Names()) != watchlist.MaxLists || codes != nil {
		t.Errorf("%d lists, findings %v", len(set.Names()), codes)
	}
	files["more.txt"] = "x\n"
	set, codes := load(files)
	if diff := cmp.Diff([]string{watchlist.CodeLimit}, codes); diff != "" || len(set.Names()) != watchlist.MaxLists {
		t.Errorf("%d lists (-want +got):\n%s", len(set.Names()), diff)
	}
}
