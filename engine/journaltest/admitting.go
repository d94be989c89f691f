package journaltest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
)

func admitting() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"an event is kept with the run that it starts": func(t *testing.T, w world) {
			ev := event("e1")
			p := plan(ev, "triage")
			p.Run.Key, p.Run.Message = "k", "planned"
			p.Entries = []engine.Entry{entry(1), entry(2)}
			p.Writes = []engine.Write{write(p.Run, ev.Object, at(1))}
			receipt := w.admit(admission(planned(ev, p)))
			same(t, "receipt", receipt, engine.Receipt{Admitted: 1, Matched: 1, Started: []engine.RunID{p.Run.ID}})
			same(t, "loaded", w.load(p.Run.ID), engine.Loaded{
				Run: p.Run, Event: ev, Entries: p.Entries, Source: source("triage"),
			})
			writes, err := w.Writes(t.Context(), ev.Tenant, ev.Object, at(0))
			if err != nil {
				t.Fatal(err)
			}
			same(t, "writes", writes, p.Writes)
		},
		"an event that starts nothing is kept too": func(t *testing.T, w world) {
			receipt := w.admit(admission(planned(event("e1"))))
			same(t, "receipt", receipt, engine.Receipt{Admitted: 1})
			same(t, "known", w.knows("e1"), true)
		},
		"an event that is known counts as a duplicate and changes nothing": func(t *testing.T, w world) {
			first := event("e1")
			w.admit(admission(planned(first)))
			second := first
			second.Payload = []byte(`{"other":true}`)
			receipt := w.admit(admission(planned(second, plan(second, "triage"))))
			same(t, "receipt", receipt, engine.Receipt{Duplicates: 1, Repeated: []int{0}})
			same(t, "ready", w.ready(at(0), 9), []engine.RunID{})
			latest, err := w.Latest(t.Context(), first.Tenant, first.Object)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "event", latest, first)
		},
		"an event that is twice in a batch is one event": func(t *testing.T, w world) {
			ev := event("e1")
			receipt := w.admit(admission(planned(ev, plan(ev, "triage")), planned(ev, plan(ev, "triage"))))
			same(t, "receipt", receipt, engine.Receipt{Admitted: 1, Duplicates: 1, Repeated: []int{1}, Matched: 1, Started: []engine.RunID{plan(ev, "triage").Run.ID}})
		},
		"a receipt names the runs in the order of the batch": func(t *testing.T, w world) {
			a, b := event("e1"), event("e2")
			receipt := w.admit(admission(planned(b, plan(b, "z"), plan(b, "a")), planned(a, plan(a, "m"))))
			same(t, "started", receipt.Started, []engine.RunID{plan(b, "z").Run.ID, plan(b, "a").Run.ID, plan(a, "m").Run.ID})
		},
		"a position moves together with its events": func(t *testing.T, w world) {
			same(t, "position", w.position("poll/alerts"), "")
			a := admission(planned(event("e1")))
			a.Cursor = &engine.Cursor{Source: "poll/alerts", Position: "p1"}
			w.admit(a)
			same(t, "position", w.position("poll/alerts"), "p1")
			w.admit(engine.Admission{Cursor: &engine.Cursor{Source: "poll/alerts", From: "p1", Position: "p2"}})
			same(t, "position after a batch without events", w.position("poll/alerts"), "p2")
			same(t, "another position", w.position("poll/incidents"), "")
			w.admit(engine.Admission{Cursor: &engine.Cursor{Source: "poll/alerts", From: "p2", Position: ""}})
			same(t, "position after it was given back", w.position("poll/alerts"), "")
			w.admit(engine.Admission{Cursor: &engine.Cursor{Source: "poll/alerts", Position: "p3"}})
			same(t, "position", w.position("poll/alerts"), "p3")
		},
		"a position that somebody else moved admits nothing": func(t *testing.T, w world) {
			w.admit(engine.Admission{Cursor: &engine.Cursor{Source: "s", Position: "p1"}})
			for _, from := range []string{"", "p0", "p1 "} {
				ev := event("e1")
				a := admission(planned(ev, plan(ev, "triage")))
				a.Cursor = &engine.Cursor{Source: "s", From: from, Position: "p2"}
				if _, err := w.Admit(t.Context(), a); !errors.Is(err, engine.ErrCursorMoved) {
					t.Fatalf("from %q: %v", from, err)
				}
			}
			same(t, "known", w.knows("e1"), false)
			same(t, "ready", w.ready(at(0), 9), []engine.RunID{})
			same(t, "position", w.position("s"), "p1")
		},
		"a batch of which one event can't be stored leaves nothing behind": func(t *testing.T, w world) {
			good, bad := event("good"), event("bad")
			keyed := plan(good, "triage")
			keyed.DedupeKey, keyed.DedupeWindow = "k", time.Hour
			keyed.Writes = []engine.Write{write(keyed.Run, good.Object, at(1))}
			a := admission(planned(good, keyed), planned(bad, plan(bad, "other")))
			delete(a.Documents, digest(source("other"))) // the last thing that can be noticed
			a.Cursor = &engine.Cursor{Source: "s", Position: "p1"}
			if _, err := w.Admit(t.Context(), a); err == nil {
				t.Fatal("a run without its playbook was admitted")
			}
			same(t, "known", w.knows("good"), false)
			same(t, "position", w.position("s"), "")
			same(t, "ready", w.ready(at(0), 9), []engine.RunID{})
			if _, err := w.Load(t.Context(), keyed.Run.ID); !errors.Is(err, engine.ErrNotFound) {
				t.Fatalf("load: %v", err)
			}
			if _, err := w.Latest(t.Context(), good.Tenant, good.Object); !errors.Is(err, engine.ErrNotFound) {
				t.Fatalf("latest: %v", err)
			}
			// The same again without the bad one: neither the event nor the dedupe key is taken.
			receipt := w.admit(admission(planned(good, keyed)))
			same(t, "receipt", receipt, engine.Receipt{Admitted: 1, Matched: 1, Started: []engine.RunID{keyed.Run.ID}})
		},
		"documents are handed over once": func(t *testing.T, w world) {
			w.begin("e1", "triage")
			ev := event("e2")
			a := admission(planned(ev, plan(ev, "triage")))
			a.Documents = nil
			w.admit(a)
			same(t, "source", string(w.load(plan(ev, "triage").Run.ID).Source), string(source("triage")))
		},
		"a run has the watchlists that it was started with": func(t *testing.T, w world) {
			ev := event("e1")
			p := plan(ev, "triage")
			vips, none := []byte(`["ann","bob"]`), []byte{}
			p.Run.Lists = map[string]string{"vips": digest(vips), "none": digest(none)}
			a := admission(planned(ev, p))
			a.Documents[digest(vips)], a.Documents[digest(none)] = vips, none
			w.admit(a)
			l := w.load(p.Run.ID)
			same(t, "lists of the run", l.Run.Lists, p.Run.Lists)
			same(t, "lists", l.Lists, map[string][]byte{"vips": vips, "none": none})
			runs, err := w.Ready(t.Context(), at(0), 1)
			if err != nil || len(runs) != 1 {
				t.Fatal(runs, err)
			}
			same(t, "ready run", runs[0], p.Run)
		},
		"a run that could not go on is refused": func(t *testing.T, w world) {
			for name, spoil := range map[string]func(*engine.PlannedRun){
				"no ID":             func(p *engine.PlannedRun) { p.Run.ID = "" },
				"another event":     func(p *engine.PlannedRun) { p.Run.Event = "e2" },
				"no creation":       func(p *engine.PlannedRun) { p.Run.Created = time.Time{} },
				"unknown mode":      func(p *engine.PlannedRun) { p.Run.Mode = "lively" },
				"unknown state":     func(p *engine.PlannedRun) { p.Run.State = "resting" },
				"waits for nothing": func(p *engine.PlannedRun) { p.Run.State = engine.Waiting },
				"over without end":  func(p *engine.PlannedRun) { p.Run.State = engine.Failed },
				"end but not over":  func(p *engine.PlannedRun) { p.Run.Ended = at(1) },
				"negative window":   func(p *engine.PlannedRun) { p.DedupeKey, p.DedupeWindow = "k", -1 },
				"unknown watchlist": func(p *engine.PlannedRun) { p.Run.Lists = map[string]string{"vips": "sha256:00"} },
				"foreign write":     func(p *engine.PlannedRun) { p.Writes = []engine.Write{{Run: "r2"}} },
				"entry without kind": func(p *engine.PlannedRun) {
					p.Entries = []engine.Entry{{Seq: 1}}
				},
			} {
				ev := event("e1")
				p := plan(ev, "triage")
				spoil(&p)
				if _, err := w.Admit(t.Context(), admission(planned(ev, p))); err == nil {
					t.Errorf("%s: admitted", name)
				}
			}
			same(t, "known", w.knows("e1"), false)
		},
		"a history begins with entry 1": func(t *testing.T, w world) {
			for _, entries := range [][]engine.Entry{{entry(2)}, {entry(0)}, {entry(1), entry(1)}, {entry(1), entry(3)}} {
				ev := event("e1")
				p := plan(ev, "triage")
				p.Entries = entries
				if _, err := w.Admit(t.Context(), admission(planned(ev, p))); !errors.Is(err, engine.ErrOutOfOrder) {
					t.Errorf("%v: %v", entries, err)
				}
			}
		},
		"an event without an ID is refused": func(t *testing.T, w world) {
			if _, err := w.Admit(t.Context(), admission(planned(event("e1")), engine.Planned{})); err == nil {
				t.Fatal("admitted")
			}
			same(t, "known", w.knows("e1"), false)
		},
		"a document that is not what its digest says is refused": func(t *testing.T, w world) {
			a := admission(planned(event("e1")))
			a.Documents = map[string][]byte{digest(source("a")): source("b")}
			if _, err := w.Admit(t.Context(), a); err == nil {
				t.Fatal("admitted")
			}
		},
		"an unknown verdict is refused": func(t *testing.T, w world) {
			p := planned(event("e1"))
			p.Matches = []engine.Match{{Playbook: "a", Verdict: "perhaps"}}
			if _, err := w.Admit(t.Context(), admission(p)); err == nil {
				t.Fatal("admitted")
			}
		},
		"every playbook of the set has a decision": func(t *testing.T, w world) {
			ev := event("e1")
			p := planned(ev, plan(ev, "b"))
			p.Matches = append(p.Matches, engine.Match{Playbook: "c", Digest: "dc", Verdict: engine.NotMatched, Detail: "x == 1"})
			a := admission(p)
			a.Set = engine.PlaybookSet{Digest: "set1", Members: []engine.SetMember{
				{Name: "a", Digest: "da"}, {Name: "b", Digest: digest(source("b"))}, {Name: "c", Digest: "dc"},
			}}
			w.admit(a)
			// Another set later, and none: what was decided before stays.
			a = admission(planned(event("e2")))
			a.Set = engine.PlaybookSet{Digest: "set2", Members: []engine.SetMember{{Name: "a", Digest: "da2"}}}
			w.admit(a)
			w.admit(admission(planned(event("e3"))))
			same(t, "decisions", w.decisions("e1"), []engine.Match{
				{Playbook: "a", Digest: "da", Verdict: engine.Skipped, Reason: engine.SkipNoTrigger},
				p.Matches[0], p.Matches[1],
			})
			same(t, "decisions under another set", w.decisions("e2"), []engine.Match{
				{Playbook: "a", Digest: "da2", Verdict: engine.Skipped, Reason: engine.SkipNoTrigger},
			})
			if got := w.decisions("e3"); len(got) != 0 {
				t.Fatalf("decisions without a set: %+v", got)
			}
		},
		"what is not stored follows from the screens and the facts": func(t *testing.T, w world) {
			ev := event("e1")
			p := planned(ev, plan(ev, "matching"))
			p.Facts = facts()
			a := admission(p)
			a.Set = screened(digest(source("matching")))
			w.admit(a)
			same(t, "decisions", w.decisions("e1"), []engine.Match{
				{Playbook: "deaf", Digest: "d", Verdict: engine.Skipped, Reason: engine.SkipNoTrigger},
				{Playbook: "off", Digest: "d", Verdict: engine.Skipped, Reason: engine.SkipDisabled},
				{Playbook: "over", Digest: "d", Verdict: engine.Skipped, Reason: engine.SkipExpired, Detail: "expired 2026-01-31"},
				{Playbook: "foreign", Digest: "d", Verdict: engine.Skipped, Reason: engine.SkipTenant, Detail: "contoso"},
				{Playbook: "first", Digest: "d", Verdict: engine.Skipped, Reason: engine.SkipVersion},
				{Playbook: "filtered", Digest: "d", Verdict: engine.Skipped, Reason: engine.SkipFilter, Detail: "f1"},
				{Playbook: "picky", Digest: "d", Verdict: engine.NotMatched, Detail: "w2"},
				{Playbook: "listed", Digest: "d", Verdict: engine.NotMatched, Detail: "w1"},
				{Playbook: "faulty", Digest: "d", Verdict: engine.Skipped, Reason: engine.SkipError, Detail: `expression "when": text has no fields`},
				p.Matches[0],
			})
		},
		"an event that could not be read has one reason for all who listen": func(t *testing.T, w world) {
			p := planned(event("e1"))
			p.Facts = &engine.Facts{At: at(0), Fault: "it is not JSON"}
			a := admission(p)
			a.Set = screened("d")
			w.admit(a)
			for _, m := range w.decisions("e1") {
				if want := (engine.Match{Playbook: m.Playbook, Digest: "d", Verdict: engine.Skipped, Reason: engine.SkipError, Detail: "it is not JSON"}); m.Playbook != "deaf" && !reflect.DeepEqual(m, want) {
					t.Errorf("%+v", m)
				}
			}
		},
		"a decision that neither is stored nor follows is an error and no third state": func(t *testing.T, w world) {
			p := planned(event("e1")) // without the match of a playbook whose screen lets it through
			p.Facts = facts()
			a := admission(p)
			a.Set = screened("d")
			w.admit(a)
			if list, err := w.show("e1"); err == nil {
				t.Fatalf("%+v", list)
			}
		},
	}
}

