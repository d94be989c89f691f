package invariant

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/playbookd/playbookd/engine"
)

// reasons is the closed list of why an event is skipped.
var reasons = map[string]bool{
	engine.SkipNoTrigger: true, engine.SkipFilter: true, engine.SkipVersion: true, engine.SkipChange: true, engine.SkipDisabled: true,
	engine.SkipExpired: true, engine.SkipTenant: true, engine.SkipEcho: true, engine.SkipDuplicate: true, engine.SkipError: true,
}

// eachEvent checks what was decided about every event.
func (c *check) eachEvent(ctx context.Context) error {
	err := c.Journal.EachEvent(ctx, func(ev engine.Event) error {
		decisions, err := c.Journal.Decisions(ctx, ev.ID)
		if err != nil {
			return err
		}
		if len(decisions) == 0 && c.Books != nil && len(c.Books.Playbooks) > 0 {
			c.say(Undecided, "event "+ev.ID, "nothing was decided about it")
		}
		for _, m := range decisions {
			if err := c.decision(ctx, ev, m); err != nil {
				return err
			}
		}
		return nil
	})
	for _, id := range slices.Sorted(maps.Keys(c.runs)) {
		if !c.runs[id] {
			c.say(Unasked, "run "+id, "no decision says that it should run")
		}
	}
	return err
}

func (c *check) decision(ctx context.Context, ev engine.Event, m engine.Match) error {
	about := fmt.Sprintf("event %s at %s", ev.ID, m.Playbook)
	switch m.Verdict {
	case engine.Matched:
		if m.Reason != "" || m.Run != engine.NewRunID(m.Playbook, ev.ID) {
			c.say(Verdict, about, "it matched, with reason %q and run %q", m.Reason, m.Run)
		}
		return c.named(ctx, about, ev, m.Run, true)
	case engine.NotMatched:
		if m.Detail == "" || m.Reason != "" || m.Run != "" {
			c.say(Verdict, about, "it did not match, and no term of the condition is named")
		}
	case engine.Skipped:
		switch {
		case !reasons[m.Reason]:
			c.say(Verdict, about, "it was skipped for %q, which is no reason", m.Reason)
		case m.Reason == engine.SkipDuplicate:
			return c.named(ctx, about, ev, engine.RunID(m.Detail), false)
		case c.listens(m, ev) != (m.Reason != engine.SkipNoTrigger) && c.loaded(m):
			c.say(Undecided, about, "it was skipped for %q, and that the playbook listens to %s is %t", m.Reason, ev.Source, c.listens(m, ev))
		}
	default:
		c.say(Verdict, about, "%q is no verdict", m.Verdict)
	}
	return nil
}

// named checks that the run that a decision names exists.
func (c *check) named(ctx context.Context, about string, ev engine.Event, run engine.RunID, starts bool) error {
	if _, ok := c.runs[string(run)]; ok {
		if starts {
			c.runs[string(run)] = true
		}
		return nil
	}
	if ev.Seen.Before(c.Retained) {
		return nil
	}
	_, err := c.Journal.Load(ctx, run)
	if errors.Is(err, engine.ErrNotFound) {
		c.say(NoRun, about, "it names run %q, which does not exist", run)
		return nil
	}
	return err
}

// loaded says that a decision was made by one of the playbooks that are loaded now.
func (c *check) loaded(m engine.Match) bool {
	if c.Books == nil {
		return false
	}
	p, ok := c.Books.Lookup(m.Playbook)
	return ok && p.Digest == m.Digest
}

func (c *check) listens(m engine.Match, ev engine.Event) bool {
	if !c.loaded(m) {
		return false
	}
	p, _ := c.Books.Lookup(m.Playbook)
	for _, t := range p.Triggers {
		if t.Source == ev.Source {
			return true
		}
	}
	return false
}
