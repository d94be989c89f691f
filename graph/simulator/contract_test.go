package simulator_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/graph/simulator"
)

// TestEveryRouteAnswersInTheShapeOfThePublicSchema calls each route over HTTPS; the harness validates.
func TestEveryRouteAnswersInTheShapeOfThePublicSchema(t *testing.T) {
	t.Parallel()
	tn := open(t, simulator.Options{Seed: 3, Alerts: 60, Mode: simulator.LiveLike})
	list := tn.want(200, "GET", "/security/alerts_v2?$top=1000&$count=true", nil)
	if got := len(list.rows(t)); got != 60 {
		t.Fatalf("%d alerts listed, want 60", got)
	}
	if list.body["@odata.count"].(interface{ String() string }).String() != "60" {
		t.Errorf("count is %v", list.body["@odata.count"])
	}
	ids := list.ids(t)
	first := "/security/alerts_v2/" + ids[0]
	tn.want(200, "GET", first, nil)
	tn.want(200, "GET", first, nil, "Prefer", "")
	if got := tn.want(200, "GET", "/security/alerts_v2/$count", nil).text; got != "60" {
		t.Errorf("$count answers %q", got)
	}
	tn.want(200, "PATCH", first, map[string]any{"status": "resolved", "classification": "truePositive", "determination": "malware",
		"assignedTo": "x@y.example", "customDetails": map[string]any{"run": "1"}})
	tn.want(200, "POST", first+"/comments", map[string]any{"@odata.type": "microsoft.graph.security.alertComment", "comment": "seen"})
	tn.want(200, "POST", "/security/alerts_v2/moveAlerts", map[string]any{"alertIds": ids[:2], "alertComment": "together"})
	moved := tn.want(200, "POST", "/security/alerts_v2/microsoft.graph.security.moveAlerts",
		map[string]any{"alertIds": ids[2:4], "incidentId": nil, "newCorrelationReasons": "sameAsset, temporalProximity"})
	incident := "/security/incidents/" + moved.body["targetIncidentId"].(string)

	incidents := tn.want(200, "GET", "/security/incidents?$expand=alerts&$top=1000", nil).ids(t)
	tn.want(200, "GET", "/security/incidents/$count", nil)
	tn.want(200, "GET", incident, nil)
	tn.want(200, "GET", incident+"?$expand=alerts", nil)
	tn.want(200, "GET", incident+"/alerts", nil)
	tn.want(200, "PATCH", incident, map[string]any{"status": "inProgress", "severity": "high", "customTags": []string{"a"}, "displayName": "n",
		"description": "d", "summary": "s", "resolvingComment": nil, "assignedTo": "x@y.example"})
	tn.want(200, "POST", incident+"/comments", map[string]any{"comment": "looking"})
	tn.want(200, "POST", "/security/incidents/mergeIncidents", map[string]any{"incidentIds": incidents[:2], "incidentComment": "one"})
	tn.want(200, "POST", "/security/incidents/microsoft.graph.security.mergeIncidents",
		map[string]any{"incidentIds": incidents[2:4], "mergeReasons": "sameActor"})
	tn.want(200, "GET", "/security/incidents?$expand=alerts&$top=1000", nil)
}

