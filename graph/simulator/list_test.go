package simulator_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/graph/simulator/odata"
)

// walk follows next links and returns the ids in order of arrival, and how many pages there were.
func (tn *tenant) walk(path string) (ids []string, pages int) {
	tn.t.Helper()
	for path != "" {
		a := tn.want(200, "GET", path, nil)
		ids = append(ids, a.ids(tn.t)...)
		if pages++; pages > 500 {
			tn.t.Fatal("the pages do not end")
		}
		path = a.next()
	}
	return ids, pages
}

func TestNextLinksLeadThroughEverythingOnce(t *testing.T) {
	t.Parallel()
	tn := open(t, simulator.Options{Documents: someAlerts(120)})
	ids, pages := tn.walk("/security/alerts_v2?$filter=" + q("status eq 'new'"))
	if pages != 3 || len(ids) != 120 || ids[0] != "a120" || ids[119] != "a1" {
		t.Errorf("%d pages, %d ids, from %s to %s", pages, len(ids), ids[0], ids[len(ids)-1])
	}
	a := tn.want(200, "GET", "/security/alerts_v2?$top=7&$filter="+q("severity eq 'high'"), nil)
	link, err := url.Parse(a.next())
	if err != nil || "https://"+link.Host != tn.base || link.Query().Get("$skip") != "7" || link.Query().Get("$top") != "7" ||
		link.Query().Get("$filter") != "severity eq 'high'" || strings.Contains(a.next(), "+") {
		t.Errorf("next link %q: %v", a.next(), err)
	}
	if ids, pages = tn.walk("/security/incidents?$top=100&$expand=alerts"); pages != 2 || len(ids) != 120 {
		t.Errorf("incidents: %d pages, %d ids", pages, len(ids))
	}
}

func TestShortAndEmptyPagesKeepTheirNextLink(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(40), PageSize: 4, Behaviour: simulator.Behaviour{ShortPageEvery: 3, EmptyPageEvery: 2}})
	ids, pages := tn.walk("/security/alerts_v2")
	if len(ids) != 40 || pages <= 10 {
		t.Errorf("%d ids on %d pages", len(ids), pages)
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != 40 {
		t.Error("an alert came twice")
	}
}

func TestAListThatChangesUnderTheReaderShifts(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Documents: someAlerts(6), PageSize: 3})
	filter := "/security/alerts_v2?$filter=" + q("status eq 'new'")
	first := tn.want(200, "GET", filter, nil)
	tn.want(200, "PATCH", "/security/alerts_v2/a6", `{"status":"resolved"}`) // a row of the first page leaves the result
	second := tn.want(200, "GET", first.next(), nil)
	if got := second.ids(t); !slices.Equal(got, []string{"a2", "a1"}) {
		t.Errorf("second page %v: $skip paging loses a3 here, as the live service does", got)
	}
	if err := tn.Add(simulator.Document{"id": "a7", "title": "late", "createdDateTime": "2026-11-22T05:00:00Z", "status": "new", "severity": "low", "serviceSource": "unknown"}); err != nil {
		t.Fatal(err)
	}
	if got := tn.want(200, "GET", first.next(), nil).ids(t); !slices.Equal(got, []string{"a3", "a2", "a1"}) {
		t.Errorf("after an arrival: %v", got)
	}
}

func TestTopIsClampedWithoutAWordOrRefusedWhenStrict(t *testing.T) {
	t.Parallel()
	docs := someAlerts(1005)
	live := inProcess(t, simulator.Options{Documents: docs})
	for top, want := range map[string]int{"999": 999, "1000": 1000, "1001": 1000, "5000": 1000, "0": 0, "": 50} {
		path := "/security/alerts_v2?$count=true"
		if top != "" {
			path += "&$top=" + top
		}
		a := live.want(200, "GET", path, nil)
		if len(a.ids(t)) != want || (a.next() == "") != (want == 0) || fmt.Sprint(a.body["@odata.count"]) != "1005" {
			t.Errorf("$top=%s: %d rows, next %q, count %v", top, len(a.ids(t)), a.next(), a.body["@odata.count"])
		}
	}
	strict := inProcess(t, simulator.Options{Documents: docs, Mode: simulator.Strict})
	strict.want(200, "GET", "/security/alerts_v2?$top=1000", nil)
	strict.want(400, "GET", "/security/alerts_v2?$top=1001", nil)
	small := inProcess(t, simulator.Options{Documents: docs, Behaviour: simulator.Behaviour{MaxTop: 50}})
	if got := len(small.want(200, "GET", "/security/incidents?$top=500", nil).ids(t)); got != 50 {
		t.Errorf("with a knob of 50: %d rows", got)
	}
}

