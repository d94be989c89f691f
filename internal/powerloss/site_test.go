//go:build linux

package powerloss

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
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
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// These make the test binary a daemon: the configuration to serve, and whether to end when there is
// nothing left to do.
const (
	serveEnv  = "PLAYBOOKD_TEST_SERVE"
	settleEnv = "PLAYBOOKD_TEST_SETTLE"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(serveEnv); file != "" {
		os.Exit(serve(file))
	}
	os.Exit(m.Run())
}

// serve is `playbookd serve`, with its exit codes.
func serve(file string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, findings := config.Load(file)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := findings.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "playbookd:", err)
		return 2
	}
	d, err := daemon.New(ctx, daemon.Options{Config: c, Log: log})
	if err != nil {
		fmt.Fprintln(os.Stderr, "playbookd:", err)
		return 2
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if os.Getenv(settleEnv) != "" {
		go func() {
			settled := d.Settling()
			for ctx.Err() == nil {
				if done, _ := settled(ctx); done {
					cancel()
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
	}
	if err := d.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "playbookd:", err)
		return 2
	}
	return 0
}

// site is a simulator, a receiver, and a directory for a daemon whose journal lies on a bad disk.
type site struct {
	*testsite.Site
	t        *testing.T
	receiver *invariant.Receiver
	addr     string // of the daemon's listener
	data     string
	disk     *Disk
}

// key is the key of the webhook.
const key = "a key of the webhook"

// The playbooks beside those that ship: a message for each pushed event, which must not be sent twice.
const pushed = `name: pushed
mode: live
owner: soc@contoso.example
reason: test
expires: 2099-01-01
triggers: [{webhook: {path: edr, auth: {apiKey: edr_key}, as: alert}}]
steps:
  - action: http.request
    with: {url: "URL/told", method: POST, body: {title: "${{ alert.title }}"}}
`

func newSite(t *testing.T, o simulator.Options) *site {
	t.Helper()
	s := &site{t: t, receiver: &invariant.Receiver{}, addr: testsite.FreeAddr(t)}
	s.Site = testsite.New(t, testsite.Options{Options: o, Hasty: true, Listen: s.addr})
	other := httptest.NewServer(s.receiver)
	t.Cleanup(other.Close)
	host := strings.TrimPrefix(other.URL, "http://")
	s.Configure(fmt.Sprintf("outbound: {hosts: [%q], private: [127.0.0.0/8], http: [%q]}\n"+
		"secrets: {edr_key: {file: edr.key}}\nwebhooks: {edr: {rate: 1000, burst: 1000}}\n", host, host))
	s.Write("edr.key", key)
	s.Write("playbooks/pushed.yaml", strings.ReplaceAll(pushed, "URL", other.URL))
	s.data = filepath.Join(s.Dir, "data")
	lib := filepath.Join(s.Dir, "disk")
	if err := os.Mkdir(lib, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.disk, err = New(lib, s.database()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.disk.Close() })
	return s
}

func (s *site) database() string { return filepath.Join(s.data, daemon.DatabaseName) }

// life is one process of the daemon.
type life struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	log  testsite.Lines
}

// start starts the daemon; one that settles ends when it has nothing left to do.
func (s *site) start(settles bool) *life {
	s.t.Helper()
	l := &life{t: s.t, cmd: exec.CommandContext(s.t.Context(), os.Args[0]), done: make(chan struct{})}
	l.cmd.Env = append(append(os.Environ(), serveEnv+"="+s.File), s.disk.Env()...)
	if settles {
		l.cmd.Env = append(l.cmd.Env, settleEnv+"=1")
	}
	l.cmd.Stderr = &l.log
	if err := l.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = l.cmd.Wait() // the state says how it ended
		close(l.done)
	}()
	s.t.Cleanup(func() {
		_ = l.cmd.Process.Kill() // it is dead mostly
		<-l.done
		if s.t.Failed() {
			s.t.Logf("the daemon says:\n%s", tail(l.log.String(), 8<<10))
		}
	})
	return l
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// end waits for the process to end and returns its exit code, -1 if it was killed.
func (l *life) end(within time.Duration) int {
	l.t.Helper()
	select {
	case <-l.done:
	case <-time.After(within):
		l.t.Fatalf("the daemon goes on after %s", within)
	}
	return l.cmd.ProcessState.ExitCode()
}

func (l *life) kill() {
	_ = l.cmd.Process.Kill() // it may have ended
	<-l.done
}

func (l *life) stop() int {
	_ = l.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	return l.end(time.Minute)
}

// push sends an event to the webhook and returns the status of the answer, 0 if there was none.
func (s *site) push(id string) (status int, header http.Header) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/webhooks/edr",
		strings.NewReader(fmt.Sprintf(`{"id": %q, "title": %q, "status": "new", "severity": "high"}`, id, "Pushed "+id)))
	if err != nil {
		return 0, nil
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-API-Key", key)
	req.Header.Set("Webhook-Id", id)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // only the status counts
	return res.StatusCode, res.Header
}

// page reads a health page.
func (s *site) page(name string) (status int, body string) {
	res, err := http.Get("http://" + s.addr + name)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

// until waits for something to come true.
func (s *site) until(what string, is func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	s.t.Fatalf("it never came true: %s", what)
}

// up waits until the daemon listens.
func (s *site) up() {
	s.t.Helper()
	s.until("the daemon listens", func() bool { status, _ := s.page("/healthz"); return status != 0 })
}

// counts reads how the runs stand, also while a daemon works.
func (s *site) counts() map[engine.RunState]int {
	s.t.Helper()
	r, err := store.OpenReader(s.t.Context(), s.database())
	if err != nil {
		return nil // not there yet
	}
	defer r.Close()
	counts, err := r.Counts(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return counts
}

// books are the playbooks that the daemon loads.
func (s *site) books() *playbooks.Set {
	set, _, _ := daemon.Read(actions.NewRegistry(builtin.Actions(builtin.Deps{})...), daemon.Dirs{
		Playbooks: filepath.Join(s.Dir, "playbooks"), Lists: filepath.Join(s.Dir, "lists"), Calendars: filepath.Join(s.Dir, "calendars")}, time.Now())
	return set
}

// truth lays the journal, at rest, beside all that happened.
func (s *site) truth() {
	s.t.Helper()
	r, err := store.OpenReader(s.t.Context(), s.database())
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	c := invariant.Case{Journal: invariant.Store(r), Books: s.books()}
	c.Simulator(sandbox.TenantName, s.Sim)
	c.Targets = append(c.Targets, s.receiver.Target())
	wrong, err := c.Check(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, w := range wrong {
		s.t.Error(w)
	}
	if err := r.CheckIntegrity(s.t.Context()); err != nil {
		s.t.Error(err)
	}
}

// files are the database's files as the program sees them, without what is never durable.
func (s *site) files() Image {
	s.t.Helper()
	names, err := filepath.Glob(s.database() + "*")
	if err != nil {
		s.t.Fatal(err)
	}
	image := Image{}
	for _, name := range names {
		if strings.HasSuffix(name, "-shm") || strings.HasSuffix(name, ".lock") {
			continue
		}
		if image[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			s.t.Fatal(err)
		}
	}
	return image
}

// replace has the disk hold nothing but an image.
func (s *site) replace(image Image) {
	s.t.Helper()
	if err := os.RemoveAll(s.data); err != nil {
		s.t.Fatal(err)
	}
	if err := image.Put(s.data); err != nil {
		s.t.Fatal(err)
	}
}

// number reads how much a suite is to try from the environment.
func number(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}
