package soak_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/playbookd/playbookd/graph/simulator"
)

// life is what a daemon's requests go through, from its start to its end. Each takes a time of its
// own, so that no two things happen at the same moment and the same seed is the same life. The time
// follows from all of the address: of two that set out at the same moment, because they waited for the
// same token, nobody can say which was the first.
type life struct {
	w    *world
	dead atomic.Bool            // the process is gone: nothing that it does matters any more
	plot atomic.Pointer[ambush] // what kills it
}

// ambush kills a daemon in the middle of a change.
type ambush struct {
	after  bool          // the change was made, the answer is lost
	struck chan struct{} // of size one
}

func (l *life) RoundTrip(r *http.Request) (*http.Response, error) {
	rng := l.w.weather.dice("latency", r.Method, r.URL.RequestURI())
	if strings.Contains(r.URL.RawQuery, "lastUpdateDateTime%20ge") {
		l.w.weather.count("requests of polls", 1)
	}
	if !doze(r, time.Duration(20e6+rng.Int64N(60e6))) {
		return nil, r.Context().Err()
	}
	if l.dead.Load() {
		return nil, l.hang(r)
	}
	if l.w.weather.now() == refused {
		l.w.weather.count("requests in an outage: "+refused, 1)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	if plot := l.plot.Load(); plot != nil && r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/token") && l.plot.CompareAndSwap(plot, nil) {
		if plot.after {
			if resp, err := l.send(r); err == nil {
				_ = resp.Body.Close() // nobody reads it
			}
		}
		l.dead.Store(true)
		plot.struck <- struct{}{}
		return nil, l.hang(r)
	}
	return l.send(r)
}

// send brings a request to whom it is for.
func (l *life) send(r *http.Request) (*http.Response, error) {
	if r.URL.Host == pagerHost {
		return l.page(r)
	}
	return l.w.sim.Transport().RoundTrip(r)
}

var errBroken = errors.New("connection reset by peer")

// page is the pager: a receiver with the same weather.
func (l *life) page(r *http.Request) (*http.Response, error) {
	f := l.w.weather.strike(r.Method, r.URL.Path)
	if f == nil {
		f = &simulator.Fault{}
	}
	if f.When != simulator.After {
		if f.Delay > 0 && !doze(r, f.Delay) {
			return nil, r.Context().Err()
		}
		if f.Drop {
			return nil, errBroken
		}
		if f.Status != 0 {
			return l.refusal(r, f), nil
		}
	}
	in := r.Clone(r.Context()) // as it arrives: names of headers in their usual form
	in.Header = http.Header{}
	for name, values := range r.Header {
		in.Header[http.CanonicalHeaderKey(name)] = values
	}
	rec := httptest.NewRecorder()
	l.w.pager.ServeHTTP(rec, in)
	if f.When == simulator.After {
		if f.Delay > 0 && !doze(r, f.Delay) {
			return nil, r.Context().Err()
		}
		if f.Drop {
			return nil, errBroken
		}
		if f.Status != 0 {
			return l.refusal(r, f), nil
		}
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func (l *life) refusal(r *http.Request, f *simulator.Fault) *http.Response {
	resp := &http.Response{
		StatusCode: f.Status, Status: http.StatusText(f.Status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader(nil)), Request: r,
	}
	if f.RetryAfter != "" {
		resp.Header.Set("Retry-After", l.w.dated(f.RetryAfter))
	}
	return resp
}

// hang is a request that nothing answers any more.
func (l *life) hang(r *http.Request) error {
	<-r.Context().Done()
	return r.Context().Err()
}

// doze sleeps unless the caller goes away.
func doze(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
