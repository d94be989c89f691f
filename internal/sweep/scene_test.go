package sweep

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/internal/testsite"
	"github.com/playbookd/playbookd/store"
)

//go:embed testdata
var scenario embed.FS

// hookKey opens the webhook of the scenario.
const hookKey = "a-key-of-the-sweep-scenario"

// lifetime bounds one life of a daemon. It is no promise about speed: one that never settles should
// say so.
const lifetime = time.Minute

// scene is a simulator, a receiver and a daemon's directory.
type scene struct {
	*testsite.Site
	t        *testing.T
	receiver *invariant.Receiver
	catalog  *actions.Registry
	looked   int
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, catalog: actions.NewRegistry(builtin.Actions(builtin.Deps{})...)}
	var slow atomic.Bool
	s.receiver = &invariant.Receiver{Answer: func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow": // only the first time
			if !slow.Swap(true) {
				select {
				case <-r.Context().Done():
				case <-time.After(5 * time.Second):
				}
			}
		case "/missing":
			http.NotFound(w, r)
		case "/state":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"open": true}`))
		case "/ticket":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"number": 4711}`)) // who went away does not need it
		}
	}}
	other := httptest.NewServer(s.receiver)
	t.Cleanup(other.Close)
	s.Site = testsite.New(t, testsite.Options{Options: simulator.Options{Seed: 1, Documents: documents(), Devices: simulator.Devices{Pending: 1, Running: 1}, Faults: []simulator.Fault{
		{Method: "PATCH", Path: "/security/alerts_v2/low1", Times: 1, Status: 429, RetryAfter: "1"},
	}}})
	s.fill("testdata", other.URL)
	s.beside(s.push)
	s.beside(s.people())
	return s
}

// beside does something again and again until the test is over or it is done: it returns true then.
func (s *scene) beside(try func(ctx context.Context, address string) bool) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.t.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			address, err := os.ReadFile(filepath.Join(s.Dir, addressFile))
			if err == nil && try(ctx, "http://"+string(address)) {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// fill writes the scenario's files with the receiver's address, and what the configuration says of them.
func (s *scene) fill(from, url string) {
	s.must(os.RemoveAll(filepath.Join(s.Dir, "playbooks")))
	for _, sub := range []string{"playbooks", "lists"} {
		s.must(os.MkdirAll(filepath.Join(s.Dir, sub), 0o700))
		entries, err := scenario.ReadDir(from + "/" + sub)
		s.must(err)
		for _, e := range entries {
			text, err := scenario.ReadFile(from + "/" + sub + "/" + e.Name())
			s.must(err)
			s.Write(sub+"/"+e.Name(), strings.ReplaceAll(string(text), "http://RECEIVER", url))
		}
	}
	s.Write("key.txt", hookKey)
	s.Write("channel.txt", url+"/channel")
	s.Write("pager.txt", url+"/pager")
	s.Write("anna.txt", tokens["anna"])
	s.Write("ben.txt", tokens["ben"])
	host := strings.TrimPrefix(url, "http://")
	s.Configure(fmt.Sprintf("outbound: {hosts: [%q], private: [127.0.0.0/8], http: [%q]}\nworkers: 4\n"+
		"secrets: {siem: {file: key.txt}}\nchannels: {soc: {kind: webhook, url: {file: channel.txt}}, pager: {kind: webhook, url: {file: pager.txt}}}\n"+
		"people: {anna: {roles: [lead, operator], token: {file: anna.txt}}, ben: {roles: [lead], token: {file: ben.txt}}}\n", host, host))
}

// documents are a device, two scanner alerts, a worse one, one that nobody touches, and two incidents, all there from the start, and
// further apart than a poll's overlap reaches: what a position passes too early stays behind it.
func documents() simulator.Documents {
	ago := func(minutes int) string {
		return time.Now().UTC().Add(-time.Duration(minutes) * time.Minute).Format("2006-01-02T15:04:05.0000000Z")
	}
	d := simulator.Documents{Machines: []simulator.Document{{"id": "1e5bc9d7e413ddd7902c2932e418702b84d0cc07", "computerDnsName": "ws-1"}}}
	for i, a := range [][2]string{{"low1", "low"}, {"low2", "low"}, {"high1", "high"}, {"odd1", "medium"}} {
		d.Alerts = append(d.Alerts, simulator.Document{"id": a[0], "title": "Port scan", "status": "new", "severity": a[1], "comments": []any{},
			"incidentId": "7", "createdDateTime": ago(90 + 120*i), "lastUpdateDateTime": ago(90 + 120*i)})
	}
	for i, id := range []string{"7", "8"} {
		d.Incidents = append(d.Incidents, simulator.Document{"id": id, "displayName": "Scan", "status": "active", "severity": "medium", "comments": []any{},
			"customTags": []any{}, "createdDateTime": ago(60 + 120*i), "lastUpdateDateTime": ago(60 + 120*i)})
	}
	return d
}

// push sends two events to the webhook, until the daemon has taken them, as any sender does.
func (s *scene) push(ctx context.Context, address string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/webhooks/siem",
		strings.NewReader(`[{"id": "e1", "kind": "good"}, {"id": "e2", "kind": "bad"}]`))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-API-Key", hookKey)
	r.Header.Set("Webhook-Id", "delivery-1")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusAccepted
}

