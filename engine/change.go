package engine

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// Change is how one field differs between two versions of an object of which the journal holds none
// in between. It is worked out once, when the later version is admitted, and kept with it: deciding
// again needs no look at the earlier one, which may be gone by then.
type Change struct {
	Old json.RawMessage `json:"old,omitempty"` // nothing: the version did not have the field
	New json.RawMessage `json:"new,omitempty"`
	By  string          `json:"by"` // playbooks.ByUs, ByPerson or ByApp
}

func (ev Event) changed(field string) bool {
	_, is := ev.Changes[field]
	return is
}

// watchedField is a field that a change trigger asks about.
type watchedField struct {
	name string
	typ  expression.Type
}

func watched(p *playbooks.Playbook, t *playbooks.Change) watchedField {
	typ, _ := p.SubjectType.Field(t.Field)
	return watchedField{t.Field, typ}
}

// decode gives a value as expressions see it. One that does not fit the field's type is nil.
func (f watchedField) decode(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	v, err := expression.Decode(raw, f.typ)
	if err != nil {
		return nil
	}
	return v
}

// differences are the changes between two versions, without who made them.
func differences(fields []watchedField, old, cur map[string]any) map[string]Change {
	var changes map[string]Change
	for _, f := range fields {
		if c := (Change{Old: valueOf(old, f.name), New: valueOf(cur, f.name)}); !reflect.DeepEqual(f.decode(c.Old), f.decode(c.New)) {
			put(&changes, f.name, c)
		}
	}
	return changes
}

// Compare is how two versions of an object differ for the change triggers of a playbook. The versions are
// JSON objects; by says who made all of the changes.
func Compare(p *playbooks.Playbook, before, after json.RawMessage, by string) map[string]Change {
	var fields []watchedField
	for _, t := range p.Triggers {
		if t.Change != nil {
			fields = append(fields, watched(p, t.Change))
		}
	}
	old, _ := fieldsOf(before)
	cur, _ := fieldsOf(after)
	changes := differences(fields, old, cur)
	for name, c := range changes {
		c.By = by
		changes[name] = c
	}
	return changes
}

func valueOf(fields map[string]any, name string) json.RawMessage {
	v, there := fields[name]
	if !there {
		return nil
	}
	return encode(v)
}

// changedBy says who gave a field the value that it has now. A change is ours only if a playbook wrote
// just that; in doubt it is a person's. old and cur are all fields of both versions.
func changedBy(field string, old, cur map[string]any, writes []Write) string {
	if byPerson(old, cur) {
		return playbooks.ByPerson
	}
	for _, w := range writes {
		if v, ok := w.Fields[field]; ok && madeOf(v, old[field], cur[field]) {
			return playbooks.ByUs
		}
		if _, ok := w.Fields[follows[field]]; ok {
			return playbooks.ByUs
		}
	}
	if name, ok := cur["lastModifiedBy"].(string); ok && name != old["lastModifiedBy"] && strings.HasPrefix(name, appMark) {
		return playbooks.ByApp
	}
	return playbooks.ByPerson
}

// admitsChange says whether a change trigger waits for what an event changed.
func admitsChange(p *playbooks.Playbook, t *playbooks.Change, ev Event) bool {
	c, changed := ev.Changes[t.Field]
	f := watched(p, t)
	return changed && (t.By == playbooks.ByAnyone || t.By == c.By) && among(t.From, f.decode(c.Old)) && among(t.To, f.decode(c.New))
}

// among says whether a value is one of a list; an empty list is all values.
func among(list []any, v any) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(want any) bool { return reflect.DeepEqual(want, v) })
}

// How many names a scope has room for: that of an event alone, and that of a run.
const (
	roomOfEvent = 5
	roomOfRun   = 12
)

// eventScope is what a playbook's expressions see of an event. The change in scope is that of the
// first change trigger that waits for it; nil if only another trigger lets the event through. So is
// the clock, of a playbook that has one.
func eventScope(p *playbooks.Playbook, ev Event, subject any, c Circumstances, room int) scope {
	s := make(scope, room)
	s[p.Subject], s["lists"], s["tenant"], s["playbook"] = subject, c.Lists, tenantScope(ev), playbookScope(p)
	if p.SLA() != nil {
		s["sla"] = ev.SLA.value()
	}
	if len(p.Calendars) > 0 {
		s[expression.CalendarsName] = c.Calendars
	}
	for i := range p.Triggers {
		t := p.Triggers[i].Change
		if t == nil {
			continue
		}
		if s["change"] = nil; admitsChange(p, t, ev) {
			c, f := ev.Changes[t.Field], watched(p, t)
			s["change"] = map[string]any{"field": t.Field, "by": c.By, "old": f.decode(c.Old), "new": f.decode(c.New)}
			break
		}
	}
	return s
}
