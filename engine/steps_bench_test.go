package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/web"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// echoing is a network without one: what was sent comes back.
type echoing struct{}

func (echoing) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: r.Body, Request: r}, nil
}

// BenchmarkThreeSteps measures what three http.request steps cost without a network and without a
// disk: deciding, encoding, handing over.
func BenchmarkThreeSteps(b *testing.B) {
	text, err := os.ReadFile("../internal/bench/alert.json")
	if err != nil {
		b.Fatal(err)
	}
	registry := actions.NewRegistry(web.Actions(web.Deps{HTTP: &http.Client{Transport: echoing{}}})...)
	step := `  - action: http.request
    with:
      url: https://target.example/alerts/${{ url(alert.id) }}
      method: PATCH
      repeatable: true
      body: {status: resolved, classification: falsePositive, determination: notMalicious}
`
	p, findings := playbooks.Compile("p.yaml", []byte("name: p\ntriggers: [{poll: {resource: alerts, every: 1m}}]\nwhen: alert.status == \"new\"\nsteps:\n"+step+step+step),
		playbooks.Options{Catalog: registry})
	if p == nil {
		b.Fatal(findings)
	}
	deliverAndRun(b, p, func(n int) engine.Event {
		ev := numbered(n)
		ev.Payload = json.RawMessage(strings.NewReplacer("{id}", fmt.Sprint("da", n), "{severity}", "low").Replace(string(text)))
		return ev
	})
}
