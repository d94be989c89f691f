package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// Circumstances is what a decision about an event depends on besides the playbook and the event
// itself. All of it is recorded with the decision or follows from what is.
type Circumstances struct {
	Now time.Time
	// Updated says that an earlier version of the object was admitted before.
	Updated bool
	// Echo says that all that changed since that version is what this playbook wrote itself.
	Echo bool
	// Lists holds the watchlists by name.
	Lists map[string]any
	// Calendars are those that the playbook names.
	Calendars expression.Calendars
	// World answers what the condition asks besides; nil if nobody does.
	World World
}

// Consider decides whether an event starts a run of a playbook, and why not if not. It is pure, but for
// what it asks the world: with the readings of the decision for a world it decides the same again. Its error
// is that the world could not answer: then nothing is decided.
// subject is the event's payload, decoded with the playbook's SubjectType.
func Consider(p *playbooks.Playbook, ev Event, subject any, c Circumstances) (Match, error) {
	if len(p.Asks) == 0 {
		return consider(p, ev, subject, c, nil), nil
	}
	reads := &reads{world: c.World, asker: askerOf(ev, c.Now)}
	m := consider(p, ev, subject, c, reads)
	if reads.err != nil {
		return Match{}, fmt.Errorf("playbook %s: %w", p.Name, reads.err)
	}
	m.Readings = reads.take()
	return m, nil
}

// askerOf asks while an event is considered.
func askerOf(ev Event, now time.Time) Asker {
	return Asker{Tenant: ev.Tenant, Event: ev.ID, Object: ev.Object, Now: now, At: now}
}

func consider(p *playbooks.Playbook, ev Event, subject any, c Circumstances, reads *reads) Match {
	m := Match{Playbook: p.Name, Digest: p.Digest, Verdict: Skipped}
	trigger := listening(p, ev.Source)
	switch {
	case len(trigger) == 0:
		m.Reason = SkipNoTrigger
		return m
	case !p.Enabled:
		m.Reason = SkipDisabled
		return m
	case !p.Expires.IsZero() && !c.Now.Before(p.Expires):
		m.Reason, m.Detail = SkipExpired, expired(p.Expires)
		return m
	case len(p.Tenants) > 0 && !slices.Contains(p.Tenants, ev.Tenant):
		m.Reason, m.Detail = SkipTenant, ev.Tenant
		return m
	}
	scope := eventScope(p, ev, subject, c, roomOfEvent)
	if reads != nil {
		reads.into(scope, p)
	}
	if !admits(p, trigger, ev, &m, scope, c) {
		return m
	}
	if c.Echo {
		m.Reason = SkipEcho
		return m
	}
	if p.When == nil {
		m.Verdict = Matched
		return m
	}
	ok, firstFalse, err := p.When.Match(scope, c.Now)
	switch {
	case err != nil:
		m.Reason, m.Detail = SkipError, err.Error()
	case ok:
		m.Verdict = Matched
	default:
		m.Verdict, m.Detail = NotMatched, firstFalse
	}
	return m
}

func expired(at time.Time) string { return "expired " + at.Format(time.DateOnly) }

func filterFault(message string) string { return "filter: " + message }

func listening(p *playbooks.Playbook, source string) []*playbooks.Trigger {
	var list []*playbooks.Trigger
	for i := range p.Triggers {
		if p.Triggers[i].Source == source {
			list = append(list, &p.Triggers[i])
		}
	}
	return list
}

// admits says whether any of the triggers takes the event; if none does, m says why the last one
// did not.
func admits(p *playbooks.Playbook, triggers []*playbooks.Trigger, ev Event, m *Match, scope map[string]any, c Circumstances) bool {
	for _, t := range triggers {
		m.Reason, m.Detail = "", ""
		if t.Poll != nil && (c.Updated && !t.Poll.Updated || !c.Updated && !t.Poll.Created) {
			m.Reason = SkipVersion
			continue
		}
		if t.Change != nil && !admitsChange(p, t.Change, ev) {
			m.Reason, m.Detail = SkipChange, t.Change.String()
			continue
		}
		filter := t.Filter()
		if filter == nil {
			return true
		}
		ok, firstFalse, err := filter.Program.Match(scope, c.Now)
		switch {
		case err != nil:
			m.Reason, m.Detail = SkipError, filterFault(err.Error())
		case ok:
			return true
		default:
			m.Reason, m.Detail = SkipFilter, firstFalse
		}
	}
	return false
}
