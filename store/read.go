package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Reader reads a database, beside the process that writes it if there is one. Its connections
// can't write. It is safe for concurrent use.
type Reader struct {
	path string
	pool *sql.DB
}

func newReader(path string, connections int) *Reader {
	return &Reader{path: path, pool: connectReaders(path, connections)}
}

// Close ends reading.
func (r *Reader) Close() error { return r.pool.Close() }

// view is one look at the database.
type view struct {
	r   *Reader
	ctx context.Context
	tx  *sql.Tx
}

// look calls f with a view in which all reads see the same state.
func (r *Reader) look(ctx context.Context, f func(*view) error) error {
	tx, err := r.pool.BeginTx(ctx, nil)
	if err != nil {
		return explain(r.path, err)
	}
	err = f(&view{r: r, ctx: ctx, tx: tx})
	if end := tx.Rollback(); err == nil && ctx.Err() == nil { // nothing to commit
		err = end
	}
	return explain(r.path, err)
}

// statement prepares on the view's own connection. A cache shared by all connections would have
// to wait for a free one while holding its lock, and all of them may be held by views that wait
// for that lock.
func (v *view) statement(query string) (*sql.Stmt, error) { return v.tx.PrepareContext(v.ctx, query) }

// get reads one row. Without one it reports false.
func (v *view) get(query string, args []any, dest ...any) (bool, error) {
	s, err := v.statement(query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(v.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// scanner is a row that can be read.
type scanner interface{ Scan(dest ...any) error }

// collect reads all rows of a query.
func collect[T any](v *view, query string, args []any, read func(scanner) (T, error)) ([]T, error) {
	s, err := v.statement(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(v.ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		item, err := read(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, rows.Err()
}

const sqlBlob = `SELECT content FROM blobs WHERE n = ?1`

// value reads a value from where it is stored.
func (v *view) value(inline []byte, blob *int64) ([]byte, error) {
	if blob == nil {
		if len(inline) == 0 {
			return nil, nil
		}
		return inline, nil
	}
	var content []byte
	ok, err := v.get(sqlBlob, []any{*blob}, &content)
	if err == nil && !ok {
		err = fmt.Errorf("%w: value %d is missing", ErrCorrupt, *blob)
	}
	return content, err
}
