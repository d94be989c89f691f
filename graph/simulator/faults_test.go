package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/graph/simulator"
)

func TestAFaultBeforeTheEffectLeavesNoEffect(t *testing.T) {
	t.Parallel()
	for _, start := range []func(*testing.T, simulator.Options) *tenant{open, inProcess} {
		tn := start(t, simulator.Options{Documents: someAlerts(1), Faults: []simulator.Fault{
			{Method: "PATCH", Path: "/security/alerts_v2/*", Status: 503, RetryAfter: "7"},
			{Method: "POST", Path: "/security/**", Drop: true},
		}})
		a := tn.want(503, "PATCH", "/security/alerts_v2/a1", `{"status":"resolved"}`)
		if a.header.Get("Retry-After") != "7" || a.errorCode(t) != "ServiceUnavailable" {
			t.Errorf("fault answer: %v %s", a.header, a.text)
		}
		if _, err := tn.send(tn.request("POST", "/security/alerts_v2/a1/comments", `{"comment":"x"}`)); err == nil {
			t.Error("the connection was not dropped")
		}
		if len(tn.Effects()) != 0 || tn.Alert("a1")["status"] != "new" {
			t.Error("a fault before the effect let the effect through")
		}
		tn.want(200, "PATCH", "/security/alerts_v2/a1", `{"status":"resolved"}`) // once only
	}
}

func TestAFaultAfterTheEffectLosesOnlyTheAnswer(t *testing.T) {
	t.Parallel()
	for _, start := range []func(*testing.T, simulator.Options) *tenant{open, inProcess} {
		tn := start(t, simulator.Options{Documents: someAlerts(2), Faults: []simulator.Fault{
			{Method: "POST", Path: "/security/alerts_v2/*/comments", Drop: true, When: simulator.After},
			{Method: "POST", Path: "/security/alerts_v2/moveAlerts", Status: 504, When: simulator.After},
		}})
		if _, err := tn.send(tn.request("POST", "/security/alerts_v2/a1/comments", `{"comment":"x"}`)); err == nil {
			t.Error("the connection was not dropped")
		}
		tn.want(504, "POST", "/security/alerts_v2/moveAlerts", `{"alertIds":["a1"]}`)
		effects := tn.Effects()
		if len(effects) != 2 || effects[0].Op != simulator.OpAlertComment || effects[1].Answer["targetIncidentId"] != "3" {
			t.Errorf("effects: %+v", effects)
		}
		if tn.Alert("a1")["incidentId"] != "3" || len(tn.Alert("a1")["comments"].([]any)) != 1 {
			t.Error("the effects did not happen")
		}
	}
}

func TestFaultsCountTheirRequests(t *testing.T) {
	t.Parallel()
	cases := []struct {
		fault simulator.Fault
		want  string // one letter for each of eight requests: x struck
	}{
		{simulator.Fault{}, "x......."},
		{simulator.Fault{Times: 3}, "xxx....."},
		{simulator.Fault{Times: -1}, "xxxxxxxx"},
		{simulator.Fault{After: 2}, "..x....."},
		{simulator.Fault{After: 1, Every: 3, Times: -1}, "...x..x."},
		{simulator.Fault{Every: 2, Times: 2}, ".x.x...."},
		{simulator.Fault{Query: "$top=5", Times: -1}, "...x...x"},
		{simulator.Fault{Method: "POST", Times: -1}, "........"},
	}
	for _, c := range cases {
		c.fault.Path, c.fault.Status = "/Security/Alerts_v2", 500
		tn := inProcess(t, simulator.Options{Faults: []simulator.Fault{c.fault}})
		got := ""
		for i := range 8 {
			path := "/security/alerts_v2"
			if i%4 == 3 {
				path += "?$top=5"
			}
			got += map[bool]string{true: "x", false: "."}[tn.call("GET", path, nil).status == 500]
		}
		if got != c.want {
			t.Errorf("%+v: %s, want %s", c.fault, got, c.want)
		}
	}
}

func TestAnOvertakenFaultKeepsItsTurn(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{})
	if err := tn.Inject(simulator.Fault{Path: "**", Status: 500}, simulator.Fault{Path: "**", Status: 503}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{500, 503, 200} {
		tn.want(want, "GET", "/security/incidents", nil)
	}
	if err := tn.Inject(simulator.Fault{Path: "/x"}); err == nil {
		t.Error("a fault without consequence was accepted")
	}
	var log []int
	for _, r := range tn.Requests()[1:] {
		log = append(log, r.Status)
	}
	equal(t, "request log", []int{500, 503, 200}, log)
}

func TestDelaysEndWithTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tn := inProcess(t, simulator.Options{Documents: someAlerts(1), Faults: []simulator.Fault{
			{Path: "/security/alerts_v2/a1", Delay: time.Hour, Times: -1},
			{Path: "/security/incidents", Delay: 3 * time.Second},
		}})
		start := time.Now()
		tn.want(200, "GET", "/security/incidents", nil)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("delayed by %s of simulated time", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req := tn.request("PATCH", "/security/alerts_v2/a1", `{"status":"resolved"}`).WithContext(ctx)
		if _, err := tn.send(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a cancelled request ends with %v", err)
		}
		if len(tn.Effects()) != 0 {
			t.Error("a request given up during the delay had an effect")
		}
	})
}

