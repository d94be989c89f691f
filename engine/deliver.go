package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// MaxBatch is how many events one Deliver may hold.
const MaxBatch = 1000

// Deliver decides about a batch and admits it: when it returns nil, the events, the decisions,
// the runs and the position are durable. Delivering the same events again changes nothing.
func (e *Engine) Deliver(ctx context.Context, b Batch) (Receipt, error) {
	if len(b.Events) > MaxBatch {
		return Receipt{}, fmt.Errorf("batch of %d events: at most %d are allowed", len(b.Events), MaxBatch)
	}
	receipt, err := e.deliver(ctx, b, len(b.Events) == 1 && e.guesses(), nil)
	for tries := 0; overtaken(err) && tries < MaxLooks; tries++ {
		if errors.Is(err, ErrNotNew) {
			e.doubt.Store(Doubt)
		}
		known, look := e.known(ctx, b)
		if look != nil {
			return Receipt{}, look
		}
		receipt, err = e.deliver(ctx, b, false, known)
	}
	return receipt, err
}

// overtaken says that what was planned does not follow any more on what the journal holds.
func overtaken(err error) bool {
	return errors.Is(err, ErrNotNew) || errors.Is(err, ErrClockMoved) || errors.Is(err, ErrMoved)
}

// known says which events of a batch are duplicates: they don't move clocks.
func (e *Engine) known(ctx context.Context, b Batch) (map[string]bool, error) {
	ids := make([]string, len(b.Events))
	for i, ev := range b.Events {
		ids[i] = ev.ID
	}
	known, err := e.o.Journal.Known(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("asking which events are known: %w", err)
	}
	return known, nil
}

// MaxLooks is how often a batch is decided about anew because another version of one of its
// objects was admitted in between, a clock was moved, or what it asked has changed.
const MaxLooks = 10

// Doubt is for how many deliveries objects are looked up first after one was not new.
const Doubt = 64

// guesses says whether a single event may be taken for the first of its object, for the journal
// to object to: most pushed alerts are, and looking takes longer than deciding.
func (e *Engine) guesses() bool {
	return e.doubt.Load() <= 0 || e.doubt.Add(-1) < 0
}

func (e *Engine) deliver(ctx context.Context, b Batch, guess bool, known map[string]bool) (Receipt, error) {
	e.indexing.RLock()
	defer e.indexing.RUnlock()
	pl := newPlanner(ctx, e, e.index.Load(), e.o.Now().UTC())
	e.see(pl.now)
	pl.guess, pl.patient = guess, len(b.Events) == 1
	defer pl.release()
	a := Admission{Cursor: b.Cursor}
	for _, ev := range b.Events {
		if ev.Seen.IsZero() {
			ev.Seen = pl.now
		}
		planned, err := pl.plan(ctx, ev)
		if err == nil && !known[ev.ID] {
			planned.Clocks, err = pl.clocks(ctx, ev)
		}
		if err != nil {
			return Receipt{}, err
		}
		a.Events = append(a.Events, planned)
	}
	return pl.admit(ctx, a)
}

// admit makes what was planned durable, and hands over what begins with it.
func (pl *planner) admit(ctx context.Context, a Admission) (Receipt, error) {
	a.Documents, a.Set = pl.docs, pl.index.stored
	receipt, err := pl.e.o.Journal.Admit(ctx, a)
	if err != nil {
		return Receipt{}, fmt.Errorf("admit %d events: %w", len(a.Events), err)
	}
	pl.handOver(receipt)
	pl.tellHeld(a.Events, receipt)
	return receipt, nil
}

func newPlanner(ctx context.Context, e *Engine, x *index, now time.Time) *planner {
	return &planner{ctx: ctx, e: e, index: x, now: now, docs: map[string][]byte{}, objects: map[[2]string]bool{},
		lists: map[string]*listed{}, hours: map[string]*calendar.Calendar{}, moved: map[[2]string]map[string]*Clock{}}
}

// planner decides about the events of one batch.
type planner struct {
	e        *Engine
	origin   *Run // whose end is the event; nil: it is none
	index    *index
	patient  bool // the first run may wait a moment for a worker; none waits while the Deliver holds one
	guess    bool // objects are taken for new; the journal says if one is not
	now      time.Time
	docs     map[string][]byte
	objects  map[[2]string]bool   // tenants and objects that the batch has named so far
	versions map[[3]string]*Event // the newest known, by tenant, object and source
	lists    map[string]*listed   // as they were when the batch first asked
	looked   []string             // the names of those that the event was held against
	ctx      context.Context      // of the Deliver
	marks    []Sighting           // that the events so far leave behind
	indexed  []IndexedEvent       // of the events so far
	begun    []*driver            // runs whose first attempts are planned with them; each holds a worker
	hours    map[string]*calendar.Calendar
	moved    map[[2]string]map[string]*Clock // by object: its clocks by playbook, as the batch leaves them
}

