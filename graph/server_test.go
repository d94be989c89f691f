package graph

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// fakeToken has the form of a token, so that whoever repeats it is found.
const fakeToken = "eyJhbGciOiJub25lIn0.eyJyb2xlcyI6WyJhIl19.c2lnbmF0dXJl"

// fixed is a credential that hands out one token and counts.
type fixed struct {
	mu     sync.Mutex
	asked  int
	forgot int
	claims []string
	token  string // fakeToken when empty
}

func (f *fixed) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	f.claims = append(f.claims, o.Claims)
	return azcore.AccessToken{Token: cmp.Or(f.token, fakeToken), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (f *fixed) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgot++
}

// seen is one request as a server got it.
type seen struct {
	Method, Path, Query, Body string
	Header                    http.Header
}

// recorder notes requests.
type recorder struct {
	mu  sync.Mutex
	all []seen
}

func (r *recorder) note(req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, seen{req.Method, req.URL.EscapedPath(), req.URL.RawQuery, string(body), req.Header.Clone()})
}

func (r *recorder) list() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]seen(nil), r.all...)
}

// against starts a server and a client of it.
func against(t *testing.T, answer http.HandlerFunc) (*Client, *recorder, *httptest.Server) {
	t.Helper()
	rec := &recorder{}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec.note(r)
		w.Header().Set("request-id", "server-side-id")
		answer(w, r)
	}))
	t.Cleanup(srv.Close)
	return clientOf(t, srv, &fixed{}), rec, srv
}

func clientOf(t *testing.T, srv *httptest.Server, cred azcore.TokenCredential) *Client {
	t.Helper()
	c, err := New(Options{Tenant: "contoso", BaseURL: srv.URL, Credential: cred, Transport: trusting(srv), Budgets: map[Class]Budget{
		ClassSecurity: {Requests: 100_000, Per: time.Second, Burst: 10_000, Concurrent: 8}, // real time must not pass
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// trusting is our own transport with the server's certificate.
func trusting(srv *httptest.Server) *http.Transport {
	tr := newTransport()
	pool := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	tr.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return tr
}

// says answers with a status and a JSON body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}
