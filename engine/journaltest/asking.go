package journaltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// asks is that an event asked for a key.
func asks(id, key string, when time.Time, seen bool) engine.Sighting {
	return engine.Sighting{Tenant: "contoso", Playbook: "triage", Key: key, Event: id, At: when, Window: time.Hour, Seen: seen}
}

// asked is an event whose decisions asked for keys.
func asked(id string, marks ...engine.Sighting) engine.Admission {
	p := planned(event(id))
	p.Sightings = marks
	return admission(p)
}

func (w world) seen(m engine.Sighting) bool {
	w.t.Helper()
	yes, err := w.Seen(w.t.Context(), m)
	if err != nil {
		w.t.Fatal(err)
	}
	return yes
}

func key(name string) engine.StateKey {
	return engine.StateKey{Tenant: "contoso", Playbook: "triage", Key: name}
}

// puts gives a key a value for an hour.
func puts(name, value string, when time.Time) engine.Put {
	p := engine.Put{Tenant: "contoso", Playbook: "triage", Key: name, At: when, Expires: when.Add(time.Hour)}
	if value != "" {
		p.Value = json.RawMessage(value)
	}
	return p
}

func (w world) state(k engine.StateKey, now time.Time) string {
	w.t.Helper()
	raw, err := w.State(w.t.Context(), k, now)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(raw)
}

// leave appends what a decision of a run leaves behind.
func (w world) leave(r engine.Run, l engine.Left) error {
	return w.Append(w.t.Context(), engine.Append{Run: r.ID, State: engine.Ready, Left: l})
}

// has indexes an event under the values of its fields.
func has(id string, when time.Time, traits ...engine.Trait) engine.IndexedEvent {
	for i := range traits {
		traits[i].Kind = "alert"
	}
	return engine.IndexedEvent{Tenant: "contoso", Object: "alerts/" + id, Seen: when, Traits: traits}
}

func user(name string) engine.Trait   { return engine.Trait{Field: "user", Value: name} }
func device(name string) engine.Trait { return engine.Trait{Field: "device", Value: name} }

func query(terms ...engine.HistoryTerm) engine.HistoryQuery {
	return engine.HistoryQuery{Tenant: "contoso", Kind: "alert", Where: terms, From: at(0), To: at(100), Limit: 10}
}

func term(field string, values ...string) engine.HistoryTerm {
	return engine.HistoryTerm{Field: field, Values: values}
}

func (w world) index(events ...engine.IndexedEvent) {
	w.t.Helper()
	if err := w.Index(w.t.Context(), engine.Indexed{Events: events}); err != nil {
		w.t.Fatal(err)
	}
}

