package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/server"
	"github.com/playbookd/playbookd/store"
	"github.com/playbookd/playbookd/triggers"
)

// LateAfter is how many polls in a row may fail before readiness says so.
const LateAfter = 3

// newSources makes what brings events: a poller for every tenant and resource (those that no
// playbook needs stay idle), the scheduler, the webhooks.
func (d *Daemon) newSources() error {
	var err error
	d.schedule, err = triggers.NewScheduler(triggers.SchedulerOptions{Sink: d.engine, Positions: d.journal, Log: d.log})
	if err != nil {
		return err
	}
	d.webhooks, err = triggers.NewWebhooks(triggers.WebhookOptions{Sink: d.engine, Resolve: d.secrets.Resolve, Log: d.log, Proxies: d.c.Proxies})
	if err != nil {
		return err
	}
	for _, t := range d.c.Tenants {
		for _, resource := range []string{"alerts", "incidents"} {
			lister, err := triggers.FromGraph(d.clients[t.Name], resource)
			if err != nil {
				return err
			}
			p, err := triggers.NewPoller(triggers.PollOptions{
				Tenant: t.Name, Resource: resource, Lister: lister, Sink: d.engine, Journal: d.journal, Log: d.log,
				Settings: triggers.PollSettings{Every: time.Minute, First: t.First, Overlap: t.Overlap, SweepEvery: t.SweepEvery, SweepBack: t.SweepBack},
			})
			if err != nil {
				return fmt.Errorf("tenant %s: %w", t.Name, err)
			}
			d.pollers[p.Name()] = p
		}
	}
	return nil
}

// configureSources makes the sources ask for what a set of playbooks needs. The pollers that
// are needed are remembered for runSources, which starts and stops them.
func (d *Daemon) configureSources(set *playbooks.Set) error {
	var tenants []string
	needed := map[string]bool{}
	for _, t := range d.c.Tenants {
		tenants = append(tenants, t.Name)
		for resource, s := range triggers.Polls(set.Playbooks, t.Name) {
			s.First, s.Overlap, s.SweepEvery, s.SweepBack = t.First, t.Overlap, t.SweepEvery, t.SweepBack
			p := d.pollers[t.Name+"/poll/"+resource]
			if p == nil {
				return fmt.Errorf("no poller for %s of %s", resource, t.Name)
			}
			if err := p.Configure(s); err != nil {
				return err
			}
			needed[p.Name()] = true
		}
	}
	slots, err := triggers.Slots(set.Playbooks, tenants)
	if err != nil {
		return err
	}
	if err := d.schedule.SetSlots(slots); err != nil {
		return err
	}
	hooks, err := triggers.Hooks(set.Playbooks, d.hookTenant, d.secrets.Names())
	if err != nil {
		return err
	}
	for i := range hooks {
		set := d.c.Hooks[hooks[i].Path]
		hooks[i].Allow = set.AllowFrom
		hooks[i].Limits = triggers.HookLimits{Rate: set.Rate, Burst: set.Burst, Concurrent: set.Concurrent}
	}
	if err := d.webhooks.SetHooks(hooks); err != nil {
		return err
	}
	d.mu.Lock()
	d.needed = needed
	d.mu.Unlock()
	select {
	case d.needs <- struct{}{}:
	default:
	}
	return nil
}

// hookTenant is the tenant that a webhook's events belong to: the one that the configuration
// names, or the first.
func (d *Daemon) hookTenant(path string) string {
	if h, ok := d.c.Hooks[path]; ok && h.Tenant != "" {
		return h.Tenant
	}
	return d.c.Tenants[0].Name
}

// runSources runs the scheduler and those pollers that are needed, as needs change.
func (d *Daemon) runSources(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		if err := d.schedule.Run(ctx); err != nil {
			d.log.Error("scheduler ended", "err", err)
		}
	})
	running := map[string]func(){} // each stops a poller and waits for its end
	for {
		d.mu.Lock()
		needed := d.needed
		d.mu.Unlock()
		for name, stop := range running {
			if !needed[name] {
				stop()
				delete(running, name)
			}
		}
		for name := range needed {
			if running[name] == nil {
				running[name] = d.startPoller(ctx, name)
			}
		}
		select {
		case <-d.needs:
		case <-ctx.Done():
			for _, stop := range running {
				stop()
			}
			return nil
		}
	}
}

