package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/playbookd/playbookd/playbooks"
)

// What every journal refuses, because it could be stored and not be gone on with.

// Check refuses a state that is not one of those there are, and one whose times don't fit it: a run
// that waits for nothing would never go on, and one that is over without a time never go away.
func (s RunState) Check(wake, ended time.Time) error {
	switch s {
	case Ready, Waiting, Parked, Succeeded, Failed, Canceled:
	default:
		return fmt.Errorf("unknown state %q", s)
	}
	if s == Waiting && wake.IsZero() {
		return fmt.Errorf("state %s without the time to wake", s)
	}
	if s.Final() == ended.IsZero() {
		return fmt.Errorf("state %s with the time of ending %v", s, ended)
	}
	return nil
}

// Check refuses a verdict that is not one of those there are.
func (v Verdict) Check() error {
	switch v {
	case Matched, NotMatched, Skipped:
		return nil
	}
	return fmt.Errorf("unknown verdict %q", v)
}

// CheckClocks refuses clocks that nobody could find again.
func CheckClocks(clocks []Clock) error {
	for _, c := range clocks {
		switch {
		case c.Object == "" || c.Playbook == "":
			return fmt.Errorf("clock of %q at %q: a name is missing", c.Object, c.Playbook)
		case c.State != ClockRunning && c.State != ClockPaused && c.State != ClockStopped:
			return fmt.Errorf("clock of %s at %s: unknown state %q", c.Object, c.Playbook, c.State)
		}
	}
	return nil
}

// CheckMode refuses a mode that is not one of those there are.
func CheckMode(m playbooks.Mode) error {
	if m != playbooks.Live && m != playbooks.Shadow {
		return fmt.Errorf("unknown mode %q", m)
	}
	return nil
}

// Check refuses a run that is not whole, or that an event did not start.
func (p PlannedRun) Check(ev Event) error {
	r := p.Run
	switch {
	case r.ID == "":
		return errors.New("the ID is empty")
	case r.Event != ev.ID:
		return fmt.Errorf("it was planned for event %q", r.Event)
	case r.Created.IsZero():
		return errors.New("the time of creation is missing")
	case p.DedupeWindow < 0:
		return fmt.Errorf("the dedupe window is negative: %v", p.DedupeWindow)
	}
	if err := CheckMode(r.Mode); err != nil {
		return err
	}
	if err := r.State.Check(r.Wake, r.Ended); err != nil {
		return err
	}
	return CheckEntries(p.Entries, 0)
}

// CheckEntries asks that entries have a kind and are numbered on from last: [ErrOutOfOrder].
func CheckEntries(entries []Entry, last int) error {
	for i, e := range entries {
		if e.Seq != last+i+1 {
			return fmt.Errorf("%w: entry %d after %d", ErrOutOfOrder, e.Seq, last+i)
		}
		if e.Kind == "" {
			return fmt.Errorf("entry %d: the kind is empty", e.Seq)
		}
	}
	return nil
}

// CheckDocument asks that a content is what its digest says: a run goes on with exactly the text that
// it started with, or not at all.
func CheckDocument(digest string, content []byte) error {
	if digest == "" {
		return errors.New("document without a digest")
	}
	want, ok := strings.CutPrefix(digest, "sha256:")
	if sum := sha256.Sum256(content); ok && want != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("document %s: the content does not have this digest", digest)
	}
	return nil
}

// Repeats is what a journal stores of an event's decisions when one of them would have started a run
// whose dedupe key another run has: that it repeats the other. The list is changed in place.
func Repeats(matches []Match, r Run, other RunID) []Match {
	m := Match{Playbook: r.Playbook, Digest: r.Digest, Verdict: Skipped, Reason: SkipDuplicate, Detail: string(other)}
	for i := range matches {
		if matches[i].Playbook == r.Playbook && matches[i].Digest == r.Digest {
			matches[i] = m
			return matches
		}
	}
	return append(matches, m)
}
