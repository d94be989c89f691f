package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is one request, ready to be sent.
type call struct {
	op   operation
	url  string
	body []byte // nil for none
	n    int    // the how many-th request of the caller's call
}

// newCall makes a request for a row of the table. The id fills the path's {id}.
func (c *Client) newCall(op operation, id string, query string, body any) (call, error) {
	ep := op.endpoint()
	path := ep.Path
	if strings.Contains(path, "{id}") {
		if wrong := checkID(id); wrong != "" {
			return call{}, c.invalid(op, wrong)
		}
		path = strings.Replace(path, "{id}", url.PathEscape(id), 1)
	}
	s := c.services[ep.API()]
	if s == nil {
		return call{}, c.invalid(op, "there is no address of Defender for Endpoint: the cloud has none, or the address of Graph was changed and this one was not")
	}
	out := call{op: op, url: s.base.String() + s.version + path}
	if query != "" {
		out.url += "?" + query
	}
	if len(out.url) > MaxURLBytes {
		return call{}, c.invalid(op, "the address is too long: shorten the filter")
	}
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return call{}, c.invalid(op, "the body cannot be written as JSON")
		}
		if len(data) > MaxRequestBytes {
			return call{}, c.invalid(op, "the body is larger than 1 MiB: shorten the text or the lists")
		}
		out.body = data
	}
	return out, nil
}

// checkID refuses what would turn into another endpoint, and nothing else: ids are opaque.
func checkID(id string) string {
	switch {
	case id == "":
		return "the id is empty"
	case len(id) > MaxIDLength:
		return "the id is too long to be one"
	case id == ".", id == "..", strings.HasPrefix(id, "$"), strings.HasPrefix(id, "microsoft.graph."),
		strings.EqualFold(id, "moveAlerts"), strings.EqualFold(id, "mergeIncidents"):
		return "the id is not that of an object: " + clean(id, maxShown)
	case strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd }):
		return "the id holds blanks or control characters"
	}
	return ""
}

// invalid is a request that we refuse to send.
func (c *Client) invalid(op operation, message string) *Error {
	ep := op.endpoint()
	return &Error{Tenant: c.tenant, Kind: CodeInvalid, Method: ep.Method, Endpoint: ep.Path, Message: message, read: ep.reads()}
}

// exchange sends a call and returns the body of a good answer. A 401 makes it fetch a new token
// and send again, once: Graph looks at the token before it looks at the request.
func (c *Client) exchange(ctx context.Context, q call) ([]byte, error) {
	body, challenge, err := c.attempt(ctx, q, false, "")
	if err == nil || err.Kind != CodeUnauthorized {
		return body, asError(err)
	}
	body, _, err = c.attempt(ctx, q, true, challenge)
	return body, asError(err)
}

// asError avoids an error that holds a nil pointer.
func asError(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// attempt is one token, one place in the class's queue, one request. The token comes first, so
// that a place is not held while somebody signs in.
func (c *Client) attempt(ctx context.Context, q call, fresh bool, claims string) ([]byte, string, *Error) {
	ep := q.op.endpoint()
	e := &Error{
		Tenant: c.tenant, Method: ep.Method, Endpoint: ep.Path,
		ClientRequestID: requestID(ctx, q.n), read: ep.reads(),
	}
	token, err := c.services[ep.API()].tokens.get(ctx, fresh, claims)
	if err != nil {
		return nil, "", e.fromToken(ctx, err)
	}
	g := c.gates[ep.Class]
	leave, h := g.enter(ctx)
	if h != nil {
		return nil, "", e.fromHeld(h, ep.Class)
	}
	defer leave()

	start := time.Now()
	body, header, e := c.send(ctx, q, token, e)
	if e == nil {
		g.answered(http.StatusOK, time.Since(start))
		g.settle(false)
		c.trace(ctx, ep, nil, start)
		return body, "", nil
	}
	g.answered(e.Status, time.Since(start))
	throttled := e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable && e.RetryAfter > 0
	if throttled {
		e.RetryAfter = g.throttle(e.RetryAfter, start)
		c.log.LogAttrs(ctx, slog.LevelWarn, "graph asked for a pause", slog.String("class", string(ep.Class)),
			slog.Int("status", e.Status), slog.Duration("pause", e.RetryAfter))
	} else {
		g.settle(true)
	}
	c.trace(ctx, ep, e, start)
	return nil, claimsChallenge(header), e
}

// send does the exchange itself. The error it is given holds what is known beforehand.
func (c *Client) send(ctx context.Context, q call, token string, e *Error) ([]byte, http.Header, *Error) {
	ctx, cancel := context.WithTimeout(ctx, q.op.endpoint().timeout())
	defer cancel()
	watch := &watch{}
	req, err := http.NewRequestWithContext(watch.follow(ctx), e.Method, q.url, bodyReader(q.body))
	if err != nil {
		e.Kind, e.Message = CodeInvalid, "the address is not one"
		return nil, nil, e
	}
	setHeaders(req, q, token, e.ClientRequestID)
	resp, err := c.http.Do(req)
	if err != nil {
		e.Sent = watch.mayHaveLeft(err)
		return nil, nil, e.fromTransport(ctx, err)
	}
	defer resp.Body.Close()
	e.Sent, e.Status = true, resp.StatusCode
	e.RequestID = clean(resp.Header.Get("request-id"), maxShown)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		body, e := e.readBody(ctx, resp)
		return body, resp.Header, e
	}
	return nil, resp.Header, e.fromStatus(resp, token)
}

