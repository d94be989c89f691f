//go:build linux

package powerloss

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/playbookd/playbookd/store"
)

// journal makes a directory whose journal holds something, with a backup beside it.
func journal(t *testing.T) (s *site, backup string) {
	t.Helper()
	s = newSite(t, few())
	l := s.start(false)
	s.up()
	s.persist("first")
	s.settles(l)
	r, err := store.OpenReader(t.Context(), s.database())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := r.KeepBackup(t.Context(), 2, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s, b.Path
}

// A damaged journal is not opened and not touched. The message names the newest backup, and what it
// says puts it in place.
func TestADamagedJournalIsRefusedAndReplacedAsTheMessageSays(t *testing.T) {
	t.Parallel()
	s, backup := journal(t)
	sound, err := os.ReadFile(s.database())
	if err != nil {
		t.Fatal(err)
	}
	middle := len(sound) / 2 / 4096 * 4096
	for _, c := range []struct {
		name, file string
		content    func() []byte
	}{
		{"the header", "", func() []byte { b := bytes.Clone(sound); copy(b[16:], "garbage!"); return b }},
		{"a page in the middle", "", func() []byte {
			b := bytes.Clone(sound)
			copy(b[middle:], bytes.Repeat([]byte{0xa5}, 4096))
			return b
		}},
		{"cut in half", "", func() []byte { return sound[:middle] }},
		{"cut within a page", "", func() []byte { return sound[:len(sound)-2048] }},
		{"emptied", "", func() []byte { return nil }},
		{"another file", "", func() []byte { return bytes.Repeat([]byte("not a database "), 1000) }},
		{"garbage as its log", "-wal", func() []byte { return bytes.Repeat([]byte("garbage "), 10_000) }},
	} {
		spoilt := s.database() + c.file
		want := c.content()
		if err := os.WriteFile(spoilt, want, 0o600); err != nil {
			t.Fatal(err)
		}
		l := s.start(true)
		code, says := l.end(time.Minute), l.log.String()
		if code != 2 || !strings.Contains(says, store.ErrCorrupt.Error()) || !strings.Contains(says, "the newest backup is "+backup) {
			t.Fatalf("%s: it ended with %d and said:\n%s", c.name, code, says)
		}
		if now, err := os.ReadFile(spoilt); err != nil || !bytes.Equal(now, want) {
			t.Errorf("%s: the file was changed (%v)", c.name, err)
		}
		_, command, _ := strings.Cut(strings.TrimSpace(says), "with playbookd stopped: ")
		out, _ := exec.Command("sh", "-c", command).CombinedOutput() // mv complains of what is not there
		if code := s.start(true).end(time.Minute); code != 0 {
			t.Fatalf("%s: after %s (%s) it ended with %d", c.name, command, out, code)
		}
	}
	s.whole(1)
}

// nobody makes a daemon that may not do what the file system's permissions forbid.
func (s *site) nobody(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"="+s.File, settleEnv+"=1")
	if os.Getuid() != 0 {
		return cmd
	}
	const uid = 65534
	// Where the test binary lies nobody else may look.
	cmd.Path = filepath.Join(s.Dir, "daemon")
	text, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cmd.Path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := s.Dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err = filepath.WalkDir(s.Dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd
}

func TestAJournalThatCannotBeWrittenIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		make bool // a journal is there
		file string
		perm os.FileMode
	}{
		{name: "a directory without a journal", file: ".", perm: 0o500},
		{name: "a directory with a journal", make: true, file: ".", perm: 0o500},
		{name: "the journal", make: true, file: "playbookd.db", perm: 0o400},
		{name: "the lock", make: true, file: "playbookd.db.lock", perm: 0o400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, few())
			if err := os.Mkdir(s.data, 0o700); err != nil {
				t.Fatal(err)
			}
			cmd := s.nobody(t)
			if c.make {
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				cmd = s.nobody(t)
			}
			if err := os.Chmod(filepath.Join(s.data, c.file), c.perm); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(s.data, 0o700) }) // so that it can be removed
			out, _ := cmd.CombinedOutput()                    // the state says how it ended
			for _, want := range []string{store.ErrReadOnly.Error(), "check owner and permissions", s.data} {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if code := cmd.ProcessState.ExitCode(); code != 2 || t.Failed() {
				t.Errorf("it ended with %d and said:\n%s", code, out)
			}
		})
	}
}
