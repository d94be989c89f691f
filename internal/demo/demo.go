// Package demo runs the whole of playbookd against the simulator in one process: real HTTPS, real
// sign-in through azidentity, a real journal, the shipped playbooks live. It tells each run as it
// ends and, at the end, has package invariant lay the
// simulator's log of effects beside the journal.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// What a demo that goes on has besides what is there at its start: new alerts for half an hour, a few
// each minute.
const (
	Ahead  = 30 * time.Minute
	Behind = 30 * time.Minute
	More   = 8 // times as many alerts as one that ends
)

// Options say what to show.
type Options struct {
	Simulator simulator.Options
	Once      bool // end when all that was there at the start is done
	Log       *slog.Logger
	// Ended is told each run that ends or is parked, one after the other.
	Ended func(Finished)
	// Progress is told now and then how far things are.
	Progress func(Progress)
}

// Finished is a run that ended or was parked.
type Finished struct {
	Run   engine.Run          `json:"run"`
	Did   []string            `json:"did"` // what took effect: "alert.update", "alert.comment"
	Took  time.Duration       `json:"took_ns"`
	Steps []*engine.StepTrace `json:"-"`
}

// Progress is how far things are.
type Progress struct {
	Ended  int // runs
	Active int // runs
}

// Summary is what came of it all.
type Summary struct {
	Took      time.Duration           `json:"took_ns"`
	Events    map[string]int          `json:"events"`    // by kind
	Decisions map[string]int          `json:"decisions"` // by verdict, and reason of those skipped
	Runs      map[engine.RunState]int `json:"runs"`
	Effects   map[string]int          `json:"effects"` // that the simulator performed, by operation
	Parked    []engine.RunID          `json:"parked,omitempty"`
	Wrong     []invariant.Violation   `json:"wrong"` // where journal and simulator disagree
	Playbooks []string                `json:"playbooks"`
}

// Demo is a simulator and a daemon, built and not yet started.
type Demo struct {
	o      Options
	dir    string
	sim    *simulator.Server
	listen *simulator.Listener
	daemon *daemon.Daemon
	began  time.Time

	mu    sync.Mutex
	ended int
}

// New builds a demo in a temporary directory. Close removes it.
func New(ctx context.Context, o Options) (d *Demo, err error) {
	d = &Demo{o: o, began: time.Now()}
	defer func() {
		if err != nil {
			d.Close()
			d = nil
		}
	}()
	if d.dir, err = os.MkdirTemp("", "playbookd-demo-"); err != nil {
		return d, err
	}
	if !o.Once {
		d.o.Simulator.Span, d.o.Simulator.Ahead = Behind, Ahead
		d.o.Simulator.Alerts = min(d.o.Simulator.Alerts*More, simulator.MaxAlerts)
	}
	if d.sim, err = simulator.New(d.o.Simulator); err != nil {
		return d, err
	}
	if d.listen, err = d.sim.Start("127.0.0.1:0"); err != nil {
		return d, err
	}
	file, err := sandbox.Write(d.dir, sandbox.Site{
		URL: d.listen.URL, CA: d.listen.CA, Hasty: true,
		Tenant: simulator.DefaultTenant, Client: simulator.DefaultClient, Secret: simulator.DefaultSecret,
	})
	if err != nil {
		return d, err
	}
	c, findings := config.Load(file)
	if err := findings.Err(); err != nil {
		return d, fmt.Errorf("the demo's own configuration: %w", err)
	}
	d.daemon, err = daemon.New(ctx, daemon.Options{Config: c, Log: o.Log, Observer: d, NoListen: true})
	return d, err
}

// Simulator returns the demo's simulator.
func (d *Demo) Simulator() *simulator.Server { return d.sim }

// URL is where the simulator listens.
func (d *Demo) URL() string { return d.listen.URL }

// Playbooks names the playbooks that run.
func (d *Demo) Playbooks() []string {
	var names []string
	for _, p := range d.daemon.Engine().Playbooks().Playbooks {
		names = append(names, p.Name)
	}
	return names
}

// Close ends the simulator and removes the directory.
func (d *Demo) Close() {
	if d.listen != nil {
		_ = d.listen.Close() // nobody listens any more
	}
	if d.dir != "" {
		_ = os.RemoveAll(d.dir) // a temporary directory that stays is no harm
	}
}

