package simulator

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Alert returns a copy of an alert as it is now, seen or not yet seen from outside; nil when there is none.
func (s *Server) Alert(id string) Document { return s.copyOf(s.store.alerts, id) }

// Incident returns a copy of an incident as it is now; nil when there is none.
func (s *Server) Incident(id string) Document { return s.copyOf(s.store.incidents, id) }

// Alerts returns copies of all alerts that can be seen now, newest first.
func (s *Server) Alerts() []Document { return s.copies(s.store.alerts) }

// Incidents returns copies of all incidents that can be seen now, newest first.
func (s *Server) Incidents() []Document { return s.copies(s.store.incidents) }

func (s *Server) copyOf(from map[string]*entry, id string) Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store.settle(s.now())
	if e := from[id]; e != nil {
		return e.doc.clone()
	}
	return nil
}

func (s *Server) copies(from map[string]*entry) []Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.store.settle(now)
	rows := shown(from, now)
	newestFirst(rows)
	out := make([]Document, len(rows))
	for i, e := range rows {
		out[i] = e.doc.clone()
	}
	return out
}

// Arrival delays a document that is added while the simulator runs.
type Arrival struct {
	Visible  time.Duration // hidden for this long from now, whatever its timestamps say
	Evidence time.Duration // then without evidence for this long; filling it in bumps lastUpdateDateTime
}

// byLoader is who changed a document that was replaced while the simulator runs.
const byLoader = "simulator"

// Add puts documents into the running simulator, visible at once. A document whose id is known is replaced.
func (s *Server) Add(docs ...Document) error { return s.AddLate(Arrival{}, docs...) }

