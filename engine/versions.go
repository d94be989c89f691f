package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/playbookd/playbookd/internal/mutant"
)

// changes compares an event with the newest version that came from the same source, in the fields
// that change triggers watch. A version that is no newer changes nothing: what came late is not
// news, and a change backwards was none. Each source has one reader, so nothing gets in between.
func (pl *planner) changes(ctx context.Context, ev Event, updated bool) (map[string]Change, error) {
	fields := pl.index.watched[ev.Source]
	if len(fields) == 0 || ev.Object == "" || pl.guess {
		return nil, nil
	}
	before, err := pl.newest(ctx, ev, updated)
	if err != nil || before == nil || before.ID == ev.ID || ev.Occurred.Before(before.Occurred) && !mutant.On(mutant.BackwardChange) {
		return nil, err
	}
	old, ok := fieldsOf(before.Payload)
	cur, also := fieldsOf(ev.Payload)
	if !ok || !also {
		return nil, nil // what can't be read is told by the decisions
	}
	changes := differences(fields, old, cur)
	if len(changes) == 0 {
		return nil, nil
	}
	writes, err := pl.e.o.Journal.Writes(ctx, ev.Tenant, ev.Object, echoSince(*before, pl.now))
	if err != nil {
		return nil, fmt.Errorf("own writes to %s: %w", ev.Object, err)
	}
	writes = standing(writes)
	for name, c := range changes {
		c.By = changedBy(name, old, cur, writes)
		changes[name] = c
	}
	return changes, nil
}

// newest returns the newest version of an event's object that came from its source, those earlier in
// the batch included; nil if there is none. From then on the event itself counts, unless it was brought by
// hand.
func (pl *planner) newest(ctx context.Context, ev Event, updated bool) (*Event, error) {
	key := [3]string{ev.Tenant, ev.Object, ev.Source}
	before, looked := pl.versions[key]
	if !looked && updated {
		stored, err := pl.e.o.Journal.Newest(ctx, ev.Tenant, ev.Object, ev.Source)
		switch {
		case err == nil:
			before = &stored
		case !errors.Is(err, ErrNotFound):
			return nil, fmt.Errorf("newest version of %s: %w", ev.Object, err)
		}
	}
	if pl.versions == nil {
		pl.versions = map[[3]string]*Event{}
	}
	if pl.versions[key] = before; ev.By == "" && (before == nil || !ev.Occurred.Before(before.Occurred)) {
		pl.versions[key] = &ev
	}
	return before, nil
}
