package simulator_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/playbookd/playbookd/graph/simulator"
)

func TestManyCallersAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	tn := open(t, simulator.Options{Documents: someAlerts(8), Effects: io.Discard})
	const callers, each = 8, 10
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				path := fmt.Sprintf("%s/v1.0/security/alerts_v2/a%d/comments", tn.base, 1+(c+i)%8)
				req, err := http.NewRequest("POST", path, strings.NewReader(`{"comment":"x"}`))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", "Bearer "+tn.token)
				if a, err := tn.send(req); err != nil || a.status != 200 {
					t.Errorf("%d %v", a.status, err)
				}
			}
		})
		wg.Go(func() {
			tn.Alerts()
			if err := tn.Touch("a1", simulator.Document{"status": "inProgress"}, "ann"); err != nil {
				t.Error(err)
			}
			if err := tn.Add(simulator.Document{"id": fmt.Sprint("n", c), "title": "x", "incidentId": "1"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	comments := 0
	for _, alert := range tn.Alerts() {
		list, _ := alert["comments"].([]any)
		comments += len(list)
	}
	effects := tn.Effects()
	if comments != callers*each || len(effects) != callers*each {
		t.Errorf("%d comments and %d effects, want %d", comments, len(effects), callers*each)
	}
	for i, e := range effects {
		if e.Seq != i+1 {
			t.Fatalf("effect %d has number %d", i, e.Seq)
		}
	}
}
