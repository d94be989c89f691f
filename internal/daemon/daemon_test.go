package daemon_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/testsite"
	"github.com/playbookd/playbookd/store"
	"github.com/playbookd/playbookd/triggers"
)

// site is a simulator with a daemon's directory beside it.
type site struct {
	*testsite.Site
	t    *testing.T
	log  *testsite.Lines
	d    *daemon.Daemon
	stop func()
}

func newSite(t *testing.T, o simulator.Options) *site {
	t.Helper()
	if o.Alerts == 0 && len(o.Documents.Alerts) == 0 {
		o.Seed, o.Alerts = 1, 20
	}
	return &site{t: t, Site: testsite.New(t, testsite.Options{Options: o, Hasty: true, Listen: testsite.FreeAddr(t)}), log: &testsite.Lines{}}
}

// only replaces all playbooks by one.
func (s *site) only(text string) {
	s.t.Helper()
	s.Use()
	s.Write("playbooks/only.yaml", text)
}

func (s *site) start() {
	s.t.Helper()
	c, findings := config.Load(s.File)
	if err := findings.Err(); err != nil {
		s.t.Fatal(err)
	}
	d, err := daemon.New(s.t.Context(), daemon.Options{Config: c, Log: slog.New(slog.NewTextHandler(s.log, nil))})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	var once sync.Once
	s.d, s.stop = d, func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				s.t.Errorf("daemon: %v", err)
			}
		})
	}
	s.t.Cleanup(func() {
		s.stop()
		if s.t.Failed() {
			s.t.Log(s.log.String())
		}
	})
}

// fails is the error of a daemon that can't be made.
func (s *site) fails() error {
	s.t.Helper()
	c, findings := config.Load(s.File)
	if err := findings.Err(); err != nil {
		return err
	}
	d, err := daemon.New(s.t.Context(), daemon.Options{Config: c})
	if err == nil {
		_ = d.Close()
	}
	return err
}

// eventually waits until a condition holds. The deadline is no promise about speed.
func (s *site) eventually(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	s.t.Fatalf("it never came about that %s", what)
}

