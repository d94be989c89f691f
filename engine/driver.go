package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/playbooks"
)

// driver does what one run's machine says, until the run ends, is parked, or has to wait.
type driver struct {
	e        *Engine
	crew     *crew
	run      Run
	cause    EndCause
	machine  *Machine // nil: to be loaded
	decision Decision // of a machine that Deliver began, with its record durable already
	history  []Entry
	settled  chan settled
	flying   int
	refused  []Write // that certainly did not happen, to be recorded with what says so
	counting bool    // uses of limits are counted for this run, and for no other

	ears  chan said     // what people say while the run is driven
	over  chan struct{} // closed when the driver lets go of the run
	heard []chan error  // people whose word is not durable yet
}

// settled is how an attempt ended.
type settled struct {
	attempt Attempt
	out     json.RawMessage
	absent  bool
	err     error
}

// drive returns an error if the journal could not be read or written: the run is then as the
// journal has it, and will be driven again.
func (d *driver) drive(ctx, attempts context.Context) error {
	d.settled = make(chan settled)
	defer d.counted()
	dec := d.decision
	if d.machine == nil {
		interrupted, err := d.load(ctx)
		if err != nil || d.machine == nil {
			return err
		}
		if dec, err = d.next(ctx, interrupted); err != nil {
			return d.park(ctx, err)
		}
		if dec, err = d.settleOn(ctx, attempts, dec, interrupted, d.append(ctx, dec)); err != nil {
			return err
		}
	}
	d.e.o.Observer.RunStarted(d.run)
	d.told(dec.Record)
	for launched := false; ; {
		if !launched {
			d.launch(attempts, dec)
		}
		if !d.goesOn(dec) {
			return nil
		}
		entries, err := d.await(ctx, dec)
		switch {
		case err != nil:
		case ctx.Err() != nil:
			// Stopping: what was in the air is recorded, what comes next is for the next start.
			dec = Decision{Record: entries, State: Ready}
			err = d.record(ctx, attempts, dec, entries)
		default:
			if dec, err = d.next(ctx, entries); err != nil {
				d.drain()
				return d.park(ctx, err)
			}
			if launched = mutant.On(mutant.DropIntent); launched {
				d.launch(attempts, dec)
				sleep(attempts, 50*time.Millisecond)
			}
			dec, err = d.settleOn(ctx, attempts, dec, entries, d.record(ctx, attempts, dec, entries))
		}
		if err != nil {
			d.drain()
			return err
		}
		d.told(dec.Record)
	}
}

// launch makes the attempts of a decision.
func (d *driver) launch(attempts context.Context, dec Decision) {
	for _, a := range dec.Invoke {
		d.flying++
		d.crew.do(func() { d.attempt(attempts, a) })
	}
}

// goesOn says whether the driver has something to wait for after a decision.
func (d *driver) goesOn(dec Decision) bool {
	switch {
	case d.flying > 0 || dec.More || len(dec.Asks) > 0:
		return true
	case dec.State == Waiting && d.e.until(dec.Wake) <= HoldFor:
		return true
	case dec.State.Final():
		d.e.o.Observer.RunEnded(d.run, d.history)
		return false
	case dec.State == Ready: // stopping
		return false
	}
	d.e.o.Observer.RunPaused(d.run)
	return false
}

// await waits until something is worth deciding about, and records it in the machine.
func (d *driver) await(ctx context.Context, dec Decision) ([]Entry, error) {
	if dec.More {
		return nil, nil
	}
	var timer <-chan time.Time
	if !dec.Wake.IsZero() && ctx.Err() == nil {
		t := time.NewTimer(d.e.until(dec.Wake))
		defer t.Stop()
		timer = t.C
	}
	stop := ctx.Done()
	if d.flying > 0 {
		stop = nil // attempts in flight are waited for, for as long as they are let live
	}
	var entries []Entry
	select {
	case <-stop:
		return nil, nil
	case <-timer:
	case s := <-d.ears:
		said, err := s.what(d.machine, d.e.o.Now())
		if err != nil {
			s.reply <- err
			return nil, nil
		}
		d.heard = append(d.heard, s.reply)
		entries = append(entries, said...)
	case s := <-d.settled:
		for {
			d.flying--
			e, err := d.settle(s)
			if err != nil {
				return nil, fmt.Errorf("settle %s: %w", s.attempt.Path, err)
			}
			entries = append(entries, e)
			if s.err != nil && !faultOf(s.err).Unknown {
				d.refuse(s.attempt)
			}
			select {
			case s = <-d.settled:
				continue
			default:
			}
			break
		}
	}
	return entries, nil
}

