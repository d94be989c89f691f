package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
)

// Reader reads a database, beside the process that writes it if there is one. Its connections
// can't write. It is safe for concurrent use.
type Reader struct {
	path string
	pool *sql.DB
	free chan *session // those that nobody uses
	quit chan struct{}
	once sync.Once
}

// session is a connection with its prepared statements. It is opened when it is first used.
type session struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

func newReader(path string, sessions int) *Reader {
	r := &Reader{
		path: path, pool: connectReaders(path),
		free: make(chan *session, sessions), quit: make(chan struct{}),
	}
	for range sessions {
		r.free <- &session{}
	}
	return r
}

// Close waits for those who read and ends reading.
func (r *Reader) Close() error {
	var errs []error
	r.once.Do(func() {
		close(r.quit)
		for range cap(r.free) {
			s := <-r.free
			errs = append(errs, s.close())
		}
		errs = append(errs, r.pool.Close())
	})
	return errors.Join(errs...)
}

func (s *session) close() error {
	var errs []error
	for _, prepared := range s.statements {
		errs = append(errs, prepared.Close())
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	s.conn, s.statements = nil, nil
	return errors.Join(errs...)
}

// view is one look at the database, in which all reads see the same state.
type view struct {
	*session
	ctx context.Context
}

// look calls f with a view.
func (r *Reader) look(ctx context.Context, f func(*view) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-r.quit:
		return ErrClosed
	default:
	}
	select {
	case s := <-r.free:
		err := r.lookWith(ctx, s, f)
		r.free <- s
		return explain(r.path, err)
	case <-ctx.Done():
		return ctx.Err()
	case <-r.quit:
		return ErrClosed
	}
}

const sqlRead = `BEGIN`

func (r *Reader) lookWith(ctx context.Context, s *session, f func(*view) error) (err error) {
	if s.conn == nil {
		if s.conn, err = r.pool.Conn(ctx); err != nil {
			s.conn = nil
			return err
		}
		s.statements = map[string]*sql.Stmt{}
	}
	v := &view{session: s, ctx: ctx}
	if err := v.exec(ctx, sqlRead); err != nil {
		return err
	}
	err = f(v)
	// Also for those who have given up: the connection is for the next one.
	if end := v.exec(context.WithoutCancel(ctx), sqlRollback); end != nil {
		// Nobody knows what state it is in: it must not go back to the pool.
		_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = s.close() // says only that the connection is gone
		return errors.Join(err, end)
	}
	if ctx.Err() != nil && err != nil {
		return ctx.Err() // rather than that SQLite was interrupted
	}
	return err
}

func (v *view) exec(ctx context.Context, query string) error {
	s, err := v.statement(query)
	if err == nil {
		_, err = s.ExecContext(ctx)
	}
	return err
}

// statement prepares each text once. Texts are made of constants, so there are few.
func (v *view) statement(query string) (*sql.Stmt, error) {
	if s, ok := v.statements[query]; ok {
		return s, nil
	}
	s, err := v.conn.PrepareContext(v.ctx, query)
	if err != nil {
		return nil, err
	}
	v.statements[query] = s
	return s, nil
}

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