func (w world) found(q engine.HistoryQuery) int {
	w.t.Helper()
	objects, err := w.History(w.t.Context(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(objects)
}

func (w world) loads(people ...string) map[string]int {
	w.t.Helper()
	n, err := w.Loads(w.t.Context(), "contoso", people)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func asking() map[string]func(*testing.T, world) {
	tests := map[string]func(*testing.T, world){}
	for _, group := range []map[string]func(*testing.T, world){seeing(), stating(), finding()} {
		for name, test := range group {
			tests[name] = test
		}
	}
	return tests
}

func seeing() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"a decision is kept with what it asked": func(t *testing.T, w world) {
			p := planned(event("e1"))
			p.Matches = []engine.Match{{Playbook: "triage", Digest: "d", Verdict: engine.NotMatched, Detail: "x", Readings: []engine.Reading{
				{Name: "seen", By: "triage", Args: json.RawMessage(`["k",3600]`), Value: json.RawMessage(`true`)},
				{Name: "onDuty", By: "triage", Args: json.RawMessage(`["tier1"]`), Fault: "there is none", Version: "sha256:x"},
			}}}
			w.admit(admission(p))
			same(t, "decisions", w.decisions("e1"), p.Matches)
		},
		"a key is seen by events that ask later, to the end of the window": func(t *testing.T, w world) {
			w.admit(asked("e1", asks("e1", "k", at(0), false)))
			for _, c := range []struct {
				when time.Time
				want bool
			}{{at(-10), true} /* our clock went back */, {at(0), true}, {at(3600), true}, {at(3600).Add(time.Nanosecond), false}} {
				if got := w.seen(asks("e2", "k", c.when, false)); got != c.want {
					t.Errorf("at %v it is seen: %v", c.when, got)
				}
			}
		},
		"an event does not see itself, nor what was asked after it": func(t *testing.T, w world) {
			w.admit(asked("e1", asks("e1", "k", at(0), false)))
			w.admit(asked("e2", asks("e2", "k", at(0), true)))
			if w.seen(asks("e1", "k", at(0), false)) {
				t.Error("the first event has seen the second")
			}
			if !w.seen(asks("e2", "k", at(0), true)) {
				t.Error("the second event has not seen the first")
			}
		},
		"other keys, playbooks and tenants are not concerned by marks": func(t *testing.T, w world) {
			w.admit(asked("e1", asks("e1", "k", at(0), false)))
			for _, change := range []func(*engine.Sighting){
				func(m *engine.Sighting) { m.Key = "K" }, func(m *engine.Sighting) { m.Playbook = "other" }, func(m *engine.Sighting) { m.Tenant = "fabrikam" },
			} {
				m := asks("e2", "k", at(1), false)
				change(&m)
				if w.seen(m) {
					t.Errorf("%+v", m)
				}
			}
		},
		"an answer that is no longer true admits nothing": func(t *testing.T, w world) {
			w.admit(asked("e1", asks("e1", "k", at(0), false)))
			for _, m := range []engine.Sighting{asks("e2", "k", at(1), false), asks("e2", "other", at(1), true)} {
				a := asked("e2", asks("e2", "new", at(1), false), m)
				a.Cursor = &engine.Cursor{Source: "poll/alerts", Position: "1"}
				if _, err := w.Admit(t.Context(), a); !errors.Is(err, engine.ErrMoved) {
					t.Fatalf("admit: %v", err)
				}
			}
			if w.knows("e2") || w.position("poll/alerts") != "" || w.seen(asks("e3", "new", at(1), false)) {
				t.Error("something of it was stored")
			}
		},
		"within a batch the second event has seen the first": func(t *testing.T, w world) {
			first, second := planned(event("e1")), planned(event("e2"))
			first.Sightings = []engine.Sighting{asks("e1", "k", at(0), false)}
			second.Sightings = []engine.Sighting{asks("e2", "k", at(0), true)}
			w.admit(admission(first, second))
		},
		"an event that is known leaves nothing behind": func(t *testing.T, w world) {
			w.admit(admission(planned(event("e1"))))
			w.admit(asked("e1", asks("e1", "k", at(0), false)))
			if w.seen(asks("e2", "k", at(0), false)) {
				t.Error("its mark counts")
			}
		},
		"a run leaves marks behind, too": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			if err := w.leave(r, engine.Left{Sightings: []engine.Sighting{asks("e1", "k", at(0), false)}}); err != nil {
				t.Fatal(err)
			}
			if !w.seen(asks("e2", "k", at(0), false)) {
				t.Error("the key was not seen")
			}
			err := w.leave(w.begin("e2", "triage"), engine.Left{Sightings: []engine.Sighting{asks("e2", "k", at(0), false)}})
			if !errors.Is(err, engine.ErrMoved) {
				t.Errorf("an answer that is no longer true: %v", err)
			}
		},
	}
}

