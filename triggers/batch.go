package triggers

import (
	"context"
	"fmt"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/mutant"
)

// batch is what waits to be admitted.
type batch struct {
	events []engine.Event
	ids    map[string]bool
	bytes  int
}

func newBatch() *batch { return &batch{ids: map[string]bool{}} }

func (b *batch) full(more int) bool {
	return len(b.events) > 0 && (len(b.events) >= MaxBatchEvents || b.bytes+more > MaxBatchBytes)
}

func (b *batch) add(e engine.Event) {
	b.events = append(b.events, e)
	b.ids[e.ID] = true
	b.bytes += len(e.Payload)
}

// admit hands over those events of a batch that the journal does not know.
func (p *Poller) admit(ctx context.Context, f *found, b *batch, position, before time.Time) error {
	fresh, err := p.fresh(ctx, f, b, position, before)
	if err != nil {
		return err
	}
	next := engine.Batch{Events: fresh}
	if mutant.On(mutant.EarlyCursor) && position.IsZero() {
		next.Cursor = &engine.Cursor{Source: p.Name(), Position: formatTime(f.highest)}
	}
	return p.deliver(ctx, next)
}

// fresh picks and counts the events of a batch that the journal does not know.
func (p *Poller) fresh(ctx context.Context, f *found, b *batch, position, before time.Time) ([]engine.Event, error) {
	if len(b.events) == 0 {
		return nil, nil
	}
	ids := make([]string, len(b.events))
	for i, e := range b.events {
		ids[i] = e.ID
	}
	known, err := p.journal.Known(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("asking which events are known: %w", err)
	}
	var fresh []engine.Event
	for _, e := range b.events {
		if known[e.ID] {
			continue
		}
		fresh = append(fresh, e)
		f.fresh++
		if !e.Occurred.After(before) {
			f.behind++
		}
		if !position.IsZero() && e.Occurred.Before(position) {
			f.late = max(f.late, position.Sub(e.Occurred))
		}
	}
	return fresh, nil
}

// event makes an object an event. An object without an id or with an unreadable time is not
// lost: its content takes the place of what is missing.
func (p *Poller) event(ctx context.Context, o Object, now time.Time) engine.Event {
	e := engine.Event{
		Tenant: p.tenant, Source: "poll/" + p.resource, Kind: p.kind,
		Title: shorten(o.Title), Seen: now.UTC(), Payload: o.Raw,
	}
	id, version := identity(o.ID), identity(o.Updated)
	occurred, ok := parseTime(o.Updated)
	if !ok {
		version = contentVersion(o.Raw)
		if occurred, ok = parseTime(o.Created); !ok {
			occurred = now.UTC()
		}
		p.log.WarnContext(ctx, "an object has no readable lastUpdateDateTime; its content is its version", "object", p.resource+"/"+id)
	}
	e.Occurred = occurred
	if id == "" {
		id = contentVersion(o.Raw)
		p.log.WarnContext(ctx, "an object has no id; its content identifies it", "object", p.resource+"/"+id)
	} else {
		e.Object = p.resource + "/" + id
	}
	e.ID = p.tenant + "/" + p.resource + "/" + id + "/" + version
	return e
}
