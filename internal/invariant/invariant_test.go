package invariant_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/invariant"
)

// forged is a case with its journal, to be broken.
type forged struct {
	*testing.T
	*invariant.Case
	j *copied
}

// effect finds an effect of the simulator's log (0) or the receiver's (1).
func (f forged) effect(target int, op string) *invariant.Effect {
	f.Helper()
	for i := range f.Targets[target].Effects {
		if e := &f.Targets[target].Effects[i]; e.Op == op {
			return e
		}
	}
	f.Fatalf("the story has no effect %s", op)
	return nil
}

// document gives a copy of a document a place of its own in the case.
func (f forged) document(object string, change func(map[string]any)) {
	docs := map[string]map[string]any{}
	for name, doc := range f.Targets[0].Documents {
		own := map[string]any{}
		for k, v := range doc {
			own[k] = v
		}
		if name == object {
			change(own)
		}
		docs[name] = own
	}
	f.Targets[0].Documents = docs
}

// attempt finds the attempt of a part that ended in a way.
func (f forged) attempt(part string, known bool) engine.AttemptTrace {
	f.Helper()
	for _, l := range f.j.runs {
		for _, step := range engine.Trace(nil, l.Entries) {
			for _, a := range step.Attempts {
				if a.Part == part && !a.Probe && a.Status == engine.Faulty && a.Fault.Unknown != known {
					return a
				}
			}
		}
	}
	f.Fatalf("the story has no such attempt at %s", part)
	return engine.AttemptTrace{}
}