func (d *Daemon) startPoller(ctx context.Context, name string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		if err := d.pollers[name].Run(ctx); err != nil {
			d.log.Error("poller ended", "source", name, "err", err)
		}
	})
	return func() { cancel(); done.Wait() }
}

// newServer makes the listener with its checks.
func (d *Daemon) newServer() error {
	s, err := server.New(server.Options{
		Addr: d.c.Listen, CertFile: d.c.TLSCert, KeyFile: d.c.TLSKey, BehindProxy: d.c.BehindProxy,
		Webhooks: d.webhooks, Desk: desk{d}, People: d.people, Log: d.log,
		Health: []server.Check{{Name: "journal", Func: func(ctx context.Context) error {
			_, err := d.db.Counts(ctx)
			return err
		}}},
		Ready: d.readyChecks(),
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	d.server = s
	return nil
}

func (d *Daemon) readyChecks() []server.Check {
	checks := []server.Check{{Name: "playbooks", Func: func(context.Context) error {
		if findings := d.Findings(); findings.HasErrors() {
			return fmt.Errorf("some files are broken, what they held before is in use: %w", findings.Err())
		}
		return nil
	}}, {Name: "secrets", Func: func(context.Context) error { return d.checkSecrets() }}, {Name: "parked runs", Func: func(ctx context.Context) error {
		return d.checkParked(ctx)
	}}}
	for _, name := range d.pollerNames() {
		p := d.pollers[name]
		checks = append(checks, server.Check{Name: "poll " + name, Func: func(context.Context) error {
			d.mu.Lock()
			needed := d.needed[name]
			d.mu.Unlock()
			s := p.State()
			if needed && s.Failures >= LateAfter {
				return fmt.Errorf("%d polls in a row failed: %s", s.Failures, s.LastError)
			}
			switch {
			case needed && s.LastSuccess.IsZero() && s.LastError != "":
				return fmt.Errorf("no poll has succeeded yet: %s", s.LastError)
			case needed && s.LastSuccess.IsZero():
				return errors.New("no poll has ended yet")
			}
			return nil
		}})
	}
	return checks
}

// Unready says what readiness complains about now, by the name of the check.
func (d *Daemon) Unready(ctx context.Context) map[string]error {
	wrong := map[string]error{}
	for _, c := range d.readyChecks() {
		if err := c.Func(ctx); err != nil {
			wrong[c.Name] = err
		}
	}
	return wrong
}

// namedParked is how many parked runs readiness names.
const namedParked = 3

// checkParked names the latest runs that wait for a person.
func (d *Daemon) checkParked(ctx context.Context) error {
	counts, err := d.db.Counts(ctx)
	if err != nil || counts[engine.Parked] == 0 {
		return err
	}
	runs, err := d.db.Runs(ctx, store.RunFilter{State: engine.Parked, Limit: namedParked})
	if err != nil {
		return err
	}
	var latest []string
	for _, r := range runs {
		latest = append(latest, fmt.Sprintf("%s on %.80q (%.200s)", r.Playbook, r.Object, r.Message))
	}
	return fmt.Errorf("parked, waiting for a person: %d. See playbookd runs --state parked. The latest: %s",
		counts[engine.Parked], strings.Join(latest, "; "))
}

func (d *Daemon) pollerNames() []string {
	var names []string
	for name := range d.pollers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Polls says how the pollers that are needed fare.
func (d *Daemon) Polls() []triggers.PollState {
	d.mu.Lock()
	needed := d.needed
	d.mu.Unlock()
	var states []triggers.PollState
	for _, name := range d.pollerNames() {
		if needed[name] {
			states = append(states, d.pollers[name].State())
		}
	}
	return states
}
