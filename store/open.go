package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/mattn/go-sqlite3"

	"github.com/playbookd/playbookd/engine"
)

// Readers is how many connections read at the same time if Options doesn't say.
const Readers = 4

// CheckAtOpen is the size up to which Open examines the whole file. A larger one is opened
// without, because the daemon should be back within a second; see [Reader.CheckIntegrity].
const CheckAtOpen = 128 << 20

// checkpointPages is how long the write-ahead log gets before it is folded into the file: 16 MiB.
// The longer, the more often is a page that every commit changes copied only once.
const checkpointPages = 4096

// Options are what may differ between databases.
type Options struct {
	Log     *slog.Logger // nil: nothing is logged
	Readers int          // 0: Readers

	maxPages int // for tests of a full disk; 0: no limit
}

// DB is the database of a process that writes. It implements [engine.Journal].
type DB struct {
	*Reader
	writer *writer
	pool   *sql.DB  // the writer's
	lock   *os.File // held while open
	close  sync.Once
}

var _ engine.Journal = (*DB)(nil)

// Open opens the database at path, makes it if there is none, and upgrades it if an older
// version wrote it, after making a copy. The directory must exist. Until Close no other process
// can open it for writing. A database that is damaged is refused, with the newest backup and how to
// put it in place.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	if version, number, _ := sqlite3.Version(); checkSQLite(version, number) != nil {
		return nil, checkSQLite(version, number)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("component", "store")
	if o.Readers <= 0 {
		o.Readers = Readers
	}
	path, err := absolute(path)
	if err != nil {
		return nil, err
	}
	held, err := lock(path)
	if err != nil {
		return nil, err
	}
	db, err := open(ctx, path, o)
	if errors.Is(err, ErrCorrupt) {
		// SQLite takes a page that the disk doesn't give out for a damaged one.
		first := err
		if err = legible(path); err == nil {
			db, err = open(ctx, path, o)
		}
		if err == nil {
			o.Log.Warn("the database looked damaged and is sound: check the disk", "err", first)
		}
	}
	if err != nil {
		_ = held.Close() // it was only locked
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db.lock = held
	return db, nil
}

// absolute keeps the database where it is when the process changes its directory.
func absolute(path string) (string, error) {
	if path == "" {
		return "", errors.New("open database: the path is empty")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("open database: %w", err)
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("open database %s: there is no directory %s: create it", path, dir)
	}
	return path, nil
}

// open does what needs the lock.
func open(ctx context.Context, path string, o Options) (_ *DB, err error) {
	if err := ensure(ctx, path, o.Log); err != nil {
		return nil, err
	}
	pool := connectWriter(path)
	defer func() {
		if err != nil {
			_ = pool.Close() // the first error is the one to tell
			err = explain(path, err)
		}
	}()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, conn, path, o); err != nil {
		return nil, err
	}
	writing, err := newDirect(conn)
	if err != nil {
		return nil, err
	}
	reader := newReader(path, o.Readers)
	if err := reader.pool.PingContext(ctx); err != nil {
		_ = reader.pool.Close()
		return nil, err
	}
	return &DB{Reader: reader, pool: pool, writer: startWriter(writing, path)}, nil
}

// prepare brings the file into the state in which it is used.
func prepare(ctx context.Context, conn *sql.Conn, path string, o Options) error {
	known, err := migrations()
	if err != nil {
		return err
	}
	version, err := identify(ctx, conn, len(known))
	if err != nil {
		return err
	}
	// Only now is the file known to be ours, so that it may be changed.
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("its file system has no shared memory for a write-ahead log: choose a local disk")
	}
	if info, err := os.Stat(path); err == nil && version > 0 && info.Size() <= CheckAtOpen {
		if err := quickCheck(ctx, conn, path); err != nil {
			return err
		}
	}
	if version < len(known) {
		if err := migrate(ctx, conn, path, version, known, o.Log); err != nil {
			return err
		}
	}
	if err := verifySchema(ctx, conn, known); err != nil {
		return damaged(path, err)
	}
	if o.maxPages > 0 {
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", o.maxPages)); err != nil {
			return err
		}
	}
	for _, pragma := range []string{"PRAGMA journal_size_limit = 67108864", fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", checkpointPages)} {
		if _, err := conn.ExecContext(ctx, pragma); err != nil {
			return err
		}
	}
	return nil
}

// OpenReader opens the database at path for reading, also while a daemon has it open.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open database: there is no %s: start playbookd first, or name its data directory", path)
	}
	path, err := absolute(path)
	if err != nil {
		return nil, err
	}
	r := newReader(path, 1)
	if err := r.recognize(ctx); err != nil {
		_ = r.pool.Close() // the first error is the one to tell
		return nil, fmt.Errorf("open database %s: %w", path, explain(path, err))
	}
	return r, nil
}

// recognize refuses a file that this version can't read.
func (r *Reader) recognize(ctx context.Context) error {
	known, err := migrations()
	if err != nil {
		return err
	}
	conn, err := r.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	version, err := identify(ctx, conn, len(known))
	if err != nil {
		return err
	}
	if version < len(known) {
		return fmt.Errorf("schema %d is older than %d: start playbookd once to upgrade it", version, len(known))
	}
	if err := verifySchema(ctx, conn, known); err != nil {
		return damaged(r.path, err)
	}
	return nil
}

// Close waits for the writes that have begun, refuses those that wait, folds the write-ahead log
// into the file and lets go of the lock.
func (db *DB) Close() (err error) {
	db.close.Do(func() { err = db.shut() })
	return err
}

const sqlFold = `PRAGMA wal_checkpoint(TRUNCATE)`

func (db *DB) shut() error {
	db.writer.stop()
	errs := []error{db.Reader.Close()}
	// Best effort: what a reader of another process keeps in the log stays there and is safe.
	_, err := db.writer.exec(sqlFold)
	errs = append(errs, err, db.writer.close(), db.pool.Close(), db.lock.Close())
	return explain(db.path, errors.Join(errs...))
}