func TestFiltersFindWhatTheySay(t *testing.T) {
	t.Parallel()
	docs := someAlerts(4)
	docs.Alerts[0]["assignedTo"], docs.Alerts[1]["assignedTo"] = "o'brien@y.example", "x@y.example"
	docs.Alerts[3]["evidence"] = []any{map[string]any{"@odata.type": "#microsoft.graph.security.userEvidence", "createdDateTime": "2026-11-22T01:00:00Z",
		"verdict": "unknown", "remediationStatus": "none", "userAccount": map[string]any{"userPrincipalName": "o'brien@y.example"}}}
	docs.Alerts[2]["lastUpdateDateTime"] = "2026-11-22T01:03:00.1234567Z"
	tn := inProcess(t, simulator.Options{Documents: docs})
	for filter, want := range map[string][]string{
		"assignedTo eq 'o''brien@y.example'":          {"a1"},
		"assignedTo eq null":                          {"a4", "a3"},
		"severity in ('low','high')":                  {"a3", "a2"},
		"not (severity eq 'low') and status eq 'new'": {"a4", "a2", "a1"},
		"createdDateTime ge 2026-11-22T01:02:00Z and createdDateTime lt 2026-11-22T01:04":                                nil, // refused below: no zone
		"lastUpdateDateTime gt 2026-11-22T01:03:00.1234566Z":                                                             {"a4", "a3"},
		"lastUpdateDateTime ge 2026-11-22T02:03:00.1234567+01:00":                                                        {"a4", "a3"},
		"serviceSource eq 'microsoftDefenderForEndpoint' or title eq 'x'":                                                {"a4", "a3", "a2", "a1"},
		"evidence/any(e: e/microsoft.graph.security.userEvidence/userAccount/userPrincipalName eq 'o''brien@y.example')": {"a4"},
		"evidence/any()":                 {"a4"},
		"evidence/all(e:e/verdict eq 1)": {"a3", "a2", "a1"},
	} {
		if want == nil {
			tn.want(400, "GET", "/security/alerts_v2?$filter="+q(filter), nil)
			continue
		}
		if got := tn.want(200, "GET", "/security/alerts_v2?$filter="+q(filter), nil).ids(t); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
		if got := tn.want(200, "GET", "/security/alerts_v2/$count?$filter="+q(filter), nil).text; got != fmt.Sprint(len(want)) {
			t.Errorf("%s: count %s, want %d", filter, got, len(want))
		}
	}
}

func TestFiltersTheServiceCouldNotReadAreRefused(t *testing.T) {
	t.Parallel()
	live := inProcess(t, simulator.Options{Documents: someAlerts(1)})
	strict := inProcess(t, simulator.Options{Documents: someAlerts(1), Mode: simulator.Strict})
	for _, filter := range []string{
		"severity eq 'High'", "severity eq 'critical'", "status eq 'newAlert'", "Severity eq 'high'", "severity eq high", "severity gt 'low'",
		"createdDateTime ge '2026-11-22T01:00:00Z'", "createdDateTime ge 5", "title eq 5", "nonsense eq 'x'", "status", "status/x eq 'y'",
		"status/any(s:s eq 'x')", "startswith(title,'x')", "severity eq 'high", "severity eq", "eq 'high'", "(severity eq 'high'", "", "severity eq 'high' und status eq 'new'",
		strings.Repeat("(", odata.MaxDepth+1) + "status eq 'new'" + strings.Repeat(")", odata.MaxDepth+1),
		"assignedTo eq '" + strings.Repeat("x", odata.MaxLength) + "'",
	} {
		live.want(400, "GET", "/security/alerts_v2?$filter="+q(filter), nil)
		strict.want(400, "GET", "/security/alerts_v2?$filter="+q(filter), nil)
	}
	for _, filter := range []string{"incidentId eq '1'", "title eq 'Alert 1'", "evidence/any()", "assignedTo eq classification"} {
		live.want(200, "GET", "/security/alerts_v2?$filter="+q(filter), nil)
		strict.want(400, "GET", "/security/alerts_v2?$filter="+q(filter), nil)
	}
	strict.want(200, "GET", "/security/alerts_v2?$filter="+q("assignedTo eq null and lastUpdateDateTime le 2026-11-22T01:00:00Z"), nil)
}

func TestLiveLikeAcceptsWhatStrictRefuses(t *testing.T) {
	t.Parallel()
	live := inProcess(t, simulator.Options{Documents: someAlerts(3)})
	strict := inProcess(t, simulator.Options{Documents: someAlerts(3), Mode: simulator.Strict})
	for _, options := range []string{"$orderby=lastUpdateDateTime%20asc", "$select=id,title", "custom=1"} {
		live.want(200, "GET", "/security/alerts_v2?"+options, nil)
		strict.want(400, "GET", "/security/alerts_v2?"+options, nil)
	}
	live.want(200, "GET", "/security/incidents/1/alerts?$top=1", nil)
	strict.want(400, "GET", "/security/incidents/1/alerts?$top=1", nil)
	strict.want(200, "GET", "/security/incidents?$expand=alerts&$count=true&$skip=1&$top=1", nil)
	for _, options := range []string{"$search=x", "$skiptoken=x", "$top=-1", "$top=x", "$skip=-1", "$count=yes", "$expand=alerts", "$top=1&$top=2",
		"$orderby=nonsense", "$orderby=title%20up", "$orderby=", "$select=nonsense", "$filter=%zz", "a;b"} {
		live.want(400, "GET", "/security/alerts_v2?"+options, nil)
		strict.want(400, "GET", "/security/alerts_v2?"+options, nil)
	}
	live.want(400, "GET", "/security/incidents?$expand=comments", nil)
	if got := live.want(200, "GET", "/security/alerts_v2?$orderby=lastUpdateDateTime%20asc,id%20desc", nil).ids(t); !slices.Equal(got, []string{"a1", "a2", "a3"}) {
		t.Errorf("ordered: %v", got)
	}
	row := live.want(200, "GET", "/security/alerts_v2?$select=id,title&$top=1", nil).rows(t)[0]
	equal(t, "selected", map[string]any{"id": "a3", "title": "Alert 3"}, row)
	if rows := live.want(200, "GET", "/security/incidents/1?$select=id&$expand=alerts", nil).body; len(rows) != 3 || rows["alerts"] == nil {
		t.Errorf("selected and expanded: %v", rows)
	}
	if got := live.want(200, "GET", "/security/alerts_v2?$skip=99", nil); len(got.ids(t)) != 0 || got.next() != "" {
		t.Errorf("beyond the end: %s", got.text)
	}
}