// Run works until ctx ends or, with Once, until the work is done, and sums up.
func (d *Demo) Run(ctx context.Context) (Summary, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- d.daemon.Run(ctx) }()

	// Nobody should have to wait for the minute to see what schedules do.
	if err := d.daemon.FireSchedules(ctx); err != nil {
		stop()
		return Summary{}, errors.Join(err, <-ended)
	}
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	settled := d.daemon.Settling()
	var err error
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		case <-ticker.C:
			d.progress(ctx)
			if !d.o.Once || ctx.Err() != nil {
				continue
			}
			done, serr := settled(ctx)
			if serr != nil && ctx.Err() == nil {
				err = serr
				stop()
			}
			if done {
				stop()
			}
		}
	}
	if err != nil {
		return Summary{}, err
	}
	return d.sum()
}

func (d *Demo) progress(ctx context.Context) {
	if d.o.Progress == nil {
		return
	}
	counts, err := d.daemon.Store().Counts(ctx)
	if err != nil {
		return // only a picture
	}
	d.mu.Lock()
	p := Progress{Ended: d.ended, Active: counts[engine.Ready] + counts[engine.Waiting]}
	d.mu.Unlock()
	d.o.Progress(p)
}

// sum reads the journal, which the daemon has closed, and compares it with the simulator's log.
func (d *Demo) sum() (Summary, error) {
	ctx := context.Background()
	r, err := store.OpenReader(ctx, d.daemon.Database())
	if err != nil {
		return Summary{}, err
	}
	defer r.Close()
	s := Summary{Took: time.Since(d.began), Events: map[string]int{}, Decisions: map[string]int{}, Effects: map[string]int{}, Playbooks: d.Playbooks()}
	if s.Runs, err = r.Counts(ctx); err != nil {
		return s, err
	}
	if err := d.sumEvents(ctx, r, &s); err != nil {
		return s, err
	}
	parked, err := r.Runs(ctx, store.RunFilter{State: engine.Parked, Limit: store.MaxLimit})
	if err != nil {
		return s, err
	}
	for _, run := range parked {
		s.Parked = append(s.Parked, run.ID)
	}
	for _, e := range d.sim.Effects() {
		s.Effects[e.Op]++
	}
	c := invariant.Case{Journal: invariant.Store(r), Books: d.daemon.Engine().Playbooks()}
	c.Simulator(sandbox.TenantName, d.sim)
	s.Wrong, err = c.Check(ctx)
	return s, err
}

func (d *Demo) sumEvents(ctx context.Context, r *store.Reader, s *Summary) error {
	f := store.EventFilter{Limit: store.MaxLimit}
	for {
		events, err := r.Events(ctx, f)
		if err != nil {
			return err
		}
		for _, ev := range events {
			s.Events[ev.Kind]++
			matches, err := r.Decisions(ctx, ev.ID)
			if err != nil {
				return err
			}
			for _, m := range matches {
				key := string(m.Verdict)
				if m.Reason != "" {
					key += " " + m.Reason
				}
				s.Decisions[key]++
			}
		}
		if len(events) < store.MaxLimit {
			return nil
		}
		f.Before = events[len(events)-1].ID
	}
}

// The demo is the engine's observer.
var _ engine.Observer = (*Demo)(nil)

// RunStarted implements [engine.Observer].
func (d *Demo) RunStarted(engine.Run) {}

// StepEnded implements [engine.Observer].
func (d *Demo) StepEnded(engine.Run, engine.Entry) {}

// RunPaused implements [engine.Observer].
func (d *Demo) RunPaused(run engine.Run) {
	if run.State == engine.Parked {
		d.tell(run, nil)
	}
}

// RunEnded implements [engine.Observer].
func (d *Demo) RunEnded(run engine.Run, history []engine.Entry) { d.tell(run, history) }

func (d *Demo) tell(run engine.Run, history []engine.Entry) {
	var p *playbooks.Playbook
	if found, ok := d.daemon.Engine().Playbooks().Lookup(run.Playbook); ok {
		p = found
	}
	f := Finished{Run: run, Steps: engine.Trace(p, history), Took: time.Since(run.Created)}
	if !run.Ended.IsZero() {
		f.Took = run.Ended.Sub(run.Created)
	}
	for _, step := range f.Steps {
		for _, a := range step.Attempts {
			if a.Effective() {
				f.Did = append(f.Did, step.Action+" "+a.Part)
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended++
	if d.o.Ended != nil {
		d.o.Ended(f)
	}
}

// ErrDisagree is the error of a demo whose journal and simulator tell different stories.
var ErrDisagree = errors.New("the journal and the simulator's log disagree")
