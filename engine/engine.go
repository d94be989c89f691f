package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
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
	// Neither is ever changed.
	Get(name string) (values []any, content []byte, ok bool)
}

// Calendars gives the calendars as they are now.
type Calendars interface {
	// Get finds a calendar; nil if there is none. It is never changed.
	Get(name string) *calendar.Calendar
}

// Rotas says who is on duty, by the rotas as they are now.
type Rotas interface {
	// OnDuty returns who is on duty at a time, "" if nobody is, and the digest of the rota's text; false
	// if there is no such rota.
	OnDuty(rota string, at time.Time) (who, version string, ok bool)
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
	Compile   func(name string, source []byte) (*playbooks.Playbook, error)
	Lists     Watchlists
	Calendars Calendars    // nil: there are none
	Rotas     Rotas        // nil: there are none
	Observer  Observer     // nil: nobody
	Log       *slog.Logger // nil: discarded
	Workers   int          // 0: DefaultWorkers
	Ceiling   Ceiling      // zero: CeilingRuns within CeilingWithin
	// Now is the wall clock: what is recorded, and when what waits has its turn. Nil: time.Now. It may
	// be set, also back.
	Now func() time.Time
	// Dry makes every run a shadow run, whatever its playbook's mode.
	Dry bool
}

// Engine admits events and drives runs. Make one with New, give it playbooks with Use, start it
// with Run. Deliver and Use may be called at any time, also before Run.
type Engine struct {
	o        Options
	log      *slog.Logger
	index    atomic.Pointer[index]
	workers  *workers     // one for each run in progress
	fresh    chan *driver // runs that Deliver started and hands to the loop with their worker
	wake     chan struct{}
	running  atomic.Bool
	doubt    atomic.Int32          // deliveries left for which objects are looked up first
	kept     atomic.Pointer[index] // the playbooks that the clocks are up to date with
	keeping  atomic.Int64          // runs with outcomes that the journal refuses
	seen     atomic.Int64          // the latest time at which events were delivered, in nanoseconds since 1970
	counting chan struct{}         // who has put something in counts uses of limits, and nobody else

	mu sync.Mutex
	// compiled holds playbooks of earlier texts, for runs that started with them.
	compiled map[string]*playbooks.Playbook
	open     bool           // the loop takes runs from Deliver
	begun    map[RunID]bool // runs that the loop leaves alone: a Deliver has begun them, or a person's word is being recorded
	drivers  map[RunID]*driver

	indexing sync.RWMutex // held for writing while the index of stored events changes
	indexed  atomic.Pointer[wanted]

	listsMu sync.Mutex
	lists   map[string]*listed // as they were last
}

// maxCompiled keeps the map of earlier texts from growing over the months.
const maxCompiled = 256

// New makes an engine.
func New(o Options) *Engine {
	if o.Workers <= 0 {
		o.Workers = DefaultWorkers
	}
	if o.Ceiling == (Ceiling{}) {
		o.Ceiling = Ceiling{Runs: CeilingRuns, Within: CeilingWithin}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Compile == nil {
		o.Compile = func(string, []byte) (*playbooks.Playbook, error) {
			return nil, errors.New("this engine was made without a compiler for recorded playbooks")
		}
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &Engine{
		o: o, log: o.Log.With("component", "engine"),
		workers: newWorkers(o.Workers), fresh: make(chan *driver, o.Workers),
		wake: make(chan struct{}, 1), compiled: map[string]*playbooks.Playbook{}, begun: map[RunID]bool{}, drivers: map[RunID]*driver{},
		lists: map[string]*listed{}, counting: make(chan struct{}, 1),
	}
	e.index.Store(newIndex(&playbooks.Set{}))
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
	x := newIndex(set)
	x.since = e.o.Now()
	e.index.Store(x)
	e.poke()
}

// Playbooks returns the set in use.
func (e *Engine) Playbooks() *playbooks.Set { return e.index.Load().set }

// Busy returns how many workers drive a run, and how many there are.
func (e *Engine) Busy() (busy, workers int) { return e.workers.count(), e.workers.most }

// until is how long it is until a time by the wall clock.
func (e *Engine) until(t time.Time) time.Duration { return t.Sub(e.o.Now()) }

// see notes when events were delivered.
func (e *Engine) see(at time.Time) {
	for last := e.seen.Load(); at.UnixNano() > last && !e.seen.CompareAndSwap(last, at.UnixNano()); last = e.seen.Load() {
	}
}

// written is when a run makes a write: not before what it could have seen, also when the clock was set back since then.
// Whether a new version of an object is our own doing is told by which came first.
func (e *Engine) written(run Run) time.Time {
	at := e.o.Now().UTC()
	for _, seen := range []time.Time{run.Created, time.Unix(0, e.seen.Load()).UTC()} {
		if seen.After(at) {
			at = seen
		}
	}
	return at
}

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// playbook returns the playbook of a run: the text that the run started with, which may be older
// than the one in use.
func (e *Engine) playbook(name, digest string, source []byte) (*playbooks.Playbook, error) {
	if p, ok := e.index.Load().set.Lookup(name); ok && p.Digest == digest {
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
	if len(e.compiled) >= maxCompiled {
		clear(e.compiled)
	}
	e.compiled[digest] = p
	return p, nil
}

// reserve takes a worker for a run that Deliver begins. From then on the run belongs to that
// Deliver: the loop leaves it alone, also once the journal says that it is ready, because two
// drivers of one run would make its first attempts twice. A patient Deliver waits a moment for a
// worker.
func (e *Engine) reserve(id RunID, patient bool) bool {
	if !e.begins(id) {
		return false
	}
	if !e.workers.await(patient) {
		e.taken(id)
		e.poke() // the loop may have passed over the run
		return false
	}
	return true
}

func (e *Engine) begins(id RunID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.open || e.begun[id] {
		return false
	}
	e.begun[id] = true
	return true
}

// giveBack undoes reserve. The loop has to look again: it may have passed over the run, or found
// no worker for another.
func (e *Engine) giveBack(id RunID) {
	e.taken(id)
	e.workers.give()
	e.poke()
}

// taken says that the loop has the run now.
func (e *Engine) taken(id RunID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.begun, id)
}

// reserved copies the runs that belong to a Deliver.
func (e *Engine) reserved() map[RunID]bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.begun)
}

// setOpen says whether the loop takes runs from Deliver.
func (e *Engine) setOpen(open bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open = open
}