func (s *site) get(path string) (int, string) {
	resp, err := http.Get("http://" + s.d.Addr() + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func (s *site) runs(playbook string) []engine.Run {
	s.t.Helper()
	runs, err := s.d.Store().Runs(s.t.Context(), store.RunFilter{Playbook: playbook, Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	return runs
}

const hook = `name: pushed
triggers: [{webhook: {path: edr, auth: {hmac: edr_key}, as: alert}}]
steps: [{action: log, with: {message: "got ${{ alert.title }}"}}]
`

func TestAWebhookTakesAsMuchAsTheConfigurationSays(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.only(strings.Replace(hook, "hmac:", "apiKey:", 1))
	const key = "an-example-key-of-32-characters!"
	s.Write("edr.key", key)
	s.Edit("playbookd.yaml", "data: data", "data: data\nsecrets: {edr_key: {file: edr.key}}\nwebhooks: {edr: {rate: 1, burst: 3}}")
	s.start()
	s.eventually("the daemon listens", func() bool { code, _ := s.get("/healthz"); return code == 200 })
	taken := 0
	for range triggers.HookBurst { // as many as a hook takes that says nothing
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.d.Addr()+"/webhooks/edr", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-API-Key", key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusTooManyRequests {
			break
		}
		taken++
	}
	if taken < 3 || taken == triggers.HookBurst {
		t.Errorf("the hook took %d at once, want 3 and what a second or two bring", taken)
	}
}

func TestAWebhookIsTakenOnceAndForgedOrOversizedOnesAreNot(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.only(hook)
	const key = "an-example-key-of-32-characters!"
	s.Write("edr.key", key+"\n")
	s.Edit("playbookd.yaml", "data: data", "data: data\nsecrets: {edr_key: {file: edr.key}}")
	s.start()
	s.eventually("the daemon listens", func() bool { code, _ := s.get("/healthz"); return code == 200 })

	send := func(id, with, body string) (int, string) {
		stamp := fmt.Sprint(time.Now().Unix())
		mac := hmac.New(sha256.New, []byte(with))
		fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.d.Addr()+"/webhooks/edr", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Webhook-Id", id)
		req.Header.Set("Webhook-Timestamp", stamp)
		req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(answer)
	}
	alert := `{"id":"a1","title":"Ransomware","severity":"high","status":"new"}`
	if code, body := send("m1", key, alert); code != 202 || !strings.Contains(body, `"accepted":1`) {
		t.Errorf("a signed delivery: %d %s, want 202", code, body)
	}
	if code, body := send("m1", key, alert); code != 202 || !strings.Contains(body, `"duplicates":1`) {
		t.Errorf("the same delivery again: %d %s, want 202 and a duplicate", code, body)
	}
	if code, body := send("m2", "a-key-that-somebody-has-guessed!", alert); code != 401 || strings.Contains(body, "key") {
		t.Errorf("a forged delivery: %d %s, want 401 without a hint", code, body)
	}
	if code, _ := send("m3", key, `{"title":"`+strings.Repeat("x", 1<<20)+`"}`); code != 413 {
		t.Errorf("an oversized delivery: %d, want 413", code)
	}
	if code, body := send("m4", key, `{"title":`); code != 400 || !strings.Contains(body, "line 1") {
		t.Errorf("a broken delivery: %d %s, want 400 with the place", code, body)
	}
	s.eventually("the delivery's run ended", func() bool { runs := s.runs("pushed"); return len(runs) == 1 && runs[0].State == engine.Succeeded })
	if log := s.log.String(); strings.Contains(log, key) {
		t.Error("the log holds the key")
	}
}

func TestGraphThatCannotBeReachedIsSaidAndRecoveredFrom(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Faults: []simulator.Fault{{Method: "GET", Path: "/security/**", Times: 300, Status: 503}}})
	s.start()
	s.eventually("readiness says that polls fail", func() bool {
		s.d.PollNow()
		code, body := s.get("/readyz")
		return code == 503 && strings.Contains(body, "polls in a row failed") && strings.Contains(body, "503")
	})
	if code, body := s.get("/healthz"); code != 200 {
		t.Errorf("healthz is %d %s: a restart would not help", code, body)
	}
	s.eventually("all is well again", func() bool {
		s.d.PollNow()
		code, _ := s.get("/readyz")
		return code == 200 && len(s.runs("resolve-known-false-positives")) > 0
	})
}

func TestAWrongSecretIsExplained(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.Write("client-secret.txt", "not-the-secret-of-this-tenant")
	s.start()
	s.eventually("readiness explains the refusal", func() bool {
		s.d.PollNow()
		code, body := s.get("/readyz")
		return code == 503 && strings.Contains(body, "AADSTS7000215") && strings.Contains(strings.ToLower(body), "secret")
	})
	if log := s.log.String(); strings.Contains(log, "not-the-secret-of-this-tenant") {
		t.Error("the log holds the secret")
	}
	// A mended secret needs no restart.
	s.Write("client-secret.txt", simulator.DefaultSecret)
	s.eventually("polling works with the right secret", func() bool {
		s.d.PollNow()
		code, _ := s.get("/readyz")
		return code == 200
	})
}

func TestAMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Roles: []string{"SecurityAlert.Read.All", "SecurityIncident.Read.All"}})
	s.start()
	s.eventually("a run failed for want of a permission", func() bool {
		for _, r := range s.runs("resolve-known-false-positives") {
			if r.State == engine.Failed && strings.Contains(r.Message, "SecurityAlert.ReadWrite.All") {
				return true
			}
		}
		return false
	})
	if n := len(s.Sim.Effects()); n != 0 {
		t.Errorf("%d changes were made without the permission", n)
	}
}

