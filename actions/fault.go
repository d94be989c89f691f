package actions

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Fault is why an attempt did not succeed, in terms that a playbook and the engine act on.
type Fault struct {
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Retry   bool          `json:"retry,omitempty"`   // another attempt may succeed
	Unknown bool          `json:"unknown,omitempty"` // the attempt may have taken effect
	After   time.Duration `json:"after,omitempty"`   // wait at least so long before another attempt
}

// Error makes a fault an error.
func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// The codes that this package and the engine give themselves. Graph's are listed in package
// graph.
const (
	CodeInput     = "input"     // the input does not fit the action's schema
	CodeGuard     = "guard"     // the step's guard does not hold, so nothing was asked for
	CodeTimeout   = "timeout"   // the attempt took longer than the step allows
	CodeCanceled  = "canceled"  // the process is stopping
	CodeNotYet    = "not_yet"   // what was started has not come to its end
	CodeFailed    = "failed"    // what was started has come to its end, and it was no success
	CodeInternal  = "internal"  // an error of our own, or one nobody classified
	CodeUncertain = "uncertain" // nobody knows whether a step that must not repeat took effect

	CodeUnconfigured = "unconfigured" // the action needs something that the configuration lacks
	CodeSecret       = "secret"       // a secret cannot be read
)

// Failf makes a fault that no further attempt can mend and that certainly had no effect.
func Failf(code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// classified is how an error of another package says what it means, without importing this one.
type classified interface {
	Fault() (code, message string, retry bool, after time.Duration, unknown bool)
}

// FaultOf reads an error as a fault. An error that says nothing about itself is taken for the
// worst: it may have taken effect, and nobody knows whether trying again helps.
func FaultOf(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	var c classified
	if errors.As(err, &c) {
		code, message, retry, after, unknown := c.Fault()
		return &Fault{Code: code, Message: message, Retry: retry, After: after, Unknown: unknown}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &Fault{Code: CodeTimeout, Message: "no answer in time", Retry: true, Unknown: true}
	case errors.Is(err, context.Canceled):
		return &Fault{Code: CodeCanceled, Message: "stopped while waiting for the answer", Retry: true, Unknown: true}
	}
	return &Fault{Code: CodeInternal, Message: err.Error(), Unknown: true}
}

// NotYet is the fault of a part that awaits something which has not come to its end. The engine
// looks again later.
func NotYet(format string, args ...any) *Fault {
	return &Fault{Code: CodeNotYet, Message: fmt.Sprintf(format, args...), Retry: true}
}
