//go:build unix

package stress_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
)

// childFile names, in the environment, the configuration of a daemon: the test binary is then that
// daemon and no test.
const childFile = "PLAYBOOKD_STRESS_DAEMON"

// sampleEvery is how often the daemon says how it fares.
const sampleEvery = 50 * time.Millisecond

func TestMain(m *testing.M) {
	if file := os.Getenv(childFile); file != "" {
		if err := serve(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// sample is a line that the daemon writes about itself.
type sample struct {
	Addr     string `json:"addr"`     // where it listens
	Resident int64  `json:"resident"` // the most memory that the process had so far, in bytes
	Heap     int64  `json:"heap"`     // in use by Go now
	Active   int    `json:"active"`   // the most runs that were in progress at once so far
	Ended    int    `json:"ended"`    // runs that have ended so far
}

// serve runs the daemon until its standard input ends or SIGTERM comes. A line on standard input
// makes it poll, or delete what is old.
func serve(file string) error {
	c, findings := config.Load(file)
	if err := findings.Err(); err != nil {
		return err
	}
	var active activity
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d, err := daemon.New(context.Background(), daemon.Options{Config: c, Observer: &active, Log: log})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			if in.Text() == "prune" {
				d.Prune(ctx)
				continue
			}
			d.PollNow()
		}
		cancel()
	}()
	go report(ctx, d, &active)
	return d.Run(ctx)
}

func report(ctx context.Context, d *daemon.Daemon, active *activity) {
	out := json.NewEncoder(os.Stdout)
	for ctx.Err() == nil {
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		s := sample{Addr: d.Addr(), Resident: resident(), Heap: int64(mem.HeapInuse)}
		s.Active, s.Ended = active.most()
		if out.Encode(s) != nil {
			return
		}
		time.Sleep(sampleEvery)
	}
}

// resident is the largest resident set that this process had so far, in bytes. Linux counts what
// the parent had when it forked into getrusage, so its own page is asked first.
func resident() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if _, after, ok := bytes.Cut(status, []byte("VmHWM:")); err == nil && ok {
		var kib int64
		if _, err := fmt.Sscan(string(after), &kib); err == nil {
			return kib << 10
		}
	}
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // can't fail for ourselves
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(u.Maxrss) //nolint:unconvert // its type differs between systems
	}
	return int64(u.Maxrss) << 10 //nolint:unconvert // as above
}

// activity counts the runs that are in progress.
type activity struct {
	mu              sync.Mutex
	now, peak, over int
}

func (a *activity) change(n, over int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now += n
	a.peak = max(a.peak, a.now)
	a.over += over
}

func (a *activity) most() (peak, over int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.peak, a.over
}

func (a *activity) RunStarted(engine.Run)               { a.change(1, 0) }
func (a *activity) StepEnded(engine.Run, engine.Entry)  {}
func (a *activity) RunEnded(engine.Run, []engine.Entry) { a.change(-1, 1) }
func (a *activity) RunPaused(r engine.Run) {
	if !strings.HasPrefix(r.Message, engine.HeldPrefix) { // which never began
		a.change(-1, 0)
	}
}

// watch reads the samples of a daemon.
func watch(r io.Reader, take func(sample)) {
	for in := bufio.NewScanner(r); in.Scan(); {
		var s sample
		if json.Unmarshal(in.Bytes(), &s) == nil {
			take(s)
		}
	}
}
