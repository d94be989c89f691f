//go:build unix

package stress_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/triggers"
)

// hookKey is the key of the webhooks of these tests.
const hookKey = "an-example-key-of-32-characters!"

// certify gives the site's listener a certificate and returns whom its clients have to trust.
func (s *site) certify() *x509.CertPool {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.Write("cert.pem", string(cert))
	s.Write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})))
	s.Edit(sandbox.ConfigName, "listen:", "tls: {cert: cert.pem, key: key.pem}\nlisten:")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

// sender sends deliveries to a daemon.
type sender struct {
	t    *testing.T
	addr string
	tls  *tls.Config
	http *http.Client
}

func newSender(t *testing.T, addr string, trust *x509.CertPool, connections int) *sender {
	config := &tls.Config{RootCAs: trust, MinVersion: tls.VersionTLS12}
	transport := &http.Transport{TLSClientConfig: config, MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}
	t.Cleanup(transport.CloseIdleConnections)
	return &sender{t: t, addr: addr, tls: config, http: &http.Client{Transport: transport, Timeout: time.Minute}}
}

// head makes the headers of a signed delivery.
func head(id, key string, body []byte) http.Header {
	stamp := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	h := http.Header{}
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", stamp)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return h
}

// send makes one delivery. Status 0 means that no answer came.
func (s *sender) send(ctx context.Context, hook, kind, id, key string, body []byte) (int, triggers.Answer) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.addr+"/webhooks/"+hook, bytes.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return 0, triggers.Answer{}
	}
	req.Header = head(id, key, body)
	req.Header.Set("Content-Type", kind)
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, triggers.Answer{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, triggers.Answer{}
	}
	var a triggers.Answer
	if resp.StatusCode == http.StatusAccepted {
		if err := json.Unmarshal(text, &a); err != nil {
			s.t.Errorf("answer %q: %v", text, err)
		}
	}
	return resp.StatusCode, a
}

// trickle opens a connection, sends the headers of a delivery with a fresh timestamp, and then a
// byte of the body now and then. It returns what was answered: 0 if the connection was closed.
func (s *sender) trickle(ctx context.Context, hook string) int {
	d := tls.Dialer{Config: s.tls}
	conn, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return 0
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var h bytes.Buffer
	_ = head("slow", "a-key-that-somebody-has-guessed!", nil).Write(&h) // to memory
	fmt.Fprintf(conn, "POST /webhooks/%s HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\nContent-Type: application/json\r\n%s\r\n", hook, s.addr, h.Bytes())
	answer := make(chan int, 1)
	go func() {
		buf := make([]byte, 64)
		n, _ := conn.Read(buf)
		var status int
		_, _ = fmt.Sscanf(string(buf[:n]), "HTTP/1.1 %d", &status)
		answer <- status
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case status := <-answer:
			return status
		case <-tick.C:
			_, _ = conn.Write([]byte(" ")) // a closed connection is noticed by the reader
		}
	}
}
