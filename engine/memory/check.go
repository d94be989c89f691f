package memory

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// plain is a time as any journal gives it back: in UTC, without the reading of a monotonic clock.
func plain(t time.Time) time.Time { return t.Round(0).UTC() }

// check refuses what could be remembered but not be gone on with.
func check(a engine.Admission) error {
	if c := a.Cursor; c != nil && c.Source == "" {
		return fmt.Errorf("position %q: the source has no name", c.Position)
	}
	for digest, content := range a.Documents {
		if err := checkDocument(digest, content); err != nil {
			return err
		}
	}
	for _, p := range a.Events {
		if err := checkPlanned(p); err != nil {
			return fmt.Errorf("event %q: %w", p.Event.ID, err)
		}
	}
	return nil
}

func checkPlanned(p engine.Planned) error {
	if p.Event.ID == "" {
		return fmt.Errorf("the ID is empty")
	}
	seen := map[engine.SetMember]bool{}
	for _, m := range p.Matches {
		if m.Verdict != engine.Matched && m.Verdict != engine.NotMatched && m.Verdict != engine.Skipped {
			return fmt.Errorf("decision of %s: unknown verdict %q", m.Playbook, m.Verdict)
		}
		if seen[engine.SetMember{Name: m.Playbook, Digest: m.Digest}] {
			return fmt.Errorf("two decisions of %s", m.Playbook)
		}
		seen[engine.SetMember{Name: m.Playbook, Digest: m.Digest}] = true
	}
	for _, r := range p.Runs {
		if err := checkRun(p.Event, r); err != nil {
			return fmt.Errorf("run %s of %s: %w", r.Run.ID, r.Run.Playbook, err)
		}
	}
	return nil
}

func checkRun(ev engine.Event, p engine.PlannedRun) error {
	r := p.Run
	switch {
	case r.ID == "":
		return fmt.Errorf("the ID is empty")
	case r.Event != ev.ID:
		return fmt.Errorf("it was planned for event %q", r.Event)
	case r.Created.IsZero():
		return fmt.Errorf("the time of creation is missing")
	case p.DedupeWindow < 0:
		return fmt.Errorf("the dedupe window is negative: %v", p.DedupeWindow)
	case r.Mode != playbooks.Live && r.Mode != playbooks.Shadow:
		return fmt.Errorf("unknown mode %q", r.Mode)
	}
	if err := checkState(r.State, r.Wake, r.Ended); err != nil {
		return err
	}
	if err := checkEntries(p.Entries, 0); err != nil {
		return err
	}
	_, err := copyWrites(p.Writes, r.ID)
	return err
}

func checkState(s engine.RunState, wake, ended time.Time) error {
	switch s {
	case engine.Ready, engine.Waiting, engine.Parked, engine.Succeeded, engine.Failed, engine.Canceled:
	default:
		return fmt.Errorf("unknown state %q", s)
	}
	if s == engine.Waiting && wake.IsZero() {
		return fmt.Errorf("state %s without the time to wake", s)
	}
	if s.Final() == ended.IsZero() {
		return fmt.Errorf("state %s with the time of ending %v", s, ended)
	}
	return nil
}

func checkEntries(entries []engine.Entry, last int) error {
	for i, e := range entries {
		if e.Seq != last+i+1 {
			return fmt.Errorf("%w: entry %d after %d", engine.ErrOutOfOrder, e.Seq, last+i)
		}
		if e.Kind == "" {
			return fmt.Errorf("entry %d: the kind is empty", e.Seq)
		}
	}
	return nil
}

func checkDocument(digest string, content []byte) error {
	if digest == "" {
		return fmt.Errorf("document without a digest")
	}
	want, ok := strings.CutPrefix(digest, "sha256:")
	if sum := sha256.Sum256(content); ok && want != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("document %s: the content does not have this digest", digest)
	}
	return nil
}