// plan decides about an event, and says what is kept of it for those that come later.
func (pl *planner) plan(ctx context.Context, ev Event) (Planned, error) {
	pl.looked = pl.looked[:0] // clocks are counted by lists, too
	planned, err := pl.decide(ctx, ev)
	if err != nil {
		return planned, err
	}
	planned.Facts.Versions = pl.heldAgainst()
	if w := pl.e.indexed.Load(); w != nil {
		planned.Index = pl.remember(ev, *w)
	}
	return planned, nil
}

// decide asks the playbooks about an event. Only those whose screens let it through are looked at; what
// the others decide follows from the facts.
func (pl *planner) decide(ctx context.Context, ev Event) (Planned, error) {
	updated, echo, err := pl.past(ctx, ev)
	if err == nil {
		ev.Changes, err = pl.changes(ctx, ev, updated)
	}
	planned := Planned{Event: ev}
	if err != nil {
		return planned, err
	}
	planned.New = ev.Object != "" && !updated
	planned.Facts = &Facts{At: pl.now, Updated: updated}
	for _, g := range pl.index.groups[ev.Source] {
		subject, err := expression.Decode(ev.Payload, g.subjectType)
		if err != nil {
			planned.Facts = &Facts{At: pl.now, Updated: updated, Fault: err.Error()}
			planned.Matches, planned.Runs, planned.Sightings, planned.Screened = nil, nil, nil, pl.index.listeners(ev.Source)
			return planned, nil
		}
		books := g.look(ev, subject, planned.Facts, pl.list)
		for _, n := range g.withEchoes(books, echo) {
			p := g.books[n]
			if p.Enabled && (p.Expires.IsZero() || pl.now.Before(p.Expires)) { // otherwise the screen says so
				c := Circumstances{Now: pl.now, Updated: updated, Echo: echo[p.Name]}
				if err := pl.consider(p, ev, subject, c, &planned); err != nil {
					return planned, err
				}
			}
		}
	}
	planned.Screened = pl.index.listeners(ev.Source) - len(planned.Matches)
	return planned, nil
}

// withEchoes adds the playbooks for which the event may be an echo: that is for nobody's screen to
// say.
func (g *group) withEchoes(books []int, echo map[string]bool) []int {
	for name, is := range echo {
		if n, listens := g.byName[name]; is && listens && !slices.Contains(books, n) {
			books = append(books, n)
		}
	}
	slices.Sort(books)
	return books
}

// consider decides for one playbook and plans the run that a match starts.
func (pl *planner) consider(p *playbooks.Playbook, ev Event, subject any, c Circumstances, planned *Planned) error {
	digests := pl.recall(p, &c)
	if len(p.Asks) > 0 {
		c.World = outside{ctx: pl.ctx, e: pl.e, pl: pl}
	}
	m, err := Consider(p, ev, subject, c)
	if err != nil {
		return err
	}
	if len(m.Readings) > 0 {
		if err := pl.leaves(ev, m, planned); err != nil {
			return err
		}
	}
	if m.Verdict == Matched {
		run, fault := pl.run(p, ev, subject, digests, c)
		if fault != nil {
			m.Verdict, m.Reason, m.Detail = Skipped, SkipError, fault.Error()
		} else {
			m.Run = run.Run.ID
			planned.Runs = append(planned.Runs, run)
			pl.docs[p.Digest] = p.Recorded
			for name, digest := range digests {
				pl.docs[digest] = pl.content(name)
			}
		}
	}
	planned.Matches = append(planned.Matches, m)
	return nil
}

// leaves notes what asking leaves behind. An event that is known leaves nothing.
func (pl *planner) leaves(ev Event, m Match, planned *Planned) error {
	left := sightings(askerOf(ev, pl.now), m.Readings)
	if len(left) == 0 {
		return nil
	}
	known, err := pl.e.o.Journal.Known(pl.ctx, []string{ev.ID})
	if err != nil {
		return fmt.Errorf("whether event %s is known: %w", ev.ID, err)
	}
	if !known[ev.ID] {
		planned.Sightings = append(planned.Sightings, left...)
		pl.marks = append(pl.marks, left...)
	}
	return nil
}

// marked says whether an earlier event of the batch was asked about by the same playbook under the same key.
func (pl *planner) marked(m Sighting) bool {
	return slices.ContainsFunc(pl.marks, func(o Sighting) bool {
		return o.Tenant == m.Tenant && o.Playbook == m.Playbook && o.Key == m.Key && o.Event != m.Event
	})
}

// past looks up what we know of the event's object.
func (pl *planner) past(ctx context.Context, ev Event) (updated bool, echo map[string]bool, err error) {
	switch {
	case FromClock(ev):
		return true, nil, nil // nothing changed
	case ev.Object == "" || pl.guess:
		return false, nil, nil
	}
	object := [2]string{ev.Tenant, ev.Object}
	if pl.objects[object] {
		// The batch holds an earlier version, which the journal does not have yet. That is no
		// time to find out whose change it is.
		return true, nil, nil
	}
	pl.objects[object] = true
	last, err := pl.e.o.Journal.Latest(ctx, ev.Tenant, ev.Object)
	if errors.Is(err, ErrNotFound) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, fmt.Errorf("earlier version of %s: %w", ev.Object, err)
	}
	writes, err := pl.e.o.Journal.Writes(ctx, ev.Tenant, ev.Object, echoSince(last, pl.now))
	if err != nil {
		return false, nil, fmt.Errorf("own writes to %s: %w", ev.Object, err)
	}
	return true, echoOf(last, ev, writes), nil
}

