package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// Run drives runs until ctx ends. Attempts in flight then get Grace to finish, and their
// outcomes are recorded before Run returns.
func (e *Engine) Run(ctx context.Context) error {
	if !e.running.CompareAndSwap(false, true) {
		return errors.New("engine is running already")
	}
	defer e.running.Store(false)
	attempts, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	l := &dispatcher{e: e, ctx: ctx, attempts: attempts, active: map[RunID]bool{}, held: map[RunID]hold{}, done: make(chan ended), crew: newCrew()}
	defer l.crew.dismiss()
	e.setOpen(true)
	l.loop()
	l.stop(cut)
	return nil
}

// dispatcher is the state of Run: only its goroutine touches it.
type dispatcher struct {
	e        *Engine
	ctx      context.Context
	attempts context.Context
	active   map[RunID]bool
	held     map[RunID]hold
	done     chan ended
	crew     *crew
	retryAt  time.Time     // the journal failed: not before
	overdue  time.Duration // the last wait for a run that is overdue and can't be started
	// look says that the journal may hold something to start. Most runs begin with their event and
	// end without leaving anything behind: for those it need not be asked.
	look bool
	// queue are runs that the journal said were ready and for which there was no worker yet: only
	// this loop starts what is ready, so they stay so.
	queue []Run
}

// Ahead is how many runs that wait for a worker are read at once.
const Ahead = 256

// ended is how driving a run ended; err says that it has to be driven again, more that the journal
// may hold something to start now: the run itself, or one that waited for it.
type ended struct {
	id   RunID
	err  error
	more bool
}

// hold keeps a run that could not be driven from taking a worker again and again: what is damaged
// must not stand in the way of what is not.
type hold struct {
	tries int
	until time.Time
}

func (l *dispatcher) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case d := <-l.e.fresh:
			l.take(d)
			continue // its worker is taken already; nothing else changed
		case end := <-l.done:
			l.settle(end)
			l.look = l.look || end.more
		case <-l.e.wake:
			l.look = true
		case <-timer.C:
			l.look = true
		}
		if l.look {
			timer.Reset(l.fill())
		}
	}
}

// settle notes that a run is not in progress any more.
func (l *dispatcher) settle(end ended) {
	delete(l.active, end.id)
	if end.err == nil {
		delete(l.held, end.id)
		return
	}
	h := l.held[end.id]
	wait := min(JournalPause<<min(h.tries, 10), RecheckEvery)
	l.held[end.id] = hold{tries: h.tries + 1, until: time.Now().Add(wait)}
}

// fill starts runs that are ready as long as there are workers, and returns how long to sleep
// if nothing happens.
func (l *dispatcher) fill() time.Duration {
	now := time.Now()
	if wait := l.retryAt.Sub(now); wait > 0 {
		return wait
	}
	for len(l.queue) > 0 {
		if !l.startIfFree(l.queue[0], now, l.e.reserved()) {
			return RecheckEvery // a worker that gets free wakes us
		}
		l.queue = l.queue[1:]
	}
	free := l.e.workers.most - l.e.workers.count()
	if free <= 0 {
		return RecheckEvery
	}
	// As many as can be started, beside those of the answer that must be left alone.
	limit := free + len(l.active) + len(l.held) + len(l.e.reserved()) + Ahead
	left := l.e.workers.left()
	runs, err := l.e.o.Journal.Ready(l.ctx, l.e.o.Now(), limit)
	if err != nil {
		if l.ctx.Err() == nil {
			l.e.log.Error("can't read the journal", "err", err)
		}
		l.retryAt = now.Add(JournalPause)
		return JournalPause
	}
	maps.DeleteFunc(l.held, func(_ RunID, h hold) bool { return now.Sub(h.until) > 2*RecheckEvery }) // gone by other ways
	reserved := l.e.reserved()                                                                       // after the question: then it holds every begun run of the answer
	l.look = len(runs) == limit                                                                      // there may be more
	for i, run := range runs {
		if !l.startIfFree(run, now, reserved) {
			l.queue, l.look = slices.DeleteFunc(runs[i:], func(run Run) bool { return l.leaves(run.ID, now, reserved) }), true
			return RecheckEvery
		}
	}
	if !l.look {
		l.e.workers.catchUp(left)
	}
	return l.sleep(now)
}

