package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/sandbox"
)

// simulatorFlags say what a simulator holds and how it misbehaves.
type simulatorFlags struct {
	seed    int64
	count   int
	alerts  string
	faults  string
	hunting string
	effects string
}

// DefaultAlerts is how many alerts a simulated week has.
const DefaultAlerts = 60

func (f *simulatorFlags) add(cmd *cobra.Command) {
	cmd.Flags().Int64Var(&f.seed, "seed", 1, "what is invented depends on this number alone")
	cmd.Flags().IntVar(&f.count, "count", DefaultAlerts, "how many alerts to invent")
	cmd.Flags().StringVar(&f.alerts, "alerts", "", "file with a Graph export to use instead: an object with value, an array, or JSON lines")
	cmd.Flags().StringVar(&f.faults, "faults", "", "file with faults to commit, see docs/simulator.md")
	cmd.Flags().StringVar(&f.hunting, "hunting", "", "file with answers to hunting queries, see docs/simulator.md")
	cmd.Flags().StringVar(&f.effects, "effects", "", "file to which each effect performed is appended as a JSON line")
}

// options reads the files that the flags name. The returned closer closes the effects file.
func (f *simulatorFlags) options() (o simulator.Options, closer func() error, err error) {
	o = simulator.Options{Seed: f.seed, Alerts: f.count}
	closer = func() error { return nil }
	if f.alerts != "" {
		if err := withFile(f.alerts, func(r io.Reader) (err error) {
			o.Documents, err = simulator.Load(r)
			return err
		}); err != nil {
			return o, closer, err
		}
	}
	if f.faults != "" {
		if err := withFile(f.faults, func(r io.Reader) (err error) {
			o.Faults, err = simulator.ParseFaults(r)
			return err
		}); err != nil {
			return o, closer, err
		}
	}
	if f.hunting != "" {
		if err := withFile(f.hunting, func(r io.Reader) (err error) {
			o.Hunting.Answers, err = simulator.ParseHunting(r)
			return err
		}); err != nil {
			return o, closer, err
		}
	}
	if f.effects != "" {
		if err := os.MkdirAll(filepath.Dir(f.effects), 0o755); err != nil {
			return o, closer, fmt.Errorf("effects file: %w", err)
		}
		file, err := os.OpenFile(f.effects, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return o, closer, fmt.Errorf("effects file: %w", err)
		}
		o.Effects, closer = file, file.Close
	}
	return o, closer, nil
}

func withFile(name string, read func(io.Reader) error) error {
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("%s can't be read: %w", name, plainError(err))
	}
	defer file.Close()
	if err := read(file); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// ready is the line that simulate prints when it can be used.
type ready struct {
	Ready    bool   `json:"ready"`
	URL      string `json:"url"`
	TenantID string `json:"tenant_id"`
	ClientID string `json:"client_id"`
	Alerts   int    `json:"alerts"`
	Config   string `json:"config,omitempty"`
}

func newSimulate(s *streams) *cobra.Command {
	var f simulatorFlags
	var listen, dir string
	cmd := &cobra.Command{
		Use: "simulate", Short: "Run the Graph simulator alone", Args: args(0, 0),
		Long: `Simulate serves the Graph security API, Defender for Endpoint and their sign-in over HTTPS, with invented alerts or those
of an export. It prints one JSON line when it is ready, and works until it is interrupted.

With --write-config DIR it leaves everything there that "playbookd serve -c DIR/playbookd.yaml" needs to work against it.`,
		Example: "  playbookd simulate --write-config /tmp/try --effects /tmp/try/effects.jsonl",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.simulate(cmd.Context(), f, listen, dir)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address to serve on; port 0 takes a free one")
	cmd.Flags().StringVar(&dir, "write-config", "", "directory to leave a configuration, CA, secret and playbooks in")
	return cmd
}

func (s *streams) simulate(ctx context.Context, f simulatorFlags, listen, dir string) error {
	o, closeEffects, err := f.options()
	if err != nil {
		return err
	}
	defer closeEffects()
	sim, err := simulator.New(o)
	if err != nil {
		return err
	}
	defer sim.Close()
	l, err := sim.Start(listen)
	if err != nil {
		return err
	}
	defer l.Close()
	line := ready{Ready: true, URL: l.URL, TenantID: simulator.DefaultTenant, ClientID: simulator.DefaultClient, Alerts: len(sim.Alerts())}
	if dir != "" {
		file, err := sandbox.Write(dir, site(l))
		if err != nil {
			return err
		}
		if line.Config, err = filepath.Abs(file); err != nil {
			return err
		}
	}
	if err := s.printLine(line); err != nil {
		return err
	}
	if dir != "" {
		fmt.Fprintf(s.err, "in another terminal: playbookd serve -c %s\n", line.Config)
	}
	<-ctx.Done()
	return nil
}

// site describes a simulator that was started with its own identity. The secret opens invented
// data only.
func site(l *simulator.Listener) sandbox.Site {
	return sandbox.Site{URL: l.URL, CA: l.CA, Tenant: simulator.DefaultTenant, Client: simulator.DefaultClient, Secret: simulator.DefaultSecret}
}
