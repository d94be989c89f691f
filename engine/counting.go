package engine

import (
	"context"
	"slices"

	"github.com/playbookd/playbookd/internal/mutant"
)

// answer has the journal count what the machine asks about, as long as it asks. What follows from the
// answers is part of the same decision, and nobody else counts before it is durable: two runs that count
// at once would both find room for one.
func (d *driver) answer(ctx context.Context, dec Decision) (Decision, error) {
	for len(dec.Asks) > 0 {
		if !d.counts(ctx) {
			return dec, nil // stopping
		}
		ask, now := dec.Asks[0], d.e.o.Now()
		counts := make([]int, len(ask.Limits))
		for i, l := range ask.Limits {
			use := Use{Tenant: d.run.Tenant, Playbook: l.Playbook, Action: ask.Action, Mode: d.run.Mode}
			n, err := d.e.o.Journal.Uses(ctx, use, now.Add(-l.Within))
			if err != nil {
				d.e.log.Error("can't count the uses of a limit", "run", d.run.ID, "playbook", l.Playbook, "err", err)
				dec.Wake = now.Add(JournalPause)
				return dec, nil
			}
			for _, u := range dec.Uses { // of this decision: not durable yet
				if u.Playbook == l.Playbook && u.Action == ask.Action {
					n++
				}
			}
			counts[i] = n
		}
		entries, err := d.machine.Allow(ask.Path, counts, now)
		if err != nil {
			return dec, err
		}
		next := d.machine.Next(now)
		next.Record = slices.Concat(dec.Record, entries, next.Record)
		next.Invoke, next.Uses = append(dec.Invoke, next.Invoke...), append(dec.Uses, next.Uses...)
		next.Left = Left{Sightings: append(dec.Left.Sightings, next.Left.Sightings...), Puts: append(dec.Left.Puts, next.Left.Puts...)}
		dec = next
	}
	return dec, nil
}

// counts waits until nobody else counts uses; false: the engine stops.
func (d *driver) counts(ctx context.Context) bool {
	if d.counting || mutant.On(mutant.CountAside) {
		return true
	}
	select {
	case d.e.counting <- struct{}{}:
		d.counting = true
	case <-ctx.Done():
	}
	return d.counting
}

// counted lets others count: what this run has begun is durable, or will not be.
func (d *driver) counted() {
	if d.counting {
		<-d.e.counting
		d.counting = false
	}
}
