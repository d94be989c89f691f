// Command target is what the programs of the bench act on: an HTTP server and an HTTPS server that
// answer every PATCH of an alert at once and remember when each arrived. It also answers the
// sign-in of a Graph client, with a token that is worth nothing.
//
// It is the same for both programs that are compared, so whatever it costs, it costs both.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func main() {
	ca := flag.String("ca", "ca.pem", "file to write the certificate to")
	alert := flag.String("alert", "", "file with the alert that a PATCH of Graph is answered with")
	flag.Parse()
	if err := run(*ca, *alert); err != nil {
		fmt.Fprintln(os.Stderr, "target:", err)
		os.Exit(1)
	}
}

func run(caFile, alertFile string) error {
	alert, err := os.ReadFile(alertFile)
	if err != nil {
		return err
	}
	cert, err := selfSigned(caFile)
	if err != nil {
		return err
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h := (&target{alert: strings.ReplaceAll(string(alert), "{severity}", "low"), url: "https://" + secure.Addr().String(), arrived: map[string][]int64{}}).routes()
	failed := make(chan error, 2)
	go func() { failed <- (&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}).Serve(plain) }()
	go func() {
		s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute,
			TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}}
		failed <- s.ServeTLS(secure, "", "")
	}()
	fmt.Printf("{\"http\":\"http://%s\",\"https\":\"https://%s\"}\n", plain.Addr(), secure.Addr())
	return <-failed
}

// target remembers when the PATCHes of each alert arrived, in nanoseconds since 1970.
type target struct {
	alert string
	url   string

	mu      sync.Mutex
	arrived map[string][]int64
}

func (t *target) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PATCH /alerts/{id}", func(w http.ResponseWriter, r *http.Request) {
		t.note(r)
		answer(w, `{"id":"`+r.PathValue("id")+`","status":"resolved"}`)
	})
	mux.HandleFunc("PATCH /v1.0/security/alerts_v2/{id}", func(w http.ResponseWriter, r *http.Request) {
		t.note(r)
		answer(w, strings.ReplaceAll(t.alert, "{id}", r.PathValue("id")))
	})
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		base := t.url + "/" + r.PathValue("tenant")
		answer(w, `{"issuer":"`+base+`/v2.0","authorization_endpoint":"`+base+`/oauth2/v2.0/authorize","token_endpoint":"`+base+`/oauth2/v2.0/token"}`)
	})
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, `{"token_type":"Bearer","expires_in":86400,"ext_expires_in":86400,"access_token":"bench"}`)
	})
	mux.HandleFunc("GET /arrived", func(w http.ResponseWriter, _ *http.Request) {
		t.mu.Lock()
		defer t.mu.Unlock()
		_ = json.NewEncoder(w).Encode(t.arrived) // a bench that is gone needs no answer
		t.arrived = map[string][]int64{}
	})
	return mux
}

func (t *target) note(r *http.Request) {
	now := time.Now().UnixNano()
	id := r.PathValue("id")
	t.mu.Lock()
	t.arrived[id] = append(t.arrived[id], now)
	t.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body) // what it says does not matter here
}

func answer(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, body)
}

// selfSigned makes a certificate that is its own authority, and writes it for the clients.
func selfSigned(file string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
