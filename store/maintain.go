package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// CheckIntegrity examines the whole file: its structure, its conditions, that every reference leads
// somewhere and that runs were counted right. An error that is [ErrCorrupt] says what was found. It reads everything, so it
// takes seconds for each gigabyte, but nobody waits for it meanwhile.
func (r *Reader) CheckIntegrity(ctx context.Context) error {
	conn, err := r.pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("check integrity: %w", explain(r.path, err))
	}
	defer conn.Close()
	err = quickCheck(ctx, conn, r.path)
	if err == nil {
		err = checkReferences(ctx, conn, r.path)
	}
	if err == nil {
		err = checkCounts(ctx, conn, r.path)
	}
	if err != nil {
		return fmt.Errorf("check integrity: %w", explain(r.path, err))
	}
	return nil
}

// maxComplaints is how many findings an error quotes.
const maxComplaints = 5

func quickCheck(ctx context.Context, conn *sql.Conn, path string) error {
	complaints, err := complaintsOf(ctx, conn)
	if err == nil && complaints != "" {
		err = damaged(path, errors.New(complaints))
	}
	return err
}

// complaintsOf examines the structure of a database and quotes what is wrong with it. A page that
// the disk does not give out is an error and no complaint: the disk may give it out tomorrow.
func complaintsOf(ctx context.Context, conn *sql.Conn) (string, error) {
	rows, err := conn.QueryContext(ctx, "PRAGMA quick_check(5)") // maxComplaints
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var complaints []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return "", err
		}
		if m := unreadable.FindStringSubmatch(text); m != nil {
			if code, err := strconv.Atoi(m[1]); err == nil && sqlite3.ErrNo(code&0xff) != sqlite3.ErrCorrupt {
				return "", sqlite3.Error{Code: sqlite3.ErrNo(code & 0xff), ExtendedCode: sqlite3.ErrNoExtended(code)}
			}
		}
		if text != "ok" && len(complaints) < maxComplaints {
			complaints = append(complaints, text)
		}
	}
	return strings.Join(complaints, "; "), rows.Err()
}

// unreadable is how SQLite's examination tells of a page that it could not read.
var unreadable = regexp.MustCompile(`unable to get the page\. error code=(\d+)`)

// All runs, once. Only CheckIntegrity asks for that.
const sqlMiscounted = `SELECT c.state, c.runs, coalesce(r.runs, 0)
	FROM counts c LEFT JOIN (SELECT state, count(*) AS runs FROM runs GROUP BY state) r ON r.state = c.state
	WHERE c.runs <> coalesce(r.runs, 0)`

// checkCounts compares what the writer counted with what is there.
func checkCounts(ctx context.Context, conn *sql.Conn, path string) error {
	var state string
	var counted, there int
	err := conn.QueryRowContext(ctx, sqlMiscounted).Scan(&state, &counted, &there)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return damaged(path, fmt.Errorf("%d runs are counted as %s, and there are %d", counted, state, there))
}

func checkReferences(ctx context.Context, conn *sql.Conn, path string) error {
	rows, err := conn.QueryContext(ctx, "PRAGMA foreign_key_check")
	if err != nil {
		return err
	}
	defer rows.Close()
	if rows.Next() {
		var table, parent string
		var row *int64
		var constraint int
		if err := rows.Scan(&table, &row, &parent, &constraint); err != nil {
			return err
		}
		return damaged(path, fmt.Errorf("a row of %s refers to one of %s that is missing", table, parent))
	}
	return rows.Err()
}

// Backup writes a copy to a new file while the database is in use. The copy is complete or not
// there: it gets its name when it was examined and all of it is on the disk.
func (r *Reader) Backup(ctx context.Context, path string) (err error) {
	// The readers may not write, not even to another file.
	pool := connectWriter(r.path)
	defer func() {
		if closing := pool.Close(); err == nil {
			err = closing
		}
		if err != nil {
			err = fmt.Errorf("backup to %s: %w", path, explain(path, err))
		}
	}()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return vacuumInto(ctx, conn, path)
}

// vacuumInto copies a database into a file that must not exist.
func vacuumInto(ctx context.Context, conn *sql.Conn, path string) (err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return fmt.Errorf("choose another name: %w", err)
	}
	partial := path + ".partial"
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closing := f.Close(); err == nil {
			err = closing
		}
		if err != nil {
			_ = os.Remove(partial) // the first error is the one to tell
		}
	}()
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?1", partial); err != nil {
		return err
	}
	if err := examineCopy(ctx, partial); err != nil {
		return fmt.Errorf("the copy is not sound: %w", err)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// examineCopy reads all of a copy.
func examineCopy(ctx context.Context, path string) (err error) {
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	pool := connectReaders(path)
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	complaints, err := complaintsOf(ctx, conn)
	if err == nil && complaints != "" {
		err = errors.New(complaints)
	}
	return err
}
