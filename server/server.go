// Package server is the listener of playbookd: webhooks, two pages that tell whether it is well,
// and one with all that it counts.
//
//	POST /webhooks/PATH   taken by the handler that Options name
//	GET  /healthz         is the process able to work at all? A supervisor restarts it if not
//	GET  /readyz          is it working now? Both name each failing check and why
//	GET  /metrics         counts for Prometheus, as Table describes them
//	     /api/            what people say to runs, each with a token: see Desk
//
// The table of metrics is here and nowhere else, and so is everything that knows Prometheus: the
// other packages count (internal/meter) and are read when somebody asks.
//
// # Promises
//
// It listens on this machine only, unless it speaks TLS or is told that a proxy in front of it
// does ([Options].BehindProxy): keys of webhooks must not travel in the clear because somebody
// forgot a setting.
//
// Nobody can hold it up: headers, bodies, answers, idle connections and the number of connections
// have limits. A handler that panics costs its request and nothing else.
//
// Stop lets requests that have begun end within the time that its context gives, and reports
// those that didn't.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// The limits of the listener.
const (
	// HeaderTimeout is how long a client may take to send the headers of a request.
	HeaderTimeout = 5 * time.Second
	// ReadTimeout is how long it may take to send all of a request.
	ReadTimeout = 30 * time.Second
	// WriteTimeout is how long a request may take from its headers to the end of the answer.
	WriteTimeout = 45 * time.Second
	// IdleTimeout is how long a connection may wait for another request.
	IdleTimeout = 60 * time.Second
	// MaxHeaderBytes is how large the headers of a request may be. The standard library allows
	// itself 4 KiB more.
	MaxHeaderBytes = 16 << 10
	// MaxConnections is how many connections are open at once. More wait until one closes.
	MaxConnections = 512
)

// DefaultAddr is where the server listens when nothing else is said.
const DefaultAddr = "127.0.0.1:8484"

// Options build a server.
type Options struct {
	// Addr is host:port. The host is an address or localhost; empty means DefaultAddr.
	Addr string
	// Listener takes the place of Addr; the same rules hold for its address.
	Listener net.Listener
	// CertFile and KeyFile are PEM files. They are read again when they change.
	CertFile, KeyFile string
	// BehindProxy allows an address that others can reach without TLS.
	BehindProxy bool
	// Webhooks handles /webhooks/. Nil: there are none.
	Webhooks http.Handler
	// Desk takes what people say under /api/, and People are those who may. Nil: there is no API.
	Desk   Desk
	People func() []Person
	// Health and Ready are the checks behind /healthz and /readyz. Ready includes Health.
	Health, Ready []Check
	// Metrics gives the readings behind /metrics. Nil: there is no such page.
	Metrics func(context.Context, *Readings) error
	// MetricsOnly leaves out all other pages, for a listener of its own.
	MetricsOnly bool
	Log         *slog.Logger
}

// Server is the listener. Start it once; Stop ends it.
type Server struct {
	o      Options
	log    *slog.Logger
	http   *http.Server
	tls    *keyPair // nil: no TLS
	failed chan error
	served sync.WaitGroup

	mu sync.Mutex
	ln net.Listener
}

// New checks options and makes a server. It opens nothing yet.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Addr == "" {
		o.Addr = DefaultAddr
	}
	s := &Server{o: o, log: o.Log.With("component", "server"), failed: make(chan error, 1)}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("TLS needs both a certificate file and a key file: name both or neither")
	}
	if o.CertFile != "" {
		pair, err := loadKeyPair(o.CertFile, o.KeyFile, s.log)
		if err != nil {
			return nil, err
		}
		s.tls = pair
	}
	if o.Listener == nil {
		local, err := isLocal(o.Addr)
		if err != nil {
			return nil, err
		}
		if !local {
			if err := s.mayBeReached(o.Addr); err != nil {
				return nil, err
			}
		}
	}
	routes, err := s.routes()
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           routes,
		ReadHeaderTimeout: HeaderTimeout,
		ReadTimeout:       ReadTimeout,
		WriteTimeout:      WriteTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(quiet{s.log.Handler()}, slog.LevelDebug),
	}
	return s, nil
}

// isLocal says whether only this machine can reach an address, as far as its text tells.
func isLocal(addr string) (bool, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, fmt.Errorf("listen address %.80q: write host:port, such as %s", addr, DefaultAddr)
	}
	if host == "localhost" {
		return true, nil
	}
	if host == "" {
		return false, nil // every address of the machine
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false, fmt.Errorf("listen address %.80q: write an IP address instead of the name, such as %s", addr, DefaultAddr)
	}
	return ip.Unmap().IsLoopback(), nil
}

// mayBeReached refuses an address that others can reach in the clear.
func (s *Server) mayBeReached(addr string) error {
	if s.tls != nil || s.o.BehindProxy {
		return nil
	}
	return fmt.Errorf("listen address %.80q can be reached by others and there is no TLS: "+
		"listen on 127.0.0.1, give a certificate and a key, or say that a proxy in front speaks TLS", addr)
}

// Start listens and serves until Stop.
func (s *Server) Start() error {
	ln := s.o.Listener
	if ln == nil {
		var err error
		if ln, err = new(net.ListenConfig).Listen(context.Background(), "tcp", s.o.Addr); err != nil {
			return fmt.Errorf("listen on %s: %w: stop what uses the address, or set another in the configuration", s.o.Addr, err)
		}
	}
	// The name localhost, and a listener handed in, show only now where they are.
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		if err := s.mayBeReached(ln.Addr().String()); err != nil {
			return errors.Join(err, ln.Close())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln != nil {
		return errors.Join(errors.New("the server has been started already"), ln.Close())
	}
	s.ln = ln
	ln = newCapped(ln, MaxConnections)
	if s.tls != nil {
		s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.tls.certificate}
	}
	s.served.Go(func() {
		var err error
		if s.tls != nil {
			err = s.http.ServeTLS(ln, "", "")
		} else {
			err = s.http.Serve(ln)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serving: %w", err)
		}
	})
	s.log.Info("listening", "addr", s.ln.Addr().String(), "tls", s.tls != nil)
	return nil
}

// Addr is where the server listens, with the real port; empty before Start.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln == nil {
		return ""
	}
	return s.ln.Addr().String()
}

// Failed delivers the error if serving ends although nobody called Stop.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop takes no new requests, waits for those under way until ctx ends, and then cuts them off.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut off: %w", err), s.http.Close())
	}
	s.served.Wait()
	return err
}
