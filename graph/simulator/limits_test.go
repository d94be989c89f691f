package simulator_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/graph/simulator"
)

func TestExportsAreBounded(t *testing.T) {
	t.Parallel()
	const two = `[{"id":"a","title":"x"},{"id":"b","title":"x"}]`
	if _, err := simulator.LoadWithin(strings.NewReader(two), int64(len(two)), 2); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	if _, err := simulator.LoadWithin(strings.NewReader(two), int64(len(two))-1, 2); err == nil || !strings.Contains(err.Error(), "split it") {
		t.Errorf("too large: %v", err)
	}
	if _, err := simulator.LoadWithin(strings.NewReader(two), 1000, 1); err == nil || !strings.Contains(err.Error(), "shorter period") {
		t.Errorf("too many: %v", err)
	}
	if _, err := simulator.Load(strings.NewReader("{\"id\":\"a\",\n\"title\"")); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("cut off: %v", err)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(1)})
	comment := func(length int) string {
		return `{"comment":"` + strings.Repeat("x", length-len(`{"comment":""}`)) + `"}`
	}
	tn.want(200, "POST", "/security/alerts_v2/a1/comments", comment(simulator.MaxBodyBytes))
	tn.want(413, "POST", "/security/alerts_v2/a1/comments", comment(simulator.MaxBodyBytes+1))

	long := strings.Repeat("r", simulator.MaxClientReqID)
	if got := tn.want(200, "GET", "/security/incidents", nil, "client-request-id", long).header.Get("client-request-id"); got != long {
		t.Errorf("client-request-id came back as %q", got)
	}
	if got := tn.want(200, "GET", "/security/incidents", nil, "client-request-id", long+"r").header.Get("client-request-id"); strings.HasPrefix(got, "r") {
		t.Errorf("an endless client-request-id came back: %q", got)
	}
	tn.want(401, "GET", "/security/incidents", nil, "Authorization", "Bearer "+strings.Repeat("x", simulator.MaxTokenBytes)+".a.b")
	tn.want(401, "GET", "/security/incidents", nil, "Authorization", "Basic "+tn.token)
}

func TestTheRequestLogForgetsTheOldest(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{})
	for i := range simulator.MaxRequestLog + 1 {
		if _, err := tn.send(tn.request("GET", fmt.Sprintf("%s/x%d", tn.base, i), nil)); err != nil {
			t.Fatal(err)
		}
	}
	requests := tn.Requests()
	if n := len(requests); n > simulator.MaxRequestLog || requests[n-1].Path != fmt.Sprintf("/x%d", simulator.MaxRequestLog) || requests[0].Path == "/x0" {
		t.Errorf("%d requests, from %s to %s", n, requests[0].Path, requests[n-1].Path)
	}
}

func TestOptionsAtTheirLimits(t *testing.T) {
	t.Parallel()
	if _, err := simulator.New(simulator.Options{Documents: someAlerts(1), Alerts: simulator.MaxAlerts, PageSize: simulator.MaxTop,
		Late:      simulator.Late{Share: 1},
		Behaviour: simulator.Behaviour{MaxTop: simulator.MaxTop, EmptyPageEvery: 2, ShortPageEvery: 1}}); err != nil {
		t.Error(err)
	}
}

func TestKnobsOfCorrelation(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(2), Behaviour: simulator.Behaviour{
		EmptiedIncident: simulator.EmptiedResolves, MoveCommentsEveryAlert: true, AlertChangesTouchIncident: true}})
	for want := 1; want <= 2; want++ {
		tn.want(200, "POST", "/security/alerts_v2/moveAlerts", `{"alertIds":["a1"],"incidentId":"2","alertComment":"x"}`)
		if got := len(tn.Alert("a1")["comments"].([]any)); got != want {
			t.Errorf("%d comments, want %d", got, want)
		}
	}
	if got := tn.Incident("1")["status"]; got != "resolved" {
		t.Errorf("the emptied incident is %v", got)
	}
	before := tn.Incident("2")["lastUpdateDateTime"].(string)
	tn.want(200, "PATCH", "/security/alerts_v2/a1", `{"status":"inProgress"}`)
	if tn.Incident("2")["lastUpdateDateTime"].(string) <= before {
		t.Error("the incident did not notice its alert's change")
	}
}

func TestMovesFollowRedirections(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(3)})
	tn.want(200, "POST", "/security/incidents/mergeIncidents", `{"incidentIds":["1","2"]}`)
	if got := tn.want(200, "POST", "/security/alerts_v2/moveAlerts", `{"alertIds":["a3"],"incidentId":"2"}`).body["targetIncidentId"]; got != "1" {
		t.Errorf("moved to %v", got)
	}
	for id, to := range map[string]string{"1": "2", "2": "1"} { // a circle, made by hand
		if err := tn.Touch(id, simulator.Document{"status": "redirected", "redirectIncidentId": to}, "x"); err != nil {
			t.Fatal(err)
		}
	}
	tn.want(200, "POST", "/security/alerts_v2/moveAlerts", `{"alertIds":["a3"],"incidentId":"3"}`)
	tn.want(200, "POST", "/security/alerts_v2/moveAlerts", `{"alertIds":["a3"],"incidentId":"2"}`)
	if err := tn.Touch("2", simulator.Document{"redirectIncidentId": "gone"}, "x"); err != nil {
		t.Fatal(err)
	}
	tn.want(404, "POST", "/security/alerts_v2/moveAlerts", `{"alertIds":["a3"],"incidentId":"2"}`)
}

func TestTheLastWriterWins(t *testing.T) {
	t.Parallel()
	// There is no ETag: both are accepted and both are logged.
	tn := inProcess(t, simulator.Options{Documents: someAlerts(1)})
	tn.want(200, "PATCH", "/security/alerts_v2/a1", `{"assignedTo":"a@y.example"}`, "If-Match", `"x"`)
	tn.want(200, "PATCH", "/security/alerts_v2/a1", `{"assignedTo":"b@y.example"}`)
	if len(tn.Effects()) != 2 || tn.Alert("a1")["assignedTo"] != "b@y.example" {
		t.Errorf("effects %v", tn.Effects())
	}
}