// AddLate puts documents into the running simulator that become visible, or complete, later.
func (s *Server) AddLate(a Arrival, docs ...Document) error {
	if a.Visible < 0 || a.Evidence < 0 {
		return fmt.Errorf("arrival %+v: delays cannot be negative", a)
	}
	var sorted Documents
	for i, doc := range docs {
		own, err := ownCopy(doc)
		if err != nil {
			return fmt.Errorf("document %d: %w", i+1, err)
		}
		kind, err := kindOf(own, "")
		if err != nil {
			return fmt.Errorf("document %d: %w", i+1, err)
		}
		switch kind {
		case "alert":
			sorted.Alerts = append(sorted.Alerts, own)
		case "machine":
			sorted.Machines = append(sorted.Machines, own)
		default:
			sorted.Incidents = append(sorted.Incidents, own)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.store.settle(now)
	at := now.Add(a.Visible)
	for _, doc := range sorted.Machines {
		s.putMachine(doc)
	}
	for _, doc := range sorted.Incidents {
		if old := s.store.incidents[doc.text("id")]; old != nil {
			s.other(old, byLoader, nil)
		}
		s.store.put(s.store.incidents, doc, at)
	}
	for _, doc := range sorted.Alerts {
		if old := s.store.alerts[doc.text("id")]; old != nil {
			s.other(old, byLoader, nil)
		}
		s.arrive(doc, arrival{at, now.Add(a.Visible + a.Evidence)}, now)
	}
	return nil
}

// ownCopy checks a document and takes it over in decoded form, whatever Go values it was built from.
func ownCopy(doc Document) (Document, error) {
	v, err := plain(doc)
	if err != nil {
		return nil, err
	}
	own, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the document is null: give an object")
	}
	return own, checkDocument(own)
}

// arrival is when an alert becomes visible, and when its evidence does.
type arrival struct{ visible, evidence time.Time }

// fill takes in the documents of the options. Generated documents appear at their creation; loaded ones are
// there at once, since an export is usually older, and a simulated clock may stand anywhere. An incident
// appears with the first of its alerts.
func (s *Server) fill(docs Documents, generated bool) error {
	now := s.now()
	for i, doc := range docs.Machines {
		own, err := ownCopy(doc)
		if err != nil {
			return fmt.Errorf("machine %d: %w", i+1, err)
		}
		s.putMachine(own)
	}
	alerts, arrivals := make([]Document, len(docs.Alerts)), make([]arrival, len(docs.Alerts))
	first := map[string]time.Time{}
	for i, doc := range docs.Alerts {
		own, err := ownCopy(doc)
		if err != nil {
			return fmt.Errorf("alert %d: %w", i+1, err)
		}
		base := now
		if generated {
			base = own.at("createdDateTime")
		}
		visible, evidence := s.delays(own.text("id"))
		at := arrival{base.Add(visible), base.Add(visible + evidence)}
		if known, ok := first[own.text("incidentId")]; !ok || at.visible.Before(known) {
			first[own.text("incidentId")] = at.visible
		}
		alerts[i], arrivals[i] = own, at
	}
	for i, doc := range docs.Incidents {
		own, err := ownCopy(doc)
		if err != nil {
			return fmt.Errorf("incident %d: %w", i+1, err)
		}
		s.store.put(s.store.incidents, own, first[own.text("id")])
	}
	for i, doc := range alerts {
		s.arrive(doc, arrivals[i], now)
	}
	return nil
}

// delays chooses, by seed and id, whether and how late an alert is.
func (s *Server) delays(id string) (visible, evidence time.Duration) {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%d/%s", s.opts.Seed, id)
	rng := rand.New(rand.NewPCG(hash.Sum64(), 0x1a7e))
	if rng.Float64() >= s.opts.Late.Share {
		return 0, 0
	}
	return time.Duration(rng.Float64() * float64(s.opts.Late.Visible)), time.Duration(rng.Float64() * float64(s.opts.Late.Evidence))
}

// arrive puts an alert into the store, its evidence held back until its time. An incident it names is made if
// there is none, and notices alerts that join it later.
func (s *Server) arrive(doc Document, at arrival, now time.Time) {
	e := s.store.put(s.store.alerts, doc, at.visible)
	if evidence, ok := doc["evidence"].([]any); ok {
		s.enrol(evidence)
	}
	if full, ok := doc["evidence"].([]any); ok && len(full) > 0 && at.evidence.After(at.visible) && at.evidence.After(now) {
		doc["evidence"] = []any{}
		s.store.schedule(later{due: at.evidence, entry: e, fields: Document{"evidence": full}})
	}
	id := doc.text("incidentId")
	if id == "" {
		return
	}
	incident := s.store.incidents[id]
	switch {
	case incident == nil:
		s.store.adopt(id, e, s.opts.Tenant)
	case at.visible.Before(incident.visibleAt):
		incident.visibleAt = at.visible
	case at.visible.After(incident.visibleAt) && at.visible.After(now):
		s.store.schedule(later{due: at.visible, entry: incident})
	}
}

// adopt makes the incident an alert names.
func (st *store) adopt(id string, alert *entry, tenant string) {
	created := alert.doc.text("createdDateTime")
	if created == "" {
		created = formatTime(time.Unix(0, 0))
	}
	severity := orDefault(alert.doc.text("severity"), "unknown")
	doc := incidentDocument(id, orDefault(alert.doc.text("tenantId"), tenant), alert.doc.text("title"), severity, created)
	if updated := alert.doc.text("lastUpdateDateTime"); updated != "" {
		doc["lastUpdateDateTime"] = updated
	}
	st.put(st.incidents, doc, alert.visibleAt)
}

// Touch changes fields of an alert or incident as a person in the portal would: without the API's rules and
// without a line in the effect log, but with a new lastUpdateDateTime. An incident remembers who did it.
func (s *Server) Touch(id string, fields Document, by string) error {
	v, err := plain(fields)
	if err != nil {
		return err
	}
	own, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("no fields were given for %q", id)
	}
	if given, ok := own["id"]; ok && given != id {
		return fmt.Errorf("the id of %q cannot be changed", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.store.settle(now)
	e, err := s.inPortal(id, by)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		e.doc[name] = own[name]
	}
	s.other(e, by, own)
	if _, own := own["lastUpdateDateTime"]; !own {
		s.store.touch(e, now)
	}
	return nil
}

// inPortal finds the alert or incident that a person changes in the portal. An incident says who that was.
func (s *Server) inPortal(id, by string) (*entry, error) {
	if e := s.store.alerts[id]; e != nil {
		return e, nil
	}
	e := s.store.incidents[id]
	if e == nil {
		return nil, fmt.Errorf("there is no alert or incident %q: its ids are those of Alerts and Incidents", id)
	}
	e.doc["lastModifiedBy"] = by
	return e, nil
}

// Comment adds a comment to an alert or incident as a person in the portal would.
func (s *Server) Comment(id, text, by string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.store.settle(now)
	e, err := s.inPortal(id, by)
	if err != nil {
		return err
	}
	s.store.addComment(e, text, by, now, false)
	s.other(e, by, Document{"comments": nil})
	return nil
}
