package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// When a fault strikes, seen from the effect of the request.
const (
	Before = "before" // the request is answered (or dropped) without being performed; the default
	After  = "after"  // the effect is performed and logged, then the answer is lost or replaced
)

// Limits of a fault list.
const (
	maxFaultBytes = 1 << 20
	maxFaults     = 1000
	maxFaultDelay = 24 * time.Hour
)

// Fault is a failure to rehearse: which requests it meets, which of them it strikes, and how.
type Fault struct {
	Method string // empty: any
	// Path is compared without regard to case, with or without the version prefix. "*" stands for any run of
	// characters within a segment, "**" for any at all: "/security/alerts_v2/*/comments",
	// "/*/oauth2/v2.0/token" (the token endpoint), "/security/**".
	Path  string
	Query string // a substring of the decoded query; empty: any

	After int // let the first so many matching requests pass
	Every int // of the rest strike each n-th; 0 and 1: each
	Times int // how often to strike; 0: once, -1: always

	Status     int    // the answer; 0 with neither Drop: only the delay
	Code       string // error code of the answer; empty: the usual one of the status
	RetryAfter string // Retry-After header, as it stands
	Delay      time.Duration
	// Drop closes the connection instead of answering. Over TCP, Go's own client repeats a dropped GET by itself
	// when the connection had served before: use Times to drop that one too.
	Drop bool
	When string // Before or After
}

// faultFile is the JSON form of a Fault.
type faultFile struct {
	Method     string `json:"method"`
	Path       string `json:"path"`
	Query      string `json:"query"`
	After      int    `json:"after"`
	Every      int    `json:"every"`
	Times      int    `json:"times"`
	Status     int    `json:"status"`
	Code       string `json:"code"`
	RetryAfter string `json:"retryAfter"`
	Delay      string `json:"delay"`
	Drop       bool   `json:"drop"`
	When       string `json:"when"`
}

// ParseFaults reads a fault list: a JSON array of objects with the fields of [Fault] in camelCase, delay as
// text such as "2s".
func ParseFaults(r io.Reader) ([]Fault, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFaultBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read faults: %w", err)
	}
	if len(data) > maxFaultBytes {
		return nil, fmt.Errorf("the fault list is larger than %d bytes: shorten it, or use times and every instead of repeating entries", maxFaultBytes)
	}
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return nil, fmt.Errorf("a fault list is a JSON array of objects, such as [{\"path\":\"/security/alerts_v2\",\"status\":503}]: %w", jsonError(data, err))
	}
	if len(items) > maxFaults {
		return nil, fmt.Errorf("the fault list has %d entries: at most %d are allowed", len(items), maxFaults)
	}
	faults := make([]Fault, 0, len(items))
	for i, item := range items {
		fault, err := parseFault(item)
		if err != nil {
			return nil, fmt.Errorf("fault %d: %w", i+1, err)
		}
		faults = append(faults, fault)
	}
	return faults, nil
}

func parseFault(item []byte) (Fault, error) {
	var f faultFile
	dec := json.NewDecoder(bytes.NewReader(item))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return Fault{}, fmt.Errorf("field %q must be a %s, not a %s", wrong.Field, wrong.Type, wrong.Value)
		}
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return Fault{}, fmt.Errorf("unknown field %s: use method, path, query, after, every, times, status, code, retryAfter, delay, drop, when", name)
		}
		return Fault{}, fmt.Errorf("not a JSON object: %w", err)
	}
	fault := Fault{Method: strings.ToUpper(f.Method), Path: f.Path, Query: f.Query, After: f.After, Every: f.Every, Times: f.Times,
		Status: f.Status, Code: f.Code, RetryAfter: f.RetryAfter, Drop: f.Drop, When: f.When}
	if f.Delay != "" {
		delay, err := time.ParseDuration(f.Delay)
		if err != nil {
			return Fault{}, fmt.Errorf("delay %q is not a duration: write it like \"500ms\" or \"2s\"", f.Delay)
		}
		fault.Delay = delay
	}
	return fault, fault.check()
}

