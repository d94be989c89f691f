package sweep

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/store"
)

// What makes the test binary a daemon that kills itself.
const (
	serveEnv = "PLAYBOOKD_SWEEP_SERVE" // the configuration to serve
	pointEnv = "PLAYBOOKD_SWEEP_DIE"   // the name of the point to die at
	nthEnv   = "PLAYBOOKD_SWEEP_NTH"   // or: which one of all, counted from 1
	listEnv  = "PLAYBOOKD_SWEEP_LIST"  // a file for the names of the points that were passed
)

// addressFile is where the daemon says where it listens.
const addressFile = "address.txt"

func TestMain(m *testing.M) {
	if file := os.Getenv(serveEnv); file != "" {
		os.Exit(serve(file))
	}
	os.Exit(m.Run())
}

// report is what a daemon that settled says.
type report struct {
	Settled bool
	Looked  int // requests that were looked at
	Wrong   []invariant.Violation
}

// serve runs a daemon until it has nothing left to do.
func serve(file string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	c, findings := config.Load(file)
	if err := findings.Err(); err != nil {
		log.Error("configuration", "err", err)
		return 2
	}
	k, err := newKiller()
	if err != nil {
		log.Error("killer", "err", err)
		return 2
	}
	w := invariant.NewWitness(filepath.Join(c.Data, daemon.DatabaseName))
	d, err := daemon.New(ctx, daemon.Options{Config: c, Log: log,
		Transport: func(next http.RoundTripper) http.RoundTripper { return k.transport(w.Transport(next)) },
		Journal:   func(next engine.Journal) engine.Journal { return &mortal{w.Journal(next), k} },
	})
	if err != nil {
		log.Error("daemon", "err", err)
		return 2
	}
	if findings := d.Findings(); len(findings) > 0 {
		log.Error("playbooks", "err", findings.Err(), "n", len(findings))
		return 2
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	settled := make(chan error, 1)
	go func() {
		settled <- settle(ctx, d, filepath.Join(filepath.Dir(file), addressFile))
		cancel()
	}()
	if err := d.Run(ctx); err != nil {
		log.Error("daemon", "err", err)
		return 1
	}
	if err := <-settled; err != nil {
		log.Error("settling", "err", err)
		return 1
	}
	var r report
	r.Settled = true
	r.Wrong, r.Looked = w.Violations()
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return 1
	}
	return 0
}

