package graph

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"pgregory.net/rapid"
)

// inBubble makes a client in simulated time whose answers a function gives.
func inBubble(t *testing.T, budgets map[Class]Budget, answer func(*http.Request) (int, string)) *Client {
	t.Helper()
	c, err := New(Options{Credential: &fixed{}, Budgets: budgets, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		status, after := answer(r)
		h := http.Header{}
		if after != "" {
			h.Set("Retry-After", after)
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(`{"id":"a","value":[]}`)), Request: r}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheBudgetOfAClassIsNeverExceededInAnyWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sent []time.Time
		c := inBubble(t, nil, func(*http.Request) (int, string) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, time.Now())
			return 200, ""
		})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 30 {
					if _, err := c.Alert(t.Context(), "a"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for i := range sent {
			if j := i + 150; j < len(sent) && sent[j].Sub(sent[i]) < time.Minute {
				t.Fatalf("151 requests within %v", sent[j].Sub(sent[i]))
			}
		}
		if len(sent) != 600 {
			t.Errorf("%d requests", len(sent))
		}
	})
}

func TestAnyAcceptedBudgetHoldsInEveryWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := Budget{Per: time.Duration(rapid.IntRange(1, 100_000).Draw(t, "ms")) * time.Millisecond, Concurrent: 1}
		b.Burst = rapid.IntRange(1, 50).Draw(t, "burst")
		b.Requests = b.Burst + rapid.IntRange(1, 200).Draw(t, "flow")
		if wrong := b.check(); wrong != "" {
			t.Fatal(wrong)
		}
		l := b.limiter()
		now := time.Unix(1_000_000, 0)
		var allowed []time.Time
		for range 600 {
			now = now.Add(time.Duration(rapid.IntRange(0, int(b.Per)/20+1).Draw(t, "step")))
			for range rapid.IntRange(1, 20).Draw(t, "tries") {
				if l.AllowN(now, 1) {
					allowed = append(allowed, now)
				}
			}
			if len(allowed) > 3*b.Requests {
				break
			}
		}
		for i := range allowed {
			if j := i + b.Requests; j < len(allowed) && allowed[j].Sub(allowed[i]) < b.Per-time.Microsecond {
				t.Fatalf("%d requests within %v of %v", b.Requests+1, allowed[j].Sub(allowed[i]), b.Per)
			}
		}
	})
}

func TestTheDefaultBudgetsKeepTheDocumentedLimits(t *testing.T) {
	t.Parallel()
	most := func(b Budget, window time.Duration) float64 {
		return float64(b.Burst) + float64(b.Requests-b.Burst)*window.Seconds()/b.Per.Seconds()
	}
	all := DefaultBudgets()
	for _, tc := range []struct {
		class  Class
		window time.Duration
		limit  float64
	}{
		{ClassSecurity, time.Minute, 150}, {ClassScores, 10 * time.Minute, 10_000}, {ClassHunting, time.Minute, 45},
		{ClassDiscovery, time.Minute, 5}, {ClassAssessment, 15 * time.Minute, 150}, {ClassAssessment, 24 * time.Hour, 10_000},
		{ClassIdentity, time.Minute, 60}, {ClassDirectory, 10 * time.Second, 3500}, {ClassSubscriptions, 20 * time.Second, 5000},
		{ClassDevices, time.Minute, 100}, {ClassDevices, time.Hour, 1500},
	} {
		b, ok := all[tc.class]
		if got := most(b, tc.window); !ok || got > tc.limit+1e-9 {
			t.Errorf("%s: %.1f in %v, allowed are %.0f", tc.class, got, tc.window, tc.limit)
		}
		if wrong := b.check(); wrong != "" {
			t.Errorf("%s: %s", tc.class, wrong)
		}
	}
	if all[ClassScores].Concurrent > 4 {
		t.Error("scores allow 4 at once")
	}
}

func TestAPauseHoldsTheWholeClassForEveryCaller(t *testing.T) {
	for _, status := range []int{429, 503} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			c := inBubble(t, nil, func(*http.Request) (int, string) {
				if calls++; calls == 1 {
					return status, "120"
				}
				return 200, ""
			})
			_, err := c.CommentAlert(t.Context(), "a", "x")
			if e, ok := errors.AsType[*Error](err); !ok || e.RetryAfter != 2*time.Minute || !e.Retry() {
				t.Fatalf("the refusal: %v", err)
			}
			start := time.Now()
			_, err = c.Incident(t.Context(), "1", false)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != CodeThrottled || e.RetryAfter != 2*time.Minute || e.Sent || e.Unknown() {
				t.Errorf("during the pause: %v", err)
			}
			if time.Since(start) != 0 || calls != 1 {
				t.Errorf("waited %v, %d requests", time.Since(start), calls)
			}
			security := stats(c, ClassSecurity)
			if security.Throttled != 1 || security.Refused != 1 || security.Sent != 1 || security.PausedUntil.IsZero() {
				t.Errorf("stats: %+v", security)
			}
			if other := stats(c, ClassDirectory); !other.PausedUntil.IsZero() {
				t.Error("another class is paused as well")
			}
			time.Sleep(2*time.Minute - MaxPauseWait)
			start = time.Now()
			if _, err := c.Incident(t.Context(), "1", false); err != nil || time.Since(start) != MaxPauseWait {
				t.Errorf("near the end of the pause: %v after %v", err, time.Since(start))
			}
			if s := stats(c, ClassSecurity); !s.PausedUntil.IsZero() || s.LastSuccess.IsZero() || s.InFlight != 0 || s.Waiting != 0 {
				t.Errorf("stats afterwards: %+v", s)
			}
		})
	}
}

