package triggers

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/internal/secret"
)

func TestAKeyThatIsAddedIsTakenAtOnceAndOneThatIsRemovedNotForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		there := map[string]string{"edr": oldKey}
		w, err := NewWebhooks(WebhookOptions{Sink: newMemory(), Resolve: func(name string) (secret.Value, error) {
			if there[name] == "" {
				return secret.Value{}, errors.New("not there")
			}
			return secret.New(there[name]), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		h := &hook{Hook: Hook{Path: "edr", Auth: AuthAPIKey, Secrets: []string{"edr", "edr_previous"}}, ring: &keyring{}}
		status := func(key string) int {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/edr", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set(headerKey, key)
			no := w.withKeys(context.Background(), h, time.Now(), func(keys [][]byte) *refusal { return checkHead(h, r, keys, time.Now()) })
			if no != nil {
				return no.status
			}
			return http.StatusOK
		}
		if got := status(oldKey); got != http.StatusOK {
			t.Errorf("the only key: %d", got)
		}
		if got := status(newKey); got != http.StatusUnauthorized {
			t.Errorf("a key that is not there: %d", got)
		}
		there["edr"], there["edr_previous"] = newKey, oldKey
		for _, key := range []string{newKey, oldKey} {
			if got := status(key); got != http.StatusOK {
				t.Errorf("during the change: %d", got)
			}
		}
		delete(there, "edr_previous")
		time.Sleep(KeyAge)
		if got := status(oldKey); got != http.StatusUnauthorized {
			t.Errorf("the old key, after its time: %d", got)
		}
		delete(there, "edr")
		time.Sleep(KeyAge)
		if got := status(newKey); got != http.StatusServiceUnavailable {
			t.Errorf("without any key: %d", got)
		}
	})
}
