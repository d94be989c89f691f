package secret

import (
	"sync"
	"time"
)

// RecentAge is how long what was read is good for: a secret that is taken away counts no longer than
// that.
const RecentAge = time.Second

// Recent keeps what was read of secrets for [RecentAge], so that a stream of requests does not read
// their files for each of them. The zero value has read nothing.
type Recent[T any] struct {
	mu    sync.Mutex
	value T
	at    time.Time
	good  bool
}

// Get returns what read gave at most RecentAge ago, and otherwise, or if again is true, what it gives
// now; fresh says which. What is not good is not kept: the next to come reads again. One reads at a
// time, the others wait for it.
func (r *Recent[T]) Get(now time.Time, again bool, read func() (value T, good bool)) (value T, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.at); !again && r.good && age >= 0 && age < RecentAge {
		return r.value, false
	}
	r.value, r.good = read()
	r.at = now
	return r.value, true
}
