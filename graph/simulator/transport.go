package simulator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// errDropped is what a client sees of a connection closed before the answer.
var errDropped = errors.New("simulator: connection closed before the answer")

// Transport serves requests in process, in the caller's goroutine, without sockets: it works inside a
// testing/synctest bubble. Any host is accepted, so a client may keep its real addresses.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	in := req.Clone(req.Context())
	if in.Host == "" {
		in.Host = in.URL.Host
	}
	rep, dropped := t.s.serve(in)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if dropped {
		return nil, errDropped
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", rep.status, http.StatusText(rep.status)), StatusCode: rep.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: rep.header, Body: io.NopCloser(bytes.NewReader(rep.body)), ContentLength: int64(len(rep.body)),
		Request: req,
	}, nil
}
