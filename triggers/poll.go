package triggers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// The limits of polling.
const (
	// MinEvery is the shortest time between two polls.
	MinEvery = time.Second
	// DefaultOverlap is how far behind its position a poll asks again: alerts become visible late
	// and out of order.
	DefaultOverlap = 15 * time.Minute
	// MaxOverlap is how far the overlap widens by itself when alerts surface later than it allows.
	MaxOverlap = 4 * time.Hour
	// DefaultFirst is how far the very first poll looks back.
	DefaultFirst = 24 * time.Hour
	// DefaultSweepEvery and DefaultSweepBack say how often and how far back a poll looks again
	// for what surfaced later than the overlap allows.
	DefaultSweepEvery = 24 * time.Hour
	DefaultSweepBack  = 48 * time.Hour
	// MaxFilter is the longest filter that is sent to Graph, since it becomes a part of an
	// address. A longer union asks for everything; the engine filters each event anyway.
	MaxFilter = 4096
	// MaxAhead is how far ahead of our clock a time may be and still move the position: one
	// object dated 9999 must not end polling.
	MaxAhead = 24 * time.Hour
	// MaxRetryAfter is the longest pause that an answer can impose on polling.
	MaxRetryAfter = time.Hour
)

// Query is what a poll asks for.
type Query struct {
	Filter  string // OData, always with a bound on lastUpdateDateTime
	OrderBy string // "" or an OData order
	Top     int
	Expand  string // "" or a relation
	OnPage  func() // called for each page that arrived
}

// Object is what a poll reads: an alert or an incident.
type Object struct {
	ID      string
	Title   string
	Updated string // lastUpdateDateTime as it came
	Created string // createdDateTime as it came
	Raw     json.RawMessage
}

// Lister reads the objects of one resource, following pages to the end. The end of the sequence
// without an error means that all was read.
type Lister interface {
	List(ctx context.Context, q Query) iter.Seq2[Object, error]
}

// PollSettings are what a reload may change.
type PollSettings struct {
	Every      time.Duration // the smallest of all playbooks
	Filter     string        // the union of all playbooks; "": everything
	Expand     bool          // incidents: with their alerts
	Overlap    time.Duration // 0: DefaultOverlap
	First      time.Duration // 0: DefaultFirst
	SweepEvery time.Duration // 0: DefaultSweepEvery
	SweepBack  time.Duration // 0: DefaultSweepBack
}

// withDefaults fills what was left out and refuses what can't work.
func (s PollSettings) withDefaults() (PollSettings, error) {
	if s.Every < MinEvery {
		return s, fmt.Errorf("polling every %s is not possible: use %s or more", s.Every, MinEvery)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		usual time.Duration
	}{
		{"overlap", &s.Overlap, DefaultOverlap},
		{"first look-back", &s.First, DefaultFirst},
		{"time between sweeps", &s.SweepEvery, DefaultSweepEvery},
		{"sweep's look-back", &s.SweepBack, DefaultSweepBack},
	} {
		if *d.value < 0 {
			return s, fmt.Errorf("the %s must not be negative: leave it out for %s", d.name, d.usual)
		}
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if len(s.Filter) > MaxFilter {
		s.Filter = ""
	}
	return s, nil
}

// PollOptions build a poller.
type PollOptions struct {
	Tenant   string
	Resource string // alerts or incidents
	Lister   Lister
	Sink     Sink
	Journal  Journal
	Log      *slog.Logger
	Settings PollSettings
	Now      func() time.Time // the wall clock; nil: time.Now
	Done     func()           // nil, or called when a poll has read everything
}

// PollState says how a poller fares, for the health page.
type PollState struct {
	Tenant      string        `json:"tenant"`
	Resource    string        `json:"resource"`
	LastAttempt time.Time     `json:"last_attempt,omitzero"`
	LastSuccess time.Time     `json:"last_success,omitzero"` // of a complete pass
	Known       time.Time     `json:"known,omitzero"`        // when that pass began: what happened before has been read
	LastSweep   time.Time     `json:"last_sweep,omitzero"`
	LastError   string        `json:"last_error,omitempty"` // "" after a success
	Failures    int           `json:"failures,omitempty"`   // in a row
	Position    string        `json:"position,omitempty"`
	Lateness    time.Duration `json:"lateness"` // how far behind the position an object surfaced at worst
	Overlap     time.Duration `json:"overlap"`  // in use, wider than set when objects surface late
	Next        time.Time     `json:"next,omitzero"`
	Every       time.Duration `json:"every"`
	Polls       int64         `json:"polls,omitempty"`   // since the start
	Failed      int64         `json:"failed,omitempty"`  // of these
	Passes      int64         `json:"passes,omitempty"`  // over a window, sweeps included
	Pages       int64         `json:"pages,omitempty"`   // read in these
	Objects     int64         `json:"objects,omitempty"` // read in these
	Fresh       int64         `json:"fresh,omitempty"`   // of these, new to the journal
}

// Poller asks Graph for what changed in one resource of one tenant, on behalf of all playbooks.
//
// Each poll asks for everything that was updated since the position, less an overlap; events
// that the journal knows are left out. The position moves with the last batch of a complete
// pass, to the latest update seen and never backwards. Because paging by $skip passes over rows
// when the set changes meanwhile, a pass of more than one page is repeated until nothing new is
// found behind the end of the pass before.
type Poller struct {
	tenant   string
	resource string
	kind     string
	lister   Lister
	sink     Sink
	journal  Journal
	log      *slog.Logger
	now      func() time.Time
	done     func()
	changed  chan struct{} // of size one: settings were changed
	poked    chan struct{} // of size one: somebody wants a poll now

	mu       sync.Mutex
	settings PollSettings
	state    PollState

	// Owned by Run.
	began      time.Time // of the poll under way
	unordered  bool      // the service refuses $orderby
	sweepAfter time.Time // no other sweep before, after one that failed
}

// NewPoller makes a poller. It asks nothing before Run.
func NewPoller(o PollOptions) (*Poller, error) {
	kind, err := kindOf(o.Resource)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Tenant == "" || strings.Contains(o.Tenant, "/"):
		return nil, errors.New("a poller needs the name of its tenant, without slashes")
	case o.Lister == nil || o.Sink == nil || o.Journal == nil:
		return nil, errors.New("a poller needs a lister, a sink and a journal")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	settings, err := o.Settings.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Done == nil {
		o.Done = func() {}
	}
	return &Poller{
		tenant: o.Tenant, resource: o.Resource, kind: kind, done: o.Done,
		lister: o.Lister, sink: o.Sink, journal: o.Journal,
		log:      o.Log.With("component", "triggers", "source", o.Tenant+"/poll/"+o.Resource),
		now:      clockOr(o.Now),
		changed:  make(chan struct{}, 1),
		poked:    make(chan struct{}, 1),
		settings: settings,
		state:    PollState{Tenant: o.Tenant, Resource: o.Resource, Every: settings.Every, Overlap: settings.Overlap},
	}, nil
}

// kindOf is the name under which playbooks see objects of a resource.
func kindOf(resource string) (string, error) {
	switch resource {
	case "alerts":
		return "alert", nil
	case "incidents":
		return "incident", nil
	}
	return "", fmt.Errorf("resource %.40q can't be polled: use alerts or incidents", resource)
}

// Name is "TENANT/poll/RESOURCE", also the name of the position.
func (p *Poller) Name() string { return p.tenant + "/poll/" + p.resource }

// sweepName is the name of the position that holds when the last sweep was complete.
func (p *Poller) sweepName() string { return p.tenant + "/sweep/" + p.resource }

// Configure changes what the poller asks and how often. A poll under way goes on as it began.
func (p *Poller) Configure(s PollSettings) error {
	s, err := s.withDefaults()
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.settings = s
	p.state.Every = s.Every
	p.state.Overlap = p.overlapLocked()
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default: // a change is pending already, and the newest settings are read when it is seen
	}
	return nil
}

