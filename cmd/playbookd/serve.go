package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/server"
)

// DefaultConfig is the configuration that commands use when -c does not name another.
const DefaultConfig = "playbookd.yaml"

func newServe(s *streams) *cobra.Command {
	var configFile string
	var f serveFlags
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the daemon", Args: args(0, 0),
		Long: `Serve polls the configured tenants, takes webhooks and runs playbooks until it is told to stop (SIGTERM, or an
interrupt). It then lets what is in the air end, and records how. A second signal ends it at once; what was in flight is
sorted out at the next start. SIGHUP reads playbooks and watchlists anew; changed files are noticed without it too.

With --pprof it serves profiles of itself for go tool pprof, on a loopback address only.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.config(configFile)
			if err != nil {
				return err
			}
			if err := f.apply(c); err != nil {
				return err
			}
			return s.serve(cmd.Context(), c, f.pprof)
		},
	}
	configFlag(cmd, &configFile)
	cmd.Flags().StringVar(&f.format, "log-format", "", "text or json, instead of the configuration's")
	cmd.Flags().StringVar(&f.level, "log-level", "", "debug, info, warn or error, instead of the configuration's")
	cmd.Flags().StringVar(&f.pprof, "pprof", "", "address for profiles, such as 127.0.0.1:6060")
	return cmd
}

// serveFlags are what serve takes besides its configuration.
type serveFlags struct{ format, level, pprof string }

// apply puts flags in the place of what the configuration says.
func (f serveFlags) apply(c *config.Config) error {
	for _, flag := range []struct {
		name, value string
		into        *string
		known       []string
	}{
		{"log-format", f.format, &c.LogFormat, config.LogFormats()}, {"log-level", f.level, &c.LogLevel, config.LogLevels()},
	} {
		if flag.value == "" {
			continue
		}
		if !slices.Contains(flag.known, flag.value) {
			return fmt.Errorf("--%s %.40q is not known: use one of %s", flag.name, flag.value, strings.Join(flag.known, ", "))
		}
		*flag.into = flag.value
	}
	return nil
}

func configFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVarP(into, "config", "c", DefaultConfig, "configuration file")
}

// config reads a configuration; what is wrong with it is printed.
func (s *streams) config(file string) (*config.Config, error) {
	c, findings := config.Load(file)
	if len(findings) > 0 {
		if err := diag.Render(s.err, findings, s.errColor); err != nil {
			return nil, err
		}
	}
	if findings.HasErrors() {
		return nil, fmt.Errorf("the configuration %s can't be used", file)
	}
	return c, nil
}

// logger writes what the daemon has to say to standard error.
func (s *streams) logger(c *config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(s.err, o))
	}
	return slog.New(slog.NewTextHandler(s.err, o))
}

func (s *streams) serve(ctx context.Context, c *config.Config, profiles string) error {
	log := s.logger(c)
	if profiles != "" {
		p, err := server.OpenProfiles(profiles, log)
		if err != nil {
			return err
		}
		defer func() { _ = p.Stop() }() // nobody waits for a profile of what has ended
	}
	daemon.EaseCollection()
	d, err := daemon.New(ctx, daemon.Options{
		Config: c, Log: log, Version: version().Version,
		OnFindings: func(findings diag.Findings) {
			// A log of JSON lines stays one: it has the findings too.
			if len(findings) > 0 && c.LogFormat != "json" {
				_ = diag.Render(s.err, findings, s.errColor)
			}
		},
	})
	if err != nil {
		return err
	}
	log = log.With("component", "daemon")
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for {
			select {
			case <-hup:
				log.Info("SIGHUP: reading playbooks and watchlists anew")
				_ = d.Reload() // it has said what is wrong
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := d.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
