package soak_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/store"
)

const (
	pagerHost = "pager.example"
	edrKey    = "an-example-key-of-32-characters!"
)

const configuration = `data: data
playbooks: playbooks
lists: lists
workers: %d
retention: 90d
secrets: {edr_key: {file: edr.key}}
outbound: {hosts: [` + pagerHost + `]}
tenants:
  ` + sandbox.TenantName + `:
    tenant_id: ` + simulator.DefaultTenant + `
    client_id: ` + simulator.DefaultClient + `
    credential: {kind: client_secret, secret: {file: client-secret.txt}}
    graph: https://graph.example
    authority: https://login.example
`

// world is a tenant with its people, a pager, and a daemon in a directory.
type world struct {
	t       *testing.T
	seed    uint64
	born    time.Time
	dir     string
	log     io.Writer
	sim     *simulator.Server
	pager   *invariant.Receiver
	weather *weather
	skew    atomic.Int64 // of the daemon's own clock, in nanoseconds

	d    *daemon.Daemon
	life *life
	end  context.CancelFunc
	over chan error

	service service
	people  people
	sender  sender
}

// newWorld makes a world at the beginning of a bubble.
func newWorld(t *testing.T, seed uint64, workers int, o simulator.Options) *world {
	t.Helper()
	w := &world{t: t, seed: seed, born: time.Now(), dir: t.TempDir(), pager: &invariant.Receiver{}, weather: newWeather(seed), log: io.Discard,
		people: people{judged: map[string]bool{}, reopened: map[string]bool{}, answered: map[string]string{}}, service: service{found: map[string]string{}}}
	if name := os.Getenv("PLAYBOOKD_SOAK_LOG"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		w.log = f
	}
	o.Seed = int64(seed)
	o.Chance = func(method, path string) *simulator.Fault {
		f := w.weather.strike(method, path)
		if f != nil {
			f.RetryAfter = w.dated(f.RetryAfter)
		}
		return f
	}
	var err error
	if w.sim, err = simulator.New(o); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(w.dir, os.DirFS("testdata/site")); err != nil {
		t.Fatal(err)
	}
	w.write("playbookd.yaml", fmt.Sprintf(configuration, workers))
	w.write("client-secret.txt", simulator.DefaultSecret)
	w.write("edr.key", edrKey)
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// now is the daemon's own clock: whoever sets it sets what every process on the machine sees.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.skew.Load())).Round(0) }

// dated fills in a date half a minute ahead on the service's clock.
func (w *world) dated(retryAfter string) string {
	if retryAfter != dated {
		return retryAfter
	}
	return w.sim.Now().Add(40 * time.Second).UTC().Format(http.TimeFormat)
}

// live starts the daemon and lets all happen to it that the seed has in store for so many days.
func (w *world) live(days int) {
	w.t.Helper()
	p := newPlan(w, days)
	time.Sleep(13*time.Second + 37) // polls are not to fall on the minutes of schedules
	w.start()
	p.live()
}

// start starts the daemon.
func (w *world) start() {
	w.t.Helper()
	c, findings := config.Load(filepath.Join(w.dir, "playbookd.yaml"))
	if err := findings.Err(); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.life, w.end, w.over = &life{w: w}, cancel, make(chan error, 1)
	d, err := daemon.New(ctx, daemon.Options{
		Config: c, NoListen: true, Now: w.now, Log: slog.New(slog.NewTextHandler(w.log, nil)),
		Transport: func(http.RoundTripper) http.RoundTripper { return w.life },
	})
	if err != nil {
		w.t.Fatalf("seed %d, %s: start: %v", w.seed, time.Now(), err)
	}
	if findings := d.Findings(); findings.HasErrors() {
		w.t.Fatal(findings.Err())
	}
	w.d = d
	go func() { w.over <- d.Run(ctx) }()
	w.apart()
}

// apart lets a moment pass, so that what comes next is not at the same time as what was before:
// between two things at one time the order is nobody's promise.
func (w *world) apart() { time.Sleep(time.Second + 7*time.Nanosecond) }

// stop ends the daemon in order.
func (w *world) stop() {
	w.t.Helper()
	w.end()
	if err := <-w.over; err != nil {
		w.t.Errorf("seed %d, %s: the daemon ended with %v", w.seed, time.Now(), err)
	}
	w.d = nil
}

// crash leaves the daemon where it stands, with the database as it was synced, and clears away
// what is left of the process.
func (w *world) crash() {
	w.t.Helper()
	synctest.Wait() // nobody is inside the database
	w.life.dead.Store(true)
	kept := filepath.Join(w.dir, "kept")
	if err := os.MkdirAll(kept, 0o700); err != nil {
		w.t.Fatal(err)
	}
	data := filepath.Join(w.dir, "data")
	for _, name := range []string{daemon.DatabaseName, daemon.DatabaseName + "-wal"} {
		content, err := os.ReadFile(filepath.Join(data, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(kept, name), content, 0o600)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	w.end()
	<-w.over // it may complain: it is dead
	w.d = nil
	if err := os.RemoveAll(data); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(kept, data); err != nil {
		w.t.Fatal(err)
	}
}

// crashInChange kills the daemon at its next change of something outside, or after some time.
func (w *world) crashInChange(after bool) {
	w.t.Helper()
	plot := &ambush{after: after, struck: make(chan struct{}, 1)}
	w.life.plot.Store(plot)
	select {
	case <-plot.struck:
		w.weather.count("crashes in the middle of a change", 1)
	case <-time.After(4 * time.Hour):
		w.life.plot.Store(nil)
		w.weather.count("crashes between changes", 1)
	}
	w.crash()
}

// reader opens the journal of the stopped daemon.
func (w *world) reader() *store.Reader {
	w.t.Helper()
	r, err := store.OpenReader(context.Background(), filepath.Join(w.dir, "data", daemon.DatabaseName))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// unfinished counts the runs that are not over and not with a person.
func (w *world) unfinished() int {
	counts, err := w.d.Store().Counts(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return counts[engine.Ready] + counts[engine.Waiting]
}
