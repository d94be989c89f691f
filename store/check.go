package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

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
	return nil
}

func checkPlanned(p engine.Planned) error {
	if p.Event.ID == "" {
		return fmt.Errorf("the ID is empty")
	}
	if n := max(len(p.Event.Payload), len(p.Event.Inputs)); n > MaxValue {
		return tooLarge("payload", n)
	}
	for _, m := range p.Matches {
		if err := checkVerdict(m.Verdict); err != nil {
			return fmt.Errorf("decision of %s: %w", m.Playbook, err)
		}
	}
	for _, run := range p.Runs {
		if err := checkRun(p.Event, run); err != nil {
			return fmt.Errorf("run %s of %s: %w", run.Run.ID, run.Run.Playbook, err)
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
	}
	if err := checkMode(r.Mode); err != nil {
		return err
	}
	if err := checkState(r.State, r.Wake, r.Ended); err != nil {
		return err
	}
	if err := checkEntries(p.Entries, 0); err != nil {
		return err
	}
	return checkWrites(p.Writes, r.ID)
}

// checkEntries asks that the entries are numbered on from last.
func checkEntries(entries []engine.Entry, last int) error {
	for i, e := range entries {
		if e.Seq != last+i+1 {
			return fmt.Errorf("%w: entry %d after %d", engine.ErrOutOfOrder, e.Seq, last+i)
		}
		if e.Kind == "" {
			return fmt.Errorf("entry %d: the kind is empty", e.Seq)
		}
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

// checkDocument asks that a content is what its digest says: a run goes on with exactly the text
// that it started with, or not at all.
func checkDocument(digest string, content []byte) error {
	if digest == "" {
		return fmt.Errorf("document without a digest")
	}
	if len(content) > MaxValue {
		return tooLarge("document "+digest, len(content))
	}
	want, ok := strings.CutPrefix(digest, "sha256:")
	if sum := sha256.Sum256(content); ok && want != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("document %s: the content does not have this digest", digest)
	}
	return nil
}

func tooLarge(what string, n int) error {
	return fmt.Errorf("%s of %d bytes: at most %d can be stored", what, n, MaxValue)
}
