package store

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/mattn/go-sqlite3"

	"github.com/playbookd/playbookd/engine"
)

// Errors that callers act on.
var (
	// ErrFull means that there is no space left. Nothing was written.
	ErrFull = errors.New("no space left for the database")
	// ErrCorrupt means that the file is damaged.
	ErrCorrupt = errors.New("the database is damaged")
	// ErrForeign means that the file belongs to another program. It was not changed.
	ErrForeign = errors.New("not a database of playbookd")
	// ErrNewer means that a newer version of this program has written the file.
	ErrNewer = errors.New("the database was written by a newer version of playbookd")
	// ErrLocked means that another process has the database open for writing.
	ErrLocked = errors.New("the database is in use")
	// ErrDisk means that the disk answered with an error. Nothing was written.
	ErrDisk = errors.New("the disk of the database does not work")
	// ErrReadOnly means that the file or its directory can't be written to.
	ErrReadOnly = errors.New("the database can't be written to")
	// ErrClosed means that the database was closed before the work was begun.
	ErrClosed = errors.New("the database is closed")
)

// AmbiguousError means that the beginning of a run ID fits several runs.
type AmbiguousError struct {
	Prefix     string
	Candidates []engine.RunID // the first few
	More       bool           // there are others
}

func (e *AmbiguousError) Error() string {
	list := make([]string, len(e.Candidates))
	for i, id := range e.Candidates {
		list[i] = string(id)
	}
	more := ""
	if e.More {
		more = " and others"
	}
	return fmt.Sprintf("%q is the beginning of several runs: %s%s; give more of it", e.Prefix, strings.Join(list, ", "), more)
}

// explain adds to an error of SQLite the kind that callers act on and what can be done about it.
func explain(path string, err error) error {
	var e sqlite3.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Code == sqlite3.ErrFull, e.SystemErrno == syscall.ENOSPC:
		return fmt.Errorf("%w: make room on the disk of %s: %w", ErrFull, path, err)
	case e.Code == sqlite3.ErrCorrupt, e.Code == sqlite3.ErrNotADB,
		e.ExtendedCode == sqlite3.ErrConstraintCheck: // what is written was checked before: a row that was there does not fit
		return damaged(path, err)
	case e.Code == sqlite3.ErrReadonly, e.Code == sqlite3.ErrPerm, e.Code == sqlite3.ErrCantOpen, e.SystemErrno == syscall.EROFS:
		return fmt.Errorf("%w: check owner and permissions of %s and of its directory: %w", ErrReadOnly, path, err)
	case e.Code == sqlite3.ErrIoErr:
		return fmt.Errorf("%w: look for its errors in the system's log, and check the disk of %s: %w", ErrDisk, path, err)
	case e.Code == sqlite3.ErrBusy, e.Code == sqlite3.ErrLocked:
		return fmt.Errorf("another program keeps %s locked: close it and try again: %w", path, err)
	}
	return err
}

func damaged(path string, err error) error {
	return fmt.Errorf("%w: %w: %s", ErrCorrupt, err, restoring(path))
}
