package daemon

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/store"
)

// guarded is as much of a daemon as looks after a journal's file.
func guarded(t *testing.T, b config.Backup) *Daemon {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), filepath.Join(dir, DatabaseName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Daemon{c: &config.Config{Data: dir, Backup: b}, db: db, engine: engine.New(engine.Options{Journal: db}), log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func (d *Daemon) backups(t *testing.T) int {
	t.Helper()
	list, err := store.Backups(d.Database())
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// failing names the checks that fail, with their reasons.
func (d *Daemon) failing(t *testing.T) string {
	var list []string
	for _, c := range d.safeguardChecks() {
		if err := c.Func(t.Context()); err != nil {
			list = append(list, c.Name+": "+err.Error())
		}
	}
	return strings.Join(list, "\n")
}

func TestABackupIsMadeWhenOneIsDue(t *testing.T) {
	t.Parallel()
	d := guarded(t, config.Backup{Every: 24 * time.Hour, Keep: 2})
	now := time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {10 * time.Minute, 1}, {24*time.Hour - time.Second, 1}, {24 * time.Hour, 2}, {25 * time.Hour, 2}, {48 * time.Hour, 2}} {
		d.backUp(t.Context(), now.Add(step.after))
		if n := d.backups(t); n != step.want {
			t.Errorf("after %s there are %d backups, want %d", step.after, n, step.want)
		}
	}
	// Another process makes none while that of this one is fresh, and one when the clock was wrong.
	other := &Daemon{c: d.c, db: d.db, log: d.log}
	if due, err := other.backupDue(now.Add(49 * time.Hour)); due || err != nil {
		t.Errorf("due is %v (%v) an hour after the last", due, err)
	}
	if due, err := other.backupDue(now.Add(-time.Hour)); !due || err != nil {
		t.Errorf("due is %v (%v) when all backups are from the future", due, err)
	}
	if wrong := d.failing(t); wrong != "" {
		t.Error(wrong)
	}
}

func TestNoBackupIsMadeWhereNoneIsWanted(t *testing.T) {
	t.Parallel()
	d := guarded(t, config.Backup{Every: time.Hour})
	d.backUp(t.Context(), time.Now())
	if n := d.backups(t); n != 0 {
		t.Errorf("%d backups", n)
	}
}

func TestABackupThatFailsIsSaidAndTriedAgain(t *testing.T) {
	t.Parallel()
	d := guarded(t, config.Backup{Every: time.Hour, Keep: 1})
	now := time.Now()
	inTheWay := d.Database() + "." + now.UTC().Format("20060102T150405Z") + ".backup"
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	d.backUp(t.Context(), now)
	if wrong := d.failing(t); !strings.Contains(wrong, "backup: the last backup failed: ") {
		t.Errorf("failing checks: %q", wrong)
	}
	d.backUp(t.Context(), now.Add(time.Second))
	if wrong := d.failing(t); wrong != "" || d.backups(t) != 1 {
		t.Errorf("%d backups, failing checks: %q", d.backups(t), wrong)
	}
}

func TestAnUnsoundJournalIsSaid(t *testing.T) {
	t.Parallel()
	d := guarded(t, config.Backup{})
	d.examine(t.Context())
	if wrong := d.failing(t); wrong != "" {
		t.Errorf("a sound one: %q", wrong)
	}
	// A reader of a damaged file finds what Open did not look for in a large one.
	path := filepath.Join(t.TempDir(), DatabaseName)
	if err := d.db.Backup(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 5 * 4096; i < 5*4096+200; i++ {
		text[i] ^= 0xff
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := store.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	spoilt := &Daemon{c: d.c, db: &store.DB{Reader: r}, engine: d.engine, log: d.log}
	spoilt.examine(t.Context())
	if wrong := spoilt.failing(t); !strings.Contains(wrong, "journal file: check integrity: the database is damaged") {
		t.Errorf("failing checks: %q", wrong)
	}
}
