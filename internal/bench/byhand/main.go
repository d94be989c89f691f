// Command byhand does by hand what a playbook of the bench does: it takes a signed webhook, compares
// three fields, sends a few PATCHes, and records event, decision, run, intents and outcomes in
// SQLite, durably and with group commit. It knows nothing else: no language, no retries, no
// recovery, no second version of an alert. It is the measure of what playbookd could cost at least.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Limits, those of playbookd's defaults.
const (
	maxBody   = 1 << 20
	tolerance = 300 // seconds
	workers   = 64
)

// program is all of it.
type program struct {
	key    []byte
	prefix string // of the address of an alert
	bodies [][]byte
	client *http.Client
	j      *journal
	slots  chan struct{}
	ended  atomic.Int64
}

func main() {
	file := flag.String("db", "byhand.db", "database")
	key := flag.String("key", "", "file with the key of the webhook")
	prefix := flag.String("prefix", "", "what the address of an alert begins with")
	ca := flag.String("ca", "", "file with the certificate to trust")
	steps := flag.Int("steps", 1, "how many PATCHes a run makes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *file, *key, *prefix, *ca, *steps); err != nil {
		fmt.Fprintln(os.Stderr, "byhand:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file, key, prefix, ca string, steps int) error {
	p := &program{prefix: prefix, slots: make(chan struct{}, workers)}
	text, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	p.key = bytes.TrimSpace(text)
	for _, status := range []string{"inProgress", "inProgress", "resolved"}[3-steps:] {
		p.bodies = append(p.bodies, []byte(`{"status":"`+status+`","classification":"falsePositive","determination":"notMalicious"}`))
	}
	if p.client, err = newClient(ca); err != nil {
		return err
	}
	if p.j, err = openJournal(ctx, file); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /webhooks/edr", p.webhook)
	mux.HandleFunc("GET /ended", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, p.ended.Load()) })
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	fmt.Printf("{\"http\":\"http://%s\"}\n", l.Addr())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	return errors.Join(s.Close(), p.j.close())
}

func newClient(ca string) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = workers, workers
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: t, Timeout: time.Minute}, nil
}

// alert is what the program needs of one.
type alert struct {
	ID            string `json:"id"`
	Title         string `json:"title"`
	Status        string `json:"status"`
	Severity      string `json:"severity"`
	ServiceSource string `json:"serviceSource"`
}

func (p *program) webhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "body", http.StatusRequestEntityTooLarge)
		return
	}
	id := r.Header.Get("Webhook-Id")
	if !p.signed(r.Header, id, body) {
		http.Error(w, "not authenticated", http.StatusUnauthorized)
		return
	}
	var a alert
	if err := json.Unmarshal(body, &a); err != nil || a.ID == "" {
		http.Error(w, "not an alert", http.StatusBadRequest)
		return
	}
	now := time.Now().UnixNano()
	matched := a.Status == "new" && a.Severity == "low" && a.ServiceSource == "microsoftDefenderForEndpoint"
	run := runID(id)
	started := false
	err = p.j.write(r.Context(), func(t *tx) error {
		event, fresh, err := t.event(id, a.ID, a.Title, now, body)
		if err != nil || !fresh {
			return err
		}
		if err := t.decision(event, matched, run); err != nil || !matched {
			return err
		}
		started = true
		if err := t.run(run, event, now); err != nil {
			return err
		}
		return t.intent(run, 0, now, p.bodies[0])
	})
	if err != nil {
		http.Error(w, "not stored", http.StatusServiceUnavailable)
		return
	}
	if started {
		go p.act(run, a.ID)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"accepted":1}`)
}

// signed verifies what Standard Webhooks asks for.
func (p *program) signed(h http.Header, id string, body []byte) bool {
	stamp := h.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || math.Abs(float64(time.Now().Unix()-seconds)) > tolerance {
		return false
	}
	text, ok := strings.CutPrefix(h.Get("Webhook-Signature"), "v1,")
	got, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return false
	}
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return subtle.ConstantTimeCompare(got, mac.Sum(nil)) == 1
}

func runID(event string) string {
	sum := sha256.Sum256([]byte(event))
	return hex.EncodeToString(sum[:12])
}

// act makes the PATCHes of a run. Each outcome is recorded together with the next intent.
func (p *program) act(run, id string) {
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	for step, body := range p.bodies {
		status, answer, err := p.patch(run, step, id, body)
		last := step == len(p.bodies)-1
		recorded := p.j.write(context.Background(), func(t *tx) error {
			now := time.Now().UnixNano()
			failed := t.outcome(run, step, now, status, answer, err)
			switch {
			case failed != nil:
				return failed
			case last || err != nil:
				return t.end(run, now, err == nil)
			}
			return t.intent(run, step+1, now, p.bodies[step+1])
		})
		if err != nil || recorded != nil {
			fmt.Fprintln(os.Stderr, "byhand: run", run, errors.Join(err, recorded))
			return
		}
	}
	p.ended.Add(1)
}

// patch sends one. Of the answer it keeps the status of the alert.
func (p *program) patch(run string, step int, id string, body []byte) (int, string, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPatch, p.prefix+id, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer bench")
	req.Header.Set("Idempotency-Key", run+"-"+strconv.Itoa(step))
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return 0, "", err
	}
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, "", fmt.Errorf("status %d", resp.StatusCode)
	}
	var a alert
	err = json.Unmarshal(answer, &a)
	return resp.StatusCode, a.Status, err
}
