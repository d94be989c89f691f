package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/playbookd/playbookd/playbooks"
)

// Limits of the loop.
const (
	// DefaultWorkers is how many runs are in progress at a time. The others wait on disk.
	DefaultWorkers = 64
	// HoldFor is how long a run that only waits keeps its worker; one that waits longer is put
	// away until its time comes.
	HoldFor = 2 * time.Second
	// RecheckEvery bounds how long the loop sleeps, so that a wall clock that was set is noticed.
	RecheckEvery = time.Minute
	// JournalPause is how long the loop waits after the journal failed before it tries again.
	JournalPause = time.Second
	// Grace is how long attempts in flight may take when the engine stops.
	Grace = 20 * time.Second
)

// Watchlists gives the content of the watchlists as it is now.
type Watchlists interface {
	// Get returns a list's values and the canonical JSON of them; false if there is no such list.
	Get(name string) (values []any, content []byte, ok bool)
}

// Observer is told what happens. Its methods must return quickly.
type Observer interface {
	RunStarted(Run)
	StepEnded(Run, Entry)
	RunPaused(Run) // waiting or parked
	RunEnded(Run, []Entry)
}

// Options says what an engine is made of.
type Options struct {
	Journal Journal
	// Compile turns a recorded playbook source into a playbook again.
	Compile  func(name string, source []byte) (*playbooks.Playbook, error)
	Lists    Watchlists
	Observer Observer     // nil: nobody
	Log      *slog.Logger // nil: discarded
	Workers  int          // 0: DefaultWorkers
	// Dry makes every run a shadow run, whatever its playbook's mode.
	Dry bool
}

// Engine admits events and drives runs. Make one with New, give it playbooks with Use, start it
// with Run. Deliver and Use may be called at any time, also before Run.
type Engine struct {
	o       Options
	log     *slog.Logger
	set     atomic.Pointer[playbooks.Set]
	workers chan struct{} // a token for each run in progress
	fresh   chan *driver  // runs that Deliver started and hands to the loop with their worker
	wake    chan struct{}
	// compiled holds playbooks of earlier texts, for runs that started with them.
	mu       sync.Mutex
	compiled map[string]*playbooks.Playbook
	running  atomic.Bool
}

// New makes an engine.
func New(o Options) *Engine {
	if o.Workers <= 0 {
		o.Workers = DefaultWorkers
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	e := &Engine{
		o: o, log: o.Log.With("component", "engine"),
		workers: make(chan struct{}, o.Workers), fresh: make(chan *driver, o.Workers),
		wake: make(chan struct{}, 1), compiled: map[string]*playbooks.Playbook{},
	}
	e.set.Store(&playbooks.Set{})
	return e
}

type nobody struct{}

func (nobody) RunStarted(Run)        {}
func (nobody) StepEnded(Run, Entry)  {}
func (nobody) RunPaused(Run)         {}
func (nobody) RunEnded(Run, []Entry) {}

// Use makes set the playbooks that events are considered by from now on. Runs in progress keep
// the text that they started with.
func (e *Engine) Use(set *playbooks.Set) {
	e.set.Store(set)
	e.poke()
}

// Playbooks returns the set in use.
func (e *Engine) Playbooks() *playbooks.Set { return e.set.Load() }

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// playbook returns the playbook of a run: the text that the run started with, which may be older
// than the one in use.
func (e *Engine) playbook(name, digest string, source []byte) (*playbooks.Playbook, error) {
	if p, ok := e.set.Load().Lookup(name); ok && p.Digest == digest {
		return p, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.compiled[digest]; p != nil {
		return p, nil
	}
	p, err := e.o.Compile(name, source)
	if err != nil {
		return nil, fmt.Errorf("playbook %s as recorded (%s): %w", name, digest, err)
	}
	if p.Digest != digest {
		return nil, fmt.Errorf("playbook %s as recorded has digest %s, not %s: the journal was changed", name, p.Digest, digest)
	}
	e.compiled[digest] = p
	return p, nil
}

// Run drives runs until ctx ends. Attempts in flight then get Grace to finish, and their
// outcomes are recorded before Run returns.
func (e *Engine) Run(ctx context.Context) error {
	if !e.running.CompareAndSwap(false, true) {
		return errors.New("engine is running already")
	}
	defer e.running.Store(false)
	attempts, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	l := &dispatcher{e: e, ctx: ctx, attempts: attempts, active: map[RunID]bool{}, done: make(chan RunID)}
	l.loop()
	return l.stop(cut)
}

// dispatcher is the state of Run: only its goroutine touches it.
type dispatcher struct {
	e        *Engine
	ctx      context.Context
	attempts context.Context
	active   map[RunID]bool
	done     chan RunID
	failures int
	retryAt  time.Time // the journal failed: not before
}

func (l *dispatcher) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case d := <-l.e.fresh:
			l.start(d)
			continue // its worker is taken already; nothing else changed
		case id := <-l.done:
			delete(l.active, id)
		case <-l.e.wake:
		case <-timer.C:
		}
		timer.Reset(l.fill())
	}
}

