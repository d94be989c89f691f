package graph

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatCannotBeRightIsNotSent(t *testing.T) {
	t.Parallel()
	c, rec, _ := against(t, says(200, `{"id":"a","value":[],"targetIncidentId":"1"}`))
	ctx := t.Context()
	bad, long := "onhold", strings.Repeat("ä", MaxCommentLength)
	many := make([]string, MaxMoved+1)
	for i := range many {
		many[i] = fmt.Sprint("a", i)
	}
	for name, call := range map[string]func() error{
		"no id":              func() error { _, err := c.Alert(ctx, ""); return err },
		"another endpoint":   func() error { _, err := c.Alert(ctx, "$count"); return err },
		"an action":          func() error { _, err := c.Alert(ctx, "MoveAlerts"); return err },
		"a way out":          func() error { _, err := c.Alert(ctx, ".."); return err },
		"a line break":       func() error { _, err := c.Alert(ctx, "a\nb"); return err },
		"an id too long":     func() error { _, err := c.Alert(ctx, strings.Repeat("a", MaxIDLength+1)); return err },
		"no change":          func() error { _, err := c.UpdateAlert(ctx, "a", AlertPatch{}); return err },
		"an unknown status":  func() error { _, err := c.UpdateAlert(ctx, "a", AlertPatch{Status: &bad}); return err },
		"no comment":         func() error { _, err := c.CommentAlert(ctx, "a", " \n"); return err },
		"a comment too long": func() error { _, err := c.CommentAlert(ctx, "a", long+"x"); return err },
		"no alerts":          func() error { _, err := c.MoveAlerts(ctx, MoveRequest{}); return err },
		"too many alerts":    func() error { _, err := c.MoveAlerts(ctx, MoveRequest{AlertIDs: many}); return err },
		"an unknown reason": func() error {
			_, err := c.MoveAlerts(ctx, MoveRequest{AlertIDs: []string{"a"}, Reasons: []string{"whim"}})
			return err
		},
		"one incident twice": func() error {
			_, err := c.MergeIncidents(ctx, MergeRequest{IncidentIDs: []string{"1", "1"}})
			return err
		},
		"a page too large":    func() error { return firstError(c.Alerts(ctx, Query{Top: MaxTop + 1})) },
		"a negative skip":     func() error { return firstError(c.Alerts(ctx, Query{Skip: -1})) },
		"an address too long": func() error { return firstError(c.Alerts(ctx, Query{Filter: strings.Repeat("x", MaxURLBytes)})) },
		"a redirected status": func() error {
			s := "redirected"
			_, err := c.UpdateIncident(ctx, "1", IncidentPatch{Status: &s})
			return err
		},
		"a body too large": func() error {
			s := strings.Repeat("x", MaxRequestBytes)
			_, err := c.UpdateIncident(ctx, "1", IncidentPatch{Summary: &s})
			return err
		},
		"a retired assessment": func() error { s := "apt"; _, err := c.UpdateAlert(ctx, "a", AlertPatch{Determination: &s}); return err },
	} {
		err := call()
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != CodeInvalid || e.Retry() || e.Unknown() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(rec.list()); n != 0 {
		t.Fatalf("%d requests were sent", n)
	}
	for name, call := range map[string]func() error{
		"the longest comment":     func() error { _, err := c.CommentAlert(ctx, "a", long); return err },
		"the longest id":          func() error { _, err := c.Alert(ctx, strings.Repeat("a", MaxIDLength)); return err },
		"the most alerts":         func() error { _, err := c.MoveAlerts(ctx, MoveRequest{AlertIDs: many[:MaxMoved]}); return err },
		"the largest page":        func() error { return firstError(c.Alerts(ctx, Query{Top: MaxTop})) },
		"an id that needs escape": func() error { _, err := c.Alert(ctx, "a/b?c#d%"); return err },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyWhatIsSetIsSent(t *testing.T) {
	t.Parallel()
	c, rec, _ := against(t, says(200, `{"id":"a","targetIncidentId":"9"}`))
	ctx := t.Context()
	status, class, det := "Resolved", "FalsePositive", "clean"
	tags := []string{}
	for _, call := range []func() error{
		func() error { _, err := c.UpdateAlert(ctx, "a/b", AlertPatch{AssignedTo: Unassign()}); return err },
		func() error {
			_, err := c.UpdateAlert(ctx, "a", AlertPatch{Status: &status, Classification: &class, Determination: &det, AssignedTo: AssignTo("x@y")})
			return err
		},
		func() error { _, err := c.UpdateIncident(ctx, "1", IncidentPatch{CustomTags: &tags}); return err },
		func() error {
			_, err := c.MoveAlerts(ctx, MoveRequest{AlertIDs: []string{"a"}, Reasons: []string{"sameActor", "SameAsset", "sameActor"}})
			return err
		},
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range rec.list() {
		got = append(got, r.Method+" "+r.Path+" "+r.Body)
		if r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("content type %q", r.Header.Get("Content-Type"))
		}
	}
	want := []string{
		`PATCH /v1.0/security/alerts_v2/a%2Fb {"assignedTo":null}`,
		`PATCH /v1.0/security/alerts_v2/a {"assignedTo":"x@y","classification":"falsePositive","determination":"notMalicious","status":"resolved"}`,
		`PATCH /v1.0/security/incidents/1 {"customTags":[]}`,
		`POST /v1.0/security/alerts_v2/moveAlerts {"alertIds":["a"],"incidentId":null,"newCorrelationReasons":"sameActor, sameAsset"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAChangeThatIsAnsweredWithNothingIsReadBack(t *testing.T) {
	t.Parallel()
	c, rec, _ := against(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PATCH" {
			w.WriteHeader(204)
			return
		}
		says(200, `{"id":"a","status":"resolved"}`)(w, r)
	})
	status := "resolved"
	a, err := c.UpdateAlert(t.Context(), "a", AlertPatch{Status: &status})
	if err != nil || a.Status != "resolved" || len(rec.list()) != 2 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAReadBackThatFailsDoesNotClaimThatNothingHappened(t *testing.T) {
	t.Parallel()
	c, _, _ := against(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PATCH" {
			w.WriteHeader(204)
			return
		}
		w.WriteHeader(404)
	})
	status := "resolved"
	_, err := c.UpdateAlert(t.Context(), "a", AlertPatch{Status: &status})
	e, ok := errors.AsType[*Error](err)
	if !ok || !e.Unknown() {
		t.Errorf("%v: want an error that says that the change may stand", err)
	}
}

func TestOptionsThatCannotWorkAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no credential": {},
		"plain http":    {Credential: &fixed{}, BaseURL: "http://graph.microsoft.com"},
		"no host":       {Credential: &fixed{}, BaseURL: "https://"},
		"a password":    {Credential: &fixed{}, BaseURL: "https://u:hunter2@h"},
		"a version":     {Credential: &fixed{}, BaseURL: "https://h/v1.0/"},
		"a bad budget":  {Credential: &fixed{}, Budgets: map[Class]Budget{ClassSecurity: {}}},
		"a bad class":   {Credential: &fixed{}, Budgets: map[Class]Budget{"nope": {Requests: 2, Per: 1, Burst: 1, Concurrent: 1}}},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := CloudNamed("germany"); err == nil || !strings.Contains(err.Error(), "usgov-l4") {
		t.Errorf("cloud: %v", err)
	}
}
