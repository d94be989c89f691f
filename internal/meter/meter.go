// Package meter counts what happens at the place where it happens, for somebody who comes by now
// and then and reads the counts.
//
// Counting must not be felt: it takes an atomic addition or two, allocates nothing once a key
// was met, and never waits for the reader. What it is read into, names and text formats, is the
// reader's business ([github.com/playbookd/playbookd/server]).
package meter

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Counter only grows.
type Counter struct{ n atomic.Int64 }

// Add counts n more.
func (c *Counter) Add(n int) { c.n.Add(int64(n)) }

// Load is the count so far.
func (c *Counter) Load() float64 { return float64(c.n.Load()) }

// Histogram counts durations by size. Make one with NewHistogram.
type Histogram struct {
	bounds []time.Duration
	counts []atomic.Uint64 // one more than bounds: the last is for what is beyond all of them
	sum    atomic.Uint64   // seconds, the bits of a float64
}

// Distribution is what a histogram holds: Counts[i] values were at most Bounds[i], and more than
// the bound before; the last of Counts is for those beyond all bounds.
type Distribution struct {
	Bounds []float64
	Counts []uint64
	Sum    float64
}

// Count is how many values there were.
func (d Distribution) Count() uint64 {
	n := uint64(0)
	for _, c := range d.Counts {
		n += c
	}
	return n
}

// Short is bounds for what takes milliseconds to minutes.
func Short() []time.Duration {
	const ms = time.Millisecond
	return []time.Duration{ms, 2500 * time.Microsecond, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms,
		time.Second, 2500 * ms, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute}
}

// Long is bounds for what takes seconds to days.
func Long() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		15 * time.Minute, time.Hour, 4 * time.Hour, day, 7 * day}
}

// NewHistogram makes a histogram with upper bounds, which ascend.
func NewHistogram(bounds []time.Duration) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts a duration. One below zero, which a clock that was set can make, counts as zero.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+d.Seconds())) {
			return
		}
	}
}

// Load is what was counted so far.
func (h *Histogram) Load() Distribution {
	d := Distribution{Bounds: make([]float64, len(h.bounds)), Counts: make([]uint64, len(h.counts)), Sum: math.Float64frombits(h.sum.Load())}
	for i, b := range h.bounds {
		d.Bounds[i] = b.Seconds()
	}
	for i := range h.counts {
		d.Counts[i] = h.counts[i].Load()
	}
	return d
}

// By counts apart what differs in a key. It holds no more than a number of keys, so that nothing
// from outside can make it large: whatever comes later is counted together, under another.
type By[K comparable, V any] struct {
	most int
	rest func(K) K
	make func() *V

	mu   sync.RWMutex
	all  map[K]*V
	keys []K // in the order in which they came
}

// NewBy makes a By. Beyond most keys, rest says under which key something is counted; what it
// returns is not counted against most, so it should return few.
func NewBy[K comparable, V any](most int, rest func(K) K, makeOne func() *V) *By[K, V] {
	return &By[K, V]{most: most, rest: rest, make: makeOne, all: map[K]*V{}}
}

// At is what counts for a key.
func (b *By[K, V]) At(key K) *V {
	b.mu.RLock()
	v := b.all[key]
	b.mu.RUnlock()
	if v != nil {
		return v
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) >= b.most && b.all[key] == nil {
		key = b.rest(key)
	}
	if v = b.all[key]; v == nil {
		v = b.make()
		b.all[key] = v
		b.keys = append(b.keys, key)
	}
	return v
}

// Each calls f for each key that was met, in the order in which they came.
func (b *By[K, V]) Each(f func(K, *V)) {
	b.mu.RLock()
	keys := slices.Clone(b.keys)
	b.mu.RUnlock()
	for _, k := range keys {
		b.mu.RLock()
		v := b.all[k]
		b.mu.RUnlock()
		f(k, v)
	}
}
