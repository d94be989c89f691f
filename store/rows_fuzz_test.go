package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// rowsIn is the input of the actions whose runs are in the damaged file.
type rowsIn struct {
	Value string `json:"value"`
}

// rowsCatalog declares an action of each effect class. What they do depends on the title of the alert: an answer gets
// lost, comes much later, is a no, or never comes.
func rowsCatalog(block <-chan struct{}) *actions.Registry {
	do := func(ctx context.Context, _ actions.Call, in rowsIn) (rowsIn, error) {
		switch in.Value {
		case "lost":
			return rowsIn{}, &actions.Fault{Code: "lost", Message: "the answer got lost", Unknown: true, Retry: true}
		case "later":
			return rowsIn{}, &actions.Fault{Code: "later", Message: "come back later", Retry: true, After: 30 * time.Minute}
		case "no":
			return rowsIn{}, &actions.Fault{Code: "no", Message: "no"}
		case "block":
			select {
			case <-block:
			case <-ctx.Done():
			}
		}
		return in, nil
	}
	one := func(name string, e actions.Effect) actions.Action {
		d := actions.Doing[rowsIn, rowsIn]{Part: actions.Part{Name: name, Effect: e, Summary: name}, Do: do}
		if e == actions.Adds {
			d.Probe = func(context.Context, actions.Call, rowsIn) (rowsIn, bool, error) { return rowsIn{}, false, nil }
		}
		return actions.Define(actions.Spec{Name: "test." + name, Summary: "Test " + name + "."}, d)
	}
	return actions.NewRegistry(one("read", actions.Reads), one("put", actions.Converges), one("add", actions.Adds), one("once", actions.Once))
}

const rowsBook = `name: rows
triggers: [{poll: {resource: alerts, every: 1m}}]
vars: {who: "${{ alert.title }}", when: "${{ now() }}"}
concurrency: {key: "${{ alert.id }}"}
steps:
  - foreach: '[1, 2]'
    as: n
    do: [{action: test.put, with: {value: "item ${{ n }}"}}]
  - if: vars.who != ""
    then: [{action: test.once, with: {value: "${{ vars.who }}"}}]
  - {action: test.add, with: {value: ok}, on_error: [{action: test.read, with: {value: ok}}]}
`

// compileRows compiles a playbook as the daemon does.
func compileRows(reg *actions.Registry) func(name string, source []byte) (*playbooks.Playbook, error) {
	return func(name string, source []byte) (*playbooks.Playbook, error) {
		p, findings := playbooks.Compile(name, source, playbooks.Options{Catalog: reg})
		return p, findings.Err()
	}
}

// rowsFile is a database as a killed process left it: with a run in every state, and one in the middle of an attempt.
func rowsFile(f *testing.F) []byte {
	dir := f.TempDir()
	db := openTest(f, filepath.Join(dir, "live.db"))
	block := make(chan struct{})
	reg := rowsCatalog(block)
	e := engine.New(engine.Options{Journal: db, Compile: compileRows(reg)})
	p, err := compileRows(reg)("rows", []byte(rowsBook))
	if err != nil {
		f.Fatal(err)
	}
	e.Use(playbooks.NewSet(p))
	ctx, cancel := context.WithCancel(f.Context())
	over := make(chan error, 1)
	go func() { over <- e.Run(ctx) }()
	var batch engine.Batch
	for i, title := range []string{"ok", "lost", "later", "no", "block", "ok " + strings.Repeat("x", Inline+1)} {
		id := fmt.Sprintf("a%d", i)
		payload, err := json.Marshal(map[string]any{"id": id, "title": title, "severity": "low", "createdDateTime": moments(i)})
		if err != nil {
			f.Fatal(err)
		}
		batch.Events = append(batch.Events, engine.Event{ID: "contoso/alerts/" + id + "/1", Tenant: "contoso", Source: "poll/alerts", Kind: "alert",
			Object: "alerts/" + id, Title: id, Occurred: moments(i), Seen: moments(i), Payload: payload})
	}
	if _, err := e.Deliver(ctx, batch); err != nil {
		f.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		counts, err := db.Counts(ctx)
		if err != nil {
			f.Fatal(err)
		}
		if counts[engine.Succeeded] == 2 && counts[engine.Failed] == 1 && counts[engine.Waiting]+counts[engine.Ready]+counts[engine.Parked] == 3 && counts[engine.Parked] >= 1 {
			break
		}
		if time.Now().After(deadline) {
			f.Fatalf("the runs do not come to rest: %v", counts)
		}
		time.Sleep(10 * time.Millisecond)
	}
	path := filepath.Join(dir, "left.db")
	if err := db.Backup(ctx, path); err != nil {
		f.Fatal(err)
	}
	close(block)
	cancel()
	if err := <-over; err != nil {
		f.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	return content
}

// columns lists what can be damaged: "table.column".
func columns(f *testing.F, content []byte) (list [][2]string) {
	path := filepath.Join(f.TempDir(), "columns.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		f.Fatal(err)
	}
	pool := sql.OpenDB(connector{driver: &sqlite3.SQLiteDriver{}, dsn: path})
	defer pool.Close()
	rows, err := pool.QueryContext(f.Context(), `SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' ORDER BY 1, c.cid`)
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c [2]string
		if err := rows.Scan(&c[0], &c[1]); err != nil {
			f.Fatal(err)
		}
		list = append(list, c)
	}
	if len(list) < 50 || rows.Err() != nil {
		f.Fatalf("only %d columns (%v)", len(list), rows.Err())
	}
	return list
}

