package meter_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/internal/meter"
)

func TestAHistogramCountsEachValueOnceUpToAndIncludingItsBound(t *testing.T) {
	t.Parallel()
	h := meter.NewHistogram([]time.Duration{time.Second, time.Minute})
	for _, d := range []time.Duration{-time.Hour, 0, time.Second, time.Second + 1, time.Minute, time.Hour} {
		h.Observe(d)
	}
	got := h.Load()
	want := meter.Distribution{Bounds: []float64{1, 60}, Counts: []uint64{3, 2, 1}, Sum: 1 + 1.000000001 + 60 + 3600}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got.Count() != 6 {
		t.Errorf("%d values", got.Count())
	}
}

func TestBoundsAscend(t *testing.T) {
	t.Parallel()
	for _, bounds := range [][]time.Duration{meter.Short(), meter.Long()} {
		for i := 1; i < len(bounds); i++ {
			if bounds[i] <= bounds[i-1] {
				t.Errorf("%s comes after %s", bounds[i], bounds[i-1])
			}
		}
	}
}

func TestNothingIsLostAmongGoroutines(t *testing.T) {
	t.Parallel()
	h := meter.NewHistogram(meter.Short())
	by := meter.NewBy(4, func(int) int { return -1 }, func() *meter.Counter { return &meter.Counter{} })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				h.Observe(time.Second)
				by.At(i % 10).Add(1)
			}
		})
	}
	all.Wait()
	total, keys := 0.0, 0
	by.Each(func(_ int, c *meter.Counter) { total += c.Load(); keys++ })
	if d := h.Load(); d.Count() != 8000 || d.Sum != 8000 || total != 8000 || keys != 5 {
		t.Errorf("%d values, sum %v; %v counted under %d keys", d.Count(), d.Sum, total, keys)
	}
}

func TestKeysBeyondTheLimitAreCountedTogether(t *testing.T) {
	t.Parallel()
	by := meter.NewBy(2, func(string) string { return "other" }, func() *meter.Counter { return &meter.Counter{} })
	for _, k := range []string{"a", "b", "c", "d", "a", "c"} {
		by.At(k).Add(1)
	}
	got := ""
	by.Each(func(k string, c *meter.Counter) { got += fmt.Sprintf("%s=%v ", k, c.Load()) })
	if want := "a=2 b=1 other=3 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	type key struct{ tenant, source string }
	by := meter.NewBy(10, func(k key) key { return k }, func() *meter.Histogram { return meter.NewHistogram(meter.Short()) })
	k := key{"contoso", "poll/alerts"}
	by.At(k).Observe(time.Second)
	if n := testing.AllocsPerRun(100, func() { by.At(k).Observe(time.Second) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
