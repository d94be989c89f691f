package sweep

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/store"
)

// tokens are those of the people of the scenario. Both are leads; anna may also call runs off.
var tokens = map[string]string{"anna": "a-token-of-anna-in-the-sweep", "ben": "a-token-of-ben-in-the-sweep"}

// people answer whatever they are asked, and let go on what a limit holds, for as long as it stands in the
// lists: whether a word was recorded before the process died they see only by them.
func (s *scene) people() func(ctx context.Context, address string) bool {
	return func(ctx context.Context, address string) bool {
		var open struct{ Approvals []engine.Question }
		if !call(ctx, http.MethodGet, address+"/api/approvals", "anna", nil, &open) {
			return false
		}
		for _, q := range open.Approvals {
			switch at := address + "/api/approvals/" + q.Asked.ID; {
			case q.Asked.Title == "Call it off?": // in a way
				call(ctx, http.MethodPost, address+"/api/runs/"+string(q.Run)+"/cancel", "anna", map[string]any{"reason": "not now"}, nil)
			case q.Asked.Approve:
				for who := range tokens {
					call(ctx, http.MethodPost, at, who, map[string]any{"digest": q.Asked.Digest, "approve": true}, nil)
				}
			default:
				call(ctx, http.MethodPost, at, "anna", map[string]any{"digest": q.Asked.Digest, "answer": "theirs"}, nil)
			}
		}
		for _, run := range s.held(ctx) {
			call(ctx, http.MethodPost, address+"/api/runs/"+string(run.ID)+"/release", "anna", map[string]any{}, nil)
		}
		return false
	}
}

// held lists the runs that a limit holds, as `playbookd runs` does: from the journal, whoever writes it.
func (s *scene) held(ctx context.Context) []engine.Run {
	r, err := store.OpenReader(ctx, s.database())
	if err != nil {
		return nil // it is not there yet
	}
	defer r.Close()
	runs, err := heldIn(ctx, r)
	if err != nil {
		return nil
	}
	return runs
}

// heldIn lists the runs of a journal that a limit holds.
func heldIn(ctx context.Context, r *store.Reader) ([]engine.Run, error) {
	runs, err := r.Runs(ctx, store.RunFilter{State: engine.Parked, Limit: store.MaxLimit})
	return slices.DeleteFunc(runs, func(run engine.Run) bool { return !strings.HasPrefix(run.Message, engine.HeldPrefix) }), err
}

// call says something to the daemon, which may die meanwhile, and tells whether it was taken.
func call(ctx context.Context, method, url, who string, say, into any) bool {
	body, err := json.Marshal(say)
	if err != nil {
		return false
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Authorization", "Bearer "+tokens[who])
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && (into == nil || json.NewDecoder(resp.Body).Decode(into) == nil)
}
