package guard

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestOnlyPublicAddressesAreReached(t *testing.T) {
	t.Parallel()
	for addr, public := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "172.15.255.255": true, "172.32.0.0": true, "100.63.255.255": true, "100.128.0.0": true,
		"169.253.255.255": true, "192.167.1.1": true, "223.255.255.255": true, "2606:4700::1111": true, "2a00:1450::1": true,
		"64:ff9b::8.8.8.8": true, "2002:808:808::1": true, "::ffff:8.8.8.8": true,

		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "10.255.255.255": false, "100.64.0.1": false, "100.127.255.255": false,
		"127.0.0.1": false, "127.255.255.254": false, "169.254.0.1": false, "169.254.169.254": false, "168.63.129.16": false,
		"100.100.100.200": false, "172.16.0.1": false, "172.31.255.255": false, "192.0.0.1": false, "192.0.0.192": false, "192.0.2.1": false,
		"192.168.1.1": false, "198.18.0.1": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "239.255.255.255": false,
		"240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fc00::1": false, "fd00:ec2::254": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false,
		"ff02::1": false, "2001:db8::1": false, "2001::1": false, "100::1": false, "3fff::1": false, "5f00::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::127.0.0.1": false, "::10.0.0.1": false,
		"2002:7f00:1::1": false, "2002:a00:1::": false, "2002:a9fe:a9fe::1": false, "64:ff9b::127.0.0.1": false,
		"64:ff9b::169.254.169.254": false, "64:ff9b:1::1": false,
	} {
		refused := Policy{}.checkAddr(netip.MustParseAddr(addr))
		if (refused == nil) != public {
			t.Errorf("%s: %v", addr, refused)
		}
		if refused != nil && (refused.Rule != "address" || !strings.Contains(refused.Error(), "outbound.private") || refused.Sent) {
			t.Errorf("%s: %v", addr, refused)
		}
	}
}

