package triggers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/meter"
)

// The limits of the scheduler.
const (
	// MaxSleep is how long the scheduler sleeps at most before it looks at the wall clock again:
	// timers stand still while a machine is suspended, and don't notice a clock that was set.
	MaxSleep = time.Minute
	// Grace is how old a slot may be and still count as on time.
	Grace = 2 * time.Minute
	// MaxHold is how far a position may lie in our future. If it is further, the clock was wrong
	// when it was stored, and the schedule starts again from now; slots that were admitted
	// before are known and don't run again.
	MaxHold = time.Hour
	// RetryDelay is how long the scheduler waits after an error of the journal.
	RetryDelay = 10 * time.Second
)

// The two things to do about slots that passed while nobody was looking.
const (
	MissedSkip = "skip" // nothing
	MissedOnce = "once" // run once for all of them
)

// Slot is one schedule trigger of a playbook.
type Slot struct {
	Source   string // "schedule/NAME/INDEX", also the name of the position
	Playbook string
	Schedule *Schedule
	Missed   string   // MissedSkip or MissedOnce
	Tenants  []string // one event for each
}

// SlotState says how one schedule fares, for the health page.
type SlotState struct {
	Source    string    `json:"source"`
	Schedule  string    `json:"schedule"`
	Position  time.Time `json:"position,omitzero"` // the last slot that was dealt with, or the start
	Next      time.Time `json:"next,omitzero"`
	LastError string    `json:"last_error,omitempty"`
}

// SchedulerOptions build a scheduler.
type SchedulerOptions struct {
	Sink      Sink
	Positions Positions
	Log       *slog.Logger
	Now       func() time.Time // the wall clock; nil: time.Now
}

// Scheduler makes an event at each slot of the schedules of all playbooks.
//
// Each schedule keeps its position, the last slot that it dealt with. What it does next follows
// from the position and the wall clock alone, so a restart, a suspended machine and a clock that
// was set are the same to it: the latest slot that has passed is on time within Grace, otherwise
// it was missed and the playbook says whether it still counts. There is never more than one event
// for a stretch of missed slots.
type Scheduler struct {
	sink      Sink
	positions Positions
	log       *slog.Logger
	now       func() time.Time
	changed   chan struct{} // of size one: slots were changed

	fired, missed meter.Counter

	mu    sync.Mutex
	slots []Slot
	state map[string]SlotState

	owed map[string]time.Time // owned by Run: slots that were on time but couldn't be delivered
}

// NewScheduler makes a scheduler without slots.
func NewScheduler(o SchedulerOptions) (*Scheduler, error) {
	if o.Sink == nil || o.Positions == nil {
		return nil, errors.New("a scheduler needs a sink and positions")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Scheduler{
		sink: o.Sink, positions: o.Positions,
		log:     o.Log.With("component", "triggers", "source", "schedule"),
		now:     clockOr(o.Now),
		changed: make(chan struct{}, 1),
		state:   map[string]SlotState{},
		owed:    map[string]time.Time{},
	}, nil
}

// Name implements [Source].
func (s *Scheduler) Name() string { return "schedule" }

// SetSlots replaces all slots. Positions of slots that stay are kept.
func (s *Scheduler) SetSlots(slots []Slot) error {
	seen := map[string]bool{}
	for _, slot := range slots {
		switch {
		case slot.Source == "" || seen[slot.Source]:
			return fmt.Errorf("schedule of %s: the source %q is empty or given twice", slot.Playbook, slot.Source)
		case slot.Schedule == nil:
			return fmt.Errorf("%s has no schedule", slot.Source)
		case slot.Missed != MissedSkip && slot.Missed != MissedOnce:
			return fmt.Errorf("%s: missed is %.40q: use skip or once", slot.Source, slot.Missed)
		}
		seen[slot.Source] = true
	}
	s.mu.Lock()
	s.slots = append([]Slot(nil), slots...)
	for source := range s.state {
		if !seen[source] {
			delete(s.state, source)
		}
	}
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default: // a change is pending already
	}
	return nil
}

// State says how each schedule fares, in the order of the slots.
func (s *Scheduler) State() []SlotState {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := make([]SlotState, 0, len(s.slots))
	for _, slot := range s.slots {
		st := s.state[slot.Source]
		st.Source, st.Schedule = slot.Source, slot.Schedule.String()
		states = append(states, st)
	}
	return states
}

// Counts returns how many slots made events, and how many stretches of slots were missed and
// skipped, since the start.
func (s *Scheduler) Counts() (fired, missed float64) { return s.fired.Load(), s.missed.Load() }

