package store

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-sqlite3"

	"github.com/playbookd/playbookd/engine"
)

// change runs statements on a file as another program would.
func change(t *testing.T, path string, statements ...string) {
	t.Helper()
	pool := sql.OpenDB(connector{driver: &sqlite3.SQLiteDriver{}, dsn: path})
	defer pool.Close()
	for _, s := range statements {
		if _, err := pool.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// closed makes a database with a story in it and closes it.
func closed(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	story(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// refuses checks that neither Open nor OpenReader takes a file, that both say why, and that the
// file stays as it is.
func refuses(t *testing.T, path string, kind error, says ...string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, writeErr := Open(t.Context(), path, Options{})
	_, readErr := OpenReader(t.Context(), path)
	for _, err := range []error{writeErr, readErr} {
		if !errors.Is(err, kind) {
			t.Fatalf("got %v, want %v", err, kind)
		}
		for _, part := range append(says, path) {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %q", err, part)
			}
		}
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("the file was changed")
	}
}

func TestAFileOfANewerVersionIsRefusedAndNotTouched(t *testing.T) {
	t.Parallel()
	path := closed(t)
	change(t, path, "PRAGMA user_version = 99")
	refuses(t, path, ErrNewer, "schema 99", "newer version")
}

func TestAFileOfAnotherProgramIsRefusedAndNotTouched(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"tables":          {"CREATE TABLE runs (id)"},
		"version":         {"PRAGMA user_version = 1"},
		"application":     {"PRAGMA application_id = 7", "CREATE TABLE runs (id)"},
		"ours, no schema": {fmt.Sprintf("PRAGMA application_id = %d", applicationID)},
	} {
		path := filepath.Join(t.TempDir(), name+".db")
		change(t, path, statements...)
		refuses(t, path, ErrForeign, "another data directory")
	}
}

func TestAReaderSeesWhatTheWriterHasCommitted(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	r, err := OpenReader(t.Context(), db.path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	run := mustStart(t, db, "a1", 1, "triage")
	l, err := r.Load(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(run, l.Run); diff != "" {
		t.Error(diff)
	}
	if _, err := r.pool.ExecContext(t.Context(), "DELETE FROM counts"); err == nil {
		t.Error("a reader could write")
	}
}

func TestAReaderOfAFileThatIsNotThereSaysSoAndMakesNone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	_, err := OpenReader(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "there is no "+path) {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was made")
	}
	_, err = Open(t.Context(), filepath.Join(path, "none", "journal.db"), Options{})
	if err == nil || !strings.Contains(err.Error(), "create it") {
		t.Fatal(err)
	}
	if _, err = Open(t.Context(), "", Options{}); err == nil {
		t.Fatal("a database without a name")
	}
}

func TestADirectoryThatCannotBeWrittenToIsNamed(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root can write everywhere")
	}
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), filepath.Join(dir, "journal.db"), Options{})
	if !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "permissions") {
		t.Fatal(err)
	}
}

func TestNobodyElseCanReadTheFiles(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	mustStart(t, db, "a1", 1, "triage")
	files, err := filepath.Glob(db.path + "*")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", f, info.Mode())
		}
	}
}

func TestAnyPathCanBeUsed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b?mode=memory&x=%41#ü'.db")
	db := openTest(t, path)
	mustStart(t, db, "a1", 1, "triage")
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
}

func TestSQLiteVersionsThatDamageFilesAreRefused(t *testing.T) {
	t.Parallel()
	if err := checkSQLite("3.51.2", 3_051_002); err == nil || !strings.Contains(err.Error(), "3.51.3") {
		t.Error(err)
	}
	if err := checkSQLite("3.51.3", 3_051_003); err != nil {
		t.Error(err)
	}
}

func TestAnUpgradeKeepsACopyAndEverythingInIt(t *testing.T) {
	t.Parallel()
	path := closed(t)
	pool := connectWriter(path)
	defer pool.Close()
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	known, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	next := append(known, "CREATE TABLE later (n INTEGER PRIMARY KEY) STRICT", "THIS IS NOT SQL")
	err = migrate(t.Context(), conn, path, len(known), next, log)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("schema %d", len(next))) {
		t.Fatalf("a script that is wrong: %v", err)
	}
	if version, err := identify(t.Context(), conn, 99); err != nil || version != len(known)+1 {
		t.Fatalf("the script before it must stay: schema %d, %v", version, err)
	}
	copies, err := filepath.Glob(path + ".schema*.backup")
	if err != nil || len(copies) != 1 {
		t.Fatal(copies, err)
	}
	before := openTest(t, copies[0])
	fresh := newTest(t)
	story(t, fresh)
	if diff := cmp.Diff(tell(t, fresh.Reader), tell(t, before.Reader)); diff != "" {
		t.Error(diff)
	}
}

func TestClosingTwiceIsOneClosingAndLaterWritesAreRefused(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Admit(t.Context(), engine.Admission{}); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if _, err := os.Stat(db.path + "-wal"); err == nil {
		t.Error("the log was not folded into the file")
	}
}
