package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/playbookd/playbookd/engine"
)

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
		"a trigger that is gone":    "DROP TRIGGER history_append_only",
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
		"missing entry":    {"DELETE FROM history WHERE first = 1"},
		"missing last":     {"UPDATE runs SET last = last + 1"},
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
		"objects":  "UPDATE sets SET members = '[{\"name\": \"triage\"}]'",
		"nobody":   "UPDATE sets SET members = '[99]'",
		"screen":   "UPDATE screens SET content = '{'",
		"facts":    "UPDATE events SET facts = x'7b'",
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
	if _, err := pool.ExecContext(t.Context(), "UPDATE history SET data = NULL"); err == nil {
		t.Fatal("an entry was changed")
	}
}

func TestRunsThatWereCountedWrongAreDamage(t *testing.T) {
	t.Parallel()
	path := closed(t)
	change(t, path, "UPDATE counts SET runs = runs + 1 WHERE state = 'failed'")
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.CheckIntegrity(t.Context()); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "counted as failed") {
		t.Errorf("got %v", err)
	}
}
