package simulator_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/graph/simulator"
)

func TestPatchChangesOnlyWhatItNames(t *testing.T) {
	t.Parallel()
	docs := someAlerts(1)
	docs.Alerts[0]["classification"], docs.Alerts[0]["somethingNew"] = "falsePositive", map[string]any{"kept": json.Number("12345678901234567890")}
	tn := inProcess(t, simulator.Options{Documents: docs})
	before := tn.Alert("a1")
	a := tn.want(200, "PATCH", "/security/alerts_v2/a1", map[string]any{"assignedTo": "x@y.example"})
	if a.body["assignedTo"] != "x@y.example" || a.body["classification"] != "falsePositive" {
		t.Errorf("after PATCH: %s", a.text)
	}
	if !strings.Contains(a.text, "12345678901234567890") {
		t.Errorf("an unknown field was lost or rounded: %s", a.text)
	}
	if a.body["lastUpdateDateTime"].(string) <= before["lastUpdateDateTime"].(string) {
		t.Error("lastUpdateDateTime did not move")
	}
	if a = tn.want(200, "PATCH", "/security/alerts_v2/a1", map[string]any{"assignedTo": nil}); a.body["assignedTo"] != nil {
		t.Errorf("null does not clear assignedTo: %s", a.text)
	}
}

func TestResolvingFillsResolvedDateTimeAndReopeningClearsIt(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(1)})
	first := tn.want(200, "PATCH", "/security/alerts_v2/a1", map[string]any{"status": "resolved"}).body["resolvedDateTime"]
	if first == nil {
		t.Fatal("resolvedDateTime is null")
	}
	if again := tn.want(200, "PATCH", "/security/alerts_v2/a1", map[string]any{"status": "resolved"}).body["resolvedDateTime"]; again != first {
		t.Errorf("resolving again moved resolvedDateTime from %v to %v", first, again)
	}
	if open := tn.want(200, "PATCH", "/security/alerts_v2/a1", map[string]any{"status": "new"}).body["resolvedDateTime"]; open != nil {
		t.Errorf("reopened with resolvedDateTime %v", open)
	}
	if tn.Incident("1")["status"] != "active" {
		t.Error("the incident was resolved by itself")
	}
}

func TestPatchRefusesValuesTheServiceDoesNotKnow(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(1)})
	for _, body := range []string{
		`{"status":"Resolved"}`, `{"status":"closed"}`, `{"status":null}`, `{"status":3}`, `{"status":"unknownFutureValue"}`,
		`{"classification":"TruePositive"}`, `{"determination":"clean"}`, `{"assignedTo":["x"]}`, `{"customDetails":{"a":1}}`,
		`{"customDetails":"x"}`, `{"severity":"high"}`, `{"comments":[]}`, `{"lastUpdateDateTime":"2026-01-01T00:00:00Z"}`,
	} {
		tn.want(400, "PATCH", "/security/alerts_v2/a1", body)
	}
	for _, body := range []string{
		`{"status":"redirected"}`, `{"status":"awaitingAction"}`, `{"status":"new"}`, `{"redirectIncidentId":"2"}`, `{"customTags":"x"}`,
		`{"customTags":[1]}`, `{"customTags":null}`, `{"severity":"critical"}`, `{"systemTags":["x"]}`, `{"displayName":4}`,
	} {
		tn.want(400, "PATCH", "/security/incidents/1", body)
	}
	if len(tn.Effects()) != 0 {
		t.Errorf("effects of refused requests: %v", tn.Effects())
	}
}

func TestKnobsOfPatch(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(2), Behaviour: simulator.Behaviour{
		IgnoreUnknownFields: true, AcceptPascalCase: true, RepeatKeepsUpdateTime: true, ResolveIncidentWithAlerts: true,
		ResolveAlertsWithIncident: true, CommentKeepsUpdateTime: true, CommentAuthor: "robot", NewestCommentFirst: true}})
	a := tn.want(200, "PATCH", "/security/alerts_v2/a1", `{"title":"mine","status":"InProgress"}`)
	if a.body["title"] != "Alert 1" || a.body["status"] != "inProgress" {
		t.Errorf("ignored and accepted: %s", a.text)
	}
	if b := tn.want(200, "PATCH", "/security/alerts_v2/a1", `{"status":"inProgress"}`); b.body["lastUpdateDateTime"] != a.body["lastUpdateDateTime"] {
		t.Error("a repetition moved lastUpdateDateTime")
	}
	tn.want(200, "POST", "/security/alerts_v2/a1/comments", `{"comment":"one"}`)
	list := tn.want(200, "POST", "/security/alerts_v2/a1/comments", `{"comment":"two","extra":1}`).rows(t)
	if list[0]["comment"] != "two" || list[0]["createdByDisplayName"] != "robot" {
		t.Errorf("comments: %v", list)
	}
	if tn.Alert("a1")["lastUpdateDateTime"] != a.body["lastUpdateDateTime"] {
		t.Error("a comment moved lastUpdateDateTime")
	}
	tn.want(200, "PATCH", "/security/alerts_v2/a1", `{"status":"resolved"}`)
	if got := tn.Incident("1")["status"]; got != "resolved" {
		t.Errorf("incident of resolved alerts is %v", got)
	}
	tn.want(200, "PATCH", "/security/incidents/2", `{"status":"resolved"}`)
	if got := tn.Alert("a2"); got["status"] != "resolved" || got["resolvedDateTime"] == nil {
		t.Errorf("alert of a resolved incident: %v", got)
	}
}

