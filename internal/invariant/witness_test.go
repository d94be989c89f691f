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

// late answers an append as if it had been written, and writes nothing.
type late struct{ engine.Journal }

func (late) Append(context.Context, engine.Append) error { return nil }

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
	for _, c := range []struct {
		name, header, id string
		announced        bool
		want             string
	}{
		{"nobody wanted to record it", "client-request-id", "q1", false, "before anybody wanted to record an intent"},
		{"it was not written", "client-request-id", "q1", true, "the run is not in the database"},
		{"a message was not written", "Idempotency-Key", "k1", true, "the run is not in the database"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := invariant.NewWitness(path)
			defer w.Close()
			if c.announced {
				data, err := json.Marshal(engine.IntentData{RequestID: "q1", Key: "k1"})
				if err != nil {
					t.Fatal(err)
				}
				err = w.Journal(late{db}).Append(t.Context(), engine.Append{Run: "r1", State: engine.Ready,
					Entries: []engine.Entry{{Seq: 1, Kind: engine.Intent, Path: "steps/0:send", Data: data}}})
				if err != nil {
					t.Fatal(err)
				}
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
