package journaltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
)

func looking() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"what is not there is not found": func(t *testing.T, w world) {
			if _, err := w.Load(t.Context(), "rnone"); !errors.Is(err, engine.ErrNotFound) {
				t.Errorf("load: %v", err)
			}
			if _, err := w.Latest(t.Context(), "contoso", "alerts/none"); !errors.Is(err, engine.ErrNotFound) {
				t.Errorf("latest: %v", err)
			}
		},
		"of many IDs those that are known are told": func(t *testing.T, w world) {
			var events []engine.Planned
			var ids []string
			want := map[string]bool{}
			for i := range 1500 {
				id := fmt.Sprint("e", i)
				ids = append(ids, id)
				if i%3 == 0 {
					events = append(events, planned(event(id)))
					want[id] = true
				}
			}
			w.admit(admission(events...))
			known, err := w.Known(t.Context(), ids)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "known", known, want)
			known, err = w.Known(t.Context(), nil)
			if err != nil || len(known) != 0 {
				t.Fatalf("of none: %v, %v", known, err)
			}
		},
		"the latest version of an object is the one that was admitted last": func(t *testing.T, w world) {
			v1, v2, other := event("v1"), event("v2"), event("other")
			v1.Object, v2.Object, other.Object = "alerts/a", "alerts/a", "alerts/a"
			v2.Occurred = at(-3600) // late to us, though it happened before
			other.Tenant = "fabrikam"
			w.admit(admission(planned(v1), planned(v2), planned(other)))
			for tenant, want := range map[string]engine.Event{"contoso": v2, "fabrikam": other} {
				got, err := w.Latest(t.Context(), tenant, "alerts/a")
				if err != nil {
					t.Fatal(err)
				}
				same(t, tenant, got, want)
			}
			w.admit(admission(planned(v1))) // a duplicate is not a new version
			got, err := w.Latest(t.Context(), "contoso", "alerts/a")
			if err != nil {
				t.Fatal(err)
			}
			same(t, "after a duplicate", got, v2)
		},
		"the newest version of an object from a source is the one that occurred last": func(t *testing.T, w world) {
			v1, v2, late, tie, pushed, other, byHand := event("v1"), event("v2"), event("late"), event("tie"), event("pushed"), event("other"), event("hand")
			for _, ev := range []*engine.Event{&v1, &v2, &late, &tie, &pushed, &other, &byHand} {
				ev.Object = "alerts/a"
			}
			v2.Occurred, tie.Occurred, pushed.Occurred, other.Occurred = at(-30), at(-30), at(-10), at(-10)
			byHand.Occurred, byHand.By = at(0), "ana"
			late.Occurred, pushed.Source, other.Tenant = at(-90), "webhook/edr", "fabrikam"
			v2.Changes = map[string]engine.Change{"status": {Old: json.RawMessage(`"new"`), By: "person"}, "severity": {New: json.RawMessage(`"low"`), By: "us"}}
			if _, err := w.Newest(t.Context(), v1.Tenant, v1.Object, v1.Source); !errors.Is(err, engine.ErrNotFound) {
				t.Fatalf("of none: %v", err)
			}
			newest := func(when string, want engine.Event) {
				got, err := w.Newest(t.Context(), want.Tenant, want.Object, want.Source)
				if err != nil {
					t.Fatal(err)
				}
				same(t, when, got, want)
			}
			w.admit(admission(planned(v1), planned(v2), planned(pushed), planned(other), planned(late), planned(byHand)))
			newest("after a late one", v2)
			newest("from another source", pushed)
			newest("of another tenant", other)
			w.admit(admission(planned(tie)))
			newest("of two that occurred at once", tie)
			if _, err := w.Newest(t.Context(), v1.Tenant, "", v1.Source); !errors.Is(err, engine.ErrNotFound) {
				t.Errorf("of no object: %v", err)
			}
		},
		"an event that is taken for the first of its object and is not is refused with its batch": func(t *testing.T, w world) {
			v1, v2, other, foreign := event("v1"), event("v2"), event("other"), event("foreign")
			v1.Object, v2.Object, other.Object, foreign.Object = "alerts/a", "alerts/a", "alerts/b", "alerts/a"
			foreign.Tenant = "fabrikam"
			first := func(ev engine.Event) engine.Planned {
				p := planned(ev)
				p.New = true
				return p
			}
			w.admit(admission(first(v1), first(foreign)))
			if _, err := w.Admit(t.Context(), admission(first(other), first(v2))); !errors.Is(err, engine.ErrNotNew) {
				t.Fatalf("a second version: %v", err)
			}
			known, err := w.Known(t.Context(), []string{other.ID, v2.ID})
			if err != nil || len(known) != 0 {
				t.Fatalf("of the refused batch is known: %v, %v", known, err)
			}
			if r := w.admit(admission(first(v1))); r.Duplicates != 1 {
				t.Errorf("the first again: %+v", r) // a duplicate is not decided about
			}
			w.admit(admission(first(other), planned(v2)))
		},
		"events without an object are versions of nothing": func(t *testing.T, w world) {
			ev := event("e1")
			ev.Object = ""
			w.admit(admission(planned(ev)))
			if _, err := w.Latest(t.Context(), ev.Tenant, ""); !errors.Is(err, engine.ErrNotFound) {
				t.Fatal(err)
			}
		},
		"writes since a time come oldest first": func(t *testing.T, w world) {
			a, b := w.begin("e1", "triage"), w.begin("e2", "other")
			w.append(engine.Append{Run: b.ID, State: engine.Ready, Writes: []engine.Write{
				write(b, "alerts/x", at(3)), write(b, "alerts/x", at(1)), write(b, "alerts/y", at(1)),
			}})
			foreign := write(a, "alerts/x", at(2))
			foreign.Tenant = "fabrikam"
			w.append(engine.Append{Run: a.ID, State: engine.Ready, Writes: []engine.Write{
				write(a, "alerts/x", at(2)), foreign,
			}})
			for since, want := range map[time.Time][]engine.Write{
				{}:                              {write(b, "alerts/x", at(1)), write(a, "alerts/x", at(2)), write(b, "alerts/x", at(3))},
				at(2):                           {write(a, "alerts/x", at(2)), write(b, "alerts/x", at(3))},
				at(2).Add(time.Nanosecond):      {write(b, "alerts/x", at(3))},
				at(3).Add(time.Nanosecond):      nil,
				at(2).In(time.FixedZone("", 9)): {write(a, "alerts/x", at(2)), write(b, "alerts/x", at(3))},
			} {
				got, err := w.Writes(t.Context(), "contoso", "alerts/x", since)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != 0 || len(want) != 0 {
					same(t, fmt.Sprint("since ", since), got, want)
				}
			}
		},
		"who has given up is told so, and nothing happens": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			calls := map[string]error{}
			_, calls["Admit"] = w.Admit(ctx, admission(planned(event("e2"))))
			calls["Append"] = w.Append(ctx, engine.Append{Run: r.ID, State: engine.Parked})
			_, calls["Ready"] = w.Ready(ctx, at(0), 9)
			_, calls["NextWake"] = w.NextWake(ctx)
			_, calls["Load"] = w.Load(ctx, r.ID)
			_, calls["Position"] = w.Position(ctx, "s")
			_, calls["Known"] = w.Known(ctx, []string{"e1"})
			_, calls["Latest"] = w.Latest(ctx, r.Tenant, r.Object)
			_, calls["Newest"] = w.Newest(ctx, r.Tenant, r.Object, "poll/alerts")
			_, calls["Uses"] = w.Uses(ctx, engine.Use{Playbook: "triage"}, at(0))
			_, calls["End"] = w.End(ctx, engine.Append{Run: r.ID, State: engine.Failed, Ended: at(1)}, admission(planned(event("e2"))))
			_, calls["Versions"] = w.Versions(ctx, engine.VersionQuery{Tenant: r.Tenant, Source: "poll/alerts", Limit: 1})
			_, calls["Clocks"] = w.Clocks(ctx, r.Tenant, r.Object)
			_, calls["DueClocks"] = w.DueClocks(ctx, r.Tenant, "triage", 1)
			_, calls["Writes"] = w.Writes(ctx, r.Tenant, r.Object, at(0))
			for name, err := range calls {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", name, err)
				}
			}
			same(t, "known", w.knows("e2"), false)
			same(t, "run", w.load(r.ID).Run, r)
		},
	}
}
