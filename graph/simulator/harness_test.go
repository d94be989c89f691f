package simulator_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/playbookd/playbookd/graph/simulator"
)

// spec and defenderSpec are the public descriptions of Graph security and of Defender for Endpoint, read once for
// all tests.
var (
	spec         = reading("openapi-security.json")
	defenderSpec = reading("openapi-mde.json")
)

func reading(name string) func() (*openapi3.T, error) {
	return sync.OnceValues(func() (*openapi3.T, error) {
		return openapi3.NewLoader().LoadFromFile("../../testdata/graph/" + name)
	})
}

func loadSpec(t *testing.T) *openapi3.T { return loadSpecOf(t, "/security") }

// loadSpecOf is the description that a path belongs to.
func loadSpecOf(t *testing.T, path string) *openapi3.T {
	t.Helper()
	load := spec
	if strings.HasPrefix(strings.ToLower(path), "/api/") {
		load = defenderSpec
	}
	doc, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// tenant is a running simulator and a client that holds a token and checks every answer against the schema.
type tenant struct {
	*simulator.Server
	t     *testing.T
	base  string
	http  *http.Client
	token string

	defenderToken string // for /api, got when it is needed first
}

type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// open starts a simulator behind real HTTPS.
func open(t *testing.T, o simulator.Options) *tenant {
	t.Helper()
	s, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := l.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	tn := &tenant{Server: s, t: t, base: l.URL, http: client}
	tn.token = tn.mustToken("https://graph.microsoft.com")
	return tn
}

// inProcess is a simulator without sockets.
func inProcess(t *testing.T, o simulator.Options) *tenant {
	t.Helper()
	s, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	tn := &tenant{Server: s, t: t, base: "https://graph.microsoft.com", http: &http.Client{Transport: s.Transport()}}
	tn.token = tn.mustToken("https://graph.microsoft.com")
	return tn
}

func secretForm() url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {simulator.DefaultClient},
		"client_secret": {simulator.DefaultSecret}, "scope": {"https://graph.microsoft.com/.default openid offline_access profile"}}
}

func (tn *tenant) askToken(form url.Values) answer {
	tn.t.Helper()
	return tn.askTokenOf(simulator.DefaultTenant, form)
}

func (tn *tenant) askTokenOf(tenantID string, form url.Values) answer {
	tn.t.Helper()
	req, err := http.NewRequestWithContext(tn.t.Context(), "POST", tn.base+"/"+tenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		tn.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := tn.send(req)
	if err != nil {
		tn.t.Fatal(err)
	}
	return a
}

func (tn *tenant) tokenOfDefender() string {
	tn.t.Helper()
	if tn.defenderToken == "" {
		tn.defenderToken = tn.mustToken("https://api.securitycenter.microsoft.com")
	}
	return tn.defenderToken
}

func (tn *tenant) mustToken(resource string) string {
	tn.t.Helper()
	form := secretForm()
	form.Set("scope", resource+"/.default")
	a := tn.askToken(form)
	token, _ := a.body["access_token"].(string)
	if a.status != 200 || token == "" {
		tn.t.Fatalf("no token: %d %s", a.status, a.text)
	}
	return token
}

func (tn *tenant) send(req *http.Request) (answer, error) {
	res, err := tn.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header, text: string(data)}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(&a.body); err != nil {
			tn.t.Errorf("%s %s: answer is not JSON: %v: %s", req.Method, req.URL, err, data)
		}
	}
	return a, nil
}

// request builds a request to Graph, or to Defender below /api; path may be relative or a whole next link.
func (tn *tenant) request(method, path string, body any, header ...string) *http.Request {
	tn.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			tn.t.Fatal(err)
		}
		reader = bytes.NewReader(data)
	}
	token := tn.token
	switch {
	case strings.HasPrefix(path, "/api/"):
		path = tn.base + path
	case !strings.HasPrefix(path, "https://"):
		path = tn.base + "/v1.0" + path
	}
	if strings.HasPrefix(path, tn.base+"/api/") {
		token = tn.tokenOfDefender()
	}
	req, err := http.NewRequestWithContext(tn.t.Context(), method, path, reader)
	if err != nil {
		tn.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Prefer", "include-unknown-enum-members")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	return req
}

