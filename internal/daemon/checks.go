package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/server"
	"github.com/playbookd/playbookd/store"
	"github.com/playbookd/playbookd/triggers"
)

// When a check fails.
const (
	// LateAfter is how many polls in a row may fail, and how many intervals may pass without one
	// that succeeds, before readiness says so.
	LateAfter = 3
	// LateSlack is what a poll may take beyond its intervals.
	LateSlack = time.Minute
	// StallAfter is how long runs may have something to do without any run getting further.
	StallAfter = 2 * time.Minute
	// namedParked is how many parked runs readiness names.
	namedParked = 3
)

// healthChecks are those behind /healthz: what a restart may mend.
func (d *Daemon) healthChecks() []server.Check {
	return []server.Check{
		{Name: "journal", Func: func(ctx context.Context) error {
			_, err := d.db.Counts(ctx)
			return err
		}},
		{Name: "engine", Func: d.checkEngine},
	}
}

// readyChecks are those that only /readyz has: what needs a person, or time.
func (d *Daemon) readyChecks() []server.Check {
	checks := []server.Check{
		{Name: "journal writes", Func: d.checkWrites},
		{Name: "clock", Func: func(context.Context) error { return d.clock.check(d.o.Now()) }},
		{Name: "playbooks", Func: func(context.Context) error { return d.checkPlaybooks() }},
		{Name: "secrets", Func: func(context.Context) error { return d.checkSecrets() }},
		{Name: "parked runs", Func: d.checkParked},
		{Name: "schedules", Func: func(context.Context) error { return d.checkSchedules(d.o.Now()) }},
		{Name: "clocks", Func: func(context.Context) error { return d.checkClocks() }},
	}
	checks = append(checks, d.safeguardChecks()...)
	for _, t := range d.c.Tenants {
		checks = append(checks, server.Check{Name: "graph " + t.Name, Func: func(context.Context) error { return checkGraph(d.clients[t.Name].Stats()) }})
	}
	for _, name := range d.pollerNames() {
		checks = append(checks, server.Check{Name: "poll " + name, Func: func(context.Context) error {
			if !d.isNeeded(name) {
				return nil
			}
			return checkPoll(d.pollers[name].State())
		}})
	}
	return checks
}

// Unready says what readiness complains about now, by the name of the check.
func (d *Daemon) Unready(ctx context.Context) map[string]error {
	wrong := map[string]error{}
	for _, c := range append(d.healthChecks(), d.readyChecks()...) {
		if err := c.Func(ctx); err != nil {
			wrong[c.Name] = err
		}
	}
	return wrong
}

// checkEngine fails if a run that no worker has could go on, and has not for a while in which no
// other run got further either. While the journal can't be written that is no wonder, and a restart
// would forget the outcomes that wait to be recorded.
func (d *Daemon) checkEngine(ctx context.Context) error {
	still := d.counts.still()
	if still < StallAfter || d.db.Stats().Trouble != nil || d.engine.Keeping() > 0 {
		return nil
	}
	busy, workers := d.engine.Busy()
	now := d.o.Now()
	ready, err := d.db.Ready(ctx, now, busy+1)
	if err != nil {
		return err
	}
	since := now.Add(-StallAfter)
	old := 0
	for _, r := range ready {
		if r.Created.Before(since) && r.Wake.Before(since) {
			old++
		}
	}
	if old <= busy {
		return nil
	}
	return fmt.Errorf("runs have something to do and none got further for %s, with %d of %d workers busy: the log says why; if it doesn't, restart",
		still.Round(time.Second), busy, workers)
}

// checkWrites fails if the journal can't be written. While it can't, it is tried again here, so
// that the check recovers without an event.
func (d *Daemon) checkWrites(ctx context.Context) error {
	if d.db.Stats().Trouble == nil {
		return nil
	}
	if err := d.beat(ctx); err != nil {
		return fmt.Errorf("nothing can be stored, so nothing is admitted or done: %w", err)
	}
	return nil
}

