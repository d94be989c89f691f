package invariant_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/store"
)

// late answers as if it had written, and writes nothing.
type late struct{ engine.Journal }

func (late) Admit(context.Context, engine.Admission) (engine.Receipt, error) {
	return engine.Receipt{}, nil
}

func (late) Append(context.Context, engine.Append) error { return nil }

func (late) End(context.Context, engine.Append, engine.Admission) (engine.Receipt, error) {
	return engine.Receipt{}, nil
}

func TestAnEffectBeforeItsIntentIsCommittedIsSeen(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer other.Close()
	path := filepath.Join(t.TempDir(), "playbookd.db")
	db, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	data, err := json.Marshal(engine.IntentData{RequestID: "q1", Key: "k1"})
	if err != nil {
		t.Fatal(err)
	}
	intent := []engine.Entry{{Seq: 1, Kind: engine.Intent, Path: "steps/0:send", Data: data}}
	begun := engine.Admission{Events: []engine.Planned{{Runs: []engine.PlannedRun{{Run: engine.Run{ID: "r1"}, Entries: intent}}}}}
	appended := func(j engine.Journal) error {
		return j.Append(t.Context(), engine.Append{Run: "r1", State: engine.Ready, Entries: intent})
	}
	for _, c := range []struct {
		name, header, id string
		write            func(j engine.Journal) error
		want             string
	}{
		{"nobody wanted to record it", "client-request-id", "q1", func(engine.Journal) error { return nil }, "before anybody wanted to record an intent"},
		{"it was not written", "client-request-id", "q1", appended, "the run is not in the database"},
		{"a message was not written", "Idempotency-Key", "k1", appended, "the run is not in the database"},
		{"the run that it begins was not written", "client-request-id", "q1", func(j engine.Journal) error {
			_, err := j.Admit(t.Context(), begun)
			return err
		}, "the run is not in the database"},
		{"the end that it follows was not written", "client-request-id", "q1", func(j engine.Journal) error {
			_, err := j.End(t.Context(), engine.Append{Run: "r0", State: engine.Succeeded}, begun)
			return err
		}, "the run is not in the database"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := invariant.NewWitness(path)
			defer w.Close()
			if err := c.write(w.Journal(late{db})); err != nil {
				t.Fatal(err)
			}
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				req, err := http.NewRequestWithContext(t.Context(), method, other.URL, strings.NewReader(""))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set(c.header, c.id)
				resp, err := w.Transport(nil).RoundTrip(req)
				if err = errors.Join(err, resp.Body.Close()); err != nil {
					t.Fatal(err)
				}
			}
			seen, looked := w.Violations()
			if looked != 1 || len(seen) != 1 || seen[0].Code != invariant.NotDurable || !strings.Contains(seen[0].Text, c.want) {
				t.Errorf("looked at %d requests and saw %v, want one that says %q", looked, seen, c.want)
			}
		})
	}
}
