// Command bench measures what a run of playbookd costs beside a minimal program written by hand that
// does the same work (byhand), in one go on one machine.
//
//	load ──webhook──► playbookd | byhand ──PATCH──► target
//
// Load (this process), the program that is measured and the target are processes of their own. The
// two programs take turns, several rounds each, and what is printed are medians and the ratio of
// the two: a machine that is busy with other things slows both, and the absolute figures mean
// little elsewhere. Of every round it makes sure that each run was recorded and each PATCH was
// sent exactly once: a figure for work that was not done is worth nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

// plan says how much is measured.
type plan struct {
	runs    int           // in a round
	rounds  int           // of each program
	senders int           // webhooks under way at a time
	steady  time.Duration // at perSecond, for each program
	history int           // runs before the memory and the start with a history are measured
	profile string        // directory for profiles of playbookd, "": none
}

// perSecond is the pace at which latency is measured.
const perSecond = 20

// The two plans. The smoke asks only whether all of it works.
var (
	full  = plan{runs: 5000, rounds: 5, senders: 16, steady: 40 * time.Second, history: 100_000}
	smoke = plan{runs: 60, rounds: 1, senders: 8, steady: time.Second, history: 200}
)

func main() {
	short := flag.Bool("smoke", false, "only make sure that it works")
	only := flag.String("only", "", "one scenario by name, and nothing else")
	p := full
	flag.IntVar(&p.runs, "runs", full.runs, "runs in a round")
	flag.IntVar(&p.rounds, "rounds", full.rounds, "rounds of each program")
	flag.IntVar(&p.senders, "senders", full.senders, "webhooks under way at a time")
	flag.DurationVar(&p.steady, "steady", full.steady, "how long latency is measured, for each program")
	flag.IntVar(&p.history, "history", full.history, "runs before memory and start are measured")
	flag.StringVar(&p.profile, "profile", "", "directory for profiles of playbookd in each scenario")
	flag.Parse()
	if *short {
		p = smoke
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, p, *only, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run makes a place to work in, takes all measures and prints them.
func run(ctx context.Context, p plan, only string, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "playbookd-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := newBench(ctx, dir, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.target.stop()) }()
	for _, s := range scenarios {
		if only != "" && s.name != only {
			continue
		}
		if err := b.compare(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if only == "" {
		if err := b.remember(ctx); err != nil {
			return err
		}
	}
	return b.report(out)
}

// bench is one go.
type bench struct {
	plan
	dir    string
	target *process
	alert  template
	key    []byte
	serial int // of alerts: no two rounds send the same

	results []result
	memory  []memory
}

// newBench builds the programs and starts the target.
func newBench(ctx context.Context, dir string, p plan) (*bench, error) {
	b := &bench{plan: p, dir: dir, key: []byte("the-key-of-the-bench-has-32-bytes"), alert: newTemplate(alertText)}
	for _, name := range []string{"./cmd/playbookd", "./internal/bench/byhand", "./internal/bench/target"} {
		build := exec.CommandContext(ctx, "go", "build", "-o", b.path(filepath.Base(name)), "github.com/playbookd/playbookd/"+name[2:]) //nolint:gosec // names are constants
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return nil, fmt.Errorf("build %s: %w", name, err)
		}
	}
	for name, text := range map[string]string{"alert.json": alertText, "edr.key": string(b.key), "client.secret": "of-no-worth"} {
		if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	var err error
	b.target, err = start(ctx, "target", b.path("target"), "-ca", b.path("ca.pem"), "-alert", b.path("alert.json"))
	return b, err
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }
