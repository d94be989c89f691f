package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/store"
)

// settleFlags say how a word on a parked run reaches it: through the running daemon in the name of a
// person's token, or, while no daemon runs, straight into its journal.
type settleFlags struct {
	desk     deskFlags
	data, by string
	note     string
}

func (f *settleFlags) add(cmd *cobra.Command) {
	f.desk.add(cmd)
	cmd.Flags().StringVar(&f.data, "data", "", "data directory of a stopped daemon, instead of a configuration")
	cmd.Flags().StringVar(&f.by, "by", "", "who decides, while no daemon runs; a running one knows it from your token")
	cmd.Flags().StringVar(&f.note, "note", "", "why; kept with the run")
}

// settle says something to a run and reports whether a running daemon took it.
func (f *settleFlags) settle(ctx context.Context, s *streams, path string, body any, alone func(database string) (engine.RunID, error)) (run engine.RunID, running bool, err error) {
	if f.data == "" && (f.desk.url != "" || f.desk.tokenFile != "" || os.Getenv(TokenEnv) != "") {
		c, err := f.desk.client(s)
		if err != nil {
			return "", false, err
		}
		var got struct{ Run engine.RunID }
		err = c.call(ctx, http.MethodPost, path, body, &got)
		if f.desk.url != "" || !errors.Is(err, errNotRunning) {
			return got.Run, true, err
		}
	}
	if strings.TrimSpace(f.by) == "" {
		return "", false, fmt.Errorf("say who decides, with --by while no daemon runs, with your token (%s or --token-file) while one does", TokenEnv)
	}
	database, err := (&journalFlags{config: f.desk.config, data: f.data}).database(s)
	if err != nil {
		return "", false, err
	}
	run, err = alone(database)
	if errors.Is(err, store.ErrLocked) {
		err = fmt.Errorf("%w; or say it to the running daemon: put your token into %s, or name a file with --token-file", err, TokenEnv)
	}
	return run, false, err
}

// printSettled says what became of the run.
func (s *streams) printSettled(run engine.RunID, what string) error {
	if s.json {
		return s.printJSON(map[string]engine.RunID{"run": run})
	}
	_, err := fmt.Fprintf(s.out, "run %s %s\n", run, what)
	return err
}

func goesOn(running bool) string {
	if running {
		return "goes on"
	}
	return "goes on at the next start"
}

func newResolve(s *streams) *cobra.Command {
	var f settleFlags
	var happened, not bool
	cmd := &cobra.Command{
		Use: "resolve RUN STEP", Short: "Settle a step of which nobody knows whether it took effect", Args: args(2, 2),
		Long: `A step that must not happen twice, and whose answer was lost, parks its run. Find out in the portal whether it took
effect, then say so: --happened goes on as if the answer had come, --did-not-happen lets the step be tried again. STEP is the path
that "playbookd show RUN" prints, such as steps/2. A running daemon is told with your token, which needs the role operator; while
none runs, the word goes straight into its journal, in the name that --by gives.`,
		Example: "  playbookd resolve rhqs2edi6aca6ut8f steps/2 --happened --note \"the page is there\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			if happened == not {
				return fmt.Errorf("say either --happened or --did-not-happen")
			}
			body := map[string]any{"step": args[1], "happened": happened, "note": f.note}
			run, running, err := f.settle(cmd.Context(), s, "/api/runs/"+url.PathEscape(args[0])+"/resolve", body, func(database string) (engine.RunID, error) {
				return daemon.Resolve(cmd.Context(), database, args[0], args[1], engine.ResolveData{Happened: happened, By: f.by, Note: f.note}, catalog())
			})
			if err != nil {
				return err
			}
			return s.printSettled(run, goesOn(running))
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&happened, "happened", false, "it took effect")
	cmd.Flags().BoolVar(&not, "did-not-happen", false, "it did not take effect")
	return cmd
}

func newRelease(s *streams) *cobra.Command {
	var f settleFlags
	var cancel bool
	cmd := &cobra.Command{
		Use: "release RUN", Short: "Let a run that a limit holds go on, or call it off", Args: args(1, 1),
		Long: `A playbook that runs again and again for one object may be starting itself: its change makes a new version of the object,
which starts the next run. Beyond the ceiling (20 runs of one playbook for one object within 24 hours, unless the configuration
says otherwise) a run is held: parked before it did anything. So is a run beyond the limits.runs of its playbook, and one
that has to begin an action beyond limits.effects is held at that step. Find out why ("playbookd runs --object alerts/ID"),
mend the playbook, then let the run go on with the text that it was held with, or call it off with --cancel. A run that was
released is not held by limits.effects again. A running daemon is told with your token, which needs the role operator; while
none runs, the word goes straight into its journal, in the name that --by gives.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"cancel": cancel, "note": f.note}
			run, running, err := f.settle(cmd.Context(), s, "/api/runs/"+url.PathEscape(args[0])+"/release", body, func(database string) (engine.RunID, error) {
				return daemon.Release(cmd.Context(), database, args[0], engine.ReleasedData{By: f.by, Note: f.note, Cancel: cancel}, catalog())
			})
			switch {
			case err != nil:
				return err
			case cancel && running:
				return s.printSettled(run, "is called off")
			case cancel:
				return s.printSettled(run, "is called off at the next start")
			}
			return s.printSettled(run, goesOn(running))
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&cancel, "cancel", false, "call it off: nothing new begins, its finally runs")
	return cmd
}