// drain waits for attempts whose outcome can't be recorded any more. At the next start they
// count as interrupted.
func (d *driver) drain() {
	for ; d.flying > 0; d.flying-- {
		<-d.settled
	}
}

// begin makes the machine of a new run and its first decision.
func (d *driver) begin(p *playbooks.Playbook, ev Event, subject any, c Circumstances) (err error) {
	defer recovered(&err)
	d.cause = causeOf(ev)
	if d.machine, err = beginWith(p, d.run, ev, subject, c); err != nil {
		return err
	}
	d.decision = d.machine.Next(c.Now)
	d.history = append(d.history, d.decision.Record...)
	return nil
}

// settleOn makes a decision anew for as long as the journal says that what it was made by has changed: with
// the history that the journal has, the entries that are not in it yet, and the world as it is now. Nothing of the refused
// decision was begun.
func (d *driver) settleOn(ctx, attempts context.Context, dec Decision, entries []Entry, err error) (Decision, error) {
	for errors.Is(err, ErrMoved) {
		if fault := d.reload(ctx, attempts, entries); fault != nil {
			return dec, fmt.Errorf("decide anew: %w", fault)
		}
		dec = Decision{Record: entries, State: Ready} // when it is stopping, what comes next is for the next start
		if ctx.Err() == nil {
			if dec, err = d.next(ctx, entries); err != nil {
				return dec, err
			}
		}
		err = d.record(ctx, attempts, dec, entries)
	}
	return dec, err
}

// reload makes the machine anew, from what the journal has and the entries that it does not have yet. Among them may be outcomes,
// so it tries for as long as keep does.
func (d *driver) reload(ctx, attempts context.Context, entries []Entry) error {
	loaded, err := d.e.o.Journal.Load(context.WithoutCancel(ctx), d.run.ID)
	for err != nil && attempts.Err() == nil {
		sleep(attempts, JournalPause)
		loaded, err = d.e.o.Journal.Load(context.WithoutCancel(ctx), d.run.ID)
	}
	if err != nil {
		return err
	}
	if d.machine, err = d.rebuild(loaded); err != nil {
		return err
	}
	return d.machine.Replay(entries)
}

// next decides what comes after some entries that are to be recorded with it.
func (d *driver) next(ctx context.Context, entries []Entry) (dec Decision, err error) {
	defer recovered(&err)
	if d.machine.reads != nil {
		d.machine.Consult(outside{ctx: ctx, e: d.e})
	}
	dec = d.machine.Next(d.e.o.Now())
	if dec, err = d.answer(ctx, dec); err != nil {
		return dec, err
	}
	dec.Record = append(entries, dec.Record...)
	return dec, nil
}

// settle records how an attempt ended.
func (d *driver) settle(s settled) (e Entry, err error) {
	defer recovered(&err)
	return d.machine.Settle(s.attempt, s.out, s.absent, s.err, d.e.o.Now())
}

// recovered makes an error of a panic. Deciding calls functions of actions with values from
// alerts: one that panics stops the run that it belongs to, and no other.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("deciding panicked, which is a defect: %v", r)
	}
}

// load makes the machine from the journal. A run whose record can't be understood is parked,
// with the reason, rather than guessed at; then the machine stays nil.
func (d *driver) load(ctx context.Context) ([]Entry, error) {
	loaded, err := d.e.o.Journal.Load(ctx, d.run.ID)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	d.run = loaded.Run
	m, err := d.rebuild(loaded)
	if err != nil {
		return nil, d.park(ctx, err)
	}
	d.machine, d.history, d.cause = m, loaded.Entries, causeOf(loaded.Event)
	return m.Interrupt(d.e.o.Now(), false), nil
}

// park leaves the run to a person, as the journal has it.
func (d *driver) park(ctx context.Context, why error) error {
	d.run.State, d.run.Message, d.run.Wake = Parked, why.Error(), time.Time{}
	d.e.log.Error("run can't go on", "run", d.run.ID, "playbook", d.run.Playbook, "err", why)
	err := d.e.o.Journal.Append(context.WithoutCancel(ctx), Append{Run: d.run.ID, State: Parked, Message: why.Error()})
	if err != nil {
		return fmt.Errorf("park: %w", err)
	}
	d.e.o.Observer.RunPaused(d.run)
	return nil
}

func (d *driver) rebuild(l Loaded) (m *Machine, err error) {
	defer recovered(&err)
	if l.Run.Semantics != Semantics {
		return nil, fmt.Errorf("the run was started under semantics %d, this program knows %d", l.Run.Semantics, Semantics)
	}
	p, err := d.e.playbook(l.Run.Playbook, l.Run.Digest, l.Source)
	if err != nil {
		return nil, err
	}
	return Rebuild(p, l)
}

