package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/engine"
)

func TestTheQueueTellsWhatIsReadyFromWhatIsBehindAnother(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	look := func(want Queue) {
		t.Helper()
		got, err := db.Queue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	look(Queue{})
	var runs []engine.Run
	created := moments(1)
	for _, key := range []string{"", "host1", "host1", "host1"} {
		ev := someEvent("a1", len(runs)+1)
		p := someRun(ev, "triage")
		p.Run.Key, p.Run.Created = key, created
		mustAdmit(t, db, admissionOf(ev, p))
		runs = append(runs, p.Run)
		created = created.Add(time.Second)
	}
	look(Queue{Ready: 2, Blocked: 2, Oldest: moments(1)})
	for _, r := range runs[:2] {
		if err := db.Append(t.Context(), engine.Append{Run: r.ID, State: engine.Succeeded, Ended: created}); err != nil {
			t.Fatal(err)
		}
	}
	look(Queue{Ready: 1, Blocked: 1, Oldest: moments(3)})
	if err := db.Append(t.Context(), engine.Append{Run: runs[2].ID, State: engine.Waiting, Wake: created}); err != nil {
		t.Fatal(err)
	}
	look(Queue{Blocked: 1})
	if database, log := db.Sizes(); database <= 0 || log <= 0 {
		t.Errorf("sizes %d and %d", database, log)
	}
}
