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