func TestAPlaybookThatFailsToLoadNeverReplacesOneThatWorks(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	good := "name: noted\ntriggers: [{poll: {resource: alerts, every: 10s}}]\nsteps: [{action: log, with: {message: first}}]\n"
	s.only(good)
	s.start()
	digest := func() string {
		p, ok := s.d.Engine().Playbooks().Lookup("noted")
		if !ok {
			return ""
		}
		return p.Digest
	}
	first := digest()
	s.Write("playbooks/only.yaml", strings.Replace(good, "action", "acton", 1))
	s.Write("playbooks/other.yaml", strings.Replace(good, "noted", "other", 1))
	if err := s.d.Reload(); err != nil {
		t.Fatal(err)
	}
	if digest() != first {
		t.Error("the broken text replaced the one that works")
	}
	if _, ok := s.d.Engine().Playbooks().Lookup("other"); !ok {
		t.Error("the good playbook beside it was not taken over")
	}
	s.eventually("readiness names the broken file", func() bool {
		code, body := s.get("/readyz")
		return code == 503 && strings.Contains(body, "only.yaml")
	})
	s.Write("playbooks/only.yaml", strings.Replace(good, "first", "second", 1))
	if err := s.d.Reload(); err != nil {
		t.Fatal(err)
	}
	if d := digest(); d == first || d == "" {
		t.Error("the mended text was not taken over")
	}
}

func TestARotaIsReadAnewAndOneWithMistakesNeverReplacesOneThatWorks(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.only("name: noted\ntriggers: [{poll: {resource: alerts, every: 10s}}]\nsteps: [{action: log, with: {message: \"${{ onDuty('tier1') }}\"}}]\n")
	rota := "timezone: UTC\nstart: 2020-01-06\nmembers: [ann]\n"
	s.Write("rotas/tier1.yaml", rota)
	s.start()
	for _, c := range []struct{ what, text, who string }{
		{"as it was read first", rota, "ann"},
		{"changed", strings.Replace(rota, "ann", "bob", 1), "bob"},
		{"with a mistake", strings.Replace(rota, "timezone", "timezon", 1), "bob"},
		{"mended", rota, "ann"},
	} {
		s.Write("rotas/tier1.yaml", c.text)
		if err := s.d.Reload(); err != nil {
			t.Fatal(err)
		}
		if who, version, ok := s.d.OnDuty("tier1", time.Now()); who != c.who || version == "" || !ok {
			t.Errorf("%s: on duty is %q by %q, want %s", c.what, who, version, c.who)
		}
	}
}

func TestStoppingInTheMiddleOfWorkLeavesNothingInDoubt(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Seed: 4, Alerts: 60, Faults: []simulator.Fault{
		{Method: "PATCH", Path: "/security/**", Times: -1, Delay: 300 * time.Millisecond, When: simulator.After}}})
	s.start()
	s.eventually("some work is under way", func() bool { return len(s.Sim.Effects()) > 0 })
	s.stop()
	r, err := store.OpenReader(t.Context(), s.d.Database())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	runs, err := r.Runs(t.Context(), store.RunFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range runs {
		l, err := r.Run(t.Context(), string(run.ID))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range engine.Trace(nil, l.Entries) {
			for _, a := range step.Attempts {
				if a.Status == "" || a.Interrupted && a.Fault.Unknown {
					t.Errorf("run %s %s: attempt %d was left in doubt", run.ID, step.Path, a.Number)
				}
			}
		}
	}
}

func TestReadyzListsEveryCheck(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.start()
	var status struct {
		Checks []struct{ Name string }
	}
	s.eventually("the daemon is ready", func() bool {
		code, body := s.get("/readyz")
		return code == 200 && json.Unmarshal([]byte(body), &status) == nil
	})
	var names []string
	for _, c := range status.Checks {
		names = append(names, c.Name)
	}
	want := "journal, engine, journal writes, clock, playbooks, secrets, parked runs, schedules, clocks, journal file, backup, outcomes, graph contoso, poll contoso/poll/alerts, poll contoso/poll/incidents"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("checks %s, want %s", got, want)
	}
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name = strings.NewReplacer("contoso", "TENANT", "alerts", "RESOURCE", "incidents", "RESOURCE").Replace(name)
		if !strings.Contains(string(text), "| `"+name+"` |") {
			t.Errorf("metrics.md does not explain the check %s", name)
		}
	}
}
