package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/playbooks"
)

// The ceiling that an engine has unless its options say otherwise.
const (
	CeilingRuns   = 20
	CeilingWithin = 24 * time.Hour
)

// Ceiling is how many live runs of one playbook may be started for one object within a time.
//
// A playbook that changes its object is shown the change, and what an echo is can't always be
// told: it may write another value each time, or have another playbook undo what it did. Then
// every run brings about the next one. Beyond the ceiling a run is held: it is stored like any
// other, parked before it has begun, and waits for a person (Release). So nothing is lost, and
// what goes in circles stops.
type Ceiling struct {
	Runs   int // 0: there is no ceiling
	Within time.Duration
}

// over says whether a planned run has to ask the journal. A shadow run changes nothing, a person
// who starts a run knows what they do, what has no object is not shown its own changes, and a clock has
// few stages.
func (c Ceiling) over(run Run, ev Event, updated bool) Ceiling {
	byHand := strings.HasPrefix(ev.Source, "manual/")
	if !updated || run.Object == "" || run.Mode != playbooks.Live || byHand || FromClock(ev) || mutant.On(mutant.NoCeiling) {
		return Ceiling{}
	}
	return c
}

// HeldPrefix begins the message of a run that is held.
const HeldPrefix = "held: "

// Hold is what a journal stores instead of a planned run that is beyond its ceiling, or its limit: the
// same run, parked, with nothing of it begun.
func Hold(p PlannedRun, limited bool) PlannedRun {
	p.Entries, p.Writes = nil, nil
	p.Run.State, p.Run.Wake, p.Run.Ended = Parked, time.Time{}, time.Time{}
	why := fmt.Sprintf("%d runs of this playbook for this object within %s: does it start itself, or two playbooks each other?",
		p.Ceiling.Runs, playbooks.FormatDuration(p.Ceiling.Within))
	if limited {
		why = fmt.Sprintf("limits.runs lets %s start, and %d have within %s.", p.Limit, p.Limit.Most, playbooks.FormatDuration(p.Limit.Within))
	}
	p.Run.Message = HeldPrefix + why + " See `playbookd release`"
	return p
}

// tellHeld tells of the runs that the journal holds.
func (pl *planner) tellHeld(planned []Planned, receipt Receipt) {
	for _, p := range planned {
		for _, r := range p.Runs {
			if slices.Contains(receipt.Held, r.Run.ID) {
				pl.e.o.Observer.RunPaused(Hold(r, slices.Contains(receipt.Limited, r.Run.ID)).Run)
			}
		}
	}
}

// ReleasedData is what a [Released] entry holds: a person's word on a run that is held.
type ReleasedData struct {
	By     string `json:"by"`
	Note   string `json:"note,omitempty"`
	Cancel bool   `json:"cancel,omitempty"` // it is called off
}

// ReleasedBy returns a person's last word from a history; nil if there is none.
func ReleasedBy(history []Entry) *ReleasedData {
	for _, e := range slices.Backward(history) {
		if e.Kind != Released {
			continue
		}
		if d, err := decodeData[ReleasedData](e); err == nil {
			return &d
		}
	}
	return nil
}

// ErrNotHeld means that neither the ceiling nor a limit keeps a run from going on.
var ErrNotHeld = errors.New("only a run that is held can be released")

// Release lets a held run go on, or calls it off: then it ends, after its finally, as soon as an engine
// drives it. While an engine has the journal, it must be this one.
func (e *Engine) Release(ctx context.Context, id RunID, data ReleasedData) error {
	data.Note = shortened(data.Note, MaxAnswerComment)
	loaded, err := e.o.Journal.Load(ctx, id)
	if err != nil {
		return err
	}
	if run := loaded.Run; run.State.Final() || len(loaded.Entries) == 0 && run.State != Parked {
		return fmt.Errorf("run %s is %s: %w", id, run.State, ErrNotHeld)
	}
	err = e.say(ctx, id, func(m *Machine, now time.Time) ([]Entry, error) { return m.Release(data, now) })
	if errors.Is(err, ErrNotFound) { // it ended meanwhile
		return fmt.Errorf("run %s: %w", id, ErrNotHeld)
	}
	return err
}
