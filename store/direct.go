package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/mattn/go-sqlite3"
)

// direct speaks to SQLite on a connection of its own, past database/sql: what that does for every
// statement (locks, copies, conversions by reflection) takes longer than the statement. Whoever
// has one uses it from one goroutine at a time.
type direct struct {
	held     *sql.Conn // keeps the pool from giving the connection to others
	conn     *sqlite3.SQLiteConn
	prepared map[string]*sqlite3.SQLiteStmt
	args     []driver.NamedValue // reused
}

// newDirect takes over a connection. It is closed with close.
func newDirect(held *sql.Conn) (*direct, error) {
	d := &direct{held: held, prepared: map[string]*sqlite3.SQLiteStmt{}}
	err := held.Raw(func(c any) error {
		conn, ok := c.(*sqlite3.SQLiteConn)
		if !ok {
			return fmt.Errorf("the driver's connection is a %T", c)
		}
		d.conn = conn
		return nil
	})
	return d, err
}

// close gives the connection back.
func (d *direct) close() error {
	return errors.Join(d.finish(), d.held.Close())
}

// drop closes the connection because nobody knows what state it is in.
func (d *direct) drop() error {
	err := d.finish()
	_ = d.held.Raw(func(any) error { return driver.ErrBadConn }) // says what it is told
	_ = d.held.Close()                                           // says only that the connection is gone
	return err
}

func (d *direct) finish() error {
	var errs []error
	for _, s := range d.prepared {
		errs = append(errs, s.Close())
	}
	clear(d.prepared)
	return errors.Join(errs...)
}

// statement prepares each text once. Texts are made of constants, so there are few.
func (d *direct) statement(query string) (*sqlite3.SQLiteStmt, error) {
	if s, ok := d.prepared[query]; ok {
		return s, nil
	}
	prepared, err := d.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	s, ok := prepared.(*sqlite3.SQLiteStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver's statement is a %T", prepared), prepared.Close())
	}
	d.prepared[query] = s
	return s, nil
}

// bind brings arguments into the driver's form. What it returns is good until the next call.
func (d *direct) bind(args []any) ([]driver.NamedValue, error) {
	d.args = d.args[:0]
	for i, arg := range args {
		switch v := arg.(type) {
		case nil, int64, string, []byte, bool:
		case int:
			arg = int64(v)
		default:
			var err error
			if arg, err = driver.DefaultParameterConverter.ConvertValue(arg); err != nil {
				return nil, fmt.Errorf("parameter %d: %w", i+1, err)
			}
		}
		d.args = append(d.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return d.args, nil
}

// exec runs a statement to its end. It can't be interrupted.
func (d *direct) exec(query string, args ...any) (driver.Result, error) {
	s, err := d.statement(query)
	if err != nil {
		return nil, err
	}
	bound, err := d.bind(args)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(context.Background(), bound)
}

// insert adds a row and tells its number.
func (d *direct) insert(query string, args ...any) (int64, error) {
	res, err := d.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// query calls each with every row. Once ctx ends it is interrupted.
func (d *direct) query(ctx context.Context, query string, args []any, each func(row) error) (err error) {
	s, err := d.statement(query)
	if err != nil {
		return err
	}
	bound, err := d.bind(args)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, bound)
	if err != nil {
		return err
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	values := make(row, len(rows.Columns()))
	for {
		switch err := rows.Next(values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := each(values); err != nil {
			return err
		}
	}
}

// errEnough ends a query after its first row.
var errEnough = errors.New("one row is enough")

// get reads one row. Without one it reports false.
func (d *direct) get(ctx context.Context, query string, args []any, dest ...any) (bool, error) {
	err := d.query(ctx, query, args, func(r row) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		return errEnough
	})
	if errors.Is(err, errEnough) {
		return true, nil
	}
	return false, err
}

// row is a row as the driver gives it.
type row []driver.Value

// Scan reads the columns into variables: of a text, a number, bytes, or a pointer to one of these
// for a column that may be empty.
func (r row) Scan(dest ...any) error {
	if len(dest) != len(r) {
		return fmt.Errorf("a row of %d columns for %d variables", len(r), len(dest))
	}
	for i, d := range dest {
		if !assign(d, r[i]) {
			return fmt.Errorf("%w: column %d: a %T does not fit into a %T", ErrCorrupt, i+1, r[i], d)
		}
	}
	return nil
}

// assign puts a value into a variable, if it fits.
func assign(dest any, v driver.Value) bool {
	ok := true
	switch d := dest.(type) {
	case *string:
		switch v := v.(type) {
		case string:
			*d = v
		case []byte:
			*d = string(v)
		default:
			ok = false
		}
	case *int64:
		*d, ok = v.(int64)
	case *int:
		var n int64
		n, ok = v.(int64)
		*d = int(n)
	case *bool:
		var n int64
		n, ok = v.(int64)
		*d = n != 0
	case *[]byte:
		switch v := v.(type) {
		case nil:
			*d = nil
		case []byte:
			*d = v
		case string:
			*d = []byte(v)
		default:
			ok = false
		}
	case **int64:
		*d = nil
		if v != nil {
			var n int64
			n, ok = v.(int64)
			*d = &n
		}
	default:
		return assignNamed(dest, v)
	}
	return ok
}

// assignNamed serves the types that are texts under another name.
func assignNamed(dest any, v driver.Value) bool {
	target := reflect.ValueOf(dest)
	if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.String {
		return false
	}
	var text string
	if !assign(&text, v) {
		return false
	}
	target.Elem().SetString(text)
	return true
}