func TestEachViolationIsFoundAndNoOther(t *testing.T) {
	t.Parallel()
	base, journal, witness := story(t)
	clean := func(t *testing.T, k invariant.Case) {
		t.Helper()
		if wrong, err := k.Check(t.Context()); err != nil || len(wrong) > 0 {
			t.Fatalf("a true story is taken for a false one: %v %v", wrong, err)
		}
	}
	clean(t, base)
	base.Journal = journal
	clean(t, base)
	if seen, looked := witness.Violations(); len(seen) > 0 || looked < 8 {
		t.Errorf("of %d requests the witness says %v", looked, seen)
	}
	add := func(list *[]invariant.Effect, e invariant.Effect) { *list = append(*list, e) }
	for _, c := range []struct {
		want  invariant.Code
		how   string
		forge func(f forged)
	}{
		{invariant.Unrecorded, "a line in the simulator's log", func(f forged) {
			add(&f.Targets[0].Effects, invariant.Effect{RequestID: "x", Op: "alert.update", Object: "alerts/a0"})
		}},
		{invariant.Unrecorded, "a line in the receiver's log", func(f forged) {
			add(&f.Targets[1].Effects, invariant.Effect{Key: "x", Op: "POST"})
		}},
		{invariant.Early, "the effect an hour before", func(f forged) {
			e := f.effect(0, "alert.update")
			e.Time = e.Time.Add(-time.Hour)
		}},
		{invariant.Early, "a message an hour before", func(f forged) {
			e := f.effect(1, "POST")
			e.Time = e.Time.Add(-time.Hour)
		}},
		{invariant.Missing, "a PATCH taken out of the log", func(f forged) {
			f.Targets[0].Effects = slices.DeleteFunc(f.Targets[0].Effects, func(e invariant.Effect) bool { return e.Op == "alert.update" && e.Object == "alerts/a0" })
		}},
		{invariant.Missing, "a comment taken out of the log", func(f forged) {
			f.Targets[0].Effects = slices.DeleteFunc(f.Targets[0].Effects, func(e invariant.Effect) bool { return e.Op == "alert.comment" && e.Object == "alerts/a0" })
		}},
		{invariant.Missing, "an isolation taken out of the log", func(f forged) {
			f.Targets[0].Effects = slices.DeleteFunc(f.Targets[0].Effects, func(e invariant.Effect) bool { return e.Op == "device.isolate" })
		}},
		{invariant.Missing, "a message taken out of the log", func(f forged) {
			f.Targets[1].Effects = slices.DeleteFunc(f.Targets[1].Effects, func(e invariant.Effect) bool { return e.Object == "/told" })
		}},
		{invariant.Denied, "a refused PATCH was done", func(f forged) {
			add(&f.Targets[0].Effects, invariant.Effect{RequestID: f.attempt("update", true).RequestID, Op: "alert.update", Object: "alerts/a0"})
		}},
		{invariant.Repeated, "a PATCH carried out twice", func(f forged) { add(&f.Targets[0].Effects, *f.effect(0, "alert.update")) }},
		{invariant.AddedTwice, "the comment whose answer was lost was added", func(f forged) {
			add(&f.Targets[0].Effects, invariant.Effect{RequestID: f.attempt("comment", false).RequestID, Op: "alert.comment", Object: "alerts/a0"})
		}},
		{invariant.OnceTwice, "a message sent twice", func(f forged) { add(&f.Targets[1].Effects, *f.effect(1, "POST")) }},
		{invariant.Blind, "a once-part made again without knowing", func(f forged) {
			l := f.j.run(f.T, "serial", engine.Parked)
			for _, e := range l.Entries {
				if e.Kind == engine.Intent {
					e.Seq, e.Attempt = len(l.Entries)+1, 2
					l.Entries = append(l.Entries, e)
				}
			}
		}},
		{invariant.Marker, "a comment that is gone", func(f forged) {
			f.document("alerts/a0", func(d map[string]any) { d["comments"] = []any{} })
		}},
		{invariant.Marker, "a comment that is there twice", func(f forged) {
			f.document("alerts/a0", func(d map[string]any) {
				list := d["comments"].([]any)
				d["comments"] = append(slices.Clone(list), list...)
			})
		}},
		{invariant.Value, "another status", func(f forged) {
			f.document("alerts/a0", func(d map[string]any) { d["status"] = "inProgress" })
		}},
		{invariant.Lost, "a position beyond what was read", func(f forged) {
			f.j.positions["contoso/poll/alerts"] = time.Now().UTC().Format(time.RFC3339Nano)
		}},
		{invariant.Undecided, "a playbook that listens was passed over", func(f forged) {
			m := f.j.decision(f.T, engine.NotMatched, "")
			m.Verdict, m.Reason, m.Detail = engine.Skipped, engine.SkipNoTrigger, ""
		}},
		{invariant.Undecided, "an event without decisions", func(f forged) {
			ev := f.j.events[0]
			ev.ID += "x"
			f.j.events = append(f.j.events, ev)
		}},
		{invariant.Verdict, "no term is named", func(f forged) { f.j.decision(f.T, engine.NotMatched, "").Detail = "" }},
		{invariant.Verdict, "a reason that is none", func(f forged) {
			f.j.decision(f.T, engine.Skipped, engine.SkipDuplicate).Reason = "mood"
		}},
		{invariant.Verdict, "a verdict that is none", func(f forged) {
			f.j.decision(f.T, engine.Skipped, engine.SkipDuplicate).Verdict = "perhaps"
		}},
		{invariant.NoRun, "a duplicate of a run that is not there", func(f forged) {
			f.j.decision(f.T, engine.Skipped, engine.SkipDuplicate).Detail = "rnone"
		}},
		{invariant.Unasked, "the decision that started a run says no", func(f forged) {
			m := f.j.decision(f.T, engine.Matched, "")
			m.Verdict, m.Run, m.Detail = engine.NotMatched, "", "alert.title == \"x\""
		}},
		{invariant.NoEnd, "a history that stops before its end", func(f forged) {
			l := f.j.run(f.T, "close", engine.Succeeded)
			l.Entries = l.Entries[:len(l.Entries)-1]
		}},
		{invariant.NoEnd, "a run that is over since no time", func(f forged) {
			f.j.run(f.T, "close", engine.Succeeded).Run.Ended = time.Time{}
		}},
		{invariant.NoWake, "a run that waits for nothing", func(f forged) { f.j.run(f.T, "later", engine.Waiting).Run.Wake = time.Time{} }},
		{invariant.NoReason, "parked without a word", func(f forged) { f.j.run(f.T, "serial", engine.Parked).Run.Message = "" }},
		{invariant.NoReason, "parked and nothing uncertain", func(f forged) {
			l := f.j.run(f.T, "later", engine.Waiting)
			l.Run.State, l.Run.Message = engine.Parked, "a person is needed"
		}},
		{invariant.Undrivable, "an entry that can't follow", func(f forged) {
			l := f.j.run(f.T, "later", engine.Waiting)
			l.Entries[len(l.Entries)-1].Attempt = 7
		}},
		{invariant.State, "another moment to wait for", func(f forged) {
			r := &f.j.run(f.T, "later", engine.Waiting).Run
			r.Wake = r.Wake.Add(time.Hour)
		}},
		{invariant.State, "a row that says failed", func(f forged) { f.j.run(f.T, "close", engine.Succeeded).Run.State = engine.Failed }},
		{invariant.State, "another message", func(f forged) { f.j.run(f.T, "serial", engine.Parked).Run.Message = "a secret" }},
		{invariant.State, "a ready run whose history parks it", func(f forged) {
			l := f.j.run(f.T, "serial", engine.Parked)
			l.Run.State, f.j.heads = engine.Ready, append(f.j.heads, l.Run.ID)
		}},
		{invariant.Stuck, "a waiting run that nobody will take up", func(f forged) {
			f.j.heads = slices.DeleteFunc(f.j.heads, func(id engine.RunID) bool { return id == f.j.run(f.T, "later", engine.Waiting).Run.ID })
		}},
		{invariant.Overtaken, "two runs with one key", func(f forged) {
			for _, l := range f.j.runs {
				if l.Run.Playbook == "serial" && l.Run.State == engine.Ready {
					f.j.heads = append(f.j.heads, l.Run.ID)
				}
			}
		}},
	} {
		t.Run(fmt.Sprintf("%s %s", c.want, c.how), func(t *testing.T) {
			k := base
			k.Targets = slices.Clone(base.Targets)
			for i := range k.Targets {
				k.Targets[i].Effects = slices.Clone(k.Targets[i].Effects)
			}
			j := journal.clone()
			k.Journal = j
			c.forge(forged{t, &k, j})
			wrong, err := k.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			codes := map[invariant.Code]bool{}
			for _, w := range wrong {
				codes[w.Code] = true
				if w.About == "" || w.Text == "" || strings.Contains(w.Text, "%!") {
					t.Errorf("a complaint that does not say what about: %v", w)
				}
			}
			if len(codes) != 1 || !codes[c.want] {
				t.Errorf("complaints %v, want only %s", wrong, c.want)
			}
		})
	}
}

