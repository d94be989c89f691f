package invariant

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// maxReceived is how much of a request's body a receiver reads.
const maxReceived = 1 << 20

// Receiver is a plain system that is told things: an HTTP handler with a log of its own, for steps
// that go elsewhere than to Graph.
type Receiver struct {
	// Answer, if set, answers instead of the receiver. What was asked for has happened by then and
	// is in the log.
	Answer http.HandlerFunc

	mu      sync.Mutex
	effects []Effect
}

// ServeHTTP does what is asked for: it writes it down.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(req.Body, maxReceived)) // what breaks off has arrived all the same
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		r.mu.Lock()
		r.effects = append(r.effects, Effect{Key: req.Header.Get("Idempotency-Key"), Time: time.Now(), Op: req.Method, Object: req.URL.Path})
		r.mu.Unlock()
	}
	if r.Answer != nil {
		r.Answer(w, req)
	}
}

// Target is the receiver's log as it is now.
func (r *Receiver) Target() Target {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Target{Name: "receiver", Takes: ToHTTP, Effects: slices.Clone(r.effects)}
}
