package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/store"
)

// journalFlags say which journal a reading command looks at.
type journalFlags struct{ config, data string }

func (f *journalFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", DefaultConfig, "configuration file")
	cmd.Flags().StringVar(&f.data, "data", "", "data directory, instead of a configuration")
}

// database is the path of the journal's file.
func (f *journalFlags) database(s *streams) (string, error) {
	if f.data != "" {
		return filepath.Join(f.data, daemon.DatabaseName), nil
	}
	c, err := s.config(f.config)
	if err != nil {
		return "", err
	}
	return filepath.Join(c.Data, daemon.DatabaseName), nil
}

// read opens the journal for reading, also while a daemon writes it.
func (f *journalFlags) read(ctx context.Context, s *streams) (*store.Reader, error) {
	path, err := f.database(s)
	if err != nil {
		return nil, err
	}
	return store.OpenReader(ctx, path)
}

var states = []engine.RunState{engine.Ready, engine.Waiting, engine.Parked, engine.Succeeded, engine.Failed, engine.Canceled}

func stateNames() string {
	names := make([]string, len(states))
	for i, state := range states {
		names[i] = string(state)
	}
	return strings.Join(names, ", ")
}

func newRuns(s *streams) *cobra.Command {
	var journal journalFlags
	var f store.RunFilter
	var state, since string
	cmd := &cobra.Command{
		Use: "runs", Short: "List runs, newest first", Args: args(0, 0),
		Example: "  playbookd runs --state parked\n  playbookd runs --object alerts/da637… --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.State = engine.RunState(state)
			if state != "" && !slices.Contains(states, f.State) {
				return fmt.Errorf("--state %q is not known: use one of %s", state, stateNames())
			}
			if f.Limit < 1 || f.Limit > store.MaxLimit {
				return fmt.Errorf("--limit %d is outside the limits: use 1 to %d", f.Limit, store.MaxLimit)
			}
			if since != "" {
				d, err := config.ParseSpan(since)
				if err != nil || d <= 0 {
					return fmt.Errorf("--since %q is no duration: write 30m, 4h or 7d", since)
				}
				f.Since = time.Now().Add(-d)
			}
			r, err := journal.read(cmd.Context(), s)
			if err != nil {
				return err
			}
			defer r.Close()
			runs, err := r.Runs(cmd.Context(), f)
			if err != nil {
				return err
			}
			return s.printRuns(runs)
		},
	}
	journal.add(cmd)
	cmd.Flags().StringVar(&f.Playbook, "playbook", "", "only runs of this playbook")
	cmd.Flags().StringVar(&state, "state", "", "only runs in this state: "+stateNames())
	cmd.Flags().StringVar(&f.Object, "object", "", "only runs about this object, such as alerts/ID")
	cmd.Flags().StringVar(&since, "since", "", "only runs of the last 30m, 4h, 7d …")
	cmd.Flags().IntVar(&f.Limit, "limit", store.DefaultLimit, "at most so many")
	return cmd
}

func (s *streams) printRuns(runs []engine.Run) error {
	if s.json {
		if runs == nil {
			runs = []engine.Run{}
		}
		return s.printJSON(runs)
	}
	if len(runs) == 0 {
		_, err := fmt.Fprintln(s.err, "no runs")
		return err
	}
	var rows [][]string
	for _, r := range runs {
		rows = append(rows, []string{string(r.ID), r.Created.Local().Format("2006-01-02 15:04:05"), r.Playbook, stateText(r),
			plain(r.Title, 48), plain(r.Message, 60)})
	}
	return table(s.out, []string{"RUN", "CREATED", "PLAYBOOK", "STATE", "ABOUT", "WHY"}, rows)
}

func stateText(r engine.Run) string {
	text := string(r.State)
	if r.Mode == "shadow" {
		text += " (shadow)"
	}
	return text
}

func newResolve(s *streams) *cobra.Command {
	var journal journalFlags
	var happened, not bool
	var by, note string
	cmd := &cobra.Command{
		Use: "resolve RUN STEP", Short: "Settle a step of which nobody knows whether it took effect", Args: args(2, 2),
		Long: `A step that must not happen twice, and whose answer was lost, parks its run. Find out in the portal whether it took
effect, then say so: --happened goes on as if the answer had come, --did-not-happen lets the step be tried again. Stop the
daemon first: it holds the journal. STEP is the path that "playbookd show RUN" prints, such as steps/2.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if happened == not {
				return fmt.Errorf("say either --happened or --did-not-happen")
			}
			if strings.TrimSpace(by) == "" {
				return fmt.Errorf("say who decides, with --by")
			}
			path, err := journal.database(s)
			if err != nil {
				return err
			}
			run, err := daemon.Resolve(cmd.Context(), path, args[0], args[1], engine.ResolveData{Happened: happened, By: by, Note: note}, catalog())
			if err != nil {
				return err
			}
			if s.json {
				return s.printJSON(run)
			}
			_, err = fmt.Fprintf(s.out, "run %s goes on at the next start\n", run.ID)
			return err
		},
	}
	journal.add(cmd)
	cmd.Flags().BoolVar(&happened, "happened", false, "it took effect")
	cmd.Flags().BoolVar(&not, "did-not-happen", false, "it did not take effect")
	cmd.Flags().StringVar(&by, "by", "", "who decides")
	cmd.Flags().StringVar(&note, "note", "", "why")
	return cmd
}

func newRelease(s *streams) *cobra.Command {
	var journal journalFlags
	var d engine.ReleasedData
	cmd := &cobra.Command{
		Use: "release RUN", Short: "Let a run that was held before it began go on, or cancel it", Args: args(1, 1),
		Long: `A playbook that runs again and again for one object may be starting itself: its change makes a new version of the object,
which starts the next run. Beyond the ceiling (20 runs of one playbook for one object within 24 hours, unless the configuration
says otherwise) a run is held: parked before it did anything. Find out why ("playbookd runs --object alerts/ID"), mend the
playbook, then let the run go on with the text that it was held with, or cancel it with --cancel. Stop the daemon first: it
holds the journal.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(d.By) == "" {
				return fmt.Errorf("say who decides, with --by")
			}
			path, err := journal.database(s)
			if err != nil {
				return err
			}
			run, err := daemon.Release(cmd.Context(), path, args[0], d)
			if err != nil {
				return err
			}
			if s.json {
				return s.printJSON(run)
			}
			what := "goes on at the next start"
			if d.Cancel {
				what = "is canceled"
			}
			_, err = fmt.Fprintf(s.out, "run %s %s\n", run.ID, what)
			return err
		},
	}
	journal.add(cmd)
	cmd.Flags().BoolVar(&d.Cancel, "cancel", false, "it is not to run at all")
	cmd.Flags().StringVar(&d.By, "by", "", "who decides")
	cmd.Flags().StringVar(&d.Note, "note", "", "why")
	return cmd
}
