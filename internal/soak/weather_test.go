package soak_test

import (
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/playbookd/playbookd/graph/simulator"
)

// weather decides what becomes of each request. What happens to a request follows from the seed,
// from what it asks for, and from how often that was asked before: never from who was first.
type weather struct {
	seed    uint64
	outages []outage

	mu     sync.Mutex
	fair   bool
	asked  map[string]uint64
	counts map[string]int64
}

// outage is a time in which something does not work at all.
type outage struct {
	from, to time.Time
	kind     string
}

// The ways in which something does not work at all.
const (
	refused = "refused"     // connections are refused
	silent  = "silent"      // nothing answers
	failing = "failing"     // 503
	paused  = "paused"      // 503 with Retry-After
	denied  = "denied"      // nobody can sign in
	worn    = "expired"     // every token is taken for expired
	missing = "unreachable" // every connection breaks
)

func outageKinds() []string { return []string{refused, silent, failing, paused, denied, worn, missing} }

func newWeather(seed uint64) *weather {
	return &weather{seed: seed, asked: map[string]uint64{}, counts: map[string]int64{}}
}

// clear ends all bad weather.
func (w *weather) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fair = true
}

func (w *weather) count(what string, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what] += n
}

// dice are those of one request.
func (w *weather) dice(salt, method, path string) *rand.Rand {
	key := salt + " " + method + " " + path
	w.mu.Lock()
	w.asked[key]++
	n := w.asked[key]
	w.mu.Unlock()
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // a hash never fails
	return rand.New(rand.NewPCG(w.seed^h.Sum64(), n))
}

// now says which outage there is.
func (w *weather) now() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fair {
		return ""
	}
	at := time.Now()
	for _, o := range w.outages {
		if !at.Before(o.from) && at.Before(o.to) {
			return o.kind
		}
	}
	return ""
}

// How often a request meets a fault of its own, in a thousand.
const (
	faultyReads  = 12
	faultyWrites = 120
	faultyTokens = 60
)

// strike is the fault that a request meets, nil for none.
func (w *weather) strike(method, path string) *simulator.Fault {
	token := strings.HasSuffix(path, "/token")
	w.mu.Lock()
	fair := w.fair
	w.mu.Unlock()
	if fair || strings.Contains(path, "openid-configuration") {
		return nil
	}
	rng := w.dice("fault", method, path)
	if f, over := w.outage(path, rng); over {
		return f
	}
	odds := faultyReads
	switch {
	case token:
		odds = faultyTokens
	case method != http.MethodGet:
		odds = faultyWrites
	}
	if rng.IntN(1000) >= odds {
		return nil
	}
	return w.fault(token, rng)
}

func (w *weather) outage(path string, rng *rand.Rand) (*simulator.Fault, bool) {
	kind, token := w.now(), strings.HasSuffix(path, "/token")
	f := &simulator.Fault{Path: "**"}
	switch {
	case kind == failing:
		f.Status = 503
	case kind == paused:
		f.Status, f.RetryAfter = 503, "90"
	case kind == denied && token:
		f.Status, f.Code = 401, "7000222"
	case kind == worn && strings.Contains(path, "/security/"):
		f.Status = 401
	case kind == missing:
		f.Drop = true
	case kind == silent:
		f.Drop, f.Delay = true, 3*time.Minute+time.Duration(rng.Int64N(int64(24*time.Hour-3*time.Minute)))
	default:
		return nil, false
	}
	w.count("requests in an outage: "+kind, 1)
	return f, true
}

// fault is one of all kinds.
func (w *weather) fault(token bool, rng *rand.Rand) *simulator.Fault {
	f := &simulator.Fault{Path: "**", When: []string{simulator.Before, simulator.After}[rng.IntN(2)]}
	kinds := 7
	if token {
		kinds = 4 // a token that was issued and got lost is one that was not
	}
	var name string
	switch rng.IntN(kinds) {
	case 0:
		name, f.Drop = "dropped", true
	case 1:
		name, f.Status = "5xx", []int{500, 502, 503, 504}[rng.IntN(4)]
	case 2:
		name, f.Drop, f.Delay = "silent beyond the timeout", true, 24*time.Hour
	case 3:
		name, f.Delay = "slow", time.Duration(1+rng.IntN(20))*time.Second
	case 4:
		name, f.Status, f.When, f.RetryAfter = "429 with Retry-After in seconds", 429, simulator.Before, []string{"1", "17", "300"}[rng.IntN(3)]
	case 5:
		name, f.Status, f.When = "429 without Retry-After", 429, simulator.Before
	case 6:
		name, f.Status, f.When = "429 with a date as Retry-After", 429, simulator.Before
		f.RetryAfter = dated
	}
	if f.When == simulator.After && f.Status+int(f.Delay) > 0 || f.Drop {
		name += ", " + f.When + " the effect"
	}
	w.count("requests with a fault: "+name, 1)
	return f
}

// dated stands for a date that the service's clock is to fill in.
const dated = "DATE"