func stating() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"a value is there until it expires": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			if err := w.leave(r, engine.Left{Puts: []engine.Put{puts("k", `{"a":[1,"é"]}`, at(0))}}); err != nil {
				t.Fatal(err)
			}
			if got := w.state(key("k"), at(3600).Add(-time.Nanosecond)); got != `{"a":[1,"é"]}` {
				t.Errorf("it is %q", got)
			}
			if got := w.state(key("k"), at(3600)); got != "" {
				t.Errorf("beyond its time it is %q", got)
			}
			for _, other := range []engine.StateKey{{Tenant: "contoso", Playbook: "other", Key: "k"}, {Tenant: "fabrikam", Playbook: "triage", Key: "k"}, key("K")} {
				if got := w.state(other, at(0)); got != "" {
					t.Errorf("%+v is %q", other, got)
				}
			}
		},
		"the last value counts, and none forgets it": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			err := w.leave(r, engine.Left{Puts: []engine.Put{puts("a", "1", at(0)), puts("a", "2", at(0)), puts("b", "1", at(0)), puts("b", "", at(0))}})
			if a, b := w.state(key("a"), at(1)), w.state(key("b"), at(1)); a != "2" || b != "" || err != nil {
				t.Errorf("a is %q, b is %q, %v", a, b, err)
			}
		},
		"a value that was worked out from another is stored only if that is there": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			from := func(was, value string) error {
				p := puts("k", value, at(0))
				if p.Read = true; was != "" {
					p.Was = json.RawMessage(was)
				}
				return w.Append(t.Context(), engine.Append{Run: r.ID, State: engine.Waiting, Wake: at(9), Entries: []engine.Entry{entry(1)},
					Left: engine.Left{Sightings: []engine.Sighting{asks("e1", value, at(0), false)}, Puts: []engine.Put{p}}})
			}
			if err := from("1", "2"); !errors.Is(err, engine.ErrMoved) {
				t.Errorf("from what is not there: %v", err)
			}
			if l := w.load(r.ID); len(l.Entries) != 0 || l.Run.State != engine.Ready || w.seen(asks("e2", "2", at(0), false)) {
				t.Error("something of it was stored")
			}
			if err := from("", "1"); err != nil {
				t.Error(err)
			}
			if got := w.state(key("k"), at(0)); got != "1" {
				t.Errorf("it is %q", got)
			}
		},
		"there is room for a number of keys that have not expired, and always for those that are there": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			var l engine.Left
			for i := range engine.MaxStateKeys - 1 {
				l.Puts = append(l.Puts, puts(fmt.Sprint(i), "1", at(0)))
			}
			room := func(name string, when time.Time) bool {
				yes, err := w.StateRoom(t.Context(), key(name), when)
				if err != nil {
					t.Fatal(err)
				}
				return yes
			}
			if err := w.leave(r, l); err != nil {
				t.Fatal(err)
			}
			if !room("last", at(1)) {
				t.Error("there is no room for the last one")
			}
			if err := w.leave(r, engine.Left{Puts: []engine.Put{puts("old", "1", at(-3600)), puts("last", "1", at(0))}}); err != nil {
				t.Fatal(err)
			}
			if room("old", at(1)) {
				t.Error("there is room for one that was there")
			}
			if room("more", at(1)) || !room("last", at(1)) || !room("more", at(3600)) {
				t.Errorf("room for one more: %v, for one that is there: %v, when they have expired: %v",
					room("more", at(1)), room("last", at(1)), room("more", at(3600)))
			}
		},
	}
}