func (d *Daemon) checkPlaybooks() error {
	d.mu.Lock()
	refused := d.refused
	d.mu.Unlock()
	if refused != nil {
		return fmt.Errorf("those before stay in use: %w", refused)
	}
	if findings := d.Findings(); findings.HasErrors() {
		return fmt.Errorf("some files are broken, what they held before is in use: %w", findings.Err())
	}
	return nil
}

// checkParked names runs that wait for a person: the latest that are parked, and the oldest that wait for their time
// in another place besides.
func (d *Daemon) checkParked(ctx context.Context) error {
	counts, err := d.db.Counts(ctx)
	if err != nil {
		return err
	}
	stuck, all, err := d.db.Stuck(ctx, namedParked)
	if err != nil {
		return err
	}
	var errs []error
	if n := counts[engine.Parked]; n > 0 {
		runs, err := d.db.Runs(ctx, store.RunFilter{State: engine.Parked, Limit: namedParked})
		if err != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("parked, waiting for a person: %d. See playbookd runs --state parked. The latest: %s", n, named(runs)))
	}
	if all > 0 {
		errs = append(errs, fmt.Errorf("waiting for a person at one step, for their time at another: %d. See playbookd runs --state waiting. The oldest: %s",
			all, named(stuck)))
	}
	return errors.Join(errs...)
}

func named(runs []engine.Run) string {
	var list []string
	for _, r := range runs {
		list = append(list, fmt.Sprintf("%s on %.80q (%.200s)", r.Playbook, r.Object, r.Message))
	}
	return strings.Join(list, "; ")
}

func (d *Daemon) checkSchedules(now time.Time) error {
	var errs []error
	for _, s := range d.schedule.State() {
		switch stateOf(s, now) {
		case "failing":
			errs = append(errs, fmt.Errorf("%s: %s", s.Source, s.LastError))
		case "held":
			errs = append(errs, fmt.Errorf("%s is held: it has dealt with its slots up to %s, and this machine's clock is behind that: set the clock",
				s.Source, s.Position.UTC().Format(time.RFC3339)))
		}
	}
	return errors.Join(errs...)
}

func (d *Daemon) checkClocks() error {
	if text := d.clocks.State().LastError; text != "" {
		return fmt.Errorf("the clocks of sla triggers can't go on: %s", text)
	}
	return nil
}

// stateOf says in a word how a schedule fares.
func stateOf(s triggers.SlotState, now time.Time) string {
	switch {
	case s.LastError != "":
		return "failing"
	case s.Position.After(now.Add(triggers.Grace)):
		return "held"
	}
	return "ok"
}

// checkGraph fails while requests of a class are refused because Graph asked for a pause. A short
// pause is waited out and worth no word.
func checkGraph(classes []graph.Stats) error {
	var errs []error
	for _, s := range classes {
		if left := pauseLeft(s); left > graph.MaxPauseWait {
			errs = append(errs, fmt.Errorf("requests of class %s are held back for another %s, because Graph asked for a pause",
				s.Class, left.Round(time.Second)))
		}
	}
	return errors.Join(errs...)
}

func pauseLeft(s graph.Stats) time.Duration {
	if s.PausedUntil.IsZero() {
		return 0
	}
	return time.Until(s.PausedUntil)
}

func checkPoll(s triggers.PollState) error {
	switch age := time.Since(s.LastSuccess); {
	case s.Failures >= LateAfter:
		return fmt.Errorf("%d polls in a row failed: %s", s.Failures, s.LastError)
	case s.LastSuccess.IsZero() && s.LastError != "":
		return fmt.Errorf("no poll has succeeded yet: %s", s.LastError)
	case s.LastSuccess.IsZero():
		return errors.New("no poll has ended yet")
	case age > LateAfter*s.Every+LateSlack:
		return fmt.Errorf("the last poll that read everything ended %s ago, and one is due every %s", age.Round(time.Second), s.Every)
	}
	return nil
}
