package simulator

import (
	"maps"
	"slices"
	"time"
)

// Sight is a document that can be seen from outside, and since when.
type Sight struct {
	Object   string    // "alerts/ID" or "incidents/ID"
	Since    time.Time // when it became visible; zero: always
	Document Document
}

// Sights returns all that can be seen now, in no order.
func (s *Server) Sights() []Sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.store.settle(now)
	var all []Sight
	for resource, from := range map[string]map[string]*entry{"alerts": s.store.alerts, "incidents": s.store.incidents} {
		for id, e := range from {
			if e.visible(now) {
				all = append(all, Sight{Object: resource + "/" + id, Since: e.visibleAt, Document: e.doc.clone()})
			}
		}
	}
	return all
}

// Other is a change that was not asked for through the API: by a person, or by the service itself.
type Other struct {
	After  int    // how many effects came before
	Object string // "alerts/ID" or "incidents/ID"
	By     string
	Fields []string // none: the whole document
}

// Others returns the changes that are not in the effect log, oldest first.
func (s *Server) Others() []Other {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.others)
}

// other notes a change of somebody else down. The lock must be held.
func (s *Server) other(e *entry, by string, fields Document) {
	object := "alerts/"
	if s.store.alerts[e.doc.text("id")] != e {
		object = "incidents/"
	}
	s.others = append(s.others, Other{After: len(s.effects.list), Object: object + e.doc.text("id"), By: by,
		Fields: slices.Sorted(maps.Keys(fields))})
}
