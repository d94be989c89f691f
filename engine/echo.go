package engine

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/actions"
)

// EchoWindow is how far back own writes are looked at when a new version of an object appears.
const EchoWindow = 48 * time.Hour

// EchoLag is how long after its intent a write may still show for the first time: as long as an
// attempt may take. Within it nobody knows whether a version was read before or after a write.
const EchoLag = DefaultTimeout

// A version of an object is an echo for a playbook if the playbook's own writes explain all that
// changed. In doubt it is none: a playbook that runs once too often decides about an alert that
// it has decided about before, but one that takes a person's change for its own loses an alert.

// byGraph are fields that Graph sets by itself with every change.
var byGraph = map[string]bool{
	"lastUpdateDateTime": true, "lastModifiedBy": true, "@odata.context": true, "@odata.etag": true,
}

// follows names fields that Graph sets by itself when somebody writes another one.
var follows = map[string]string{"resolvedDateTime": "status", "incidentWebUrl": "incidentId"}

// appMark begins the name of an application where Graph says who changed an object last.
const appMark = "API-App:"

// echoSince is from when on writes can explain the difference to a version: what was written
// before it was seen is in it, and what of it somebody undid must not explain another change.
func echoSince(before Event, now time.Time) time.Time {
	since := now.Add(-EchoWindow)
	if seen := before.Seen.Add(-EchoLag); seen.After(since) {
		return seen
	}
	return since
}

// echoOf says which playbooks alone can have made the difference between two versions of an
// object. writes are those since echoSince, oldest first.
func echoOf(before, after Event, writes []Write) map[string]bool {
	if writes = standing(writes); len(writes) == 0 {
		return nil
	}
	old, ok := fieldsOf(before.Payload)
	cur, also := fieldsOf(after.Payload)
	if !ok || !also || byPerson(old, cur) {
		return nil
	}
	echoes := map[string]bool{}
	for _, w := range writes {
		if _, known := echoes[w.Playbook]; !known {
			c := comparison{playbook: w.Playbook, old: old, cur: cur, writes: writes, settled: after.Seen.Add(-EchoLag)}
			echoes[w.Playbook] = c.echo()
		}
	}
	return echoes
}

// refused says that the earlier writes of the same run and path certainly did not happen: it names nothing.
func (w Write) refused() bool { return len(w.Fields) == 0 && !w.Comment && len(w.Derived) == 0 }

// standing leaves out writes that were refused.
func standing(writes []Write) []Write {
	var list []Write
	for _, w := range writes {
		if w.refused() {
			list = slices.DeleteFunc(list, func(x Write) bool { return x.Run == w.Run && x.Path == w.Path })
			continue
		}
		list = append(list, w)
	}
	return list
}

func fieldsOf(payload json.RawMessage) (fields map[string]any, ok bool) {
	return fields, json.Unmarshal(payload, &fields) == nil && fields != nil
}

// byPerson says that the last change was not made by any application.
func byPerson(old, cur map[string]any) bool {
	name, ok := cur["lastModifiedBy"].(string)
	return ok && name != "" && name != old["lastModifiedBy"] && !strings.HasPrefix(name, appMark)
}

// comparison is of two versions of an object, for one playbook.
type comparison struct {
	playbook string
	old, cur map[string]any
	writes   []Write // of all playbooks
	settled  time.Time
}

func (c comparison) echo() bool {
	names := map[string]bool{}
	for name := range c.old {
		names[name] = true
	}
	for name := range c.cur {
		names[name] = true
	}
	trace := false // of one of our writes
	for name := range names {
		switch {
		case byGraph[name] || reflect.DeepEqual(c.old[name], c.cur[name]):
		case name == "comments":
			if !c.ownComments() {
				return false
			}
			trace = true
		case follows[name] != "":
			if !c.wrote(follows[name]) {
				return false
			}
		case c.explained(name):
			trace = true
		default:
			return false
		}
	}
	return c.undisturbed(trace)
}