// facts are what screened asks.
func facts() *engine.Facts {
	return &engine.Facts{
		At: at(0), Updated: true,
		Values: map[string]engine.Constants{"alert.a": {"x"}, "alert.n": {int64(5)}, "alert.none": {nil}, "alert.b": {true}},
		Lists:  map[string][]string{"alert.a": {"known"}},
		Faults: map[string]string{"alert.a.b": "text has no fields"},
	}
}

// screened is a set with a playbook for each reason that a screen can give, and one that is let
// through.
func screened(matching string) engine.PlaybookSet {
	terms := func(list ...engine.GateTerm) *engine.Screen {
		return &engine.Screen{Gates: map[string]engine.Gate{"poll/alerts": {Filter: "filter", When: "when", Terms: list}}}
	}
	open := map[string]engine.Gate{"poll/alerts": {}}
	is := func(text, key string, values ...any) engine.GateTerm {
		return engine.GateTerm{Text: text, Key: key, Values: values}
	}
	filter := is("f1", "alert.a", "y")
	filter.Filter = true
	return engine.PlaybookSet{Digest: "screened " + matching, Members: []engine.SetMember{
		{Name: "deaf", Digest: "d", Screen: &engine.Screen{Gates: map[string]engine.Gate{"poll/incidents": {}}}},
		{Name: "off", Digest: "d", Screen: &engine.Screen{Disabled: true, Gates: open}},
		{Name: "over", Digest: "d", Screen: &engine.Screen{Expires: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), Gates: open}},
		{Name: "foreign", Digest: "d", Screen: &engine.Screen{Tenants: []string{"fabrikam"}, Gates: open}},
		{Name: "first", Digest: "d", Screen: &engine.Screen{Gates: map[string]engine.Gate{"poll/alerts": {On: "created"}}}},
		{Name: "filtered", Digest: "d", Screen: terms(filter, is("w1", "alert.a", "z"))},
		{Name: "picky", Digest: "d", Screen: terms(is("w1", "alert.n", int64(4), int64(5)), engine.GateTerm{Text: "w2", Key: "alert.none", Values: engine.Constants{nil}, Not: true})},
		{Name: "listed", Digest: "d", Screen: terms(engine.GateTerm{Text: "w1", Key: "alert.a", List: "known", Not: true})},
		{Name: "faulty", Digest: "d", Screen: terms(is("w1", "alert.b", true), engine.GateTerm{Text: "w2", Key: "alert.a.b", Values: engine.Constants{"x"}, Not: true})},
		{Name: "matching", Digest: matching, Screen: terms(is("w1", "alert.a", "x"), engine.GateTerm{Text: "w2", Key: "alert.a", List: "known"})},
	}}
}
