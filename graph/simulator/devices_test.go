package simulator_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/graph/simulator"
)

// machines makes machines m1, m2, … beside one alert.
func machines(n int) simulator.Documents {
	docs := someAlerts(1)
	for i := 1; i <= n; i++ {
		docs.Machines = append(docs.Machines, simulator.Document{"id": fmt.Sprintf("m%d", i), "computerDnsName": fmt.Sprintf("ws-%d.contoso.example", i),
			"healthStatus": "Active", "firstSeen": fmt.Sprintf("2026-01-%02dT00:00:00Z", i), "fieldOfTomorrow": map[string]any{"a": 1}})
	}
	return docs
}

const isolateFull = `{"Comment":"from a test","IsolationType":"Full"}`

func TestEveryRouteOfDefenderAnswersInTheShapeOfItsDescription(t *testing.T) {
	t.Parallel()
	tn := open(t, simulator.Options{Seed: 3, Alerts: 60})
	list := tn.want(200, "GET", "/api/machines", nil).rows(t)
	if len(list) == 0 {
		t.Fatal("the devices in the evidence of the alerts are no machines")
	}
	machine := "/api/machines/" + list[0]["id"].(string)
	tn.want(200, "GET", machine, nil)
	for _, body := range []string{isolateFull, `{"Comment":"x"}`} {
		path := machine + "/isolate"
		if !strings.Contains(body, "Isolation") {
			path = machine + "/unisolate"
		}
		a := tn.want(201, "POST", path, body)
		tn.want(200, "GET", "/api/machineactions/"+a.body["id"].(string), nil)
	}
	if n := len(tn.want(200, "GET", "/api/machineactions", nil).rows(t)); n != 2 {
		t.Errorf("%d machine actions are listed, want 2", n)
	}
}

func TestEveryErrorOfDefenderHasItsOwnShape(t *testing.T) {
	t.Parallel()
	tn := open(t, simulator.Options{Documents: machines(2), Mode: simulator.Strict})
	tn.want(201, "POST", "/api/machines/m2/isolate", isolateFull)
	for _, c := range []struct {
		status       int
		code         string
		method, path string
		body         any
		header       []string
	}{
		{400, "BadRequest", "POST", "/api/machines/m1/isolate", `{"IsolationType":"Full"}`, nil},
		{400, "BadRequest", "POST", "/api/machines/m1/isolate", `{"Comment":" ","IsolationType":"Full"}`, nil},
		{400, "BadRequest", "POST", "/api/machines/m1/isolate", `{"Comment":"x","IsolationType":"full"}`, nil},
		{400, "BadRequest", "POST", "/api/machines/m1/isolate", `{"Comment":"x"}`, nil},
		{400, "BadRequest", "POST", "/api/machines/m1/unisolate", `[]`, nil},
		{400, "ActiveRequestAlreadyExists", "POST", "/api/machines/m2/isolate", isolateFull, nil},
		{400, "BadRequest", "GET", "/api/machineactions?$filter=" + q("requestorComment eq 'x'"), nil, nil},
		{400, "BadRequest", "GET", "/api/machineactions?$top=10001", nil, nil},
		{401, "Unauthorized", "GET", "/api/machines", nil, []string{"Authorization", "Bearer " + tn.token}},
		{401, "Unauthorized", "GET", "/api/machines", nil, []string{"Authorization", ""}},
		{404, "ResourceNotFound", "GET", "/api/machines/none", nil, nil},
		{404, "ResourceNotFound", "POST", "/api/machines/none/isolate", isolateFull, nil},
		{404, "ResourceNotFound", "GET", "/api/machineactions/none", nil, nil},
		{404, "ResourceNotFound", "GET", "/api/nonsense", nil, nil},
		{405, "MethodNotAllowed", "DELETE", "/api/machines/m1", nil, nil},
		{415, "UnsupportedMediaType", "POST", "/api/machines/m1/isolate", isolateFull, []string{"Content-Type", "text/plain"}},
	} {
		a := tn.want(c.status, c.method, c.path, c.body, c.header...)
		if got := a.errorCode(t); got != c.code {
			t.Errorf("%s %s: code %q, want %q", c.method, c.path, got, c.code)
		}
		if e := a.body["error"].(map[string]any); e["target"] != a.header.Get("request-id") || e["innerError"] != nil {
			t.Errorf("%s %s: %s", c.method, c.path, a.text)
		}
	}
	if n := len(tn.Effects()); n != 1 {
		t.Errorf("refused requests left effects: %d", n)
	}
	tn.want(400, "GET", tn.base+"/v1.0/api/machines", nil) // it is no part of Graph
}

