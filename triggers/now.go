package triggers

import (
	"context"
	"fmt"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// clockOr is the wall clock in use.
func clockOr(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

// Poke makes a poller that waits for its time poll at once. One that polls is not disturbed, and
// polls once more afterwards.
func (p *Poller) Poke() {
	select {
	case p.poked <- struct{}{}:
	default: // somebody has asked already
	}
}

// Fire makes the event of this minute for every schedule, whether or not it has a slot now: for a
// demonstration that can't wait. Positions stay, and a slot of this same minute is the same event.
func (s *Scheduler) Fire(ctx context.Context) error {
	s.mu.Lock()
	slots := s.slots
	s.mu.Unlock()
	now := s.now()
	for _, slot := range slots {
		if _, err := s.sink.Deliver(ctx, engine.Batch{Events: slot.events(now.UTC().Truncate(time.Minute), now)}); err != nil {
			return fmt.Errorf("fire %s: %w", slot.Source, err)
		}
	}
	return nil
}
