package guard

import (
	"io"
	"net/http"
	"strconv"
)

// transport checks every request, those of redirects too, and limits every answer.
type transport struct {
	policy Policy
	next   *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if r := t.policy.checkURL(req.URL); r != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper must, and the refusal is the error to tell
		}
		return nil, r
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &capped{body: resp.Body, left: t.policy.MaxResponse, limit: t.policy.MaxResponse, host: normal(req.URL.Hostname())}
	return resp, nil
}

// CloseIdleConnections lets http.Client close what is kept open.
func (t *transport) CloseIdleConnections() { t.next.CloseIdleConnections() }

// capped is a body that fails beyond its limit. A quiet end would pass half a document for one.
type capped struct {
	body        io.ReadCloser
	left, limit int64
	host        string
}

// Read implements io.Reader.
func (c *capped) Read(b []byte) (int, error) {
	if int64(len(b)) > c.left+1 {
		b = b[:c.left+1]
	}
	n, err := c.body.Read(b)
	if int64(n) > c.left {
		n = int(c.left)
		c.left = 0
		return n, &Refusal{
			Rule: "size", Target: c.host, Reason: "the answer is larger than " + strconv.FormatInt(c.limit, 10) + " bytes",
			Mend: "ask for less, or raise max_response", Sent: true,
		}
	}
	c.left -= int64(n)
	return n, err
}

// Close implements io.Closer.
func (c *capped) Close() error { return c.body.Close() }

// redirect allows a few redirects on the same host. Elsewhere they are refused altogether: a
// header such as X-Api-Key, or a body, would travel along.
func (p Policy) redirect(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	refuse := func(reason, mend string) error {
		return &Refusal{Rule: "redirect", Target: normal(from.Hostname()), Reason: reason, Mend: mend, Sent: true}
	}
	switch {
	case p.NoRedirects:
		return refuse("the answer is a redirect", "use the address that it leads to")
	case len(via) > DefaultRedirects:
		return refuse("too many redirects", "use the address that they lead to")
	case normal(req.URL.Hostname()) != normal(from.Hostname()) || req.URL.Port() != from.Port() && from.Scheme == req.URL.Scheme:
		return refuse("the answer is a redirect to another host", "use the address that it leads to, if it is to be trusted")
	case from.Scheme == "https" && req.URL.Scheme != "https":
		return refuse("the answer is a redirect away from https", "ask the owner of the host to mend it")
	}
	return nil
}
