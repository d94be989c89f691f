package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

func newSLA(s *streams) *cobra.Command {
	var journal journalFlags
	var f store.ClockFilter
	cmd := &cobra.Command{
		Use: "sla", Short: "Show the clocks of sla triggers, the most urgent first", Args: args(0, 0),
		Long: `Sla shows the clock of every object that is not done with: when its target is used up, which stage comes next and when, and
which came last. Clocks come in the order in which their targets are used up; those that are over come first. LEFT is time by
the wall; of a clock that is paused it is business time, with the word "paused". Clocks that are stopped, and objects without
a target, are shown with --all.`,
		Example: "  playbookd sla\n  playbookd sla --playbook triage-sla --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.Limit < 1 || f.Limit > store.MaxLimit {
				return fmt.Errorf("--limit %d is outside the limits: use 1 to %d", f.Limit, store.MaxLimit)
			}
			r, err := journal.read(cmd.Context(), s)
			if err != nil {
				return err
			}
			defer r.Close()
			clocks, err := r.Board(cmd.Context(), f)
			if err != nil {
				return err
			}
			return s.printClocks(clocks, time.Now())
		},
	}
	journal.add(cmd)
	cmd.Flags().StringVar(&f.Tenant, "tenant", "", "only clocks of this tenant")
	cmd.Flags().StringVar(&f.Playbook, "playbook", "", "only clocks of this playbook")
	cmd.Flags().StringVar(&f.Object, "object", "", "only clocks of this object, such as alerts/ID")
	cmd.Flags().BoolVar(&f.All, "all", false, "also clocks that are stopped, and objects without a target")
	cmd.Flags().IntVar(&f.Limit, "limit", store.DefaultLimit, "at most so many")
	return cmd
}

// clockReport is a clock as sla prints it. Durations are texts, as playbooks write them.
type clockReport struct {
	Tenant   string            `json:"tenant"`
	Playbook string            `json:"playbook"`
	Object   string            `json:"object"`
	Title    string            `json:"title,omitempty"`
	State    engine.ClockState `json:"state"`
	Stage    string            `json:"stage,omitempty"` // the last that was reached
	Next     string            `json:"next,omitempty"`  // the one that comes next, at Due
	Due      time.Time         `json:"due,omitzero"`
	Breach   time.Time         `json:"breach,omitzero"` // when the target is used up, or was
	Target   string            `json:"target,omitempty"`
	Left     string            `json:"left,omitempty"` // of the target, by the wall; of a paused clock, business time
	Over     bool              `json:"over"`           // the target is used up
	Start    time.Time         `json:"start,omitzero"`
	Calendar string            `json:"calendar,omitempty"`
	Marks    []engine.Mark     `json:"marks,omitempty"`
	Fault    string            `json:"fault,omitempty"`
}

func reportClock(c engine.Clock, now time.Time) clockReport {
	r := clockReport{Tenant: c.Tenant, Playbook: c.Playbook, Object: c.Object, Title: c.Title, State: c.State, Next: c.Next, Due: c.Due,
		Breach: c.Breach, Start: c.Start, Calendar: c.Calendar, Marks: c.Marks, Fault: c.Fault}
	if n := len(c.Marks); n > 0 {
		r.Stage = c.Marks[n-1].Stage
	}
	if c.Within == 0 {
		return r
	}
	r.Target = playbooks.FormatDuration(c.Within)
	left := c.Within - c.Elapsed
	if c.State == engine.ClockRunning {
		if c.Breach.IsZero() {
			return r
		}
		left = c.Breach.Sub(now)
	}
	r.Over = left <= 0
	r.Left = playbooks.FormatDuration(left.Abs().Truncate(time.Second))
	return r
}

func (s *streams) printClocks(clocks []engine.Clock, now time.Time) error {
	reports := make([]clockReport, 0, len(clocks))
	for _, c := range clocks {
		reports = append(reports, reportClock(c, now))
	}
	if s.json {
		return s.printJSON(reports)
	}
	if len(reports) == 0 {
		_, err := fmt.Fprintln(s.err, "no clocks")
		return err
	}
	rows := make([][]string, 0, len(reports))
	for _, r := range reports {
		rows = append(rows, []string{clockTime(r.Breach), leftText(r), r.Target, orDash(r.Stage), nextText(r), r.Playbook, plain(r.Object, 44), plain(r.Title, 40)})
	}
	return table(s.out, []string{"BREACHES", "LEFT", "TARGET", "STAGE", "NEXT", "PLAYBOOK", "OBJECT", "ABOUT"}, rows)
}

func clockTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// leftText says how much time is left, or why none runs.
func leftText(r clockReport) string {
	switch {
	case r.Fault != "":
		return "fault: " + plain(r.Fault, 60)
	case r.Target == "":
		return "no target"
	case r.Left == "":
		return "-"
	}
	text := r.Left
	if r.Over {
		text = "over by " + text
	}
	if r.State != engine.ClockRunning {
		text += ", " + string(r.State)
	}
	return text
}

func nextText(r clockReport) string {
	if r.Next == "" {
		return "-"
	}
	return r.Next + " " + clockTime(r.Due)
}
