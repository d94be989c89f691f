package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// listed is a watchlist as it was at one time.
type listed struct {
	values  []any
	content []byte
	digest  string
	set     map[any]struct{} // of the values that have the form of constants
	odd     bool             // there are others
}

func newListed(values []any, content []byte) *listed {
	sum := sha256.Sum256(content)
	l := &listed{values: values, content: content, digest: "sha256:" + hex.EncodeToString(sum[:]), set: make(map[any]struct{}, len(values))}
	for _, v := range values {
		if c, ok := expression.Constant(v); ok {
			l.set[c] = struct{}{}
		} else {
			l.odd = true
		}
	}
	return l
}

// has says whether "v in list" holds. c is v as a constant, if it has that form.
func (l *listed) has(v, c any, constant bool) bool {
	if l == nil {
		return false
	}
	if !constant {
		return expression.IsIn(v, l.values)
	}
	_, found := l.set[c]
	if _, text := c.(string); found || text {
		return found
	}
	return l.odd && expression.IsIn(v, l.values)
}

// list returns a watchlist as it is now, nil if there is none of that name. Lists are large and
// rarely change, so what was made of one is kept.
func (e *Engine) list(name string) *listed {
	if e.o.Lists == nil {
		return nil
	}
	values, content, ok := e.o.Lists.Get(name)
	if !ok {
		return nil
	}
	e.listsMu.Lock()
	defer e.listsMu.Unlock()
	if l := e.lists[name]; l != nil && sameBytes(l.content, content) {
		return l
	}
	l := newListed(values, content)
	e.lists[name] = l
	return l
}

// sameBytes is quick when a and b are one.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || bytes.Equal(a, b))
}

// calendarMark begins the name under which a run keeps a calendar beside its watchlists.
const calendarMark = "calendar/"

// list is a watchlist as the batch sees it.
func (pl *planner) list(name string) *listed {
	l, seen := pl.lists[name]
	if !seen {
		l = pl.e.list(name)
		pl.lists[name] = l
	}
	if l != nil && !slices.Contains(pl.looked, name) {
		pl.looked = append(pl.looked, name)
	}
	return l
}

// calendar is one as the batch sees it; nil if there is none of that name.
func (pl *planner) calendar(name string) *calendar.Calendar {
	c, seen := pl.hours[name]
	if !seen && pl.e.o.Calendars != nil {
		c = pl.e.o.Calendars.Get(name)
		pl.hours[name] = c
	}
	return c
}

// recall completes circumstances with the watchlists and calendars that a playbook names, and returns
// the digests of those that a run keeps. What is not there the checker has said; expressions see nil.
func (pl *planner) recall(p *playbooks.Playbook, c *Circumstances) (digests map[string]string) {
	keep := func(name, digest string) {
		if digests == nil {
			digests = map[string]string{}
		}
		digests[name] = digest
	}
	c.Lists = map[string]any{}
	for _, name := range p.Lists {
		if l := pl.list(name); l != nil {
			c.Lists[name] = l.values
			keep(name, l.digest)
		}
	}
	if len(p.Calendars) > 0 {
		c.Calendars = expression.Calendars{}
	}
	for _, name := range p.Calendars {
		if cal := pl.calendar(name); cal != nil {
			c.Calendars[name] = cal
			keep(calendarMark+name, cal.Digest)
		}
	}
	return digests
}

// content is what a run keeps under a name that recall gave.
func (pl *planner) content(name string) []byte {
	if calendar, is := strings.CutPrefix(name, calendarMark); is {
		return pl.calendar(calendar).Content()
	}
	return pl.list(name).content
}

// recorded reads the watchlists and calendars that a run has kept. Whole numbers are whole numbers
// again, as they were when the event was considered.
func recorded(contents map[string][]byte) (lists map[string]any, calendars expression.Calendars, err error) {
	lists = map[string]any{}
	for name, content := range contents {
		if name, is := strings.CutPrefix(name, calendarMark); is {
			cal, err := calendar.Restore(name, content)
			if err != nil {
				return nil, nil, err
			}
			if calendars == nil {
				calendars = expression.Calendars{}
			}
			calendars[name] = cal
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(content))
		dec.UseNumber()
		var values []any
		err := dec.Decode(&values)
		if err == nil {
			lists[name], err = numbers(values)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("recorded watchlist %s: %w", name, err)
		}
	}
	return lists, calendars, nil
}
