package main

import (
	"context"
	_ "embed" // the alert
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed alert.json
var alertText string

// scenario is one kind of work.
type scenario struct {
	name     string
	https    bool // alert.update over HTTPS; otherwise http.request without TLS
	steps    int  // PATCHes in a run
	severity string
	steady   bool // latency is measured too
}

// matches says that the condition holds.
func (s scenario) matches() bool { return s.severity == "low" }

var scenarios = []scenario{
	{name: "http-1", steps: 1, severity: "low", steady: true},
	{name: "http-3", steps: 3, severity: "low"},
	{name: "https-1", https: true, steps: 1, severity: "low", steady: true},
	{name: "https-3", https: true, steps: 3, severity: "low"},
	{name: "false", steps: 1, severity: "high"},
}

// startOurs starts playbookd in a directory of its own, which may hold an earlier journal.
func (b *bench) startOurs(ctx context.Context, s scenario) (*process, error) {
	dir := b.path("ours-" + s.name)
	if err := os.MkdirAll(filepath.Join(dir, "playbooks"), 0o700); err != nil {
		return nil, err
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`listen: %s
log: {level: warn}
secrets: {edr_key: {file: ../edr.key}}
webhooks: {edr: {rate: 10000, burst: 100000, concurrent: 256}}
outbound: {http: ["127.0.0.1:%s"], private: [127.0.0.0/8]}
tenants:
  contoso:
    tenant_id: b3c1b5fc-828c-45fa-a1e1-10d74f6d6e9c
    client_id: 8f0a0f2c-53c0-4f2a-9f5d-5f2b5d2f5c5a
    credential: {kind: client_secret, secret: {file: ../client.secret}}
    graph: %s
    authority: %s
    ca: ../ca.pem
    budgets: {security: 60000000/1m}
`, addr, port(b.target.urls["http"]), b.target.urls["https"], b.target.urls["https"])
	for name, text := range map[string]string{"playbookd.yaml": config, "playbooks/bench.yaml": s.playbook(b.target.urls["http"])} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	args := []string{"serve", "-c", filepath.Join(dir, "playbookd.yaml")}
	profiles := ""
	if b.profile != "" {
		if profiles, err = freeAddr(ctx); err != nil {
			return nil, err
		}
		args = append(args, "--pprof", profiles)
	}
	p, err := startServing(ctx, "playbookd", "http://"+addr, b.path("playbookd"), args...)
	if err != nil {
		return nil, err
	}
	p.urls["profiles"] = "http://" + profiles
	return p, p.watchJournal(ctx, filepath.Join(dir, "data"))
}

// playbook is the scenario as one.
func (s scenario) playbook(target string) string {
	var text strings.Builder
	text.WriteString(`name: bench
owner: soc@contoso.example
reason: what a run costs
expires: 2099-12-31
mode: live
triggers: [{webhook: {path: edr, auth: {hmac: edr_key}, as: alert}}]
when: alert.status == "new" and alert.severity == "low" and alert.serviceSource == "microsoftDefenderForEndpoint"
steps:
`)
	for _, status := range []string{"inProgress", "inProgress", "resolved"}[3-s.steps:] {
		if s.https {
			fmt.Fprintf(&text, `  - action: alert.update
    with: {alert: "${{ alert.id }}", status: %s, classification: falsePositive, determination: notMalicious}
`, status)
			continue
		}
		fmt.Fprintf(&text, `  - action: http.request
    with:
      url: %s/alerts/${{ url(alert.id) }}
      method: PATCH
      repeatable: true
      body: {status: %s, classification: falsePositive, determination: notMalicious}
`, target, status)
	}
	return text.String()
}

// startByHand starts the program that playbookd is compared with.
func (b *bench) startByHand(ctx context.Context, s scenario) (*process, error) {
	args := []string{"-db", b.path("byhand-" + s.name + ".db"), "-key", b.path("edr.key"), "-steps", strconv.Itoa(s.steps),
		"-prefix", b.target.urls["http"] + "/alerts/"}
	if s.https {
		args = append(args, "-prefix", b.target.urls["https"]+"/v1.0/security/alerts_v2/", "-ca", b.path("ca.pem"))
	}
	p, err := start(ctx, "byhand", b.path("byhand"), args...)
	if err != nil {
		return nil, err
	}
	p.ended = func(ctx context.Context) (int, error) {
		text, err := get(ctx, p.urls["http"]+"/ended")
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(string(text))
	}
	return p, nil
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func port(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }
