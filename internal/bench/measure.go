package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// measured is what one program did in one scenario.
type measured struct {
	rates   []float64 // runs a second, by round
	cpu     []float64 // milliseconds of the program's processor time a run, by round
	latency []float64 // milliseconds from webhook to the first PATCH, sorted
}

// result is a scenario with both.
type result struct {
	scenario
	ours, byHand measured
}

// memory is a line about what a program holds, and how long it takes to start.
type memory struct {
	what       string
	resident   int64
	start      time.Duration
	runs       int
	isNotOurs  bool
	startKnown bool
}

// contestant is a program in a scenario.
type contestant struct {
	*process
	*sender
	m     *measured
	total int // runs that it has ended
}

// compare has both programs take turns.
func (b *bench) compare(ctx context.Context, s scenario) (err error) {
	r := result{scenario: s}
	ours, err := b.startOurs(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	byHand, err := b.startByHand(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, byHand.stop()) }()
	both := []*contestant{
		{process: ours, sender: b.sender(ours, s), m: &r.ours},
		{process: byHand, sender: b.sender(byHand, s), m: &r.byHand},
	}
	if len(b.memory) == 0 { // the first: both have just started
		time.Sleep(min(b.steady, 2*time.Second))
		b.memory = append(b.memory, memory{what: "at rest", resident: ours.resident(), start: ours.took, startKnown: true},
			memory{what: "at rest", resident: byHand.resident(), isNotOurs: true})
	}
	for round := range b.rounds + 1 { // the first warms up and does not count
		for _, c := range both {
			runs := b.runs
			if round == 0 {
				runs = max(b.runs/5, b.senders)
			}
			if err := b.round(ctx, c, runs, round > 0); err != nil {
				return fmt.Errorf("%s, round %d: %w", c.process.name, round, err)
			}
		}
		slices.Reverse(both)
	}
	if s.steady {
		err = b.latencies(ctx, both)
	}
	if b.profile != "" && err == nil {
		err = b.profiled(ctx, s, both)
	}
	b.results = append(b.results, r)
	return err
}

// round floods one program and waits until everything is recorded.
func (b *bench) round(ctx context.Context, c *contestant, runs int, counts bool) error {
	ids := b.ids(runs)
	cpu, begun := c.cpu(), time.Now()
	if err := c.flood(ctx, ids); err != nil {
		return err
	}
	each := 0
	if c.s.matches() {
		each = c.s.steps
		c.total += runs
	}
	if err := c.waitFor(ctx, c.total); err != nil {
		return err
	}
	took := time.Since(begun)
	cpu = c.cpu() - cpu
	if _, err := b.arrivals(ctx, ids, each); err != nil {
		return err
	}
	if counts {
		c.m.rates = append(c.m.rates, float64(runs)/took.Seconds())
		c.m.cpu = append(c.m.cpu, cpu.Seconds()*1000/float64(runs))
	}
	return nil
}

// profiled has playbookd go through further rounds, which do not count, and keeps what it did meanwhile: a profile of
// the processor's time, and one of all that was allocated since the start.
func (b *bench) profiled(ctx context.Context, s scenario, both []*contestant) error {
	ours := both[slices.IndexFunc(both, func(c *contestant) bool { return c.process.name == "playbookd" })]
	keep := func(name, query string) error {
		text, err := get(ctx, ours.urls["profiles"]+"/debug/pprof/"+query)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(b.profile, s.name+"."+name+".pprof"), text, 0o600)
	}
	processor := make(chan error, 1)
	go func() { processor <- keep("cpu", fmt.Sprintf("profile?seconds=%d", int(profileFor.Seconds()))) }()
	var err error
	for begun := time.Now(); err == nil && time.Since(begun) < profileFor; {
		err = b.round(ctx, ours, b.runs/5, false)
	}
	return errors.Join(err, <-processor, keep("allocs", "allocs"))
}

// profileFor is what a profile covers.
const profileFor = 5 * time.Second

// turns is in how many parts latency is measured, one program after the other.
const turns = 4

// latencies sends at a pace that neither program feels.
func (b *bench) latencies(ctx context.Context, both []*contestant) error {
	for range turns {
		for _, c := range both {
			ids := b.ids(max(1, int(b.steady.Seconds()*perSecond)/turns))
			left, err := c.steadily(ctx, ids)
			if err != nil {
				return err
			}
			c.total += len(ids)
			if err := c.waitFor(ctx, c.total); err != nil {
				return err
			}
			arrived, err := b.arrivals(ctx, ids, c.s.steps)
			if err != nil {
				return err
			}
			for id, at := range left {
				c.m.latency = append(c.m.latency, time.Unix(0, arrived[id][0]).Sub(at).Seconds()*1000)
			}
		}
	}
	for _, c := range both {
		slices.Sort(c.m.latency)
	}
	return nil
}

// remember gives playbookd a history and measures what it holds then and how long it takes to
// start with it.
func (b *bench) remember(ctx context.Context) (err error) {
	s := scenarios[0]
	s.name = "history"
	p, err := b.startOurs(ctx, s)
	if err != nil {
		return err
	}
	c := &contestant{process: p, sender: b.sender(p, s), m: &measured{}}
	for c.total < b.history && err == nil {
		err = b.round(ctx, c, min(b.history-c.total, 10_000), false)
	}
	b.memory = append(b.memory, memory{what: "right after", resident: p.resident(), runs: c.total})
	if err := errors.Join(err, p.stop()); err != nil {
		return err
	}
	if p, err = b.startOurs(ctx, s); err != nil {
		return err
	}
	err = p.waitFor(ctx, c.total)
	b.memory = append(b.memory, memory{what: "started with", resident: p.resident(), start: p.took, startKnown: true, runs: c.total})
	return errors.Join(err, p.stop())
}