func TestAPrivateRangeIsOpenedWithoutItsMetadataService(t *testing.T) {
	t.Parallel()
	prefixes := func(s ...string) (out []netip.Prefix) {
		for _, p := range s {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	for _, tc := range []struct {
		allow []netip.Prefix
		addr  string
		want  bool
	}{
		{prefixes("10.1.0.0/16"), "10.1.2.3", true},
		{prefixes("10.1.0.0/16"), "::ffff:10.1.2.3", true},
		{prefixes("10.1.0.0/16"), "10.2.0.1", false},
		{prefixes("0.0.0.0/0"), "10.2.0.1", true},
		{prefixes("0.0.0.0/0", "::/0"), "169.254.169.254", false},
		{prefixes("0.0.0.0/0", "::/0"), "::ffff:169.254.169.254", false},
		{prefixes("0.0.0.0/0", "::/0"), "168.63.129.16", false},
		{prefixes("169.254.169.254/32"), "169.254.169.254", true},
		{prefixes("169.254.169.254/32"), "169.254.169.253", false},
		{prefixes("::1/128"), "::1", true},
		{prefixes("::1/128"), "127.0.0.1", false},
	} {
		if got := (Policy{AllowPrivate: tc.allow}).checkAddr(netip.MustParseAddr(tc.addr)); (got == nil) != tc.want {
			t.Errorf("%v, %s: %v", tc.allow, tc.addr, got)
		}
	}
}

func TestAnAddressIsJudgedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	listed := Policy{AllowHosts: []string{"hooks.example", "*.corp.example", "odd.example:8443"}, AllowHTTP: []string{"old.example", "older.example:8080"}}
	for _, tc := range []struct {
		policy Policy
		url    string
		rule   string
	}{
		{Policy{}, "https://anything.example/x", ""},
		{Policy{}, "https://anything.example:443/", ""},
		{Policy{}, "http://anything.example/", "scheme"},
		{Policy{}, "ftp://anything.example/", "scheme"},
		{Policy{}, "file:///etc/passwd", "host"},
		{Policy{}, "https:///x", "host"},
		{Policy{}, "https://user:hunter2@anything.example/", "credentials"},
		{Policy{}, "https://anything.example:22/", "port"},
		{Policy{}, "https://anything.example:99999999/", "port"},
		{Policy{AllowPorts: []uint16{8443}}, "https://anything.example:8443/", ""},
		{Policy{}, "https://127.0.0.1/", "address"},
		{Policy{}, "https://[::1]/", "address"},
		{Policy{}, "https://[::ffff:7f00:1]/", "address"},
		{Policy{}, "https://１２７.0.0.1/", "host"},
		{Policy{}, "https://127。0。0。1/", "host"},
		{listed, "https://hooks.example/", ""},
		{listed, "https://HOOKS.example./", ""},
		{listed, "https://hooks.example:8443/", "port"},
		{listed, "https://odd.example:8443/", ""},
		{listed, "https://a.corp.example/", ""},
		{listed, "https://a.b.corp.example/", ""},
		{listed, "https://corp.example/", "host"},
		{listed, "https://evilcorp.example/", "host"},
		{listed, "https://hooks.example.evil/", "host"},
		{listed, "https://evil.example/?hooks.example", "host"},
		{listed, "http://old.example/", ""},
		{listed, "http://old.example:8080/", "port"},
		{listed, "http://older.example:8080/", ""},
		{listed, "https://old.example/", "host"},
		{listed, "http://hooks.example/", "scheme"},
	} {
		u, err := url.Parse(tc.url)
		if err != nil {
			continue // http.NewRequest refuses it before us
		}
		refused := tc.policy.checkURL(u)
		rule := ""
		if refused != nil {
			rule = refused.Rule
			if strings.Contains(refused.Error(), "hunter2") || refused.Mend == "" {
				t.Errorf("%s: %v", tc.url, refused)
			}
		}
		if rule != tc.rule {
			t.Errorf("%s: refused by %q, want %q", tc.url, rule, tc.rule)
		}
	}
}

func TestAPolicyThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	good := Policy{AllowHosts: []string{"a.example", "*.b.example", "c.example:8443", "[2606:4700::1111]:8443"}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]Policy{
		"everything":  {AllowHosts: []string{"*"}},
		"a scheme":    {AllowHosts: []string{"https://a.example"}},
		"a path":      {AllowHosts: []string{"a.example/x"}},
		"in between":  {AllowHTTP: []string{"a.*.example"}},
		"nothing":     {AllowHosts: []string{""}},
		"not ASCII":   {AllowHosts: []string{"ä.example"}},
		"no prefix":   {AllowPrivate: []netip.Prefix{{}}},
		"no duration": {Timeout: -time.Second},
	} {
		if bad.Check() == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// local allows what a test server needs.
func local(srv *httptest.Server) Policy {
	u, err := url.Parse(srv.URL)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	if c := srv.Certificate(); c != nil {
		pool.AddCert(c)
	}
	return Policy{AllowHosts: []string{u.Host}, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, RootCAs: pool}
}

func get(t *testing.T, p Policy, address string) (string, error) {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	c := Client(p)
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer x")
	req.Header.Set("X-Api-Key", "x")
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func refusedBy(err error) string {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Rule
	}
	return ""
}

func TestAServerIsReachedOnlyWhenItsAddressIsAllowed(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	asked := 0
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked++; _, _ = io.WriteString(w, "hello") }))
	defer srv.Close()
	p := local(srv)
	if body, err := get(t, p, srv.URL); err != nil || body != "hello" {
		t.Fatalf("%q, %v", body, err)
	}
	p.AllowPrivate = nil
	if _, err := get(t, p, srv.URL); refusedBy(err) != "address" {
		t.Errorf("by number: %v", err)
	}
	// A name is judged by what it resolves to at the moment of connecting.
	byName := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	p.AllowHosts = []string{strings.TrimPrefix(byName, "https://")}
	_, err := get(t, p, byName)
	if refusedBy(err) != "address" {
		t.Errorf("by name: %v", err)
	}
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Sent {
		t.Errorf("something was sent: %v", err)
	}
	if asked != 1 {
		t.Errorf("the server was asked %d times", asked)
	}
}

