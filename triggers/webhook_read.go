package triggers

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/playbookd/playbookd/internal/mutant"
)

const (
	// BodyTimeout is how long a sender may take to send a body.
	BodyTimeout = 10 * time.Second
	// SlowAfter is how long it may take when others have to wait for its place. Whether a body is
	// signed shows only at its end, so anybody can begin one.
	SlowAfter = time.Second
	// trusted is for how many bytes of an announced body room is made before they come.
	trusted = 16 << 10
)

// places are the requests that a hook works on at once. When all are taken, the one whose body has
// been coming for the longest gives way, if it is slow: so strangers who only trickle can't keep
// those out who have something to say.
type places struct {
	free chan struct{}

	mu      sync.Mutex
	reading map[*reading]bool
}

// reading is a body that is being read.
type reading struct {
	since time.Time
	cut   func()
}

func newPlaces(n int) *places {
	return &places{free: make(chan struct{}, n), reading: map[*reading]bool{}}
}

// take takes a place, if there is one or a slow sender gives way in time.
func (p *places) take(now time.Time) bool {
	select {
	case p.free <- struct{}{}:
		return true
	default:
	}
	if !p.cutSlowest(now) {
		return false
	}
	timer := time.NewTimer(SlowAfter)
	defer timer.Stop()
	select {
	case p.free <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

func (p *places) leave() { <-p.free }

// cutSlowest ends the reading that has lasted longest, if that is too long.
func (p *places) cutSlowest(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	var slowest *reading
	for r := range p.reading {
		if slowest == nil || r.since.Before(slowest.since) {
			slowest = r
		}
	}
	if slowest == nil || mutant.On(mutant.KeepSlow) || now.Sub(slowest.since) < SlowAfter {
		return false
	}
	delete(p.reading, slowest)
	slowest.cut()
	return true
}

// read reads a body within its limits of size and time.
func (p *places) read(rw http.ResponseWriter, r *http.Request, now time.Time) ([]byte, *refusal) {
	if r.ContentLength > MaxBody {
		return nil, tooLarge()
	}
	// A writer without deadlines, as in tests without a network, can't be slow either.
	control := http.NewResponseController(rw)
	_ = control.SetReadDeadline(now.Add(BodyTimeout))
	this := &reading{since: now, cut: func() { _ = control.SetReadDeadline(now) }}
	p.mu.Lock()
	p.reading[this] = true
	p.mu.Unlock()
	var body bytes.Buffer
	body.Grow(int(max(min(r.ContentLength, trusted), 0)) + bytes.MinRead)
	_, err := body.ReadFrom(http.MaxBytesReader(rw, r.Body, MaxBody))
	p.mu.Lock()
	delete(p.reading, this) // from now on nobody touches the connection but its own handler
	p.mu.Unlock()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooLarge()
	case err != nil:
		return nil, &refusal{status: http.StatusRequestTimeout, message: "the body did not arrive", why: "body incomplete"}
	}
	return body.Bytes(), nil
}

func tooLarge() *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, why: "body too large",
		message: fmt.Sprintf("the body is larger than %d bytes: send fewer events at once", MaxBody),
	}
}
