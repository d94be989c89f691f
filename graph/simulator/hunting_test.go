package simulator_test

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/graph/simulator"
)

func logons() simulator.Hunting {
	return simulator.Hunting{Answers: []simulator.HuntingAnswer{
		{Query: "devicelogonevents", CPU: time.Minute, Rows: []simulator.Document{
			{"DeviceName": "ws-1", "LogonCount": 3, "LogonCount@odata.type": "#Int64"}, {"DeviceName": "ws-2", "LogonCount": 1}}},
		{Query: "NoSuchTable", Error: "'take' operator: Failed to resolve table or column expression named 'NoSuchTable'. Fix semantic errors in your query."},
		{Query: "Described", Schema: []simulator.Column{{Name: "A", Type: "DateTime"}}},
	}}
}

func TestAHuntingQueryIsAnsweredByTheRuleThatFitsIt(t *testing.T) {
	t.Parallel()
	tn := open(t, simulator.Options{Hunting: logons()})
	a := tn.want(200, "POST", "/security/runHuntingQuery", `{"Query":"DeviceLogonEvents | take 2","Timespan":"P7D"}`)
	rows, _ := a.body["results"].([]any)
	columns, _ := a.body["schema"].([]any)
	if len(rows) != 2 || rows[0].(map[string]any)["DeviceName"] != "ws-1" || len(columns) != 2 || columns[1].(map[string]any)["type"] != "Int64" {
		t.Errorf("answer: %s", a.text)
	}
	if a := tn.want(200, "POST", "/security/runHuntingQuery", `{"query":"Described"}`); !strings.Contains(a.text, `"type":"DateTime"`) {
		t.Errorf("answer: %s", a.text)
	}
	for _, body := range []string{`{"Query":"Unheard | take 1"}`, `{"Query":"x","workspaceId":"00000000-0000-0000-0000-000000000000"}`} {
		a := tn.want(200, "POST", "/security/microsoft.graph.security.runHuntingQuery", body)
		if rows, ok := a.body["results"].([]any); !ok || len(rows) != 0 {
			t.Errorf("%s: %s", body, a.text)
		}
	}
	bad := tn.want(400, "POST", "/security/runHuntingQuery", `{"Query":"NoSuchTable"}`)
	if bad.errorCode(t) != "BadRequest" || !strings.Contains(bad.text, "Fix semantic errors") {
		t.Errorf("answer: %s", bad.text)
	}
	if len(tn.Effects()) != 0 {
		t.Error("a query left an effect")
	}
}

func TestTheSamplesOfHuntingAreUnderstood(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{})
	for _, name := range []string{"runHuntingQuery.request.json", "runHuntingQuery.timespan.request.json"} {
		data, err := os.ReadFile("../../testdata/graph/samples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		tn.want(200, "POST", "/security/runHuntingQuery", string(data))
	}
}

func TestAHuntingQueryThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{})
	for _, body := range []string{`{}`, `{"Query":" "}`, `{"Query":7}`, `{"Query":"x","odd":1}`, `"x"`,
		`{"Query":"x","Timespan":"a week"}`, `{"Query":"x","Timespan":"P"}`, `{"Query":"x","Timespan":"P1D/P1D"}`, `{"Query":"x","Timespan":"P1D/2026-01-01/2026-01-02"}`} {
		tn.want(400, "POST", "/security/runHuntingQuery", body)
	}
	for _, span := range []string{"P30D", "PT36H", "P1W", "2026-11-01T00:00:00Z/2026-11-02T00:00:00Z", "2026-11-01/P1D", "P1D/2026-11-01T00:00:00Z", "2026-11-01"} {
		tn.want(200, "POST", "/security/runHuntingQuery", map[string]any{"Query": "x", "Timespan": span})
	}
}

func TestHuntingHasQuotasOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := logons()
		h.PerMinute, h.CPU = 3, 2*time.Minute
		tn := inProcess(t, simulator.Options{Hunting: h})
		ask := func(status int, query string) answer {
			return tn.want(status, "POST", "/security/runHuntingQuery", map[string]any{"Query": query})
		}
		for range 3 {
			ask(200, "cheap")
		}
		if a := ask(429, "cheap"); a.header.Get("Retry-After") != "60" || a.errorCode(t) != "TooManyRequests" {
			t.Errorf("beyond the quota of queries: %v %s", a.header, a.text)
		}
		tn.want(200, "GET", "/security/alerts_v2", nil) // alerts have another
		time.Sleep(time.Minute)
		ask(200, "DeviceLogonEvents")
		ask(200, "DeviceLogonEvents")
		if a := ask(429, "cheap"); a.header.Get("Retry-After") != "840" { // the quarter began with the first query
			t.Errorf("beyond the quota of computing: %v %s", a.header, a.text)
		}
		time.Sleep(14 * time.Minute)
		ask(200, "cheap")
	})
}

func TestHuntingAnswersAreReadFromAFile(t *testing.T) {
	t.Parallel()
	answers, err := simulator.ParseHunting(strings.NewReader(`[{"query":"x","rows":[{"n":12345678901234567890}],"cpu":"2s"},{"query":"y","error":"no"}]`))
	if err != nil || len(answers) != 2 || answers[0].CPU != 2*time.Second || answers[1].Error != "no" {
		t.Fatalf("read %+v, %v", answers, err)
	}
	tn := inProcess(t, simulator.Options{Hunting: simulator.Hunting{Answers: answers}})
	if a := tn.want(200, "POST", "/security/runHuntingQuery", `{"Query":"x"}`); !strings.Contains(a.text, "12345678901234567890") {
		t.Errorf("a number lost its digits: %s", a.text)
	}
	for _, bad := range []string{`{}`, `[{"q":1}]`, `[{"query":"x","cpu":"soon"}]`, `[{"query":"x","cpu":"-1s"}]`, `[{"query":"x","error":"no","rows":[{}]}]`, ``, `[`,
		`[` + strings.Repeat(`{"query":"x"},`, simulator.MaxAnswers) + `{"query":"x"}]`} {
		if _, err := simulator.ParseHunting(strings.NewReader(bad)); err == nil {
			t.Errorf("%.40s was accepted", bad)
		}
	}
	if _, err := simulator.ParseHunting(strings.NewReader(strings.Repeat(" ", simulator.MaxHuntingBytes) + "[]")); err == nil {
		t.Error("a file beyond the limit was accepted")
	}
	for _, h := range []simulator.Hunting{{PerMinute: -1}, {CPU: -1}, {Answers: []simulator.HuntingAnswer{{Rows: make([]simulator.Document, simulator.MaxHuntingRows+1)}}}} {
		if _, err := simulator.New(simulator.Options{Hunting: h}); err == nil {
			t.Error("a setting that can't be was accepted")
		}
	}
}
