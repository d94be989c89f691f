package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/engine"
)

// Versions implements [engine.Journal].
func (j *Journal) Versions(ctx context.Context, q engine.VersionQuery) ([]engine.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	last := map[string]int{}
	for n, e := range j.state.events {
		if e.Tenant == q.Tenant && e.Source == q.Source && e.Object != "" && e.Object > q.After && (q.Object == "" || e.Object == q.Object) &&
			strings.HasPrefix(e.ID, e.Tenant+"/"+e.Object+"/") {
			last[e.Object] = n
		}
	}
	var list []engine.Event
	for _, n := range last {
		list = append(list, copyEvent(j.state.events[n].Event))
	}
	slices.SortFunc(list, func(a, b engine.Event) int { return cmp.Compare(a.Object, b.Object) })
	return list[:min(len(list), max(q.Limit, 0))], nil
}

// Clocks implements [engine.Journal].
func (j *Journal) Clocks(ctx context.Context, tenant, object string) ([]engine.Clock, error) {
	return j.choose(ctx, func(c engine.Clock) bool { return c.Tenant == tenant && c.Object == object },
		func(a, b engine.Clock) int { return cmp.Compare(a.Playbook, b.Playbook) })
}

// DueClocks implements [engine.Journal].
func (j *Journal) DueClocks(ctx context.Context, tenant, playbook string, limit int) ([]engine.Clock, error) {
	list, err := j.choose(ctx, func(c engine.Clock) bool { return c.Tenant == tenant && c.Playbook == playbook && !c.Due.IsZero() },
		func(a, b engine.Clock) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Object, b.Object)) })
	return list[:min(len(list), max(limit, 0))], err
}

func (j *Journal) choose(ctx context.Context, fits func(engine.Clock) bool, order func(a, b engine.Clock) int) ([]engine.Clock, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []engine.Clock
	for _, c := range j.state.clocks {
		if fits(c) {
			list = append(list, copyClock(c))
		}
	}
	slices.SortFunc(list, order)
	return list, nil
}
