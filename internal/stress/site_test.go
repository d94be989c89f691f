//go:build unix

package stress_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/internal/testsite"
	"github.com/playbookd/playbookd/store"
)

const (
	// MaxGrowth is how much more memory than at rest a daemon may take, whatever it is given. What
	// it was measured to take is in the output of the tests (-v).
	MaxGrowth = 300 << 20
)

// full says that the suites are run in the size that they promise.
var full = os.Getenv("PLAYBOOKD_STRESS") == "full"

// size is how much of something there is: little in an ordinary test.
func size(little, promised int) int {
	if full {
		return promised
	}
	return little
}

// patience is how long a test waits for what must come about. It is no promise about speed.
var patience = time.Duration(size(1, 15)) * time.Minute

// site is a directory with a configuration, and a simulator that it names.
type site struct {
	*testsite.Site
	t *testing.T
}

func newSite(t *testing.T, o simulator.Options, playbooks ...string) *site {
	t.Helper()
	s := &site{t: t, Site: testsite.New(t, testsite.Options{Options: o, Hasty: true})}
	s.Edit(sandbox.ConfigName, "budgets: {security: 60000/1m}", "budgets: {security: 6000000/1m}") // the simulator is not what is tried
	s.Use(playbooks...)
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.Dir, name) }

// journal opens the journal for reading, also while a daemon writes it.
func (s *site) journal() *store.Reader {
	s.t.Helper()
	r, err := store.OpenReader(s.t.Context(), s.path("data/"+daemon.DatabaseName))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = r.Close() })
	return r
}

func (s *site) counts(r *store.Reader) map[engine.RunState]int {
	s.t.Helper()
	counts, err := r.Counts(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return counts
}

// process is a daemon in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	log    *tail
	read   sync.WaitGroup
	since  time.Time
	polled time.Time
	ready  time.Duration // how long it took to listen

	mu    sync.Mutex
	last  sample
	rest  int64 // resident when it had just begun to listen
	heap  int64 // the most that Go had in use
	ended bool
}

// start starts the daemon and waits until it listens.
func (s *site) start() *process {
	s.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{t: s.t, log: &tail{}, since: time.Now()}
	p.cmd = exec.Command(exe)
	p.cmd.Env = append(os.Environ(), childFile+"="+s.path(sandbox.ConfigName))
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p.read.Go(func() { watch(out, p.take) })
	s.t.Cleanup(func() {
		p.stop()
		if s.t.Failed() {
			s.t.Log(p.log)
		}
	})
	p.until("the daemon listens", func() bool { return p.sample().Addr != "" })
	return p
}

func (p *process) take(s sample) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Addr == "" && s.Addr != "" {
		p.rest, p.ready = s.Resident, time.Since(p.since)
	}
	p.last = s
	p.heap = max(p.heap, s.Heap)
}

func (p *process) sample() sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// pollEvery is how often tests make the daemon look, so that it is not the simulator's lists that
// take all the time.
var pollEvery = time.Duration(size(20, 1000)) * time.Millisecond

// poll makes the daemon look soon.
func (p *process) poll() {
	if time.Since(p.polled) > pollEvery {
		p.polled = time.Now()
		_, _ = io.WriteString(p.in, "\n") // a daemon that is gone is noticed elsewhere
	}
}

// prune makes the daemon delete what is old.
func (p *process) prune() { _, _ = io.WriteString(p.in, "prune\n") }

// stop ends the daemon in order.
func (p *process) stop() {
	p.t.Helper()
	if p.ended {
		return
	}
	p.ended = true
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.read.Wait()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("daemon: %v", err)
	}
}

// kill ends it at once.
func (p *process) kill() {
	p.t.Helper()
	p.ended = true
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	p.read.Wait()
	_ = p.cmd.Wait() // says that it was killed
}

// until waits for what must come about.
func (p *process) until(what string, holds func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(25 * time.Millisecond) {
		if holds() {
			return
		}
		if p.cmd.ProcessState != nil {
			break
		}
	}
	p.t.Fatalf("it never came about that %s\n%s", what, p.log)
}

// bounded fails the test if the daemon took more memory than it may, and returns the most that it
// took, in MiB.
func (p *process) bounded(what string) int64 {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	const mib = 1 << 20
	p.t.Logf("%s: resident %d MiB at rest, %d at most; heap %d at most; %d runs at once at most; listening after %v; %d runs ended in %v",
		what, p.rest/mib, p.last.Resident/mib, p.heap/mib, p.last.Active, p.ready.Round(time.Millisecond), p.last.Ended, time.Since(p.since).Round(100*time.Millisecond))
	if growth := p.last.Resident - p.rest; growth > MaxGrowth {
		p.t.Errorf("%s: memory grew by %d MiB, want at most %d", what, growth/mib, MaxGrowth/mib)
	}
	return p.last.Resident / mib
}

// tail keeps the end of a log.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 64 << 10

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	if over := len(l.buf) - tailSize; over > tailSize {
		l.buf = append([]byte(nil), l.buf[over:]...)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}
