package playtest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// clock is the clock of a test's object. The object's versions come as the test says, and each stage that
// the clock reaches is an event to the playbook, as in the daemon.
type clock struct {
	engine  *engine.Clock // nil: the object has none yet
	object  string
	version engine.Event
	updates []Update // that did not happen yet
	fired   []string
}

func newClock(c Case, sla *playbooks.SLA, payload json.RawMessage) *clock {
	object := sla.Resource + "/test"
	return &clock{object: object, updates: c.Updates, version: engine.Event{
		ID: c.Tenant + "/" + object + "/0", Tenant: c.Tenant, Source: "poll/" + sla.Resource, Kind: c.Kind, Object: object,
		Title: c.Name, Occurred: c.At, Seen: c.At, Payload: payload,
	}}
}

// count brings the clock up to date with the version that there is now.
func (s *stage) count() {
	subject, err := expression.Decode(s.clock.version.Payload, s.playbook.SubjectType)
	if err != nil {
		s.fail(s.c.Pos, "an object that a clock can be kept for", err.Error())
		return
	}
	c, ok := engine.Count(s.playbook, s.clock.engine, s.clock.version, subject, s.circumstances())
	if !ok {
		return
	}
	if c.Fault != "" {
		s.fail(s.c.Pos, "a clock that can be counted", c.Fault)
	}
	s.clock.engine = &c
}

// tick lets happen what is due of the clock, and says whether there was anything.
func (s *stage) tick() bool {
	k := s.clock
	if k == nil {
		return false
	}
	if len(k.updates) > 0 && !s.c.At.Add(k.updates[0].After).After(s.now) {
		s.update(k.updates[0])
		k.updates = k.updates[1:]
		return true
	}
	if k.engine == nil {
		return false
	}
	sla, fires := k.engine.Strike(s.playbook, s.calendars, s.now, s.now)
	if fires {
		k.fired = append(k.fired, sla.Stage)
		s.consider(k.engine.Event(sla, k.version, s.now), true)
	}
	return fires
}

// update makes the next version of the object.
func (s *stage) update(u Update) {
	k := s.clock
	var fields map[string]any
	if err := json.Unmarshal(k.version.Payload, &fields); err != nil {
		s.fail(u.Pos, "an object that can be changed", err.Error())
		return
	}
	for place, v := range u.Patch {
		if err := change(fields, place, v); err != nil {
			s.fail(u.Pos, "a change of "+place, err.Error())
		}
	}
	payload, err := json.Marshal(fields)
	if err != nil {
		s.fail(u.Pos, "an object that can be changed", err.Error())
		return
	}
	k.version.ID = fmt.Sprintf("%s/%s/%d", s.c.Tenant, k.object, u.After)
	k.version.Payload, k.version.Occurred, k.version.Seen = payload, s.now, s.now
	s.count()
}

// next is when something happens next: the object changes, or a stage is due.
func (k *clock) next(began time.Time) (next time.Time) {
	if k.engine != nil {
		next = k.engine.Due
	}
	if len(k.updates) > 0 {
		if at := began.Add(k.updates[0].After); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}
