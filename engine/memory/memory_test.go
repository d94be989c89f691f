package memory_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/journaltest"
	"github.com/playbookd/playbookd/engine/memory"
	"github.com/playbookd/playbookd/playbooks"
)

func TestKeepsThePromisesOfAJournal(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(*testing.T) engine.Journal { return memory.New() }, nil)
}

func TestRunsAreListedInTheOrderOfAdmissionAlsoWhenOver(t *testing.T) {
	t.Parallel()
	j := memory.New()
	var want []engine.RunID
	for _, id := range []string{"e2", "e1", "e3"} {
		run := engine.Run{
			ID: engine.NewRunID("p", id), Playbook: "p", Digest: "d", Event: id, Mode: playbooks.Shadow,
			State: engine.Ready, Created: time.Unix(1, 0),
		}
		_, err := j.Admit(t.Context(), engine.Admission{
			Documents: map[string][]byte{"d": nil},
			Events:    []engine.Planned{{Event: engine.Event{ID: id}, Runs: []engine.PlannedRun{{Run: run}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, run.ID)
	}
	if err := j.Append(t.Context(), engine.Append{Run: want[0], State: engine.Canceled, Ended: time.Unix(2, 0)}); err != nil {
		t.Fatal(err)
	}
	var got []engine.RunID
	for _, r := range j.Runs() {
		got = append(got, r.ID)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestDecisionsAboutAnUnknownEventAreNotFound(t *testing.T) {
	t.Parallel()
	if _, err := memory.New().Decisions(t.Context(), "none"); !errors.Is(err, engine.ErrNotFound) {
		t.Fatal(err)
	}
}
