package store

import (
	"context"
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

func TestADamagedFileIsNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	path := closed(t)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"text":      func([]byte) []byte { return []byte(strings.Repeat("This is not a database. ", 500)) },
		"header":    func(b []byte) []byte { b[5] ^= 0xff; return b },
		"schema":    func(b []byte) []byte { clear(b[100:4096]); return b },
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
	} {
		damaged := filepath.Join(t.TempDir(), name+".db")
		if err := os.WriteFile(damaged, spoil([]byte(string(content))), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), damaged, Options{})
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), damaged) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamageAnywhereInTheFileIsAnErrorAndNeverAPanic(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(closed(t))
	if err != nil {
		t.Fatal(err)
	}
	noticed := 0
	for at := 4096; at < len(content); at += 2048 {
		spoilt := []byte(string(content))
		for i := at; i < min(at+64, len(spoilt)); i++ {
			spoilt[i] ^= 0xa5
		}
		path := filepath.Join(t.TempDir(), "journal.db")
		if err := os.WriteFile(path, spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := examine(t.Context(), path); err != nil {
			noticed++
		}
	}
	if noticed == 0 {
		t.Error("no damage was noticed at all")
	}
}

// examine reads all that a file holds and returns the first error.
func examine(ctx context.Context, path string) error {
	r, err := OpenReader(ctx, path)
	if err != nil {
		return err
	}
	defer r.Close()
	errs := []error{r.CheckIntegrity(ctx)}
	runs, err := r.Runs(ctx, RunFilter{})
	errs = append(errs, err)
	for _, run := range runs {
		_, err := r.Load(ctx, run.ID)
		errs = append(errs, err)
	}
	events, err := r.Events(ctx, EventFilter{})
	errs = append(errs, err)
	for _, ev := range events {
		_, err := r.Decisions(ctx, ev.ID)
		_, werr := r.Writes(ctx, ev.Tenant, ev.Object, moments(0))
		errs = append(errs, err, werr)
	}
	_, err = r.Counts(ctx)
	return errors.Join(append(errs, err)...)
}

func TestAChangedSchemaIsNoticed(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"a trigger that falsifies":  "CREATE TRIGGER x AFTER INSERT ON runs BEGIN UPDATE runs SET mode = 'live'; END",
		"a trigger that is gone":    "DROP TRIGGER entries_append_only",
		"an index that is gone":     "DROP INDEX runs_turn",
		"a table that is not ours":  "CREATE TABLE x (y)",
		"a column that is not ours": "ALTER TABLE runs ADD COLUMN x TEXT",
	} {
		path := closed(t)
		change(t, path, statement)
		if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the schema can't forbid the decoder must notice.
func TestRowsThatMakeNoSenseAreErrors(t *testing.T) {
	t.Parallel()
	id := engine.NewRunID("triage", someEvent("a0", 1).ID)
	for name, statements := range map[string][]string{
		"unknown mode":     {"UPDATE runs SET mode = 'wild'"},
		"missing entry":    {"DELETE FROM entries WHERE seq = 1"},
		"missing last":     {"DELETE FROM entries WHERE seq = 2"},
		"missing list":     {"DELETE FROM run_lists"},
		"changed playbook": {"UPDATE documents SET content = x'00'"},
		"missing playbook": {"PRAGMA foreign_keys = OFF", "DELETE FROM documents"},
		"missing value":    {"PRAGMA foreign_keys = OFF", "UPDATE events SET payload = NULL, payload_blob = 99"},
		"missing event":    {"PRAGMA foreign_keys = OFF", "DELETE FROM events"},
		"unknown state":    {"PRAGMA ignore_check_constraints = ON", "UPDATE runs SET state = 'resting'"},
		"waits for ever":   {"PRAGMA ignore_check_constraints = ON", "UPDATE runs SET state = 'waiting', wake = NULL"},
	} {
		path := closed(t)
		change(t, path, statements...)
		r, err := OpenReader(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Load(t.Context(), id)
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, statement := range map[string]string{
		"members":  "UPDATE sets SET members = '{'",
		"no array": "UPDATE sets SET members = '7'",
	} {
		path := closed(t)
		change(t, path, statement)
		r, err := OpenReader(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Decisions(t.Context(), someEvent("a0", 1).ID); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestHistoryIsNeverRewritten(t *testing.T) {
	t.Parallel()
	path := closed(t)
	pool := sql.OpenDB(connector{driver: &sqlite3.SQLiteDriver{}, dsn: path})
	defer pool.Close()
	if _, err := pool.ExecContext(t.Context(), "UPDATE entries SET data = NULL"); err == nil {
		t.Fatal("an entry was changed")
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
