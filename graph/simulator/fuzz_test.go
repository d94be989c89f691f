package simulator_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/graph/simulator"
)

// asked sends a request that no client of Go's would make, past the parsing of addresses.
func asked(s *simulator.Server, method, path, query, body string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "https://graph.microsoft.com/", strings.NewReader(body))
	r.Method, r.URL.Path, r.URL.RawQuery, r.Header = method, path, query, header
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// hostileWorld is a simulator for one input: what a request changes must not reach the next one.
func hostileWorld(t testing.TB) (s *simulator.Server, token string) {
	s, err := simulator.New(simulator.Options{Documents: hostileDocuments})
	if err != nil {
		t.Fatal(err)
	}
	w := asked(s, "POST", "/"+simulator.DefaultTenant+"/oauth2/v2.0/token", "", secretForm().Encode(),
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Token == "" {
		t.Fatalf("no token: %s", w.Body)
	}
	return s, answer.Token
}

var hostileDocuments = simulator.Generate(simulator.Generation{Seed: 3, Start: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), Alerts: 6})

// FuzzRequests sends hostile requests with a good token. Whatever they ask for, the answer has a status and the shape
// of Graph: a refusal names code, message and request id, a listing has rows and its next link leads back here. And
// afterwards the simulator still lists all it has.
func FuzzRequests(f *testing.F) {
	alert, incident := hostileDocuments.Alerts[0]["id"].(string), hostileDocuments.Incidents[0]["id"].(string)
	samples := func(name string) string {
		text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "graph", "samples", name))
		if err != nil {
			f.Fatal(err)
		}
		return string(text)
	}
	const alerts, incidents = "/v1.0/security/alerts_v2", "/v1.0/security/incidents"
	for _, r := range [][4]string{
		{"GET", alerts, "$filter=severity%20eq%20'high'&$top=2&$orderby=lastUpdateDateTime%20desc&$count=true&$select=id,title", ""},
		{"GET", alerts, "$filter=evidence/any(e:e/x%20eq%201)&$skiptoken=AAAA", ""}, {"GET", alerts, "$top=-1", ""}, {"GET", alerts, "$top=99999999999999999999", ""},
		{"GET", alerts, "%zz;&&$filter", ""}, {"GET", alerts, "$skip=9223372036854775807", ""}, {"GET", alerts, "$filter=" + strings.Repeat("(", 5000), ""},
		{"GET", alerts, "$expand=*&$search=x&$apply=y&$format=xml", ""}, {"GET", alerts + "/$count", "$filter=true", ""}, {"GET", alerts + "/" + alert, "$select=,", ""},
		{"GET", incidents, "$expand=alerts($select=id;$top=1)&$top=1", ""}, {"GET", incidents + "/" + incident + "/alerts", "", ""}, {"GET", incidents, "$expand=alerts", ""},
		{"PATCH", alerts + "/" + alert, "", samples("alerts_v2.update.request.json")}, {"PATCH", incidents + "/" + incident, "", samples("incidents.update.request.json")},
		{"PATCH", alerts + "/" + alert, "", `{"status":{"a":1},"customTags":[null],"assignedTo":null}`}, {"PATCH", alerts + "/" + alert, "", strings.Repeat("[", 20_000)},
		{"PATCH", incidents + "/" + incident, "", `{"customTags":["` + strings.Repeat("x", 70_000) + `"]}`},
		{"POST", alerts + "/" + alert + "/comments", "", samples("alerts_v2.comments.create.request.json")}, {"POST", incidents + "/" + incident + "/comments", "", `{"comment":null}`},
		{"POST", alerts + "/moveAlerts", "", samples("alerts_v2.moveAlerts.request.json")}, {"POST", alerts + "/moveAlerts", "", `{"alertIds":["` + alert + `"],"incidentId":null,"newAlertComment":"x"}`},
		{"POST", incidents + "/mergeIncidents", "", samples("incidents.mergeIncidents.request.json")}, {"POST", "/v1.0/$batch", "", samples("batch.request.json")},
		{"DELETE", alerts, "", ""}, {"", "", "", ""}, {"GET", "/beta/security/alerts_v2", "", ""}, {"GET", "/v1.0", "", ""}, {"GET", "/v1.0//security//alerts_v2/", "", ""},
		{"GET", "/v1.0/security/alerts_v2/../../x", "", ""}, {"GET", "/v1.0/security/alerts_v2('" + alert + "')", "", ""}, {"POST", "/t/oauth2/v2.0/token", "", "grant_type=client_credentials"},
		{"GET", "/common/v2.0/.well-known/openid-configuration", "", ""},
	} {
		f.Add(r[0], r[1], r[2], r[3], "")
	}
	f.Add("GET", alerts, "", "", "Bearer ")
	f.Add("GET", alerts, "", "", "Bearer eyJ.eyJ.x")
	f.Fuzz(func(t *testing.T, method, path, query, body, authorization string) {
		s, token := hostileWorld(t)
		good := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
		header := good.Clone()
		if authorization != "" {
			header["Authorization"] = []string{authorization}
		}
		w := asked(s, method, path, query, body, header)
		shaped(t, s, good, path, w)
		if authorization != "" && authorization != "Bearer "+token && len(s.Effects()) > 0 {
			t.Errorf("a stranger changed something: %+v", s.Effects())
		}
		if w := asked(s, "GET", alerts, "$top=1000", "", good); w.Code != http.StatusOK || strings.Count(w.Body.String(), `"providerAlertId"`) != len(hostileDocuments.Alerts) {
			t.Errorf("afterwards the alerts are listed as %d: %.300s", w.Code, w.Body)
		}
	})
}

// shaped fails the test unless an answer has the shape of Graph, or of the sign-in service.
func shaped(t *testing.T, s *simulator.Server, good http.Header, path string, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code < 200 || w.Code >= 600 || w.Code == http.StatusInternalServerError {
		t.Fatalf("status %d: %.300s", w.Code, w.Body)
	}
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if w.Code >= 400 || w.Body.Len() > 0 && w.Header().Get("Content-Type") != "text/plain" {
			t.Fatalf("status %d of type %q: %.300s", w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		return
	}
	var answer struct {
		Error json.RawMessage   `json:"error"`
		Said  string            `json:"error_description"`
		Value []json.RawMessage `json:"value"`
		Next  string            `json:"@odata.nextLink"`
	}
	if w.Body.Len() == 0 {
		return
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil && w.Code >= 400 || !json.Valid(w.Body.Bytes()) {
		t.Fatalf("status %d is no answer: %v: %.300s", w.Code, err, w.Body)
	}
	if w.Code >= 400 {
		var e struct {
			Code, Message string
			InnerError    struct {
				RequestID string `json:"request-id"`
			}
		}
		graph := json.Unmarshal(answer.Error, &e) == nil
		if graph && (e.Code == "" || e.Message == "" || e.InnerError.RequestID == "") || !graph && answer.Said == "" {
			t.Fatalf("the refusal %d has no shape: %.300s", w.Code, w.Body)
		}
	}
	if answer.Next != "" {
		u, err := url.Parse(answer.Next)
		if err != nil || u.Host != "graph.microsoft.com" || u.Scheme != "https" {
			t.Fatalf("the next link leads to %q (%v)", answer.Next, err)
		}
		if w := asked(s, "GET", u.Path, u.RawQuery, "", good); w.Code != http.StatusOK {
			t.Fatalf("the next link %s is answered with %d: %.300s", answer.Next, w.Code, w.Body)
		}
	}
}
