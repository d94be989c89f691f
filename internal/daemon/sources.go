package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/triggers"
)

// newSources makes what brings events: a poller for every tenant and resource (those that no
// playbook needs stay idle), the scheduler, the webhooks.
func (d *Daemon) newSources() error {
	var err error
	d.schedule, err = triggers.NewScheduler(triggers.SchedulerOptions{Sink: d.engine, Positions: d.journal, Log: d.root, Now: d.o.Now})
	if err != nil {
		return err
	}
	d.webhooks, err = triggers.NewWebhooks(triggers.WebhookOptions{Sink: d.engine, Resolve: d.secrets.Resolve, Log: d.root, Proxies: d.c.Proxies, Now: d.o.Now})
	if err != nil {
		return err
	}
	var tenants []string
	for _, t := range d.c.Tenants {
		tenants = append(tenants, t.Name)
	}
	d.clocks, err = triggers.NewClocks(triggers.ClocksOptions{Keeper: d.engine, Tenants: tenants, AsOf: d.asOf, Log: d.root})
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
				Tenant: t.Name, Resource: resource, Lister: lister, Sink: d.engine, Journal: d.journal, Log: d.root, Now: d.o.Now, Done: d.clocks.Wake,
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

// asOf says up to when the objects of a resource are known.
func (d *Daemon) asOf(tenant, resource string) time.Time {
	if p := d.pollers[tenant+"/poll/"+resource]; p != nil {
		return p.State().Known
	}
	return time.Time{}
}

// wiring is what the sources have to ask for, so that a set of playbooks gets its events.
type wiring struct {
	polls map[string]triggers.PollSettings // by poller
	slots []triggers.Slot
	hooks []triggers.Hook
}

// wiringFor says what a set of playbooks needs of the sources, or why it can't have that. Nothing is changed.
func (d *Daemon) wiringFor(set *playbooks.Set) (w wiring, err error) {
	var tenants []string
	w.polls = map[string]triggers.PollSettings{}
	for _, t := range d.c.Tenants {
		tenants = append(tenants, t.Name)
		for resource, s := range triggers.Polls(set.Playbooks, t.Name) {
			s.First, s.Overlap, s.SweepEvery, s.SweepBack = t.First, t.Overlap, t.SweepEvery, t.SweepBack
			p := d.pollers[t.Name+"/poll/"+resource]
			if p == nil {
				return w, fmt.Errorf("no poller for %s of %s", resource, t.Name)
			}
			w.polls[p.Name()] = s
		}
	}
	if w.slots, err = triggers.Slots(set.Playbooks, tenants); err != nil {
		return w, err
	}
	if w.hooks, err = triggers.Hooks(set.Playbooks, d.hookTenant, d.secrets.Names()); err != nil {
		return w, err
	}
	for i := range w.hooks {
		set := d.c.Hooks[w.hooks[i].Path]
		w.hooks[i].Allow = set.AllowFrom
		w.hooks[i].Limits = triggers.HookLimits{Rate: set.Rate, Burst: set.Burst, Concurrent: set.Concurrent}
	}
	return w, triggers.CheckHooks(w.hooks)
}

// wire makes the sources ask for it. The pollers that are needed are remembered for runSources, which starts and
// stops them.
func (d *Daemon) wire(w wiring) error {
	needed := map[string]bool{}
	for name, s := range w.polls {
		if err := d.pollers[name].Configure(s); err != nil {
			return err
		}
		needed[name] = true
	}
	if err := d.schedule.SetSlots(w.slots); err != nil {
		return err
	}
	if err := d.webhooks.SetHooks(w.hooks); err != nil {
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

// runSources runs the scheduler, the clocks and those pollers that are needed, as needs change.
func (d *Daemon) runSources(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		if err := d.schedule.Run(ctx); err != nil {
			d.log.Error("scheduler ended", "err", err)
		}
	})
	all.Go(func() {
		if err := d.clocks.Run(ctx); err != nil {
			d.log.Error("clocks ended", "err", err)
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