func TestUpdateTimesAreStrictlyMonotonicWithSevenDigits(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(3)})
	last := ""
	for i := range 200 {
		a := tn.want(200, "PATCH", fmt.Sprintf("/security/alerts_v2/a%d", 1+i%3), `{"status":"inProgress"}`)
		stamp := a.body["lastUpdateDateTime"].(string)
		if len(stamp) != len("2026-11-22T02:02:32.1234567Z") || stamp <= last {
			t.Fatalf("stamp %q after %q", stamp, last)
		}
		last = stamp
	}
}

func TestUpdateTimeNeverGoesBackOnADocumentFromTheFuture(t *testing.T) {
	t.Parallel()
	docs := someAlerts(2)
	docs.Alerts[0]["lastUpdateDateTime"] = "2999-01-01T00:00:00Z"
	tn := inProcess(t, simulator.Options{Documents: docs})
	if a := tn.want(200, "PATCH", "/security/alerts_v2/a1", `{"status":"inProgress"}`); a.body["lastUpdateDateTime"] != "2999-01-01T00:00:00.0000001Z" {
		t.Errorf("stamp %v", a.body["lastUpdateDateTime"])
	}
	if a := tn.want(200, "PATCH", "/security/alerts_v2/a2", `{"status":"inProgress"}`); strings.HasPrefix(a.body["lastUpdateDateTime"].(string), "2999") {
		t.Error("one document from the future drags the others along")
	}
}

func TestCommentsAreAppendedNeverMerged(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(1)})
	before := tn.Alert("a1")["lastUpdateDateTime"].(string)
	for i := range 3 {
		list := tn.want(200, "POST", "/security/alerts_v2/a1/comments", `{"@odata.type":"#microsoft.graph.security.alertComment","comment":"same <b>"}`).rows(t)
		if len(list) != i+1 || list[i]["createdByDisplayName"] != "API-App:"+simulator.DefaultClient {
			t.Fatalf("after %d posts: %v", i+1, list)
		}
	}
	if tn.Alert("a1")["lastUpdateDateTime"].(string) <= before {
		t.Error("a comment left lastUpdateDateTime")
	}
	for _, bad := range []string{`[{"comment":"x"}]`, `{"comment":""}`, `{"comment":" "}`, `{}`, `{"comment":1}`, `{"comment":"x","by":"me"}`,
		`{"@odata.type":"microsoft.graph.alert","comment":"x"}`, `"x"`, ``} {
		tn.want(400, "POST", "/security/alerts_v2/a1/comments", bad)
	}
	if n := len(tn.Effects()); n != 3 {
		t.Errorf("%d effects, want 3", n)
	}
}

func TestCustomTagsReplaceTheArray(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(1)})
	tn.want(200, "PATCH", "/security/incidents/1", `{"customTags":["a","b"]}`)
	a := tn.want(200, "PATCH", "/security/incidents/1", `{"customTags":["c"]}`)
	equal(t, "tags", []string{"c"}, a.body["customTags"])
	if a.body["lastModifiedBy"] != "API-App:"+simulator.DefaultClient {
		t.Errorf("lastModifiedBy %v", a.body["lastModifiedBy"])
	}
}

func TestMoveWithoutTargetMakesANewIncidentEachTime(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(3)})
	body := map[string]any{"alertIds": []string{"a1", "a2", "a2"}, "incidentId": nil, "alertComment": "same device"}
	first := tn.want(200, "POST", "/security/alerts_v2/moveAlerts", body).body["targetIncidentId"].(string)
	if first != "4" {
		t.Errorf("new incident %s, want 4", first)
	}
	for _, id := range []string{"a1", "a2"} {
		alert := tn.Alert(id)
		if alert["incidentId"] != first || len(alert["comments"].([]any)) != 1 {
			t.Errorf("%s after the move: %v", id, alert)
		}
	}
	if got := tn.want(200, "GET", "/security/incidents/"+first+"/alerts", nil).ids(t); !slices.Equal(got, []string{"a2", "a1"}) {
		t.Errorf("alerts of the new incident: %v", got)
	}
	if got := tn.Incident(first)["severity"]; got != "high" {
		t.Errorf("severity of the new incident is %v", got)
	}
	if got := tn.Incident("1"); got["status"] != "active" {
		t.Errorf("emptied incident: %v", got)
	}
	if second := tn.want(200, "POST", "/security/alerts_v2/moveAlerts", body).body["targetIncidentId"]; second == first {
		t.Error("the repetition did not make a second incident")
	}
}