func TestEveryErrorHasTheShapeOfThePublicSchema(t *testing.T) {
	t.Parallel()
	tn := open(t, simulator.Options{Documents: someAlerts(3)})
	big := `{"comment":"` + strings.Repeat("x", 1<<20) + `"}`
	cases := []struct {
		status       int
		code         string
		method, path string
		body         any
		header       []string
	}{
		{400, "BadRequest", "GET", "/security/nonsense", nil, nil},
		{400, "BadRequest", "GET", "/security/alerts_v2?$filter=" + q("severity eq high"), nil, nil},
		{400, "BadRequest", "PATCH", "/security/alerts_v2/a1", "{", nil},
		{400, "BadRequest", "PATCH", "/security/alerts_v2/a1", `["x"]`, nil},
		{400, "BadRequest", "PATCH", "/security/alerts_v2/a1", `{} {}`, nil},
		{400, "InvalidRequestBody", "PATCH", "/security/alerts_v2/a1", map[string]any{"title": "x"}, nil},
		{400, "BadRequest", "GET", tn.base + "/beta/security/alerts_v2", nil, nil},
		{401, "InvalidAuthenticationToken", "GET", "/security/alerts_v2", nil, []string{"Authorization", ""}},
		{401, "InvalidAuthenticationToken", "GET", "/security/alerts_v2", nil, []string{"Authorization", "Bearer a.b.c"}},
		{401, "InvalidAuthenticationToken", "GET", "/security/alerts_v2", nil, []string{"Authorization", "Bearer x"}},
		{404, "ResourceNotFound", "GET", "/security/alerts_v2/none", nil, nil},
		{404, "ResourceNotFound", "PATCH", "/security/incidents/none", map[string]any{}, nil},
		{404, "ResourceNotFound", "POST", "/security/incidents/none/comments", map[string]any{"comment": "x"}, nil},
		{404, "ResourceNotFound", "GET", "/security/incidents/none/alerts", nil, nil},
		{405, "MethodNotAllowed", "DELETE", "/security/alerts_v2/a1", nil, nil},
		{405, "MethodNotAllowed", "POST", "/security/incidents", map[string]any{}, nil},
		{413, "RequestEntityTooLarge", "POST", "/security/alerts_v2/a1/comments", big, nil},
		{415, "UnsupportedMediaType", "PATCH", "/security/alerts_v2/a1", "{}", []string{"Content-Type", "text/plain"}},
		{415, "UnsupportedMediaType", "PATCH", "/security/alerts_v2/a1", "{}", []string{"Content-Type", ""}},
	}
	for _, c := range cases {
		header := append([]string{"client-request-id", "11111111-2222-4333-8444-555555555555"}, c.header...)
		a := tn.want(c.status, c.method, c.path, c.body, header...)
		if got := a.errorCode(t); got != c.code {
			t.Errorf("%s %s: code %q, want %q", c.method, c.path, got, c.code)
		}
		inner := a.body["error"].(map[string]any)["innerError"].(map[string]any)
		if inner["client-request-id"] != "11111111-2222-4333-8444-555555555555" || inner["request-id"] != a.header.Get("request-id") ||
			inner["date"] == "" || a.header.Get("client-request-id") != inner["client-request-id"] {
			t.Errorf("%s %s: ids do not agree: %v %v", c.method, c.path, inner, a.header)
		}
		if got := a.header.Get("Content-Type"); got != "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8" {
			t.Errorf("content type %q", got)
		}
	}
	if a := tn.want(401, "GET", "/security/alerts_v2", nil, "Authorization", ""); !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
		t.Error("a 401 names no challenge")
	}
	if a := tn.want(405, "POST", "/security/incidents/1", map[string]any{}); a.header.Get("Allow") != "GET, PATCH" {
		t.Errorf("Allow is %q", a.header.Get("Allow"))
	}
	if len(tn.Effects()) != 0 {
		t.Errorf("refused requests left effects: %v", tn.Effects())
	}
}

func TestPathsMatchWithoutRegardToCase(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(2)})
	tn.want(200, "GET", "/Security/Alerts_V2/a1", nil)
	tn.want(404, "GET", "/security/alerts_v2/A1", nil) // ids are opaque
	tn.want(200, "POST", "/security/ALERTS_V2/MoveAlerts", map[string]any{"alertIds": []string{"a1"}})
}