func stats(c *Client, class Class) Stats {
	all := c.Stats()
	return all[slices.IndexFunc(all, func(s Stats) bool { return s.Class == class })]
}

func TestAPauseJustBeyondTheWaitFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inBubble(t, nil, func(*http.Request) (int, string) { return 429, "6" })
		_, _ = c.Alert(t.Context(), "a")
		start := time.Now()
		if _, err := c.Alert(t.Context(), "a"); err == nil || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestACallerThatCannotOutlastThePauseIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inBubble(t, nil, func(*http.Request) (int, string) { return 429, "4" })
		_, _ = c.Alert(t.Context(), "a")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Alert(ctx, "a")
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != CodeThrottled || e.RetryAfter != 4*time.Second || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestWithoutARetryAfterPausesDoubleAndEndWithSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 429
		c := inBubble(t, nil, func(*http.Request) (int, string) { return status, "" })
		for strike := 1; strike <= 10; strike++ {
			_, err := c.Alert(t.Context(), "a")
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatal("no error")
			}
			least := min(time.Second<<(strike-1), MaxBackoff/2)
			if e.RetryAfter < least || e.RetryAfter > 2*least {
				t.Errorf("strike %d pauses %v, not %v to %v", strike, e.RetryAfter, least, 2*least)
			}
			time.Sleep(e.RetryAfter)
		}
		status = 200
		if _, err := c.Alert(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		status = 429
		_, err := c.Alert(t.Context(), "a")
		if e, ok := errors.AsType[*Error](err); !ok || e.RetryAfter > 2*time.Second {
			t.Errorf("after a success: %v", err)
		}
	})
}

func TestRequestsUnderWayTogetherCountAsOneStrike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inBubble(t, nil, func(*http.Request) (int, string) { time.Sleep(time.Second); return 429, "" })
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := c.Alert(t.Context(), "a")
				if e, ok := errors.AsType[*Error](err); !ok || e.RetryAfter > 2*time.Second {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
	})
}

func TestNoMoreAreInFlightThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		c := inBubble(t, map[Class]Budget{ClassSecurity: {Requests: 1000, Per: time.Second, Burst: 500, Concurrent: 3}},
			func(*http.Request) (int, string) {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
				return 200, ""
			})
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() { _, _ = c.Alert(t.Context(), "a") })
		}
		wg.Wait()
		if most != 3 {
			t.Errorf("%d at once", most)
		}
	})
}

func TestACallerWaitsForTheBudgetOnlySoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := inBubble(t, map[Class]Budget{ClassSecurity: {Requests: 2, Per: MaxBudgetWait, Burst: 1, Concurrent: 5}},
			func(*http.Request) (int, string) { calls++; return 200, "" })
		var wg sync.WaitGroup
		refused := make(chan error, 3)
		for range 3 {
			wg.Go(func() {
				if _, err := c.Alert(t.Context(), "a"); err != nil {
					refused <- err
				}
			})
		}
		wg.Wait()
		close(refused)
		n := 0
		for err := range refused {
			n++
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != CodeThrottled || e.RetryAfter <= MaxBudgetWait || e.Sent {
				t.Errorf("got %v", err)
			}
		}
		if n != 1 || calls != 2 {
			t.Errorf("%d refused, %d sent", n, calls)
		}
	})
}

func TestAnExchangeEndsAtItsTimeLimitWithoutADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{Credential: &fixed{}, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = c.CommentAlert(t.Context(), "a", "x")
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != CodeTimeout || !e.Unknown() || time.Since(start) != RequestTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestATokenIsKeptUntilShortlyBeforeItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := &fixed{}
		c, err := New(Options{Credential: cred, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"id":"a"}`)), Request: r}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			wait time.Duration
			want int
		}{{0, 1}, {time.Hour - tokenMargin - time.Second, 1}, {time.Second, 2}, {time.Minute, 2}} {
			time.Sleep(step.wait)
			if _, err := c.Alert(t.Context(), "a"); err != nil || cred.asked != step.want {
				t.Errorf("after %v: %d tokens, %v", step.wait, cred.asked, err)
			}
		}
		g, err := c.RefreshToken(t.Context())
		if err != nil || cred.asked != 3 || cred.forgot != 1 || !g.Allows("a") || g.Allows("b") {
			t.Errorf("refreshed: %+v, %v, %d tokens", g, err, cred.asked)
		}
	})
}

// mute is a credential that is asked and never answers.
type mute struct{}

func (mute) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	<-ctx.Done()
	return azcore.AccessToken{}, ctx.Err()
}

func TestASignInThatNeverAnswersHoldsNobodyForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{Credential: mute{}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var all sync.WaitGroup
		for range 2 { // one asks, the other waits for its turn
			all.Go(func() {
				_, err := c.CommentAlert(context.Background(), "a", "x")
				if e, ok := errors.AsType[*Error](err); !ok || !e.Retry() || e.Unknown() {
					t.Errorf("got %v, want an error after which another attempt makes sense", err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took != 2*RequestTimeout {
			t.Errorf("it took %s of simulated time", took)
		}
	})
}