// Run makes events until ctx ends.
func (s *Scheduler) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(s.round(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-s.changed:
			timer.Stop()
		}
	}
}

// round deals with every slot that is due and returns how long to sleep.
func (s *Scheduler) round(ctx context.Context) time.Duration {
	s.mu.Lock()
	slots := s.slots
	s.mu.Unlock()
	sleep := MaxSleep
	for _, slot := range slots {
		if ctx.Err() != nil {
			return 0
		}
		st, err := s.advance(ctx, slot, s.now().Round(0))
		if err != nil {
			st.LastError = err.Error()
			if ctx.Err() == nil {
				s.log.WarnContext(ctx, "a schedule could not go on; it is tried again", "slot", slot.Source, "err", err)
			}
			sleep = min(sleep, RetryDelay)
		} else if !st.Next.IsZero() {
			sleep = min(sleep, max(st.Next.Sub(s.now()), 0))
		}
		s.mu.Lock()
		s.state[slot.Source] = st
		s.mu.Unlock()
	}
	return sleep
}

// advance deals with one schedule at now: the wall clock, without the reading that stands still
// while a machine is suspended.
func (s *Scheduler) advance(ctx context.Context, slot Slot, now time.Time) (SlotState, error) {
	st := SlotState{}
	stored, err := s.positions.Position(ctx, slot.Source)
	if err != nil {
		return st, fmt.Errorf("reading the position: %w", err)
	}
	position, ok := parseTime(stored)
	if !ok || position.After(now.Add(MaxHold)) {
		if stored != "" {
			s.log.WarnContext(ctx, "the position of a schedule is no time of the past; it starts again from now", "slot", slot.Source, "position", stored)
		}
		position = now.Truncate(time.Second)
		if err := s.move(ctx, slot, stored, position, nil); err != nil {
			return st, err
		}
		stored = formatTime(position)
	}
	st.Position = position
	due := slot.Schedule.latest(position, now)
	if due.IsZero() {
		st.Next = slot.Schedule.Next(position)
		return st, nil
	}
	late := now.Sub(due)
	owed := s.owed[slot.Source].After(position)
	var events []engine.Event
	if late <= Grace || owed || slot.Missed == MissedOnce {
		events = slot.events(due, now)
		s.owed[slot.Source] = due
	} else {
		s.log.InfoContext(ctx, "slots of a schedule were missed and are skipped", "slot", slot.Source, "latest", due)
	}
	if err := s.move(ctx, slot, stored, due, events); err != nil {
		return st, err
	}
	delete(s.owed, slot.Source)
	if events != nil {
		s.fired.Add(1)
	} else {
		s.missed.Add(1)
	}
	st.Position = due
	st.Next = slot.Schedule.Next(due)
	return st, nil
}

// move stores a position together with the events up to there.
func (s *Scheduler) move(ctx context.Context, slot Slot, from string, to time.Time, events []engine.Event) error {
	cursor := &engine.Cursor{Source: slot.Source, From: from, Position: formatTime(to)}
	if _, err := s.sink.Deliver(ctx, engine.Batch{Events: events, Cursor: cursor}); err != nil {
		return fmt.Errorf("storing the slot of %s: %w", formatTime(to), err)
	}
	return nil
}

// events are those of one point in time, one for each tenant.
func (s Slot) events(due, now time.Time) []engine.Event {
	payload, err := json.Marshal(map[string]string{"scheduled": formatTime(due)})
	if err != nil {
		return nil // a string always has a JSON form
	}
	events := make([]engine.Event, 0, len(s.Tenants))
	for _, tenant := range s.Tenants {
		events = append(events, engine.Event{
			ID:     tenant + "/" + s.Source + "/" + formatTime(due),
			Tenant: tenant, Source: s.Source, Kind: "event",
			Title:    shorten("Schedule of " + s.Playbook),
			Occurred: due, Seen: now.UTC(), Payload: payload,
		})
	}
	return events
}

// latest is the last slot after one time and not after another; zero if there is none. It looks
// at the recent past first, since counting through a year of minutes would take long.
func (s *Schedule) latest(after, now time.Time) time.Time {
	const day = 24 * time.Hour
	for _, back := range []time.Duration{time.Hour, day, 32 * day, 367 * day} {
		if from := now.Add(-back); from.After(after) {
			if t := s.last(from, now); !t.IsZero() {
				return t
			}
		}
	}
	return s.last(after, now)
}

func (s *Schedule) last(after, now time.Time) time.Time {
	var last time.Time
	for t := s.Next(after); !t.IsZero() && !t.After(now); t = s.Next(t) {
		last = t
	}
	return last
}