// A run whose key nobody holds any more is stuck, not blocked.
func TestARunThatIsHeldUpByNobodyIsStuck(t *testing.T) {
	t.Parallel()
	base, journal, _ := story(t)
	j := journal.clone()
	base.Journal = j
	parked := j.run(t, "serial", engine.Parked)
	for i := range j.runs {
		if r := &j.runs[i].Run; r.Playbook == "serial" && r.ID != parked.Run.ID {
			r.Key = "another"
		}
	}
	wrong, err := base.Check(t.Context())
	if err != nil || len(wrong) != 1 || wrong[0].Code != invariant.Stuck {
		t.Errorf("complaints %v (%v), want only %s", wrong, err, invariant.Stuck)
	}
}

func TestWhatSurfacedLateMayBeUnknownUntilASweepWasDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ago := func(h float64) time.Time { return now.Add(-time.Duration(h * float64(time.Hour))) }
	base, _, _ := story(t)
	for _, c := range []struct {
		name           string
		updated, since time.Time
		lastPass       time.Time
		swept          time.Time
		lost           bool
	}{
		{"there in time", ago(3), time.Time{}, time.Time{}, ago(30), true},
		{"after the position", ago(0.5), time.Time{}, time.Time{}, ago(30), false},
		{"before the first look-back", ago(999), time.Time{}, time.Time{}, ago(30), false},
		{"late, and no sweep was due", ago(6), ago(2), time.Time{}, ago(5), false},
		{"late, and a sweep reached it", ago(6), ago(5), time.Time{}, ago(4), true},
		{"late, and a sweep was due since", ago(28), ago(25), time.Time{}, ago(30), true},
		{"later than any sweep reaches", ago(90), ago(25), time.Time{}, ago(24.5), false},
		{"late, and a poll's overlap reached it", ago(1.2), ago(1.1), ago(0.1), ago(5), true},
		{"late, after the last poll", ago(1.2), ago(0.05), ago(0.1), ago(5), false},
		{"late, and behind the overlap", ago(2), ago(1.1), ago(0.1), ago(5), false},
		{"in time, after the last poll", ago(1.1), time.Time{}, ago(1.5), ago(5), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stamp := func(at time.Time) string { return at.Format(time.RFC3339Nano) }
			j := &copied{positions: map[string]string{
				"contoso/poll/alerts": stamp(ago(1)), "contoso/sweep/alerts": stamp(c.swept) + "/" + stamp(ago(500)),
			}}
			wrong, err := invariant.Case{Journal: j, Books: base.Books, Now: now, Polls: []invariant.Poll{{
				Tenant: "contoso", Resource: "alerts", LastPass: c.lastPass,
				Objects: []invariant.Object{{Document: map[string]any{"id": "a", "lastUpdateDateTime": stamp(c.updated)}, Since: c.since}},
			}}}.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if lost := len(wrong) == 1 && wrong[0].Code == invariant.Lost; lost != c.lost || !lost && len(wrong) > 0 {
				t.Errorf("lost %t, want %t: %v", lost, c.lost, wrong)
			}
		})
	}
}

func TestADigestTellsWhatAJournalSaysAndNothingElse(t *testing.T) {
	t.Parallel()
	base, journal, _ := story(t)
	digest := func(j invariant.Journal, times invariant.Times) string {
		t.Helper()
		d, err := invariant.Digest(t.Context(), j, times)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, times := range []invariant.Times{invariant.WithTimes, invariant.WithoutTimes} {
		want := digest(base.Journal, times)
		turned := journal.clone()
		slices.Reverse(turned.events)
		slices.Reverse(turned.runs)
		if got := digest(turned, times); got != want {
			t.Errorf("another order gives another digest (times %t)", times)
		}
		for name, change := range map[string]func(*copied){
			"an outcome": func(c *copied) {
				l := c.run(t, "later", engine.Waiting)
				l.Entries[len(l.Entries)-1].Data = json.RawMessage(`{"status":"ok"}`)
			},
			"a decision": func(c *copied) { c.decision(t, engine.NotMatched, "").Detail = "x" },
			"a run":      func(c *copied) { c.runs = c.runs[1:] },
			"an event":   func(c *copied) { c.events = append(c.events, c.events[0]) },
		} {
			other := journal.clone()
			change(other)
			if digest(other, times) == want {
				t.Errorf("%s changed and the digest did not (times %t)", name, times)
			}
		}
		later := journal.clone()
		for i := range later.runs {
			later.runs[i].Run.Created = later.runs[i].Run.Created.Add(time.Second)
		}
		if same := digest(later, times) == want; same == bool(times) {
			t.Errorf("a second later gives the same digest: %t (times %t)", same, times)
		}
	}
}
