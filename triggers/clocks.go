package triggers

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Keeper keeps the clocks of sla triggers. [engine.Engine] does.
type Keeper interface {
	// Strike fires the stages that are due at asOf and returns when the next clock is due; zero if
	// none is.
	Strike(ctx context.Context, tenants []string, asOf func(tenant, resource string) time.Time) (next time.Time, err error)
}

// ClocksOptions build a source of the stages of clocks.
type ClocksOptions struct {
	Keeper  Keeper
	Tenants []string
	// AsOf says up to when the objects of a resource are known: when the last complete poll began. Zero:
	// there was none since the start.
	AsOf func(tenant, resource string) time.Time
	Log  *slog.Logger
}

// ClocksState says how the clocks fare, for the health page.
type ClocksState struct {
	Next      time.Time `json:"next,omitzero"`      // when the next clock is due
	LastLook  time.Time `json:"last_look,omitzero"` // when the last look began that fired all that was due
	LastError string    `json:"last_error,omitempty"`
}

// Clocks looks which clocks of sla triggers are due.
//
// A stage fires once a poll that began after it was due has read everything: then nobody can have closed
// or taken the object before, without it being known. So a stage is late by the time between two polls at
// most, and while polls fail it waits. What is due follows from the clocks in the journal and the wall
// clock alone, so a restart, a suspended machine and a clock that was set are the same to it.
type Clocks struct {
	o     ClocksOptions
	log   *slog.Logger
	woken chan struct{} // of size one: a poll has ended, or the playbooks were changed

	mu    sync.Mutex
	state ClocksState
}

// NewClocks makes the source. It does nothing before Run.
func NewClocks(o ClocksOptions) (*Clocks, error) {
	if o.Keeper == nil || o.AsOf == nil {
		return nil, errors.New("the source of clocks needs a keeper and to know how far the polls are")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Clocks{o: o, log: o.Log.With("component", "triggers", "source", "sla"), woken: make(chan struct{}, 1)}, nil
}

// Name implements [Source].
func (c *Clocks) Name() string { return "sla" }

// Wake makes the source look again: a poll has ended, or the playbooks were changed.
func (c *Clocks) Wake() {
	select {
	case c.woken <- struct{}{}:
	default: // it will look already
	}
}

// State says how the clocks fare.
func (c *Clocks) State() ClocksState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Run fires stages until ctx ends.
func (c *Clocks) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(c.round(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-c.woken:
			timer.Stop()
		}
	}
}

// round fires what is due and returns how long to sleep.
func (c *Clocks) round(ctx context.Context) time.Duration {
	state := ClocksState{LastLook: time.Now()}
	var err error
	state.Next, err = c.o.Keeper.Strike(ctx, c.o.Tenants, c.o.AsOf)
	if ctx.Err() != nil {
		return 0
	}
	if err != nil {
		state.LastError, state.LastLook = err.Error(), c.State().LastLook
		c.log.WarnContext(ctx, "clocks could not go on; it is tried again", "err", err)
	}
	c.mu.Lock()
	c.state = state
	c.mu.Unlock()
	if err != nil {
		return RetryDelay
	}
	return MaxSleep // what comes due waits for a poll, which wakes us
}
