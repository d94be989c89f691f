package invariant

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

// markers checks that what a part says to people is there once, on each object on which the log says
// that it was put.
func (c *check) markers(l *ledger, p *part, done []int) {
	if p.effect != actions.Adds || l.Documents == nil {
		return
	}
	seen := map[string]bool{}
	for _, at := range done {
		for field, v := range l.Effects[at].Fields {
			object, name := cutField(field)
			text, _ := v.(string)
			if name != "comments" || seen[object] || at < l.replaced[object] || !actions.Marked(text, p.key) {
				continue
			}
			seen[object] = true
			if n := marked(l.Documents[object], p.key); n != 1 {
				c.say(Marker, p.about(), "its comment is on %s %d times", object, n)
			}
		}
	}
}

// marked counts the comments that carry the marker of a key.
func marked(document map[string]any, key string) int {
	n := 0
	comments, _ := document["comments"].([]any)
	for _, v := range comments {
		fields, _ := v.(map[string]any)
		if text, ok := fields["comment"].(string); ok && actions.Marked(text, key) {
			n++
		}
	}
	return n
}

// finalValues checks that each field has the value that its last writer recorded before it wrote.
func (c *check) finalValues(ctx context.Context) error {
	for _, l := range c.targets {
		if l.Documents == nil {
			continue
		}
		byObject := map[string][]string{}
		for field := range l.last {
			object, name := cutField(field)
			if name != "comments" {
				byObject[object] = append(byObject[object], name)
			}
		}
		for object, names := range byObject {
			document := l.Documents[object]
			if document == nil {
				continue // hidden again, or replaced
			}
			writes, err := c.Journal.Writes(ctx, l.Tenant, object, time.Time{})
			if err != nil {
				return err
			}
			slices.Sort(names)
			for _, name := range names {
				c.value(l, object, name, document, writes)
			}
		}
	}
	return nil
}

func (c *check) value(l *ledger, object, name string, document map[string]any, writes []engine.Write) {
	by, known := l.writers[l.last[object+"."+name]]
	if !known {
		return // no intent: said already
	}
	for _, w := range slices.Backward(writes) {
		if w.Run != by.run || w.Path != by.path {
			continue
		}
		want, ok := w.Fields[name]
		if ok && !stands(want, document[name]) {
			c.say(Value, object, "run %s %s wrote %v to %s last, and it is %v", by.run, by.path, want, name, document[name])
		}
		if len(w.Fields) > 0 {
			return
		}
	}
}

// stands says whether a field has what was written to it: the value, or the items of a list.
func stands(want, have any) bool {
	raw, err := json.Marshal(want)
	if err != nil {
		return false
	}
	var plain any
	if json.Unmarshal(raw, &plain) != nil {
		return false
	}
	var change actions.ListChange
	if strings.HasPrefix(string(raw), `{"$`) && json.Unmarshal(raw, &change) == nil {
		items, _ := have.([]any)
		has := func(text string) bool { return slices.Contains(items, any(text)) }
		return !slices.ContainsFunc(change.Remove, has) && !slices.ContainsFunc(change.Add, func(t string) bool { return !has(t) })
	}
	return reflect.DeepEqual(plain, have)
}
