package daemon_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/testsite"
	"github.com/playbookd/playbookd/store"
)

// The secrets of a daemon, each to be recognised wherever it turns up.
var canaries = map[string]string{
	"client secret":  clientSecret,
	"key of a hook":  "canary-of-the-edr-key-0123456789",
	"bearer token":   "canary/of+the=ticket~token",
	"header":         "canary of the header \"quoted\"",
	"channel's url":  "https://hooks.example/services/T0/B0/canary-of-the-slack-url",
	"person's token": "canary-of-the-token-of-anna-123",
}

const canaryConfig = `data: data
secrets: {edr_key: {file: edr.key}, ticket_token: {file: bearer.txt}, ticket_header: {file: header.txt}}
channels: {soc: {kind: slack, url: {file: slack.txt}}}
people: {anna: {roles: [operator], token: {file: anna.txt}}}
outbound: {hosts: [pager.example, hooks.example]}
tenants:
  contoso: {tenant_id: ` + simulator.DefaultTenant + `, client_id: ` + simulator.DefaultClient + `, credential: {kind: client_secret, secret: {file: client-secret.txt}}, graph: "https://graph.example", authority: "https://login.example"}
`

const tickets = `name: tickets
triggers: [{poll: {resource: alerts, every: 10s}}]
steps:
  - action: http.request
    with: {url: "https://pager.example/fails", bearer: "${{ secrets.ticket_token }}", secretHeaders: {X-Key: "${{ secrets.ticket_header }}"}}
    retry: {attempts: 1}
    on_error: continue
  - id: ticket
    action: http.request
    with: {url: "https://pager.example/echo", method: PUT, bearer: "${{ secrets.ticket_token }}", secretHeaders: {X-Key: "${{ secrets.ticket_header }}"}, body: {title: "${{ alert.title }}"}}
    retry: {attempts: 1}
    on_error: continue
  - set: {answer: "${{ string(steps.ticket.output.body) }}"}
  - action: log
    with: {message: "${{ alert.title }}", fields: {answer: "${{ vars.answer }}"}}
  - action: alert.comment
    with: {alert: "${{ alert.id }}", comment: "answer ${{ vars.answer }}"}
  - action: notify.send
    with: {channel: soc, title: "${{ alert.title }}", text: "${{ vars.answer }}"}
    retry: {attempts: 1}
    on_error: continue
vars: {answer: ""}
`

// tattle answers requests with all that they hold, as the worst of services do, and remembers the
// tokens that Graph was sent.
type tattle struct {
	mu     sync.Mutex
	tokens map[string]bool
	told   map[string]int
}

func (s *tattle) answer(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	echo := r.URL.String() + " " + string(body)
	for name, values := range r.Header {
		echo += " " + name + ": " + strings.Join(values, ",")
	}
	quoted, err := json.Marshal(echo)
	if err != nil {
		return nil, err
	}
	reply := func(status int, text string) (*http.Response, error) {
		s.told[r.URL.Host]++
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}, "X-Echo": {strings.ReplaceAll(echo, "\n", " ")}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	}
	switch {
	case r.URL.Host == "login.example" && strings.HasSuffix(r.URL.Path, "/token") && s.told[r.URL.Host] < 2:
		return reply(401, `{"error":"invalid_client","error_description":"AADSTS7000215: `+strings.Trim(string(quoted), `"`)+`","error_codes":[7000215]}`)
	case r.URL.Host == "graph.example":
		s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] = true
		if s.told[r.URL.Host] < 2 {
			return reply(400, `{"error":{"code":"BadRequest","message":`+string(quoted)+`}}`)
		}
	case r.URL.Path == "/fails":
		return reply(500, echo)
	case r.URL.Host == "pager.example":
		return reply(200, `{"you":`+string(quoted)+`}`)
	case r.URL.Host == "hooks.example":
		s.told[r.URL.Host]++
		return nil, errors.New("connecting to " + echo)
	}
	return nil, nil
}

// shapes are the forms in which a secret may turn up.
func shapes(secret string) []string {
	quoted, err := json.Marshal(secret)
	if err != nil {
		return nil
	}
	return []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(string(quoted), `"`),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)),
	}
}

