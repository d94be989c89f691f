package daemon_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/testsite"
)

// wire carries connections to a simulator, and can be cut.
type wire struct {
	t    *testing.T
	addr string
	to   string

	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
}

func newWire(t *testing.T, url string) *wire {
	t.Helper()
	w := &wire{t: t, addr: testsite.FreeAddr(t), to: strings.TrimPrefix(url, "https://")}
	t.Cleanup(w.cut)
	return w
}

func (w *wire) mend() {
	w.t.Helper()
	l, err := net.Listen("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.l = l
	w.mu.Unlock()
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", w.to)
			if err != nil {
				_ = from.Close()
				return
			}
			w.mu.Lock()
			w.conns = append(w.conns, from, to)
			w.mu.Unlock()
			go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
			go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
		}
	}()
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.l != nil {
		_ = w.l.Close()
		w.l = nil
	}
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

// url is where the simulator of a site listens.
func (s *site) url() string {
	s.t.Helper()
	c, findings := config.Load(s.File)
	if err := findings.Err(); err != nil {
		s.t.Fatal(err)
	}
	return c.Tenants[0].GraphURL
}

func TestADaemonStartsWithoutANetworkAndWorksWhenThereIsOne(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	url := s.url()
	w := newWire(t, url)
	s.Edit("playbookd.yaml", "graph: "+url, "graph: https://"+w.addr)
	s.Edit("playbookd.yaml", "authority: "+url, "authority: https://"+w.addr)
	s.start()
	s.eventually("readiness says that nothing can be reached", func() bool {
		s.d.PollNow()
		code, body := s.get("/readyz")
		return code == 503 && strings.Contains(body, "poll contoso/poll/alerts") && strings.Contains(body, "refused")
	})
	if code, _ := s.get("/healthz"); code != 200 {
		t.Errorf("healthz is %d: a restart would not help", code)
	}
	w.mend()
	s.eventually("all is well", func() bool {
		s.d.PollNow()
		code, _ := s.get("/readyz")
		return code == 200 && len(s.runs("resolve-known-false-positives")) > 0
	})
	w.cut()
	s.eventually("readiness says that polls fail", func() bool {
		s.d.PollNow()
		code, body := s.get("/readyz")
		return code == 503 && strings.Contains(body, "polls in a row failed")
	})
	w.mend()
	s.eventually("all is well again", func() bool { s.d.PollNow(); code, _ := s.get("/readyz"); return code == 200 })
	if !strings.Contains(s.log.String(), "polling works again") {
		t.Error("the log does not say that polling works again")
	}
}

func TestAPermissionThatPollingMissesIsNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Roles: []string{"SecurityIncident.Read.All"}})
	s.start()
	s.eventually("readiness names the permission", func() bool {
		s.d.PollNow()
		code, body := s.get("/readyz")
		return code == 503 && strings.Contains(body, "SecurityAlert.Read.All")
	})
	s.eventually("the poll that may be done is done", func() bool {
		_, body := s.get("/readyz")
		return strings.Contains(body, `"poll contoso/poll/incidents","ok":true`)
	})
	if !strings.Contains(s.log.String(), "SecurityAlert.Read.All") {
		t.Error("the log does not name the permission")
	}
}

const (
	polling = "name: looks\ntriggers: [{poll: {resource: RESOURCE, every: 10s}}]\nsteps: [{action: log, with: {message: x}}]\n"
	silent  = "name: looks\ntriggers: [manual]\nsteps: [{action: log, with: {message: x}}]\n"
)