// heldAgainst are the digests of the watchlists that the event was held against.
func (pl *planner) heldAgainst() map[string]string {
	if len(pl.looked) == 0 {
		return nil
	}
	versions := make(map[string]string, len(pl.looked))
	for _, name := range pl.looked {
		versions[name] = pl.lists[name].digest
	}
	return versions
}

// run plans the run that a match starts. If a worker is free, its first attempts are planned
// too, so that their intents become durable with the event.
func (pl *planner) run(p *playbooks.Playbook, ev Event, subject any, digests map[string]string, c Circumstances) (PlannedRun, error) {
	run := Run{
		ID: NewRunID(p.Name, ev.ID), Playbook: p.Name, Digest: p.Digest, Semantics: Semantics,
		Event: ev.ID, Tenant: ev.Tenant, Object: ev.Object, Title: ev.Title, By: ev.By, Mode: p.Mode,
		Lists: digests, State: Ready, Created: pl.now,
	}
	if pl.e.o.Dry {
		run.Mode = playbooks.Shadow
	}
	if pl.origin != nil {
		run.Object = pl.origin.Object
		if pl.origin.Mode == playbooks.Shadow {
			run.Mode = playbooks.Shadow // what follows from what did not happen must not happen
		}
	}
	out := PlannedRun{Run: run, Ceiling: pl.e.o.Ceiling.over(run, ev, c.Updated || pl.origin != nil), Limit: LimitOf(p, run, ev.Source)}
	if p.Concurrency != nil || p.Dedupe != nil {
		if err := pl.keys(p, eventScope(p, ev, subject, c, roomOfEvent), &out); err != nil {
			return out, err
		}
	}
	asks := len(p.Limits.Effects) > 0 || len(p.Asks) > 0 // what is asked, is asked when it is its turn
	if out.Run.Key == "" && pl.origin == nil && !asks {
		pl.begin(p, ev, subject, c, &out)
	}
	return out, nil
}

// keys works out what keeps the run apart from others.
func (pl *planner) keys(p *playbooks.Playbook, s scope, out *PlannedRun) (err error) {
	if out.Run.Key, err = message(p.Concurrency, s, pl.now); err != nil {
		return fmt.Errorf("concurrency.key: %w", err)
	}
	if p.Dedupe != nil {
		if out.DedupeKey, err = message(p.Dedupe.Key, s, pl.now); err != nil {
			return fmt.Errorf("dedupe.key: %w", err)
		}
		out.DedupeWindow = p.Dedupe.Window
	}
	return nil
}

// begin takes a worker, if one is free, and plans the run's first attempts.
func (pl *planner) begin(p *playbooks.Playbook, ev Event, subject any, c Circumstances, out *PlannedRun) {
	if !pl.e.reserve(out.Run.ID, pl.patient && len(pl.begun) == 0) {
		return
	}
	d := &driver{e: pl.e, run: out.Run}
	if err := d.begin(p, ev, subject, c); err != nil {
		pl.e.giveBack(out.Run.ID)
		return // the loop meets the same error, with the run on disk to tell it
	}
	state, writes := d.decision.State, d.writes(d.decision)
	loads, err := pl.e.loadsOf(pl.ctx, writes)
	if err != nil || len(loads) > 0 || len(d.decision.Asks) > 0 || state.Final() && pl.index.awaits(out.Run, state) {
		pl.e.giveBack(out.Run.ID)
		return // the loop has the journal count, ends the run with what follows from it, and leaves behind who has what
	}
	out.Entries, out.Writes = d.decision.Record, writes
	out.Run.State, out.Run.Message, out.Run.Wake = d.decision.State, d.decision.Message, d.decision.Wake
	if d.decision.State.Final() {
		out.Run.Ended = pl.now
	}
	if d.decision.State == Ready {
		out.Run.Wake = time.Time{}
	}
	d.run = out.Run
	pl.begun = append(pl.begun, d)
}

// handOver gives the loop the runs that the journal has started.
func (pl *planner) handOver(r Receipt) {
	started := make(map[RunID]bool, len(r.Started))
	for _, id := range r.Started {
		started[id] = true
	}
	begun := pl.begun
	pl.begun = nil
	for _, d := range begun {
		if !started[d.run.ID] {
			pl.e.giveBack(d.run.ID)
			continue
		}
		delete(started, d.run.ID)
		pl.e.fresh <- d // as many places as workers: never blocks
	}
	if len(started) > 0 {
		pl.e.workers.leave()
		pl.e.poke()
	}
}

// release gives back what was begun and not admitted, as far as we know: if the journal has it
// nevertheless, the loop finds it there.
func (pl *planner) release() {
	for _, d := range pl.begun {
		pl.e.giveBack(d.run.ID)
	}
	pl.begun = nil
}