func finding() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"objects are found by the values of their fields since they were first seen so": func(t *testing.T, w world) {
			w.index(has("a", at(10), user("ann"), device("d1")), has("b", at(20), user("ann")), has("c", at(30), user("bob"), device("d1")))
			w.index(has("a", at(90), user("ann")))
			past := query(term("user", "ann"))
			past.From = at(11)
			first := query(term("user", "ann"))
			first.To = at(10)
			but := query(term("user", "ann"))
			but.Except = "alerts/a"
			w.index(has("late", at(5), user("ida")), has("late", at(80), user("id-of-ida")))
			names := query(term("user", "ida", "id-of-ida"))
			names.From = at(50)
			few := query(term("user", "ann", "bob"))
			few.Limit = 2
			elsewhere := query(term("user", "ann"))
			elsewhere.Tenant = "fabrikam"
			kind := query(term("user", "ann"))
			kind.Kind = "incident"
			for _, c := range []struct {
				what string
				q    engine.HistoryQuery
				want int
			}{
				{"one value", query(term("user", "ann")), 2}, {"one of two", query(term("user", "ann", "bob")), 3}, {"none of them", query(term("user", "cy")), 0},
				{"two fields", query(term("user", "ann"), term("device", "d1")), 1}, {"two fields, the other way", query(term("device", "d1"), term("user", "ann", "bob")), 2},
				{"another time", past, 1}, {"the ends included", first, 1}, {"another time, another of the values before it", names, 0}, {"but for one", but, 1}, {"at most so many", few, 2},
				{"another tenant", elsewhere, 0}, {"another kind", kind, 0}, {"no fields", query(), 0},
			} {
				if got := w.found(c.q); got != c.want {
					t.Errorf("%s: %d objects, want %d", c.what, got, c.want)
				}
			}
		},
		"an event is indexed as it is admitted, and not if it is known": func(t *testing.T, w world) {
			p := planned(event("e1"))
			x := has("e1", at(0), user("ann"))
			p.Index = &x
			w.admit(admission(p))
			more := has("e1", at(0), user("bob"))
			p.Index = &more
			w.admit(admission(p))
			if a, b := w.found(query(term("user", "ann"))), w.found(query(term("user", "bob"))); a != 1 || b != 0 {
				t.Errorf("ann %d, bob %d", a, b)
			}
		},
		"people have what is assigned to them and open": func(t *testing.T, w world) {
			give := func(object, who string) engine.IndexedEvent {
				return engine.IndexedEvent{Loads: []engine.Load{{Tenant: "contoso", Object: object, Who: who, At: at(0)}}}
			}
			w.index(give("a", "ann"), give("b", "ann"), give("c", "bob"), give("d", "cy"))
			w.index(give("b", "bob"), give("d", ""))
			same(t, "loads", w.loads("ann", "bob", "cy"), map[string]int{"ann": 1, "bob": 2})
			r := w.begin("e1", "triage")
			if err := w.leave(r, engine.Left{Loads: []engine.Load{{Tenant: "contoso", Object: "a", Who: "cy", At: at(1)}}}); err != nil {
				t.Fatal(err)
			}
			same(t, "loads", w.loads("ann", "cy"), map[string]int{"cy": 1})
			if err := w.Index(t.Context(), engine.Indexed{Anew: true}); err != nil {
				t.Fatal(err)
			}
			same(t, "loads learnt anew", w.loads("ann", "bob", "cy"), map[string]int{})
		},
		"which fields are indexed is kept": func(t *testing.T, w world) {
			for _, fields := range [][]playbooks.HistoryField{{{Kind: "alert", Field: "user"}, {Kind: "incident", Field: "title"}}, {{Kind: "alert", Field: "ip"}}} {
				if err := w.Index(t.Context(), engine.Indexed{Fields: fields}); err != nil {
					t.Fatal(err)
				}
				w.index() // and this changes nothing
				got, err := w.Indexed(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				same(t, "fields", got, fields)
			}
			if err := w.Index(t.Context(), engine.Indexed{Fields: []playbooks.HistoryField{}}); err != nil {
				t.Fatal(err)
			}
			if got, err := w.Indexed(t.Context()); err != nil || len(got) != 0 {
				t.Errorf("%v, %v", got, err)
			}
		},
		"stored events are given newest first, page by page": func(t *testing.T, w world) {
			for i := range 5 {
				w.admit(admission(planned(event(fmt.Sprint("e", i)))))
			}
			var ids []string
			for before := ""; ; {
				page, err := w.Stored(t.Context(), before, 2)
				if err != nil {
					t.Fatal(err)
				}
				if len(page) == 0 {
					break
				}
				for _, ev := range page {
					ids = append(ids, ev.ID)
					same(t, "payload", string(ev.Payload), string(event(ev.ID).Payload))
				}
				before = ids[len(ids)-1]
			}
			same(t, "events", ids, []string{"e4", "e3", "e2", "e1", "e0"})
		},
	}
}