func TestMoveToATargetMayBeRepeated(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(3), Behaviour: simulator.Behaviour{EmptiedIncident: simulator.EmptiedRedirects}})
	body := map[string]any{"alertIds": []string{"a1", "a2"}, "incidentId": "3", "alertComment": "x"}
	for range 2 {
		if got := tn.want(200, "POST", "/security/alerts_v2/moveAlerts", body).body["targetIncidentId"]; got != "3" {
			t.Fatalf("target %v", got)
		}
	}
	if got := len(tn.Alert("a1")["comments"].([]any)); got != 1 {
		t.Errorf("%d comments after a repetition", got)
	}
	if got := tn.Incident("1"); got["status"] != "redirected" || got["redirectIncidentId"] != "3" {
		t.Errorf("emptied incident: %v", got)
	}
	effects := tn.Effects()
	if len(effects) != 2 || len(effects[0].Changed) == 0 || len(effects[1].Changed) != 0 {
		t.Errorf("the log must tell the change from the repetition: %+v", effects)
	}
}

func TestMoveIsAllOrNothing(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(2)})
	tn.want(404, "POST", "/security/alerts_v2/moveAlerts", map[string]any{"alertIds": []string{"a1", "none"}, "incidentId": "2"})
	tn.want(404, "POST", "/security/alerts_v2/moveAlerts", map[string]any{"alertIds": []string{"a1"}, "incidentId": "99"})
	for _, bad := range []string{`{}`, `{"alertIds":[]}`, `{"alertIds":"a1"}`, `{"alertIds":[1]}`, `{"alertIds":["a1"],"incidentId":2}`,
		`{"alertIds":["a1"],"newCorrelationReasons":"because"}`, `{"alertIds":["a1"],"newCorrelationReasons":["sameAsset"]}`, `{"alertIds":["a1"],"x":1}`} {
		tn.want(400, "POST", "/security/alerts_v2/moveAlerts", bad)
	}
	if tn.Alert("a1")["incidentId"] != "1" || len(tn.Effects()) != 0 || len(tn.Incidents()) != 2 {
		t.Error("a refused move left traces")
	}
	many := make([]string, simulator.MaxCorrelated+1)
	for i := range many {
		many[i] = "a1"
	}
	tn.want(400, "POST", "/security/alerts_v2/moveAlerts", map[string]any{"alertIds": many})
	tn.want(200, "POST", "/security/alerts_v2/moveAlerts", map[string]any{"alertIds": many[1:]})
}

func TestMergeKeepsOneAndRedirectsTheOthers(t *testing.T) {
	t.Parallel()
	for survivor, want := range map[simulator.MergeSurvivor]string{simulator.SurvivorOldest: "1", simulator.SurvivorNewest: "3", simulator.SurvivorFirst: "2"} {
		tn := inProcess(t, simulator.Options{Documents: someAlerts(3), Behaviour: simulator.Behaviour{MergeSurvivor: survivor}})
		body := map[string]any{"incidentIds": []string{"2", "3", "1"}, "incidentComment": "one attack"}
		if got := tn.want(200, "POST", "/security/incidents/mergeIncidents", body).body["targetIncidentId"]; got != want {
			t.Errorf("%q: survivor %v, want %s", survivor, got, want)
		}
		for _, id := range []string{"1", "2", "3"} {
			incident := tn.Incident(id)
			if id == want {
				if incident["status"] != "active" || len(incident["comments"].([]any)) != 1 || incident["severity"] != "high" {
					t.Errorf("survivor: %v", incident)
				}
			} else if incident["status"] != "redirected" || incident["redirectIncidentId"] != want {
				t.Errorf("loser %s: %v", id, incident)
			}
			if got := tn.Alert("a" + id)["incidentId"]; got != want {
				t.Errorf("alert a%s is in incident %v", id, got)
			}
		}
		if got := tn.want(200, "POST", "/security/incidents/mergeIncidents", body).body["targetIncidentId"]; got != want {
			t.Errorf("repeated merge answers %v", got)
		}
	}
	tn := inProcess(t, simulator.Options{Documents: someAlerts(3), Behaviour: simulator.Behaviour{RefuseRedirected: true}})
	tn.want(200, "POST", "/security/incidents/mergeIncidents", `{"incidentIds":["1","2"]}`)
	tn.want(400, "POST", "/security/incidents/mergeIncidents", `{"incidentIds":["1","2"]}`)
	tn.want(400, "POST", "/security/alerts_v2/moveAlerts", `{"alertIds":["a3"],"incidentId":"2"}`)
	tn.want(400, "POST", "/security/incidents/mergeIncidents", `{"incidentIds":["1"]}`)
	tn.want(400, "POST", "/security/incidents/mergeIncidents", `{"incidentIds":["1","1"]}`)
	tn.want(404, "POST", "/security/incidents/mergeIncidents", `{"incidentIds":["1","9"]}`)
	tn.want(400, "POST", "/security/incidents/mergeIncidents", `{"incidentIds":["1","3"],"incidentId":"1"}`)
}