// fill starts runs that are ready as long as there are workers, and returns how long to sleep
// if nothing happens.
func (l *dispatcher) fill() time.Duration {
	now := time.Now()
	if wait := l.retryAt.Sub(now); wait > 0 {
		return wait
	}
	free := cap(l.e.workers) - len(l.e.workers)
	if free == 0 {
		return RecheckEvery // a worker that gets free wakes us
	}
	runs, err := l.e.o.Journal.Ready(l.ctx, now, free+len(l.active))
	if err != nil {
		if l.ctx.Err() == nil {
			l.e.log.Error("can't read the journal", "err", err)
		}
		l.retryAt = now.Add(JournalPause)
		return JournalPause
	}
	for _, run := range runs {
		if l.active[run.ID] {
			continue
		}
		select {
		case l.e.workers <- struct{}{}:
			l.start(&driver{e: l.e, run: run})
		default:
			return RecheckEvery
		}
	}
	return l.sleep(now)
}

func (l *dispatcher) sleep(now time.Time) time.Duration {
	wake, err := l.e.o.Journal.NextWake(l.ctx)
	if err != nil || wake.IsZero() {
		return RecheckEvery
	}
	// A run whose time has come may be held back by another with its concurrency key, which
	// wakes us when it ends: a short wait keeps the loop from spinning meanwhile.
	return max(10*time.Millisecond, min(wake.Sub(now), RecheckEvery))
}

// start drives a run on its own goroutine. The worker token is taken already.
func (l *dispatcher) start(d *driver) {
	if l.active[d.run.ID] {
		<-l.e.workers
		return
	}
	l.active[d.run.ID] = true
	go func() {
		err := d.drive(l.ctx, l.attempts)
		if err != nil {
			l.e.log.Error("run was put back", "run", d.run.ID, "playbook", d.run.Playbook, "err", err)
			sleep(l.ctx, JournalPause)
		}
		<-l.e.workers
		l.done <- d.run.ID
	}()
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// stop waits for the drivers, cutting their attempts off after the grace period.
func (l *dispatcher) stop(cut context.CancelFunc) error {
	timer := time.AfterFunc(Grace, cut)
	defer timer.Stop()
	for len(l.active) > 0 {
		select {
		case id := <-l.done:
			delete(l.active, id)
		case d := <-l.e.fresh:
			l.putBack(d)
		}
	}
	for {
		select {
		case d := <-l.e.fresh:
			l.putBack(d)
		default:
			return nil
		}
	}
}

// putBack records that the first attempts of a run, whose intents are durable, were never made,
// so that the next start need not wonder.
func (l *dispatcher) putBack(d *driver) {
	defer func() { <-l.e.workers }()
	entries := d.machine.Interrupt(time.Now(), true)
	if len(entries) == 0 {
		return
	}
	if err := d.append(l.ctx, Decision{Record: entries, State: Ready}); err != nil {
		l.e.log.Error("run was not put back: its first attempts count as cut off", "run", d.run.ID, "err", err)
	}
}
