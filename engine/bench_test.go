package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/memory"
	"github.com/playbookd/playbookd/playbooks"
)

// over is a playbook that goes over n items, some of them at the same time.
func over(b *testing.B, n int) *playbooks.Playbook {
	return compile(b, new(world).Registry(), fmt.Sprintf(`
steps:
  - foreach: 'flatten(map(1..%d, map(1..100, #)))'
    as: x
    concurrency: 10
    do:
      - {if: x > 0, action: test.read, with: {value: "${{ string(x) }}"}}
      - {action: test.put, with: {value: "${{ alert.id }}"}}
`, n/100))
}

// decideAll drives a run to its end and returns its history.
func decideAll(b *testing.B, p *playbooks.Playbook) []engine.Entry {
	m := begin(b, p)
	var history []engine.Entry
	for {
		d := m.Next(epoch)
		history = append(history, d.Record...)
		switch {
		case d.State == engine.Succeeded:
			return history
		case len(d.Invoke) == 0 && !d.More:
			b.Fatalf("the run does not go on: %s (%s)", d.State, d.Message)
		}
		for _, a := range d.Invoke {
			e, err := m.Settle(a, fine(a).out, false, nil, epoch)
			if err != nil {
				b.Fatal(err)
			}
			history = append(history, e)
		}
	}
}

// The time for an item must not grow with their number: ratio is that of 10,000 items over that
// of 1,000, and near 1.
func BenchmarkDecideOverManyItems(b *testing.B) {
	per := map[int]float64{}
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := over(b, n)
			b.ReportAllocs()
			for b.Loop() {
				decideAll(b, p)
			}
			per[n] = float64(b.Elapsed().Nanoseconds()) / float64(b.N*n)
			b.ReportMetric(per[n], "ns/item")
			if n == 10_000 && per[1000] > 0 {
				b.ReportMetric(per[n]/per[1000], "ratio")
			}
		})
	}
}

func BenchmarkReplayOverManyItems(b *testing.B) {
	p := over(b, 10_000)
	history := decideAll(b, p)
	b.ReportAllocs()
	for b.Loop() {
		if err := begin(b, p).Replay(history); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeliverAndRunInMemory(b *testing.B) {
	p := compile(b, new(world).Registry(), "when: alert.status == \"new\"\nsteps: [{action: test.put, with: {value: x}}]\n")
	deliverAndRun(b, p, numbered)
}

// deliverAndRun delivers one event after the other and waits for the end of the run that each starts.
func deliverAndRun(b *testing.B, p *playbooks.Playbook, event func(n int) engine.Event) {
	ended := counter{over: make(chan struct{}, 1024)}
	e := engine.New(engine.Options{Journal: memory.New(), Observer: ended})
	e.Use(playbooks.NewSet(p))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		if _, err := e.Deliver(ctx, engine.Batch{Events: []engine.Event{event(n)}}); err != nil {
			b.Fatal(err)
		}
		select {
		case <-ended.over:
		case <-time.After(time.Minute):
			b.Fatal("the run does not end")
		}
	}
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// counter tells of each run that ended.
type counter struct{ over chan struct{} }

func (counter) RunStarted(engine.Run)                 {}
func (counter) StepEnded(engine.Run, engine.Entry)    {}
func (counter) RunPaused(engine.Run)                  {}
func (c counter) RunEnded(engine.Run, []engine.Entry) { c.over <- struct{}{} }
