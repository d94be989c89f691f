package graph

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const machineID = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07"

func TestEverySampleOfDefenderIsReadAndKeptWhole(t *testing.T) {
	t.Parallel()
	read := 0
	for _, name := range []string{"mde.machineAction.json", "mde.machineactions.list.response.json"} {
		data, err := os.ReadFile(filepath.Join(samplesDir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rowsOf(t, data) {
			read++
			var a MachineAction
			if err := json.Unmarshal(row, &a); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if a.ID == "" || a.Type == "" || a.MachineID == "" || a.Requestor == "" || a.RequestorComment == "" ||
				a.CreationDateTimeUTC == "" || a.LastUpdateDateTimeUTC == "" || !a.Succeeded() {
				t.Errorf("%s: read as %+v", name, a)
			}
			assertWhole(t, row, a)
		}
	}
	if read != 4 {
		t.Errorf("%d machine actions were read, want 4", read)
	}
}

func TestAMachineKeepsFieldsThatNobodyKnows(t *testing.T) {
	t.Parallel()
	c, _, _ := against(t, says(200, `{"id":"`+machineID+`","computerDnsName":"ws-1","healthStatus":"Active","riskScore":null,"fieldOfTomorrow":{"a":[1]}}`))
	c.services[APIDefender] = c.services[APIGraph]
	m, err := c.Machine(t.Context(), machineID)
	if err != nil {
		t.Fatal(err)
	}
	if m.ComputerDNSName != "ws-1" || m.HealthStatus != "Active" || m.RiskScore != "" {
		t.Errorf("read as %+v", m)
	}
	assertWhole(t, []byte(`{"id":"`+machineID+`","computerDnsName":"ws-1","healthStatus":"Active","riskScore":null,"fieldOfTomorrow":{"a":[1]}}`), m)
}

func TestTheWordsOfMachineActionsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	doc, _ := loadContract(t, APIDefender)
	members := func(name string) (all []string) {
		for _, m := range doc.Components.Schemas["machineAction"].Value.Properties[name].Value.Enum {
			all = append(all, m.(string))
		}
		return all
	}
	if got := members("status"); !slices.Equal(got, MachineActionStatuses()) {
		t.Errorf("states: ours %v, theirs %v", MachineActionStatuses(), got)
	}
	for _, typ := range []string{MachineIsolate, MachineRelease} {
		if !slices.Contains(members("type"), typ) {
			t.Errorf("the contract has no machine action of type %s", typ)
		}
	}
	ended := map[string]bool{"Pending": false, "InProgress": false, "Succeeded": true, "Failed": true, "TimeOut": true, "Cancelled": true}
	for _, status := range members("status") {
		if got := (MachineAction{Status: status}).Ended(); got != ended[status] {
			t.Errorf("%s counts as ended: %v", status, got)
		}
	}
}

func TestTheContractRefusesAnIsolationThatIsWrong(t *testing.T) {
	t.Parallel()
	_, router := loadContract(t, APIDefender)
	for _, body := range []string{`{"Comment":"x","IsolationType":"full"}`, `{"IsolationType":"Full"}`, `{"Comment":"","IsolationType":"Full"}`} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", "https://api.securitycenter.microsoft.com/api/machines/x/isolate", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if validateRequest(router, r, map[string]bool{}) == nil {
			t.Errorf("%s passed: the checks of requests prove nothing", body)
		}
	}
}

// byScope is a credential whose tokens say for which resource they are.
type byScope struct{}