// settle returns when everything that the scenario brings is there and nothing is left to do.
func settle(ctx context.Context, d *daemon.Daemon, address string) error {
	for d.Addr() == "" {
		time.Sleep(time.Millisecond)
	}
	if err := os.WriteFile(address, []byte(d.Addr()), 0o600); err != nil {
		return err
	}
	has := func(source string) (bool, error) {
		events, err := d.Store().Events(ctx, store.EventFilter{Source: source, Limit: 1})
		return len(events) > 0, err
	}
	// A slot fires by itself once a year; a restart must not make another one.
	fired, err := has("schedule/listing/0")
	if err == nil && !fired {
		err = d.FireSchedules(ctx)
	}
	settled := d.Settling()
	for err == nil && ctx.Err() == nil {
		var pushed, done bool
		var held []engine.Run // until people let it go on
		if pushed, err = has("webhook/siem"); err == nil && pushed {
			held, err = heldIn(ctx, d.Store().Reader)
		}
		if err == nil && pushed && len(held) == 0 {
			done, err = settled(ctx)
		}
		if done {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// killer ends the process at one point. Points are named by what happens there, so that a name
// means the same in every run, however things are scheduled.
type killer struct {
	die  string
	nth  int
	list *os.File

	mu     sync.Mutex
	seen   map[string]int
	passed int
	runs   map[engine.RunID]string
}

func newKiller() (*killer, error) {
	k := &killer{die: os.Getenv(pointEnv), seen: map[string]int{}, runs: map[engine.RunID]string{}}
	if n := os.Getenv(nthEnv); n != "" {
		if _, err := fmt.Sscan(n, &k.nth); err != nil {
			return nil, err
		}
	}
	if file := os.Getenv(listEnv); file != "" {
		var err error
		if k.list, err = os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// number tells one happening of a name from the others.
func (k *killer) number(name string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen[name]++
	return fmt.Sprintf("%s #%d", name, k.seen[name])
}

// pass is called at a point. It does not return from the one to die at.
func (k *killer) pass(point string) {
	k.mu.Lock()
	k.passed++
	if k.list != nil {
		_, _ = k.list.WriteString(point + "\n") // a point that is missing shows as one that was not met
	}
	dies := point == k.die || k.passed == k.nth
	if !dies {
		k.mu.Unlock()
		return
	}
	// Nobody else gets past a point any more.
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// mortal is a journal whose process may die before and after each write.
type mortal struct {
	engine.Journal
	k *killer
}

func (j *mortal) Admit(ctx context.Context, a engine.Admission) (engine.Receipt, error) {
	what := "nothing"
	switch {
	case len(a.Events) > 0:
		what = a.Events[0].Event.Source
	case a.Cursor != nil:
		what = "position " + a.Cursor.Source
	}
	j.planned(a)
	var receipt engine.Receipt
	err := j.write("admit "+what, func() (err error) {
		receipt, err = j.Journal.Admit(ctx, a)
		return err
	})
	return receipt, err
}

func (j *mortal) Append(ctx context.Context, a engine.Append) error {
	return j.write("append "+j.what(a), func() error { return j.Journal.Append(ctx, a) })
}

func (j *mortal) End(ctx context.Context, a engine.Append, following engine.Admission) (engine.Receipt, error) {
	j.planned(following)
	var receipt engine.Receipt
	err := j.write("end "+j.what(a), func() (err error) {
		receipt, err = j.Journal.End(ctx, a, following)
		return err
	})
	return receipt, err
}

// write does a write between its two points.
func (j *mortal) write(name string, do func() error) error {
	point := j.k.number(name)
	j.k.pass(point + " before")
	err := do()
	j.k.pass(point + " after")
	return err
}

// what names what is appended, by its run and its first entry.
func (j *mortal) what(a engine.Append) string {
	what := "state " + string(a.State)
	if len(a.Entries) > 0 {
		what = strings.TrimSpace(string(a.Entries[0].Kind) + " " + a.Entries[0].Path)
	}
	j.k.mu.Lock()
	defer j.k.mu.Unlock()
	return j.k.runs[a.Run] + " " + what
}

// planned remembers the runs that an admission brings.
func (j *mortal) planned(a engine.Admission) {
	for _, ev := range a.Events {
		for _, r := range ev.Runs {
			j.know(r.Run)
		}
	}
}

func (j *mortal) Load(ctx context.Context, id engine.RunID) (engine.Loaded, error) {
	l, err := j.Journal.Load(ctx, id)
	if err == nil {
		j.know(l.Run)
	}
	return l, err
}

// know remembers what a run is about.
func (j *mortal) know(r engine.Run) {
	j.k.mu.Lock()
	defer j.k.mu.Unlock()
	j.k.runs[r.ID] = strings.TrimSuffix(r.Playbook+"/"+r.Object, "/")
}

func (k *killer) transport(next http.RoundTripper) http.RoundTripper { return deadly{next, k} }

// invented are ids that the service makes up as it goes: another one in each run.
var invented = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// deadly is a transport whose process may die before a request leaves, when its answer begins, and
// when it was read.
type deadly struct {
	next http.RoundTripper
	k    *killer
}

func (t deadly) RoundTrip(r *http.Request) (*http.Response, error) {
	point := t.k.number(r.Method + " " + invented.ReplaceAllString(r.URL.Path, "ID"))
	t.k.pass(point + " before")
	resp, err := t.next.RoundTrip(r)
	t.k.pass(point + " answered")
	if err == nil {
		resp.Body = &lastWords{ReadCloser: resp.Body, end: sync.OnceFunc(func() { t.k.pass(point + " read") })}
	}
	return resp, err
}

// lastWords is an answer's body.
type lastWords struct {
	io.ReadCloser
	end func()
}

func (b *lastWords) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end()
	}
	return n, err
}

func (b *lastWords) Close() error {
	b.end()
	return b.ReadCloser.Close()
}
