package playbooks_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/playbookd/playbookd/playbooks"
)

const simple = "triggers: [manual]\nsteps: [{stop: done}]\n"

func file(src string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(src)} }

func TestABrokenPlaybookDoesNotTakeTheGoodOnesWithIt(t *testing.T) {
	t.Parallel()
	set, findings := playbooks.Load(fstest.MapFS{
		"good.yaml":              file("name: good\n" + simple),
		"team/first.yml":         file("name: first\npriority: 10\n" + simple),
		"broken.yaml":            file("name: broken\n"),
		"good.test.yaml":         file("playbook: good\n"),
		".hidden.yaml":           file("name: hidden\n"),
		".git/config.yaml":       file("a: b\n"),
		"lists/known_noise.yaml": file("[Port scan]\n"),
		"README.md":              file("# About\n"),
		"team/lists/ranges.yaml": file("[10.0.0.0/8]\n"),
	}, "/etc/playbooks", options())
	var names, files []string
	for _, p := range set.Playbooks {
		names, files = append(names, p.Name), append(files, filepath.ToSlash(p.File))
	}
	if diff := cmp.Diff([]string{"first", "good"}, names); diff != "" {
		t.Errorf("playbooks differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/etc/playbooks/team/first.yml", "/etc/playbooks/good.yaml"}, files); diff != "" {
		t.Errorf("files differ (-want +got):\n%s", diff)
	}
	for _, f := range findings {
		if filepath.ToSlash(f.Pos.File) != "/etc/playbooks/broken.yaml" {
			t.Errorf("unexpected: %s", f)
		}
	}
	if !findings.HasErrors() {
		t.Error("the broken playbook is not reported")
	}
	if _, ok := set.Lookup("good"); !ok {
		t.Error("good is not found by name")
	}
	if _, ok := set.Lookup("broken"); ok {
		t.Error("broken is found by name")
	}
}

func TestLinksAreRefused(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	write := func(path, src string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(from, to string) {
		t.Helper()
		if err := os.Symlink(from, to); err != nil {
			t.Skipf("no links here: %v", err)
		}
	}
	write(filepath.Join(dir, "good.yaml"), "name: good\n"+simple)
	write(filepath.Join(outside, "stranger.yaml"), "name: stranger\n"+simple)
	link(filepath.Join(outside, "stranger.yaml"), filepath.Join(dir, "stranger.yaml"))
	link(outside, filepath.Join(dir, "more"))

	set, findings := playbooks.Load(os.DirFS(dir), dir, options())
	if len(set.Playbooks) != 1 || len(findings) != 2 {
		t.Errorf("%d playbooks, findings:\n%s", len(set.Playbooks), render(t, findings))
	}
	for _, f := range findings {
		if f.Code != "PB052" {
			t.Errorf("unexpected: %s", f)
		}
	}
}

// watched notes which files are opened.
type watched struct {
	fstest.MapFS
	opened *[]string
}

func (w watched) Open(name string) (fs.File, error) {
	*w.opened = append(*w.opened, name)
	return w.MapFS.Open(name)
}

// Opening a pipe waits for somebody to write into it, and a daemon that waits for that does nothing else.
func TestAPipeIsRefusedUnopened(t *testing.T) {
	t.Parallel()
	var opened []string
	pipe := file("name: a\n" + simple)
	pipe.Mode = fs.ModeNamedPipe
	set, findings := playbooks.Load(watched{fstest.MapFS{"good.yaml": file("name: good\n" + simple), "pipe.yaml": pipe}, &opened}, "", options())
	if len(set.Playbooks) != 1 || len(findings) != 1 || findings[0].Code != "PB052" || findings[0].Pos.File != "pipe.yaml" {
		t.Errorf("%d playbooks, findings:\n%s", len(set.Playbooks), render(t, findings))
	}
	if slices.Contains(opened, "pipe.yaml") || !slices.Contains(opened, "good.yaml") {
		t.Errorf("opened were %q", opened)
	}
}

func TestADirectoryThatDoesNotExistIsAFinding(t *testing.T) {
	t.Parallel()
	set, findings := playbooks.Load(os.DirFS(filepath.Join(t.TempDir(), "none")), "none", options())
	if len(set.Playbooks) != 0 || len(findings) != 1 || findings[0].Code != "PB052" {
		t.Errorf("findings:\n%s", render(t, findings))
	}
}

func TestAFileThatIsTooLargeIsRefusedUnread(t *testing.T) {
	t.Parallel()
	comment := func(n int) string {
		src := "name: a\n" + simple
		return src + "#" + strings.Repeat("x", n-len(src)-2) + "\n"
	}
	for size, good := range map[int]bool{playbooks.MaxPlaybookSize: true, playbooks.MaxPlaybookSize + 1: false} {
		set, findings := playbooks.Load(fstest.MapFS{"a.yaml": file(comment(size))}, "", options())
		if got := len(set.Playbooks) == 1 && len(findings) == 0; got != good {
			t.Errorf("%d bytes: %d playbooks, findings:\n%s", size, len(set.Playbooks), render(t, findings))
		}
	}
}

func TestTooManyFilesAreAFinding(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{}
	for i := range playbooks.MaxFiles {
		fsys["f"+strings.Repeat("0", i%7)+string(rune('a'+i%26))+strings.Repeat("1", i/26)] = file("")
	}
	_, findings := playbooks.Load(fsys, "", options())
	if len(findings) != 1 || findings[0].Code != "PB052" {
		t.Errorf("findings:\n%s", render(t, findings))
	}
	for name := range fsys {
		delete(fsys, name) // the directory counts too
		break
	}
	if _, findings := playbooks.Load(fsys, "", options()); len(findings) != 0 {
		t.Errorf("findings about as many as are allowed:\n%s", render(t, findings))
	}
}

func TestTheDigestOfASetChangesWithItsMembersAndNotWithTheirOrder(t *testing.T) {
	t.Parallel()
	a, b := compile(t, "name: a\n"+simple), compile(t, "name: b\npriority: 1\n"+simple)
	changed := compile(t, "name: a\n# changed\n"+simple)
	set := playbooks.NewSet(a, b)
	if set.Playbooks[0] != b {
		t.Error("the higher priority does not come first")
	}
	if set.Digest != playbooks.NewSet(b, a).Digest {
		t.Error("the order changes the digest")
	}
	if set.Digest == playbooks.NewSet(changed, b).Digest || set.Digest == playbooks.NewSet(a).Digest {
		t.Error("a change leaves the digest as it was")
	}
	if diff := cmp.Diff([]playbooks.Member{{Name: "a", Digest: a.Digest}, {Name: "b", Digest: b.Digest}}, set.Members()); diff != "" {
		t.Errorf("members differ (-want +got):\n%s", diff)
	}
}
