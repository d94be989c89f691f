package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// choking is a service whose answers break when a page with expanded alerts is larger than it can
// bear, or, with limit zero, whenever alerts are expanded.
func choking(base *string, limit, incidents int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		expand := q.Get("$expand") == "alerts"
		if rest, ok := strings.CutPrefix(r.URL.Path, "/v1.0/security/incidents/"); ok {
			id, _, list := strings.Cut(rest, "/alerts")
			switch {
			case list:
				says(200, `{"value":[{"id":"alert-of-`+id+`","new":1}]}`)(w, r)
			case expand:
				says(500, `{"error":{"code":"UnknownError","message":""}}`)(w, r)
			default:
				says(200, `{"id":"`+id+`","unknown":{"kept":true}}`)(w, r)
			}
			return
		}
		top, _ := strconv.Atoi(q.Get("$top"))
		skip, _ := strconv.Atoi(q.Get("$skip"))
		if expand && (top > limit || skip >= 20 && limit < 20) {
			says(500, `{"error":{"code":"UnknownError","message":""}}`)(w, r)
			return
		}
		var rows []string
		for i := skip; i < min(skip+top, incidents); i++ {
			row := fmt.Sprintf(`{"id":"%d","unknown":{"kept":true}`, i)
			if expand {
				row += fmt.Sprintf(`,"alerts":[{"id":"alert-of-%d","new":1}]`, i)
			}
			rows = append(rows, row+"}")
		}
		next := ""
		if skip+top < incidents {
			q.Set("$skip", strconv.Itoa(skip+top))
			next = `,"@odata.nextLink":"` + *base + `/v1.0/security/incidents?` + strings.ReplaceAll(q.Encode(), url.QueryEscape("$"), "$") + `"`
		}
		says(200, `{"value":[`+strings.Join(rows, ",")+`]`+next+`}`)(w, r)
	}
}

func TestIncidentsTooLargeToExpandAreStillReadWithTheirAlerts(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]int{"large pages work": 50, "small pages work": 49, "small pages fail midway": 10, "nothing works": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var base string
			c, rec, srv := against(t, choking(&base, limit, 35))
			base = srv.URL
			var got, want []string
			ctx := WithRequestID(t.Context(), "poll-1")
			for i, err := range c.Incidents(ctx, Query{Expand: "alerts", Filter: "status eq 'active'"}) {
				if err != nil {
					t.Fatal(err)
				}
				if len(i.Alerts) != 1 {
					t.Fatalf("incident %s has %d alerts", i.ID, len(i.Alerts))
				}
				got = append(got, i.ID+" "+i.Alerts[0].ID)
				var whole struct {
					Unknown json.RawMessage
					Alerts  []json.RawMessage
				}
				if err := json.Unmarshal(i.Raw, &whole); err != nil || whole.Unknown == nil || len(whole.Alerts) != 1 {
					t.Fatalf("raw incident: %s", i.Raw)
				}
			}
			for i := range 35 {
				want = append(want, fmt.Sprintf("%d alert-of-%d", i, i))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			ids := map[string]bool{}
			for _, r := range rec.list() {
				ids[r.Header.Get("client-request-id")] = true
			}
			if len(ids) != len(rec.list()) || !ids["poll-1"] {
				t.Errorf("%d request ids for %d requests", len(ids), len(rec.list()))
			}
		})
	}
}

func TestOneIncidentTooLargeToExpandIsReadInTwoSteps(t *testing.T) {
	t.Parallel()
	var base string
	c, rec, _ := against(t, choking(&base, 0, 1))
	i, err := c.Incident(t.Context(), "7", true)
	if err != nil || len(i.Alerts) != 1 || i.Alerts[0].ID != "alert-of-7" {
		t.Fatalf("%+v, %v", i, err)
	}
	if n := len(rec.list()); n != 3 {
		t.Errorf("%d requests", n)
	}
}

func TestAnOutageIsNotMistakenForALargeIncident(t *testing.T) {
	t.Parallel()
	for status, most := range map[int]int{503: 1, 400: 1, 500: 3} {
		c, rec, _ := against(t, says(status, `{}`))
		err := firstError(c.Incidents(t.Context(), Query{Expand: "alerts"}))
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != status {
			t.Errorf("%d: %v", status, err)
		}
		if n := len(rec.list()); n > most {
			t.Errorf("%d: %d requests", status, n)
		}
	}
}
