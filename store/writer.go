package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"sync"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// MaxGroup is how many writes share one commit. Larger groups gain nothing more, and everybody
// in a group waits for all of it.
const MaxGroup = 128

// writer owns the one connection that writes. Everything below run happens on its goroutine.
type writer struct {
	*direct
	path  string
	queue chan *work // unbuffered: who waits here can still give up
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once

	known known
	stats stats
	tally map[engine.RunState]int // how many runs more are in a state since the transaction began

	packed packed // reused by addHistory
}

// work is one write: a function that runs within its own savepoint.
type work struct {
	do     func(*tx) error
	err    error
	answer chan error // of size one: the writer never waits for a caller
}

// tx is what a write sees of the transaction.
type tx struct {
	*direct
	w *writer
}

func startWriter(conn *direct, path string) *writer {
	w := &writer{
		direct: conn, path: path, queue: make(chan *work),
		quit: make(chan struct{}), done: make(chan struct{}),
		known: newKnown(), tally: map[engine.RunState]int{}, stats: newStats(),
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

// gather takes all who wait, and lets those who can run reach their write first: while the
// processors are busy, groups grow by that, and what a commit costs is shared by more. It waits for
// nobody: when nothing else can run, that takes no time.
func (w *writer) gather(first *work) []*work {
	group := []*work{first}
	for len(group) < MaxGroup {
		select {
		case item := <-w.queue:
			group = append(group, item)
			continue
		default:
		}
		before := len(group)
		runtime.Gosched()
		select {
		case item := <-w.queue:
			group = append(group, item)
		default:
		}
		if len(group) == before {
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

// commit runs a group in one transaction. The error is that of the whole group. As a rule nothing
// in it fails, so it is tried without savepoints first: what they note down so that one write can
// be undone costs more than the write. If one fails, the group is run again with them.
func (w *writer) commit(group []*work) error {
	t := &tx{direct: w.direct, w: w}
	failed, err := w.together(t, group)
	if err != nil {
		return w.abandon(t, err)
	}
	if failed == nil {
		return nil
	}
	if w.dead() {
		return w.abandon(t, failed)
	}
	if err := w.abandon(t, nil); err != nil {
		return err
	}
	if err := w.apart(t, group); err != nil {
		return w.abandon(t, err)
	}
	return nil
}

// together runs a group without savepoints. failed is the error of the write at which it stopped,
// err that of the transaction as a whole.
func (w *writer) together(t *tx, group []*work) (failed, err error) {
	if err := w.begin(t); err != nil {
		return nil, err
	}
	for _, item := range group {
		if err := item.do(t); err != nil {
			return err, nil
		}
	}
	return nil, w.end(t)
}

// apart runs each of a group in a savepoint of its own.
func (w *writer) apart(t *tx, group []*work) error {
	if err := w.begin(t); err != nil {
		return err
	}
	for _, item := range group {
		if err := w.isolate(t, item); err != nil {
			return err
		}
	}
	return w.end(t)
}

func (w *writer) begin(t *tx) error {
	clear(w.tally)
	_, err := t.exec(sqlBegin)
	return err
}

const sqlTally = `UPDATE counts SET runs = runs + ?2 WHERE state = ?1`

// count notes that so many runs more are in a state.
func (t *tx) count(state engine.RunState, more int) { t.w.tally[state] += more }

// end stores how many runs are in each state now, and commits.
func (w *writer) end(t *tx) error {
	for state, more := range w.tally {
		if more == 0 {
			continue
		}
		if _, err := t.exec(sqlTally, string(state), more); err != nil {
			return err
		}
	}
	_, err := t.exec(sqlCommit)
	return err
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
	before := maps.Clone(w.tally)
	if item.err = item.do(t); item.err != nil {
		w.known.forget() // it may have learnt of rows that are undone now
		w.tally = before
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
func (w *writer) dead() bool { return w.conn.AutoCommit() }

// stop lets the group under way end and answers everybody else with ErrClosed.
func (w *writer) stop() {
	w.once.Do(func() { close(w.quit) })
	<-w.done
}

// close gives the connection back. The goroutine has ended.
func (w *writer) close() error { return w.direct.close() }

// get reads one row. Without one it reports false.
func (t *tx) get(query string, args []any, dest ...any) (bool, error) {
	return t.direct.get(context.Background(), query, args, dest...)
}