func TestSecretsTurnUpNowhereAndAlertTextForgesNoLine(t *testing.T) {
	const title = "evil\ntime=2026-01-01 level=ERROR msg=forged \x1b[31m\u202ered"
	var log *testsite.Lines
	tell := &tattle{tokens: map[string]bool{}, told: map[string]int{}}
	pages, effects := map[string]string{}, ""
	inBubble(t, map[string]string{
		"../playbookd.yaml": canaryConfig, "tickets.yaml": tickets, "pushed.yaml": hook,
		"../edr.key": canaries["key of a hook"], "../bearer.txt": canaries["bearer token"], "../header.txt": canaries["header"],
		"../slack.txt": canaries["channel's url"], "../anna.txt": canaries["person's token"],
	}, nil, func(b *bubbled) {
		log = &b.log
		b.answers(tell.answer)
		now := time.Now().UTC().Format(time.RFC3339Nano)
		if err := b.sim.Add(simulator.Document{"id": "evil", "title": title, "status": "new", "severity": "high", "createdDateTime": now, "lastUpdateDateTime": now}); err != nil {
			b.t.Fatal(err)
		}
		ask := func(r *http.Request) string {
			w := httptest.NewRecorder()
			b.d.Handler().ServeHTTP(w, r)
			return w.Body.String()
		}
		for i := range 50 { // no backup is made meanwhile
			time.Sleep(10 * time.Second)
			pages["readyz"] += ask(httptest.NewRequest(http.MethodGet, "/readyz", nil))
			r := httptest.NewRequest(http.MethodPost, "/webhooks/edr", strings.NewReader(`{"id":"a"}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Webhook-Id", "m1")
			r.Header.Set("Webhook-Signature", "v1,"+canaries["key of a hook"]) // somebody mixed them up
			pages["webhooks"] += ask(r)
			r = httptest.NewRequest(http.MethodGet, "/api/approvals", nil)
			r.Header.Set("Authorization", "Bearer "+canaries["person's token"][i%3:])
			pages["api"] += ask(r)
		}
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			pages[path] = ask(httptest.NewRequest(http.MethodGet, path, nil))
		}
		runs, err := b.d.Store().Runs(b.t.Context(), store.RunFilter{Playbook: "tickets"})
		if err != nil || len(runs) == 0 {
			b.t.Fatalf("no runs: %v", err)
		}
		done := 0
		for _, run := range runs {
			if run.State == engine.Succeeded {
				done++
			}
			loaded, err := b.d.Store().Load(b.t.Context(), run.ID)
			if err != nil {
				b.t.Fatal(err)
			}
			for _, e := range loaded.Entries {
				pages["history"] += string(e.Data)
			}
			pages["history"] += run.Message
		}
		for _, e := range b.sim.Effects() {
			text, err := json.Marshal(e)
			if err != nil {
				b.t.Fatal(err)
			}
			effects += string(text)
		}
		for _, host := range []string{"login.example", "graph.example", "pager.example", "hooks.example"} {
			if tell.told[host] == 0 {
				b.t.Errorf("%s was not asked, so it told nothing", host)
			}
		}
		err = filepath.WalkDir(filepath.Join(b.dir, "data"), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			pages[filepath.Base(path)] += string(content)
			return err
		})
		if err != nil {
			b.t.Fatal(err)
		}
		if done == 0 || !strings.Contains(effects, "answer ") {
			b.t.Errorf("%d of %d runs went to their end: %+v", done, len(runs), runs)
		}
	})
	if t.Failed() {
		return
	}
	pages["log"], pages["effects"] = log.String(), effects
	secrets := map[string]string{}
	for name, value := range canaries {
		secrets[name] = value
	}
	for token := range tell.tokens {
		secrets["token for Graph"] = token
	}
	if len(secrets) != len(canaries)+1 {
		t.Fatal("no token was seen")
	}
	for where, text := range pages {
		if text == "" {
			t.Errorf("nothing was read of %s", where)
		}
		for name, value := range secrets {
			for _, form := range shapes(value) {
				if i := strings.Index(text, form); i >= 0 {
					t.Errorf("%s: the %s turns up: …%s…", where, name, text[max(0, i-200):min(len(text), i+len(form)+20)])
					break
				}
			}
		}
	}
	for line := range strings.Lines(pages["log"]) {
		if !strings.HasPrefix(line, "time=2000-") || strings.ContainsAny(line, "\x1b\u202e") {
			t.Errorf("a line was forged: %q", line)
		}
	}
	if !strings.Contains(pages["log"], "msg=forged") {
		t.Error("the title was not logged at all")
	}
	if strings.Contains(pages["/metrics"], "evil") || strings.Contains(pages["/healthz"], "evil") {
		t.Error("text of an alert is on a page of health")
	}
}
