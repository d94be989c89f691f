package graph

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/playbookd/playbookd/internal/meter"
)

// Class is a group of endpoints that share one of Graph's limits.
type Class string

// The classes that Graph's documentation of limits tells apart.
const (
	ClassSecurity      Class = "security"      // alerts, incidents
	ClassScores        Class = "scores"        // secure scores and their control profiles
	ClassHunting       Class = "hunting"       // advanced hunting
	ClassDiscovery     Class = "discovery"     // eDiscovery cases
	ClassAssessment    Class = "assessment"    // threat assessment requests
	ClassIdentity      Class = "identity"      // risky users, risk detections
	ClassDirectory     Class = "directory"     // users
	ClassSubscriptions Class = "subscriptions" // change notifications
	ClassDevices       Class = "devices"       // Defender for Endpoint actions
)

// Budget is how much of a class one tenant may use: in any window of Per never more than
// Requests, at most Burst of them at once from rest, and Concurrent in flight.
type Budget struct {
	Requests   int
	Per        time.Duration
	Burst      int
	Concurrent int
}

// DefaultBudgets are Graph's documented limits for an app in a tenant. Where Graph states two
// windows the numbers keep both: 150 in 15 minutes and 10,000 a day of assessments, 100 a
// minute and 1500 an hour of device actions.
func DefaultBudgets() map[Class]Budget {
	return map[Class]Budget{
		ClassSecurity:      {Requests: 150, Per: time.Minute, Burst: 15, Concurrent: 8},
		ClassScores:        {Requests: 10_000, Per: 10 * time.Minute, Burst: 100, Concurrent: 4},
		ClassHunting:       {Requests: 45, Per: time.Minute, Burst: 5, Concurrent: 4},
		ClassDiscovery:     {Requests: 5, Per: time.Minute, Burst: 2, Concurrent: 2},
		ClassAssessment:    {Requests: 10_000, Per: 24 * time.Hour, Burst: 40, Concurrent: 4},
		ClassIdentity:      {Requests: 60, Per: time.Minute, Burst: 1, Concurrent: 2},
		ClassDirectory:     {Requests: 1000, Per: 10 * time.Second, Burst: 100, Concurrent: 8},
		ClassSubscriptions: {Requests: 500, Per: 20 * time.Second, Burst: 20, Concurrent: 4},
		ClassDevices:       {Requests: 1500, Per: time.Hour, Burst: 60, Concurrent: 4},
	}
}

// limiter is the token bucket of a budget. A full bucket and its refill together never exceed
// Requests in any window, so what flows in is Requests minus Burst.
func (b Budget) limiter() *rate.Limiter {
	refill := b.Requests - b.Burst
	return rate.NewLimiter(rate.Limit(float64(refill)/b.Per.Seconds()), b.Burst)
}

// check says what is wrong with a budget.
func (b Budget) check() string {
	switch {
	case b.Per <= 0:
		return "per must be a positive duration"
	case b.Burst < 1:
		return "burst must be at least 1"
	case b.Requests <= b.Burst:
		return "requests must be more than burst, or nothing is left to flow"
	case b.Concurrent < 1:
		return "concurrent must be at least 1"
	}
	return ""
}

// gate holds back the requests of one class: so many in flight, so many in a window, and none
// while Graph asked for a pause.
type gate struct {
	slots   chan struct{}
	limiter *rate.Limiter
	took    *meter.Histogram // of requests that left

	mu      sync.Mutex
	until   time.Time // no request before
	paused  time.Time // when the latest pause began
	strikes int       // pauses in a row without a stated length
	stats   Stats
}

func newGate(class Class, b Budget) *gate {
	return &gate{
		slots:   make(chan struct{}, b.Concurrent),
		limiter: b.limiter(),
		took:    meter.NewHistogram(meter.Short()),
		stats:   Stats{Class: class, Budget: b},
	}
}

// held is why a request was not sent.
type held struct {
	after time.Duration // when another attempt makes sense
	cause error         // the caller's context, if that ended the wait
}

