package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// runReport is all there is to say about a run.
type runReport struct {
	Run      engine.Run           `json:"run"`
	Event    engine.Event         `json:"event"`
	Decision engine.Match         `json:"decision"`
	When     string               `json:"when,omitempty"`     // the condition that was true
	Released *engine.ReleasedData `json:"released,omitempty"` // a person's last word on a run that was held
	Readings []engine.Reading     `json:"readings,omitempty"` // what its vars asked the world
	Steps    []*engine.StepTrace  `json:"steps"`
}

func newShow(s *streams) *cobra.Command {
	var journal journalFlags
	cmd := &cobra.Command{
		Use: "show RUN|EVENT", Short: "Show what a run did and why, or what became of an event", Args: args(1, 1),
		Long: `Show prints a run's steps with their inputs, outputs and attempts, and why it ran. The beginning of a run's ID is enough,
and playbookd:run/ID, which is how other systems were told of it (run.url), will do.
Given the ID of an event it prints the decision of every playbook about it, with the reason.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := journal.read(cmd.Context(), s)
			if err != nil {
				return err
			}
			defer r.Close()
			id := string(engine.RunIDOf(args[0]))
			if strings.Contains(id, "/") {
				return s.showEvent(cmd, r, id)
			}
			loaded, err := r.Run(cmd.Context(), id)
			if errors.Is(err, engine.ErrNotFound) {
				return fmt.Errorf("there is no run %s: `playbookd runs` lists them", plain(id, 64))
			}
			if err != nil {
				return err
			}
			decisions, err := r.Decisions(cmd.Context(), loaded.Event.ID)
			if err != nil {
				return err
			}
			return s.showRun(report(loaded, decisions))
		},
	}
	journal.add(cmd)
	return cmd
}

func report(l engine.Loaded, decisions []engine.Match) runReport {
	r := runReport{Run: l.Run, Event: l.Event}
	for _, m := range decisions {
		if m.Run == l.Run.ID {
			r.Decision = m
		}
	}
	// A playbook that today's program can't read any more still has its history.
	p, findings := playbooks.CompileRecorded(l.Run.Playbook, l.Source, playbooks.Options{Catalog: catalog()})
	if findings.HasErrors() {
		p = nil
	}
	if p != nil && p.When != nil {
		r.When = strings.TrimSpace(p.When.Source())
	}
	vars := slices.DeleteFunc(slices.Clone(l.Entries), func(e engine.Entry) bool { return e.Path != "" })
	r.Readings, _ = engine.Readings(vars) // what can't be read, the journal's check reports
	r.Released, r.Steps = engine.ReleasedBy(l.Entries), engine.Trace(p, l.Entries)
	return r
}

func (s *streams) showEvent(cmd *cobra.Command, r *store.Reader, id string) error {
	ev, err := r.Event(cmd.Context(), id)
	if errors.Is(err, engine.ErrNotFound) {
		return fmt.Errorf("there is no event %s", plain(id, 200))
	}
	if err != nil {
		return err
	}
	decisions, err := r.Decisions(cmd.Context(), id)
	if err != nil {
		return err
	}
	lists, err := r.ListVersions(cmd.Context(), id)
	if err != nil {
		return err
	}
	if s.json {
		told := map[string]any{"event": ev, "decisions": decisions}
		if lists != nil {
			told["lists"] = lists
		}
		return s.printJSON(told)
	}
	fmt.Fprintf(s.out, "event  %s\nabout  %s\nseen   %s\n", plain(ev.ID, 200), plain(ev.Title, 120), ev.Seen.Local().Format("2006-01-02 15:04:05"))
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		fmt.Fprintf(s.out, "list   %s as of %s\n", name, short(lists[name]))
	}
	fmt.Fprintln(s.out)
	var rows [][]string
	for _, m := range decisions {
		rows = append(rows, []string{m.Playbook, string(m.Verdict), m.Reason, plain(m.Detail, 100), string(m.Run)})
	}
	if err := table(s.out, []string{"PLAYBOOK", "DECISION", "REASON", "BECAUSE", "RUN"}, rows); err != nil {
		return err
	}
	for _, m := range decisions {
		for _, reading := range m.Readings {
			fmt.Fprintf(s.out, "%s read %s\n", m.Playbook, plain(reading.String(), 300))
		}
	}
	return nil
}

func (s *streams) showRun(r runReport) error {
	if s.json {
		return s.printJSON(r)
	}
	run := r.Run
	line := func(name, format string, args ...any) {
		fmt.Fprintf(s.out, "%-10s"+format+"\n", append([]any{name}, args...)...)
	}
	state := stateText(run)
	if !run.Ended.IsZero() {
		state += " in " + took(run.Ended.Sub(run.Created))
	}
	line("run", "%s", run.ID)
	line("state", "%s", s.paintState(run.State, state))
	if run.Message != "" {
		line("why", "%s", plain(run.Message, 500))
	}
	line("playbook", "%s (%s)", run.Playbook, short(run.Digest))
	line("about", "%s", strings.TrimSpace(plain(run.Title, 120)+"  "+plain(run.Object, 120)))
	line("event", "%s", plain(run.Event, 200))
	if sla := r.Event.SLA; sla != nil {
		line("stage", "%s: %s of %s", plain(sla.Stage, 64), sla.Elapsed, sla.Target)
	}
	because := "the trigger fired; the playbook has no condition"
	if r.When != "" {
		because = "when was true: " + plain(r.When, 300)
	}
	line("because", "%s", because)
	for _, reading := range append(slices.Clone(r.Decision.Readings), r.Readings...) {
		line("read", "%s", plain(reading.String(), 300))
	}
	line("created", "%s", run.Created.Local().Format("2006-01-02 15:04:05.000"))
	if r.Released != nil {
		word := "released by "
		if r.Released.Cancel {
			word = "called off by "
		}
		line("a person", "%s", word+plain(strings.TrimSuffix(r.Released.By+": "+r.Released.Note, ": "), 300))
	}
	needs, waits := strings.CutPrefix(run.Message, engine.WordPrefix)
	switch {
	case run.State != engine.Parked && (!waits || run.State.Final()):
	case strings.HasPrefix(needs, engine.HeldPrefix):
		fmt.Fprintf(s.out, "\nThis run waits for a person: a limit holds it. When you know why the playbook ran or acted so often:\n  playbookd release %s [--cancel] [--by YOU]\n", run.ID)
	default:
		fmt.Fprintf(s.out, "\nThis run waits for a person. When you know what happened:\n  playbookd resolve %s STEP --happened|--did-not-happen [--by YOU]\n", run.ID)
	}
	for _, step := range r.Steps {
		s.showStep(step)
	}
	return nil
}

func short(digest string) string {
	if len(digest) > 19 {
		return digest[:19]
	}
	return digest
}

func (s *streams) paintState(state engine.RunState, text string) string {
	switch state {
	case engine.Succeeded:
		return s.paint(green, text)
	case engine.Failed, engine.Canceled:
		return s.paint(red, text)
	case engine.Parked:
		return s.paint(yellow, text)
	default:
		return text
	}
}

func (s *streams) showStep(step *engine.StepTrace) {
	name := step.ID
	if name == "" {
		name = step.Name
	}
	what := step.Action
	if what == "" {
		what = step.Kind
	}
	head := step.Path
	if name != "" {
		head += " (" + plain(name, 60) + ")"
	}
	fmt.Fprintf(s.out, "\n%s  %s  %s", head, what, step.Status)
	switch {
	case step.Kind == "if" && step.Taken != nil:
		fmt.Fprintf(s.out, ": the condition was %t", *step.Taken)
	case step.Kind == "switch" && step.Way > 0:
		fmt.Fprintf(s.out, ": case %d", step.Way)
	case step.Kind == "wait" && step.Until != nil && step.Status == "waiting":
		fmt.Fprintf(s.out, " until %s", step.Until.Format(time.RFC3339))
	case step.Kind == "foreach":
		fmt.Fprintf(s.out, ": %d items", step.Items)
	case step.Message != "":
		fmt.Fprintf(s.out, ": %s", plain(step.Message, 300))
	}
	fmt.Fprintln(s.out)
	for _, reading := range step.Readings {
		fmt.Fprintf(s.out, "    read    %s\n", plain(reading.String(), 400))
	}
	s.showQuestion(step)
	for _, a := range step.Attempts {
		s.showAttempt(a)
	}
	if step.Fault != nil {
		fmt.Fprintf(s.out, "    fault   %s: %s\n", step.Fault.Code, plain(step.Fault.Message, 500))
	}
	if len(step.Input) > 0 {
		fmt.Fprintf(s.out, "    input   %s\n", compact(step.Input, 400))
	}
	if len(step.Output) > 0 && string(step.Output) != "{}" {
		fmt.Fprintf(s.out, "    output  %s\n", compact(step.Output, 400))
	}
}

// showQuestion prints what people were asked, and what they said.
func (s *streams) showQuestion(step *engine.StepTrace) {
	if step.Asked == nil {
		return
	}
	fmt.Fprintf(s.out, "    asked   %s: %s\n", step.Asked.ID, plain(step.Asked.Title, 300))
	fmt.Fprintf(s.out, "    of      %s, until %s; silence means %s\n", plain(strings.Join(step.Asked.By, ", "), 200),
		step.Asked.Until.Format(time.RFC3339), plain(step.Asked.Otherwise, 60))
	for _, a := range step.Answers {
		said := compact(a.Answer, 300)
		if step.Asked.Approve {
			said = map[bool]string{true: "yes", false: "no"}[a.Approve]
		}
		if a.Comment != "" {
			said += ": " + plain(a.Comment, 300)
		}
		fmt.Fprintf(s.out, "    %s said %s\n", plain(a.By, 100), said)
	}
}

func (s *streams) showAttempt(a engine.AttemptTrace) {
	kind := string(a.Effect)
	if a.Probe {
		kind = "probe"
	}
	outcome := "in flight"
	switch {
	case a.Interrupted:
		outcome = "interrupted: the process ended before the answer came"
	case a.Status == engine.Faulty && a.Fault != nil:
		outcome = a.Fault.Code
		if a.Fault.Unknown {
			outcome += ", may have taken effect"
		}
	case a.Status != "":
		outcome = string(a.Status)
	}
	if !a.Ended.IsZero() && !a.Interrupted {
		outcome += " in " + took(a.Ended.Sub(a.Began))
	}
	fmt.Fprintf(s.out, "    %s #%d (%s) %s  request %s\n", a.Part, a.Number, kind, outcome, a.RequestID)
}

// compact is JSON on one line, cut to a length.
func compact(raw json.RawMessage, n int) string {
	var buf bytes.Buffer
	if json.Compact(&buf, raw) != nil {
		return plain(string(raw), n)
	}
	return plain(buf.String(), n)
}