// explained says whether the playbook wrote the value that a field has now. A write that was
// followed by another one, which had the time to take effect, explains nothing any more.
func (c comparison) explained(field string) bool {
	for _, w := range slices.Backward(c.writes) {
		v, ok := w.Fields[field]
		if !ok {
			continue
		}
		if w.Playbook == c.playbook && madeOf(v, c.old[field], c.cur[field]) {
			return true
		}
		if !w.At.After(c.settled) {
			return false
		}
	}
	return false
}

func (c comparison) wrote(field string) bool {
	return slices.ContainsFunc(c.writes, func(w Write) bool {
		_, ok := w.Fields[field]
		return ok && w.Playbook == c.playbook
	})
}

// undisturbed says whether the object still has what the playbook wrote last. What it does not
// have was undone by somebody, or did not take effect yet; the latter can only be so for a young
// write, and only if another one has left its trace, or whose version would this be?
func (c comparison) undisturbed(trace bool) bool {
	last := map[string]bool{}
	for _, w := range slices.Backward(c.writes) {
		for field, v := range w.Fields {
			if w.Playbook != c.playbook || last[field] {
				continue
			}
			last[field] = true
			if stands(v, c.cur[field]) {
				continue
			}
			if !trace || !w.At.After(c.settled) {
				return false
			}
		}
	}
	return trace || len(last) > 0
}

// ownComments says whether all comments are still there and every new one carries the mark of one
// of the playbook's writes.
func (c comparison) ownComments() bool {
	before, _ := c.old["comments"].([]any)
	after, ok := c.cur["comments"].([]any)
	if !ok {
		return false
	}
	fresh := slices.Clone(after)
	for _, b := range before {
		i := slices.IndexFunc(fresh, func(x any) bool { return reflect.DeepEqual(b, x) })
		if i < 0 {
			return false
		}
		fresh = slices.Delete(fresh, i, i+1)
	}
	return !slices.ContainsFunc(fresh, func(x any) bool { return !c.ownComment(x) })
}

func (c comparison) ownComment(v any) bool {
	fields, _ := v.(map[string]any)
	text, _ := fields["comment"].(string)
	return slices.ContainsFunc(c.writes, func(w Write) bool {
		return w.Comment && w.Playbook == c.playbook && actions.Marked(text, key(w.Run, w.Path))
	})
}

// madeOf says whether writing v to a field that was old gives cur, and nothing else did.
func madeOf(v, old, cur any) bool {
	change, is := listChange(v)
	if !is {
		return reflect.DeepEqual(normal(v), cur)
	}
	before, after := textsOf(old), textsOf(cur)
	for _, item := range after {
		if !slices.Contains(before, item) && !slices.Contains(change.Add, item) {
			return false
		}
	}
	for _, item := range before {
		if !slices.Contains(after, item) && !slices.Contains(change.Remove, item) {
			return false
		}
	}
	return true
}

// stands says whether a field still has what was written to it.
func stands(v, cur any) bool {
	change, is := listChange(v)
	if !is {
		return reflect.DeepEqual(normal(v), cur)
	}
	now := textsOf(cur)
	for _, item := range change.Add {
		if !slices.Contains(now, item) {
			return false
		}
	}
	return !slices.ContainsFunc(change.Remove, func(item string) bool { return slices.Contains(now, item) })
}

// listChange recognises an [actions.ListChange], also after the journal had it.
func listChange(v any) (change actions.ListChange, is bool) {
	fields, ok := normal(v).(map[string]any)
	if !ok || len(fields) == 0 {
		return change, false
	}
	for name := range fields {
		if name != "$add" && name != "$remove" {
			return change, false
		}
	}
	return actions.ListChange{Add: textsOf(fields["$add"]), Remove: textsOf(fields["$remove"])}, true
}

func textsOf(v any) []string {
	list, _ := v.([]any)
	texts := make([]string, 0, len(list))
	for _, item := range list {
		if text, ok := item.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// normal gives a value the shape it has when read from JSON.
func normal(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if json.Unmarshal(raw, &out) != nil {
		return v
	}
	return out
}
