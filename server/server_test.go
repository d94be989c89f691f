package server

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// started makes a server on a free port of this machine.
func started(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
		select {
		case err := <-s.Failed():
			t.Errorf("the server failed: %v", err)
		default:
		}
	})
	return s
}

func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

func TestHealthNamesEachFailingCheckAndWhy(t *testing.T) {
	t.Parallel()
	bad := errors.New("no poll of contoso/alerts for\n20 minutes")
	s := started(t, Options{
		Health: []Check{{"journal", func(context.Context) error { return nil }}},
		Ready: []Check{
			{"poll contoso/alerts", func(context.Context) error { return bad }},
			{"broken", func(context.Context) error { panic("oops") }},
		},
	})
	status, body, _ := get(t, "http://"+s.Addr()+"/healthz")
	if status != 200 {
		t.Errorf("healthz: %d %s", status, body)
	}
	status, body, head := get(t, "http://"+s.Addr()+"/readyz")
	var got Status
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := Status{"failing", []CheckStatus{
		{"journal", true, ""},
		{"poll contoso/alerts", false, "no poll of contoso/alerts for 20 minutes"},
		{"broken", false, "the check itself is broken"},
	}}
	if diff := cmp.Diff(want, got); status != 503 || diff != "" || head.Get("Content-Type") != "application/json" {
		t.Errorf("readyz: %d %v (-want +got):\n%s", status, head, diff)
	}
	if long := oneLine(strings.Repeat("x", MaxReason+1)); len([]rune(long)) != MaxReason+1 || !strings.HasSuffix(long, "…") {
		t.Errorf("a reason of %d characters", len(long))
	}
	if long := oneLine(strings.Repeat("x", MaxReason)); len(long) != MaxReason {
		t.Errorf("a reason of %d characters", len(long))
	}
}

func TestAnAddressThatOthersReachNeedsTLSOrAProxy(t *testing.T) {
	t.Parallel()
	for addr, local := range map[string]bool{
		"127.0.0.1:0": true, "[::1]:0": true, "localhost:0": true, "127.9.9.9:0": true, "[::ffff:127.0.0.1]:0": true,
		":0": false, "0.0.0.0:0": false, "[::]:0": false, "192.0.2.1:0": false, "8.8.8.8:443": false,
	} {
		_, err := New(Options{Addr: addr})
		if (err == nil) != local {
			t.Errorf("%s: %v", addr, err)
		}
		if err != nil && !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: the error says no way out: %v", addr, err)
		}
		if _, err := New(Options{Addr: addr, BehindProxy: true}); err != nil {
			t.Errorf("%s behind a proxy: %v", addr, err)
		}
	}
	for _, addr := range []string{"8080", "example.com:8080", "127.0.0.1", "localhost.evil.example:80"} {
		if _, err := New(Options{Addr: addr, BehindProxy: true}); err == nil {
			t.Errorf("%s was accepted", addr)
		}
	}
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Skipf("no such listener here: %v", err)
	}
	s, err := New(Options{Listener: ln})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil {
		t.Error("a listener that others reach was accepted")
	}
}

func TestEveryAnswerCarriesTheHeadersThatProtectBrowsers(t *testing.T) {
	t.Parallel()
	s := started(t, Options{})
	for _, path := range []string{"/healthz", "/nope"} {
		_, _, head := get(t, "http://"+s.Addr()+path)
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer",
		} {
			if got := head.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
}

func TestAHandlerThatPanicsCostsItsRequestAndNothingElse(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := started(t, Options{
		Webhooks: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { panic("secret of the payload") }),
		Log:      slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 3 {
		if status, body, _ := get(t, "http://"+s.Addr()+"/webhooks/x"); status != 500 || strings.Contains(body, "secret") {
			t.Errorf("%d %s", status, body)
		}
	}
	if status, _, _ := get(t, "http://"+s.Addr()+"/healthz"); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	if strings.Contains(log.String(), "secret of the payload") || !strings.Contains(log.String(), "panicked") {
		t.Errorf("the log is\n%s", log.String())
	}
}

func TestHeadersBeyondTheLimitAreRefused(t *testing.T) {
	t.Parallel()
	s := started(t, Options{})
	for size, want := range map[int]int{MaxHeaderBytes / 2: 200, MaxHeaderBytes + 8<<10: 431} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr()+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Long", strings.Repeat("x", size))
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%d bytes: %d", size, res.StatusCode)
		}
	}
}

func TestStopLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan bool), make(chan bool)
	s, err := New(Options{Addr: "127.0.0.1:0", Webhooks: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		w.WriteHeader(http.StatusAccepted)
	})})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil {
		t.Error("it could be started twice")
	}
	addr := s.Addr()
	answer := make(chan error, 1)
	go func() {
		res, err := http.Post("http://"+addr+"/webhooks/x", "application/json", strings.NewReader("{}"))
		if err == nil && res.StatusCode != http.StatusAccepted {
			err = fmt.Errorf("status %d", res.StatusCode)
		}
		answer <- err
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	select {
	case err := <-stopped:
		t.Errorf("stopped before the request ended: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	if err := <-answer; err != nil {
		t.Errorf("the request: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("it still listens")
	}
}

func TestStopReportsRequestsThatItCutOff(t *testing.T) {
	t.Parallel()
	begun := make(chan bool)
	s, err := New(Options{Addr: "127.0.0.1:0", Webhooks: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /webhooks/x HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Stop(ctx); err == nil {
		t.Error("nothing was reported")
	}
}

func TestNoMoreConnectionsThanAllowedAreServedAtOnce(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := newCapped(inner, 1)
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	for range 2 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	select {
	case <-accepted:
		t.Error("a second connection was taken beside the first")
	case <-time.After(20 * time.Millisecond):
	}
	first.Close()
	first.Close() // gives back its place once
	second := <-accepted
	if second == nil {
		t.Fatal("the second connection was never taken")
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if c := <-accepted; c != nil {
		t.Error("accepting did not end")
	}
}

// writePair makes a certificate for this machine.
func writePair(t *testing.T, dir string, serial int64) (certFile, keyFile string, cert *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "playbookd"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile, cert
}

func TestTLSIsServedAndARenewedCertificateNeedsNoRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile, cert := writePair(t, dir, 1)
	s := started(t, Options{CertFile: certFile, KeyFile: keyFile})
	serial := func(c *x509.Certificate, least, most uint16) (int64, error) {
		pool := x509.NewCertPool()
		pool.AddCert(c)
		conn, err := tls.Dial("tcp", s.Addr(), &tls.Config{RootCAs: pool, MinVersion: least, MaxVersion: most})
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return 0, err
		}
		if res.StatusCode != 200 || res.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
	}
	if n, err := serial(cert, tls.VersionTLS12, 0); n != 1 || err != nil {
		t.Errorf("serial %d, %v", n, err)
	}
	if _, err := serial(cert, tls.VersionTLS10, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	expire := func() { s.tls.mu.Lock(); s.tls.looked = time.Time{}; s.tls.mu.Unlock() }
	_, _, renewed := writePair(t, dir, 2)
	expire()
	if n, err := serial(renewed, tls.VersionTLS12, 0); n != 2 || err != nil {
		t.Errorf("after renewal: serial %d, %v", n, err)
	}
	if err := os.WriteFile(keyFile, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	expire()
	if n, err := serial(renewed, tls.VersionTLS12, 0); n != 2 || err != nil {
		t.Errorf("while files are replaced: serial %d, %v", n, err)
	}
	if _, err := New(Options{CertFile: certFile}); err == nil {
		t.Error("a certificate without a key was accepted")
	}
	if _, err := New(Options{CertFile: certFile, KeyFile: keyFile}); err == nil {
		t.Error("a broken key was accepted")
	}
}
