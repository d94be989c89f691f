package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/playbookd/playbookd/engine"
)

// BenchmarkRuns measures whole runs: an admission with the intent, then outcome and end. With so
// many callers at once, groups of that size form by themselves.
func BenchmarkRuns(b *testing.B) {
	for _, callers := range []int{1, 2, 10, 50, 100, 200} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db := newTest(b)
			payload := json.RawMessage(`{"title":"` + strings.Repeat("x", 3000) + `"}`)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			began := processorTime()
			for range callers {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if err := wholeRun(b, db, int(n), payload); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(processorTime()-began)/1000/float64(b.N), "cpu-µs/run")
			s := db.Stats()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
			b.ReportMetric(float64(s.Works)/float64(s.Commits), "writes/commit")
		})
	}
}

func wholeRun(b *testing.B, db *DB, n int, payload json.RawMessage) error {
	ev := someEvent(fmt.Sprint("a", n), 1)
	ev.Payload = payload
	p := someRun(ev, "triage")
	p.Entries = []engine.Entry{{Seq: 1, Kind: engine.Began}, {Seq: 2, Path: "steps/0:update", Kind: engine.Intent, Attempt: 1}}
	if _, err := db.Admit(b.Context(), admissionOf(ev, p)); err != nil {
		return err
	}
	return db.Append(b.Context(), engine.Append{Run: p.Run.ID, State: engine.Succeeded, Ended: moments(1), Entries: []engine.Entry{
		{Seq: 3, Path: "steps/0:update", Kind: engine.Outcome, Attempt: 1}, {Seq: 4, Kind: engine.Ended},
	}})
}

// BenchmarkBatch measures the admission of 1,000 events at once, with ten decisions each.
func BenchmarkBatch(b *testing.B) {
	db := newTest(b)
	version := 0
	for b.Loop() {
		version++
		a := engine.Admission{}
		for i := range 1000 {
			p := engine.Planned{Event: someEvent(fmt.Sprint("a", i), version)}
			for m := range 10 {
				p.Matches = append(p.Matches, engine.Match{Playbook: fmt.Sprint("p", m), Verdict: engine.NotMatched, Detail: "a == b"})
			}
			a.Events = append(a.Events, p)
		}
		mustAdmit(b, db, a)
	}
}

// BenchmarkReady measures a look at the queue while 10,000 runs of one key wait in it.
func BenchmarkReady(b *testing.B) {
	db := newTest(b)
	for i := range 10 {
		a := engine.Admission{Documents: map[string][]byte{digestOf(textOf("triage")): textOf("triage")}}
		for n := range 1000 {
			ev := someEvent(fmt.Sprint("a", n), i)
			p := someRun(ev, "triage")
			p.Run.Key = "k"
			a.Events = append(a.Events, admissionOf(ev, p).Events...)
		}
		mustAdmit(b, db, a)
	}
	b.ResetTimer()
	for b.Loop() {
		if runs, err := db.Ready(b.Context(), moments(0), 100); err != nil || len(runs) != 1 {
			b.Fatal(len(runs), err)
		}
	}
}

// processorTime is what the process has used, in nanoseconds. It tells more than the clock does
// on a machine that others use.
func processorTime() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkHistory measures what a count costs in an index of a million objects, half of which have one value in
// common: by a value that few have, by the one that many have, by both, and by two that are never together.
func BenchmarkHistory(b *testing.B) {
	const objects, page = 1_000_000, 20_000 // as many as there may be runs
	db := newTest(b)
	trait := func(field, value string) engine.Trait {
		return engine.Trait{Kind: "alert", Field: field, Value: value}
	}
	for n := 0; n < objects; n += page {
		x := engine.Indexed{}
		for i := n; i < n+page; i++ {
			x.Events = append(x.Events, engine.IndexedEvent{Tenant: "contoso", Object: fmt.Sprint("alerts/", i), Seen: moments(i), Traits: []engine.Trait{
				trait("user", fmt.Sprint("user", i%100_000)), trait("severity", []string{"low", "high"}[i%2])}})
		}
		if err := db.Index(b.Context(), x); err != nil {
			b.Fatal(err)
		}
	}
	term := func(field, value string) engine.HistoryTerm {
		return engine.HistoryTerm{Field: field, Values: []string{value}}
	}
	for _, c := range []struct {
		name  string
		where []engine.HistoryTerm
		want  int
	}{
		{"few", []engine.HistoryTerm{term("user", "user7")}, 10},
		{"many", []engine.HistoryTerm{term("severity", "high")}, 1000},
		{"both", []engine.HistoryTerm{term("user", "user7"), term("severity", "high")}, 10},
		{"never", []engine.HistoryTerm{term("severity", "high"), term("severity", "low")}, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				list, err := db.History(b.Context(), engine.HistoryQuery{Tenant: "contoso", Kind: "alert", Where: c.where,
					From: moments(0), To: moments(objects), Limit: 1000})
				if err != nil || len(list) != c.want {
					b.Fatalf("%d objects, %v", len(list), err)
				}
			}
		})
	}
}
