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
// who starts a run knows what they do, and what has no object is not shown its own changes.
func (c Ceiling) over(run Run, source string, updated bool) Ceiling {
	byHand := strings.HasPrefix(source, "manual/")
	if !updated || run.Object == "" || run.Mode != playbooks.Live || byHand || mutant.On(mutant.NoCeiling) {
		return Ceiling{}
	}
	return c
}

// HeldPrefix begins the message of a run that is held.
const HeldPrefix = "held: "

// Hold is what a journal stores instead of a planned run that is beyond its ceiling: the same
// run, parked, with nothing of it begun.
func Hold(p PlannedRun) PlannedRun {
	p.Entries, p.Writes = nil, nil
	p.Run.State, p.Run.Wake, p.Run.Ended = Parked, time.Time{}, time.Time{}
	p.Run.Message = fmt.Sprintf("%s%d runs of this playbook for this object within %s: does it start itself, or two playbooks each other? See `playbookd release`",
		HeldPrefix, p.Ceiling.Runs, playbooks.FormatDuration(p.Ceiling.Within))
	return p
}

// tellHeld tells of the runs that the journal holds.
func (pl *planner) tellHeld(planned []Planned, held []RunID) {
	for _, p := range planned {
		for _, r := range p.Runs {
			if slices.Contains(held, r.Run.ID) {
				pl.e.o.Observer.RunPaused(Hold(r).Run)
			}
		}
	}
}

// ReleasedData is what a [Released] entry holds: a person's word on a run that was parked before
// it began.
type ReleasedData struct {
	By     string `json:"by"`
	Note   string `json:"note,omitempty"`
	Cancel bool   `json:"cancel,omitempty"` // it is not to run at all
}

// ReleasedBy returns a person's word from a history; nil if there is none.
func ReleasedBy(history []Entry) *ReleasedData {
	if len(history) == 0 || history[0].Kind != Released {
		return nil
	}
	d, err := decodeData[ReleasedData](history[0])
	if err != nil {
		return nil
	}
	return &d
}

// ErrNotHeld means that a run is not parked, or has begun.
var ErrNotHeld = errors.New("only a run that was parked before it began can be released")

// Release lets a held run go on, or cancels it. While an engine has the journal, it must be this
// one. A run that is not held is refused with [ErrNotHeld].
func (e *Engine) Release(ctx context.Context, id RunID, data ReleasedData) error {
	data.Note = shortened(data.Note, MaxAnswerComment)
	for {
		loaded, err := e.o.Journal.Load(ctx, id)
		if err != nil {
			return err
		}
		if loaded.Run.State != Parked || len(loaded.Entries) > 0 {
			return fmt.Errorf("run %s is %s: %w", id, loaded.Run.State, ErrNotHeld)
		}
		err = e.o.Journal.Append(ctx, data.append(id, e.o.Now().UTC()))
		if errors.Is(err, ErrOutOfOrder) {
			continue // somebody else's word came first: look what it was
		}
		e.poke()
		return err
	}
}

// append is what a person's word on a held run adds to it.
func (d ReleasedData) append(id RunID, now time.Time) Append {
	a := Append{Run: id, State: Ready, Entries: []Entry{{Seq: 1, Kind: Released, At: now, Data: encode(d)}}}
	if d.Cancel {
		a.State, a.Message, a.Ended = Canceled, "canceled by "+d.By, now
		a.Entries = append(a.Entries, Entry{Seq: 2, Kind: Ended, At: now, Data: encode(EndedData{State: a.State, Message: a.Message})})
	}
	return a
}