func TestTokenEndpointFaults(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{})
	token := "/*/oauth2/v2.0/token"
	if err := tn.Inject(simulator.Fault{Path: token, Status: 401, Code: "7000222"}, simulator.Fault{Path: token, Status: 429, RetryAfter: "3"},
		simulator.Fault{Path: token, Status: 503}, simulator.Fault{Path: token, Drop: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		status int
		code   string
		number string
	}{{401, "invalid_client", "7000222"}, {429, "invalid_request", "90055"}, {503, "temporarily_unavailable", "90033"}} {
		a := tn.askToken(secretForm())
		if a.status != want.status || a.body["error"] != want.code || fmt.Sprint(a.body["error_codes"]) != "["+want.number+"]" {
			t.Errorf("token fault: %d %s", a.status, a.text)
		}
	}
	res, err := tn.http.PostForm(tn.base+"/"+simulator.DefaultTenant+"/oauth2/v2.0/token", secretForm())
	if err == nil {
		res.Body.Close()
		t.Error("the token answer was not dropped")
	}
}

func TestFaultFilesAreRead(t *testing.T) {
	t.Parallel()
	got, err := simulator.ParseFaults(strings.NewReader(`[
		{"method":"post","path":"/security/**","query":"x","after":1,"every":2,"times":-1,"status":503,"code":"c","retryAfter":"2.5","delay":"1.5s","when":"after"},
		{"path":"**","drop":true}]`))
	if err != nil {
		t.Fatal(err)
	}
	want := []simulator.Fault{
		{Method: "POST", Path: "/security/**", Query: "x", After: 1, Every: 2, Times: -1, Status: 503, Code: "c", RetryAfter: "2.5", Delay: 1500 * time.Millisecond, When: "after"},
		{Path: "**", Drop: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFaultFileErrorsNameTheFieldAndTheMend(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]string{
		``: "JSON array", `{}`: "JSON array", "[\n{,}]": "line 2", `[3]`: "fault 1",
		`[{"path":"/x","status":503},{"status":503}]`:            "fault 2: path",
		`[{"path":"x","status":503}]`:                            "slash",
		`[{"path":"/x","stauts":503}]`:                           `unknown field "stauts"`,
		`[{"path":"/x","status":"503"}]`:                         `field "status" must be a int`,
		`[{"path":"/x","status":200}]`:                           "400 to 599",
		`[{"path":"/x"}]`:                                        "nothing would happen",
		`[{"path":"/x","status":503,"drop":true}]`:               "keep one",
		`[{"path":"/x","drop":true,"code":"c"}]`:                 "set status too",
		`[{"path":"/x","status":503,"delay":"5"}]`:               "duration",
		`[{"path":"/x","status":503,"delay":"-5s"}]`:             "delay is -5s",
		`[{"path":"/x","delay":"24h1s"}]`:                        "delay is 24h",
		`[{"path":"/x","status":503,"when":"later"}]`:            "when is",
		`[{"path":"/x","status":503,"times":-2}]`:                "times is -2",
		`[{"path":"/x","status":503,"after":-1}]`:                "after is -1",
		`[{"path":"/x","status":503,"every":-1}]`:                "every is -1",
		`[{"path":"/x","status":503,"retryAfter":"1\r\nX: y"}]`:  "line break",
		strings.Repeat(" ", simulator.MaxFaultBytes+1):           "larger",
		"[" + strings.Repeat("{},", simulator.MaxFaults) + "{}]": "1001 entries",
	} {
		if _, err := simulator.ParseFaults(strings.NewReader(input)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q in it", input, err, want)
		}
	}
	atLimit := "[" + strings.Repeat(`{"path":"/x","delay":"24h"},`, simulator.MaxFaults-1) + `{"path":"/x","drop":true}]`
	if _, err := simulator.ParseFaults(strings.NewReader(atLimit)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

func TestGlobsStayWithinTheirSegment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"/a/*", "/a/b", true}, {"/a/*", "/a/b/c", false}, {"/a/**", "/a/b/c", true}, {"**", "", true}, {"**", "/x/y", true},
		{"/a/*/c", "/a/b/c", true}, {"/a/b", "/a/bc", false}, {"/a*c", "/abbc", true}, {"*", "/a", false}, {"/**/c", "/a/b/c", true}, {"", "", true}, {"", "x", false},
	} {
		if got := simulator.Glob(c.pattern, c.text); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.text, got)
		}
	}
}

func FuzzParseFaults(f *testing.F) {
	f.Add(`[{"path":"/x","status":503,"delay":"1s"}]`)
	f.Add(`[{"path":"**","drop":true,"times":-1}]`)
	f.Fuzz(func(t *testing.T, input string) {
		faults, err := simulator.ParseFaults(strings.NewReader(input))
		if err != nil {
			return
		}
		if _, err := simulator.New(simulator.Options{Faults: faults}); err != nil {
			t.Errorf("parsed faults are refused: %v", err)
		}
	})
}

func TestListenersEndAndLogNothingSecret(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s, err := simulator.New(simulator.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	res, err := l.Client().PostForm(l.URL+"/"+simulator.DefaultTenant+"/oauth2/v2.0/token", secretForm())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Client().Get(l.URL); err == nil {
		t.Error("a closed simulator answers")
	}
	if strings.Contains(log.String(), simulator.DefaultSecret) || strings.Contains(log.String(), string(body[:60])) || !strings.Contains(log.String(), "oauth2") {
		t.Errorf("log: %s", log.String())
	}
	if _, err := s.Start("127.0.0.1:99999"); err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("an impossible address: %v", err)
	}
}