// bodyReader keeps an absent body absent.
func bodyReader(body []byte) io.Reader {
	if body == nil {
		return nil
	}
	return bytes.NewReader(body)
}

// setHeaders sets what Graph wants to see. They are the same for every page: a next link
// remembers none of them.
func setHeaders(req *http.Request, q call, token, id string) {
	h := req.Header
	h.Set("Authorization", "Bearer "+token)
	h.Set("Accept", "application/json")
	h.Set("User-Agent", "playbookd")
	h.Set("client-request-id", id)
	h.Set("return-client-request-id", "true")
	switch q.op {
	case opCountAlerts, opCountIncidents:
		h.Set("Accept", "text/plain")
	}
	if req.Method == http.MethodGet && q.op.endpoint().API() == APIGraph {
		h.Set("Prefer", "include-unknown-enum-members")
	}
	if q.body != nil {
		h.Set("Content-Type", "application/json")
	}
}

// readBody reads a good answer to its end, or to the limit.
func (e *Error) readBody(ctx context.Context, resp *http.Response) ([]byte, *Error) {
	var body bytes.Buffer
	body.Grow(int(max(min(resp.ContentLength, trusted), 0)) + bytes.MinRead)
	if _, err := body.ReadFrom(io.LimitReader(resp.Body, MaxAnswerBytes+1)); err != nil {
		return nil, e.fromTransport(ctx, err)
	}
	if body.Len() > MaxAnswerBytes {
		e.Kind, e.Message = CodeProtocol, "the answer is larger than 64 MiB: ask for smaller pages"
		return nil, e
	}
	return body.Bytes(), nil
}

// trusted is for how many bytes of an announced answer room is made before they come.
const trusted = 64 << 10

// fromStatus reads an answer that is not a success. Whoever complains may quote the request, so
// the token is taken out, whatever it looks like.
func (e *Error) fromStatus(resp *http.Response, token string) *Error {
	e.Kind = kindOf(resp.StatusCode)
	// What cannot be read of an error is not missed: the status decides.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, MaxErrorBytes))
	e.readRefusal(bytes.ReplaceAll(body, []byte(token), []byte("[token]")))
	e.RetryAfter, _ = retryAfter(resp.Header, time.Now())
	switch {
	case resp.StatusCode == http.StatusForbidden:
		e.Permission = e.row().Permission
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		e.Message = "the answer is a redirect, which is not followed: the token must not go elsewhere; check the base URL"
	case resp.StatusCode < 200:
		e.Message = "the answer is not a final one"
	}
	return e
}

// row finds the endpoint in the table.
func (e *Error) row() Endpoint {
	for _, ep := range table {
		if ep.Method == e.Method && ep.Path == e.Endpoint {
			return ep
		}
	}
	return Endpoint{}
}

// fromHeld is a request that was kept back.
func (e *Error) fromHeld(h *held, class Class) *Error {
	if h.cause != nil {
		return e.fromContext(h.cause)
	}
	e.Kind, e.RetryAfter = CodeThrottled, h.after
	e.Message = "not sent: the class " + string(class) + " is paused by Graph or its budget is used up"
	return e
}

// fromContext is a caller that stopped waiting.
func (e *Error) fromContext(err error) *Error {
	e.Err = err
	if errors.Is(err, context.DeadlineExceeded) {
		e.Kind, e.Message = CodeTimeout, "no answer in time"
	} else {
		e.Kind, e.Message = CodeCanceled, "stopped before the answer came"
	}
	return e
}

// decode reads a good answer into out.
func (c *Client) decode(q call, body []byte, out any) error {
	if err := json.Unmarshal(body, out); err != nil {
		ep := q.op.endpoint()
		return &Error{
			Tenant: c.tenant, Kind: CodeProtocol, Method: ep.Method, Endpoint: ep.Path, Status: http.StatusOK,
			Message: "the answer cannot be read: " + clean(err.Error(), MaxServerText), Sent: true, read: ep.reads(),
		}
	}
	return nil
}

// do sends a call and decodes its answer. An empty answer leaves out as it is.
func (c *Client) do(ctx context.Context, q call, out any) error {
	body, err := c.exchange(ctx, q)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return c.decode(q, body, out)
}

// trace writes one line for an exchange.
func (c *Client) trace(ctx context.Context, ep Endpoint, e *Error, start time.Time) {
	if !c.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", ep.Method), slog.String("endpoint", ep.Path),
		slog.Duration("took", time.Since(start)),
	}
	if e != nil {
		attrs = append(attrs, slog.Int("status", e.Status), slog.String("code", e.Kind), slog.String("request_id", e.ClientRequestID), slog.String("graph_request_id", e.RequestID))
	}
	c.log.LogAttrs(ctx, slog.LevelDebug, "graph request", attrs...)
}
