// Package daemon builds the whole program from a configuration and runs it: the one place where
// every part meets every other.
//
//	config ─► store ─► engine ◄─ playbooks, watchlists
//	            ▲         ▲
//	            └─ graph ─► pollers, scheduler, webhooks ─► server
//
// New builds and checks, Run works until its context ends. What New built is taken down in the
// opposite order: first the sources stop, so that nothing new arrives; then the engine finishes
// what is in the air; then the journal is closed. A second signal may kill the process at any
// moment of that: the journal makes it safe.
//
// A reload reads playbooks, watchlists and calendars anew. A playbook that no longer loads never replaces
// the one that works.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/secret"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/server"
	"github.com/playbookd/playbookd/store"
	"github.com/playbookd/playbookd/triggers"
)

// DatabaseName is the file in the data directory that holds everything.
const DatabaseName = "playbookd.db"

// Intervals of the daemon's own chores.
const (
	ReloadEvery = 30 * time.Second // looks whether a file changed
	PruneEvery  = time.Hour
	PruneFirst  = time.Minute      // after the start, for a daemon that is restarted more often than that
	PruneBatch  = 500              // runs deleted before the next look at the clock
	StopGrace   = 10 * time.Second // for requests that have begun when the daemon stops
)

// Options says what a daemon is made of besides its configuration.
type Options struct {
	Config   *config.Config
	Log      *slog.Logger
	Observer engine.Observer
	Version  string
	// OnFindings is told what is wrong with playbooks and watchlists at each load.
	OnFindings func(diag.Findings)
	// NoListen leaves the HTTP listeners out; Handler still serves what they would.
	NoListen bool
	// Transport, if set, is laid around all that leaves: requests to Graph, to the sign-in service
	// and those of actions. It may count, delay, break or answer them itself. Nil next means that
	// nothing but the default is there.
	Transport func(next http.RoundTripper) http.RoundTripper
	// Now is the wall clock; nil: time.Now. How long something takes is measured without it.
	Now func() time.Time
	// Journal, if set, is laid around the journal that the engine and the sources use.
	Journal func(next engine.Journal) engine.Journal
}

// Daemon is a program ready to run.
type Daemon struct {
	o        Options
	c        *config.Config
	root     *slog.Logger // for the parts, which add their own component
	log      *slog.Logger
	db       *store.DB
	journal  engine.Journal // db, or what Options.Journal laid around it
	engine   *engine.Engine
	registry *actions.Registry
	clients  map[string]*graph.Client
	secrets  *secret.Store
	server   *server.Server
	metrics  *server.Server // of its own address; nil: none
	counts   *counts
	clock    clock
	webhooks *triggers.Webhooks
	schedule *triggers.Scheduler
	clocks   *triggers.Clocks
	pollers  map[string]*triggers.Poller // by name; all that ran since the start

	needs chan struct{} // of size one: needed was changed

	reloading sync.Mutex // one reload at a time, so that what was read last is used last

	mu       sync.Mutex
	needed   map[string]bool // pollers that some playbook needs
	beside   Beside
	findings diag.Findings
	loaded   string // digest of the files that were read last
	reloaded time.Time
	refused  error     // why the files that were read last were not taken over
	backup   error     // why the last backup failed
	backedUp time.Time // when this process made its last backup
	unsound  error     // what an examination of the journal's file found

	closers []func() error
}

// New builds a daemon. On error nothing is left open.
func New(ctx context.Context, o Options) (d *Daemon, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d = &Daemon{o: o, c: o.Config, counts: newCounts(), clients: map[string]*graph.Client{}, pollers: map[string]*triggers.Poller{}, needs: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
			d = nil
		}
	}()
	if d.secrets, err = secret.NewStore(secretSources(o.Config), o.Log.With("component", "daemon")); err != nil {
		return d, err
	}
	d.root = slog.New(countedLog{secret.NewHandler(o.Log.Handler(), d.secrets.Scrubber()), d.counts})
	d.log = d.root.With("component", "daemon")
	d.log.Info("starting", "version", o.Version, "config", o.Config.File, "data", o.Config.Data, "tenants", len(o.Config.Tenants))
	for _, t := range o.Config.Tenants {
		if d.clients[t.Name], err = newClient(t, o.Transport, d.secrets.Scrubber(), d.root); err != nil {
			return d, err
		}
	}
	if d.registry, err = newRegistry(o.Config, d.clients, d.secrets, o.Transport, d.counts); err != nil {
		return d, err
	}
	if err := d.checkSecrets(); err != nil {
		d.log.Error("what needs this secret does not work until it is there", "err", err)
	}
	if err = d.openStore(ctx); err != nil {
		return d, err
	}
	d.engine = engine.New(engine.Options{
		Journal: d.journal, Compile: Recompile(d.registry), Lists: d, Rotas: d, Calendars: calendars{d}, Observer: logged{d.root.With("component", "engine"), d.counts, o.Observer}, Log: d.root, Workers: o.Config.Workers, Now: o.Now,
		Ceiling: engine.Ceiling{Runs: o.Config.CeilingRuns, Within: o.Config.CeilingWithin},
	})
	if err = d.newSources(); err != nil {
		return d, err
	}
	if err = d.load(ctx); err != nil {
		return d, err
	}
	return d, d.newServer()
}