// State says how the poller fares.
func (p *Poller) State() PollState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Run polls at once and then regularly until ctx ends.
func (p *Poller) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		began := time.Now()
		pause := p.tick(ctx)
		if !p.wait(ctx, began, pause) {
			return nil
		}
	}
	return nil
}

// wait sleeps until the next poll is due: Every after the last one began, but not before pause is
// over. A change of settings while waiting counts at once.
func (p *Poller) wait(ctx context.Context, began time.Time, pause time.Duration) bool {
	ended := time.Now()
	for {
		p.mu.Lock()
		due := began.Add(p.settings.Every)
		if least := ended.Add(max(pause, MinEvery)); due.Before(least) {
			due = least
		}
		p.state.Next = due
		p.mu.Unlock()
		timer := time.NewTimer(time.Until(due))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
			return true
		case <-p.changed:
			timer.Stop()
		case <-p.poked:
			timer.Stop()
			return true
		}
	}
}

// tick polls once, sweeps if it is time, and returns how long to pause because Graph asked for it.
func (p *Poller) tick(ctx context.Context) time.Duration {
	p.mu.Lock()
	s := p.settings
	p.state.LastAttempt = time.Now()
	p.mu.Unlock()
	p.began = p.now()
	swept, err := p.swept(ctx)
	if err == nil {
		err = p.poll(ctx, s, swept)
	}
	if err == nil {
		err = p.sweep(ctx, s, swept)
	}
	if ctx.Err() != nil {
		return 0
	}
	p.note(ctx, err)
	return retryAfter(err)
}

// note records how a tick went.
func (p *Poller) note(ctx context.Context, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Polls++
	if err == nil {
		if p.state.Failures > 0 {
			p.log.InfoContext(ctx, "polling works again", "failures", p.state.Failures)
		}
		p.state.LastError, p.state.Failures = "", 0
		return
	}
	p.state.LastError = err.Error()
	p.state.Failures++
	p.state.Failed++
	p.log.WarnContext(ctx, "poll failed; it is tried again", "err", err, "failures", p.state.Failures)
}

// faulty is how an error of another package says what it means.
type faulty interface {
	Fault() (code, message string, retry bool, after time.Duration, unknown bool)
}

// retryAfter is how long an error asks to wait.
func retryAfter(err error) time.Duration {
	var f faulty
	if !errors.As(err, &f) {
		return 0
	}
	_, _, _, after, _ := f.Fault()
	return min(max(after, 0), MaxRetryAfter)
}

// refused says that asking the same question again can't help: the question itself is wrong.
func refused(err error) bool {
	var f faulty
	if !errors.As(err, &f) {
		return false
	}
	code, _, _, _, _ := f.Fault()
	return code == "invalid"
}
