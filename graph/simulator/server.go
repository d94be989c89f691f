package simulator

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of the server.
const (
	maxBodyBytes   = 1 << 20
	maxRequestLog  = 10_000
	maxClientReqID = 128
)

// Server is a simulated tenant. It is safe for use by several goroutines.
type Server struct {
	opts Options
	key  []byte // signs access tokens

	routes            []route
	alerts, incidents *resource

	machines, machineActions *resource

	clock     atomic.Int64 // how far the service's clock is ahead of ours, in nanoseconds
	mu        sync.Mutex   // guards what follows
	store     *store
	effects   effectLog
	others    []Other
	faults    []*armed
	ids       *mathrand.Rand
	jtis      map[string]time.Time
	windows   map[string]*window
	pages     int // list pages served that had a successor
	requests  []Request
	listeners []*Listener
}

// Request is a call as it arrived, answered or not.
type Request struct {
	Time    time.Time
	Method  string
	Path    string
	Query   string
	Status  int  // 0: the connection was dropped
	Faulted bool // a fault struck
}

// New makes a simulator, with generated documents when Options ask for alerts and bring none.
func New(options Options) (*Server, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("simulator options: %w", err)
	}
	s := &Server{
		opts: o, key: make([]byte, 32), store: newStore(), effects: effectLog{out: o.Effects},
		ids:    mathrand.New(mathrand.NewPCG(uint64(o.Seed), 0x1d5)),
		routes: routes(), alerts: alertResource(), incidents: incidentResource(),
		machines: machineResource(), machineActions: machineActionResource(),
		jtis: map[string]time.Time{}, windows: map[string]*window{},
	}
	if _, err := rand.Read(s.key); err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	for _, f := range o.Faults {
		s.faults = append(s.faults, &armed{Fault: f})
	}
	docs := o.Documents
	scheduled := false
	if len(docs.Alerts)+len(docs.Incidents) == 0 && o.Alerts > 0 {
		docs, scheduled = Generate(Generation{Seed: o.Seed, Start: o.Start, Alerts: o.Alerts, Span: o.Span, Ahead: o.Ahead, Tenant: o.Tenant}), true
		docs.Machines = o.Documents.Machines
	}
	if err := s.fill(docs, scheduled); err != nil {
		return nil, fmt.Errorf("simulator documents: %w", err)
	}
	return s, nil
}

// Inject adds faults to those of the options.
func (s *Server) Inject(faults ...Fault) error {
	for i, f := range faults {
		if err := f.check(); err != nil {
			return fmt.Errorf("fault %d: %w", i+1, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &armed{Fault: f})
	}
	return nil
}

// SetClock puts the service's clock ahead of ours, or behind it if ahead is negative: what it stamps, when tokens
// expire, and when late documents appear. It may be set again at any time. Delays of faults are no matter of it.
func (s *Server) SetClock(ahead time.Duration) { s.clock.Store(int64(ahead)) }

// Now is the time on the service's clock.
func (s *Server) Now() time.Time { return s.now() }

func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.clock.Load())) }

// Requests returns the latest calls, oldest first; at most ten thousand are remembered.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// exchange is one request under way.
type exchange struct {
	s                          *Server
	r                          *http.Request
	now                        time.Time
	requestID, clientRequestID string
	surface                    surface
	path                       string // decoded, without the version prefix on the Graph surface
	query                      url.Values
	params                     []string // captured path segments
	body                       []byte
	caller                     caller
	allEnums                   bool // Prefer: include-unknown-enum-members
}

// Handler serves the simulator. A dropped connection is http.ErrAbortHandler, the way net/http provides for it.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rep, dropped := s.serve(r)
		if dropped {
			panic(http.ErrAbortHandler)
		}
		for name, values := range rep.header {
			w.Header()[name] = values
		}
		w.WriteHeader(rep.status)
		_, _ = w.Write(rep.body) // a reader that went away is no concern of the simulator
	})
}

