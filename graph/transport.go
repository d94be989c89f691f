package graph

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
)

// watch learns whether a request left. It is on the safe side: a request counts as not sent only
// if the transport reports that it looked for a connection and got none, or if the failure is
// one that happens before any byte can leave. An in-process transport that reports nothing
// counts as having sent.
type watch struct {
	asked, got atomic.Bool
}

func (w *watch) follow(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { w.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { w.got.Store(true) },
	})
}

func (w *watch) mayHaveLeft(err error) bool {
	if neverConnected(err) {
		return false
	}
	return !w.asked.Load() || w.got.Load()
}

// neverConnected recognises failures before the first byte of a request.
func neverConnected(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	return badCertificate(err)
}

func badCertificate(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.HostnameError](err)
	return ok
}

// fromTransport is an exchange that broke. The context is the one of the exchange, so that our
// own time limit is recognised as well.
func (e *Error) fromTransport(ctx context.Context, err error) *Error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // it repeats the address
	}
	if cause := ctx.Err(); cause != nil {
		return e.fromContext(cause)
	}
	e.Err = err
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		e.Kind, e.Message = CodeTimeout, "no answer in time: "+clean(err.Error(), MaxServerText)
		return e
	}
	e.Kind, e.Message = CodeConnection, explainConnection(err)
	return e
}

// explainConnection says in words what is wrong on the way to a host.
func explainConnection(err error) string {
	detail := clean(err.Error(), MaxServerText)
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the name of the host cannot be resolved; check DNS and the base URL: " + detail
	}
	switch {
	case badCertificate(err):
		return "the host's certificate is not trusted; a proxy that opens TLS needs its CA among the system's: " + detail
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection was closed before the answer was complete"
	case neverConnected(err):
		return "no connection; check the network and the proxy: " + detail
	}
	return "the connection broke: " + detail
}