// spoil changes rows of a file as the bytes say, past all that the schema forbids.
func spoil(t *testing.T, path string, columns [][2]string, how []byte, text string, number int64) {
	t.Helper()
	pool := sql.OpenDB(connector{driver: &sqlite3.SQLiteDriver{}, dsn: path})
	defer pool.Close()
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var trigger string
	if err := conn.QueryRowContext(t.Context(), "SELECT sql FROM sqlite_schema WHERE name = 'history_append_only'").Scan(&trigger); err != nil {
		t.Fatal(err)
	}
	must := func(statement string) {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	must("PRAGMA foreign_keys = OFF")
	must("PRAGMA ignore_check_constraints = ON")
	must("DROP TRIGGER history_append_only")
	for ; len(how) >= 4; how = how[4:] {
		c := columns[(int(how[0])<<8|int(how[1]))%len(columns)]
		which := fmt.Sprintf(" WHERE (%[1]s) = (SELECT %[1]s FROM %[2]s LIMIT 1 OFFSET %[3]d %% (SELECT max(1, count(*)) FROM %[2]s))", c[1], c[0], how[2])
		switch set := "UPDATE OR IGNORE " + c[0] + " SET " + c[1] + " = "; how[3] % 10 {
		case 0:
			_, _ = conn.ExecContext(t.Context(), set+"NULL"+which)
		case 1, 2, 3:
			_, _ = conn.ExecContext(t.Context(), set+"?"+which, text)
		case 4, 5:
			_, _ = conn.ExecContext(t.Context(), set+"?"+which, number)
		case 6:
			_, _ = conn.ExecContext(t.Context(), set+"?"+which, []byte(text))
		case 7:
			_, _ = conn.ExecContext(t.Context(), "DELETE FROM "+c[0]+which)
		case 8:
			_, _ = conn.ExecContext(t.Context(), set+"substr("+c[1]+", 1, length("+c[1]+") / 2)"+which)
		case 9:
			_, _ = conn.ExecContext(t.Context(), fmt.Sprintf("%s(SELECT %s FROM %s ORDER BY random() LIMIT 1)", set, c[1], c[0])+which)
		}
	}
	must(trigger)
}

// FuzzRows spoils rows of a journal: payloads, states, times, entries, texts of playbooks. A daemon that is started on
// it never panics. It refuses the file, says for single rows that they are damaged, or goes on: then every run ends, waits, or is
// parked with the reason, and none stands still without a word.
func FuzzRows(f *testing.F) {
	content := rowsFile(f)
	all := columns(f, content)
	for i, c := range all {
		if c == [2]string{"counts", "runs"} { // wrong counts keep everything from being written
			for row := range byte(6) {
				f.Add([]byte{byte(i >> 8), byte(i), row, 4}, "", int64(0))
			}
		}
	}
	texts := []string{"", "null", "{}", "[]", "\xff\x00", `{"status":"ok"}`, "waiting", "ready", "sha256:", strings.Repeat("[", 20_000), `{"vars":{"who":"block","when":{"$time":"x"}}}`}
	numbers := []int64{0, -1, 1 << 62, -1 << 63, 7}
	for i, c := range all { // each column once, each kind of damage in turn
		kind := byte(i % 10)
		if c[1] == "data" || c[1] == "payload" || c[1] == "content" || c[1] == "inputs" {
			kind = 6
		}
		f.Add([]byte{byte(i >> 8), byte(i), byte(i), kind}, texts[i%len(texts)], numbers[i%len(numbers)])
	}
	f.Fuzz(func(t *testing.T, how []byte, text string, number int64) {
		if len(how) > 40 || len(text) > 1<<20 {
			return
		}
		path := filepath.Join(quickDir(t), "journal.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		spoil(t, path, all, how, text, number)
		if err := examine(t.Context(), path); err != nil && !damageIsNamed(err) {
			t.Fatalf("a reader says %v", err)
		}
		synctest.Test(t, func(t *testing.T) { goesOn(t, path) })
	})
}

// quickDir is a directory in memory where there is one: nothing here is about what reaches the disk.
func quickDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "playbookd-rows-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// damageIsNamed reports whether every part of an error says that the file is damaged, or that something is not there.
func damageIsNamed(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			if !errors.Is(one, ErrCorrupt) && !errors.Is(one, engine.ErrNotFound) {
				return errors.Is(err, ErrCorrupt) && !strings.Contains(fmt.Sprintf("%T", err), "joinError")
			}
		}
		return true
	}
	return errors.Is(err, ErrCorrupt) || errors.Is(err, engine.ErrNotFound)
}

// goesOn starts an engine on the file for some hours.
func goesOn(t *testing.T, path string) {
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("open: %v", err)
		}
		return
	}
	defer func() {
		if err := db.Close(); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("close: %v", err)
		}
	}()
	block := make(chan struct{})
	close(block)
	reg := rowsCatalog(block)
	log := &logged{}
	e := engine.New(engine.Options{Journal: db, Compile: compileRows(reg), Log: slog.New(slog.NewTextHandler(log, nil))})
	p, err := compileRows(reg)("rows", []byte(rowsBook))
	if err != nil {
		t.Fatal(err)
	}
	e.Use(playbooks.NewSet(p))
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- e.Run(ctx) }()
	time.Sleep(5 * time.Hour)
	defer func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	runs, err := db.Ready(ctx, time.Now(), 100)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("ready: %v", err)
		}
		return
	}
	for _, r := range runs {
		said := strings.Contains(log.String(), string(r.ID)) && strings.Contains(log.String(), ErrCorrupt.Error())
		if _, err := db.Load(ctx, r.ID); err == nil && !said {
			t.Fatalf("run %s stands still: %+v\nlog: %.3000s", r.ID, r, log.String())
		}
	}
}

// logged keeps what an engine logs.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
