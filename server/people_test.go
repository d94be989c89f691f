package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/secret"
)

// silent is a desk where nothing is asked.
type silent struct{ Desk }

func (silent) Approvals(context.Context) ([]engine.Question, int, error) { return nil, 0, nil }

// A token is a file, and whoever asks often, with a token or without one, must not have it read as often.
func TestAChangedTokenCountsWithinASecondAndIsNotReadForEachRequest(t *testing.T) {
	t.Parallel()
	const first, second = "the-first-token-of-anna", "the-second-token-of-anna"
	file := filepath.Join(t.TempDir(), "anna.token")
	put := func(token string) {
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(first)
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		anna := Person{Name: "anna", Token: func() (secret.Value, error) {
			reads.Add(1)
			v, _, err := secret.Source{File: file}.Read()
			return v, err
		}}
		s, err := New(Options{Addr: "127.0.0.1:0", Desk: silent{}, People: func() []Person { return []Person{anna} }})
		if err != nil {
			t.Fatal(err)
		}
		status := func(token string) int {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/approvals", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			return w.Code
		}
		for range 100 {
			if status(first) != http.StatusOK || status(second) != http.StatusUnauthorized {
				t.Fatal("the token does not decide")
			}
		}
		if reads.Load() != 1 {
			t.Errorf("200 requests within a moment read the file %d times", reads.Load())
		}
		put(second)
		time.Sleep(secret.RecentAge)
		if status(first) != http.StatusUnauthorized || status(second) != http.StatusOK {
			t.Error("the old token still counts after its time, or the new one does not yet")
		}
	})
}
