package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// Clocks move in two ways. A version of an object moves those of the object, in the transaction in which
// the event is admitted (Deliver). Time moves those that are due: their stage is admitted as an event of
// its own, in one transaction with the decision about it, the run that it starts and its mark on the clock
// (Strike). Both are refused if the clock was moved in between, and are worked out anew.

// ClockBatch is how many clocks or objects are read at a time.
const ClockBatch = 128

// clocks works out what a version makes of the clocks of its object.
func (pl *planner) clocks(ctx context.Context, ev Event) ([]Clock, error) {
	books := pl.index.clocks[ev.Source]
	if len(books) == 0 || !isVersion(ev) {
		return nil, nil
	}
	held, err := pl.clocksOf(ctx, ev.Tenant, ev.Object)
	if err != nil {
		return nil, err
	}
	var moved []Clock
	for _, p := range books {
		if !keepsClocks(p, ev.Tenant, pl.now) {
			continue
		}
		if c, changed := pl.count(p, held[p.Name], ev); changed {
			c.Revision++
			held[p.Name] = &c
			moved = append(moved, c)
		}
	}
	return moved, nil
}

// keepsClocks says whether the clocks of a playbook go on.
func keepsClocks(p *playbooks.Playbook, tenant string, now time.Time) bool {
	return p.Enabled && (p.Expires.IsZero() || now.Before(p.Expires)) && (len(p.Tenants) == 0 || slices.Contains(p.Tenants, tenant))
}

// clocksOf gives the clocks of an object by playbook, as the batch has left them.
func (pl *planner) clocksOf(ctx context.Context, tenant, object string) (map[string]*Clock, error) {
	key := [2]string{tenant, object}
	if held, ok := pl.moved[key]; ok {
		return held, nil
	}
	held := map[string]*Clock{}
	if !pl.guess { // of an object that is new there are none
		list, err := pl.e.o.Journal.Clocks(ctx, tenant, object)
		if err != nil {
			return nil, fmt.Errorf("clocks of %s: %w", object, err)
		}
		for _, c := range list {
			held[c.Playbook] = &c
		}
	}
	pl.moved[key] = held
	return held, nil
}

// clockwork is what the clocks of a playbook are counted by, as the batch sees it.
func (pl *planner) clockwork(p *playbooks.Playbook) Circumstances {
	c := Circumstances{Now: pl.now}
	pl.recall(p, &c)
	if name := p.SLA().Calendar; name != "" && pl.calendar(name) != nil {
		if c.Calendars == nil {
			c.Calendars = expression.Calendars{}
		}
		c.Calendars[name] = pl.calendar(name)
	}
	return c
}

// count brings a clock up to date with a version, and says whether that changed it. A clock that there
// is none of, still, has no playbook.
func (pl *planner) count(p *playbooks.Playbook, old *Clock, ev Event) (c Clock, changed bool) {
	subject, err := expression.Decode(ev.Payload, p.SubjectType)
	switch {
	case err == nil:
		c, _ = Count(p, old, ev, subject, pl.clockwork(p))
	case old != nil:
		c = *old
		c.Next, c.Due, c.Breach, c.Fault = "", time.Time{}, time.Time{}, err.Error()
	default:
		c = Clock{Tenant: ev.Tenant, Playbook: p.Name, Object: ev.Object, Title: ev.Title, Seen: ev.Seen, State: ClockRunning, Fault: err.Error()}
	}
	if changed = c.Playbook != "" && (old == nil || !old.same(c)); changed && c.Fault != "" {
		pl.e.log.Warn("a clock can't be counted", "playbook", p.Name, "object", ev.Object, "err", c.Fault)
	}
	return c, changed
}

// same says that two states of a clock differ in nothing that counts.
func (c *Clock) same(d Clock) bool {
	return c.State == d.State && c.Start.Equal(d.Start) && c.At.Equal(d.At) && c.Elapsed == d.Elapsed && c.Within == d.Within &&
		c.Next == d.Next && c.Due.Equal(d.Due) && c.Breach.Equal(d.Breach) && c.Calendar == d.Calendar && c.Fault == d.Fault &&
		c.Title == d.Title && len(c.Marks) == len(d.Marks)
}

