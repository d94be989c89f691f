package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "github.com/mattn/go-sqlite3" // registers the driver
)

// maxGroup is how many writes share a commit.
const maxGroup = 128

const schema = `
CREATE TABLE IF NOT EXISTS events (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, object TEXT NOT NULL, title TEXT NOT NULL,
	seen INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS decisions (event INTEGER PRIMARY KEY REFERENCES events (n), matched INTEGER NOT NULL, run TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, event INTEGER NOT NULL REFERENCES events (n), state TEXT NOT NULL,
	created INTEGER NOT NULL, ended INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (run TEXT NOT NULL, step INTEGER NOT NULL, intended INTEGER NOT NULL, input BLOB NOT NULL,
	ended INTEGER, status INTEGER, output TEXT, error TEXT, PRIMARY KEY (run, step)) WITHOUT ROWID;`

// The statements, by name.
var statements = map[string]string{
	"begin": "BEGIN IMMEDIATE", "commit": "COMMIT", "rollback": "ROLLBACK",
	"event":    "INSERT INTO events (id, object, title, seen, payload) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
	"decision": "INSERT INTO decisions (event, matched, run) VALUES (?, ?, ?)",
	"run":      "INSERT INTO runs (id, event, state, created) VALUES (?, ?, 'running', ?)",
	"intent":   "INSERT INTO steps (run, step, intended, input) VALUES (?, ?, ?, ?)",
	"outcome":  "UPDATE steps SET ended = ?, status = ?, output = ?, error = ? WHERE run = ? AND step = ?",
	"end":      "UPDATE runs SET state = ?, ended = ? WHERE id = ?",
}

// journal has one writer, which commits all that wait together.
type journal struct {
	pool     *sql.DB
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	queue    chan *work
}

type work struct {
	do     func(*tx) error
	answer chan error
}

func openJournal(ctx context.Context, file string) (*journal, error) {
	pool, err := sql.Open("sqlite3", "file:"+file+"?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000")
	if err != nil {
		return nil, err
	}
	j := &journal{pool: pool, prepared: map[string]*sql.Stmt{}, queue: make(chan *work)}
	if j.conn, err = pool.Conn(ctx); err != nil {
		return nil, err
	}
	if _, err := j.conn.ExecContext(ctx, schema); err != nil {
		return nil, err
	}
	for name, text := range statements {
		if j.prepared[name], err = j.conn.PrepareContext(ctx, text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	go j.serve()
	return j, nil
}

func (j *journal) close() error { return errors.Join(j.conn.Close(), j.pool.Close()) }

// write has do run and committed.
func (j *journal) write(ctx context.Context, do func(*tx) error) error {
	w := &work{do: do, answer: make(chan error, 1)}
	select {
	case j.queue <- w:
		return <-w.answer
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (j *journal) serve() {
	for first := range j.queue {
		group := []*work{first}
	gather:
		for len(group) < maxGroup {
			select {
			case w := <-j.queue:
				group = append(group, w)
			default:
				break gather
			}
		}
		err := j.commit(group)
		for _, w := range group {
			w.answer <- err
		}
	}
}

// commit runs a group. One that fails fails all: a program for the bench alone has no bad input.
func (j *journal) commit(group []*work) error {
	t := &tx{j}
	if err := t.exec("begin"); err != nil {
		return err
	}
	for _, w := range group {
		if err := w.do(t); err != nil {
			return errors.Join(err, t.exec("rollback"))
		}
	}
	return t.exec("commit")
}

// tx is what a write does in its transaction.
type tx struct{ j *journal }

func (t *tx) exec(name string, args ...any) error {
	_, err := t.j.prepared[name].ExecContext(context.Background(), args...)
	return err
}

func (t *tx) event(id, object, title string, seen int64, payload []byte) (n int64, fresh bool, err error) {
	res, err := t.j.prepared["event"].ExecContext(context.Background(), id, object, title, seen, payload)
	if err != nil {
		return 0, false, err
	}
	added, err := res.RowsAffected()
	if err != nil || added == 0 {
		return 0, false, err
	}
	n, err = res.LastInsertId()
	return n, true, err
}

func (t *tx) decision(event int64, matched bool, run string) error {
	return t.exec("decision", event, matched, run)
}

func (t *tx) run(id string, event, now int64) error { return t.exec("run", id, event, now) }

func (t *tx) intent(run string, step int, now int64, input []byte) error {
	return t.exec("intent", run, step, now, input)
}

func (t *tx) outcome(run string, step int, now int64, status int, output string, err error) error {
	text := ""
	if err != nil {
		text = err.Error()
	}
	return t.exec("outcome", now, status, output, text, run, step)
}

func (t *tx) end(run string, now int64, ok bool) error {
	state := "succeeded"
	if !ok {
		state = "failed"
	}
	return t.exec("end", state, now, run)
}