// record makes a decision's record durable. If there are outcomes in it, or attempts in the air
// whose outcomes would follow it, it must not fail.
func (d *driver) record(ctx, attempts context.Context, dec Decision, outcomes []Entry) error {
	if len(outcomes) > 0 || d.flying > 0 {
		return d.keep(ctx, attempts, dec)
	}
	return d.append(ctx, dec)
}

// append tries once to make a decision's record durable.
func (d *driver) append(ctx context.Context, dec Decision) error {
	now := d.e.o.Now().UTC()
	a := Append{Run: d.run.ID, Entries: dec.Record, State: dec.State, Message: dec.Message,
		Writes: append(d.refused, d.writes(dec)...), Uses: usesOf(d.run, dec.Uses, now), Left: dec.Left}
	var err error
	if a.Left.Loads, err = d.e.loadsOf(context.WithoutCancel(ctx), a.Writes); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	if dec.State == Waiting {
		a.Wake = dec.Wake
	}
	if dec.State.Final() {
		a.Ended = now
	}
	if len(a.Entries) == 0 && a.State == d.run.State && a.Message == d.run.Message && a.Wake.Equal(d.run.Wake) {
		d.counted()
		return nil
	}
	if err := d.store(context.WithoutCancel(ctx), a); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	d.counted()
	for _, reply := range d.heard {
		reply <- nil
	}
	d.heard, d.refused = nil, nil
	d.history = append(d.history, dec.Record...)
	d.run.State, d.run.Message, d.run.Wake, d.run.Ended = a.State, a.Message, a.Wake, a.Ended
	return nil
}

// writes are the changes to Graph objects that the attempts of a decision mean to make.
func (d *driver) writes(dec Decision) []Write {
	var list []Write
	for _, a := range dec.Invoke {
		for _, touch := range a.Touches {
			list = append(list, Write{Tenant: d.run.Tenant, Playbook: d.run.Playbook, Run: d.run.ID,
				Path: a.Path, At: d.e.written(d.run), Touch: touch})
		}
	}
	return list
}

// refuse takes back the writes of an attempt that certainly had no effect, so that they are not
// taken for the reason of somebody else's change: a write that names nothing.
func (d *driver) refuse(a Attempt) {
	for _, touch := range a.Touches {
		d.refused = append(d.refused, Write{Tenant: d.run.Tenant, Playbook: d.run.Playbook, Run: d.run.ID,
			Path: a.Path, At: d.e.written(d.run), Touch: actions.Touch{Object: touch.Object}})
	}
}

func (d *driver) told(entries []Entry) {
	for _, e := range entries {
		if e.Kind == Outcome {
			d.e.o.Observer.StepEnded(d.run, e)
		}
	}
}

// attempt makes one attempt and reports how it ended. A panic in an action is a fault of that
// attempt, not the end of the process.
func (d *driver) attempt(ctx context.Context, a Attempt) {
	s := settled{attempt: a}
	defer func() {
		if r := recover(); r != nil {
			d.e.log.Error("action panicked", "run", d.run.ID, "step", a.Path, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			s.err = &actions.Fault{Code: actions.CodeInternal, Message: "the action panicked; see the log", Unknown: true}
		}
		d.settled <- s
	}()
	parent := ctx
	ctx, cancel := context.WithTimeoutCause(parent, a.Timeout, errAttemptTimeout)
	defer cancel()
	call := actions.Call{
		Key: a.Key, RequestID: a.RequestID, Tenant: d.run.Tenant, Playbook: d.run.Playbook, Run: string(d.run.ID),
		Part: a.Part, Input: a.Input, Started: a.Started,
		Log: slog.New(&about{next: d.e.log.Handler(), attrs: [4]slog.Attr{
			slog.String("run", string(d.run.ID)), slog.String("step", a.Path), slog.Int("attempt", a.Number), slog.String("request_id", a.RequestID)}}),
	}
	if a.Probe {
		var happened bool
		s.out, happened, s.err = a.Action.Probe(ctx, call)
		s.absent = s.err == nil && !happened
	} else {
		s.out, s.err = a.Action.Do(ctx, call)
	}
	switch {
	case s.err == nil:
	case errors.Is(context.Cause(ctx), errAttemptTimeout):
		f := *faultOf(s.err)
		f.Code, f.Retry = actions.CodeTimeout, true
		f.Message = fmt.Sprintf("no answer within %s", a.Timeout)
		s.err = &f
	case parent.Err() != nil:
		s.err = cut(s.err)
	}
}

var errAttemptTimeout = errors.New("attempt timed out")
