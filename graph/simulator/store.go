package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// entry is a document with what the service knows about it beyond its fields.
type entry struct {
	doc       Document
	seq       int       // order of arrival, the last resort of sorting
	visibleAt time.Time // zero: at once
	created   stamp     // the document's createdDateTime, which every list is ordered by
	times     timeFields
}

// timeFields are the names that a document has for when it was made and when it changed; empty: those of Graph.
type timeFields struct{ created, updated string }

// stamp is a time with the text that it was read from: reading it again for every page of a list of
// 100,000 costs more than all else.
type stamp struct {
	text string
	at   time.Time
}

// createdAt is when the document says that it was created.
func (e *entry) createdAt() time.Time {
	name := orDefault(e.times.created, "createdDateTime")
	if text := e.doc.text(name); text != e.created.text {
		e.created = stamp{text, e.doc.at(name)}
	}
	return e.created.at
}

// later is a change the service makes by itself at a known time: evidence filled in, an incident joined.
type later struct {
	due    time.Time
	entry  *entry
	fields Document
}

// store holds the documents. It is guarded by the server's lock. Values below the top level of a document are
// never changed in place, so a shallow copy of a field stays true.
type store struct {
	alerts, incidents map[string]*entry

	machines, machineActions map[string]*entry

	pending   []later // by due time
	seq       int
	lastStamp time.Time
}

func newStore() *store {
	return &store{alerts: map[string]*entry{}, incidents: map[string]*entry{}, machines: map[string]*entry{}, machineActions: map[string]*entry{}}
}

// put adds or replaces a document.
func (st *store) put(into map[string]*entry, doc Document, visibleAt time.Time) *entry {
	st.seq++
	e := &entry{doc: doc, seq: st.seq, visibleAt: visibleAt}
	if old, ok := into[doc.text("id")]; ok {
		e.seq = old.seq
	}
	into[doc.text("id")] = e
	return e
}

// schedule plans a change of the service's own.
func (st *store) schedule(l later) {
	at, _ := slices.BinarySearchFunc(st.pending, l.due, func(p later, due time.Time) int {
		return cmp.Or(p.due.Compare(due), -1)
	})
	st.pending = slices.Insert(st.pending, at, l)
}

// settle performs the planned changes that are due. It runs before every request is looked at, so a change
// appears to have happened at its own time, and carries that time.
func (st *store) settle(now time.Time) {
	for len(st.pending) > 0 && !st.pending[0].due.After(now) {
		p := st.pending[0]
		st.pending = st.pending[1:]
		for name, value := range p.fields {
			p.entry.doc[name] = value
		}
		st.touch(p.entry, p.due)
	}
}

// touch sets a new lastUpdateDateTime: strictly later than any given before, and than the document's own.
func (st *store) touch(e *entry, now time.Time) time.Time {
	stamp := now.UTC().Truncate(tick)
	if !stamp.After(st.lastStamp) {
		stamp = st.lastStamp.Add(tick)
	}
	st.lastStamp = stamp
	name := orDefault(e.times.updated, "lastUpdateDateTime")
	if own := e.doc.at(name); !stamp.After(own) {
		stamp = own.Add(tick) // a document from the future stays ahead, without dragging the others along
	}
	e.doc[name] = formatTime(stamp)
	return stamp
}

// visible finds a document the outside can see.
func (e *entry) visible(now time.Time) bool { return e != nil && !e.visibleAt.After(now) }

// shown lists the visible documents, in no order.
func shown(from map[string]*entry, now time.Time) []*entry {
	rows := make([]*entry, 0, len(from))
	for _, e := range from {
		if e.visible(now) {
			rows = append(rows, e)
		}
	}
	return rows
}

// newestFirst sorts as the service does without $orderby.
func newestFirst(rows []*entry) {
	type keyed struct {
		*entry
		created time.Time
	}
	keys := make([]keyed, len(rows))
	for i, e := range rows {
		keys[i] = keyed{e, e.createdAt()}
	}
	slices.SortFunc(keys, func(a, b keyed) int {
		return cmp.Or(b.created.Compare(a.created), cmp.Compare(b.seq, a.seq))
	})
	for i, key := range keys {
		rows[i] = key.entry
	}
}

// alertsOf lists the visible alerts of an incident, in order of arrival.
func (st *store) alertsOf(incident string, now time.Time) []*entry {
	var out []*entry
	for _, e := range st.alerts {
		if e.visible(now) && e.doc.text("incidentId") == incident {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	return out
}

// freeIncidentID returns a number above all incident ids that are numbers.
func (st *store) freeIncidentID() string {
	var highest uint64
	for id := range st.incidents {
		if n, err := strconv.ParseUint(id, 10, 63); err == nil {
			highest = max(highest, n)
		}
	}
	for { // beyond the largest number the search starts again from 1
		highest++
		id := strconv.FormatUint(highest, 10)
		if _, taken := st.incidents[id]; !taken {
			return id
		}
	}
}

// follow walks redirections to the incident that holds the alerts now. A circle ends where it closes.
func (st *store) follow(id string) (*entry, error) {
	seen := map[string]bool{}
	for {
		e := st.incidents[id]
		if e == nil {
			return nil, fmt.Errorf("incident %q does not exist", id)
		}
		next := e.doc.text("redirectIncidentId")
		if e.doc.text("status") != "redirected" || next == "" || seen[next] {
			return e, nil
		}
		seen[id], id = true, next
	}
}