// call sends a request and checks its answer against the schema.
func (tn *tenant) call(method, path string, body any, header ...string) answer {
	tn.t.Helper()
	req := tn.request(method, path, body, header...)
	a, err := tn.send(req)
	if err != nil {
		tn.t.Fatalf("%s %s: %v", method, path, err)
	}
	validate(tn.t, req, a)
	return a
}

// want calls and insists on a status.
func (tn *tenant) want(status int, method, path string, body any, header ...string) answer {
	tn.t.Helper()
	a := tn.call(method, path, body, header...)
	if a.status != status {
		tn.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.text)
	}
	return a
}

// validate checks an answer against the operation the request belongs to.
func validate(t *testing.T, req *http.Request, a answer) {
	t.Helper()
	if err := breaks(loadSpecOf(t, req.URL.Path), req, a); err != nil {
		t.Errorf("%s %s: answer breaks the schema: %.1500s", req.Method, req.URL.Path, err)
	}
}

// breaks tells how an answer breaks the schema, if it does.
func breaks(doc *openapi3.T, req *http.Request, a answer) error {
	path := strings.TrimPrefix(req.URL.Path, "/v1.0")
	template, item := operationPath(doc, path)
	if item == nil || item.GetOperation(req.Method) == nil {
		return nil // no such operation: the answer can only be an error
	}
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		_, err := strconv.Atoi(a.text)
		return err
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: &routers.Route{
			Spec: doc, Path: template, PathItem: item, Method: req.Method, Operation: item.GetOperation(req.Method)}},
		Status: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.text)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	return openapi3filter.ValidateResponse(req.Context(), input)
}

// operationPath finds the template of a path; fixed segments win over captured ones.
func operationPath(doc *openapi3.T, path string) (string, *openapi3.PathItem) {
	path = strings.ReplaceAll(path, "microsoft.graph.security.", "")
	segments := strings.Split(path, "/")
	best, bestFixed := "", -1
	for _, template := range doc.Paths.InMatchingOrder() {
		parts := strings.Split(template, "/")
		fixed := 0
		for i, part := range parts {
			switch {
			case len(parts) != len(segments):
				fixed = -1000
			case strings.HasPrefix(part, "{"):
			case strings.EqualFold(part, segments[i]):
				fixed++
			default:
				fixed = -1000
			}
		}
		if fixed > bestFixed {
			best, bestFixed = template, fixed
		}
	}
	return best, doc.Paths.Value(best)
}

func (a answer) rows(t *testing.T) []map[string]any {
	t.Helper()
	list, ok := a.body["value"].([]any)
	if !ok {
		t.Fatalf("no value in %s", a.text)
	}
	out := make([]map[string]any, len(list))
	for i, v := range list {
		out[i] = v.(map[string]any)
	}
	return out
}

func (a answer) ids(t *testing.T) []string {
	t.Helper()
	var ids []string
	for _, row := range a.rows(t) {
		ids = append(ids, row["id"].(string))
	}
	return ids
}

func (a answer) next() string {
	link, _ := a.body["@odata.nextLink"].(string)
	return link
}

func (a answer) errorCode(t *testing.T) string {
	t.Helper()
	e, ok := a.body["error"].(map[string]any)
	if !ok {
		t.Fatalf("no error object in %s", a.text)
	}
	return e["code"].(string)
}

// q escapes a query option's value.
func q(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// someAlerts makes plain alerts a1, a2, ... one minute apart, each its own incident 1, 2, ...
func someAlerts(n int) simulator.Documents {
	var docs simulator.Documents
	for i := 1; i <= n; i++ {
		stamp := fmt.Sprintf("2026-11-22T%02d:%02d:00Z", 1+i/60, i%60)
		docs.Alerts = append(docs.Alerts, simulator.Document{
			"id": fmt.Sprintf("a%d", i), "incidentId": fmt.Sprint(i), "title": fmt.Sprintf("Alert %d", i), "status": "new",
			"severity": []string{"low", "medium", "high"}[i%3], "serviceSource": "microsoftDefenderForEndpoint",
			"createdDateTime": stamp, "lastUpdateDateTime": stamp, "comments": []any{}, "evidence": []any{}, "assignedTo": nil,
		})
	}
	return docs
}

// claimsOf is what a token says, as JSON.
func claimsOf(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