func TestATokenIsGoodForOneServiceAndCarriesItsRolesOnly(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: machines(1)})
	for scope, want := range map[string]int{"https://api.securitycenter.microsoft.com/.default": 200, "https://api.security.microsoft.com/.default": 200,
		"https://api-gov.securitycenter.microsoft.us/.default": 200, "fc780465-2017-40d4-a0c5-307022471b92/.default": 200,
		"https://graph.microsoft.com/.default": 401} {
		form := secretForm()
		form.Set("scope", scope)
		tn.defenderToken, _ = tn.askToken(form).body["access_token"].(string)
		if a := tn.call("GET", "/api/machines", nil); a.status != want {
			t.Errorf("%s: %d %s", scope, a.status, a.text)
		}
	}
	tn.defenderToken = ""
	for token, want := range map[string][2]bool{tn.token: {true, false}, tn.tokenOfDefender(): {false, true}} {
		claims := claimsOf(t, token)
		if got := [2]bool{strings.Contains(claims, "SecurityAlert.ReadWrite.All"), strings.Contains(claims, "Machine.Isolate")}; got != want {
			t.Errorf("roles of Graph and of Defender are there: %v, want %v: %s", got, want, claims)
		}
	}
}

func TestAMachineActionGoesThroughItsStatesAsTimePasses(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[string][]string{
		"":           {"Pending", "InProgress", "Succeeded"},
		"Failed":     {"Pending", "InProgress", "Failed"},
		"TimeOut":    {"Pending", "InProgress", "TimeOut"},
		"Cancelled":  {"Pending", "InProgress", "Cancelled"},
		"Pending":    {"Pending", "Pending", "Pending"},
		"InProgress": {"Pending", "InProgress", "InProgress"},
	} {
		devices := simulator.Devices{Pending: time.Minute, Running: time.Hour}
		if outcome != "" {
			devices.Outcomes = map[string]string{"m1": outcome}
		}
		tn := inProcess(t, simulator.Options{Documents: machines(1), Devices: devices, TokenLifetime: 24 * time.Hour})
		id := tn.want(201, "POST", "/api/machines/WS-1.contoso.example/isolate", isolateFull).body["id"].(string)
		var got []string
		var updated []string
		for _, ahead := range []time.Duration{0, time.Minute, time.Minute + time.Hour} {
			tn.SetClock(ahead + time.Second)
			a := tn.want(200, "GET", "/api/machineactions/"+id, nil)
			got = append(got, a.body["status"].(string))
			updated = append(updated, a.body["lastUpdateDateTimeUtc"].(string))
		}
		if !slices.Equal(got, want) {
			t.Errorf("outcome %q: states %v, want %v", outcome, got, want)
		}
		if !slices.IsSorted(updated) {
			t.Errorf("outcome %q: updated at %v", outcome, updated)
		}
		isolated := tn.Isolation("m1") == "Full"
		if isolated != (outcome == "") {
			t.Errorf("outcome %q: the machine is isolated: %v", outcome, isolated)
		}
	}
}

func TestOneActionOfAKindIsUnderWayForAMachine(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: machines(2), TokenLifetime: 24 * time.Hour, Devices: simulator.Devices{Pending: time.Minute, Running: time.Minute}})
	tn.want(201, "POST", "/api/machines/m1/isolate", isolateFull)
	tn.want(400, "POST", "/api/machines/m1/isolate", isolateFull)
	tn.want(201, "POST", "/api/machines/m2/isolate", isolateFull)
	tn.want(201, "POST", "/api/machines/m1/unisolate", `{"Comment":"x"}`)
	tn.SetClock(time.Hour)
	tn.want(201, "POST", "/api/machines/m1/isolate", `{"Comment":"x","IsolationType":"Selective"}`)
	tn.SetClock(2 * time.Hour)
	if got := tn.Isolation("m1"); got != "Selective" {
		t.Errorf("the machine is isolated %q", got)
	}
	tn.want(201, "POST", "/api/machines/m1/unisolate", `{"Comment":"x"}`)
	tn.SetClock(3 * time.Hour)
	if got := tn.Isolation("m1"); got != "" {
		t.Errorf("the machine is isolated %q after its release", got)
	}
	var ops []string
	for _, e := range tn.Effects() {
		ops = append(ops, e.Op+" "+e.Object)
		if e.Answer["id"] == "" || len(e.Body) == 0 || e.Client != simulator.DefaultClient {
			t.Errorf("the effect does not say all: %+v", e)
		}
	}
	want := []string{"device.isolate machines/m1", "device.isolate machines/m2", "device.release machines/m1", "device.isolate machines/m1", "device.release machines/m1"}
	if !slices.Equal(ops, want) {
		t.Errorf("effects %v, want %v", ops, want)
	}
}

