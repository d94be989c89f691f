package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
)

func keepBackup(t *testing.T, db *DB, keep int, now time.Time) Backup {
	t.Helper()
	b, err := db.KeepBackup(t.Context(), keep, now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestABackupIsMadeWhileTheDatabaseIsWrittenAndHoldsWhatWasThere(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	run := mustStart(t, db, "a", 1, "triage")
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-quit:
				done <- nil
				return
			default:
			}
			ev := someEvent(fmt.Sprint("b", i), 1)
			if _, err := db.Admit(t.Context(), admissionOf(ev, someRun(ev, "triage"))); err != nil {
				done <- err
				return
			}
		}
	}()
	b := keepBackup(t, db, 2, moments(0))
	close(quit)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(b.Path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != b.Size {
		t.Errorf("%v (%v), want %d bytes for the owner alone", info, err, b.Size)
	}
	copied := filepath.Join(t.TempDir(), "journal.db")
	if err := os.Rename(b.Path, copied); err != nil {
		t.Fatal(err)
	}
	other := openTest(t, copied)
	if _, err := other.Load(t.Context(), run.ID); err != nil {
		t.Error(err)
	}
	if err := other.CheckIntegrity(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheNewestBackupsAreKeptAndThoseBeforeUpgradesAlways(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	upgrade := db.path + ".schema1-20250101T000000.000000000Z.backup"
	for _, name := range []string{upgrade, db.path + ".future.backup", db.path + "-other.backup"} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Its name says that it will be made in a hundred years: the clock was wrong.
	wrong := keepBackup(t, db, 1, moments(0).AddDate(100, 0, 0))
	var made []Backup
	for i := range 4 {
		made = append(made, keepBackup(t, db, 2, moments(i)))
	}
	list, err := Backups(db.path)
	if err != nil {
		t.Fatal(err)
	}
	var dated []string
	for _, b := range list {
		if b.Dated {
			dated = append(dated, b.Path)
		}
	}
	if want := []string{made[3].Path, made[2].Path}; fmt.Sprint(dated) != fmt.Sprint(want) {
		t.Errorf("kept %v, want %v and not %s", dated, want, wrong.Path)
	}
	if len(list) != 4 {
		t.Errorf("backups %v, want those two and the two of other names", list)
	}
	if _, err := db.KeepBackup(t.Context(), 0, moments(9)); err == nil {
		t.Error("no backup was to be kept, and that was no error")
	}
}

func TestWhatAnInterruptedBackupLeavesIsRemovedLater(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	old, recent := db.path+".20261101T000000Z.backup.partial", db.path+".20261123T000000Z.backup.partial"
	for _, name := range []string{old, recent} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*stalePart)); err != nil {
		t.Fatal(err)
	}
	keepBackup(t, db, 1, time.Now())
	if _, err := os.Stat(old); err == nil {
		t.Error("the old one is still there")
	}
	if _, err := os.Stat(recent); err != nil {
		t.Error("somebody else's backup was removed while it was made")
	}
}

// The message about a damaged database names the newest backup, and what it tells to do works.
func TestADamagedDatabaseIsReplacedByWhatTheMessageSays(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "it's a directory")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "journal.db")
	db := openTest(t, path)
	run := mustStart(t, db, "a", 1, "triage")
	keepBackup(t, db, 2, moments(0))
	newest := keepBackup(t, db, 2, moments(1))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"emptied": func() error { return os.Truncate(path, 0) },
		"cut":     func() error { return os.Truncate(path, 5000) },
		"log":     func() error { return os.WriteFile(path+"-wal", []byte(strings.Repeat("garbage ", 1000)), 0o600) },
		"gone":    func() error { return errors.Join(os.WriteFile(path+"-wal", []byte("log"), 0o600), os.Remove(path)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), path, Options{})
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), newest.Path) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, command, found := strings.Cut(err.Error(), "with playbookd stopped: ")
		if !found {
			t.Fatalf("%s: %v", name, err)
		}
		out, err := exec.Command("sh", "-c", command).CombinedOutput() // mv complains of what is not there
		t.Logf("%s: %s %v", name, out, err)
		again, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatalf("%s: after %s: %v", name, command, err)
		}
		if _, err := again.Load(t.Context(), run.ID); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADamagedDatabaseWithoutABackupSaysThatToo(t *testing.T) {
	t.Parallel()
	path := closed(t)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), path, Options{})
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "there is no backup beside it") {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("the file was touched: %v %v", info, err)
	}
}

func TestAStartThatWasCutOffBeforeTheDatabaseWasThereIsRepeated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	for _, name := range []string{path + ".new", path + ".new-journal"} {
		if err := os.WriteFile(name, []byte(strings.Repeat("half a database", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db := openTest(t, path)
	mustStart(t, db, "a", 1, "triage")
	if _, err := os.Stat(path + ".new"); err == nil {
		t.Error("what was left is still there")
	}
}

// A log that was cut or has damaged frames is what a loss of power leaves, and no damage.
func TestALogThatALossOfPowerCutIsNoDamage(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	run := mustStart(t, db, "a", 1, "triage")
	wal, err := os.ReadFile(db.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(db.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Append(t.Context(), engine.Append{Run: run.ID, State: engine.Ready, Entries: []engine.Entry{{Seq: 1, Kind: engine.Intent}}}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, logHeader - 1, logHeader, logHeader + 1, len(wal) - 1, len(wal)} {
		path := filepath.Join(t.TempDir(), "journal.db")
		if err := errors.Join(os.WriteFile(path, content, 0o600), os.WriteFile(path+"-wal", wal[:n], 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := openTest(t, path).Close(); err != nil {
			t.Errorf("%d of %d bytes of the log: %v", n, len(wal), err)
		}
	}
	for at := range logHeader {
		spoilt := append([]byte(nil), wal...)
		spoilt[at] ^= 0x10
		path := filepath.Join(t.TempDir(), "journal.db")
		if err := errors.Join(os.WriteFile(path, content, 0o600), os.WriteFile(path+"-wal", spoilt, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d of the log's header: %v", at, err)
		}
	}
}
