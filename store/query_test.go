package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/engine"
)

// runsOf names the runs that a filter chooses.
func runsOf(t *testing.T, db *DB, f RunFilter) []engine.RunID {
	t.Helper()
	runs, err := db.Runs(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	var ids []engine.RunID
	for _, r := range runs {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestRunsAreListedNewestFirstByAnyCombinationOfFilters(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	var all []engine.Run // newest first
	for i := range 40 {
		p := someRun(someEvent(fmt.Sprint("a", i%5), i), []string{"triage", "isolate"}[i%2])
		p.Run.Created = moments(i / 2) // two at a time
		if i%3 == 0 {
			p.Run.State, p.Run.Ended = engine.Failed, moments(100)
		}
		mustAdmit(t, db, admissionOf(someEvent(fmt.Sprint("a", i%5), i), p))
		all = append([]engine.Run{p.Run}, all...)
	}
	for _, playbook := range []string{"", "triage", "none"} {
		for _, state := range []engine.RunState{"", engine.Failed, engine.Parked} {
			for _, object := range []string{"", "alerts/a3"} {
				for _, since := range []time.Time{{}, moments(7), moments(99)} {
					f := RunFilter{Playbook: playbook, State: state, Object: object, Since: since}
					var want []engine.RunID
					for _, r := range all {
						if (playbook == "" || r.Playbook == playbook) && (state == "" || r.State == state) &&
							(object == "" || r.Object == object) && !r.Created.Before(since) {
							want = append(want, r.ID)
						}
					}
					if diff := cmp.Diff(want, runsOf(t, db, f)); diff != "" {
						t.Errorf("%+v: %s", f, diff)
					}
					var paged []engine.RunID
					f.Limit = 3
					for {
						page := runsOf(t, db, f)
						paged = append(paged, page...)
						if len(page) < 3 {
							break
						}
						f.Before = page[2]
					}
					if diff := cmp.Diff(want, paged); diff != "" {
						t.Errorf("%+v in pages: %s", f, diff)
					}
				}
			}
		}
	}
	if _, err := db.Runs(t.Context(), RunFilter{Before: "rnone"}); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
}

func TestListsHaveLimits(t *testing.T) {
	t.Parallel()
	for given, want := range map[int]int{-1: DefaultLimit, 0: DefaultLimit, 1: 1, MaxLimit: MaxLimit, MaxLimit + 1: MaxLimit} {
		if got := limit(given); got != want {
			t.Errorf("%d: %d, want %d", given, got, want)
		}
	}
	db := newTest(t)
	for i := range DefaultLimit + 1 {
		mustStart(t, db, "a", i, "triage")
	}
	if n := len(runsOf(t, db, RunFilter{})); n != DefaultLimit {
		t.Errorf("%d runs", n)
	}
	if n := len(runsOf(t, db, RunFilter{Limit: MaxLimit})); n != DefaultLimit+1 {
		t.Errorf("%d runs", n)
	}
}

func TestEventsAreListedLastSeenFirst(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	var all []engine.Event
	for i := range 20 {
		ev := someEvent(fmt.Sprint("a", i%3), i)
		ev.Source = []string{"poll/alerts", "webhook/edr"}[i%2]
		mustAdmit(t, db, admissionOf(ev))
		all = append([]engine.Event{ev}, all...)
	}
	for _, f := range []EventFilter{
		{}, {Source: "webhook/edr"}, {Object: "alerts/a1"}, {Since: moments(9)},
		{Source: "poll/alerts", Object: "alerts/a2", Since: moments(5)}, {Source: "none"},
	} {
		var want []string
		for _, ev := range all {
			if (f.Source == "" || ev.Source == f.Source) && (f.Object == "" || ev.Object == f.Object) && !ev.Seen.Before(f.Since) {
				want = append(want, ev.ID)
			}
		}
		var paged []string
		page := f
		for page.Limit = 2; ; {
			events, err := db.Events(t.Context(), page)
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range events {
				paged = append(paged, ev.ID)
			}
			if len(events) < 2 {
				break
			}
			page.Before = events[1].ID
		}
		if diff := cmp.Diff(want, paged); diff != "" {
			t.Errorf("%+v: %s", f, diff)
		}
	}
	if _, err := db.Events(t.Context(), EventFilter{Before: "none"}); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
	got, err := db.Event(t.Context(), all[3].ID)
	if err != nil || !cmp.Equal(got, all[3]) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := db.Event(t.Context(), "none"); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
}

func TestARunIsFoundByTheBeginningOfItsIDIfNoOtherBeginsSo(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	for i, id := range []engine.RunID{"r1", "r1a", "r2abc", "r3a", "r3b", "r3c", "r3d", "r3e", "r3f", "r4a", "r4b", "r%", "r\U0010ffff"} {
		p := someRun(someEvent("a", i), "triage")
		p.Run.ID = id
		mustAdmit(t, db, admissionOf(someEvent("a", i), p))
	}
	for ref, want := range map[string]engine.RunID{
		"r1": "r1", "r1a": "r1a", "r2": "r2abc", "r2abc": "r2abc", "r3f": "r3f", "r%": "r%", "r\U0010ffff": "r\U0010ffff",
	} {
		l, err := db.Run(t.Context(), ref)
		if err != nil || l.Run.ID != want || len(l.Source) == 0 {
			t.Errorf("%q: %s, %v", ref, l.Run.ID, err)
		}
	}
	for _, ref := range []string{"r9", "x", "r2abcd", "r_", "R2"} {
		if _, err := db.Run(t.Context(), ref); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%q: %v", ref, err)
		}
	}
	if _, err := db.Run(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "give the ID") {
		t.Error(err)
	}
	for ref, want := range map[string]*AmbiguousError{
		"r4": {Prefix: "r4", Candidates: []engine.RunID{"r4a", "r4b"}},
		"r3": {Prefix: "r3", Candidates: []engine.RunID{"r3a", "r3b", "r3c", "r3d", "r3e"}, More: true},
	} {
		_, err := db.Run(t.Context(), ref)
		var got *AmbiguousError
		if !errors.As(err, &got) || !cmp.Equal(got, want) || !strings.Contains(err.Error(), string(want.Candidates[1])) {
			t.Errorf("%q: %v", ref, err)
		}
		if want.More != strings.Contains(err.Error(), "others") {
			t.Errorf("%q: %v", ref, err)
		}
	}
}

func TestADecisionIsToldForEveryPlaybookThatWasLoaded(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	ev := someEvent("a", 1)
	run := someRun(ev, "triage")
	a := admissionOf(ev, run)
	extra := engine.Match{Playbook: "stray", Digest: "x", Verdict: engine.NotMatched, Detail: "a == b"}
	a.Events[0].Matches = append(a.Events[0].Matches, extra)
	a.Set = engine.PlaybookSet{Digest: "s", Members: []engine.SetMember{
		{Name: "z", Digest: "dz"}, {Name: "triage", Digest: run.Run.Digest}, {Name: "a", Digest: "da"},
	}}
	mustAdmit(t, db, a)
	want := []engine.Match{
		{Playbook: "z", Digest: "dz", Verdict: engine.Skipped, Reason: engine.SkipNoTrigger},
		a.Events[0].Matches[0],
		{Playbook: "a", Digest: "da", Verdict: engine.Skipped, Reason: engine.SkipNoTrigger},
		extra,
	}
	got, err := db.Decisions(t.Context(), ev.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got, err = db.Matches(t.Context(), run.Run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := db.Decisions(t.Context(), "none"); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
	if _, err := db.Matches(t.Context(), "rnone"); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
}

func TestASetIsStoredOnce(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	for i := range 5 {
		a := admissionOf(someEvent("a", i))
		a.Set = engine.PlaybookSet{Digest: fmt.Sprint("s", i/3), Members: []engine.SetMember{{Name: "p"}}}
		mustAdmit(t, db, a)
	}
	if n := count(t, db, "sets"); n != 2 {
		t.Errorf("%d sets", n)
	}
}

// count counts the rows of a table.
func count(t *testing.T, db *DB, table string) int {
	t.Helper()
	var n int
	err := db.look(t.Context(), func(v *view) error {
		_, err := v.get("SELECT count(*) FROM "+table, nil, &n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRunsAreCountedByState(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	story(t, db)
	counts, err := db.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[engine.RunState]int{
		engine.Ready: 1, engine.Waiting: 1, engine.Parked: 1, engine.Succeeded: 1, engine.Failed: 1, engine.Canceled: 1,
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
}

func TestAReaderWhoGivesUpIsInterruptedAndSpoilsNothing(t *testing.T) {
	t.Parallel()
	db := newTest(t, Options{Readers: 1})
	run := mustStart(t, db, "a", 1, "triage")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var n int
	err := db.look(ctx, func(v *view) error {
		_, err := v.get(`WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c`, nil, &n)
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if ids := runsOf(t, db, RunFilter{}); !slices.Equal(ids, []engine.RunID{run.ID}) {
		t.Error(ids)
	}
}

func TestRunsThatAskAreFoundByTheirQuestionsHoweverManyWaitForSomethingElse(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	say := func(i int, state engine.RunState, message string) engine.RunID {
		t.Helper()
		run := mustStart(t, db, fmt.Sprint("a", i), i, "contain")
		a := engine.Append{Run: run.ID, State: state, Message: message}
		switch state {
		case engine.Waiting:
			a.Wake = moments(900)
		case engine.Succeeded:
			a.Ended = moments(600)
		}
		mustAppend(t, db, a)
		return run.ID
	}
	first := say(1, engine.Waiting, "asks q1a: Contain eve?")
	say(2, engine.Waiting, "waits for asks q1a: nobody")
	both := say(3, engine.Ready, "asks q2b: Close it?; asks q3c: Page asks q1a: somebody?")
	say(4, engine.Succeeded, "asks q4d: a text that the playbook stopped with")
	last := say(5, engine.Waiting, "asks q1ab: Contain adam?")
	stuck := say(6, engine.Waiting, engine.WordPrefix+engine.HeldPrefix+"one step waits")
	two := say(7, engine.Waiting, engine.WordPrefix+engine.UncertainPrefix+"it took effect; asks q5e: Close it?")
	say(8, engine.Parked, engine.UncertainPrefix+"it took effect")
	say(9, engine.Waiting, "asks q6f: "+engine.WordPrefix+"a title of somebody")

	runs, all, err := db.Asking(t.Context(), 2)
	if err != nil || all != 5 || len(runs) != 2 || runs[0].ID != first || runs[1].ID != both {
		t.Errorf("asking are %v of %d (%v), want the two oldest of 5", runs, all, err)
	}
	if runs, all, err = db.Stuck(t.Context(), 1); err != nil || all != 2 || len(runs) != 1 || runs[0].ID != stuck {
		t.Errorf("stuck are %v of %d (%v), want the oldest of 2", runs, all, err)
	}
	for question, want := range map[string][]engine.RunID{
		"q1a": {first, both}, "q1ab": {last}, "q2b": {both}, "q3c": {both}, "q5e": {two}, "q4d": nil, "q1": nil, "q*": nil,
	} {
		got, err := db.AskedBy(t.Context(), question)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s is asked by %v (%v), want %v", question, got, err, want)
		}
	}
}

func TestRunsThatAskHaveAnIndexOfTheirOwn(t *testing.T) {
	t.Parallel()
	for condition, prefix := range map[string]string{needy: engine.AskingPrefix, asking: engine.AskingPrefix, stuck: engine.WordPrefix} {
		if !strings.Contains(condition, "GLOB '"+prefix+"*'") {
			t.Errorf("%q looks for another beginning than %q", condition, prefix)
		}
	}
	db := newTest(t)
	for _, query := range []string{sqlAsking, sqlAskers, sqlAskedBy, sqlStuck, sqlStuckAll} {
		if steps := strings.Join(plan(t, db, query), "; "); !strings.Contains(steps, "INDEX runs_asking") || strings.Contains(steps, "TEMP B-TREE") {
			t.Errorf("%s\n%s", query, steps)
		}
	}
}
