package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// report prints everything as tables that a page can take over.
func (b *bench) report(w io.Writer) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d processors, %s, %d rounds of %d runs, %d senders; medians\n\n", runtime.NumCPU(), runtime.Version(), b.rounds, b.runs, b.senders)
	fmt.Fprintln(&out, "| scenario | playbookd runs/s | by hand runs/s | ratio | playbookd CPU ms/run | by hand CPU ms/run |")
	fmt.Fprintln(&out, "|---|---|---|---|---|---|")
	for _, r := range b.results {
		ours, byHand := median(r.ours.rates), median(r.byHand.rates)
		fmt.Fprintf(&out, "| %s | %.0f | %.0f | %.2f | %.3f | %.3f |\n", r.name, ours, byHand, ratio(r.ours.rates, r.byHand.rates),
			median(r.ours.cpu), median(r.byHand.cpu))
	}
	fmt.Fprintf(&out, "\n| webhook to PATCH at %d/s | playbookd p50 ms | p99 ms | by hand p50 ms | p99 ms | ratio p50 | p99 |\n|---|---|---|---|---|---|---|\n", perSecond)
	for _, r := range b.results {
		if o, h := r.ours.latency, r.byHand.latency; len(o) > 0 && len(h) > 0 {
			fmt.Fprintf(&out, "| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n", r.name, at(o, 50), at(o, 99), at(h, 50), at(h, 99),
				at(o, 50)/at(h, 50), at(o, 99)/at(h, 99))
		}
	}
	fmt.Fprint(&out, "\n| program | history | RSS MB | start ms |\n|---|---|---|---|\n")
	for _, m := range b.memory {
		name, start := "playbookd", "–"
		if m.isNotOurs {
			name = "by hand"
		}
		if m.startKnown {
			start = fmt.Sprint(m.start.Round(time.Millisecond).Milliseconds())
		}
		fmt.Fprintf(&out, "| %s %s | %d runs | %.0f | %s |\n", name, m.what, m.runs, float64(m.resident)/(1<<20), start)
	}
	_, err := w.Write(out.Bytes())
	return err
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// ratio is the median of the rounds' own ratios: what disturbed the machine in one round disturbed
// both programs.
func ratio(ours, byHand []float64) float64 {
	var each []float64
	for i := range min(len(ours), len(byHand)) {
		each = append(each, ours[i]/byHand[i])
	}
	return median(each)
}

// at is a percentile of sorted values.
func at(sorted []float64, percent int) float64 {
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)]
}
