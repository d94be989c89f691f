package demo_test

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/internal/testsite"
	"github.com/playbookd/playbookd/store"
)

// daemonEnv makes the test binary a daemon: it names the configuration to serve.
const daemonEnv = "PLAYBOOKD_TEST_SERVE"

func TestMain(m *testing.M) {
	if file := os.Getenv(daemonEnv); file != "" {
		os.Exit(serve(file))
	}
	os.Exit(m.Run())
}

// serve runs a daemon until it has nothing left to do, then prints "settled", or until it is
// told to stop.
func serve(file string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, findings := config.Load(file)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := findings.Err(); err != nil {
		log.Error("configuration", "err", err)
		return 2
	}
	d, err := daemon.New(ctx, daemon.Options{Config: c, Log: log, NoListen: true})
	if err != nil {
		log.Error("daemon", "err", err)
		return 2
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		settled := d.Settling()
		for ctx.Err() == nil {
			if done, _ := settled(ctx); done {
				cancel()
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	if err := d.Run(ctx); err != nil {
		log.Error("daemon", "err", err)
		return 1
	}
	_, _ = os.Stdout.WriteString("settled")
	return 0
}

// A daemon that is killed with SIGKILL at any moment and started again does all of its work, and
// none of it twice.
func TestKilledAtRandomMomentsNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	kills := number(t, "PLAYBOOKD_KILLS", 12)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))

	// Slow answers spread the work over time, so that kills meet every stage of it; some answers
	// are lost on top.
	site := testsite.New(t, testsite.Options{Hasty: true, Options: simulator.Options{Seed: 3, Alerts: 400, Faults: []simulator.Fault{
		{Method: "PATCH", Path: "/security/**", Times: -1, Delay: 150 * time.Millisecond, When: simulator.After},
		{Method: "POST", Path: "/security/**", Times: -1, Delay: 150 * time.Millisecond, When: simulator.After},
		{Method: "POST", Path: "/security/**", Every: 9, Times: 5, Drop: true, When: simulator.After},
	}}})
	dir, file, sim := site.Dir, site.File, site.Sim
	killed := 0
	for killed < kills {
		if settled := life(t, file, time.Duration(rng.IntN(400))*time.Millisecond); settled {
			break // the work was done before the kill
		}
		killed++
	}
	if killed < 3 {
		t.Fatalf("the work was done after %d kills: the test no longer interrupts anything", killed)
	}
	if !life(t, file, 3*time.Minute) {
		t.Fatal("the last daemon, which nobody killed, did not settle")
	}

	r, err := store.OpenReader(t.Context(), filepath.Join(dir, "data", daemon.DatabaseName))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := invariant.Case{Journal: invariant.Store(r)}
	c.Simulator(sandbox.TenantName, sim)
	wrong, err := c.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		t.Error(w)
	}
	attempts, interrupted := 0, 0
	err = c.Journal.EachRun(t.Context(), func(run engine.Run) error {
		l, err := r.Load(t.Context(), run.ID)
		for _, step := range engine.Trace(nil, l.Entries) {
			for _, a := range step.Attempts {
				attempts++
				if a.Interrupted {
					interrupted++
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	counts, err := r.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d attempts of which %d were cut off, %d effects, runs %v", killed, attempts, interrupted, len(sim.Effects()), counts)
	if counts[engine.Succeeded] == 0 || counts[engine.Failed]+counts[engine.Parked]+counts[engine.Ready]+counts[engine.Waiting] > 0 {
		t.Errorf("runs %v, want all succeeded", counts)
	}
	onlyNoiseWasClosed(t, sim)
}

// life starts a daemon and kills it after a while. It reports whether the daemon settled before.
func life(t *testing.T, file string, after time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond+after)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0]) // killed with SIGKILL when ctx ends
	cmd.Env = append(os.Environ(), daemonEnv+"="+file)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	if err == nil {
		return out.String() == "settled"
	}
	if ctx.Err() == nil {
		t.Fatalf("the daemon ended by itself: %v\n%s", err, log.String())
	}
	return false
}
