package graph

import (
	"fmt"
	"strings"
	"time"
)

// The codes of an [Error]: a closed list, see [Codes].
const (
	CodeThrottled    = "throttled"
	CodeUnavailable  = "unavailable"
	CodeTimeout      = "timeout"
	CodeCanceled     = "canceled"
	CodeConnection   = "connection"
	CodeUnauthorized = "unauthorized"
	CodeForbidden    = "forbidden"
	CodeNotFound     = "not_found"
	CodeConflict     = "conflict"
	CodeInvalid      = "invalid"
	CodeAuth         = "auth"
	CodeProtocol     = "protocol"
)

// CodeDoc explains one code.
type CodeDoc struct{ Code, Meaning string }

// Codes lists every code that [Error.Fault] may return.
func Codes() []CodeDoc {
	return []CodeDoc{
		{CodeThrottled, "too many requests: Graph refused one, or the class is paused or its budget used up; nothing was accepted"},
		{CodeUnavailable, "Graph answered with a server error (5xx)"},
		{CodeTimeout, "no answer within the time allowed"},
		{CodeCanceled, "the caller stopped waiting"},
		{CodeConnection, "no connection, or it broke before the answer was complete"},
		{CodeUnauthorized, "Graph refused the token (401), also after a new one was fetched"},
		{CodeForbidden, "a permission, a licence or a role is missing (403)"},
		{CodeNotFound, "no such object (404, 410)"},
		{CodeConflict, "the object is in another state than the request expects (409, 412, 423)"},
		{CodeInvalid, "the request is wrong: refused by our own check, or by Graph with another 4xx"},
		{CodeAuth, "no token could be obtained"},
		{CodeProtocol, "the answer is not what Graph promises: unreadable, too large, a redirect, a next link to another host"},
	}
}

// Error is a request that did not succeed. Its text is fit for logs and people: it names the
// endpoint, what came back and what to do, and holds no token, no secret and no unlimited text.
type Error struct {
	Tenant          string // as in Options.Tenant
	Kind            string // one of the Code constants
	Method          string
	Endpoint        string // the path of the table, without ids
	Status          int    // HTTP status, 0 when no answer came
	Code            string // Graph's own code, such as BadRequest
	Message         string // Graph's text, or ours where there is none; shortened
	RequestID       string // Graph's id of the request, for a support case
	ClientRequestID string // ours
	Permission      string // the least application permission of the endpoint, with a 403
	RetryAfter      time.Duration
	Sent            bool  // the request, or a part of it, may have left
	Err             error // what is below, if anything

	read      bool // the request changes nothing
	applied   bool // the change was accepted; what failed is reading its outcome
	retryable bool // a protocol failure that may pass by itself
}

// Error tells the whole story in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("graph")
	if e.Tenant != "" {
		b.WriteString(" (" + e.Tenant + ")")
	}
	if e.Method != "" {
		fmt.Fprintf(&b, ": %s %s", e.Method, e.Endpoint)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d", e.Status)
	}
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if advice := e.advice(); advice != "" {
		b.WriteString("; " + advice)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; try again in %s", e.RetryAfter.Round(time.Millisecond))
	}
	if e.RequestID != "" {
		b.WriteString(" [request-id " + e.RequestID + "]")
	} else if e.ClientRequestID != "" {
		b.WriteString(" [client-request-id " + e.ClientRequestID + "]")
	}
	return b.String()
}

// advice is what a person should look at. A 403 often comes with an empty message, and three
// different omissions look the same.
func (e *Error) advice() string {
	switch e.Kind {
	case CodeForbidden:
		return fmt.Sprintf("the endpoint needs the application permission %s of %s. Check that it was granted with admin consent "+
			"and is among the roles of the token (a new grant reaches only a new token, up to an hour later), that the tenant "+
			"has the Defender licence, and that Defender's own roles (unified RBAC) let this app see the data", e.Permission, e.row().API())
	case CodeUnauthorized:
		return "a new token was fetched and refused as well; check that the token's cloud and tenant are those of this address"
	}
	return ""
}

// Unwrap returns what is below.
func (e *Error) Unwrap() error { return e.Err }

// Fault says what the failure means to whoever decides about another attempt: its code, a text,
// whether another attempt may help and after how long, and whether the request may have taken
// effect although it failed.
func (e *Error) Fault() (code, message string, retry bool, after time.Duration, unknown bool) {
	return e.Kind, e.Error(), e.Retry(), e.RetryAfter, e.Unknown()
}

// Retry says that another attempt of the same request may succeed: what is wrong may pass by itself,
// or is mended elsewhere without anybody touching the request, as a secret that has expired is.
func (e *Error) Retry() bool {
	switch e.Kind {
	case CodeThrottled, CodeTimeout, CodeCanceled, CodeConnection, CodeAuth, CodeUnauthorized:
		return true
	case CodeUnavailable:
		return e.Status != 501 && e.Status != 505
	case CodeProtocol:
		return e.retryable
	}
	return false
}

// Unknown says that the request may have taken effect. It is false for reads, for whatever never
// left, and for refusals: Graph answers 4xx, 429 among them, before it acts.
func (e *Error) Unknown() bool {
	if e.applied {
		return true
	}
	if e.read || !e.Sent {
		return false
	}
	return e.Status < 400 || e.Status >= 500
}

// kindOf sorts a status into the closed list.
func kindOf(status int) string {
	switch {
	case status == 401:
		return CodeUnauthorized
	case status == 403:
		return CodeForbidden
	case status == 404, status == 410:
		return CodeNotFound
	case status == 408:
		return CodeTimeout
	case status == 409, status == 412, status == 423:
		return CodeConflict
	case status == 429:
		return CodeThrottled
	case status >= 400 && status < 500:
		return CodeInvalid
	case status >= 500 && status < 600:
		return CodeUnavailable
	}
	return CodeProtocol
}
