package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// The limits of profiles.
const (
	// MaxProfile is how long a profile or a trace may be recorded.
	MaxProfile = 5 * time.Minute
	// ContentionRate is of how many events of a mutex one is recorded, and for how many nanoseconds
	// of blocking one event is, while somebody asks.
	ContentionRate = 100
)

// Profiles serves profiles of the running process in the form that `go tool pprof` reads, on a
// listener of its own.
//
// A profile tells what is in memory, names and addresses at least, so the listener is on this
// machine only, whatever else is configured, and answers no page that a browser was lured to from
// elsewhere. Blocking and mutexes are recorded only while somebody asks, with ?seconds=N: recording
// costs something.
type Profiles struct {
	http   *http.Server
	ln     net.Listener
	log    *slog.Logger
	served sync.WaitGroup

	turn sync.Mutex // one recording of contention at a time
}

// OpenProfiles listens on a loopback address and serves until Stop.
func OpenProfiles(addr string, log *slog.Logger) (*Profiles, error) {
	local, err := isLocal(addr)
	if err != nil {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	if !local {
		return nil, fmt.Errorf("profiles: %.80q can be reached by others, and profiles show what is in memory: use a loopback address, such as 127.0.0.1:6060, and a tunnel", addr)
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("profiles: listen on %s: %w: stop what uses the address, or give another", addr, err)
	}
	if tcp, ok := ln.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() { // the name localhost may mean anything
		return nil, errors.Join(fmt.Errorf("profiles: %.80q is not on this machine alone: use 127.0.0.1", addr), ln.Close())
	}
	p := &Profiles{ln: ln, log: log.With("component", "profiles")}
	// No ReadTimeout: it would end a recording that takes longer.
	p.http = &http.Server{
		Handler: p.routes(), ReadHeaderTimeout: HeaderTimeout, WriteTimeout: MaxProfile + WriteTimeout,
		IdleTimeout: IdleTimeout, MaxHeaderBytes: MaxHeaderBytes, ErrorLog: slog.NewLogLogger(quiet{p.log.Handler()}, slog.LevelDebug),
	}
	p.served.Go(func() { _ = p.http.Serve(newCapped(ln, MaxConnections)) }) // ends with Stop; the program goes on without it
	p.log.Info("listening", "addr", ln.Addr().String())
	return p, nil
}

// Addr is where profiles are served.
func (p *Profiles) Addr() string { return p.ln.Addr().String() }

// Stop ends the listener. A recording under way is cut off.
func (p *Profiles) Stop() error {
	err := p.http.Close()
	p.served.Wait()
	return err
}

func (p *Profiles) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.Handle("GET /debug/pprof/block", p.contention("block", runtime.SetBlockProfileRate))
	mux.Handle("GET /debug/pprof/mutex", p.contention("mutex", func(rate int) { runtime.SetMutexProfileFraction(rate) }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			http.Error(w, "ask for it by a loopback address: http://"+p.Addr(), http.StatusForbidden)
			return
		}
		if s := r.FormValue("seconds"); s != "" {
			if n, err := strconv.ParseFloat(s, 64); err != nil || n <= 0 || n > MaxProfile.Seconds() {
				http.Error(w, fmt.Sprintf("seconds is a number up to %d", int(MaxProfile.Seconds())), http.StatusBadRequest)
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

// loopbackHost says whether a request was made by a name that no page from elsewhere can have.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// contention records while the request lasts, and not before or after.
func (p *Profiles) contention(name string, set func(rate int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("seconds") == "" {
			http.Error(w, "this is recorded only while somebody asks: add ?seconds=30", http.StatusBadRequest)
			return
		}
		if !p.turn.TryLock() {
			http.Error(w, "somebody else records: come back later", http.StatusConflict)
			return
		}
		defer p.turn.Unlock()
		set(ContentionRate)
		defer set(0)
		pprof.Handler(name).ServeHTTP(w, r)
	})
}
