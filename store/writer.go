package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"
)

// MaxGroup is how many writes share one commit. Larger groups gain nothing more, and everybody
// in a group waits for all of it.
const MaxGroup = 128

// writer owns the one connection that writes. Everything below run happens on its goroutine.
type writer struct {
	path  string
	conn  *sql.Conn
	queue chan *work // unbuffered: who waits here can still give up
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once

	statements map[string]*sql.Stmt
	known      known
	stats      stats
}

// work is one write: a function that runs within its own savepoint.
type work struct {
	do     func(*tx) error
	err    error
	answer chan error // of size one: the writer never waits for a caller
}

// tx is what a write sees of the transaction.
type tx struct {
	w   *writer
	ctx context.Context
}

func startWriter(conn *sql.Conn, path string) *writer {
	w := &writer{
		path: path, conn: conn, queue: make(chan *work),
		quit: make(chan struct{}), done: make(chan struct{}),
		statements: map[string]*sql.Stmt{}, known: newKnown(), stats: newStats(),
	}
	go w.run()
	return w
}

// write has do run and committed. Until its turn comes the caller can give up; after that the
// outcome is awaited, because a write that is under way can't be called off.
func (w *writer) write(ctx context.Context, do func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	item := &work{do: do, answer: make(chan error, 1)}
	select {
	case w.queue <- item:
		return <-item.answer
	case <-ctx.Done():
		return fmt.Errorf("waiting to write: %w", ctx.Err())
	case <-w.quit:
		return ErrClosed
	}
}

// run serves until stop is called.
func (w *writer) run() {
	defer close(w.done)
	for {
		select {
		case <-w.quit:
			return
		default:
		}
		select {
		case first := <-w.queue:
			w.serve(w.gather(first))
		case <-w.quit:
			return
		}
	}
}

// gather takes all who wait now, and nobody who might come.
func (w *writer) gather(first *work) []*work {
	group := []*work{first}
	for len(group) < MaxGroup {
		select {
		case item := <-w.queue:
			group = append(group, item)
		default:
			return group
		}
	}
	return group
}

// serve commits a group and answers it.
func (w *writer) serve(group []*work) {
	start := time.Now()
	err := w.commit(group)
	failed := 0
	for _, item := range group {
		if err != nil {
			item.err = err
		}
		if item.err != nil {
			failed++
		}
	}
	w.stats.add(len(group), failed, err, troubleOf(group, err), time.Since(start))
	for _, item := range group {
		item.answer <- explain(w.path, item.err)
	}
}

// commit runs a group in one transaction. The error is that of the whole group.
func (w *writer) commit(group []*work) error {
	// Not the context of any caller: what has begun is brought to its end.
	t := &tx{w: w, ctx: context.Background()}
	if _, err := t.exec(sqlBegin); err != nil {
		return err
	}
	for _, item := range group {
		if err := w.isolate(t, item); err != nil {
			return w.abandon(t, err)
		}
	}
	if _, err := t.exec(sqlCommit); err != nil {
		return w.abandon(t, err)
	}
	return nil
}

const (
	sqlBegin     = `BEGIN IMMEDIATE`
	sqlCommit    = `COMMIT`
	sqlRollback  = `ROLLBACK`
	sqlSavepoint = `SAVEPOINT work`
	sqlRelease   = `RELEASE work`
	sqlUndo      = `ROLLBACK TO work`
)

// isolate runs one item within a savepoint, so that its failure leaves the others alone. The
// error says that the transaction as a whole can't go on.
func (w *writer) isolate(t *tx, item *work) error {
	if _, err := t.exec(sqlSavepoint); err != nil {
		return err
	}
	if item.err = item.do(t); item.err != nil {
		w.known.forget() // it may have learnt of rows that are undone now
		if w.dead() {
			return item.err // SQLite has undone the whole transaction
		}
		if _, err := t.exec(sqlUndo); err != nil {
			return err
		}
	}
	_, err := t.exec(sqlRelease)
	return err
}

// abandon undoes the whole transaction. SQLite may have done so already.
func (w *writer) abandon(t *tx, cause error) error {
	w.known.forget()
	if w.dead() {
		return cause
	}
	if _, err := t.exec(sqlRollback); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// dead says that no transaction is open any more: a full disk or an I/O error can make SQLite
// undo all of it, not only the statement that failed.
func (w *writer) dead() bool {
	dead := false
	err := w.conn.Raw(func(c any) error {
		conn, ok := c.(*sqlite3.SQLiteConn)
		dead = !ok || conn.AutoCommit()
		return nil
	})
	return err != nil || dead
}

// stop lets the group under way end and answers everybody else with ErrClosed.
func (w *writer) stop() {
	w.once.Do(func() { close(w.quit) })
	<-w.done
}

// close gives the connection back. The goroutine has ended.
func (w *writer) close() error {
	var errs []error
	for _, s := range w.statements {
		errs = append(errs, s.Close())
	}
	clear(w.statements)
	return errors.Join(append(errs, w.conn.Close())...)
}

// statement prepares each text once. All texts are constants, so there are few.
func (t *tx) statement(query string) (*sql.Stmt, error) {
	if s, ok := t.w.statements[query]; ok {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, err
	}
	t.w.statements[query] = s
	return s, nil
}

func (t *tx) exec(query string, args ...any) (sql.Result, error) {
	s, err := t.statement(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(t.ctx, args...)
}

// insert adds a row and tells its number.
func (t *tx) insert(query string, args ...any) (int64, error) {
	res, err := t.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// get reads one row. Without one it reports false.
func (t *tx) get(query string, args []any, dest ...any) (bool, error) {
	s, err := t.statement(query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(t.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
