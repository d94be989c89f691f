package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What a backup needs and leaves.
const (
	// BackupReserve is how much room a backup must leave on the disk: it must not be what fills it.
	BackupReserve = 64 << 20

	backupSuffix = ".backup"
	partSuffix   = ".partial"
	// stalePart is how old an unfinished backup is before it counts as left by a process that ended.
	stalePart = time.Hour
	dateForm  = "20060102T150405Z"
)

// Backup is a copy of the database beside it.
type Backup struct {
	Path string
	Made time.Time
	Size int64
	// Dated says that it is one of those that [Reader.KeepBackup] made, and removes when they are old.
	Dated bool
}

// Backups lists the copies that lie beside the database at path, the newest first: those of
// KeepBackup and those that were made before upgrades.
func Backups(path string) ([]Backup, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("backups: %w", err)
	}
	var list []Backup
	for _, e := range entries {
		name, ours := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		name, is := strings.CutSuffix(name, backupSuffix)
		info, err := e.Info()
		if !ours || !is || err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			continue
		}
		b := Backup{Path: filepath.Join(filepath.Dir(path), e.Name()), Made: info.ModTime().UTC(), Size: info.Size()}
		if t, err := time.Parse(dateForm, name); err == nil {
			b.Made, b.Dated = t, true
		}
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b Backup) int { return cmp.Or(b.Made.Compare(a.Made), strings.Compare(a.Path, b.Path)) })
	return list, nil
}

// KeepBackup makes a copy beside the database while it is in use, with the date in its name,
// and removes the oldest of such copies beyond keep. A copy is there when it is complete, examined
// and durable, or not at all. It is not made if it would leave less than [BackupReserve] free.
func (r *Reader) KeepBackup(ctx context.Context, keep int, now time.Time) (Backup, error) {
	if keep < 1 {
		return Backup{}, fmt.Errorf("keep %d backups: at least one is needed", keep)
	}
	removeStale(r.path, now)
	if err := roomFor(r.path); err != nil {
		return Backup{}, fmt.Errorf("backup: %w", err)
	}
	path := r.path + "." + now.UTC().Format(dateForm) + backupSuffix
	if err := r.Backup(ctx, path); err != nil {
		return Backup{}, err
	}
	list, err := Backups(r.path)
	if err != nil {
		return Backup{}, err
	}
	made := Backup{Path: path, Made: now.UTC().Truncate(time.Second), Dated: true}
	dated := slices.DeleteFunc(slices.Clone(list), func(b Backup) bool { return !b.Dated })
	// One from the future was made while the clock was wrong: it is the first to go.
	slices.SortStableFunc(dated, func(a, b Backup) int { return cmp.Compare(future(a, now), future(b, now)) })
	var errs []error
	for i, b := range dated {
		switch {
		case b.Path == path:
			made.Size = b.Size
		case i >= keep:
			errs = append(errs, os.Remove(b.Path))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return made, fmt.Errorf("remove old backups: %w", err)
	}
	return made, nil
}

func future(b Backup, now time.Time) int {
	if b.Made.After(now) {
		return 1
	}
	return 0
}

// roomFor asks that a copy of the database leaves room for the database itself.
func roomFor(path string) error {
	var size int64
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	free, known := freeSpace(filepath.Dir(path))
	if known && free < size+BackupReserve {
		return fmt.Errorf("%w: it needs %d MiB on the disk of %s and would have to leave %d MiB free, %d MiB are: make room",
			ErrFull, size>>20, path, BackupReserve>>20, free>>20)
	}
	return nil
}

// removeStale removes what processes that ended too soon have left of their backups.
func removeStale(path string, now time.Time) {
	left, err := filepath.Glob(path + ".*" + backupSuffix + partSuffix + "*")
	if err != nil {
		return // the path holds characters that Glob takes for a pattern: then they stay
	}
	for _, name := range left {
		if info, err := os.Stat(name); err == nil && now.Sub(info.ModTime()) > stalePart {
			_ = os.Remove(name) // only a file that takes up room
		}
	}
}

// restoring says how the database at path is replaced by its newest backup.
func restoring(path string) string {
	list, err := Backups(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(list) == 0 {
		return fmt.Sprintf("there is no backup beside it. Stop playbookd, move %s and its -wal away, and put a backup of your own in its place; "+
			"without one, start with an empty directory", path)
	}
	from, to := shellWord(list[0].Path), shellWord(path)
	broken := shellWord(path + ".damaged")
	return fmt.Sprintf("the newest backup is %s, of %s. To put it in its place, with playbookd stopped: "+
		"mv %s %s; mv %s-wal %s-wal; rm -f %s-shm; cp %s %s",
		list[0].Path, list[0].Made.Format(time.RFC3339), to, broken, to, broken, to, from, to)
}

// shellWord quotes a path for a shell if it needs it.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@:,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