// check refuses a fault that cannot do what its author hoped.
func (f Fault) check() error {
	switch {
	case f.Path == "" || !strings.HasPrefix(f.Path, "/") && !strings.HasPrefix(f.Path, "*"):
		return fmt.Errorf("path is %q: begin with a slash, such as \"/security/alerts_v2/*\", or use \"**\" for every request", f.Path)
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("status is %d: a fault answers with 400 to 599", f.Status)
	case f.Drop && f.Status != 0:
		return errors.New("drop and status exclude each other: a dropped connection has no status; keep one")
	case !f.Drop && f.Status == 0 && f.Delay == 0:
		return errors.New("nothing would happen: set status, drop or delay")
	case f.Status == 0 && (f.Code != "" || f.RetryAfter != ""):
		return errors.New("code and retryAfter belong to an answer: set status too")
	case f.After < 0:
		return fmt.Errorf("after is %d: it counts requests to let pass, so 0 or more", f.After)
	case f.Every < 0:
		return fmt.Errorf("every is %d: use 1 or more", f.Every)
	case f.Times < -1:
		return fmt.Errorf("times is %d: use a count, 0 for once or -1 for always", f.Times)
	case f.Delay < 0 || f.Delay > maxFaultDelay:
		return fmt.Errorf("delay is %s: choose between 0 and %s", f.Delay, maxFaultDelay)
	case f.When != "" && f.When != Before && f.When != After:
		return fmt.Errorf("when is %q: use %q or %q (the effect)", f.When, Before, After)
	case strings.ContainsAny(f.RetryAfter, "\r\n"):
		return errors.New("retryAfter holds a line break: give seconds or an HTTP date")
	}
	return nil
}

// armed is a fault with its counters.
type armed struct {
	Fault
	seen, struck int
}

// strike counts the request and tells whether the fault meets it. A fault that another one overtook keeps its
// remaining times: busy says that one has struck already.
func (a *armed) strike(method, path, query string, busy bool) bool {
	if a.Method != "" && !strings.EqualFold(a.Method, method) || !a.onPath(path) || !strings.Contains(query, a.Query) {
		return false
	}
	a.seen++
	past := a.seen - a.After
	due := past > 0 && (a.Every <= 1 || past%a.Every == 0)
	left := a.Times == -1 || a.struck < max(a.Times, 1)
	if busy || !due || !left {
		return false
	}
	a.struck++
	return true
}

func (a *armed) onPath(path string) bool {
	pattern, path := strings.ToLower(a.Path), strings.ToLower(path)
	if glob(pattern, path) {
		return true
	}
	rest, ok := strings.CutPrefix(path, versionPrefix)
	return ok && glob(pattern, rest)
}

// glob matches with "*" inside a segment and "**" across. It runs along one row of reachable positions, so a
// pattern full of stars costs no more than pattern times text.
func glob(pattern, text string) bool {
	reach := make([]bool, len(text)+1)
	reach[0] = true
	for i := 0; i < len(pattern); i++ {
		next := make([]bool, len(text)+1)
		if pattern[i] == '*' {
			across := i+1 < len(pattern) && pattern[i+1] == '*'
			if across {
				i++
			}
			for at := range reach {
				next[at] = reach[at] || at > 0 && next[at-1] && (across || text[at-1] != '/')
			}
		} else {
			for at := 0; at < len(text); at++ {
				next[at+1] = reach[at] && text[at] == pattern[i]
			}
		}
		reach = next
	}
	return reach[len(text)]
}

// usualCode is the error code Graph pairs with a status.
func usualCode(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "BadRequest"
	case http.StatusUnauthorized:
		return "InvalidAuthenticationToken"
	case http.StatusForbidden:
		return "Forbidden"
	case http.StatusNotFound:
		return "ResourceNotFound"
	case http.StatusMethodNotAllowed:
		return "MethodNotAllowed"
	case http.StatusConflict:
		return "Conflict"
	case http.StatusRequestEntityTooLarge:
		return "RequestEntityTooLarge"
	case http.StatusUnsupportedMediaType:
		return "UnsupportedMediaType"
	case http.StatusTooManyRequests:
		return "TooManyRequests"
	case http.StatusServiceUnavailable:
		return "ServiceUnavailable"
	case http.StatusInternalServerError:
		return "InternalServerError"
	}
	return "UnknownError"
}
