package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// These tests need a second process: the test binary, told what to do by its environment.
const (
	childTask = "STORE_TEST_TASK"
	childPath = "STORE_TEST_PATH"
)

func TestMain(m *testing.M) {
	var err error
	switch task := os.Getenv(childTask); task {
	case "":
		os.Exit(m.Run())
	case "append":
		err = appendForEver(os.Getenv(childPath))
	case "open":
		_, err = Open(context.Background(), os.Getenv(childPath), Options{})
	default:
		err = fmt.Errorf("unknown task %q", task)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
}

func child(t *testing.T, task, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childTask+"="+task, childPath+"="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// appendForEver starts runs and goes on with them from several goroutines, and says what was
// acknowledged: run and entry.
func appendForEver(path string) error {
	ctx := context.Background()
	db, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for worker := range 4 {
		go func() {
			for n := 0; ; n++ {
				ev := someEvent(fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, n), 1)
				p := someRun(ev, "triage")
				if _, err := db.Admit(ctx, admissionOf(ev, p)); err != nil {
					failed <- err
				}
				for seq := 1; seq <= 3; seq++ {
					a := engine.Append{Run: p.Run.ID, State: engine.Ready, Entries: []engine.Entry{{Seq: seq, Kind: engine.Intent}}}
					if err := db.Append(ctx, a); err != nil {
						failed <- err
					}
					// One write, so that lines of several goroutines don't mix.
					if _, err := fmt.Fprintf(os.Stdout, "%s %d\n", p.Run.ID, seq); err != nil {
						failed <- err
					}
				}
			}
		}()
	}
	return <-failed
}

func TestWhatWasAcknowledgedSurvivesKillingAtAnyMoment(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	acknowledged := map[engine.RunID]int{}
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		cmd := child(t, "append", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n, enough := 0, 1+rand.IntN(200); lines.Scan(); n++ {
			if n == enough {
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			var id engine.RunID
			var seq int
			if _, err := fmt.Sscan(lines.Text(), &id, &seq); err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
			acknowledged[id] = max(acknowledged[id], seq)
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		db, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatalf("open after the kill: %v", err)
		}
		if err := db.CheckIntegrity(t.Context()); err != nil {
			t.Error(err)
		}
		for id, seq := range acknowledged {
			l, err := db.Load(t.Context(), id)
			if err != nil || len(l.Entries) < seq {
				t.Errorf("run %s: %d of %d entries, %v", id, len(l.Entries), seq, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) == 0 {
		t.Error("no child acknowledged anything")
	}
}

func TestASecondProcessIsToldWhoHasTheDatabase(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	out, err := child(t, "open", db.path).Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Fatalf("the child could open it: %v", err)
	}
	for _, part := range []string{
		fmt.Sprintf("another playbookd (pid %d", os.Getpid()), db.path, "stop it or choose another data directory",
	} {
		if !strings.Contains(string(out), part) {
			t.Errorf("%q does not say %q", out, part)
		}
	}
	_, err = Open(t.Context(), db.path, Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "this process already") {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := child(t, "open", db.path).Output(); err != nil {
		t.Errorf("after closing: %v: %s", err, out)
	}
}

func TestALockFileThatNobodyHoldsIsNoLock(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", `{"pid":1,"host":"x"}`, "\x00garbage", strings.Repeat("x", 1<<20)} {
		path := filepath.Join(t.TempDir(), "journal.db")
		if err := os.WriteFile(path+".lock", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		db := openTest(t, path)
		if err := os.WriteFile(path+".lock", []byte(text), 0o600); err != nil { // as bad as a holder may leave it
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), db.path, Options{}); !errors.Is(err, ErrLocked) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
