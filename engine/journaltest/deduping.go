package journaltest

import (
	"errors"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// dedupes plans a run that was created at a time and may not be repeated for an hour.
func dedupes(id, playbook, key string, created time.Time) engine.Planned {
	ev := event(id)
	p := plan(ev, playbook)
	p.Run.Created, p.DedupeKey, p.DedupeWindow = created, key, time.Hour
	return planned(ev, p)
}

func deduping() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"a run is not repeated within its window, to the nanosecond": func(t *testing.T, w world) {
			for i, step := range []struct {
				created time.Time
				starts  int
			}{
				{at(0), 1},
				{at(0), 0},
				{at(-10), 0}, // our clock went back
				{at(3600).Add(-time.Nanosecond), 0},
				{at(3600), 1}, // and with it a new window begins
				{at(7200).Add(-time.Nanosecond), 0},
				{at(7200), 1},
			} {
				r := w.admit(admission(dedupes(string(rune('a'+i)), "triage", "k", step.created)))
				if r.Matched != step.starts || r.Admitted != 1 {
					t.Fatalf("run %d created at %v: %+v", i, step.created, r)
				}
			}
		},
		"the decision says which run would have been repeated": func(t *testing.T, w world) {
			first, second := dedupes("e1", "triage", "k", at(0)), dedupes("e2", "triage", "k", at(1))
			w.admit(admission(first))
			w.admit(admission(second))
			same(t, "decisions", w.decisions("e2"), []engine.Match{{
				Playbook: "triage", Digest: digest(source("triage")), Verdict: engine.Skipped,
				Reason: engine.SkipDuplicate, Detail: string(first.Runs[0].Run.ID),
			}})
			same(t, "first decision", w.decisions("e1"), first.Matches)
			if _, err := w.Load(t.Context(), second.Runs[0].Run.ID); !errors.Is(err, engine.ErrNotFound) {
				t.Fatalf("load: %v", err)
			}
		},
		"it holds within a batch": func(t *testing.T, w world) {
			first, second := dedupes("e1", "triage", "k", at(0)), dedupes("e2", "triage", "k", at(0))
			r := w.admit(admission(first, second))
			same(t, "receipt", r, engine.Receipt{Admitted: 2, Matched: 1, Started: []engine.RunID{first.Runs[0].Run.ID}})
		},
		"other keys, playbooks and tenants are not concerned": func(t *testing.T, w world) {
			w.admit(admission(dedupes("e1", "triage", "k", at(0))))
			other := dedupes("e4", "triage", "k", at(0))
			other.Event.Tenant, other.Runs[0].Run.Tenant = "fabrikam", "fabrikam"
			for _, p := range []engine.Planned{dedupes("e2", "triage", "K", at(0)), dedupes("e3", "other", "k", at(0)), other} {
				if r := w.admit(admission(p)); r.Matched != 1 {
					t.Fatalf("%s: %+v", p.Event.ID, r)
				}
			}
		},
		"the key is taken while the window lasts, also when the run is over": func(t *testing.T, w world) {
			first := dedupes("e1", "triage", "k", at(0))
			w.admit(admission(first))
			w.finish(first.Runs[0].Run)
			if r := w.admit(admission(dedupes("e2", "triage", "k", at(200)))); r.Matched != 0 {
				t.Fatalf("%+v", r)
			}
		},
		"runs without a key are not deduplicated": func(t *testing.T, w world) {
			for _, id := range []string{"e1", "e2"} {
				if r := w.admit(admission(dedupes(id, "triage", "", at(0)))); r.Matched != 1 {
					t.Fatalf("%+v", r)
				}
			}
		},
		"an event that is known takes no key": func(t *testing.T, w world) {
			w.admit(admission(planned(event("e1"))))
			w.admit(admission(dedupes("e1", "triage", "k", at(0))))
			if r := w.admit(admission(dedupes("e2", "triage", "k", at(0)))); r.Matched != 1 {
				t.Fatalf("%+v", r)
			}
		},
	}
}