func TestWhatTheDocumentationLeavesOpenOfDefenderIsAKnob(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: machines(1), Behaviour: simulator.Behaviour{ShortUpdateTime: true, ActiveRequestCode: "BadRequest"}})
	id := tn.want(201, "POST", "/api/machines/m1/isolate", isolateFull).body["id"].(string)
	if got := tn.want(400, "POST", "/api/machines/m1/isolate", isolateFull).errorCode(t); got != "BadRequest" {
		t.Errorf("a second isolation is refused with %s", got)
	}
	row := tn.want(200, "GET", "/api/machineactions", nil).rows(t)[0]
	one := tn.want(200, "GET", "/api/machineactions/"+id, nil).body
	if row["lastUpdateTimeUtc"] != one["lastUpdateDateTimeUtc"] || row["lastUpdateDateTimeUtc"] != nil {
		t.Errorf("a list says %v, one alone %v", row, one)
	}
}

func TestTheSampleOfAnIsolationIsUnderstood(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../testdata/graph/samples/mde.machines.isolate.request.json")
	if err != nil {
		t.Fatal(err)
	}
	tn := inProcess(t, simulator.Options{Documents: machines(1), TokenLifetime: 24 * time.Hour})
	a := tn.want(201, "POST", "/api/machines/m1/isolate", string(data))
	if a.body["scope"] != "Full" || a.body["requestorComment"] != "Isolate machine due to alert 1234" || a.body["type"] != "Isolate" {
		t.Errorf("began %s", a.text)
	}
	tn.SetClock(time.Hour)
	tn.want(201, "POST", "/api/machines/m1/isolate", `{"Comment":"older pages leave the type out"}`)
}

func TestAListOfDefenderIsFilteredAndReadPageByPage(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: machines(7), PageSize: 3})
	for i := range 7 {
		tn.want(201, "POST", fmt.Sprintf("/api/machines/m%d/isolate", i+1), isolateFull)
	}
	seen := map[string]bool{}
	path, pages := "/api/machineactions", 0
	for ; path != ""; pages++ {
		a := tn.want(200, "GET", path, nil)
		for _, row := range a.rows(t) {
			seen[row["machineId"].(string)] = true
		}
		path = a.next()
	}
	if len(seen) != 7 || pages != 3 {
		t.Errorf("%d machines on %d pages, want 7 on 3", len(seen), pages)
	}
	top := tn.want(200, "GET", "/api/machineactions?$top=2", nil)
	if len(top.rows(t)) != 2 || top.next() != "" {
		t.Errorf("with $top: %s", top.text)
	}
	skipped := tn.want(200, "GET", "/api/machineactions?$top=5&$skip=5", nil)
	if len(skipped.rows(t)) != 2 {
		t.Errorf("with $skip: %s", skipped.text)
	}
	for filter, want := range map[string]int{"machineId eq 'm3'": 1, "machineId eq 'm3' and type eq 'Isolate'": 1, "type eq 'Unisolate'": 0,
		"status eq 'Pending'": 7, "requestor eq '" + simulator.DefaultClient + "'": 7, "creationDateTimeUtc ge 2020-01-01T00:00:00Z": 7} {
		if got := len(tn.want(200, "GET", "/api/machineactions?$top=100&$filter="+q(filter), nil).rows(t)); got != want {
			t.Errorf("%s: %d rows, want %d", filter, got, want)
		}
	}
	if got := tn.want(200, "GET", "/api/machines?$filter="+q("computerDnsName eq 'ws-4.contoso.example'"), nil).ids(t); !slices.Equal(got, []string{"m4"}) {
		t.Errorf("machines by name: %v", got)
	}
}

