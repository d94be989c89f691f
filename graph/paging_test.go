package graph

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEveryReadAsksForUnknownEnumMembersOnEveryPage(t *testing.T) {
	t.Parallel()
	var base string
	c, rec, srv := against(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "skiptoken") {
			says(200, `{"value":[{"id":"c"}]}`)(w, r)
			return
		}
		says(200, `{"value":[{"id":"a"},{"id":"b"}],"@odata.nextLink":"`+base+`/v1.0/security/alerts_v2?$skiptoken=x%2By&$filter=a%20b"}`)(w, r)
	})
	base = strings.Replace(srv.URL, "https", "HTTPS", 1)
	var ids []string
	pages := 0
	for a, err := range c.Alerts(WithRequestID(t.Context(), "run-1"), Query{Filter: "severity eq 'high'", Top: 2, OnPage: func() { pages++ }}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, ids); diff != "" {
		t.Error(diff)
	}
	all := rec.list()
	if len(all) != 2 || pages != 2 {
		t.Fatalf("%d requests and %d pages", len(all), pages)
	}
	if all[0].Query != "$filter=severity%20eq%20%27high%27&$top=2" || all[1].Query != "$skiptoken=x%2By&$filter=a%20b" {
		t.Errorf("queries %q and %q", all[0].Query, all[1].Query)
	}
	for i, r := range all {
		if r.Header.Get("Prefer") != "include-unknown-enum-members" || r.Header.Get("Authorization") != "Bearer "+fakeToken {
			t.Errorf("headers of page %d: %v", i, r.Header)
		}
	}
	first, second := all[0].Header.Get("client-request-id"), all[1].Header.Get("client-request-id")
	if first != "run-1" || second == first || second != requestID(WithRequestID(t.Context(), "run-1"), 1) {
		t.Errorf("request ids %q and %q", first, second)
	}
}

func TestPagesAreFetchedOnlyWhenNeeded(t *testing.T) {
	t.Parallel()
	var base string
	c, rec, srv := against(t, func(w http.ResponseWriter, r *http.Request) {
		says(200, `{"value":[{"id":"a"}],"@odata.nextLink":"`+base+`/v1.0/more"}`)(w, r)
	})
	base = srv.URL
	for _, err := range c.Alerts(t.Context(), Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if n := len(rec.list()); n != 1 {
		t.Errorf("%d requests for one alert", n)
	}
}

func TestANextLinkNeverCarriesTheTokenElsewhere(t *testing.T) {
	t.Parallel()
	elsewhere := &recorder{}
	foreign := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { elsewhere.note(r) }))
	defer foreign.Close()
	for name, make := range map[string]func(own string) string{
		"another host":       func(string) string { return foreign.URL + "/v1.0/security/alerts_v2" },
		"plain http":         func(own string) string { return strings.Replace(own, "https", "http", 1) + "/v1.0" },
		"user in the host":   func(own string) string { return strings.Replace(own, "https://", "https://graph@", 1) },
		"relative":           func(string) string { return "/v1.0/security/alerts_v2?$skip=1" },
		"not an address":     func(string) string { return "https://%zz" },
		"a circle":           func(own string) string { return own + "/v1.0/again" },
		"longer than lawful": func(own string) string { return own + "/?" + strings.Repeat("x", MaxNextLinkBytes) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var link string
			c, rec, srv := against(t, func(w http.ResponseWriter, r *http.Request) {
				says(200, fmt.Sprintf(`{"value":[{"id":"a"}],"@odata.nextLink":%q}`, link))(w, r)
			})
			link = make(srv.URL)
			var last error
			for _, err := range c.Alerts(t.Context(), Query{}) {
				last = err
			}
			e, ok := errors.AsType[*Error](last)
			if !ok || e.Kind != CodeProtocol {
				t.Errorf("got %v", last)
			}
			if n := len(rec.list()); n > 2 {
				t.Errorf("%d requests", n)
			}
		})
	}
	t.Cleanup(func() {
		if n := len(elsewhere.list()); n != 0 {
			t.Errorf("the foreign host got %d requests", n)
		}
	})
}

func TestANextLinkOfTheLongestLengthIsFollowed(t *testing.T) {
	t.Parallel()
	c, err := New(Options{Credential: &fixed{}})
	if err != nil {
		t.Fatal(err)
	}
	link := "https://GRAPH.microsoft.com:443/v1.0/x?t="
	link += strings.Repeat("y", MaxNextLinkBytes-len(link))
	if got, wrong := checkNext(c.services[APIGraph].base, link); wrong != "" || !strings.HasSuffix(got, "yyy") {
		t.Errorf("refused: %s", wrong)
	}
	if _, wrong := checkNext(c.services[APIGraph].base, link+"y"); wrong == "" {
		t.Error("followed beyond the limit")
	}
}

func TestAnEmptyPageIsNotTheEnd(t *testing.T) {
	t.Parallel()
	var base string
	n := 0
	c, _, srv := against(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 1 {
			says(200, `{"value":[],"@odata.nextLink":"`+base+`/v1.0/p2"}`)(w, r)
			return
		}
		says(200, `{"value":[{"id":"late"}]}`)(w, r)
	})
	base = srv.URL
	for a, err := range c.Alerts(t.Context(), Query{}) {
		if err != nil || a.ID != "late" {
			t.Errorf("%v, %v", a.ID, err)
		}
	}
	if n != 2 {
		t.Errorf("%d requests", n)
	}
}

