package daemon

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/triggers"
)

// The daemon's heartbeat: now and then the time is stored. That finds a journal that can't be
// written before an event has to find it, and a clock that was set back, also across a restart.
const (
	BeatEvery = time.Minute
	// ClockSlack is how far the clock may be behind the time that was stored last.
	ClockSlack = time.Minute
	// clockSource is the name of the position that holds the time.
	clockSource = "daemon/clock"
)

// clock compares the machine's clock with the latest time in the journal.
type clock struct {
	turn sync.Mutex // one beat at a time

	mu     sync.Mutex
	stored time.Time // zero: not known yet
	behind time.Time // since when the clock is behind it; zero: it is not
}

// check fails while the clock is behind.
func (c *clock) check(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if by := c.stored.Sub(now); by > ClockSlack {
		return fmt.Errorf("this machine's clock is %s behind the latest time in the journal, %s: set the clock. If it stays as it is for %s, it is believed",
			by.Round(time.Second), c.stored.UTC().Format(time.RFC3339), triggers.MaxHold)
	}
	return nil
}

// next is the time to store after one that was stored: a clock that is behind moves nothing back,
// until it has been so for so long that the time before must have been the wrong one.
func (c *clock) next(stored, now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case stored.Sub(now) <= ClockSlack:
		c.behind = time.Time{}
	case c.behind.IsZero():
		c.behind = now
		fallthrough
	case now.Sub(c.behind) < triggers.MaxHold:
		return stored
	}
	return now
}

func (c *clock) note(stored time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored = stored
}

// beat stores the time.
func (d *Daemon) beat(ctx context.Context) error {
	d.clock.turn.Lock()
	defer d.clock.turn.Unlock()
	from, err := d.db.Position(ctx, clockSource)
	if err != nil {
		return err
	}
	last, _ := time.Parse(time.RFC3339Nano, from) // what is no time is no time of the past either
	next := d.clock.next(last, d.o.Now())
	d.clock.note(next.Round(0))
	_, err = d.db.Admit(ctx, engine.Admission{Cursor: &engine.Cursor{
		Source: clockSource, From: from, Position: next.UTC().Format(time.RFC3339Nano),
	}})
	return err
}