func TestAPersonInThePortalChangesThingsWithoutALogLine(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(1)})
	before := tn.Alert("a1")["lastUpdateDateTime"].(string)
	if err := tn.Touch("a1", simulator.Document{"status": "inProgress", "assignedTo": "ann@y.example"}, "ann@y.example"); err != nil {
		t.Fatal(err)
	}
	if err := tn.Touch("1", simulator.Document{"customTags": []string{"vip"}}, "ann@y.example"); err != nil {
		t.Fatal(err)
	}
	if err := tn.Comment("a1", "on it", "ann@y.example"); err != nil {
		t.Fatal(err)
	}
	a := tn.want(200, "GET", "/security/alerts_v2/a1", nil)
	if a.body["assignedTo"] != "ann@y.example" || a.body["lastUpdateDateTime"].(string) <= before || len(a.body["comments"].([]any)) != 1 {
		t.Errorf("after Touch: %s", a.text)
	}
	if got := tn.Incident("1"); got["lastModifiedBy"] != "ann@y.example" {
		t.Errorf("incident: %v", got)
	}
	if len(tn.Effects()) != 0 {
		t.Error("a person left a line in the log of the API")
	}
	for _, err := range []error{tn.Touch("none", simulator.Document{}, "x"), tn.Touch("a1", simulator.Document{"id": "b"}, "x"),
		tn.Touch("a1", nil, "x"), tn.Touch("a1", simulator.Document{"x": func() {}}, "x"), tn.Comment("none", "x", "y")} {
		if err == nil {
			t.Error("a senseless change was accepted")
		}
	}
}

func TestEffectsAreWrittenBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	var out flushed
	tn := open(t, simulator.Options{Documents: someAlerts(2), Effects: &out})
	a := tn.want(200, "PATCH", "/security/alerts_v2/a1", `{"status":"resolved"}`, "client-request-id", "run-1")
	tn.want(200, "POST", "/security/alerts_v2/moveAlerts", `{"alertIds":["a1"],"incidentId":"2"}`)
	if out.flushes != 2 {
		t.Errorf("flushed %d times", out.flushes)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("lines: %v", lines)
	}
	var e map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &e); err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.RFC3339Nano, e["time"].(string)); err != nil {
		t.Error(err)
	}
	resolved := e["changed"].(map[string]any)["resolvedDateTime"]
	delete(e, "time")
	equal(t, "effect", map[string]any{"seq": 1, "tenant": simulator.DefaultTenant, "client": simulator.DefaultClient, "client_request_id": "run-1",
		"request_id": a.header.Get("request-id"), "method": "PATCH", "path": "/security/alerts_v2/a1", "op": "alert.update", "object": "alerts/a1",
		"body": map[string]any{"status": "resolved"}, "changed": map[string]any{"status": map[string]any{"old": "new", "new": "resolved"}, "resolvedDateTime": resolved}}, e)
	equal(t, "answer", map[string]any{"targetIncidentId": "2"}, tn.Effects()[1].Answer)
	equal(t, "move", map[string]any{"alerts/a1.incidentId": map[string]any{"old": "1", "new": "2"}}, tn.Effects()[1].Changed)
}

type flushed struct {
	strings.Builder
	flushes int
}

func (f *flushed) Flush() error { f.flushes++; return nil }

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }

func TestAnEffectThatCannotBeLoggedIsNotReportedAsSuccess(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(1), Effects: broken{}})
	a := tn.want(500, "PATCH", "/security/alerts_v2/a1", `{"status":"resolved"}`)
	if strings.Contains(a.text, "disk") {
		t.Errorf("the answer tells about the inside: %s", a.text)
	}
	if len(tn.Effects()) != 1 {
		t.Error("the effect is forgotten")
	}
}