// TestSamplesSurvive loads every published sample of alerts and incidents and gets it back unchanged.
func TestSamplesSurviveLoadAndServiceUnchanged(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/graph/samples/*.response.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	loaded := 0
	for _, file := range files {
		name := filepath.Base(file)
		ours := strings.HasPrefix(name, "alerts_v2.") || strings.HasPrefix(name, "incidents.")
		if !ours || strings.Contains(name, "comments") || strings.Contains(name, "moveAlerts") || strings.Contains(name, "mergeIncidents") {
			continue
		}
		loaded++
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		docs, err := simulator.Load(strings.NewReader(string(data)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s, err := simulator.New(simulator.Options{Documents: docs})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range docs.Alerts {
			equal(t, name, want, s.Alert(want["id"].(string)))
		}
		for _, want := range docs.Incidents {
			equal(t, name, want, s.Incident(want["id"].(string)))
		}
		for _, alert := range docs.Alerts {
			if id, ok := alert["incidentId"].(string); ok && s.Incident(id) == nil {
				t.Errorf("%s: no incident %s was made for alert %v", name, id, alert["id"])
			}
		}
	}
	if loaded < 6 {
		t.Errorf("only %d samples were loaded", loaded)
	}
}

func TestSampleRequestsAreUnderstood(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(2), Behaviour: simulator.Behaviour{AcceptPascalCase: true}})
	read := func(name string) string {
		data, err := os.ReadFile("../../testdata/graph/samples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	tn.want(200, "PATCH", "/security/alerts_v2/a1", read("alerts_v2.update.request.json"))
	tn.want(200, "POST", "/security/alerts_v2/a1/comments", read("alerts_v2.comments.create.request.json"))
	tn.want(200, "PATCH", "/security/incidents/1", read("incidents.update.request.json"))
	tn.want(200, "POST", "/security/incidents/1/comments", read("incidents.comments.create.request.json"))
	tn.want(404, "POST", "/security/alerts_v2/moveAlerts", read("alerts_v2.moveAlerts.request.json"))         // understood; other ids
	tn.want(404, "POST", "/security/incidents/mergeIncidents", read("incidents.mergeIncidents.request.json")) // likewise
}

func TestGatedEnumMembersNeedThePreferHeader(t *testing.T) {
	t.Parallel()
	docs := someAlerts(1)
	docs.Alerts[0]["serviceSource"] = "microsoftSentinel"
	docs.Alerts[0]["evidence"] = []any{map[string]any{"@odata.type": "#microsoft.graph.security.urlEvidence",
		"createdDateTime": "2026-11-22T01:00:00Z", "verdict": "unknown", "remediationStatus": "active", "url": "https://x.example"}}
	tn := inProcess(t, simulator.Options{Documents: docs, Behaviour: simulator.Behaviour{EchoPreference: true}})
	for _, path := range []string{"/security/alerts_v2/a1", "/security/alerts_v2", "/security/incidents?$expand=alerts", "/security/incidents/1/alerts"} {
		hidden := tn.want(200, "GET", path, nil, "Prefer", "")
		if strings.Contains(hidden.text, "microsoftSentinel") || strings.Contains(hidden.text, `"active"`) && !strings.Contains(path, "incidents?") ||
			strings.Count(hidden.text, "unknownFutureValue") != 2 {
			t.Errorf("%s without Prefer: %s", path, hidden.text)
		}
		shown := tn.want(200, "GET", path, nil, "Prefer", "odata.maxpagesize=5, Include-Unknown-Enum-Members")
		if !strings.Contains(shown.text, "microsoftSentinel") || strings.Contains(shown.text, "unknownFutureValue") {
			t.Errorf("%s with Prefer: %s", path, shown.text)
		}
		if shown.header.Get("Preference-Applied") != "include-unknown-enum-members" || hidden.header.Get("Preference-Applied") != "" {
			t.Errorf("%s: Preference-Applied %q and %q", path, shown.header.Get("Preference-Applied"), hidden.header.Get("Preference-Applied"))
		}
	}
	if got := tn.Alert("a1")["serviceSource"]; got != "microsoftSentinel" {
		t.Errorf("hiding a member changed the document: %v", got)
	}
}

func TestTablesAgreeWithThePublicSchema(t *testing.T) {
	t.Parallel()
	doc := loadSpec(t)
	const space = "microsoft.graph.security."
	for kind, table := range simulator.Tables() {
		if kind != "alert" && kind != "incident" {
			continue // of Defender, whose description has another form
		}
		schema := doc.Components.Schemas[space+kind].Value.AllOf[1].Value
		for name := range schema.Properties {
			if _, ok := table.Properties[name]; !ok && !strings.HasPrefix(name, "@") {
				t.Errorf("%s: property %s is missing from the table", kind, name)
			}
		}
		for name, members := range table.Properties {
			property := schema.Properties[name]
			if property == nil {
				if name != "id" {
					t.Errorf("%s: the schema has no property %s", kind, name)
				}
				continue
			}
			if members == nil {
				continue
			}
			ref := property.Ref
			if ref == "" {
				ref = property.Value.AnyOf[0].Ref
			}
			enum := doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")].Value
			var want, gated []string
			for _, m := range enum.Enum {
				if m != "unknownFutureValue" {
					want = append(want, m.(string))
				}
			}
			if !slices.Equal(want, members) {
				t.Errorf("%s.%s: members %v, schema has %v", kind, name, members, want)
			}
			if list, ok := enum.Extensions["x-evolvable-gated-members"].([]any); ok {
				for _, m := range list {
					gated = append(gated, m.(string))
				}
			}
			if kind == "alert" && name == "status" {
				continue // only incidents have a gated status; an alert never has that member
			}
			if !slices.Equal(gated, simulator.Gated()[name]) {
				t.Errorf("%s.%s: gated %v, schema has %v", kind, name, simulator.Gated()[name], gated)
			}
		}
		path := doc.Paths.Value("/security/" + table.Segment)
		filterable := []string{}
		for _, name := range path.Get.Extensions["x-documented-filter-properties"].([]any) {
			filterable = append(filterable, name.(string))
		}
		slices.Sort(filterable)
		if !slices.Equal(filterable, table.Filterable) {
			t.Errorf("%s: filterable %v, documented %v", kind, table.Filterable, filterable)
		}
	}
	status := doc.Components.Schemas[space+"evidenceRemediationStatus"].Value.Extensions["x-evolvable-gated-members"].([]any)
	for i, m := range status {
		if simulator.Gated()["remediationStatus"][i] != m {
			t.Errorf("remediationStatus: gated %v, schema has %v", simulator.Gated()["remediationStatus"], status)
		}
	}
	pattern := doc.Components.Schemas[space+"correlationReason"].Value.Extensions["x-enum-members"].([]any)
	for i, reason := range simulator.CorrelationReasons() {
		if pattern[i] != reason {
			t.Errorf("correlation reason %d is %s, schema has %v", i, reason, pattern[i])
		}
	}
}

func TestRolesOfTheRoutesAreThoseOfThePublicPermissions(t *testing.T) {
	t.Parallel()
	for _, r := range simulator.Routes() {
		doc := loadSpecOf(t, r.Path)
		_, item := operationPath(doc, strings.ReplaceAll(r.Path, "{}", "x"))
		if item == nil || item.GetOperation(r.Method) == nil {
			t.Errorf("%s %s: not in the schema", r.Method, r.Path)
			continue
		}
		permissions := item.GetOperation(r.Method).Extensions["x-permissions"].(map[string]any)["application"].(map[string]any)
		var want []string
		for _, key := range []string{"leastPrivileged", "higherPrivileged"} {
			for _, role := range permissions[key].([]any) {
				want = append(want, role.(string))
			}
		}
		if !slices.Equal(want, r.Roles) {
			t.Errorf("%s %s: roles %v, schema has %v", r.Method, r.Path, r.Roles, want)
		}
	}
}

func TestTheSchemaCheckNoticesBrokenDocuments(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(simulator.Document){
		"enum":     func(d simulator.Document) { d["severity"] = "critical" },
		"type":     func(d simulator.Document) { d["title"] = 7 },
		"evidence": func(d simulator.Document) { d["evidence"] = []any{map[string]any{"@odata.type": "#x.unknownEvidence"}} },
		"verdict": func(d simulator.Document) {
			d["evidence"] = []any{map[string]any{"@odata.type": "#microsoft.graph.security.urlEvidence", "verdict": "bad"}}
		},
	} {
		docs := someAlerts(1)
		damage(docs.Alerts[0])
		tn := inProcess(t, simulator.Options{Documents: docs})
		req := tn.request("GET", "/security/alerts_v2/a1", nil)
		a, err := tn.send(req)
		if err != nil {
			t.Fatal(err)
		}
		if breaks(loadSpec(t), req, a) == nil {
			t.Errorf("%s: a broken document passed the schema", name)
		}
	}
}