// Strike fires the stages that are due. asOf says up to when the objects of a resource are known: what is
// due later waits. The time returned is when the next clock is due; zero if none is.
//
// Before, it brings the clocks up to date with the playbooks in use, if they were changed since the last
// time.
func (e *Engine) Strike(ctx context.Context, tenants []string, asOf func(tenant, resource string) time.Time) (next time.Time, err error) {
	x := e.index.Load()
	if e.kept.Load() != x {
		if err := e.keepClocks(ctx, x, tenants); err != nil {
			return time.Time{}, err
		}
		e.kept.Store(x)
	}
	now := e.o.Now().UTC()
	var errs []error
	for _, p := range x.clockBooks() {
		for _, tenant := range tenants {
			if !keepsClocks(p, tenant, now) {
				continue
			}
			known := asOf(tenant, p.SLA().Resource)
			if mutant.On(mutant.EarlyStage) {
				known = now
			}
			due, err := e.strikeAll(ctx, tenant, p, known)
			errs = append(errs, err)
			if !due.IsZero() && (next.IsZero() || due.Before(next)) {
				next = due
			}
		}
	}
	return next, errors.Join(errs...)
}

func (x *index) clockBooks() []*playbooks.Playbook {
	var list []*playbooks.Playbook
	for _, p := range x.set.Playbooks {
		if p.Enabled && p.SLA() != nil {
			list = append(list, p)
		}
	}
	return list
}

// strikeAll fires what is due of one playbook and returns when its next clock is due.
func (e *Engine) strikeAll(ctx context.Context, tenant string, p *playbooks.Playbook, asOf time.Time) (time.Time, error) {
	for {
		clocks, err := e.o.Journal.DueClocks(ctx, tenant, p.Name, ClockBatch)
		if err != nil {
			return time.Time{}, fmt.Errorf("clocks of %s that are due: %w", p.Name, err)
		}
		for _, c := range clocks {
			if c.Due.After(asOf) {
				return c.Due, nil
			}
			if err := e.strike(ctx, p, c, asOf); err != nil && !overtaken(err) {
				return time.Time{}, fmt.Errorf("clock of %s at %s: %w", c.Object, p.Name, err)
			}
		}
		if len(clocks) < ClockBatch {
			return e.nextDue(ctx, tenant, p)
		}
	}
}

func (e *Engine) nextDue(ctx context.Context, tenant string, p *playbooks.Playbook) (time.Time, error) {
	clocks, err := e.o.Journal.DueClocks(ctx, tenant, p.Name, 1)
	if err != nil || len(clocks) == 0 {
		return time.Time{}, err
	}
	return clocks[0].Due, nil
}

// strike fires the stage of a clock that is due, by the latest version of its object.
func (e *Engine) strike(ctx context.Context, p *playbooks.Playbook, c Clock, asOf time.Time) error {
	pl := newPlanner(ctx, e, e.index.Load(), e.o.Now().UTC())
	defer pl.release()
	versions, err := e.o.Journal.Versions(ctx, VersionQuery{Tenant: c.Tenant, Source: versionsOf(p), Object: c.Object, Limit: 1})
	if err != nil {
		return err
	}
	revision := c.Revision + 1
	if len(versions) == 0 {
		c.Revision, c.Next, c.Due, c.Fault = revision, "", time.Time{}, "the journal holds no version of the object any more"
		_, err := pl.admit(ctx, Admission{Clocks: []Clock{c}})
		return err
	}
	c, changed := pl.count(p, &c, versions[0])
	sla, fires := c.Strike(p, pl.clockwork(p).Calendars, asOf, pl.now)
	c.Revision = revision
	a := Admission{Clocks: []Clock{c}}
	switch {
	case !fires && !changed:
		return fmt.Errorf("%s is due and does not fire, which is a defect", c.Next)
	case fires:
		planned, err := pl.plan(ctx, c.Event(sla, versions[0], pl.now))
		if err != nil {
			return err
		}
		a.Events = []Planned{planned}
	}
	receipt, err := pl.admit(ctx, a)
	if err == nil && receipt.Admitted > 0 {
		e.log.Info("a stage of a clock was reached", "playbook", p.Name, "stage", sla.Stage, "object", c.Object)
	}
	return err
}

