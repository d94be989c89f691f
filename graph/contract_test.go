package graph

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

const (
	contractDir = "../testdata/graph/"
	samplesDir  = contractDir + "samples"
)

// contracts are the published descriptions of the APIs, loaded once.
var contracts = sync.OnceValues(func() (docs [apis]*openapi3.T, err error) {
	for api, file := range map[API]string{APIGraph: "openapi-security.json", APIDefender: "openapi-mde.json"} {
		if docs[api], err = openapi3.NewLoader().LoadFromFile(contractDir + file); err != nil {
			return docs, err
		}
	}
	return docs, nil
})

func loadContract(t *testing.T, api API) (*openapi3.T, routers.Router) {
	t.Helper()
	docs, err := contracts()
	if err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(docs[api])
	if err != nil {
		t.Fatal(err)
	}
	return docs[api], router
}

func TestEveryRequestTheClientSendsIsInThePublishedContract(t *testing.T) {
	t.Parallel()
	_, ofGraph := loadContract(t, APIGraph)
	_, ofDefender := loadContract(t, APIDefender)
	sent := map[string]bool{}
	rt := roundTripper(func(r *http.Request) (*http.Response, error) {
		router := ofGraph
		if r.URL.Host == "api.securitycenter.microsoft.com" {
			router = ofDefender
		}
		if bad := validateRequest(router, r, sent); bad != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, bad)
		}
		body := `{"id":"a","targetIncidentId":"1","value":[],"results":[]}`
		if strings.HasSuffix(r.URL.Path, "$count") {
			body = "3"
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	c, err := New(Options{Credential: &fixed{}, Transport: rt, Budgets: map[Class]Budget{
		ClassSecurity: {Requests: 10_000, Per: 1e9, Burst: 1000, Concurrent: 1},
		ClassDevices:  {Requests: 10_000, Per: 1e9, Burst: 1000, Concurrent: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range everyCall(t, c) {
		if err != nil {
			t.Error(err)
		}
	}
	for _, ep := range Endpoints() {
		if !sent[ep.Method+" "+ep.Path] {
			t.Errorf("%s %s is in the table and nothing here sends it", ep.Method, ep.Path)
		}
	}
}

func TestTheContractRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, router := loadContract(t, APIGraph)
	for _, body := range []string{`{"status":"newAlert"}`, `{"classification":"TruePositive"}`, `[]`} {
		r, err := http.NewRequestWithContext(t.Context(), "PATCH", "https://graph.microsoft.com/v1.0/security/alerts_v2/a", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if validateRequest(router, r, map[string]bool{}) == nil {
			t.Errorf("%s passed: the checks above prove nothing", body)
		}
	}
}

// validateRequest checks a request and notes its endpoint.
func validateRequest(router routers.Router, r *http.Request, sent map[string]bool) error {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	route, params, err := router.FindRoute(r)
	if err != nil {
		return err
	}
	sent[r.Method+" "+strings.NewReplacer("{alert-id}", "{id}", "{incident-id}", "{id}").Replace(route.Path)] = true
	return openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route})
}

// everyCall uses every function with every field that it can send.
func everyCall(t *testing.T, c *Client) []error {
	ctx := t.Context()
	text := "some text"
	tags := []string{"a", "b"}
	query := Query{Filter: "status eq " + Literal("new"), OrderBy: "lastUpdateDateTime asc", Top: 10, Skip: 5, Select: "title"}
	expand := Query{Expand: "alerts"}
	errs := []error{firstError(c.Alerts(ctx, query)), firstError(c.Incidents(ctx, query)), firstError(c.Incidents(ctx, expand)), firstError(c.IncidentAlerts(ctx, "1"))}
	note := func(_ any, err error) { errs = append(errs, err) }
	note(c.Alert(ctx, "da637865765418431569_-773071023"))
	note(c.CountAlerts(ctx, query.Filter))
	note(c.CountIncidents(ctx, ""))
	note(c.CommentAlert(ctx, "a", text))
	note(c.CommentIncident(ctx, "1", text))
	note(c.Incident(ctx, "1", false))
	note(c.Incident(ctx, "1", true))
	note(c.MoveAlerts(ctx, MoveRequest{AlertIDs: tags, IncidentID: "1", Comment: text, Reasons: CorrelationReasons()}))
	note(c.MoveAlerts(ctx, MoveRequest{AlertIDs: tags}))
	note(c.MergeIncidents(ctx, MergeRequest{IncidentIDs: tags, Comment: text, Reasons: CorrelationReasons()}))
	note(c.UpdateAlert(ctx, "a", AlertPatch{AssignedTo: Unassign()}))
	note(c.UpdateAlert(ctx, "a", AlertPatch{AssignedTo: AssignTo("x@y"), CustomDetails: map[string]string{"k": "v"}}))
	note(c.UpdateIncident(ctx, "1", IncidentPatch{AssignedTo: Unassign(), DisplayName: &text, Description: &text, Summary: &text, ResolvingComment: &text, CustomTags: &tags}))
	for _, s := range WritableAlertStatuses() {
		note(c.UpdateAlert(ctx, "a", AlertPatch{Status: &s}))
	}
	for _, s := range WritableIncidentStatuses() {
		note(c.UpdateIncident(ctx, "1", IncidentPatch{Status: &s}))
	}
	for _, s := range WritableSeverities() {
		note(c.UpdateIncident(ctx, "1", IncidentPatch{Severity: &s}))
	}
	for _, s := range Classifications() {
		note(c.UpdateAlert(ctx, "a", AlertPatch{Classification: &s}))
		note(c.UpdateIncident(ctx, "1", IncidentPatch{Classification: &s}))
	}
	note(c.RunHuntingQuery(ctx, HuntingQuery{Query: "DeviceInfo | take 1"}))
	note(c.RunHuntingQuery(ctx, HuntingQuery{Query: "DeviceInfo | take 1", Timespan: "P7D"}))
	errs = append(errs, firstError(c.Machines(ctx, Query{Filter: "healthStatus eq 'Active'"})), firstError(c.MachineActions(ctx, Query{Filter: "status eq 'Pending'", Skip: 3})))
	note(c.Machine(ctx, machineID))
	note(c.MachineAction(ctx, "5382f7ea-7557-4ab7-9782-d50480024a4e"))
	for _, isolation := range IsolationTypes() {
		note(c.IsolateMachine(ctx, machineID, isolation, text))
	}
	note(c.ReleaseMachine(ctx, machineID, text))
	for alias := range DeterminationAliases() {
		note(c.UpdateAlert(ctx, "a", AlertPatch{Determination: &alias}))
	}
	for _, s := range WritableDeterminations() {
		note(c.UpdateIncident(ctx, "1", IncidentPatch{Determination: &s}))
	}
	return errs
}

func TestTheTableNamesTheLeastPermissionsOfTheContract(t *testing.T) {
	t.Parallel()
	replace := strings.NewReplacer("/alerts_v2/{id}", "/alerts_v2/{alert-id}", "/incidents/{id}", "/incidents/{incident-id}")
	for _, ep := range Endpoints() {
		doc, _ := loadContract(t, ep.API())
		item := doc.Paths.Find(replace.Replace(ep.Path))
		if item == nil || item.GetOperation(ep.Method) == nil {
			t.Errorf("%s %s is not in the contract", ep.Method, ep.Path)
			continue
		}
		data, err := json.Marshal(item.GetOperation(ep.Method).Extensions["x-permissions"])
		if err != nil {
			t.Fatal(err)
		}
		var permissions struct {
			Application struct{ LeastPrivileged []string }
		}
		if err := json.Unmarshal(data, &permissions); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(permissions.Application.LeastPrivileged, ep.Permission) {
			t.Errorf("%s %s: the table says %s, the contract %v", ep.Method, ep.Path, ep.Permission, permissions.Application.LeastPrivileged)
		}
	}
}

func TestTheEnumListsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	doc, _ := loadContract(t, APIGraph)
	for name, ours := range map[string][]string{
		"alertStatus": AlertStatuses(), "incidentStatus": IncidentStatuses(), "alertSeverity": Severities(),
		"alertClassification": Classifications(), "alertDetermination": Determinations(), "serviceSource": ServiceSources(),
		"detectionSource": DetectionSources(), "investigationState": InvestigationStates(), "correlationReason": CorrelationReasons(),
	} {
		schema := doc.Components.Schemas["microsoft.graph.security."+name]
		if schema == nil {
			t.Errorf("%s is not in the contract", name)
			continue
		}
		members := schema.Value.Enum
		if members == nil {
			members, _ = schema.Value.Extensions["x-enum-members"].([]any)
		}
		var theirs []string
		for _, m := range members {
			if s, _ := m.(string); s != "unknownFutureValue" {
				theirs = append(theirs, s)
			}
		}
		slices.Sort(theirs)
		ours = slices.Sorted(slices.Values(ours))
		if !slices.Equal(ours, theirs) {
			t.Errorf("%s: ours %v, theirs %v", name, ours, theirs)
		}
	}
}

func TestEverySampleIsReadAndKeptWhole(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(samplesDir + "/*.response.json")
	if err != nil {
		t.Fatal(err)
	}
	alerts, incidents := 0, 0
	for _, file := range files {
		name := filepath.Base(file)
		isAlert, isIncident := strings.HasPrefix(name, "alerts_v2."), strings.HasPrefix(name, "incidents.")
		if !isAlert && !isIncident {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rowsOf(t, data) {
			switch {
			case strings.Contains(name, "comments."):
				var c Comment
				if err := json.Unmarshal(row, &c); err != nil || c.Comment == "" || c.CreatedByDisplayName == "" || c.CreatedDateTime == "" {
					t.Errorf("%s: %+v, %v", name, c, err)
				}
			case strings.Contains(name, "moveAlerts"), strings.Contains(name, "mergeIncidents"):
			case isAlert:
				alerts++
				assertAlertSample(t, name, row)
			default:
				incidents++
				assertIncidentSample(t, name, row)
			}
		}
	}
	if alerts < 3 || incidents < 3 {
		t.Errorf("only %d alerts and %d incidents were found in %s", alerts, incidents, samplesDir)
	}
}

// rowsOf takes a listing apart, and returns a single object as it is.
func rowsOf(t *testing.T, data []byte) []json.RawMessage {
	t.Helper()
	var p page
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	if p.Value != nil {
		return *p.Value
	}
	return []json.RawMessage{data}
}

func assertAlertSample(t *testing.T, name string, row []byte) {
	t.Helper()
	var a Alert
	if err := json.Unmarshal(row, &a); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if a.ID == "" || a.Title == "" || a.Status == "" || a.CreatedDateTime == "" {
		t.Errorf("%s: read as %+v", name, a)
	}
	assertWhole(t, row, a)
}

func assertIncidentSample(t *testing.T, name string, row []byte) {
	t.Helper()
	var i Incident
	if err := json.Unmarshal(row, &i); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if i.ID == "" || i.DisplayName == "" || i.Status == "" {
		t.Errorf("%s: read as %+v", name, i)
	}
	if strings.Contains(name, "expand-alerts") && (len(i.Alerts) == 0 || i.Alerts[0].ID == "" || len(i.Alerts[0].Evidence) == 0) {
		t.Errorf("%s: the alerts are missing", name)
	}
	assertWhole(t, row, i)
}

func TestEveryErrorSampleIsUnderstood(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(samplesDir + "/error.*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var e Error
		if e.readRefusal(data); e.Code == "" || e.Message == "" || e.RequestID == "" {
			t.Errorf("%s: %+v", filepath.Base(file), e)
		}
	}
}
