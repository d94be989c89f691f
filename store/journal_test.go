package store

import (
	"path/filepath"
	"testing"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/journaltest"
)

func TestKeepsThePromisesOfAJournal(t *testing.T) {
	t.Parallel()
	journaltest.Run(t,
		func(t *testing.T) engine.Journal { return openTest(t, filepath.Join(t.TempDir(), "journal.db")) },
		func(t *testing.T, j engine.Journal) engine.Journal {
			db, ok := j.(*DB)
			if !ok {
				t.Fatalf("%T is not ours", j)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return openTest(t, db.path)
		})
}

// openTest opens a database that is closed when the test ends.
func openTest(t testing.TB, path string, options ...Options) *DB {
	t.Helper()
	var o Options
	for _, given := range options {
		o = given
	}
	db, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// newTest opens a new database.
func newTest(t testing.TB, options ...Options) *DB {
	t.Helper()
	return openTest(t, filepath.Join(t.TempDir(), "journal.db"), options...)
}
