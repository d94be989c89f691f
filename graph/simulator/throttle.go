package simulator

import (
	"net/http"
	"time"
)

// throttleWindow is the period ThrottlePerMinute counts in.
const throttleWindow = time.Minute

// window counts what one tenant asked for since its start.
type window struct {
	start time.Time
	calls int
	spent time.Duration // of computing
}

// throttle counts the call and refuses it beyond the limit. Graph and Defender count each for itself.
func (x *exchange) throttle() error {
	limit := x.s.opts.ThrottlePerMinute
	if limit == 0 {
		return nil
	}
	kind := "graph"
	if x.surface == defenderSurface {
		kind = "defender"
	}
	return x.count(kind, limit, throttleWindow)
}

// count counts a call of a kind. Refused calls count as well, as Graph has it.
func (x *exchange) count(kind string, limit int, length time.Duration) error {
	w := x.window(kind, length)
	w.calls++
	if w.calls <= limit {
		return nil
	}
	return w.refuse(x.now, length)
}

// window finds the tenant's window of a kind, a new one if the last is over.
func (x *exchange) window(kind string, length time.Duration) *window {
	key := kind + "/" + x.caller.tenant
	w := x.s.windows[key]
	if w == nil || x.now.Sub(w.start) >= length {
		w = &window{start: x.now}
		x.s.windows[key] = w
	}
	return w
}

// refuse is a 429 until the end of the window.
func (w *window) refuse(now time.Time, length time.Duration) error {
	e := refuse(http.StatusTooManyRequests, "Please retry again later.")
	e.header = http.Header{"Retry-After": {retryAfter(w.start.Add(length).Sub(now))}}
	return e
}
