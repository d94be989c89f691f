package graph

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
)

// stranger answers in place of Graph: the first request with one answer, all others with another one.
type stranger struct {
	t        *testing.T
	status   int
	header   http.Header
	first    string
	then     string
	requests int
}

// RoundTrip fails the test if the token goes where it must not.
func (s *stranger) RoundTrip(r *http.Request) (*http.Response, error) {
	s.requests++
	if !isGraph(r.URL.Host) || r.URL.Scheme != "https" || r.Host != "" && !isGraph(r.Host) || r.URL.User != nil {
		s.t.Errorf("a request with the token went to %s (host %q)", r.URL, r.Host)
	}
	if !strings.HasPrefix(r.URL.RequestURI(), "/") || strings.ContainsAny(r.URL.String(), " \r\n\x00") {
		s.t.Errorf("the address %q would break the request line", r.URL)
	}
	status, body := s.status, s.first
	if s.requests > 1 {
		status, body = http.StatusOK, s.then
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: s.header.Clone(), Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1, Request: r,
	}, nil
}

func isGraph(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, ":443"), "graph.microsoft.com")
}

// operations are all that a client can be asked for. Each reports the ids that it was given.
func operations(c *Client) []func(context.Context) ([]string, error) {
	resolved, tags := "resolved", []string{"x"}
	return []func(context.Context) ([]string, error){
		func(ctx context.Context) (ids []string, err error) {
			for a, err := range c.Alerts(ctx, Query{Top: 2, Filter: "severity eq 'high'"}) {
				if err != nil {
					return ids, err
				}
				ids = append(ids, a.ID)
			}
			return ids, nil
		},
		func(ctx context.Context) (ids []string, err error) {
			for i, err := range c.Incidents(ctx, Query{Expand: "alerts"}) {
				if err != nil {
					return ids, err
				}
				ids = append(ids, i.ID)
			}
			return ids, nil
		},
		func(ctx context.Context) (ids []string, err error) {
			for a, err := range c.IncidentAlerts(ctx, "28282") {
				if err != nil {
					return ids, err
				}
				ids = append(ids, a.ID)
			}
			return ids, nil
		},
		func(ctx context.Context) ([]string, error) { _, err := c.Alert(ctx, "a"); return nil, err },
		func(ctx context.Context) ([]string, error) { _, err := c.Incident(ctx, "7", true); return nil, err },
		func(ctx context.Context) ([]string, error) { _, err := c.SurvivingIncident(ctx, "7"); return nil, err },
		func(ctx context.Context) ([]string, error) { _, err := c.CountAlerts(ctx, ""); return nil, err },
		func(ctx context.Context) ([]string, error) {
			_, err := c.UpdateAlert(ctx, "a", AlertPatch{Status: &resolved})
			return nil, err
		},
		func(ctx context.Context) ([]string, error) {
			_, err := c.UpdateIncident(ctx, "7", IncidentPatch{CustomTags: &tags})
			return nil, err
		},
		func(ctx context.Context) ([]string, error) {
			_, err := c.CommentAlert(ctx, "a", "text")
			return nil, err
		},
		func(ctx context.Context) ([]string, error) {
			_, err := c.MoveAlerts(ctx, MoveRequest{AlertIDs: []string{"a"}})
			return nil, err
		},
		func(ctx context.Context) ([]string, error) {
			_, err := c.MergeIncidents(ctx, MergeRequest{IncidentIDs: []string{"7", "8"}})
			return nil, err
		},
	}
}

