package invariant_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/internal/testsite"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// The playbooks of the story. Its runs end in every way that there is: one succeeds after a refusal
// and a lost answer, one waits, one is parked, and others are held up by it.
var storyBooks = map[string]string{
	"close": `
when: alert.title == "Port scan" and alert.status == "new"
steps:
  - action: alert.update
    with: {alert: "${{ alert.id }}", status: resolved, comment: Ours.}
  - action: http.request
    with: {url: "URL/told", method: POST}`,
	"serial": `
when: alert.title == "Port scan"
concurrency: {key: "${{ alert.title }}"}
steps:
  - action: http.request
    with: {url: "URL/lost", method: POST}`,
	"later": `
when: alert.title != "Port scan"
steps:
  - action: http.request
    with: {url: "URL/busy"}`,
	"contain": `
when: alert.title == "Ransom"
steps:
  - action: device.isolate
    with: {device: 1e5bc9d7e413ddd7902c2932e418702b84d0cc07, comment: Ransom.}
  - action: device.isolate
    with: {device: 1e5bc9d7e413ddd7902c2932e418702b84d0cc07, comment: It is under way.}`,
	"quiet": `
dedupe: {key: "${{ tenant.name }}", window: 1h}
steps:
  - action: log
    with: {message: Seen.}`,
}