func TestOnlyWhatPlaybooksNeedIsPolledAlsoAfterAReload(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	asked := func(path string) int {
		n := 0
		for _, r := range s.Sim.Requests() {
			if strings.Contains(r.Path, path) {
				n++
			}
		}
		return n
	}
	use := func(text string) {
		t.Helper()
		s.Write("playbooks/only.yaml", text)
		if err := s.d.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	names := func() string {
		var list []string
		for _, p := range s.d.Polls() {
			list = append(list, p.Resource)
		}
		return strings.Join(list, ", ")
	}
	s.only(strings.Replace(polling, "RESOURCE", "alerts", 1))
	s.start()
	s.eventually("alerts are polled", func() bool { s.d.PollNow(); return asked("/security/alerts_v2") > 1 })
	if n := asked("/security/incidents"); n > 0 || names() != "alerts" {
		t.Errorf("incidents were asked for %d times, polled are %s", n, names())
	}

	use(strings.Replace(polling, "RESOURCE", "incidents", 1))
	s.eventually("incidents are polled", func() bool { s.d.PollNow(); return asked("/security/incidents") > 1 })
	// The poller of alerts ended before that of incidents began.
	alerts, incidents := asked("/security/alerts_v2"), asked("/security/incidents")
	s.eventually("incidents are polled on", func() bool { s.d.PollNow(); return asked("/security/incidents") > incidents+2 })
	if n := asked("/security/alerts_v2"); n > alerts || names() != "incidents" {
		t.Errorf("alerts were asked for %d times after nobody needed them, polled are %s", n-alerts, names())
	}

	use(silent)
	s.eventually("nothing is polled and the daemon is ready", func() bool {
		code, _ := s.get("/readyz")
		return code == 200 && names() == ""
	})
	use(strings.Replace(polling, "RESOURCE", "alerts", 1))
	s.eventually("alerts are polled again", func() bool { s.d.PollNow(); return asked("/security/alerts_v2") > alerts+1 })
}

func TestABrokenPlaybookAtTheStartIsNamedAndTheOthersWork(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.Write("playbooks/broken.yaml", "name: broken\nsteps: [{action: nothing}]\n")
	s.start()
	s.eventually("the good ones work", func() bool {
		runs := s.runs("resolve-known-false-positives")
		return len(runs) > 0 && runs[0].State == engine.Succeeded
	})
	if code, body := s.get("/readyz"); code != 503 || !strings.Contains(body, "broken.yaml:") {
		t.Errorf("readiness is %d %s, want the broken file named", code, body)
	}
	if len(s.d.Findings()) == 0 || !strings.Contains(s.log.String(), "broken.yaml") {
		t.Error("neither findings nor log tell of it")
	}
}

func TestASecretThatCannotBeReadIsNamedWhileTheRestWorks(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.only(hook)
	s.Edit("playbookd.yaml", "data: data", "data: data\nsecrets: {edr_key: {file: edr.key}}")
	s.start()
	s.eventually("readiness names the secret and its place", func() bool {
		code, body := s.get("/readyz")
		return code == 503 && strings.Contains(body, "secret edr_key") && strings.Contains(body, "edr.key")
	})
	if !strings.Contains(s.log.String(), "edr_key") {
		t.Error("the log does not name it")
	}
	s.Write("edr.key", "\n")
	s.eventually("readiness says that it is empty", func() bool { _, body := s.get("/readyz"); return strings.Contains(body, "empty") })
	s.Write("edr.key", "an-example-key-of-32-characters!\n")
	s.eventually("all is well without a restart", func() bool { code, _ := s.get("/readyz"); return code == 200 })
}

func TestAnAddressThatIsTakenEndsTheDaemonWithTheReason(t *testing.T) {
	t.Parallel()
	first, second := newSite(t, simulator.Options{}), newSite(t, simulator.Options{})
	first.start()
	first.eventually("the first listens", func() bool { code, _ := first.get("/healthz"); return code == 200 })
	c, findings := config.Load(second.File)
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	c.Listen = first.d.Addr()
	d, err := daemon.New(t.Context(), daemon.Options{Config: c})
	if err == nil {
		err = d.Run(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), c.Listen) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("error %v, want one that names %s", err, c.Listen)
	}
}

func TestSettledMeansThatNothingIsLeftToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Seed: 2, Alerts: 30})
	s.start()
	settled := s.d.Settling()
	s.eventually("the work is done", func() bool {
		done, err := settled(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return done
	})
	counts, err := s.d.Store().Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if counts[engine.Succeeded] == 0 || counts[engine.Ready]+counts[engine.Waiting] > 0 {
		t.Errorf("settled with runs %v", counts)
	}
	// What comes then has to be done first.
	now := time.Now().UTC().Format(time.RFC3339Nano)
	if err := s.Sim.Add(simulator.Document{"createdDateTime": now, "lastUpdateDateTime": now, "@odata.type": "#microsoft.graph.security.alert", "id": "late", "title": "Port scan",
		"severity": "low", "status": "new", "evidence": []any{map[string]any{
			"@odata.type": "#microsoft.graph.security.ipEvidence", "ipAddress": "10.9.1.1"}}}); err != nil {
		t.Fatal(err)
	}
	settled = s.d.Settling()
	s.eventually("the late work is done too", func() bool { done, err := settled(t.Context()); return done && err == nil })
	if status := s.Sim.Alert("late")["status"]; status != "resolved" {
		t.Errorf("settled while the late alert was %v", status)
	}
}
