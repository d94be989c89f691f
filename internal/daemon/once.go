package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/memory"
	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/secret"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/triggers"
)

// Once says what a single run by hand is made of.
type Once struct {
	Config   *config.Config // nil: nothing can be read from Graph
	Playbook *playbooks.Playbook
	Beside   Beside
	Tenant   string // "": the configuration's first
	Event    []byte // JSON
	Inputs   []byte // JSON
	// Before is the version before the event, for change triggers: JSON; empty: there was none. Only for
	// runs that are not live.
	Before []byte
	// Live performs what the playbook says and records it in the configured journal. Otherwise
	// only what reads is performed, and nothing is kept.
	Live bool
	Log  *slog.Logger
}

// Result is what came of it.
type Result struct {
	Decision engine.Match
	Loaded   engine.Loaded // zero if no run was started
}

// RunOnce delivers one event to one playbook and waits until its run ends, is parked or would
// have to wait.
func RunOnce(ctx context.Context, o Once) (Result, error) {
	parts, err := o.parts(ctx)
	if err != nil {
		return Result{}, err
	}
	defer parts.close()
	// The playbook was checked against actions that can only describe themselves.
	if o.Playbook, err = Recompile(parts.catalog)(o.Playbook.File, o.Playbook.Recorded); err != nil {
		return Result{}, err
	}
	ev, err := triggers.Manual(triggers.ManualRun{Playbook: o.Playbook, Tenant: parts.tenant, Event: o.Event, Inputs: o.Inputs, By: byCommand}, time.Now())
	if err != nil {
		return Result{}, err
	}
	if err := o.remember(ctx, parts, ev); err != nil {
		return Result{}, err
	}
	w := &waiter{over: make(chan struct{}, 1)}
	e := engine.New(engine.Options{
		Journal: parts.journal, Compile: Recompile(parts.catalog), Lists: o.Beside.Lists, Calendars: o.Beside.Calendars, Rotas: o.Beside.Rotas, Observer: w, Log: parts.log, Workers: 1, Dry: !o.Live,
	})
	set := playbooks.NewSet(o.Playbook)
	if err := e.Prepare(ctx, set, true); err != nil {
		return Result{}, err
	}
	e.Use(set)
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(runCtx) }()
	receipt, err := e.Deliver(ctx, engine.Batch{Events: []engine.Event{ev}})
	if err == nil && receipt.Matched > 0 {
		select {
		case <-w.over:
		case <-ctx.Done():
		}
	}
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return Result{}, err
	}
	return parts.result(context.WithoutCancel(ctx), ev.ID, o.Playbook.Name)
}

// byCommand is who starts a run that a command drives itself.
const byCommand = "playbookd run"

// remember has the journal know the version before an event.
func (o Once) remember(ctx context.Context, p onceParts, ev engine.Event) error {
	switch {
	case len(o.Before) == 0:
		return nil
	case o.Live:
		return errors.New("a version before is for dry runs: the journal knows what there was before")
	}
	before, err := triggers.Manual(triggers.ManualRun{Playbook: o.Playbook, Tenant: p.tenant, ID: "before", Event: o.Before}, ev.Occurred)
	if err != nil {
		return fmt.Errorf("the version before: %w", err)
	}
	before.Object = ev.Object
	_, err = p.journal.Admit(ctx, engine.Admission{Events: []engine.Planned{{Event: before}}})
	return err
}

// onceParts is what a single run needs.
type onceParts struct {
	tenant  string
	journal interface {
		engine.Journal
		Decisions(ctx context.Context, event string) ([]engine.Match, error)
	}
	catalog playbooks.Catalog
	log     *slog.Logger
	close   func()
}

func (o Once) parts(ctx context.Context) (onceParts, error) {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := onceParts{tenant: o.Tenant, journal: memory.New(), log: log, close: func() {}}
	c := o.Config
	if c == nil {
		if o.Live {
			return p, errors.New("a live run needs a configuration: name it with -c")
		}
		c = &config.Config{}
		if p.tenant == "" {
			p.tenant = "none"
		}
	}
	if p.tenant == "" {
		p.tenant = c.Tenants[0].Name
	}
	secrets, err := secret.NewStore(secretSources(c), log)
	if err != nil {
		return p, err
	}
	p.log = slog.New(secret.NewHandler(log.Handler(), secrets.Scrubber()))
	clients := map[string]*graph.Client{}
	known := o.Config == nil
	for _, t := range c.Tenants {
		known = known || t.Name == p.tenant
		if clients[t.Name], err = newClient(t, nil, secrets.Scrubber(), p.log); err != nil {
			return p, err
		}
	}
	if !known {
		return p, fmt.Errorf("there is no tenant %q in %s, which has %s", p.tenant, c.File, strings.Join(slices.Sorted(maps.Keys(clients)), ", "))
	}
	if p.catalog, err = newRegistry(c, clients, secrets, nil, nil); err != nil {
		return p, err
	}
	if o.Live {
		d := Daemon{c: c, root: p.log, log: p.log}
		if err := d.openStore(ctx); err != nil {
			return p, err
		}
		p.journal, p.close = d.db, func() { _ = d.Close() }
	}
	return p, nil
}

func (p onceParts) result(ctx context.Context, event, playbook string) (Result, error) {
	var r Result
	decisions, err := p.journal.Decisions(ctx, event)
	if err != nil {
		return r, err
	}
	for _, m := range decisions {
		if m.Playbook == playbook {
			r.Decision = m
		}
	}
	if r.Decision.Run != "" {
		r.Loaded, err = p.journal.Load(ctx, r.Decision.Run)
	}
	return r, err
}

// waiter is told when the run is over, or can't go on now.
type waiter struct{ over chan struct{} }

func (w *waiter) RunStarted(engine.Run)              {}
func (w *waiter) StepEnded(engine.Run, engine.Entry) {}
func (w *waiter) RunPaused(r engine.Run)             { w.end(r) }
func (w *waiter) RunEnded(r engine.Run, _ []engine.Entry) {
	w.end(r)
}

func (w *waiter) end(r engine.Run) {
	if r.State == engine.Waiting {
		return // its time will come; the engine takes it up again
	}
	select {
	case w.over <- struct{}{}:
	default:
	}
}