// story runs a daemon against the simulator and a receiver until it is as far as it gets by itself.
func story(t *testing.T) (invariant.Case, *copied, *invariant.Witness) {
	t.Helper()
	receiver := &invariant.Receiver{Answer: func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/lost":
			panic(http.ErrAbortHandler)
		case "/busy":
			w.Header().Set("Retry-After", "3000")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}}
	other := httptest.NewServer(receiver)
	t.Cleanup(other.Close)
	docs := simulator.Documents{Machines: []simulator.Document{{"id": "1e5bc9d7e413ddd7902c2932e418702b84d0cc07", "computerDnsName": "ws-1"}}}
	for i, title := range []string{"Port scan", "Port scan", "Port scan", "Ransom"} {
		at := time.Now().UTC().Add(time.Duration(i-60) * time.Minute).Format("2006-01-02T15:04:05.0000000Z")
		docs.Alerts = append(docs.Alerts, simulator.Document{
			"id": fmt.Sprintf("a%d", i), "title": title, "status": "new", "severity": "low", "comments": []any{},
			"createdDateTime": at, "lastUpdateDateTime": at,
		})
	}
	s := testsite.New(t, testsite.Options{Options: simulator.Options{Seed: 1, Documents: docs, Devices: simulator.Devices{Pending: time.Hour}, Faults: []simulator.Fault{
		{Method: "PATCH", Path: "/security/**", Times: 1, Status: 429},
		{Method: "POST", Path: "/security/**", Times: 1, Drop: true},
	}}})
	host := strings.TrimPrefix(other.URL, "http://")
	s.Configure(fmt.Sprintf("outbound: {hosts: [%q], private: [127.0.0.0/8], http: [%q]}\n", host, host))
	s.Use()
	for name, text := range storyBooks {
		s.Write("playbooks/"+name+".yaml", fmt.Sprintf("name: %s\nmode: live\nowner: soc@contoso.example\nreason: test\nexpires: 2099-01-01\n"+
			"triggers: [{poll: {resource: alerts, every: 1h}}]\n", name)+strings.ReplaceAll(strings.TrimPrefix(text, "\n"), "URL", other.URL)+"\n")
	}
	c, findings := config.Load(s.File)
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.Dir, "data", daemon.DatabaseName)
	w := invariant.NewWitness(path)
	t.Cleanup(func() { _ = w.Close() })
	d, err := daemon.New(t.Context(), daemon.Options{Config: c, NoListen: true, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Transport: w.Transport, Journal: w.Journal})
	if err != nil {
		t.Fatal(err)
	}
	if findings := d.Findings(); len(findings) > 0 {
		t.Fatal(findings)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	want := map[engine.RunState]int{engine.Succeeded: 5, engine.Waiting: 1, engine.Parked: 1, engine.Ready: 2}
	for {
		counts, err := d.Store().Counts(ctx)
		if err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(counts, func(_ engine.RunState, n int) bool { return n == 0 })
		if maps.Equal(counts, want) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	books := d.Engine().Playbooks()
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	r, err := store.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	k := invariant.Case{Journal: invariant.Store(r), Books: books}
	k.Simulator(sandbox.TenantName, s.Sim)
	k.Targets = append(k.Targets, receiver.Target())
	return k, copyOf(t, k, books), w
}

// copied is a journal that can be forged.
type copied struct {
	events    []engine.Event
	decisions map[string][]engine.Match
	runs      []engine.Loaded
	positions map[string]string
	writes    map[string][]engine.Write
	heads     []engine.RunID
}

func copyOf(t *testing.T, k invariant.Case, books *playbooks.Set) *copied {
	t.Helper()
	j, ctx := k.Journal, t.Context()
	c := &copied{decisions: map[string][]engine.Match{}, positions: map[string]string{}, writes: map[string][]engine.Write{}}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(j.EachEvent(ctx, func(ev engine.Event) (err error) {
		c.events = append(c.events, ev)
		c.decisions[ev.ID], err = j.Decisions(ctx, ev.ID)
		return err
	}))
	must(j.EachRun(ctx, func(r engine.Run) error {
		l, err := j.Load(ctx, r.ID)
		c.runs = append(c.runs, l)
		return err
	}))
	for _, name := range []string{"contoso/poll/alerts", "contoso/sweep/alerts"} {
		p, err := j.Position(ctx, name)
		must(err)
		c.positions[name] = p
	}
	for object := range k.Targets[0].Documents {
		w, err := j.Writes(ctx, "contoso", object, time.Time{})
		must(err)
		c.writes[object] = w
	}
	ready, err := j.Ready(ctx, time.Now().Add(24*time.Hour), 100)
	must(err)
	for _, r := range ready {
		c.heads = append(c.heads, r.ID)
	}
	return c
}

// clone copies as deep as forgers reach.
func (c *copied) clone() *copied {
	d := &copied{events: slices.Clone(c.events), runs: slices.Clone(c.runs), heads: slices.Clone(c.heads),
		positions: maps.Clone(c.positions), writes: c.writes, decisions: map[string][]engine.Match{}}
	for id, list := range c.decisions {
		d.decisions[id] = slices.Clone(list)
	}
	for i := range d.runs {
		d.runs[i].Entries = slices.Clone(d.runs[i].Entries)
	}
	return d
}

// run finds the run of a playbook in a state.
func (c *copied) run(t *testing.T, playbook string, state engine.RunState) *engine.Loaded {
	t.Helper()
	for i := range c.runs {
		if r := &c.runs[i]; r.Run.Playbook == playbook && r.Run.State == state {
			return r
		}
	}
	t.Fatalf("the story has no run of %s that is %s", playbook, state)
	return nil
}

// decision finds a decision with a verdict and reason.
func (c *copied) decision(t *testing.T, verdict engine.Verdict, reason string) *engine.Match {
	t.Helper()
	for _, ev := range c.events {
		for i := range c.decisions[ev.ID] {
			if m := &c.decisions[ev.ID][i]; m.Verdict == verdict && m.Reason == reason {
				return m
			}
		}
	}
	t.Fatalf("the story has no decision %s %s", verdict, reason)
	return nil
}

func (c *copied) EachEvent(_ context.Context, f func(engine.Event) error) error {
	for _, ev := range c.events {
		if err := f(ev); err != nil {
			return err
		}
	}
	return nil
}

func (c *copied) EachRun(_ context.Context, f func(engine.Run) error) error {
	for _, l := range c.runs {
		if err := f(l.Run); err != nil {
			return err
		}
	}
	return nil
}

func (c *copied) Load(_ context.Context, id engine.RunID) (engine.Loaded, error) {
	for _, l := range c.runs {
		if l.Run.ID == id {
			l.Entries = slices.Clone(l.Entries)
			return l, nil
		}
	}
	return engine.Loaded{}, engine.ErrNotFound
}

func (c *copied) Decisions(_ context.Context, id string) ([]engine.Match, error) {
	return c.decisions[id], nil
}

func (c *copied) Position(_ context.Context, source string) (string, error) {
	return c.positions[source], nil
}

func (c *copied) Known(_ context.Context, ids []string) (map[string]bool, error) {
	known := map[string]bool{}
	for _, ev := range c.events {
		known[ev.ID] = slices.Contains(ids, ev.ID)
	}
	return known, nil
}

func (c *copied) Writes(_ context.Context, _, object string, _ time.Time) ([]engine.Write, error) {
	return c.writes[object], nil
}

func (c *copied) Ready(_ context.Context, _ time.Time, _ int) (list []engine.Run, err error) {
	for _, id := range c.heads {
		for _, l := range c.runs {
			if l.Run.ID == id {
				list = append(list, l.Run)
			}
		}
	}
	return list, nil
}
