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
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

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
				if e.Unknown() || !e.Retry() {
					t.Errorf("a refused token leaves nothing unknown, and somebody may mend it: %+v", e)
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
	for _, token := range []string{fakeToken, "opaque/token=="} {
		_, _, srv := against(t, func(w http.ResponseWriter, r *http.Request) {
			says(400, `{"error":{"code":"x","message":"you sent `+r.Header.Get("Authorization")+` \u001b[2J\n`+strings.Repeat("blah ", 5000)+`"}}`)(w, r)
		})
		_, err := clientOf(t, srv, &fixed{token: token}).Alert(t.Context(), "a")
		if err == nil || strings.Contains(err.Error(), token) || len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("got %v", err)
		}
		if !strings.Contains(err.Error(), "you sent") {
			t.Errorf("the server's text is missing: %v", err)
		}
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
	ctx, cancel := context.WithCancel(t.Context())
	c, _, _ := against(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel() // the request has arrived
		<-r.Context().Done()
	})
	_, err := c.CommentAlert(ctx, "a", "x")
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != CodeCanceled || !e.Unknown() || !errors.Is(err, context.Canceled) {
		t.Errorf("while waiting for the answer: %v", err)
	}
	_, err = c.CommentAlert(ctx, "a", "x")
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != CodeCanceled || e.Unknown() {
		t.Errorf("before the start: %v", err)
	}
}

func TestAnAnswerBeyondTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	for _, extra := range []int{0, 1} {
		rt := roundTripper(func(r *http.Request) (*http.Response, error) {
			body := io.MultiReader(io.LimitReader(blanks{}, int64(MaxAnswerBytes-1+extra)), strings.NewReader("7"))
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body), Request: r}, nil
		})
		c, err := New(Options{Credential: &fixed{}, Transport: rt})
		if err != nil {
			t.Fatal(err)
		}
		n, err := c.CountAlerts(t.Context(), "")
		if e, ok := errors.AsType[*Error](err); ok != (extra == 1) || ok && e.Kind != CodeProtocol || !ok && n != 7 {
			t.Errorf("%d bytes beyond: %d, %v", extra, n, err)
		}
	}
}

// blanks is an answer without end.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
