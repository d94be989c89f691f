package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/rota"
	"github.com/playbookd/playbookd/playbooks/watchlist"
	"github.com/playbookd/playbookd/triggers"
)

type runFlags struct {
	config, event, before, inputs, tenant string
	beside                                besideFlags
	live                                  bool
}

func newRun(s *streams) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run PLAYBOOK", Short: "Run one playbook on one event, dry unless told otherwise", Args: args(1, 1),
		Long: `Run decides about one event as the daemon would, and prints what the playbook did, or would do, and why. PLAYBOOK is a file,
or the name of one of the configuration's playbooks.

Without --live nothing is changed and nothing recorded: steps that only read are performed (with -c, against the configured
tenant), of all others the journal shows what they would have been. No key was seen then, the playbook has kept nothing, and
nobody has anything to do; who is on duty is asked of the rotas. With --live the run is recorded in the configured
journal, which no daemon may hold meanwhile.

Exit codes: 0 the run succeeded, 1 the event did not match or the run did not succeed, 2 the command could not do its work.`,
		Example: "  playbookd run playbooks/close-noise.yaml --event alert.json\n  playbookd run close-noise --event alert.json -c playbookd.yaml --live",
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.runOnce(cmd.Context(), args[0], f)
		},
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "configuration, for reading from Graph and for --live")
	cmd.Flags().StringVar(&f.event, "event", "", "file with the alert, incident or event as JSON; - is standard input")
	cmd.Flags().StringVar(&f.before, "before", "", "file with the version before, for a change trigger; not with --live")
	cmd.Flags().StringVar(&f.inputs, "inputs", "", "inputs of a manual trigger, as a JSON object")
	cmd.Flags().StringVar(&f.tenant, "tenant", "", "tenant, if the configuration has several")
	f.beside.add(cmd, "")
	cmd.Flags().BoolVar(&f.live, "live", false, "do it")
	return cmd
}

func (s *streams) runOnce(ctx context.Context, name string, f runFlags) error {
	o := daemon.Once{Tenant: f.tenant, Inputs: []byte(f.inputs), Live: f.live}
	var err error
	if f.config != "" {
		if o.Config, err = s.config(f.config); err != nil {
			return err
		}
		o.Log = s.logger(o.Config)
	}
	if o.Event, err = s.event(f.event); err != nil {
		return err
	}
	if o.Before, err = s.event(f.before); err != nil {
		return err
	}
	if o.Playbook, o.Beside, err = s.playbook(name, f.beside, o.Config); err != nil {
		return err
	}
	result, err := daemon.RunOnce(ctx, o)
	if err != nil {
		return err
	}
	return s.printResult(result, f.live)
}

func (s *streams) event(file string) ([]byte, error) {
	switch file {
	case "":
		return nil, nil
	case "-":
		return io.ReadAll(io.LimitReader(s.in, triggers.MaxPayload+1)) // one more: then it is refused
	}
	data, err := readFile(file, triggers.MaxPayload)
	if err != nil {
		return nil, fmt.Errorf("event: %s can't be read: %w", file, plainError(err))
	}
	return data, nil
}

// readFile reads no more of a file than shows that it has more than most bytes.
func readFile(file string, most int) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(most)+1))
}

// playbook finds a playbook by file, or by name among the configuration's.
func (s *streams) playbook(name string, flags besideFlags, c *config.Config) (*playbooks.Playbook, daemon.Beside, error) {
	none := daemon.Beside{}
	dirs := flags.orThoseOf(c).dirs(name, false)
	if src, err := readFile(name, playbooks.MaxPlaybookSize); err == nil {
		beside, findings := daemon.ReadBeside(dirs)
		if beside.Lists == nil {
			beside.Lists = &watchlist.Set{}
		}
		if beside.Calendars == nil {
			beside.Calendars = &calendar.Set{}
		}
		if beside.Rotas == nil {
			beside.Rotas = &rota.Set{}
		}
		p, more := compileFile(name, src, daemon.Compiling(catalog(), beside, time.Now()))
		return p, beside, s.refuse(append(findings, more...), name)
	} else if isFile := filepath.Ext(name) != ""; c == nil && !isFile {
		return nil, none, fmt.Errorf("playbook %s can't be read: %w: give its file, or with -c a configuration whose playbook it is", name, plainError(err))
	} else if isFile {
		return nil, none, fmt.Errorf("playbook %s can't be read: %w", name, plainError(err))
	}
	dirs.Playbooks = c.Playbooks
	set, beside, findings := daemon.Read(catalog(), dirs, time.Now())
	if p, ok := set.Lookup(name); ok {
		return p, beside, nil
	}
	if err := s.refuse(findings, name); err != nil {
		return nil, none, err
	}
	var names []string
	for _, p := range set.Playbooks {
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return nil, none, fmt.Errorf("there is no playbook %q: %s holds none", name, c.Playbooks)
	}
	return nil, none, fmt.Errorf("there is no playbook %q in %s, which has %s", name, c.Playbooks, strings.Join(names, ", "))
}

// refuse prints findings and turns errors among them into one.
func (s *streams) refuse(findings diag.Findings, name string) error {
	if len(findings) > 0 {
		if err := diag.Render(s.err, findings, s.errColor); err != nil {
			return err
		}
	}
	if findings.HasErrors() {
		return fmt.Errorf("playbook %s has errors", name)
	}
	return nil
}

func (s *streams) printResult(r daemon.Result, live bool) error {
	if r.Decision.Run == "" {
		if s.json {
			if err := s.printJSON(map[string]any{"decision": r.Decision}); err != nil {
				return err
			}
			return found()
		}
		switch r.Decision.Verdict {
		case engine.NotMatched:
			fmt.Fprintf(s.out, "not matched: this was false: %s\n", plain(r.Decision.Detail, 300))
		default:
			fmt.Fprintf(s.out, "skipped, %s: %s\n", r.Decision.Reason, plain(r.Decision.Detail, 300))
		}
		return found()
	}
	rep := report(r.Loaded, []engine.Match{r.Decision})
	if err := s.showRun(rep); err != nil {
		return err
	}
	if !live && !s.json {
		fmt.Fprintln(s.err, "\nThis was a dry run: what is marked dry was not done. With --live it would be.")
	}
	if rep.Run.State != engine.Succeeded {
		return found()
	}
	return nil
}
