package store

import (
	"context"
	"database/sql"
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
	sets sets
}

// session is a connection, opened when it is first used.
type session struct{ *direct }

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
	if s.direct == nil {
		return nil
	}
	err := s.direct.close()
	s.direct = nil
	return err
}

// open takes a connection for the session.
func (s *session) open(ctx context.Context, pool *sql.DB) error {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	d, err := newDirect(conn)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	s.direct = d
	return nil
}

// view is one look at the database, in which all reads see the same state.
type view struct {
	*direct
	ctx  context.Context
	sets *sets
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
	if s.direct == nil {
		if err := s.open(ctx, r.pool); err != nil {
			return err
		}
	}
	v := &view{direct: s.direct, ctx: ctx, sets: &r.sets}
	if _, err := v.exec(sqlRead); err != nil {
		return err
	}
	err = f(v)
	// Also for those who have given up: the connection is for the next one.
	if _, end := v.exec(sqlRollback); end != nil {
		_ = s.drop() // what did not end well is told already
		s.direct = nil
		return errors.Join(err, end)
	}
	if ctx.Err() != nil && err != nil {
		return ctx.Err() // rather than that SQLite was interrupted
	}
	return err
}

// get reads one row. Without one it reports false.
func (v *view) get(query string, args []any, dest ...any) (bool, error) {
	return v.direct.get(v.ctx, query, args, dest...)
}

// scanner is a row that can be read.
type scanner interface{ Scan(dest ...any) error }

// collect reads all rows of a query.
func collect[T any](v *view, query string, args []any, read func(scanner) (T, error)) ([]T, error) {
	return rowsOf(v.ctx, v.direct, query, args, read)
}

func rowsOf[T any](ctx context.Context, d *direct, query string, args []any, read func(scanner) (T, error)) ([]T, error) {
	var list []T
	err := d.query(ctx, query, args, func(r row) error {
		item, err := read(r)
		list = append(list, item)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
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