func TestAnEmptyPageMaySendTheReaderToTheSamePlaceButNotForEver(t *testing.T) {
	t.Parallel()
	for empty, wantErr := range map[int]bool{MaxRepeats: false, MaxRepeats + 10: true} {
		var base string
		n := 0
		c, _, srv := against(t, func(w http.ResponseWriter, r *http.Request) {
			if n++; n <= empty {
				says(200, `{"value":[],"@odata.nextLink":"`+base+`/v1.0/p?$skip=7"}`)(w, r)
				return
			}
			says(200, `{"value":[{"id":"late"}]}`)(w, r)
		})
		base = srv.URL
		if err := firstError(c.Alerts(t.Context(), Query{})); (err != nil) != wantErr {
			t.Errorf("%d empty pages: %v", empty, err)
		}
		if wantErr && n != MaxRepeats+2 {
			t.Errorf("%d requests", n)
		}
	}
}

func TestALongListingMayMeetAnyNumberOfEmptyPages(t *testing.T) {
	t.Parallel()
	const rows = 3 * MaxRepeats
	var base string
	n := 0
	c, _, srv := against(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		row, next := "", fmt.Sprintf(`,"@odata.nextLink":"%s/v1.0/p?$skip=%d"`, base, n/2)
		if n%2 == 0 { // every other page is empty and leads to the same place
			row = fmt.Sprintf(`{"id":"a%d"}`, n/2)
		}
		if n == 2*rows {
			next = ""
		}
		says(200, `{"value":[`+row+`]`+next+`}`)(w, r)
	})
	base = srv.URL
	seen := 0
	for _, err := range c.Alerts(t.Context(), Query{}) {
		if err != nil {
			t.Fatalf("after %d rows: %v", seen, err)
		}
		seen++
	}
	if seen != rows {
		t.Errorf("%d rows, want %d", seen, rows)
	}
}

func TestAListingNeverEndsQuietlyAfterTheLastAllowedPage(t *testing.T) {
	t.Parallel()
	n := 0
	rt := roundTripper(func(r *http.Request) (*http.Response, error) {
		n++
		body := fmt.Sprintf(`{"value":[],"@odata.nextLink":"https://graph.microsoft.com/v1.0/p%d"}`, n)
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	c, err := New(Options{Credential: &fixed{}, Transport: rt, Budgets: map[Class]Budget{
		ClassSecurity: {Requests: 1_000_000, Per: time.Second, Burst: 100_000, Concurrent: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range c.Alerts(t.Context(), Query{}) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "more than 1000 pages") || n != MaxPages {
		t.Errorf("after %d pages: %v", n, last)
	}
}

func TestAnAnswerThatIsNoListingIsNotTakenForTheEnd(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `{}`, `{"value":null}`, `{"value":{}}`, `<html>`, `{"value":[{"title":"x"}]}`, `{"value":[null]}`,
		`{"value":[],"@odata.nextLink":{}}`} {
		c, _, _ := against(t, says(200, body))
		var last error
		for _, err := range c.Alerts(t.Context(), Query{}) {
			last = err
		}
		if e, ok := errors.AsType[*Error](last); !ok || e.Kind != CodeProtocol || e.Unknown() {
			t.Errorf("%s: %v", body, last)
		}
	}
}

func firstError[T any](rows func(func(T, error) bool)) error {
	for _, err := range rows {
		return err
	}
	return nil
}

func TestACountIsReadFromTextWithOrWithoutByteOrderMark(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int{"12": 12, "\uFEFF7\r\n": 7} {
		c, _, _ := against(t, says(200, body))
		if n, err := c.CountAlerts(t.Context(), "status eq 'new'"); err != nil || n != want {
			t.Errorf("%q: %d, %v", body, n, err)
		}
	}
	for _, body := range []string{"", "many", "-1", "{}"} {
		c, _, _ := against(t, says(200, body))
		if _, err := c.CountIncidents(t.Context(), ""); err == nil {
			t.Errorf("%q passed for a number", body)
		}
	}
}

func TestAMergedIncidentIsFollowedToItsSurvivorButNotForEver(t *testing.T) {
	t.Parallel()
	c, _, _ := against(t, func(w http.ResponseWriter, r *http.Request) {
		switch id := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]; id {
		case "1":
			says(200, `{"id":"1","status":"redirected","redirectIncidentId":"2"}`)(w, r)
		case "2":
			says(200, `{"id":"2","status":"active"}`)(w, r)
		default:
			says(200, `{"id":"`+id+`","status":"redirected","redirectIncidentId":"`+id+`"}`)(w, r)
		}
	})
	if i, err := c.SurvivingIncident(t.Context(), "1"); err != nil || i.ID != "2" {
		t.Errorf("%v, %v", i.ID, err)
	}
	if _, err := c.SurvivingIncident(t.Context(), "7"); err == nil {
		t.Error("a circle was followed")
	}
}
