package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/demo"
)

func newDemo(s *streams) *cobra.Command {
	var f simulatorFlags
	var once, verbose bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Watch playbooks work, without an account", Args: args(0, 0),
		Long: `Demo starts a Graph simulator with a week of invented alerts and a daemon that works against it over HTTPS, with the
shipped playbooks live, and prints each run as it ends. It goes on, with new alerts now and then, until it is interrupted;
with --once it ends when the work is done. At the end it compares the simulator's own log of what was changed with what the
journal says, and looks whether any alert was lost or left undecided.`,
		Example: "  playbookd demo\n  playbookd demo --once --seed 7 --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.demo(cmd.Context(), f, once, verbose)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&once, "once", false, "end when the work is done")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print the daemon's log too")
	return cmd
}

func (s *streams) demo(ctx context.Context, f simulatorFlags, once, verbose bool) error {
	options, closeEffects, err := f.options()
	if err != nil {
		return err
	}
	defer closeEffects()
	log := slog.New(slog.DiscardHandler)
	if verbose {
		log = slog.New(slog.NewTextHandler(s.err, nil))
	}
	v := &demoView{s: s}
	d, err := demo.New(ctx, demo.Options{Simulator: options, Once: once, Log: log, Ended: v.ended, Progress: v.progress})
	if err != nil {
		return err
	}
	defer d.Close()
	fmt.Fprintf(s.err, "Graph simulator at %s, %d alerts. Playbooks, live: %s.\n", d.URL(), len(d.Simulator().Alerts()), strings.Join(d.Playbooks(), ", "))
	if !once {
		fmt.Fprintln(s.err, "New alerts arrive now and then. Stop with Ctrl-C.")
	}
	fmt.Fprintln(s.err)
	sum, err := d.Run(ctx)
	v.clear()
	if err != nil {
		return err
	}
	if err := s.demoSummary(sum); err != nil {
		return err
	}
	if len(sum.Wrong) > 0 {
		return &exitError{code: exitFound, err: demo.ErrDisagree}
	}
	return nil
}

// demoView prints runs, and on a terminal a line of progress below them.
type demoView struct {
	s     *streams
	shown bool
}

// demoLine is a run as --json prints it.
type demoLine struct {
	Run      engine.RunID    `json:"run"`
	Playbook string          `json:"playbook"`
	State    engine.RunState `json:"state"`
	Object   string          `json:"object,omitempty"`
	Title    string          `json:"title,omitempty"`
	Did      []string        `json:"did"`
	Message  string          `json:"message,omitempty"`
	TookMS   float64         `json:"took_ms"`
}

func (v *demoView) ended(f demo.Finished) {
	v.clear()
	if v.s.json {
		line := demoLine{Run: f.Run.ID, Playbook: f.Run.Playbook, State: f.Run.State, Object: f.Run.Object, Title: f.Run.Title,
			Did: f.Did, Message: f.Run.Message, TookMS: float64(f.Took.Microseconds()) / 1000}
		if line.Did == nil {
			line.Did = []string{}
		}
		_ = v.s.printLine(line) // a reader that went away is noticed at the summary
		return
	}
	mark := v.s.paint(green, "✓")
	switch f.Run.State {
	case engine.Failed, engine.Canceled:
		mark = v.s.paint(red, "✗")
	case engine.Parked:
		mark = v.s.paint(yellow, "?")
	default:
	}
	did := "nothing to do"
	if len(f.Did) > 0 {
		did = counted(f.Did)
	}
	if f.Run.Message != "" {
		did += ": " + plain(f.Run.Message, 120)
	}
	about := plain(f.Run.Title, 44)
	fmt.Fprintf(v.s.out, "%s %-30s %-44s %s  %s\n", mark, f.Run.Playbook, about, did, v.s.paint(dim, took(f.Took)))
}

// counted joins what was done, with how often: "alert.update (update, comment), alert.comment ×3".
// A part that has its action's own name goes without saying.
func counted(did []string) string {
	counts := map[string]int{}
	parts := map[string][]string{}
	var order []string
	for _, d := range did {
		action, part, _ := strings.Cut(d, " ")
		if parts[action] == nil {
			order = append(order, action)
		}
		if !slices.Contains(parts[action], part) {
			parts[action] = append(parts[action], part)
		}
		counts[d]++
	}
	for i, action := range order {
		text, most := action, 0
		for _, part := range parts[action] {
			most = max(most, counts[action+" "+part])
		}
		if len(parts[action]) > 1 {
			text += " (" + strings.Join(parts[action], ", ") + ")"
		}
		if most > 1 {
			text += fmt.Sprintf(" ×%d", most)
		}
		order[i] = text
	}
	return strings.Join(order, ", ")
}

func (v *demoView) progress(p demo.Progress) {
	if !v.s.progress {
		return
	}
	v.shown = true
	fmt.Fprintf(v.s.err, "\r\x1b[K%d runs ended, %d under way", p.Ended, p.Active)
}

func (v *demoView) clear() {
	if v.shown {
		fmt.Fprint(v.s.err, "\r\x1b[K")
		v.shown = false
	}
}

func (s *streams) demoSummary(sum demo.Summary) error {
	if s.json {
		return s.printLine(map[string]any{"summary": sum})
	}
	list := func(m map[string]int) string {
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if m[k] > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
			}
		}
		if len(parts) == 0 {
			return "none"
		}
		return strings.Join(parts, ", ")
	}
	runs := map[string]int{}
	for state, n := range sum.Runs {
		runs[string(state)] = n
	}
	changed := 0
	for _, n := range sum.Effects {
		changed += n
	}
	fmt.Fprintf(s.out, "\nIn %s:\n", took(sum.Took))
	fmt.Fprintf(s.out, "  events     %s\n", list(sum.Events))
	fmt.Fprintf(s.out, "  decisions  %s\n", list(sum.Decisions))
	fmt.Fprintf(s.out, "  runs       %s\n", list(runs))
	fmt.Fprintf(s.out, "  changes    %s\n", list(sum.Effects))
	for _, w := range sum.Wrong {
		fmt.Fprintf(s.out, "  %s %s\n", s.paint(red, "WRONG"), w)
	}
	if len(sum.Wrong) == 0 {
		fmt.Fprintf(s.out, "  %s the simulator's log of %d changes and the journal agree: none unrecorded, none missing, none twice; no alert lost\n", s.paint(green, "✓"), changed)
	}
	fmt.Fprint(s.err, `
To look closer:
  playbookd simulate --write-config try     a simulator, and a configuration beside it
  playbookd serve -c try/playbookd.yaml     a daemon on it, in another terminal
  playbookd runs -c try/playbookd.yaml      what it did; then: playbookd show RUN
  playbookd check try/playbooks             after you changed a playbook
`)
	return nil
}
