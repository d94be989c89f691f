package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/playbookd/playbookd/server"
	"github.com/playbookd/playbookd/store"
)

// How often the daemon looks after the journal's file.
const (
	BackupFirst = 10 * time.Minute // after the start, so that what runs for a moment only makes no copy
	BackupLook  = 10 * time.Minute // looks whether a backup is due, and tries again one that failed
)

// safeguard keeps copies of the journal, and examines one that was too large to be examined when it
// was opened.
func (d *Daemon) safeguard(ctx context.Context) {
	if info, err := os.Stat(d.Database()); err == nil && info.Size() > store.CheckAtOpen {
		d.examine(ctx)
	}
	look := time.NewTimer(BackupFirst)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			d.backUp(ctx, d.o.Now())
			look.Reset(BackupLook)
		}
	}
}

func (d *Daemon) examine(ctx context.Context) {
	err := d.db.CheckIntegrity(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		d.log.Error("the journal was examined and is not sound", "err", err)
	}
	d.mu.Lock()
	d.unsound = err
	d.mu.Unlock()
}

// backUp makes a backup if one is due.
func (d *Daemon) backUp(ctx context.Context, now time.Time) {
	if d.c.Backup.Keep == 0 {
		return
	}
	due, err := d.backupDue(now)
	if err == nil && !due {
		return
	}
	var made store.Backup
	if err == nil {
		made, err = d.db.KeepBackup(ctx, d.c.Backup.Keep, now)
	}
	if ctx.Err() != nil {
		return // the next start makes it
	}
	d.mu.Lock()
	d.backup = err
	if err == nil {
		d.backedUp = now
	}
	d.mu.Unlock()
	if err != nil {
		d.log.Error("no backup was made; it is tried again", "err", err)
		return
	}
	d.log.Info("backup made", "file", made.Path, "bytes", made.Size)
}

// backupDue says whether the newest backup is old. One from the future says nothing, because it was
// made while the clock was wrong; then what counts is when this process made its last.
func (d *Daemon) backupDue(now time.Time) (bool, error) {
	d.mu.Lock()
	last := d.backedUp
	d.mu.Unlock()
	if !last.IsZero() && now.Sub(last) < d.c.Backup.Every {
		return false, nil
	}
	list, err := store.Backups(d.Database())
	if err != nil {
		return false, err
	}
	for _, b := range list {
		if age := now.Sub(b.Made); b.Dated && age >= 0 && age < d.c.Backup.Every {
			return false, nil
		}
	}
	return true, nil
}

// safeguardChecks say whether the journal's file is safe.
func (d *Daemon) safeguardChecks() []server.Check {
	return []server.Check{{Name: "journal file", Func: func(context.Context) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.unsound
	}}, {Name: "backup", Func: func(context.Context) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.backup == nil {
			return nil
		}
		return fmt.Errorf("the last backup failed: %w", d.backup)
	}}, {Name: "outcomes", Func: func(context.Context) error {
		if n := d.engine.Keeping(); n > 0 {
			return fmt.Errorf("runs whose last outcome can't be recorded: %d. They are kept in memory and tried again: "+
				"mend what keeps the journal from being written, and don't stop playbookd before", n)
		}
		return nil
	}}}
}

// BackUp copies the journal in the database at path, which a daemon may have open, now: to a file
// that must not exist, or beside the database with the date in its name.
func BackUp(ctx context.Context, path, to string, keep int) (b store.Backup, err error) {
	r, err := store.OpenReader(ctx, path)
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if to == "" {
		return r.KeepBackup(ctx, max(keep, 1), time.Now())
	}
	if err := r.Backup(ctx, to); err != nil {
		return b, err
	}
	info, err := os.Stat(to)
	if err != nil {
		return b, err
	}
	return store.Backup{Path: to, Made: info.ModTime().UTC(), Size: info.Size()}, nil
}
