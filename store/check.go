package store

import (
	"encoding/json"
	"fmt"

	"github.com/playbookd/playbookd/engine"
)

// MaxValue is how large one payload, entry or document may be. It is far above what the sources
// and actions let through: this is the last line, not the first.
const MaxValue = 64 << 20

// checkAdmission refuses what could be stored but not be gone on with. It runs before the writer
// is asked, so that nobody waits for it.
func checkAdmission(a engine.Admission) error {
	for digest, content := range a.Documents {
		if err := checkDocument(digest, content); err != nil {
			return err
		}
	}
	if c := a.Cursor; c != nil && c.Source == "" {
		return fmt.Errorf("position %q: the source has no name", c.Position)
	}
	for i, p := range a.Events {
		if err := checkPlanned(p); err != nil {
			return fmt.Errorf("event %d (%q): %w", i, p.Event.ID, err)
		}
	}
	return engine.CheckClocks(a.Clocks)
}

func checkPlanned(p engine.Planned) error {
	if p.Event.ID == "" {
		return fmt.Errorf("the ID is empty")
	}
	if n := max(len(p.Event.Payload), len(p.Event.Inputs)); n > MaxValue {
		return tooLarge("payload", n)
	}
	for _, m := range p.Matches {
		if err := m.Verdict.Check(); err != nil {
			return fmt.Errorf("decision of %s: %w", m.Playbook, err)
		}
	}
	if err := engine.CheckClocks(p.Clocks); err != nil {
		return err
	}
	for _, run := range p.Runs {
		if err := checkRun(p.Event, run); err != nil {
			return fmt.Errorf("run %s of %s: %w", run.Run.ID, run.Run.Playbook, err)
		}
	}
	return nil
}

func checkRun(ev engine.Event, p engine.PlannedRun) error {
	if err := p.Check(ev); err != nil {
		return err
	}
	if err := checkSizes(p.Entries); err != nil {
		return err
	}
	return checkWrites(p.Writes, p.Run.ID)
}

// checkEntries asks that the entries are numbered on from last, and that each can be stored.
func checkEntries(entries []engine.Entry, last int) error {
	if err := engine.CheckEntries(entries, last); err != nil {
		return err
	}
	return checkSizes(entries)
}

func checkSizes(entries []engine.Entry) error {
	for _, e := range entries {
		if len(e.Data) > MaxValue {
			return tooLarge(fmt.Sprintf("entry %d", e.Seq), len(e.Data))
		}
	}
	return nil
}

func checkWrites(writes []engine.Write, run engine.RunID) error {
	for _, w := range writes {
		if w.Run != run {
			return fmt.Errorf("write to %q belongs to run %s", w.Object, w.Run)
		}
		if _, err := json.Marshal(w.Fields); err != nil {
			return fmt.Errorf("write to %q: %w", w.Object, err)
		}
	}
	return nil
}

func checkDocument(digest string, content []byte) error {
	if len(content) > MaxValue {
		return tooLarge("document "+digest, len(content))
	}
	return engine.CheckDocument(digest, content)
}

func tooLarge(what string, n int) error {
	return fmt.Errorf("%s of %d bytes: at most %d can be stored", what, n, MaxValue)
}
