package graph

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
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
	for a, err := range c.Alerts(WithRequestID(t.Context(), "run-1"), Query{Filter: "severity eq 'high'", Top: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, ids); diff != "" {
		t.Error(diff)
	}
	all := rec.list()
	if len(all) != 2 {
		t.Fatalf("%d requests", len(all))
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
	if got, wrong := c.checkNext(link); wrong != "" || !strings.HasSuffix(got, "yyy") {
		t.Errorf("refused: %s", wrong)
	}
	if _, wrong := c.checkNext(link + "y"); wrong == "" {
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

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

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

func TestA401FetchesANewTokenOnceAndSendsAgainOnce(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		refuse  int
		want    string
		claims  string
		request int
	}{
		{"then it is accepted", 1, "", "", 2},
		{"then it is refused again", 2, CodeUnauthorized, "", 2},
		{"with a claims challenge", 1, "", `{"access_token":{"nbf":{"essential":true}}}`, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			rec := &recorder{}
			srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rec.note(r)
				if n++; n <= tc.refuse {
					if tc.claims != "" {
						w.Header().Set("WWW-Authenticate", `Bearer realm="", error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(tc.claims))+`"`)
					}
					says(401, `{"error":{"code":"InvalidAuthenticationToken","message":"no"}}`)(w, r)
					return
				}
				says(200, `{"id":"a"}`)(w, r)
			}))
			defer srv.Close()
			cred := &fixed{}
			status := "resolved"
			_, err := clientOf(t, srv, cred).UpdateAlert(t.Context(), "a", AlertPatch{Status: &status})
			kind := ""
			if e, ok := errors.AsType[*Error](err); ok {
				kind = e.Kind
				if e.Unknown() || e.Retry() {
					t.Errorf("a refused token leaves nothing unknown: %+v", e)
				}
			}
			if kind != tc.want || len(rec.list()) != tc.request || cred.asked != 2 || cred.forgot != 1 {
				t.Errorf("error %v, %d requests, %d tokens, forgot %d", err, len(rec.list()), cred.asked, cred.forgot)
			}
			if cred.claims[1] != tc.claims {
				t.Errorf("claims %q", cred.claims[1])
			}
		})
	}
}

func TestEveryStatusMeansOneThing(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status         int
		kind           string
		retry, unknown bool
	}{
		{302, CodeProtocol, false, true}, {307, CodeProtocol, false, true},
		{400, CodeInvalid, false, false}, {403, CodeForbidden, false, false}, {404, CodeNotFound, false, false},
		{405, CodeInvalid, false, false}, {408, CodeTimeout, true, false}, {409, CodeConflict, false, false},
		{410, CodeNotFound, false, false}, {412, CodeConflict, false, false}, {413, CodeInvalid, false, false},
		{422, CodeInvalid, false, false}, {423, CodeConflict, false, false}, {429, CodeThrottled, true, false},
		{500, CodeUnavailable, true, true}, {501, CodeUnavailable, false, true}, {502, CodeUnavailable, true, true},
		{503, CodeUnavailable, true, true}, {504, CodeUnavailable, true, true},
	} {
		t.Run(fmt.Sprint(tc.status), func(t *testing.T) {
			t.Parallel()
			c, rec, _ := against(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "https://elsewhere.example/")
				says(tc.status, `{"error":{"code":"someCode","message":"some text"}}`)(w, r)
			})
			_, err := c.CommentAlert(t.Context(), "a", "hello")
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			code, message, retry, _, unknown := e.Fault()
			if code != tc.kind || retry != tc.retry || unknown != tc.unknown {
				t.Errorf("code %s, retry %v, unknown %v", code, retry, unknown)
			}
			if e.Endpoint != "/security/alerts_v2/{id}/comments" || e.RequestID != "server-side-id" || !strings.Contains(message, "server-side-id") {
				t.Errorf("error %+v", e)
			}
			if n := len(rec.list()); n != 1 {
				t.Errorf("an effect was sent %d times", n)
			}
			if !codeListed(code) {
				t.Errorf("code %s is not in the list", code)
			}
		})
	}
}

func codeListed(code string) bool {
	for _, c := range Codes() {
		if c.Code == code {
			return true
		}
	}
	return false
}

func TestAMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	c, _, _ := against(t, says(403, `{"error":{"code":"UnknownError","message":""}}`))
	_, err := c.MoveAlerts(t.Context(), MoveRequest{AlertIDs: []string{"a"}})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Permission != "SecurityData.Manage.All" {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"SecurityData.Manage.All", "admin consent", "roles of the token", "licence", "RBAC"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestNoErrorRepeatsTheTokenOrAWallOfText(t *testing.T) {
	t.Parallel()
	c, _, _ := against(t, func(w http.ResponseWriter, r *http.Request) {
		says(400, `{"error":{"code":"x","message":"you sent `+r.Header.Get("Authorization")+` \u001b[2J\n`+strings.Repeat("blah ", 5000)+`"}}`)(w, r)
	})
	_, err := c.Alert(t.Context(), "a")
	if err == nil || strings.Contains(err.Error(), fakeToken) || len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("got %v", err)
	}
}

