package simulator_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/playbookd/playbookd/graph/simulator"
)

func TestLoadReadsEveryFormOfExport(t *testing.T) {
	t.Parallel()
	const alert, incident = `{"id":"a","title":"x","x":1}`, `{"id":"7","displayName":"y"}`
	for name, c := range map[string]struct {
		input             string
		alerts, incidents int
	}{
		"list answer":       {`{"@odata.context":"x","value":[` + alert + `]}`, 1, 0},
		"array":             {`[` + alert + `,` + incident + `]`, 1, 1},
		"single":            {alert, 1, 0},
		"lines":             {alert + "\n" + incident + "\n\n" + `{"id":"b","title":"x"}` + "\n", 2, 1},
		"pages in sequence": {`{"value":[` + alert + `],"@odata.nextLink":"n"}{"value":[` + incident + `]}`, 1, 1},
		"byte order mark":   {"\xef\xbb\xbf" + alert, 1, 0},
		"empty list":        {`{"@odata.context":"c/$metadata#security/alerts_v2","value":[]}`, 0, 0},
		"repeated":          {alert + alert, 1, 0},
		"by type":           {`{"id":"q","@odata.type":"#microsoft.graph.security.incident"}`, 0, 1},
		"by context":        {`{"@odata.context":"h/$metadata#security/alerts_v2(id)","value":[{"id":"q"}]}`, 1, 0},
		"expanded":          {`{"id":"7","displayName":"y","alerts":[` + alert + `]}`, 1, 1},
		"expanded unnamed":  {`{"id":"7","displayName":"y","alerts":[{"id":"z"}]}`, 1, 1},
	} {
		docs, err := simulator.Load(strings.NewReader(c.input))
		if err != nil || len(docs.Alerts) != c.alerts || len(docs.Incidents) != c.incidents {
			t.Errorf("%s: %d alerts, %d incidents, %v", name, len(docs.Alerts), len(docs.Incidents), err)
		}
	}
}

func TestLoadErrorsNameTheLineAndTheMend(t *testing.T) {
	t.Parallel()
	for input, want := range map[string][]string{
		"":                                  {"empty"},
		"{\n\"id\":\"a\",\n}":               {"line 3", "offset 0", "repair"},
		"{\"id\":\"a\",\"title\":\"x\"}\n7": {"line 2", "neither an object nor a list"},
		"[{\"id\":\"a\",\"title\":\"x\"},\n{\"title\":\"x\"}]":                             {"the value[1]", "id is missing"},
		`{"value":[{"id":1,"title":"x"}]}`:                                                 {"the value.value[0]", "id is missing or not text"},
		`{"id":"a"}`:                                                                       {"neither an alert nor an incident", "@odata.type"},
		`{"error":{"code":"x"}}`:                                                           {"error answer"},
		`{"Id":"a","Title":"x"}`:                                                           {"capitals", "OutputType Json"},
		`{"id":"a","title":"x","vendorInformation":{}}`:                                    {"legacy", "alerts_v2"},
		`{"id":"a","title":"x","createdDateTime":"22.11.2026"}`:                            {"createdDateTime", "write it like"},
		`{"id":"a","title":"x","lastUpdateDateTime":7}`:                                    {"lastUpdateDateTime"},
		`{"id":"7","displayName":"y","alerts":[7]}`:                                        {"alerts[0] is not an object"},
		`{"@odata.context":"#security/alerts_v2('a')/comments","value":[{"comment":"x"}]}`: {"neither an alert"},
		"\xff\xfe{\x00":                                                                    {"UTF-16", "utf8"},
	} {
		_, err := simulator.Load(strings.NewReader(input))
		for _, part := range want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %v, want %q in it", input, err, part)
			}
		}
	}
	broken := errors.New("disk gone")
	if _, err := simulator.Load(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a reader's error is lost: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(`{"value":[{"id":"a","title":"x","incidentId":"3","evidence":[{}]}]}`)
	f.Add(`{"id":"7","displayName":"y","alerts":[{"id":"z"}]}` + "\n[]")
	f.Fuzz(func(t *testing.T, input string) {
		docs, err := simulator.Load(strings.NewReader(input))
		if err != nil {
			return
		}
		s, err := simulator.New(simulator.Options{Documents: docs})
		if err != nil {
			t.Fatalf("loaded documents are refused: %v", err)
		}
		for _, want := range docs.Alerts {
			if s.Alert(want["id"].(string)) == nil {
				t.Errorf("alert %v is lost", want["id"])
			}
		}
	})
}

func TestOptionsThatCannotWorkAreRefusedWithTheMend(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]simulator.Options{
		"alerts is -1":        {Alerts: -1},
		"alerts is 100001":    {Alerts: simulator.MaxAlerts + 1},
		"share is 2":          {Late: simulator.Late{Share: 2}},
		"span is -1s":         {Span: -1e9},
		"page size is 1001":   {PageSize: 1001},
		"page size is -1":     {PageSize: -1},
		"throttle":            {ThrottlePerMinute: -1},
		"client 2":            {Clients: []simulator.Client{{ID: "a"}, {ID: "A"}}},
		"client 1":            {Clients: []simulator.Client{{}}},
		"fault 1":             {Faults: []simulator.Fault{{}}},
		"forbidden is":        {Behaviour: simulator.Behaviour{Forbidden: "x"}},
		"emptied incident is": {Behaviour: simulator.Behaviour{EmptiedIncident: "x"}},
		"survivor is":         {Behaviour: simulator.Behaviour{MergeSurvivor: "x"}},
		"empty page every":    {Behaviour: simulator.Behaviour{EmptyPageEvery: 1}},
		"short page every":    {Behaviour: simulator.Behaviour{ShortPageEvery: -1}},
		"max top is 1001":     {Behaviour: simulator.Behaviour{MaxTop: 1001}},
		"alert 1":             {Documents: simulator.Documents{Alerts: []simulator.Document{{"title": "x"}}}},
		"incident 1":          {Documents: simulator.Documents{Incidents: []simulator.Document{nil}}},
		"JSON values only":    {Documents: simulator.Documents{Incidents: []simulator.Document{{"id": "x", "f": func() {}}}}},
	} {
		if _, err := simulator.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}
