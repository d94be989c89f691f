package daemon

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/meter"
	"github.com/playbookd/playbookd/server"
	"github.com/playbookd/playbookd/store"
	"github.com/playbookd/playbookd/triggers"
)

// MaxParkedRead is how many parked runs are looked at to tell why they are.
const MaxParkedRead = 1000

// readings gives all that is counted in the daemon. What fails to be read is left out and said.
func (d *Daemon) readings(ctx context.Context, r *server.Readings) error {
	d.readEvents(r)
	d.readRuns(r)
	d.readAttempts(r)
	d.readGraph(r)
	d.readSources(r)
	d.readReloads(r)
	for level, n := range d.counts.lines {
		r.Value(server.LogLines, n.Load(), strings.ToLower(level.String()))
	}
	version := d.o.Version
	if version == "" {
		version = "unknown"
	}
	r.Value(server.BuildInfo, 1, version, runtime.Version())
	return errors.Join(d.readJournal(ctx, r), d.readParked(ctx, r))
}

// readEvents gives what came in. Most of what a poll reads again never leaves the poller.
func (d *Daemon) readEvents(r *server.Readings) {
	again := map[sourceKey]float64{}
	for _, s := range d.pollStates() {
		key := sourceKey{s.Tenant, "poll/" + s.Resource}
		d.counts.sources.At(key)
		again[key] = float64(s.Objects - s.Fresh)
	}
	d.counts.sources.Each(func(k sourceKey, s *sourceCounts) {
		r.Value(server.Events, s.admitted.Load(), k.tenant, k.source, "admitted")
		r.Value(server.Events, s.duplicates.Load()+again[k], k.tenant, k.source, "duplicate")
		r.Distribution(server.EventLateness, s.late.Load(), k.tenant, k.source)
	})
	r.Value(server.Decisions, d.counts.screened.Load(), "screened", "")
	for verdict, byReason := range d.counts.verdicts {
		for i, reason := range reasons {
			n := byReason[i].Load()
			if n > 0 || (reason == "") == (verdict != engine.Skipped) && reason != other {
				r.Value(server.Decisions, n, string(verdict), reason)
			}
		}
	}
}

func (d *Daemon) readRuns(r *server.Readings) {
	c := d.counts
	c.started.Each(func(p string, n *meter.Counter) { r.Value(server.RunsStarted, n.Load(), p) })
	c.held.Each(func(p string, n *meter.Counter) { r.Value(server.RunsHeld, n.Load(), p) })
	c.ended.Each(func(k endedKey, n *meter.Counter) { r.Value(server.RunsEnded, n.Load(), k.playbook, string(k.state)) })
	for state, h := range c.lasted {
		r.Distribution(server.RunDuration, h.Load(), string(state))
	}
	r.Distribution(server.RunDelay, c.delay.Load())
	busy, workers := d.engine.Busy()
	r.Value(server.Workers, float64(workers))
	r.Value(server.WorkersBusy, float64(busy))
}

func (d *Daemon) readAttempts(r *server.Readings) {
	c := d.counts
	c.attempts.Each(func(k attemptKey, n *meter.Counter) { r.Value(server.Attempts, n.Load(), k.action, k.effect, k.ending) })
	c.took.Each(func(action string, h *meter.Histogram) { r.Distribution(server.AttemptDuration, h.Load(), action) })
	for status, n := range c.outcomes {
		r.Value(server.Outcomes, n.Load(), string(status))
	}
	r.Value(server.Retries, c.retries.Load())
	r.Value(server.OutcomesKept, float64(d.engine.Keeping()))
}

// readJournal gives what the journal's writer counts, and what the journal holds.
func (d *Daemon) readJournal(ctx context.Context, r *server.Readings) error {
	s := d.db.Stats()
	size := meter.Distribution{Sum: float64(s.Works), Counts: make([]uint64, len(s.Groups)+1)}
	for i, n := range s.Groups {
		size.Bounds = append(size.Bounds, float64(int(1)<<i))
		size.Counts[i] = uint64(n)
	}
	r.Distribution(server.CommitSize, size)
	r.Distribution(server.CommitDuration, s.Took)
	r.Value(server.CommitsFailed, float64(s.Failed))
	r.Time(server.LastCommit, s.LastCommit)
	database, log := d.db.Sizes()
	r.Value(server.JournalBytes, float64(database), "database")
	r.Value(server.JournalBytes, float64(log), "log")

	states, err := d.db.Counts(ctx)
	if err != nil {
		return err
	}
	for state, n := range states {
		r.Value(server.Runs, float64(n), string(state))
	}
	clocks, err := d.db.ClockCounts(ctx)
	if err != nil {
		return err
	}
	for state, n := range clocks {
		r.Value(server.Clocks, float64(n), string(state))
	}
	q, err := d.db.Queue(ctx)
	if err != nil {
		return err
	}
	r.Value(server.QueueReady, float64(q.Ready))
	r.Value(server.QueueBlocked, float64(q.Blocked))
	age := 0.0
	if !q.Oldest.IsZero() {
		age = max(time.Since(q.Oldest).Seconds(), 0)
	}
	r.Value(server.QueueAge, age)
	return nil
}