func TestWhetherARequestMayHaveTakenEffectIsKnown(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "https://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	drop := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer drop.Close()
	half := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"id":`)
	}))
	defer half.Close()
	garbage := httptest.NewTLSServer(says(200, `{"id":`))
	defer garbage.Close()
	untrusted := httptest.NewUnstartedServer(says(200, `{}`))
	untrusted.Config.ErrorLog = nil
	untrusted.StartTLS()
	defer untrusted.Close()
	silent := func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

	for _, tc := range []struct {
		name           string
		base           string
		transport      http.RoundTripper
		kind           string
		retry, unknown bool
	}{
		{"nobody listens", nobody, nil, CodeConnection, true, false},
		{"the certificate is not trusted", untrusted.URL, nil, CodeConnection, true, false},
		{"the connection drops after the request", drop.URL, trusting(drop), CodeConnection, true, true},
		{"the answer breaks off", half.URL, trusting(half), CodeConnection, true, true},
		{"the answer is garbage", garbage.URL, trusting(garbage), CodeProtocol, false, true},
		{"a transport that tells nothing fails", "https://x.example", roundTripper(silent), CodeConnection, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := New(Options{BaseURL: tc.base, Credential: &fixed{}, Transport: tc.transport})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseIdleConnections()
			_, err = c.CommentIncident(t.Context(), "1", "hello")
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != tc.kind || e.Retry() != tc.retry || e.Unknown() != tc.unknown {
				t.Errorf("got %v (%+v)", err, e)
			}
			_, err = c.Incident(t.Context(), "1", false)
			if e, ok := errors.AsType[*Error](err); !ok || e.Unknown() {
				t.Errorf("a read leaves something unknown: %v", err)
			}
		})
	}
}

func TestACallerWhoGivesUpGetsItsReasonBack(t *testing.T) {
	t.Parallel()
	c, _, _ := against(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.CommentAlert(ctx, "a", "x")
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != CodeTimeout || !e.Unknown() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	_, err = c.CommentAlert(gone, "a", "x")
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != CodeCanceled || e.Unknown() {
		t.Errorf("before the start: %v", err)
	}
}

func TestAnAnswerBeyondTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	for _, extra := range []int{0, 1} {
		rt := roundTripper(func(r *http.Request) (*http.Response, error) {
			const frame = `{"id":"a","x":""}`
			body := io.MultiReader(strings.NewReader(`{"id":"a","x":"`), io.LimitReader(letters{}, int64(MaxAnswerBytes-len(frame)+extra)), strings.NewReader(`"}`))
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body), Request: r}, nil
		})
		c, err := New(Options{Credential: &fixed{}, Transport: rt})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Alert(t.Context(), "a")
		if e, ok := errors.AsType[*Error](err); ok != (extra == 1) || ok && e.Kind != CodeProtocol {
			t.Errorf("%d bytes beyond: %v", extra, err)
		}
	}
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestWhatCannotBeRightIsNotSent(t *testing.T) {
	t.Parallel()
	c, rec, _ := against(t, says(200, `{"id":"a","value":[],"targetIncidentId":"1"}`))
	ctx := t.Context()
	bad, long := "onhold", strings.Repeat("ä", MaxCommentLength)
	many := make([]string, MaxMoved+1)
	for i := range many {
		many[i] = fmt.Sprint("a", i)
	}
	for name, call := range map[string]func() error{
		"no id":              func() error { _, err := c.Alert(ctx, ""); return err },
		"another endpoint":   func() error { _, err := c.Alert(ctx, "$count"); return err },
		"an action":          func() error { _, err := c.Alert(ctx, "MoveAlerts"); return err },
		"a way out":          func() error { _, err := c.Alert(ctx, ".."); return err },
		"a line break":       func() error { _, err := c.Alert(ctx, "a\nb"); return err },
		"an id too long":     func() error { _, err := c.Alert(ctx, strings.Repeat("a", MaxIDLength+1)); return err },
		"no change":          func() error { _, err := c.UpdateAlert(ctx, "a", AlertPatch{}); return err },
		"an unknown status":  func() error { _, err := c.UpdateAlert(ctx, "a", AlertPatch{Status: &bad}); return err },
		"no comment":         func() error { _, err := c.CommentAlert(ctx, "a", " \n"); return err },
		"a comment too long": func() error { _, err := c.CommentAlert(ctx, "a", long+"x"); return err },
		"no alerts":          func() error { _, err := c.MoveAlerts(ctx, MoveRequest{}); return err },
		"too many alerts":    func() error { _, err := c.MoveAlerts(ctx, MoveRequest{AlertIDs: many}); return err },
		"an unknown reason": func() error {
			_, err := c.MoveAlerts(ctx, MoveRequest{AlertIDs: []string{"a"}, Reasons: []string{"whim"}})
			return err
		},
		"one incident twice": func() error {
			_, err := c.MergeIncidents(ctx, MergeRequest{IncidentIDs: []string{"1", "1"}})
			return err
		},
		"a page too large":    func() error { return firstError(c.Alerts(ctx, Query{Top: MaxTop + 1})) },
		"a negative skip":     func() error { return firstError(c.Alerts(ctx, Query{Skip: -1})) },
		"an address too long": func() error { return firstError(c.Alerts(ctx, Query{Filter: strings.Repeat("x", MaxURLBytes)})) },
		"a redirected status": func() error {
			s := "redirected"
			_, err := c.UpdateIncident(ctx, "1", IncidentPatch{Status: &s})
			return err
		},
		"a body too large": func() error {
			s := strings.Repeat("x", MaxRequestBytes)
			_, err := c.UpdateIncident(ctx, "1", IncidentPatch{Summary: &s})
			return err
		},
		"a retired assessment": func() error { s := "apt"; _, err := c.UpdateAlert(ctx, "a", AlertPatch{Determination: &s}); return err },
	} {
		err := call()
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != CodeInvalid || e.Retry() || e.Unknown() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(rec.list()); n != 0 {
		t.Fatalf("%d requests were sent", n)
	}
	for name, call := range map[string]func() error{
		"the longest comment":     func() error { _, err := c.CommentAlert(ctx, "a", long); return err },
		"the longest id":          func() error { _, err := c.Alert(ctx, strings.Repeat("a", MaxIDLength)); return err },
		"the most alerts":         func() error { _, err := c.MoveAlerts(ctx, MoveRequest{AlertIDs: many[:MaxMoved]}); return err },
		"the largest page":        func() error { return firstError(c.Alerts(ctx, Query{Top: MaxTop})) },
		"an id that needs escape": func() error { _, err := c.Alert(ctx, "a/b?c#d%"); return err },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func firstError[T any](rows func(func(T, error) bool)) error {
	for _, err := range rows {
		return err
	}
	return nil
}

func TestOnlyWhatIsSetIsSent(t *testing.T) {
	t.Parallel()
	c, rec, _ := against(t, says(200, `{"id":"a","targetIncidentId":"9"}`))
	ctx := t.Context()
	status, class, det := "Resolved", "FalsePositive", "clean"
	tags := []string{}
	for _, call := range []func() error{
		func() error { _, err := c.UpdateAlert(ctx, "a/b", AlertPatch{AssignedTo: Unassign()}); return err },
		func() error {
			_, err := c.UpdateAlert(ctx, "a", AlertPatch{Status: &status, Classification: &class, Determination: &det, AssignedTo: AssignTo("x@y")})
			return err
		},
		func() error { _, err := c.UpdateIncident(ctx, "1", IncidentPatch{CustomTags: &tags}); return err },
		func() error {
			_, err := c.MoveAlerts(ctx, MoveRequest{AlertIDs: []string{"a"}, Reasons: []string{"sameActor", "SameAsset", "sameActor"}})
			return err
		},
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range rec.list() {
		got = append(got, r.Method+" "+r.Path+" "+r.Body)
		if r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("content type %q", r.Header.Get("Content-Type"))
		}
	}
	want := []string{
		`PATCH /v1.0/security/alerts_v2/a%2Fb {"assignedTo":null}`,
		`PATCH /v1.0/security/alerts_v2/a {"assignedTo":"x@y","classification":"falsePositive","determination":"notMalicious","status":"resolved"}`,
		`PATCH /v1.0/security/incidents/1 {"customTags":[]}`,
		`POST /v1.0/security/alerts_v2/moveAlerts {"alertIds":["a"],"incidentId":null,"newCorrelationReasons":"sameActor, sameAsset"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAChangeThatIsAnsweredWithNothingIsReadBack(t *testing.T) {
	t.Parallel()
	c, rec, _ := against(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PATCH" {
			w.WriteHeader(204)
			return
		}
		says(200, `{"id":"a","status":"resolved"}`)(w, r)
	})
	status := "resolved"
	a, err := c.UpdateAlert(t.Context(), "a", AlertPatch{Status: &status})
	if err != nil || a.Status != "resolved" || len(rec.list()) != 2 {
		t.Errorf("%+v, %v", a, err)
	}
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

func TestOptionsThatCannotWorkAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no credential": {},
		"plain http":    {Credential: &fixed{}, BaseURL: "http://graph.microsoft.com"},
		"no host":       {Credential: &fixed{}, BaseURL: "https://"},
		"a password":    {Credential: &fixed{}, BaseURL: "https://u:hunter2@h"},
		"a version":     {Credential: &fixed{}, BaseURL: "https://h/v1.0/"},
		"a bad budget":  {Credential: &fixed{}, Budgets: map[Class]Budget{ClassSecurity: {}}},
		"a bad class":   {Credential: &fixed{}, Budgets: map[Class]Budget{"nope": {Requests: 2, Per: 1, Burst: 1, Concurrent: 1}}},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := CloudNamed("germany"); err == nil || !strings.Contains(err.Error(), "usgov-l4") {
		t.Errorf("cloud: %v", err)
	}
}
