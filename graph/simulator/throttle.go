package simulator

import (
	"net/http"
	"time"
)

// throttleWindow is the period ThrottlePerMinute counts in.
const throttleWindow = time.Minute

// window counts the calls of one tenant since its start.
type window struct {
	start time.Time
	calls int
}

// throttle counts the call and refuses it beyond the limit. Refused calls count as well, as Graph has it.
func (x *exchange) throttle() error {
	limit := x.s.opts.ThrottlePerMinute
	if limit == 0 {
		return nil
	}
	w := x.s.windows[x.caller.tenant]
	if w == nil || x.now.Sub(w.start) >= throttleWindow {
		w = &window{start: x.now}
		x.s.windows[x.caller.tenant] = w
	}
	w.calls++
	if w.calls <= limit {
		return nil
	}
	e := refuse(http.StatusTooManyRequests, "Please retry again later.")
	e.header = http.Header{"Retry-After": {retryAfter(w.start.Add(throttleWindow).Sub(x.now))}}
	return e
}