// versionsOf is the source of the versions by which a playbook's clocks are counted.
func versionsOf(p *playbooks.Playbook) string { return "poll/" + p.SLA().Resource }

// clocksPosition is the name of the position that says which playbooks keep clocks.
const clocksPosition = "sla"

// keepClocks brings all clocks up to date with a set of playbooks, and with their calendars. A playbook
// that is new begins to keep a clock for every object that the journal knows; what was due of them is
// passed over, because nobody asked for it at that time. One that was edited counts its clocks anew.
func (e *Engine) keepClocks(ctx context.Context, x *index, tenants []string) error {
	stored, err := e.o.Journal.Position(ctx, clocksPosition)
	if err != nil {
		return fmt.Errorf("playbooks that keep clocks: %w", err)
	}
	before, kept := map[string]string{}, map[string]string{}
	if stored != "" && json.Unmarshal([]byte(stored), &before) != nil {
		clear(before) // then all of them are new, and nothing fires for what is past
	}
	pl := newPlanner(ctx, e, e.index.Load(), e.o.Now().UTC())
	for _, p := range x.clockBooks() {
		for _, tenant := range tenants {
			if !keepsClocks(p, tenant, pl.now) {
				continue
			}
			name, rule := tenant+"/"+p.Name, pl.rule(p)
			kept[name] = rule
			old, was := before[name]
			if was && old == rule {
				continue
			}
			var since time.Time
			if !was {
				since = x.since
			}
			if err := e.recount(ctx, tenant, p, since); err != nil {
				return fmt.Errorf("clocks of %s: %w", p.Name, err)
			}
		}
	}
	text, err := json.Marshal(kept) // in the order of the names
	if err != nil || string(text) == stored || stored == "" && len(kept) == 0 {
		return err
	}
	_, err = e.o.Journal.Admit(ctx, Admission{Cursor: &Cursor{Source: clocksPosition, From: stored, Position: string(text)}})
	return err
}

// rule identifies what the clocks of a playbook are counted by.
func (pl *planner) rule(p *playbooks.Playbook) string {
	rule := p.Digest
	if cal := pl.calendar(p.SLA().Calendar); cal != nil {
		rule += " " + cal.Digest
	}
	return rule
}

// recount counts the clocks of a playbook by the latest version of every object. What is due of objects
// that were seen before since is passed over.
func (e *Engine) recount(ctx context.Context, tenant string, p *playbooks.Playbook, since time.Time) error {
	q := VersionQuery{Tenant: tenant, Source: versionsOf(p), Limit: ClockBatch}
	for {
		versions, err := e.o.Journal.Versions(ctx, q)
		if err != nil || len(versions) == 0 {
			return err
		}
		for tries := 0; ; tries++ {
			if err = e.recountSome(ctx, p, versions, since); !overtaken(err) || tries == MaxLooks {
				break
			}
		}
		if err != nil {
			return err
		}
		q.After = versions[len(versions)-1].Object
	}
}

func (e *Engine) recountSome(ctx context.Context, p *playbooks.Playbook, versions []Event, since time.Time) error {
	pl := newPlanner(ctx, e, e.index.Load(), e.o.Now().UTC())
	var a Admission
	for _, ev := range versions {
		held, err := pl.clocksOf(ctx, ev.Tenant, ev.Object)
		if err != nil {
			return err
		}
		c, changed := pl.count(p, held[p.Name], ev)
		if ev.Seen.Before(since) && c.skip(p, pl.clockwork(p).Calendars, pl.now) {
			changed = true
		}
		if changed {
			c.Revision++
			a.Clocks = append(a.Clocks, c)
		}
	}
	if len(a.Clocks) == 0 {
		return nil
	}
	_, err := pl.admit(ctx, a)
	return err
}