func (byScope) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: strings.Join(o.Scopes, " "), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestEachServiceGetsATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, cloud := range Clouds() {
		var sent []string
		rt := roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, "https://"+r.URL.Host+" "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"id":"a"}`)), Request: r}, nil
		})
		c, err := New(Options{Cloud: cloud, Credential: byScope{}, Transport: rt})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Alert(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		_, err = c.Machine(t.Context(), machineID)
		want := []string{cloud.Graph + " " + cloud.Graph + "/.default"}
		if cloud.Defender != "" {
			want = append(want, cloud.Defender+" "+cloud.Defender+"/.default")
		}
		if (err == nil) != (cloud.Defender != "") || !slices.Equal(sent, want) {
			t.Errorf("cloud %s: sent %q, want %q (%v)", cloud.Name, sent, want, err)
		}
	}
}

func TestAReplacedAddressOfGraphAloneNeverLeadsToTheRealDefender(t *testing.T) {
	t.Parallel()
	c, rec, _ := against(t, says(200, `{"id":"a"}`))
	_, err := c.IsolateMachine(t.Context(), machineID, "Full", "x")
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != CodeInvalid || e.Unknown() || e.Retry() || !strings.Contains(e.Message, "address of Defender") {
		t.Errorf("got %v", err)
	}
	if n := len(rec.list()); n != 0 {
		t.Errorf("%d requests left", n)
	}
}

func TestAnAddressOfDefenderThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	china, err := CloudNamed("china")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{DefenderURL: "http://api.securitycenter.microsoft.com"}, {DefenderURL: "nowhere"}, {DefenderURL: "https://api.securitycenter.microsoft.com/api/"},
		{DefenderURL: "https://api.securitycenter.microsoft.com", Cloud: china}} {
		o.Credential = &fixed{}
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), "Defender") {
			t.Errorf("%s in the cloud %s: %v", o.DefenderURL, o.Cloud.Name, err)
		}
	}
	c, err := New(Options{Credential: &fixed{}, DefenderURL: "https://api-eu.securitycenter.microsoft.com"})
	if err != nil || c.services[APIDefender].base.Host != "api-eu.securitycenter.microsoft.com" || c.services[APIDefender].tokens.scope != "https://api.securitycenter.microsoft.com/.default" {
		t.Errorf("a region's own address: %v, %v", c, err)
	}
}

func TestARefusalOfDefenderIsUnderstood(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(samplesDir, "mde.error.400.composed.response.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		status  int
		body    string
		kind    string
		unknown bool
		says    string
	}{
		{400, string(data), CodeInvalid, false, "400 ActiveRequestAlreadyExists: Action is already in progress"},
		{403, `{"error":{"code":"Forbidden","message":""}}`, CodeForbidden, false, "permission Machine.Isolate of WindowsDefenderATP"},
		{404, `{"error":{"code":"ResourceNotFound","message":"Machine x was not found","target":"|1"}}`, CodeNotFound, false, "[request-id server-side-id]"},
		{500, `{"error":{"code":"InternalServerError","message":"x"}}`, CodeUnavailable, true, "500 InternalServerError"},
		{201, `{"odd":true}`, CodeProtocol, true, "not an object with an id"},
	} {
		c, _, _ := against(t, says(tc.status, tc.body))
		c.services[APIDefender] = &service{base: c.services[APIGraph].base, tokens: c.services[APIGraph].tokens}
		_, err := c.IsolateMachine(t.Context(), machineID, "Full", "x")
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != tc.kind || e.Unknown() != tc.unknown || !strings.Contains(e.Error(), tc.says) {
			t.Errorf("%d: %v (unknown %v), want %q", tc.status, err, e.Unknown(), tc.says)
		}
	}
	var e Error
	e.Method, e.Endpoint = "POST", "/api/machines/{id}/isolate"
	if e.readRefusal(data); e.RequestID != "94fb3b52-452a-4535-a601-69e0a90e3aa2" {
		t.Errorf("the id of the request is %q: Defender puts it into target", e.RequestID)
	}
}

func TestWhatCannotBeRightIsNotSentToDefender(t *testing.T) {
	t.Parallel()
	c, rec, _ := against(t, says(200, `{}`))
	c.services[APIDefender] = c.services[APIGraph]
	for _, send := range []func() error{
		func() error { _, err := c.IsolateMachine(t.Context(), machineID, "full", "x"); return err },
		func() error { _, err := c.IsolateMachine(t.Context(), machineID, "Full", " "); return err },
		func() error { _, err := c.IsolateMachine(t.Context(), "", "Full", "x"); return err },
		func() error { _, err := c.ReleaseMachine(t.Context(), "..", "x"); return err },
		func() error { _, err := c.RunHuntingQuery(t.Context(), HuntingQuery{Query: "\n "}); return err },
		func() error {
			_, err := c.RunHuntingQuery(t.Context(), HuntingQuery{Query: strings.Repeat("x", MaxQueryLength+1)})
			return err
		},
	} {
		if e, ok := errors.AsType[*Error](send()); !ok || e.Kind != CodeInvalid || e.Unknown() {
			t.Errorf("got %v", e)
		}
	}
	if n := len(rec.list()); n != 0 {
		t.Errorf("%d requests left", n)
	}
}

func TestThePublishedAnswerToAHuntingQueryIsReadWhole(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(samplesDir, "runHuntingQuery.response.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, rec, _ := against(t, says(200, string(data)))
	got, err := c.RunHuntingQuery(t.Context(), HuntingQuery{Query: strings.Repeat("x", MaxQueryLength), Timespan: "P1D"})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Schema) != 3 || got.Schema[0] != (HuntingColumn{"Timestamp", "DateTime"}) || len(got.Rows) != 2 ||
		!strings.Contains(string(got.Rows[1]), "2024-03-26T09:39:49.4353788Z") {
		t.Errorf("read as %+v", got)
	}
	var body map[string]string
	if err := json.Unmarshal([]byte(rec.list()[0].Body), &body); err != nil || body["Timespan"] != "P1D" || len(body) != 2 {
		t.Errorf("sent %v, %v", body, err)
	}
}

func TestAHuntingQueryThatFailsSaysWhatTheEngineSaid(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(samplesDir, "error.400.huntingQuery.response.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, _, _ := against(t, says(400, string(data)))
	_, err = c.RunHuntingQuery(t.Context(), HuntingQuery{Query: "x"})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != CodeInvalid || e.Retry() || !strings.Contains(e.Message, "Failed to resolve scalar expression") {
		t.Errorf("got %v", err)
	}
	for _, body := range []string{`{}`, `{"schema":[],"results":null}`, `[]`} {
		c, _, _ := against(t, says(200, body))
		_, err := c.RunHuntingQuery(t.Context(), HuntingQuery{Query: "x"})
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != CodeProtocol || e.Unknown() {
			t.Errorf("%s was read as an answer: %v", body, err)
		}
	}
}

func TestAHuntingQueryMayTakeAsLongAsDefenderAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{Credential: &fixed{}, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = c.RunHuntingQuery(t.Context(), HuntingQuery{Query: "x"})
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != CodeTimeout || e.Unknown() || time.Since(start) != HuntingTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
