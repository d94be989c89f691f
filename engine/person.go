package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What people say to a run that is under way: an answer, a cancellation, a word on a step in doubt.
// The machine decides whether it counts; here it finds its way to the machine, which is in the hands
// of a driver or only in the journal.

// word gives what a person says as entries that are folded in.
type word func(m *Machine, now time.Time) ([]Entry, error)

// one makes a word of one entry.
func one(e Entry, err error) ([]Entry, error) { return []Entry{e}, err }

// said is what a person says to a run, on its way to the driver that has it.
type said struct {
	what  word
	reply chan error // of size one
}

// Answer records a person's answer to an open question of a run. It returns when the answer is
// durable; [ErrMayNot] if it does not count, [ErrNotFound] if there is no such question. After any
// other error it may still come to count: look before saying it again.
func (e *Engine) Answer(ctx context.Context, run RunID, question string, d AnsweredData) error {
	return e.say(ctx, run, func(m *Machine, now time.Time) ([]Entry, error) { return one(m.Answer(question, d, now)) })
}

// Cancel calls a run off: its steps end, what is in the air lands, finally runs.
func (e *Engine) Cancel(ctx context.Context, run RunID, d CancelData) error {
	return e.say(ctx, run, func(m *Machine, now time.Time) ([]Entry, error) { return one(m.Cancel(d, now)) })
}

// Resolve records a person's word on an uncertain step and makes the run ready again. While an
// attempt of the run is in the air, it is refused: what comes back may be the answer.
func (e *Engine) Resolve(ctx context.Context, run RunID, step string, data ResolveData) error {
	return e.say(ctx, run, func(m *Machine, now time.Time) ([]Entry, error) {
		if e.running.Load() && m.flying > 0 {
			return nil, fmt.Errorf("%w: run %s is in progress: a step can be settled when nothing of it is in the air", ErrMayNot, run)
		}
		entry, err := m.Resolve(step, data, now.UTC())
		if err != nil {
			return nil, fmt.Errorf("run %s: %w: %s", run, err, uncertainSteps(m.Uncertain()))
		}
		return []Entry{entry}, nil
	})
}

func uncertainSteps(paths []string) string {
	if len(paths) == 0 {
		return "no step of it is"
	}
	return "uncertain are " + strings.Join(paths, ", ")
}

// Questions lists the open questions of a run.
func (e *Engine) Questions(ctx context.Context, run RunID) ([]Question, error) {
	loaded, err := e.o.Journal.Load(ctx, run)
	if err != nil {
		return nil, err
	}
	if loaded.Run.State.Final() {
		return nil, nil
	}
	d := &driver{e: e, run: loaded.Run}
	m, err := d.rebuild(loaded)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", run, err)
	}
	return m.Questions(), nil
}

// say brings a person's word to a run, wherever it is.
func (e *Engine) say(ctx context.Context, run RunID, what word) error {
	for {
		d, ok := e.claim(run)
		switch {
		case d != nil:
			err := d.hear(ctx, what)
			if errors.Is(err, errDriverEnded) {
				continue // it has put the run away: look again
			}
			return err
		case ok:
			err := e.sayToJournal(ctx, run, what)
			e.taken(run)
			e.poke()
			if errors.Is(err, ErrOutOfOrder) {
				continue // another process wrote first
			}
			return err
		}
		// A Deliver is about to hand the run over.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

var (
	errDriverEnded = errors.New("the run was put away")
	// The journal may have taken what it answered with an error.
	errNotSure = errors.New("the run was put back before what was said was recorded for certain: look at the run, and say it again if need be")
)

// claim finds the driver that has a run, or keeps the loop away from the run until taken is called.
// Neither: a Deliver has just begun it.
func (e *Engine) claim(run RunID) (*driver, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.drivers[run]; d != nil {
		return d, false
	}
	if e.begun[run] {
		return nil, false
	}
	e.begun[run] = true
	return nil, true
}

// hear hands a person's word to the driver and waits until it is durable. A journal that refuses it
// is asked again and again, so an error says only that it is not recorded for certain.
func (d *driver) hear(ctx context.Context, what word) error {
	s := said{what: what, reply: make(chan error, 1)}
	select {
	case d.ears <- s:
	case <-d.over:
		return errDriverEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-s.reply:
		return err
	case <-ctx.Done():
		return fmt.Errorf("it is heard, and will be recorded when the journal takes it: %w", ctx.Err())
	}
}

// sayToJournal records a person's word in the journal, for a run that nobody drives.
func (e *Engine) sayToJournal(ctx context.Context, run RunID, what word) error {
	loaded, err := e.o.Journal.Load(ctx, run)
	if err != nil {
		return err
	}
	if loaded.Run.State.Final() {
		return fmt.Errorf("%w: run %s is over (%s)", ErrNotFound, run, loaded.Run.State)
	}
	d := &driver{e: e, run: loaded.Run}
	m, err := d.rebuild(loaded)
	if err != nil {
		return fmt.Errorf("run %s: %w", run, err)
	}
	now := e.o.Now()
	entries, err := what(m, now)
	if err != nil {
		return err
	}
	a := Append{Run: run, Entries: entries, State: Ready, Message: m.asking()}
	if len(loaded.Entries) == 0 && len(entries) == 1 && entries[0].Kind == Released && m.playbook.Limits.Runs.Most > 0 { // it starts now
		a.Uses = usesOf(loaded.Run, []Use{{Playbook: loaded.Run.Playbook}}, now)
	}
	return e.o.Journal.Append(context.WithoutCancel(ctx), a)
}