// readParked tells runs that wait for a person, also those that wait for their time besides, apart by what a person has to do about them.
func (d *Daemon) readParked(ctx context.Context, r *server.Readings) error {
	runs, err := d.db.Runs(ctx, store.RunFilter{State: engine.Parked, Limit: MaxParkedRead})
	if err != nil {
		return err
	}
	stuck, _, err := d.db.Stuck(ctx, MaxParkedRead)
	if err != nil {
		return err
	}
	n := map[string]int{"uncertain": 0, "held": 0, "broken": 0}
	for _, run := range append(runs, stuck...) {
		switch message := strings.TrimPrefix(run.Message, engine.WordPrefix); {
		case strings.HasPrefix(message, engine.UncertainPrefix):
			n["uncertain"]++
		case strings.HasPrefix(message, engine.HeldPrefix):
			n["held"]++
		default:
			n["broken"]++
		}
	}
	for reason, count := range n {
		r.Value(server.RunsParked, float64(count), reason)
	}
	return nil
}

// readGraph gives the classes that requests are made of.
func (d *Daemon) readGraph(r *server.Readings) {
	used := map[graph.Class]bool{}
	for _, ep := range graph.Endpoints() {
		used[ep.Class] = true
	}
	for tenant, client := range d.clients {
		for _, s := range client.Stats() {
			if !used[s.Class] {
				continue
			}
			class := string(s.Class)
			for kind, n := range s.Answers {
				r.Value(server.GraphRequests, float64(n), tenant, class, graph.AnswerKind(kind).String())
			}
			r.Value(server.GraphRefused, float64(s.Refused), tenant, class)
			r.Distribution(server.GraphDuration, s.Took, tenant, class)
			r.Value(server.GraphInFlight, float64(s.InFlight), tenant, class)
			r.Value(server.GraphWaiting, float64(s.Waiting), tenant, class)
			r.Value(server.GraphBudgetLeft, s.Left, tenant, class)
			r.Value(server.GraphBudgetBurst, float64(s.Budget.Burst), tenant, class)
			r.Value(server.GraphPauseLeft, max(pauseLeft(s).Seconds(), 0), tenant, class)
			r.Time(server.GraphLastSuccess, s.LastSuccess, tenant, class)
		}
	}
}

func (d *Daemon) readSources(r *server.Readings) {
	for _, s := range d.Polls() {
		r.Value(server.Polls, float64(s.Polls-s.Failed), s.Tenant, s.Resource, "ok")
		r.Value(server.Polls, float64(s.Failed), s.Tenant, s.Resource, "failed")
		r.Time(server.PollLastSuccess, s.LastSuccess, s.Tenant, s.Resource)
		r.Value(server.PollFailures, float64(s.Failures), s.Tenant, s.Resource)
		r.Value(server.PollInterval, s.Every.Seconds(), s.Tenant, s.Resource)
		r.Value(server.PollPasses, float64(s.Passes), s.Tenant, s.Resource)
		r.Value(server.PollPages, float64(s.Pages), s.Tenant, s.Resource)
		r.Value(server.PollObjects, float64(s.Objects), s.Tenant, s.Resource)
		r.Value(server.PollOverlap, s.Overlap.Seconds(), s.Tenant, s.Resource)
	}
	d.webhooks.EachCount(func(path string, status int, n float64) {
		r.Value(server.WebhookRequests, n, path, strconv.Itoa(status))
	})
	fired, missed := d.schedule.Counts()
	r.Value(server.Slots, fired, "fired")
	r.Value(server.Slots, missed, "missed")
	n := map[string]int{"ok": 0, "held": 0, "failing": 0}
	for _, s := range d.schedule.State() {
		n[stateOf(s, d.o.Now())]++
	}
	for state, count := range n {
		r.Value(server.Schedules, float64(count), state)
	}
}

func (d *Daemon) readReloads(r *server.Readings) {
	for outcome, n := range d.counts.reloads {
		r.Value(server.Reloads, n.Load(), outcome)
	}
	d.mu.Lock()
	findings, at := d.findings, d.reloaded
	d.mu.Unlock()
	r.Time(server.LastReload, at)
	r.Value(server.PlaybooksLoaded, float64(len(d.engine.Playbooks().Playbooks)))
	n := map[diag.Severity]int{diag.Error: 0, diag.Warning: 0}
	for _, f := range findings {
		n[f.Severity]++
	}
	for severity, count := range n {
		r.Value(server.Findings, float64(count), string(severity))
	}
}

// pollStates says how all pollers fare, those that nobody needs now too.
func (d *Daemon) pollStates() []triggers.PollState {
	var states []triggers.PollState
	for _, name := range d.pollerNames() {
		if s := d.pollers[name].State(); s.Polls > 0 || d.isNeeded(name) {
			states = append(states, s)
		}
	}
	return states
}

func (d *Daemon) isNeeded(poller string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.needed[poller]
}