// life runs a daemon until it settles or dies, and says which. Anything else fails the test.
func (s *scene) life(env ...string) (settled bool) {
	s.t.Helper()
	s.must(errors.Join(nil, removeIfThere(filepath.Join(s.Dir, addressFile))))
	ctx, cancel := context.WithTimeout(s.t.Context(), lifetime)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // its goroutines say where it hangs
	cmd.Env = append(append(os.Environ(), serveEnv+"="+s.File), env...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	if ctx.Err() != nil {
		s.t.Fatalf("the daemon did not settle:\n%s", log.String())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
			return false
		}
	}
	var r report
	if err != nil || json.Unmarshal(out.Bytes(), &r) != nil || !r.Settled {
		s.t.Fatalf("the daemon ended by itself: %v\n%s", err, log.String())
	}
	s.looked += r.Looked
	for _, w := range r.Wrong {
		s.t.Error(w)
	}
	return true
}

func removeIfThere(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// outcome is the states in which the runs of a playbook for an object are.
type outcome map[string]string

// look checks the journal against the logs and returns how the runs ended, and which are parked.
func (s *scene) look() (outcome, []engine.Loaded) {
	s.t.Helper()
	ctx := s.t.Context()
	r, err := store.OpenReader(ctx, s.database())
	s.must(err)
	defer r.Close()
	c, findings := config.Load(s.File)
	s.must(findings.Err())
	set, _, findings := daemon.Read(s.catalog, daemon.DirsOf(c), time.Now())
	s.must(findings.Err())
	k := invariant.Case{Journal: invariant.Store(r), Books: set}
	k.Simulator(sandbox.TenantName, s.Sim)
	k.Targets = append(k.Targets, s.receiver.Target())
	wrong, err := k.Check(ctx)
	s.must(err)
	for _, w := range wrong {
		s.t.Error(w)
	}
	states := map[string][]string{}
	var parked []engine.Loaded
	s.must(k.Journal.EachRun(ctx, func(run engine.Run) error {
		l, err := r.Load(ctx, run.ID)
		if err != nil {
			return err
		}
		if run.State == engine.Parked {
			parked = append(parked, l)
		}
		if cut := onceCutOff(l); cut != (run.State == engine.Parked) && !holds(l, engine.Resolve) {
			s.t.Errorf("run %s of %s is %s: that a step that may happen once was cut off is %t", run.ID, run.Playbook, run.State, cut)
		}
		if run.Playbook == "capped" && !holds(l, engine.Released) {
			s.t.Errorf("run %s of %s went beyond its limit, and nobody released it", run.ID, run.Playbook)
		}
		name := strings.TrimSuffix(run.Playbook+"/"+run.Object, "/")
		if run.Object == "" {
			name += " " + run.Message
		}
		if !slices.Contains(states[name], string(run.State)) {
			states[name] = append(states[name], string(run.State))
		}
		return nil
	}))
	o := outcome{}
	for name, list := range states {
		slices.Sort(list)
		o[name] = strings.Join(list, ", ")
	}
	return o, parked
}

func (s *scene) database() string { return filepath.Join(s.Dir, "data", daemon.DatabaseName) }

// onceCutOff says whether a history holds a step that may happen once and was cut off. The playbook
// that says how to go on without knowing is not meant, nor one that tells a channel of its question.
func onceCutOff(l engine.Loaded) bool {
	if l.Run.Playbook == "shout" || l.Run.Playbook == "desk" {
		return false
	}
	for _, step := range engine.Trace(nil, l.Entries) {
		for _, a := range step.Attempts {
			if a.Effect == actions.Once && a.Interrupted && a.Fault.Unknown {
				return true
			}
		}
	}
	return false
}

// holds says whether a history holds an entry of a kind.
func holds(l engine.Loaded, kind engine.EntryKind) bool {
	return slices.ContainsFunc(l.Entries, func(e engine.Entry) bool { return e.Kind == kind })
}

// resolve says of every uncertain step what the receiver's log says.
func (s *scene) resolve(parked []engine.Loaded) {
	s.t.Helper()
	for _, l := range parked {
		for _, step := range engine.Trace(nil, l.Entries) {
			if step.Status != "uncertain" {
				continue
			}
			d := engine.ResolveData{By: "sweep", Happened: slices.ContainsFunc(s.receiver.Target().Effects, func(e invariant.Effect) bool {
				return e.Key == step.Attempts[0].Key
			})}
			_, err := daemon.Resolve(s.t.Context(), s.database(), string(l.Run.ID), step.Path, d, s.catalog)
			s.must(err)
		}
	}
}
