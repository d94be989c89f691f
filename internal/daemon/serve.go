package daemon

import (
	"context"
	"fmt"

	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/server"
)

// newServer makes the listeners: one with everything, and one for metrics if they have an address
// of their own.
func (d *Daemon) newServer() (err error) {
	o := server.Options{
		Addr: d.c.Listen, CertFile: d.c.TLSCert, KeyFile: d.c.TLSKey, BehindProxy: d.c.BehindProxy, Log: d.root,
		Health: d.healthChecks(), Ready: d.readyChecks(),
	}
	if d.c.Metrics != "" && d.c.Metrics != config.MetricsOff {
		own := o
		own.Addr, own.Metrics, own.MetricsOnly = d.c.Metrics, d.readings, true
		if d.metrics, err = server.New(own); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	o.Webhooks, o.Desk, o.People = d.webhooks, desk{d}, d.people
	if d.c.Metrics == "" {
		o.Metrics = d.readings
	}
	if d.server, err = server.New(o); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// listen starts the listeners, unless there are to be none. A listener that fails, now or later,
// is told to fail. The returned function ends them.
func (d *Daemon) listen(fail func(what string, err error)) (stop func(context.Context)) {
	if d.o.NoListen {
		return func(context.Context) {}
	}
	done := make(chan struct{})
	listeners := map[string]*server.Server{"listener": d.server}
	if d.metrics != nil {
		listeners["listener of metrics"] = d.metrics
	}
	for what, s := range listeners {
		if err := s.Start(); err != nil {
			fail(what, err)
			continue
		}
		go func() {
			select {
			case err := <-s.Failed():
				fail(what, err)
			case <-done:
			}
		}()
	}
	return func(ctx context.Context) {
		close(done)
		ctx, cancel := context.WithTimeout(ctx, StopGrace)
		defer cancel()
		for what, s := range listeners {
			fail(what, s.Stop(ctx))
		}
	}
}
