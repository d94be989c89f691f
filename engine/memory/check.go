package memory

import (
	"fmt"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// plain is a time as any journal gives it back: in UTC, without the reading of a monotonic clock.
func plain(t time.Time) time.Time { return t.Round(0).UTC() }

// check refuses what could be remembered but not be gone on with.
func check(a engine.Admission) error {
	if c := a.Cursor; c != nil && c.Source == "" {
		return fmt.Errorf("position %q: the source has no name", c.Position)
	}
	for digest, content := range a.Documents {
		if err := engine.CheckDocument(digest, content); err != nil {
			return err
		}
	}
	for _, p := range a.Events {
		if err := checkPlanned(p); err != nil {
			return fmt.Errorf("event %q: %w", p.Event.ID, err)
		}
	}
	return engine.CheckClocks(a.Clocks)
}

func checkPlanned(p engine.Planned) error {
	if p.Event.ID == "" {
		return fmt.Errorf("the ID is empty")
	}
	seen := map[engine.SetMember]bool{}
	for _, m := range p.Matches {
		if err := m.Verdict.Check(); err != nil {
			return fmt.Errorf("decision of %s: %w", m.Playbook, err)
		}
		if seen[engine.SetMember{Name: m.Playbook, Digest: m.Digest}] {
			return fmt.Errorf("two decisions of %s", m.Playbook)
		}
		seen[engine.SetMember{Name: m.Playbook, Digest: m.Digest}] = true
	}
	if err := engine.CheckClocks(p.Clocks); err != nil {
		return err
	}
	for _, r := range p.Runs {
		err := r.Check(p.Event)
		if err == nil {
			_, err = copyWrites(r.Writes, r.Run.ID)
		}
		if err != nil {
			return fmt.Errorf("run %s of %s: %w", r.Run.ID, r.Run.Playbook, err)
		}
	}
	return nil
}