// leaves says that a run is not to be started now: it is in progress, or could not be driven.
func (l *dispatcher) leaves(id RunID, now time.Time, reserved map[RunID]bool) bool {
	return l.active[id] || reserved[id] || l.held[id].until.After(now)
}

// startIfFree starts a run unless it is to be left alone. It reports false if it needs a worker
// and there is none.
func (l *dispatcher) startIfFree(run Run, now time.Time, reserved map[RunID]bool) bool {
	if l.leaves(run.ID, now, reserved) {
		return true
	}
	if !l.e.workers.take() {
		return false
	}
	l.start(&driver{e: l.e, run: run})
	return true
}

// sleep returns how long to sleep until a waiting run may have something to do.
func (l *dispatcher) sleep(now time.Time) time.Duration {
	wake, err := l.e.o.Journal.NextWake(l.ctx)
	if err != nil {
		l.look = true
		return JournalPause
	}
	next := RecheckEvery
	for _, h := range l.held {
		if h.until.After(now) {
			next = min(next, h.until.Sub(now))
		}
	}
	if wake.IsZero() {
		return next
	}
	if left := l.e.until(wake); left > 0 {
		l.overdue = 0
		return min(next, left)
	}
	// A run is overdue and was not started: its driver is about to take it up itself, or it can't
	// be driven now. Another may be due before that changes, so the loop looks again, at first
	// soon and then less and less often.
	l.overdue = min(max(2*l.overdue, 10*time.Millisecond), JournalPause)
	return min(next, l.overdue)
}

// take drives a run that Deliver has begun.
func (l *dispatcher) take(d *driver) {
	l.start(d)
}

// register says which driver has a run, unless somebody keeps the loop away from it. A driver that
// Deliver began comes with a machine, and has the run from then on.
func (e *Engine) register(d *driver) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d.machine != nil {
		delete(e.begun, d.run.ID)
	}
	if e.begun[d.run.ID] {
		return false
	}
	d.ears, d.over = make(chan said), make(chan struct{})
	e.drivers[d.run.ID] = d
	return true
}

func (e *Engine) unregister(d *driver) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.drivers, d.run.ID)
	close(d.over)
	for _, reply := range d.heard {
		reply <- errNotSure
	}
}

// start drives a run on its own goroutine. The worker token is taken already.
func (l *dispatcher) start(d *driver) {
	if !l.e.register(d) {
		l.e.workers.give() // somebody has the run for a moment, and wakes the loop afterwards
		return
	}
	l.active[d.run.ID] = true
	d.crew = l.crew
	l.crew.do(func() {
		err := d.drive(l.ctx, l.attempts)
		l.e.unregister(d)
		if err != nil && l.ctx.Err() == nil {
			l.e.log.Error("run was put back", "run", d.run.ID, "playbook", d.run.Playbook, "err", err)
			sleep(l.ctx, JournalPause)
		}
		l.e.workers.give()
		over := d.run.State.Final() && d.run.Key == ""
		l.done <- ended{id: d.run.ID, err: err, more: err != nil || !over}
	})
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// stop waits for the drivers, cutting their attempts off after the grace period, and for every
// Deliver that has begun a run.
func (l *dispatcher) stop(cut context.CancelFunc) {
	l.e.setOpen(false)
	timer := time.AfterFunc(Grace, cut)
	defer timer.Stop()
	for len(l.active) > 0 || len(l.e.reserved()) > 0 {
		select {
		case end := <-l.done:
			delete(l.active, end.id)
		case d := <-l.e.fresh:
			l.putBack(d)
		case <-l.e.wake: // a Deliver may have given a run back
		}
	}
}

// putBack records that the first attempts of a run, whose intents are durable, were never made,
// so that the next start need not wonder. A run that has none may as well be told about.
func (l *dispatcher) putBack(d *driver) {
	entries := d.machine.Interrupt(l.e.o.Now(), true)
	if len(entries) == 0 {
		l.take(d)
		return
	}
	for _, a := range d.decision.Invoke {
		d.refuse(a)
	}
	if err := d.keep(l.ctx, l.attempts, Decision{Record: entries, State: Ready}); err != nil {
		l.e.log.Error("run was not put back: its first attempts count as cut off", "run", d.run.ID, "err", err)
	}
	l.e.taken(d.run.ID)
	l.e.workers.give()
}