func TestTheDialerRefusesWhatANameTurnedInto(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{"127.0.0.1:443": false, "[fe80::1%lo]:443": false, "[::ffff:10.0.0.1]:443": false, "1.1.1.1:443": true, "rubbish": false} {
		if err := (Policy{}).control(context.Background(), "tcp4", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := (Policy{}).control(context.Background(), "unix", "1.1.1.1:443", nil); err == nil {
		t.Error("a socket that is no TCP was allowed")
	}
}

func TestARedirectIsFollowedOnTheSameHostOnly(t *testing.T) {
	t.Parallel()
	stolen := 0
	thief := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen++ }))
	defer thief.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen++ }))
	defer plain.Close()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := 0
		switch _, err := fmt.Sscanf(r.URL.Path, "/hops/%d", &n); {
		case r.URL.Path == "/thief":
			http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
		case r.URL.Path == "/plain":
			http.Redirect(w, r, plain.URL, http.StatusFound)
		case r.URL.Path == "/metadata":
			http.Redirect(w, r, "https://169.254.169.254/latest", http.StatusFound)
		case err == nil && n > 0:
			http.Redirect(w, r, fmt.Sprintf("/hops/%d", n-1), http.StatusFound)
		default:
			_, _ = io.WriteString(w, "arrived with "+r.Header.Get("X-Api-Key"))
		}
	}))
	defer srv.Close()
	p := local(srv)
	for path, want := range map[string]string{
		fmt.Sprintf("/hops/%d", DefaultRedirects): "", fmt.Sprintf("/hops/%d", DefaultRedirects+1): "redirect",
		"/thief": "redirect", "/plain": "redirect", "/metadata": "redirect",
	} {
		body, err := get(t, p, srv.URL+path)
		if refusedBy(err) != want || want == "" && body != "arrived with x" {
			t.Errorf("%s: %q, %v", path, body, err)
		}
		if r, ok := errors.AsType[*Refusal](err); ok {
			if _, _, retry, _, unknown := r.Fault(); retry || !unknown {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	p.NoRedirects = true
	if _, err := get(t, p, srv.URL+"/hops/1"); refusedBy(err) != "redirect" {
		t.Errorf("without redirects: %v", err)
	}
	if stolen != 0 {
		t.Errorf("another host was asked %d times", stolen)
	}
}

func TestAnAnswerBeyondItsLimitIsAnErrorNotAnEnd(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", len(r.URL.Query().Get("n"))))
	}))
	defer srv.Close()
	p := local(srv)
	p.MaxResponse = 100
	for n, want := range map[int]string{0: "", 99: "", 100: "", 101: "size", 1000: "size"} {
		body, err := get(t, p, srv.URL+"?n="+strings.Repeat("x", n))
		if refusedBy(err) != want || (want == "") != (err == nil) || len(body) != min(n, 100) {
			t.Errorf("%d bytes: %d, %v", n, len(body), err)
		}
	}
}

func TestAServerThatNeverAnswersIsLeft(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer srv.Close()
	p := local(srv)
	p.Timeout = 50 * time.Millisecond
	_, err := get(t, p, srv.URL)
	if n, ok := errors.AsType[net.Error](err); !ok || !n.Timeout() {
		t.Errorf("got %v", err)
	}
}

func TestPlainHTTPIsForListedHostsOnly(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer srv.Close()
	p := local(srv)
	if _, err := get(t, p, srv.URL); refusedBy(err) != "scheme" {
		t.Errorf("not listed: %v", err)
	}
	p.AllowHTTP = p.AllowHosts
	if body, err := get(t, p, srv.URL); err != nil || body != "hello" {
		t.Errorf("listed: %q, %v", body, err)
	}
}

func FuzzURLs(f *testing.F) {
	for _, s := range []string{"https://127.1/", "https://0x7f000001/", "https://[::ffff:127.0.0.1%25lo]/", "https://a.example:443@127.0.0.1/", "https://2130706433/"} {
		f.Add(s)
	}
	p := Policy{AllowHosts: []string{"hooks.example", "*.corp.example"}}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil || p.checkURL(u) != nil {
			return
		}
		host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		if u.Scheme != "https" || host != "hooks.example" && !strings.HasSuffix(host, ".corp.example") {
			t.Errorf("%q passed", s)
		}
	})
}
