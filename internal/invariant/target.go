package invariant

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
)

// Target is a system that was acted upon, with a log of its own.
type Target struct {
	Name    string
	Tenant  string // as the journal calls it; "" if it is none
	Effects []Effect
	// Takes says which actions go there.
	Takes func(action string) bool
	// Documents are what it shows in the end, by object; nil: that is not checked.
	Documents map[string]map[string]any
	// Others are changes that did not come from us.
	Others []Other
}

// Effect is one line of a log: something that was done.
type Effect struct {
	RequestID string    // of the attempt, where the system is told
	Key       string    // of the part, where it is not
	Time      time.Time // zero: unknown
	Op        string
	Object    string
	// Fields are what it wrote, as "OBJECT.field". The value of a comment is its text.
	Fields map[string]any
}

// Other is a change by somebody else.
type Other struct {
	After  int // how many effects came before
	Object string
	Fields []string // none: all of it
}

// ToGraph are the actions that go to Graph, or to Defender beside it.
func ToGraph(action string) bool {
	return strings.HasPrefix(action, "alert.") || strings.HasPrefix(action, "incident.") || strings.HasPrefix(action, "device.")
}

// ToHTTP are the actions that go elsewhere.
func ToHTTP(action string) bool {
	return strings.HasPrefix(action, "http.") || strings.HasPrefix(action, "notify.")
}

// Simulator adds a simulated tenant: its log, its documents, and all that polls could see of it.
// tenant is its name in the configuration.
func (c *Case) Simulator(tenant string, sim *simulator.Server) {
	t := Target{Name: "simulator", Tenant: tenant, Takes: ToGraph, Documents: map[string]map[string]any{}}
	for _, e := range sim.Effects() {
		t.Effects = append(t.Effects, Simulated(e))
	}
	for _, o := range sim.Others() {
		t.Others = append(t.Others, Other{After: o.After, Object: o.Object, Fields: o.Fields})
	}
	polls := map[string]*Poll{}
	for _, resource := range []string{"alerts", "incidents"} {
		polls[resource] = &Poll{Tenant: tenant, Resource: resource}
	}
	for _, s := range sim.Sights() {
		t.Documents[s.Object] = s.Document
		resource, _, _ := strings.Cut(s.Object, "/")
		polls[resource].Objects = append(polls[resource].Objects, Object{Document: s.Document, Since: s.Since})
	}
	c.Targets = append(c.Targets, t)
	c.Polls = append(c.Polls, *polls["alerts"], *polls["incidents"])
}

// Simulated makes an effect of a line of the simulator's log.
func Simulated(e simulator.Effect) Effect {
	out := Effect{RequestID: e.ClientRequestID, Time: e.Time, Op: e.Op, Object: e.Object, Fields: map[string]any{}}
	if e.Method == "PATCH" {
		var body map[string]any
		if json.Unmarshal(e.Body, &body) == nil {
			for field, v := range body {
				out.Fields[e.Object+"."+field] = v
			}
		}
	}
	for field, change := range e.Changed {
		if strings.HasPrefix(field, "alerts/") || strings.HasPrefix(field, "incidents/") {
			out.Fields[field] = change.New
		} else {
			out.Fields[e.Object+"."+field] = change.New
		}
	}
	return out
}

// place is where in the journal the intent of an effect is.
type place struct {
	run  engine.RunID
	path string
}

// ledger is a target's log, indexed, with what the journal knows of it.
type ledger struct {
	*Target
	byRequest map[string][]int
	byKey     map[string][]int
	known     []bool
	// last holds the effect that wrote a field last; one that somebody else changed later is
	// not in it.
	last     map[string]int
	replaced map[string]int // by object: how many effects came before somebody replaced it
	writers  map[int]place  // by effect
}

func newLedger(t *Target) *ledger {
	l := &ledger{Target: t, byRequest: map[string][]int{}, byKey: map[string][]int{}, known: make([]bool, len(t.Effects)),
		last: map[string]int{}, replaced: map[string]int{}, writers: map[int]place{}}
	for i, e := range t.Effects {
		if e.RequestID != "" {
			l.byRequest[e.RequestID] = append(l.byRequest[e.RequestID], i)
		} else {
			l.byKey[e.Key] = append(l.byKey[e.Key], i)
		}
		for field := range e.Fields {
			l.last[field] = i
		}
	}
	changed := map[string]int{} // by field: how many effects came before somebody else changed it
	for _, o := range t.Others {
		if len(o.Fields) == 0 {
			l.replaced[o.Object] = max(o.After, l.replaced[o.Object])
		}
		for _, field := range o.Fields {
			changed[o.Object+"."+field] = max(o.After, changed[o.Object+"."+field])
		}
	}
	for field, i := range l.last {
		if object, _ := cutField(field); i < max(l.replaced[object], changed[field]) {
			delete(l.last, field)
		}
	}
	return l
}

// cutField takes "alerts/ID.field" apart. Ids may hold dots, names of fields don't.
func cutField(field string) (object, name string) {
	at := max(strings.LastIndexByte(field, '.'), 0)
	return field[:at], strings.TrimPrefix(field[at:], ".")
}
