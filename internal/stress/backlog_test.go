//go:build unix

package stress_test

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/record"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

const (
	filled = `name: filled
triggers: [{webhook: {path: fill, auth: {apiKey: fill_key}, as: event}}]
steps: [{action: log, with: {message: "${{ string(event.n) }}"}}]
`
	keyed = `name: keyed
triggers: [{webhook: {path: fill, auth: {apiKey: fill_key}, as: event}}]
concurrency: {key: all}
steps: [{action: log, with: {message: "${{ string(event.n) }}"}}]
`
)

// newBacklog makes a site whose journal holds what there was before the daemon is started.
func newBacklog(t *testing.T, playbook string, fill func(*store.DB, *playbooks.Set)) *site {
	t.Helper()
	s := newSite(t, simulator.Options{}, playbook)
	s.Write("fill.key", hookKey)
	s.Configure("secrets: {fill_key: {file: fill.key}}\n")
	if err := os.MkdirAll(s.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), s.path("data/"+daemon.DatabaseName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(db, s.books())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

func pushed(n int) engine.Event {
	return engine.Event{ID: fmt.Sprintf("webhook/fill/%06d/0", n), Tenant: "contoso", Source: "webhook/fill", Kind: "event",
		Occurred: time.Now(), Seen: time.Now(), Payload: json.RawMessage(fmt.Sprintf(`{"n":%d,"text":"what a message of usual length says, more or less"}`, n))}
}

// admit has an engine that does not run admit n events, and returns their runs.
func admit(t *testing.T, db *store.DB, books *playbooks.Set, n int) []engine.RunID {
	t.Helper()
	e := engine.New(engine.Options{Journal: db})
	e.Use(books)
	var runs []engine.RunID
	for at := 0; at < n; {
		var b engine.Batch
		for ; at < n && len(b.Events) < engine.MaxBatch; at++ {
			b.Events = append(b.Events, pushed(at))
		}
		r, err := e.Deliver(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r.Started...)
	}
	if len(runs) != n {
		t.Fatalf("%d runs, want %d", len(runs), n)
	}
	return runs
}

func (s *site) idle(r *store.Reader) bool {
	c := s.counts(r)
	return c[engine.Ready]+c[engine.Waiting] == 0
}

func TestAHundredThousandRunsOnDiskAreAllDoneAfterAKill(t *testing.T) {
	n := size(3000, 100_000)
	s := newBacklog(t, filled, func(db *store.DB, books *playbooks.Set) { admit(t, db, books, n) })
	p := s.start()
	p.until("a third is done", func() bool { return p.sample().Ended > n/3 })
	p.kill()
	p.bounded("backlog, until it was killed")
	p = s.start()
	r := s.journal()
	p.until("all is done", func() bool { return s.idle(r) })
	p.stop()
	peak := p.bounded("backlog, after the kill")
	if a := p.sample().Active; a > engine.DefaultWorkers {
		t.Errorf("%d runs were in progress at once, want at most %d", a, engine.DefaultWorkers)
	}
	if c := s.counts(r); c[engine.Succeeded] != n {
		t.Errorf("runs %v, want %d succeeded", c, n)
	}
	s.soundly(r, n)
	p = s.start()
	p.stop()
	p.bounded("started with that history")
	record.Keep(t, record.Suite{Name: "stress-backlog", Run: "make stress",
		Tries:  "Starts the daemon with a backlog of ready runs on disk, kills it, and starts it again.",
		Holds:  "Every run ends well, once; no more than the workers are in progress at a time; memory stays bounded.",
		Counts: []record.Count{{What: "runs", N: int64(n)}, {What: "MiB of memory at most", N: peak}},
	})
}

func TestTenThousandRunsOfOneKeyGoOneByOneInTheirOrder(t *testing.T) {
	n := size(500, 10_000)
	s := newBacklog(t, keyed, func(db *store.DB, books *playbooks.Set) { admit(t, db, books, n) })
	p := s.start()
	r := s.journal()
	p.until("all is done", func() bool { return s.idle(r) })
	p.stop()
	peak := p.bounded("one key")
	if a := p.sample().Active; a != 1 {
		t.Errorf("%d runs of one key were in progress at once", a)
	}
	runs, err := r.Runs(t.Context(), store.RunFilter{Limit: store.MaxLimit}) // newest first
	if err != nil || len(runs) != n {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for i := range runs[1:] {
		if runs[i].Ended.Before(runs[i+1].Ended) {
			t.Errorf("run %d ended before the one that was admitted before it", n-i)
		}
	}
	s.soundly(r, n)
	record.Keep(t, record.Suite{Name: "stress-key", Run: "make stress",
		Tries:  "Gives one concurrency key thousands of runs at once.",
		Holds:  "They go one by one in the order of their admission; memory stays bounded.",
		Counts: []record.Count{{What: "runs of one key", N: int64(n)}, {What: "MiB of memory at most", N: peak}},
	})
}

func TestTenThousandRunsThatWakeAtOnceAreAllDoneAndThoseThatWaitStayAsleep(t *testing.T) {
	n := size(1000, 10_000)
	s := newBacklog(t, filled, func(db *store.DB, books *playbooks.Set) {
		runs := admit(t, db, books, 2*n)
		var all sync.WaitGroup
		for part := range 64 { // who write together share their commits
			all.Go(func() {
				for i := part; i < len(runs); i += 64 {
					wake := time.Now().Add(-time.Hour)
					if i%2 == 1 {
						wake = time.Now().Add(24 * time.Hour)
					}
					if err := db.Append(t.Context(), engine.Append{Run: runs[i], State: engine.Waiting, Wake: wake}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	})
	p := s.start()
	r := s.journal()
	p.until("those that are due are done", func() bool { return s.counts(r)[engine.Succeeded] == n })
	p.stop()
	peak := p.bounded("waiting")
	if c := s.counts(r); c[engine.Waiting] != n || c[engine.Succeeded] != n {
		t.Errorf("runs %v, want %d waiting and as many succeeded", c, n)
	}
	record.Keep(t, record.Suite{Name: "stress-waiting", Run: "make stress",
		Tries:  "Has thousands of runs wake at the same moment while as many others wait for a later one.",
		Holds:  "All that are due are done, the others are left alone; memory stays bounded.",
		Counts: []record.Count{{What: "runs that wake at once", N: int64(n)}, {What: "runs that wait", N: int64(n)}, {What: "MiB of memory at most", N: peak}},
	})
}

// history admits n runs that ended a hundred days ago.
func history(t *testing.T, db *store.DB, books *playbooks.Set, n int) {
	t.Helper()
	p := books.Playbooks[0]
	then := time.Now().Add(-100 * 24 * time.Hour)
	for at := 0; at < n; {
		a := engine.Admission{Documents: map[string][]byte{p.Digest: p.Source}}
		a.Set = engine.PlaybookSet{Digest: books.Digest, Members: []engine.SetMember{{Name: p.Name, Digest: p.Digest}}}
		for ; at < n && len(a.Events) < engine.MaxBatch; at++ {
			ev := pushed(at)
			ev.ID, ev.Seen, ev.Occurred = "old/"+ev.ID, then, then
			run := engine.Run{ID: engine.NewRunID(p.Name, ev.ID), Playbook: p.Name, Digest: p.Digest, Semantics: engine.Semantics,
				Event: ev.ID, Tenant: ev.Tenant, Mode: playbooks.Live, State: engine.Succeeded, Created: then, Ended: then}
			a.Events = append(a.Events, engine.Planned{Event: ev, Runs: []engine.PlannedRun{{Run: run, Entries: []engine.Entry{{Seq: 1, Kind: engine.Ended, At: then}}}},
				Matches: []engine.Match{{Playbook: p.Name, Digest: p.Digest, Verdict: engine.Matched, Run: run.ID}}})
		}
		if _, err := db.Admit(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
}

// oldEvents counts the events of history that are still there.
func (s *site) oldEvents(r *store.Reader, n int) (left int) {
	s.t.Helper()
	for at := 0; at < n; {
		var ids []string
		for ; at < n && len(ids) < engine.MaxBatch; at++ {
			ids = append(ids, "old/"+pushed(at).ID)
		}
		known, err := r.Known(s.t.Context(), ids)
		if err != nil {
			s.t.Fatal(err)
		}
		left += len(known)
	}
	return left
}

func TestRetentionUnderLoadDeletesWhatIsOldAndNothingElse(t *testing.T) {
	old, n := size(1000, 20_000), size(2000, 20_000)
	s := newBacklog(t, filled, func(db *store.DB, books *playbooks.Set) {
		history(t, db, books, old)
		admit(t, db, books, n)
	})
	p := s.start()
	r := s.journal()
	p.until("the work has begun", func() bool { return p.sample().Ended > n/20 })
	p.prune()
	p.until("all is done and what is old is gone", func() bool {
		return s.idle(r) && s.counts(r)[engine.Succeeded] <= n && s.oldEvents(r, old) == 0
	})
	p.prune() // and again with nothing left to do
	p.stop()
	peak := p.bounded("retention")
	if c := s.counts(r); c[engine.Succeeded] != n {
		t.Errorf("runs %v, want %d succeeded", c, n)
	}
	s.soundly(r, n)
	record.Keep(t, record.Suite{Name: "stress-retention", Run: "make stress",
		Tries:  "Deletes old runs and events while a backlog is worked on.",
		Holds:  "All that is old is gone, nothing else; the backlog is done; memory stays bounded.",
		Counts: []record.Count{{What: "old runs", N: int64(old)}, {What: "runs meanwhile", N: int64(n)}, {What: "MiB of memory at most", N: peak}},
	})
}
