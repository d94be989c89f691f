package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
)

// Handler serves all routes, for tests without a listener.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// routes puts the server together.
func (s *Server) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	health := newReport(s.o.Health)
	ready := newReport(append(append([]Check(nil), s.o.Health...), s.o.Ready...))
	if s.o.Metrics != nil {
		metrics, err := s.metricsHandler(ready)
		if err != nil {
			return nil, err
		}
		mux.Handle("GET /metrics", metrics)
	}
	if s.o.MetricsOnly {
		return s.guard(mux), nil
	}
	if s.o.Webhooks != nil {
		mux.Handle("/webhooks/", s.o.Webhooks)
	}
	if s.o.Desk != nil {
		s.deskRoutes(mux)
	}
	mux.Handle("GET /healthz", health)
	mux.Handle("GET /readyz", ready)
	return s.guard(mux), nil
}

// guard gives every answer the headers that keep browsers from making something of it, and
// survives handlers that panic.
func (s *Server) guard(next http.Handler) http.Handler {
	fixed := http.Header{
		"X-Content-Type-Options":       {"nosniff"},
		"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
		"X-Frame-Options":              {"DENY"},
		"Referrer-Policy":              {"no-referrer"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Cache-Control":                {"no-store"},
	}
	if s.tls != nil {
		fixed["Strict-Transport-Security"] = []string{"max-age=31536000"}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for name, values := range fixed {
			h[name] = values
		}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v) // the standard library's own way to drop a connection
			}
			// Neither the value nor the path is logged: both may hold what a stranger sent.
			s.log.ErrorContext(r.Context(), "a handler panicked; this is a fault of ours", "stack", stack())
			http.Error(w, "internal error", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

// stack is where this goroutine is.
func stack() string {
	b := make([]byte, 8<<10)
	return string(b[:runtime.Stack(b, false)])
}

// quiet turns the standard library's messages about broken connections, which hold text of
// strangers, into an attribute of one fixed message.
type quiet struct{ next slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool { return q.next.Enabled(ctx, l) }

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	fixed := slog.NewRecord(r.Time, r.Level, "http connection", r.PC)
	fixed.AddAttrs(slog.String("detail", r.Message))
	return q.next.Handle(ctx, fixed)
}

func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.next.WithAttrs(a)} }
func (q quiet) WithGroup(name string) slog.Handler   { return quiet{q.next.WithGroup(name)} }