func (d *Daemon) openStore(ctx context.Context) error {
	if err := os.MkdirAll(d.c.Data, 0o700); err != nil {
		return fmt.Errorf("data directory: %w: create it, or set data: in the configuration", err)
	}
	db, err := store.Open(ctx, filepath.Join(d.c.Data, DatabaseName), store.Options{Log: d.root})
	if err != nil {
		return err
	}
	d.db, d.journal = db, db
	if d.o.Journal != nil {
		d.journal = d.o.Journal(db)
	}
	if d.counts != nil {
		d.journal = counted{d.journal, d.counts}
	}
	d.closers = append(d.closers, db.Close)
	return nil
}

// Recompile makes the engine's way from a recorded text back to a playbook: checked against the
// actions only, because watchlists and schedules are none of a run's business once it started.
func Recompile(catalog playbooks.Catalog) func(string, []byte) (*playbooks.Playbook, error) {
	return func(name string, source []byte) (*playbooks.Playbook, error) {
		p, findings := playbooks.CompileRecorded(name, source, playbooks.Options{Catalog: catalog})
		if err := findings.Err(); err != nil {
			return nil, err
		}
		return p, nil
	}
}

// Get implements [engine.Watchlists] with the lists as they are now.
func (d *Daemon) Get(name string) (values []any, content []byte, ok bool) {
	d.mu.Lock()
	lists := d.beside.Lists
	d.mu.Unlock()
	return lists.Get(name)
}

// calendars are those that the daemon has now.
type calendars struct{ d *Daemon }

// Get implements [engine.Calendars].
func (c calendars) Get(name string) *calendar.Calendar {
	c.d.mu.Lock()
	all := c.d.beside.Calendars
	c.d.mu.Unlock()
	return all.Get(name)
}

// OnDuty implements [engine.Rotas] with the rotas as they are now.
func (d *Daemon) OnDuty(name string, at time.Time) (who, version string, ok bool) {
	d.mu.Lock()
	rotas := d.beside.Rotas
	d.mu.Unlock()
	return rotas.OnDuty(name, at)
}

// Engine returns the daemon's engine, for tests and for the demo's summary.
func (d *Daemon) Engine() *engine.Engine { return d.engine }

// Store returns the daemon's journal.
func (d *Daemon) Store() *store.DB { return d.db }

// Addr is where the daemon listens; "" if it does not, or not yet.
func (d *Daemon) Addr() string { return d.server.Addr() }

// MetricsAddr is where /metrics is served, "" as Addr.
func (d *Daemon) MetricsAddr() string {
	if d.metrics != nil {
		return d.metrics.Addr()
	}
	return d.server.Addr()
}

// Handler serves what the listener would, for tests without one.
func (d *Daemon) Handler() http.Handler { return d.server.Handler() }

// Findings returns what was wrong with the files at the last load.
func (d *Daemon) Findings() diag.Findings {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.findings
}

// Close takes down what New built, last first. Run does it too.
func (d *Daemon) Close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	d.closers = nil
	return errors.Join(errs...)
}

// Run works until ctx ends, then winds down and closes everything.
func (d *Daemon) Run(ctx context.Context) error {
	// The engine outlives the sources: what they delivered last still gets its first steps.
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	sourceCtx, stopSources := context.WithCancel(ctx)
	defer stopSources()

	var engineDone, sourcesDone sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	fail := func(what string, err error) {
		if err != nil {
			mu.Lock()
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
			mu.Unlock()
			stopSources()
		}
	}
	engineDone.Go(func() { fail("engine", d.engine.Run(engineCtx)) })
	stopListening := d.listen(fail)
	sourcesDone.Go(func() { fail("sources", d.runSources(sourceCtx)) })
	sourcesDone.Go(func() { d.chores(sourceCtx) })
	sourcesDone.Go(func() { d.safeguard(sourceCtx) })
	<-sourceCtx.Done()
	d.log.Info("stopping")
	stopListening(context.WithoutCancel(ctx))
	sourcesDone.Wait()
	stopEngine()
	engineDone.Wait()
	fail("close", d.Close())
	return errors.Join(errs...)
}

// chores keeps files fresh and the journal small.
func (d *Daemon) chores(ctx context.Context) {
	reload, prune, beat := time.NewTicker(ReloadEvery), time.NewTimer(PruneFirst), time.NewTicker(BeatEvery)
	defer reload.Stop()
	defer prune.Stop()
	defer beat.Stop()
	d.tryBeat(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-reload.C:
			if d.changed() {
				_ = d.reload(ctx) // it has said what is wrong
			}
		case <-beat.C:
			d.tryBeat(ctx)
		case <-prune.C:
			d.Prune(ctx)
			prune.Reset(PruneEvery)
		}
	}
}

func (d *Daemon) tryBeat(ctx context.Context) {
	if err := d.beat(ctx); err != nil && ctx.Err() == nil {
		d.log.Error("the journal can't be written", "err", err)
	}
}

// Prune deletes what is older than the retention. The daemon does it by itself every hour.
func (d *Daemon) Prune(ctx context.Context) {
	before := d.o.Now().Add(-d.c.Retention)
	for ctx.Err() == nil {
		pruned, err := d.db.Prune(ctx, before, PruneBatch)
		if err != nil {
			d.log.Error("can't delete old runs", "err", err)
			return
		}
		if pruned.Runs < PruneBatch && pruned.Events < PruneBatch {
			return
		}
	}
}
