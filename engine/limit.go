package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/playbooks"
)

// What limits count are uses: a start of a run, and the beginning of an action. A start is counted
// where it is stored, as a ceiling is. Before an action begins, the machine asks how often it was
// begun within the limit's time, the driver has the journal count, and the machine goes on or holds
// the run. Only a run that is held has an entry about it: that an intent is there says that it was let through.

// Use is something that a limit counts.
type Use struct {
	Tenant   string
	Playbook string         // whose limit it is
	Action   string         // "": a run was started
	Mode     playbooks.Mode // live and shadow are counted apart
	Run      RunID
	At       time.Time
}

// RunLimit is how many runs of a playbook may start within a time.
type RunLimit struct {
	playbooks.Rate
	// Instead is what the decision says of a run beyond it that is started nevertheless; "": it is
	// held.
	Instead string
}

// LimitOf is what a journal has to count before it starts a run for an event of a source.
func LimitOf(p *playbooks.Playbook, run Run, source string) RunLimit {
	l := RunLimit{Rate: p.Limits.Runs}
	switch {
	case l.Most == 0:
	case run.Mode != playbooks.Live:
		l.Instead = "beyond limits.runs of " + l.String() + ": a live run would be held"
	case strings.HasPrefix(source, "manual/"):
		l.Instead = "beyond limits.runs of " + l.String() + ", and started by hand"
	}
	return l
}

// Start is the use that the start of a planned run is; false if nothing counts it.
func (p PlannedRun) Start() (Use, bool) {
	return Use{Tenant: p.Run.Tenant, Playbook: p.Run.Playbook, Mode: p.Run.Mode, Run: p.Run.ID, At: p.Run.Created}, p.Limit.Most > 0
}

// Note says in the decision about a run that it is beyond its limit and was started nevertheless.
func Note(matches []Match, p PlannedRun) []Match {
	matches = slices.Clone(matches)
	for i := range matches {
		if matches[i].Run == p.Run.ID {
			matches[i].Detail = p.Limit.Instead
		}
	}
	return matches
}

// Ask is a question of the machine: how often an action was begun. Allow answers it.
type Ask struct {
	Path   string // of the step
	Action string
	Limits []Limit
}

// Limit is how often a playbook lets an action begin.
type Limit struct {
	Playbook string
	playbooks.Rate
}

// Counted is how often an action had been begun before, within the time of a limit.
type Counted struct {
	Playbook string `json:"playbook"` // whose limit it is
	Limit    string `json:"limit"`    // 5/1h
	Count    int    `json:"count"`
}

// LimitedData is what a [Limited] entry holds: why an action has to wait for a person.
type LimitedData struct {
	Action string  `json:"action"`
	Beyond Counted `json:"beyond"`
}

// limits are those that an action step is counted by: of its playbook, and of all that called it.
func (f *frame) limits() []Limit {
	var list []Limit
	for p := f.seq.play; p != nil; p = p.caller {
		if rate, ok := p.book.Limits.Of(f.act.body.Spec.Name); ok {
			list = append(list, Limit{p.book.Name, rate})
		}
	}
	return list
}

// asks says whether the step has to wait for an answer before it begins, and asks for it.
func (a *act) asks(t *turn, f *frame) bool {
	if a.planned || a.allowed || t.m.released {
		return false
	}
	limits := f.limits()
	if len(limits) > 0 {
		t.asks = append(t.asks, Ask{Path: f.path, Action: a.body.Spec.Name, Limits: limits})
	}
	return len(limits) > 0
}

// begins notes what the beginning of an action is counted as.
func (t *turn) begins(f *frame) {
	for _, l := range f.limits() {
		t.d.Uses = append(t.d.Uses, Use{Playbook: l.Playbook, Action: f.act.body.Spec.Name})
	}
}

// Allow answers the machine's question about the step at a path, with one number for each limit. If one
// of them is reached, the run is held there, which is recorded. A run that only watches goes on, and
// the record of what it would have done has the numbers.
func (m *Machine) Allow(path string, counts []int, now time.Time) ([]Entry, error) {
	f := m.active[path]
	if f == nil || f.act == nil {
		return nil, fmt.Errorf("%w: there is no action at %q", ErrNotFound, path)
	}
	f.act.counted = nil
	for i, l := range f.limits() {
		c := Counted{Playbook: l.Playbook, Limit: l.String(), Count: counts[i]}
		f.act.counted = append(f.act.counted, c)
		if c.Count >= l.Most && m.run.Mode == playbooks.Live && !mutant.On(mutant.NoLimit) {
			e := m.entry(path, Limited, 0, now, LimitedData{Action: f.act.body.Spec.Name, Beyond: c})
			return []Entry{e}, m.apply(e)
		}
	}
	f.act.allowed = true
	return nil, nil
}

func (a *act) foldLimited(m *Machine, f *frame, e Entry) error {
	d, err := decodeData[LimitedData](e)
	if err != nil {
		return err
	}
	if a.planned || a.phase != due {
		return f.strange(e)
	}
	a.phase, a.limited, m.asks = held, d, true
	return nil
}

// heldMessage says what a step waits for.
func (a *act) heldMessage(f *frame) string {
	c := a.limited.Beyond
	return fmt.Sprintf("%s%s lets %s begin %s, and %d began within that time: %s waits. See `playbookd release`",
		HeldPrefix, "limits.effects of "+c.Playbook, a.limited.Action, c.Limit, c.Count, nameOf(f.step))
}

// Release records a person's word on a run that is held: before it began, or at a step. It then goes
// on and is not held by limits on effects again, or is called off.
func (m *Machine) Release(d ReleasedData, now time.Time) ([]Entry, error) {
	if m.seq > 0 && len(m.stepsIn(held)) == 0 {
		return nil, fmt.Errorf("run %s: %w", m.run.ID, ErrNotHeld)
	}
	e := m.entry("", Released, 0, now, d)
	if err := m.apply(e); err != nil || !d.Cancel {
		return []Entry{e}, err
	}
	canceled, err := m.Cancel(CancelData{By: d.By}, now)
	return []Entry{e, canceled}, err
}

// foldReleased takes a person's word: the run goes on where it is held.
func (m *Machine) foldReleased(e Entry) error {
	if m.seq == 0 {
		return nil // it was held before it began
	}
	steps := m.stepsIn(held)
	if len(steps) == 0 {
		return fmt.Errorf("%w: entry %d releases a run that is not held", errNotFollowing, e.Seq)
	}
	m.released = true
	for _, f := range steps {
		f.act.phase = due
	}
	return nil
}

// usesOf completes the uses of a decision.
func usesOf(run Run, uses []Use, now time.Time) []Use {
	for i := range uses {
		uses[i].Tenant, uses[i].Mode, uses[i].Run, uses[i].At = run.Tenant, run.Mode, run.ID, now.UTC()
	}
	return uses
}
