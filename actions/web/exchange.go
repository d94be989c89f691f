package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/guard"
	"github.com/playbookd/playbookd/internal/secret"
)

// Limits of an exchange.
const (
	// MaxAnswer is how many bytes of an answer are kept. An output is stored with its run.
	MaxAnswer = 256 << 10
	// MaxBody is how many bytes a request may carry.
	MaxBody = 1 << 20
	// MaxRetryAfter is the longest pause that is believed.
	MaxRetryAfter = time.Hour
	// MaxQuoted is how many bytes of a refusal's body an error repeats.
	MaxQuoted = 200
)

// The codes of faults of an exchange.
const (
	CodeConnection  = "connection"  // no connection, or it broke before the answer
	CodeStatus      = "status"      // the answer has a status that was not expected
	CodeThrottled   = "throttled"   // 429: too many requests
	CodeUnavailable = "unavailable" // 5xx: the other side is in trouble
	CodeTooLarge    = "too_large"   // the request is larger than we send
)

// Request is one HTTP request.
type Request struct {
	Method string
	URL    string
	Header http.Header
	Body   []byte // nil: none
	// Effect decides what is known after a failure, and whether the transport may repeat the
	// request by itself.
	Effect actions.Effect
	// Hidden are the secrets that the request carries. They are taken out of the answer and out
	// of errors: some servers repeat what they were sent.
	Hidden []secret.Value
	// Expect are the statuses that count as success. None means every 2xx.
	Expect []int
}

// Answer is what came back.
type Answer struct {
	Status    int
	Header    http.Header
	Body      []byte // at most MaxAnswer, without the request's secrets
	Truncated bool   // the body was longer, or broke off
}

// Exchange sends the request once. Any error is an [*actions.Fault] that tells whether the
// request may have taken effect: certainly not if it never left, nor if the answer is a 4xx.
func Exchange(ctx context.Context, client *http.Client, r Request) (Answer, error) {
	var scrub *secret.Scrubber // nil: nothing is hidden
	if len(r.Hidden) > 0 {
		scrub = secret.NewScrubber(r.Hidden...)
	}
	if client == nil {
		return Answer{}, actions.Failf(actions.CodeUnconfigured, "no outgoing HTTP is configured")
	}
	if len(r.Body) > MaxBody {
		return Answer{}, actions.Failf(CodeTooLarge, "the request has %d bytes: at most %d are sent", len(r.Body), MaxBody)
	}
	var asked, sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) }, WroteHeaders: func() { sent.Store(true) },
	})
	if client.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, client.Timeout)
		defer cancel()
	}
	req, err := r.build(ctx)
	if err != nil {
		return Answer{}, actions.Failf(actions.CodeInput, "%s", scrub.Scrub(withoutURL(err).Error()))
	}
	if err := ctx.Err(); err != nil {
		return Answer{}, scrubbed(scrub, failure(err, false)) // here nothing can have left
	}
	resp, err := r.way(client).RoundTrip(req)
	if err != nil {
		return Answer{}, scrubbed(scrub, failure(err, r.Effect != actions.Reads && (sent.Load() || !asked.Load() && !unconnected(err))))
	}
	defer resp.Body.Close()
	answer, err := read(resp, scrub)
	if f := r.judge(answer); f != nil {
		return Answer{}, f
	}
	if err != nil && r.Effect == actions.Reads && !isTooLong(err) {
		return Answer{}, scrubbed(scrub, failure(err, false))
	}
	// A change was accepted, and its answer is only cut: saying that it failed would repeat it.
	return answer, nil
}

// following is a client that follows redirects.
type following struct{ client *http.Client }

func (f following) RoundTrip(req *http.Request) (*http.Response, error) { return f.client.Do(req) }

// way is what the request goes to. A client follows redirects, by which a change would be repeated or turned into a
// read. Neither is what was asked for, so a change goes to the client's transport, which follows none.
func (r Request) way(client *http.Client) http.RoundTripper {
	switch {
	case r.Effect == actions.Reads:
		return following{client}
	case client.Transport == nil:
		return http.DefaultTransport
	}
	return client.Transport
}

