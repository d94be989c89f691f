package engine

import (
	"hash/fnv"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/playbooks"
)

// What a step that says nothing about it gets.
const (
	// DefaultTimeout bounds one attempt.
	DefaultTimeout = 60 * time.Second
	// DefaultAttempts, DefaultInitial and DefaultMax ride out half an hour of trouble: a dozen
	// attempts, the wait doubling from one second to five minutes.
	DefaultAttempts = playbooks.DefaultAttempts
	DefaultInitial  = playbooks.DefaultInitial
	DefaultMax      = playbooks.DefaultMax
	// ProbeDelay is how long after a lost answer its trace is looked for: Graph shows a write to
	// readers seconds after it took it.
	ProbeDelay = time.Second
	// AwaitEvery is how long after a look an action that only starts something is asked again whether it
	// is done. What takes long is asked less often, a quarter of the time that it has taken so far later,
	// but after AwaitPause at the latest: a device that sleeps for a day must not use up the requests
	// that others need.
	AwaitEvery = 15 * time.Second
	AwaitPause = 5 * time.Minute
)

var defaultRetry = playbooks.Retry{
	Attempts: DefaultAttempts, Backoff: "exponential", Initial: DefaultInitial, Max: DefaultMax,
}

func policyOf(s *playbooks.Step) *playbooks.Retry {
	if s.Retry != nil {
		return s.Retry
	}
	return &defaultRetry
}

func timeoutOf(s *playbooks.Step) time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return DefaultTimeout
}

// backoff is how long to wait after the n-th attempt (n from 1) failed with f. It is pure: the
// jitter, a quarter of the wait at most, is made from the key, so that deciding again gives the
// same. What the service asked for always wins over what the policy would allow.
func backoff(r *playbooks.Retry, n int, f *actions.Fault, key string) time.Duration {
	wait := r.Initial
	if r.Backoff != "constant" {
		for i := 1; i < n && (r.Max == 0 || wait < r.Max); i++ {
			wait *= 2
		}
	}
	if r.Max > 0 {
		wait = min(wait, r.Max)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	_, _ = h.Write([]byte{byte(n)})
	wait -= time.Duration(float64(wait/4) * float64(h.Sum32()%1000) / 1000)
	if f != nil && !mutant.On(mutant.IgnoreRetryAfter) {
		wait = max(wait, f.After)
	}
	return wait
}