// FuzzClient lets a stranger answer every operation of a client: any status, headers, body and next link. The client
// must come back with a value or an Error that says what it is, without the token in it, and must not have sent the
// token anywhere else; a listing must not follow links for ever. Time is simulated, so that pauses that an answer asks
// for cost none; a client that waits for what never comes is a deadlock of the bubble.
func FuzzClient(f *testing.F) {
	files, err := filepath.Glob("../testdata/graph/samples/*.response.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no samples", err)
	}
	all := len(operations(nil))
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		status := 200
		if name := filepath.Base(file); strings.HasPrefix(name, "error.4") {
			status, _ = strconv.Atoi(name[6:9])
		}
		for op := i % 3; op < all; op += 3 {
			f.Add(uint8(op), status, "Retry-After: 1", string(text), "", `{"value":[]}`)
		}
	}
	const page, empty = `{"value":[{"id":"a"},{"id":"b"}]}`, `{"value":[]}`
	for _, link := range []string{
		"https://graph.microsoft.com/v1.0/security/alerts_v2?$skiptoken=x", "https://GRAPH.microsoft.com:443/v1.0/x y?a b#c", "https://graph.microsoft.com:444/",
		"http://graph.microsoft.com/v1.0", "https://graph.microsoft.com@evil.example/", "https://evil.example/", "//evil.example/x", "/v1.0/x", "https:graph.microsoft.com",
		"https://graph.microsoft.com\\@evil.example/", "https://graph.microsoft.com%2eevil.example/", "https://graph.microsoft.com.evil.example/", "https://user:pass@graph.microsoft.com/",
		"https://[::1]/", "https://graph.microsoft.com\x00.evil.example/", "HTTPS://graph.microsoft.com/%0d%0aHost:%20evil", strings.Repeat("https://graph.microsoft.com/", 2000),
		"javascript:alert(1)", "https://graph.microsoft.com/\r\nX: y", "https://graph.microsoft.com?x",
	} {
		f.Add(uint8(0), 200, "", page, link, page)
		f.Add(uint8(1), 200, "", empty, link, empty)
	}
	for _, header := range []string{
		"Retry-After: 99999999999999999999", "Retry-After: -1", "Retry-After: Sun, 22 Nov 2026 02:00:30 GMT\nDate: x", "Retry-After: \x1b[31m", "request-id: " + strings.Repeat("x", 9000),
		`WWW-Authenticate: Bearer claims="eyJ4IjoxfQ==", error="insufficient_claims"`, `WWW-Authenticate: Bearer claims="` + strings.Repeat("A", 40_000) + `"`, "Location: https://evil.example/",
		"WWW-Authenticate: ,,,===\"\"\"", "Content-Encoding: gzip", "Content-Length: -1", "Content-Type: text/html",
	} {
		for _, status := range []int{200, 204, 302, 307, 401, 403, 408, 412, 429, 500, 503, 504, 101, 999, 0, -1} {
			f.Add(uint8(status%all+all)%uint8(all), status, header, `{"error":{"code":"x","message":"y Bearer `+fakeToken+` z","innerError":{"request-id":7}}}`, "", empty)
		}
	}
	for _, body := range []string{"", "null", "[]", "7", `"x"`, `{"value":null}`, `{"value":{}}`, `{"value":[null]}`, `{"value":[7,{"id":""}]}`, `{"value":[{"id":{"a":1}}]}`, "\xef\xbb\xbf{}", `{"id":`,
		`{"id":"7","status":"redirected","redirectIncidentId":"../../x"}`, `{"id":"7","status":"redirected","redirectIncidentId":"7"}`, `{"value":"` + strings.Repeat("x", 70_000) + `"}`,
		strings.Repeat("[", 20_000), `{"value":` + strings.Repeat(`[{"id":`, 6000), `{"VALUE":[{"ID":"a"}],"@odata.nextlink":"x"}`, "<html>proxy</html>", "12345678901234567890", "-1", " 7 ", "1e3"} {
		for op := range all {
			f.Add(uint8(op), 200, "", body, "", body)
		}
	}
	f.Fuzz(func(t *testing.T, op uint8, status int, header, first, link, then string) {
		if link != "" {
			first = withLink(first, link)
			then = withLink(then, link)
		}
		s := &stranger{t: t, status: status, header: http.Header{}, first: first, then: then}
		for line := range strings.Lines(header) {
			if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":"); ok {
				s.header.Add(name, strings.TrimSpace(value))
			}
		}
		var ids []string
		var err error
		synctest.Test(t, func(t *testing.T) {
			c, e := New(Options{Tenant: "contoso", Credential: &fixed{}, Transport: s})
			if e != nil {
				t.Fatal(e)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
			defer cancel()
			all := operations(c)
			ids, err = all[int(op)%len(all)](ctx)
		})
		if s.requests > 3*MaxPages+10 {
			t.Errorf("%d requests for one call", s.requests)
		}
		for _, id := range ids {
			if id == "" {
				t.Error("an object without an id was handed out")
			}
		}
		if err == nil {
			return
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind == "" {
			t.Fatalf("the error is %#v", err)
		}
		text := err.Error()
		if strings.Contains(text, fakeToken) || strings.ContainsFunc(text, unicode.IsControl) || len(text) > 4*MaxServerText+2000 {
			t.Errorf("the error is no text for a screen: %q", text)
		}
	})
}

// withLink puts a next link into a listing.
func withLink(page, link string) string {
	rest, ok := strings.CutPrefix(page, `{"value":`)
	if !ok {
		return page
	}
	return `{"@odata.nextLink":` + quoteJSON(link) + `,"value":` + rest
}

func quoteJSON(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}