func TestAMachineIsWhatTheEvidenceSaysOfIt(t *testing.T) {
	t.Parallel()
	docs := someAlerts(1)
	docs.Alerts[0]["evidence"] = []any{
		map[string]any{"@odata.type": "#microsoft.graph.security.deviceEvidence", "createdDateTime": "2026-11-22T01:00:00Z", "mdeDeviceId": "dev1",
			"deviceDnsName": "ws-9.contoso.example", "healthStatus": "active", "osPlatform": "Windows11", "azureAdDeviceId": "aad"},
		map[string]any{"@odata.type": "#microsoft.graph.security.deviceEvidence", "createdDateTime": "2026-11-22T01:00:00Z", "mdeDeviceId": nil},
	}
	docs.Machines = []simulator.Document{{"id": "known", "fieldOfTomorrow": "kept"}}
	tn := inProcess(t, simulator.Options{Documents: docs})
	a := tn.want(200, "GET", "/api/machines/dev1", nil)
	if a.body["computerDnsName"] != "ws-9.contoso.example" || a.body["healthStatus"] != "Active" || a.body["aadDeviceId"] != "aad" {
		t.Errorf("machine: %s", a.text)
	}
	if got := tn.want(200, "GET", "/api/machines/known", nil).body["fieldOfTomorrow"]; got != "kept" {
		t.Errorf("a field that nobody knows became %v", got)
	}
	if err := tn.Add(simulator.Document{"id": "later", "computerDnsName": "late"}); err != nil {
		t.Fatal(err)
	}
	if n := len(tn.want(200, "GET", "/api/machines", nil).rows(t)); n != 3 || tn.Machine("later") == nil {
		t.Errorf("%d machines, want 3", n)
	}
}

func TestAnExportOfMachinesIsLoaded(t *testing.T) {
	t.Parallel()
	docs, err := simulator.Load(strings.NewReader(`{"@odata.context":"https://api.securitycenter.microsoft.com/api/$metadata#Machines","value":[{"id":"a"},{"id":"b","computerDnsName":"x"}]}
		[{"id":"c","computerDnsName":"y","osPlatform":"Linux"},{"id":"c","computerDnsName":"z"}]`))
	if err != nil || len(docs.Machines) != 3 || docs.Machines[2]["computerDnsName"] != "z" {
		t.Errorf("loaded %v, %v", docs.Machines, err)
	}
}

func TestFaultsAndThrottlingStrikeDefenderAsWell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tn := inProcess(t, simulator.Options{Documents: machines(3), ThrottlePerMinute: 4, Faults: []simulator.Fault{
			{Method: "POST", Path: "/api/machines/m1/isolate", Drop: true, When: simulator.After},
			{Method: "POST", Path: "/api/machines/m2/*", Status: 503, RetryAfter: "3"},
		}})
		if _, err := tn.send(tn.request("POST", "/api/machines/m1/isolate", isolateFull)); err == nil {
			t.Error("the answer was not lost")
		}
		a := tn.want(503, "POST", "/api/machines/m2/isolate", isolateFull)
		if a.header.Get("Retry-After") != "3" {
			t.Errorf("fault answer: %v", a.header)
		}
		if got := tn.MachineActions(); len(got) != 1 || got[0]["machineId"] != "m1" {
			t.Errorf("machine actions: %v", got)
		}
		for range 3 {
			tn.want(200, "GET", "/api/machines", nil)
		}
		if a := tn.want(429, "GET", "/api/machines", nil); a.errorCode(t) != "TooManyRequests" || a.header.Get("Retry-After") != "60" {
			t.Errorf("throttled: %v %s", a.header, a.text)
		}
		tn.want(200, "GET", "/security/alerts_v2", nil) // Graph counts for itself
	})
}

func TestDevicesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for _, d := range []simulator.Devices{{Pending: -1}, {Running: -1}, {Outcomes: map[string]string{"m1": "succeeded"}}} {
		if _, err := simulator.New(simulator.Options{Devices: d}); err == nil {
			t.Errorf("%+v was accepted", d)
		}
	}
}

func TestTheTablesOfDefenderAgreeWithItsDescription(t *testing.T) {
	t.Parallel()
	doc := loadSpecOf(t, "/api/")
	for _, kind := range []string{"machine", "machineAction"} {
		table, schema := simulator.Tables()[kind], doc.Components.Schemas[kind].Value
		theirs := slices.DeleteFunc(slices.Sorted(maps.Keys(schema.Properties)), func(name string) bool { return strings.HasPrefix(name, "@") })
		if ours := slices.Sorted(maps.Keys(table.Properties)); !slices.Equal(ours, theirs) {
			t.Errorf("%s: ours %v, theirs %v", kind, ours, theirs)
		}
		for name, members := range table.Properties {
			var enum []string
			for _, m := range schema.Properties[name].Value.Enum {
				enum = append(enum, m.(string))
			}
			if !slices.Equal(enum, members) {
				t.Errorf("%s.%s: ours %v, theirs %v", kind, name, members, enum)
			}
		}
	}
}
