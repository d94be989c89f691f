package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// ensure makes the database if there is none, and refuses what a loss left of one. A new database
// gets its name when all of it is on the disk, so that an empty file is never one that was just
// being made: somebody or something has emptied it.
func ensure(ctx context.Context, path string, log *slog.Logger) error {
	logged, err := os.Stat(path + "-wal")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && logged != nil && logged.Size() > 0:
		// SQLite would take the log for that of the new database.
		return damaged(path, errors.New("it is gone, and its write-ahead log is there"))
	case errors.Is(err, fs.ErrNotExist):
		return create(ctx, path, log)
	case err != nil:
		return fmt.Errorf("%w: check owner and permissions: %w", ErrReadOnly, err)
	case info.Size() == 0:
		return damaged(path, errors.New("it is empty"))
	}
	// SQLite would open it for reading if it can't be written, and fail later.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: check owner and permissions: %w", ErrReadOnly, err)
	}
	defer f.Close()
	if logged != nil && logged.Size() > logHeader {
		return checkLog(path)
	}
	return checkSize(f, path, info.Size())
}

// checkSize asks that a database without a log ends with a page: SQLite reads what is missing of the
// last one as zeros. With a log it may end anywhere, as the loss of power left it.
func checkSize(f *os.File, path string, size int64) error {
	var page [2]byte
	if _, err := f.ReadAt(page[:], pageSizeAt); err != nil {
		return damaged(path, errors.New("it ends within its header"))
	}
	n := int64(binary.BigEndian.Uint16(page[:]))
	if n == 1 { // 65536 does not fit
		n = 1 << 16
	}
	if n > 0 && size%n != 0 {
		return damaged(path, fmt.Errorf("it was cut: its %d bytes are no whole number of pages", size))
	}
	return nil // SQLite says what it makes of another header
}

// pageSizeAt is where the header of a database holds the size of its pages.
const pageSizeAt = 16

// create makes a database beside its place and moves it there.
func create(ctx context.Context, path string, log *slog.Logger) (err error) {
	partial := path + ".new"
	for _, left := range []string{partial, partial + "-journal"} { // by a process that ended too soon
		if err := os.Remove(left); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: check owner and permissions: %w", ErrReadOnly, err)
		}
	}
	// SQLite would create the file readable for all, and alerts are nobody else's business.
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("%w: check owner and permissions: %w", ErrReadOnly, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(partial) // the first error is the one to tell
		}
	}()
	if err := errors.Join(f.Close(), fill(ctx, partial, log)); err != nil {
		return explain(path, err)
	}
	if err := os.Rename(partial, path); err != nil {
		return err
	}
	// The directory may be as new as the file in it.
	return errors.Join(syncDir(filepath.Dir(path)), syncDir(filepath.Dir(filepath.Dir(path))))
}

// fill applies all migrations to an empty file.
func fill(ctx context.Context, path string, log *slog.Logger) (err error) {
	known, err := migrations()
	if err != nil {
		return err
	}
	pool := connectWriter(path)
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return migrate(ctx, conn, path, 0, known, log)
}

// The header of a write-ahead log, as SQLite's file format describes it.
const (
	logHeader       = 32
	logMagic        = 0x377f0682 // the lowest bit tells the byte order of the checksums
	logVersion      = 3007000
	logChecksummed  = 24
	logChecksumHigh = 28
)

// checkLog examines the header of a write-ahead log that holds more than that. SQLite takes a log with a damaged one for an
// empty log, and everything that was committed to it is gone without a word. A loss of power can't
// do that: SQLite syncs the header before anything follows it.
func checkLog(path string) error {
	f, err := os.Open(path + "-wal")
	if err != nil {
		return fmt.Errorf("%w: check owner and permissions: %w", ErrReadOnly, err)
	}
	defer f.Close()
	var h [logHeader]byte
	if _, err := io.ReadFull(f, h[:]); err != nil {
		return err
	}
	if !soundLog(h) {
		return damaged(path, fmt.Errorf("its write-ahead log %s-wal is no log", path))
	}
	return nil
}

func soundLog(h [logHeader]byte) bool {
	big := binary.BigEndian
	magic := big.Uint32(h[:])
	if magic&^1 != logMagic || big.Uint32(h[4:]) != logVersion {
		return false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if magic&1 != 0 {
		order = big
	}
	var a, b uint32
	for at := 0; at < logChecksummed; at += 8 {
		a += order.Uint32(h[at:]) + b
		b += order.Uint32(h[at+4:]) + a
	}
	return a == big.Uint32(h[logChecksummed:]) && b == big.Uint32(h[logChecksumHigh:])
}

// legible reads the database and its log to the end. A disk that does not give them out is an
// [ErrDisk]: they may be sound.
func legible(path string) error {
	for _, name := range []string{path, path + "-wal"} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: check owner and permissions: %w", ErrReadOnly, err)
		}
		_, err = io.Copy(io.Discard, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%w: look for its errors in the system's log: %w", ErrDisk, err)
		}
	}
	return nil
}