// serve answers one request: fault before, work, fault after.
func (s *Server) serve(r *http.Request) (rep reply, dropped bool) {
	x, fault := s.begin(r)
	defer func() { s.record(x, rep, dropped, fault != nil) }()
	if fault != nil && fault.When != After {
		if !sleep(r, fault.Delay) || fault.Drop {
			return reply{}, true
		}
		if fault.Status != 0 {
			return x.commonHeaders(x.faulted(*fault)), false
		}
	}
	if err := x.readBody(); err != nil {
		return x.commonHeaders(x.failed(err)), false
	}
	rep = s.work(x)
	if fault != nil && fault.When == After {
		if !sleep(r, fault.Delay) || fault.Drop {
			return reply{}, true
		}
		if fault.Status != 0 {
			rep = x.faulted(*fault)
		}
	}
	return x.commonHeaders(rep), false
}

// begin names the request and finds the fault that strikes it, if any.
func (s *Server) begin(r *http.Request) (*exchange, *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &exchange{s: s, r: r, now: s.now(), requestID: s.uuid()}
	x.surface, x.path = surfaceOf(r.URL.Path)
	x.clientRequestID = r.Header.Get("client-request-id")
	if x.clientRequestID == "" || len(x.clientRequestID) > maxClientReqID {
		x.clientRequestID = x.requestID
	}
	query, err := url.QueryUnescape(r.URL.RawQuery)
	if err != nil {
		query = r.URL.RawQuery
	}
	var struck *Fault
	for _, f := range s.faults {
		if f.strike(r.Method, r.URL.Path, query, struck != nil) {
			struck = &f.Fault
		}
	}
	if struck == nil && s.opts.Chance != nil {
		struck = s.opts.Chance(r.Method, r.URL.Path)
	}
	return x, struck
}

// record keeps the request for Requests.
func (s *Server) record(x *exchange, rep reply, dropped, faulted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) >= maxRequestLog {
		s.requests = slices.Delete(s.requests, 0, maxRequestLog/10)
	}
	entry := Request{Time: x.now, Method: x.r.Method, Path: x.r.URL.Path, Query: x.r.URL.RawQuery, Status: rep.status, Faulted: faulted}
	if dropped {
		entry.Status = 0
	}
	s.requests = append(s.requests, entry)
	s.opts.Logger.Debug("request", "method", entry.Method, "path", entry.Path, "status", entry.Status,
		"request_id", x.requestID, "faulted", faulted)
}

// work performs the request. Everything a request reads or changes happens under one lock, in the order in
// which the effects are numbered.
func (s *Server) work(x *exchange) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.now = s.now()
	s.store.settle(x.now)
	rep, err := x.dispatch()
	if err != nil {
		return x.failed(err)
	}
	return rep
}

// failed gives any error the shape of its surface.
func (x *exchange) failed(err error) reply {
	var api *apiError
	if !errors.As(err, &api) {
		x.s.opts.Logger.Error("request failed", "path", x.path, "request_id", x.requestID, "err", err)
		api = refuse(http.StatusInternalServerError, "An internal error occurred.")
	}
	switch x.surface {
	case graphSurface:
		return x.graphError(api)
	case defenderSurface:
		return x.defenderError(api)
	}
	return x.tokenError(api)
}

// faulted is the answer a fault asks for.
func (x *exchange) faulted(f Fault) reply {
	e := refuse(f.Status, "%s", "The simulator was asked to fail here.")
	if f.Code != "" {
		e.code = f.Code
	}
	if f.RetryAfter != "" {
		e.header = http.Header{"Retry-After": {f.RetryAfter}}
	}
	return x.failed(e)
}

// readBody takes the body in, before any lock: a slow sender holds up nobody but itself.
func (x *exchange) readBody() error {
	if x.r.Body == nil {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(x.r.Body, maxBodyBytes+1))
	if err != nil {
		return refuse(http.StatusBadRequest, "The request body ended early.")
	}
	if len(body) > maxBodyBytes {
		return refuse(http.StatusRequestEntityTooLarge, "The request body is larger than %d bytes.", maxBodyBytes)
	}
	x.body = body
	return nil
}

// sleep waits for a fault's delay; false when the caller went away meanwhile.
func sleep(r *http.Request, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// uuid makes an id from the seed. The lock must be held.
func (s *Server) uuid() string { return seededUUID(s.ids) }

func seededUUID(rng *mathrand.Rand) string {
	a, b := rng.Uint64(), rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", uint32(a>>32), uint16(a>>16), uint16(a)&0xfff, uint16(b>>48)&0x3fff|0x8000, b&0xffffffffffff)
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
