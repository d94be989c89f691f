package sweep

import (
	"context"
	"fmt"
	"net/http"

	"github.com/playbookd/playbookd/actions"
)

type (
	scanInput struct {
		URL string `json:"url"`
	}
	scanOutput struct {
		Status int `json:"status,omitempty"`
	}
)

// scan is an action that only starts something and is followed to its end: none of those that are
// built in does yet.
func scan(client *http.Client) actions.Action {
	ask := func(ctx context.Context, method string, c actions.Call, in scanInput) (scanOutput, error) {
		r, err := http.NewRequestWithContext(ctx, method, in.URL, nil)
		if err != nil {
			return scanOutput{}, &actions.Fault{Code: "request", Message: err.Error()}
		}
		r.Header.Set("Idempotency-Key", c.Key)
		resp, err := client.Do(r)
		if err != nil {
			return scanOutput{}, &actions.Fault{Code: "network", Message: err.Error(), Retry: true, Unknown: true}
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return scanOutput{}, &actions.Fault{Code: "status", Message: fmt.Sprint(resp.StatusCode)}
		}
		return scanOutput{Status: resp.StatusCode}, nil
	}
	return actions.Define(actions.Spec{Name: "http.scan", Summary: "Starts a scan."},
		actions.Doing[scanInput, scanOutput]{
			Part: actions.Part{Name: "start", Effect: actions.Converges, Summary: "PUT."},
			Do: func(ctx context.Context, c actions.Call, in scanInput) (scanOutput, error) {
				return ask(ctx, http.MethodPut, c, in)
			},
		},
		actions.Doing[scanInput, scanOutput]{
			Part: actions.Part{Name: "end", Effect: actions.Reads, Awaits: true, Summary: "GET."},
			Do: func(ctx context.Context, c actions.Call, in scanInput) (scanOutput, error) {
				return ask(ctx, http.MethodGet, c, in)
			},
		})
}