// build makes the request. The transport repeats a request by itself when a kept connection turns
// out to be dead, if it takes the request for idempotent: it takes an Idempotency-Key for that, and
// needs GetBody. So what must leave once has no GetBody, and its key is spelt in a way that the
// transport does not look for; names of headers mean the same in any case.
func (r Request) build(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, nil)
	if err != nil {
		return nil, err
	}
	if r.Body != nil {
		// A body that net/http can see to be in memory leaves together with the headers.
		body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
		req.Body, _ = body()
		req.ContentLength = int64(len(r.Body))
		if r.Effect != actions.Once {
			req.GetBody = body
		}
	}
	for name, values := range r.Header {
		name = http.CanonicalHeaderKey(name)
		if r.Effect == actions.Once && strings.HasSuffix(name, "Idempotency-Key") {
			name = strings.ToLower(name)
		}
		req.Header[name] = values
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "playbookd")
	}
	return req, nil
}

// read takes the answer, up to the limit.
func read(resp *http.Response, scrub *secret.Scrubber) (Answer, error) {
	var text bytes.Buffer
	text.Grow(int(max(min(resp.ContentLength, trusted), 0)) + bytes.MinRead)
	_, err := text.ReadFrom(io.LimitReader(resp.Body, MaxAnswer+1))
	body := text.Bytes()
	a := Answer{Status: resp.StatusCode, Header: http.Header{}, Truncated: err != nil}
	if len(body) > MaxAnswer {
		body, a.Truncated = body[:MaxAnswer], true
	}
	if scrub == nil {
		a.Body, a.Header = body, resp.Header
		return a, err
	}
	a.Body = []byte(scrub.Scrub(string(body)))
	for name, values := range resp.Header {
		for _, v := range values {
			a.Header.Add(name, scrub.Scrub(v))
		}
	}
	return a, err
}

// trusted is for how many bytes of an announced answer room is made before they come.
const trusted = 16 << 10

// judge reads the status.
func (r Request) judge(a Answer) *actions.Fault {
	if slices.Contains(r.Expect, a.Status) || len(r.Expect) == 0 && a.Status >= 200 && a.Status < 300 {
		return nil
	}
	f := actions.Failf(CodeStatus, "%s answered %d %s%s", r.host(), a.Status, http.StatusText(a.Status), quoted(a.Body))
	// Below 400 and from 500 on, the other side may have done what it was asked for.
	f.Unknown = r.Effect != actions.Reads && (a.Status < 400 || a.Status >= 500)
	switch {
	case a.Status == http.StatusTooManyRequests:
		f.Code, f.Retry = CodeThrottled, true
	case a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly:
		f.Retry = true
	case a.Status >= 500:
		f.Code = CodeUnavailable
		f.Retry = a.Status != http.StatusNotImplemented && a.Status != http.StatusHTTPVersionNotSupported
	}
	if f.Retry {
		f.After = RetryAfter(a.Header, time.Now())
	}
	return f
}

// host is what an error may show of the address: the rest of it may hold a token.
func (r Request) host() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return "the other side"
	}
	return u.Hostname()
}

// RetryAfter reads the header of that name: seconds or a date. Nothing usable means no wait.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), MaxRetryAfter)
}

// failure reads the error of a request that brought no answer.
func failure(err error, unknown bool) *actions.Fault {
	inner := withoutURL(err)
	if refused, ok := errors.AsType[*guard.Refusal](err); ok {
		f := actions.FaultOf(refused)
		f.Unknown = f.Unknown && unknown
		return f
	}
	f := &actions.Fault{Code: CodeConnection, Message: inner.Error(), Retry: true, Unknown: unknown}
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.Canceled):
		f.Code, f.Message = actions.CodeCanceled, "stopped while waiting for the answer"
	case errors.As(err, &timeout) && timeout.Timeout():
		f.Code, f.Message = actions.CodeTimeout, "no answer in time"
	}
	return f
}

// unconnected recognises an error from before there was a connection. A transport that says nothing
// of its connections, because it has none or another one is laid around it, counts as having sent.
func unconnected(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// withoutURL takes off the layer in which net/http repeats the address: it may hold a token.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// isTooLong says that the client's own limit ended the body.
func isTooLong(err error) bool {
	refused, ok := errors.AsType[*guard.Refusal](err)
	return ok && refused.Rule == "size"
}

func scrubbed(scrub *secret.Scrubber, f *actions.Fault) *actions.Fault {
	f.Message = scrub.Scrub(f.Message)
	return f
}

// quoted is the beginning of a refusal's body, as a Go string so that it stays on one line.
func quoted(body []byte) string {
	text := strings.ToValidUTF8(strings.TrimSpace(string(body[:min(len(body), MaxQuoted)])), "")
	if text == "" {
		return ""
	}
	return ": " + strconv.QuoteToGraphic(text)
}