// enter waits until a request may be sent and returns the function that ends it.
func (g *gate) enter(ctx context.Context) (leave func(), h *held) {
	g.count(func(s *Stats) { s.Waiting++ })
	defer g.count(func(s *Stats) { s.Waiting-- })
	if err := ctx.Err(); err != nil {
		return nil, &held{cause: err}
	}
	if after := g.pause(); after > MaxPauseWait {
		return nil, g.refuse(after) // no need to queue for a slot first
	}
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, &held{cause: ctx.Err()}
	}
	if h := g.clear(ctx); h != nil {
		<-g.slots
		return nil, h
	}
	g.count(func(s *Stats) { s.InFlight++; s.Sent++ })
	return func() {
		g.count(func(s *Stats) { s.InFlight-- })
		<-g.slots
	}, nil
}

// clear waits for the budget, then for the end of a pause.
func (g *gate) clear(ctx context.Context) *held {
	now := time.Now()
	r := g.limiter.ReserveN(now, 1)
	if delay := r.DelayFrom(now); delay > 0 {
		if delay > MaxBudgetWait || beyond(ctx, now.Add(delay)) {
			r.CancelAt(now)
			return g.refuse(delay)
		}
		if err := sleep(ctx, delay); err != nil {
			r.Cancel()
			return &held{cause: err}
		}
	}
	// Another caller may extend the pause while we wait, hence the loop.
	for {
		after := g.pause()
		if after <= 0 {
			return nil
		}
		if after > MaxPauseWait || beyond(ctx, time.Now().Add(after)) {
			return g.refuse(after)
		}
		if err := sleep(ctx, after); err != nil {
			return &held{cause: err}
		}
	}
}

// pause is how much of a pause is left.
func (g *gate) pause() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(g.until)
}

// throttle pauses the class. A wait of zero means that Graph named none: the pause then doubles
// from one strike to the next, with jitter upward so that callers don't return in step. sent is
// when the throttled request left: one that left before the latest pause began tells nothing new.
func (g *gate) throttle(after time.Duration, sent time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if after <= 0 {
		if g.paused.IsZero() || sent.After(g.paused) {
			g.strikes++
		}
		after = backoff(g.stats.Class, max(g.strikes, 1), now)
	}
	after = min(after, MaxRetryAfter)
	if until := now.Add(after); until.After(g.until) {
		g.until = until
	}
	g.paused = now
	g.stats.Throttled++
	return after
}

// settle notes an answer that was not a refusal.
func (g *gate) settle(failed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if failed {
		g.stats.Failed++
		return
	}
	g.strikes = 0
	g.stats.LastSuccess = time.Now()
}

// answered counts how a request that left ended; status 0 is no answer.
func (g *gate) answered(status int, took time.Duration) {
	g.took.Observe(took)
	g.count(func(s *Stats) { s.Answers[kindOfAnswer(status)]++ })
}

func (g *gate) refuse(after time.Duration) *held {
	g.count(func(s *Stats) { s.Refused++ })
	return &held{after: after}
}

func (g *gate) count(change func(*Stats)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(&g.stats)
}

func (g *gate) snapshot() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	s.Took = g.took.Load()
	s.Left = max(g.limiter.Tokens(), 0)
	if g.until.After(time.Now()) {
		s.PausedUntil = g.until
	}
	return s
}

// backoff is the pause before the n-th strike: 1-2 s, 2-4 s, 4-8 s and so on. What is added comes from
// the moment: as good as chance between processes, and the same again where time is simulated.
func backoff(class Class, strike int, now time.Time) time.Duration {
	base := time.Second << min(strike-1, 10)
	base = min(base, MaxBackoff/2)
	rng := rand.New(rand.NewPCG(uint64(now.UnixNano()), uint64(len(class))))
	return base + time.Duration(rng.Int64N(int64(base)))
}

// beyond says that the caller will have given up by then.
func beyond(ctx context.Context, then time.Time) bool {
	deadline, ok := ctx.Deadline()
	return ok && deadline.Before(then)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
