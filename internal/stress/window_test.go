//go:build unix

package stress_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/record"
	"github.com/playbookd/playbookd/store"
)

// one in ten alerts is answered with a change; everything else has a decision and no more.
const tenth = `name: tenth
triggers: [{poll: {resource: alerts, every: 10s}}]
when: alert.severity == "high" and alert.status == "new"
steps: [{action: alert.update, with: {alert: "${{ alert.id }}", status: inProgress}}]
`

const never = `name: never
triggers: [{poll: {resource: alerts, every: 10s}}]
when: alert.title == "no such title"
steps: [{action: log, with: {message: x}}]
`

// alertsOf makes n alerts of one window. Half of them carry the very same time, as a bulk import
// leaves them, so that nothing but paging tells them apart; the others come long after, further
// than any overlap reaches back.
func alertsOf(n int, now time.Time) []simulator.Document {
	docs := make([]simulator.Document, n)
	filler := strings.Repeat("What the sensor saw, in many words. ", 25)
	for i := range docs {
		at := now.Add(-5 * time.Hour)
		if i%2 == 1 {
			at = now.Add(-20 * time.Minute).Add(time.Duration(i) * 10 * time.Microsecond)
		}
		severity := "low"
		if i%10 == 0 {
			severity = "high"
		}
		stamp := at.UTC().Format("2006-01-02T15:04:05.0000000Z")
		docs[i] = simulator.Document{
			"@odata.type": "#microsoft.graph.security.alert", "id": fmt.Sprintf("bulk-%06d", i), "title": fmt.Sprintf("Bulk %d", i),
			"severity": severity, "status": "new", "description": filler, "createdDateTime": stamp, "lastUpdateDateTime": stamp,
		}
	}
	return docs
}

// Rows shift while pages are read, pages come back short and empty, and some are refused.
func TestAHundredThousandAlertsInOneWindowAreAllAdmittedAndDecided(t *testing.T) {
	n := size(3000, simulator.MaxAlerts)
	s := newSite(t, simulator.Options{
		Documents: simulator.Documents{Alerts: alertsOf(n, time.Now())},
		Behaviour: simulator.Behaviour{ShortPageEvery: 7, EmptyPageEvery: 11},
		Faults: []simulator.Fault{
			{Method: "GET", Path: "/security/alerts_v2", After: 3, Status: 503, Times: 2},
			{Method: "GET", Path: "/security/alerts_v2", After: 5, Status: 429, RetryAfter: "1", Times: 2},
		},
	}, tenth, never)
	began := time.Now()
	p := s.start()
	r := s.journal()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	touched := make(chan int, 1)
	go func() { touched <- s.disturb(ctx, n) }()
	p.until("there is a position, and nothing is left to do", func() bool {
		p.poll()
		at, err := r.Position(t.Context(), "contoso/poll/alerts")
		counts := s.counts(r)
		return err == nil && at != "" && counts[engine.Ready]+counts[engine.Waiting] == 0 && counts[engine.Succeeded] >= n/10
	})
	stop()
	disturbed := <-touched
	p.until("the last changes are admitted too", func() bool {
		p.poll()
		return s.missing(r, s.Sim.Alerts()) == 0
	})
	p.stop()
	t.Logf("%d alerts, %d of them changed while they were read, in %v", n, disturbed, time.Since(began).Round(time.Second))
	peak := p.bounded("one window")
	if a := p.sample().Active; a > engine.DefaultWorkers {
		t.Errorf("%d runs were in progress at once, want at most %d", a, engine.DefaultWorkers)
	}
	s.sound(r)
	if events := s.events(r); events < n {
		t.Errorf("%d events, want at least %d", events, n)
	}
	for _, d := range s.Sim.Alerts() {
		if want := d["severity"] == "high"; want != (d["status"] == "inProgress") {
			t.Errorf("alert %v of severity %v is %v", d["id"], d["severity"], d["status"])
		}
	}
	patched := map[string]int{}
	for _, e := range s.Sim.Effects() {
		if patched[e.Object]++; patched[e.Object] > 1 {
			t.Errorf("%s was changed %d times", e.Object, patched[e.Object])
		}
	}
	record.Keep(t, record.Suite{Name: "stress-window", Run: "make stress",
		Tries: "Gives one poll window more alerts than fit any page, half of them with the same time, while rows shift, pages come short and empty, and Graph answers 429 and 503.",
		Holds: "Every version of every alert is admitted and has a decision of every playbook; each match acts once; memory stays bounded.",
		Counts: []record.Count{{What: "alerts in the window", N: int64(n)}, {What: "alerts changed while they were read", N: int64(disturbed)},
			{What: "MiB of memory at most", N: peak}},
	})
}

// disturb changes alerts of low severity as people do, until ctx ends: rows shift between pages.
func (s *site) disturb(ctx context.Context, n int) int {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // which alerts does not matter
	for touched := 0; ; touched++ {
		select {
		case <-ctx.Done():
			return touched
		case <-time.After(20 * time.Millisecond):
		}
		i := random.IntN(n)
		if i%10 == 0 {
			i++
		}
		if err := s.Sim.Touch(fmt.Sprintf("bulk-%06d", i%n), simulator.Document{"assignedTo": fmt.Sprintf("p%d", touched)}, "ana@contoso.example"); err != nil {
			s.t.Error(err)
			return touched
		}
	}
}

// missing counts the alerts whose present version the journal does not know.
func (s *site) missing(r *store.Reader, docs []simulator.Document) int {
	s.t.Helper()
	absent := 0
	for len(docs) > 0 {
		part := docs[:min(len(docs), 1000)]
		docs = docs[len(part):]
		var ids []string
		for _, d := range part {
			ids = append(ids, fmt.Sprintf("contoso/alerts/%v/%v", d["id"], d["lastUpdateDateTime"]))
		}
		known, err := r.Known(s.t.Context(), ids)
		if err != nil {
			s.t.Fatal(err)
		}
		absent += len(ids) - len(known)
	}
	return absent
}
