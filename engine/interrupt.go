package engine

import (
	"time"

	"github.com/playbookd/playbookd/actions"
)

// Interrupt records that every attempt in flight was cut off by the end of a process. It is
// called once, after Replay: then nobody knows what became of them. It is also called by a
// process that stops before it made them: then unmade says that certainly nothing happened.
func (m *Machine) Interrupt(now time.Time, unmade bool) []Entry {
	var entries []Entry
	fault := actions.Fault{Code: "interrupted", Message: "the process ended before the answer came", Retry: true, Unknown: true}
	if unmade {
		fault.Message, fault.Unknown = "the process stopped before the attempt was made", false
	}
	for f := m.firstFlying(); f != nil; f = m.firstFlying() {
		d := OutcomeData{Status: Faulty, Interrupted: true, Probe: f.act.phase == probing, Fault: &fault}
		e := m.entry(f.act.path(f), Outcome, f.act.number, now, d)
		if err := m.apply(e); err != nil {
			return entries // cannot happen: the frame says that it waits for exactly this
		}
		entries = append(entries, e)
	}
	return entries
}

func (m *Machine) firstFlying() *frame {
	var first *frame
	for _, f := range m.active {
		if f.act != nil && f.act.inFlight() && (first == nil || f.path < first.path) {
			first = f
		}
	}
	return first
}

// cutOff is the fault of an attempt that was cut off because the process stops: that is not the
// attempt's own failing, and costs it nothing.
type cutOff struct{ *actions.Fault }

func (c *cutOff) Unwrap() error { return c.Fault }

// cut marks an error as that of an attempt that was cut off. A definite no stays one.
func cut(err error) error {
	f := *faultOf(err)
	if !f.Retry && !f.Unknown {
		return err
	}
	f.Retry = true
	return &cutOff{&f}
}

// faultOf is [actions.FaultOf] for whatever an action may return, a nil pointer included.
func faultOf(err error) *actions.Fault {
	if f := actions.FaultOf(err); f != nil {
		return f
	}
	return &actions.Fault{Code: actions.CodeInternal, Message: "the action failed without saying why", Unknown: true}
}
