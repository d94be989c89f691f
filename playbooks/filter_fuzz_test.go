package playbooks

import (
	"bytes"
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
	"github.com/playbookd/playbookd/graph/simulator/odata"
	"github.com/playbookd/playbookd/internal/killer"
	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/playbooks/schema"
)

// object is one alert or incident, as the simulator holds it and as expressions see it.
type object struct {
	raw  map[string]any
	here any
}

// elsewhere is the simulator with its alerts and incidents.
type elsewhere struct {
	server *simulator.Server
	token  string
	all    map[string][]object // by resource
}

func newElsewhere(t testing.TB) *elsewhere {
	docs := simulator.Generate(simulator.Generation{Seed: 7, Start: time.Date(2026, 11, 23, 9, 0, 0, 123456700, time.UTC), Alerts: 45})
	text, err := os.ReadFile(filepath.Join("..", "testdata", "graph", "samples", "alerts_v2.list.response.json"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := simulator.Load(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	docs.Alerts = append(docs.Alerts, more.Alerts...)
	s, err := simulator.New(simulator.Options{Documents: docs})
	if err != nil {
		t.Fatal(err)
	}
	e := &elsewhere{server: s, all: map[string][]object{}}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {simulator.DefaultClient},
		"client_secret": {simulator.DefaultSecret}, "scope": {"https://graph.microsoft.com/.default"}}
	var answer struct {
		Token string `json:"access_token"`
	}
	w := e.send("POST", "/"+simulator.DefaultTenant+"/oauth2/v2.0/token", form.Encode())
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Token == "" {
		t.Fatalf("no token: %s", w.Body)
	}
	e.token = answer.Token
	e.fill(t, alertsResource, s.Alerts(), schema.Alert())
	e.fill(t, incidentsResource, s.Incidents(), schema.Incident())
	return e
}

func (e *elsewhere) fill(t testing.TB, resource string, docs []simulator.Document, typ expression.Type) {
	for _, doc := range docs {
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		v, err := expression.Decode(text, typ)
		if err != nil {
			t.Fatal(err)
		}
		e.all[resource] = append(e.all[resource], object{raw: doc, here: v})
	}
	if len(e.all[resource]) < 5 {
		t.Fatalf("only %d %s", len(e.all[resource]), resource)
	}
}

func (e *elsewhere) send(method, address, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://graph.microsoft.com"+address, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+e.token)
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	e.server.Handler().ServeHTTP(w, r)
	return w
}

// listed asks the simulator for the objects that pass a filter. ok is false if it refuses the filter.
func (e *elsewhere) listed(t testing.TB, resource, filter string) (ids map[string]bool, ok bool) {
	path := map[string]string{alertsResource: "/v1.0/security/alerts_v2", incidentsResource: "/v1.0/security/incidents"}[resource]
	ids = map[string]bool{}
	for next := path + "?$top=50&$filter=" + url.QueryEscape(filter); next != ""; {
		w := e.send("GET", next, "")
		if w.Code != http.StatusOK {
			return nil, false
		}
		var page struct {
			Value []struct{ ID string }
			Next  string `json:"@odata.nextLink"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Value {
			ids[v.ID] = true
		}
		next = strings.TrimPrefix(page.Next, "https://graph.microsoft.com")
	}
	return ids, true
}

// FuzzFilter holds the reader of filters to its promises for any text: it does not panic, a problem lies within the
// text, what it accepts compiles, and then the service answers it and chooses the same objects as the expression does:
// a filter is sent to Graph and evaluated here too, and an alert that only one of the two chooses would be lost.
//
// The two sides share no code. The other way round nothing is promised: much that OData can say is refused here.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{"severity eq 'high'", "not (status in ('new', 'resolved'))", "createdDateTime ge 2026-01-01T00:00:00Z", "a eq 'x", "((", "ü eq 1",
		"assignedTo eq null", "assignedTo ne 'O''Brien'", "not severity eq 'low' or status eq 'new' and severity eq 'medium'", "determination in (null, 'malware')",
		"lastUpdateDateTime lt 2026-11-22T09:00:00.1234567+01:00", "createdDateTime ne 2026-11-20T08:07:06Z and (severity ne 'low')",
		"not not severity eq 'low'", "severity\teq\n'high'", "assignedTo eq ' two  blanks\n'", "assignedTo\r\n eq 'It''s  me' \n", "serviceSource eq 'microsoftDefenderForEndpoint'", "classification eq null or classification ne null"} {
		f.Add(text, false)
		f.Add(text, true)
	}
	for _, k := range killer.Filters() {
		f.Add(k.Text, false)
	}
	there := newElsewhere(f)
	subjects := map[string]string{alertsResource: alertSubject, incidentsResource: incidentSubject}
	types := map[string]expression.Type{alertsResource: schema.Alert(), incidentsResource: schema.Incident()}
	f.Fuzz(func(t *testing.T, text string, incidents bool) {
		resource := map[bool]string{false: alertsResource, true: incidentsResource}[incidents]
		if len(text) > MaxFilterLength {
			return
		}
		source, problems := translateFilter(text, resource, subjects[resource])
		for _, p := range problems {
			if p.offset < 0 || p.offset > len(text) || p.length < 1 || p.message == "" || p.mend == "" {
				t.Fatalf("odd problem: %+v", p)
			}
		}
		if len(problems) > 0 || len(source) > expression.MaxSource {
			return
		}
		env := &expression.Env{Vars: map[string]expression.Type{subjects[resource]: types[resource]}}
		p, problem := expression.Compile(source, env, expression.WantBool)
		if problem != nil {
			t.Fatalf("%q became %q: %v", text, source, problem)
		}
		sent := oneLine(text)
		filter, err := odata.Parse(sent)
		if err != nil {
			t.Fatalf("%q is accepted here and refused there: %v", sent, err)
		}
		listed, ok := there.listed(t, resource, sent)
		if !ok {
			t.Fatalf("%q is accepted here and refused by the service", sent)
		}
		for _, o := range there.all[resource] {
			here, err := p.Bool(map[string]any{subjects[resource]: o.here}, time.Time{})
			if err != nil {
				t.Fatalf("%q became %q: %v", text, source, err)
			}
			id := o.raw["id"].(string)
			if there := filter.Match(o.raw); here != there || here != listed[id] {
				t.Fatalf("%q became %q, which is %v for %s; OData says %v, and the service lists it: %v", text, source, here, id, there, listed[id])
			}
		}
	})
}
