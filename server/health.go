package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/playbookd/playbookd/internal/secret"
)

const (
	// CheckTimeout is how long one check may take before it counts as failed.
	CheckTimeout = 3 * time.Second
	// CheckAge is how long a result is shown again, so that whoever asks often does not keep the
	// database busy.
	CheckAge = time.Second
	// MaxReason is how many characters of a reason are shown.
	MaxReason = 300
)

// Check is one thing that must be well. Its error says what is not, and what to do.
type Check struct {
	Name string
	Func func(ctx context.Context) error
}

// Status is the body of /healthz and /readyz.
type Status struct {
	Status string        `json:"status"` // ok or failing
	Checks []CheckStatus `json:"checks"`
}

// CheckStatus is how one check went.
type CheckStatus struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// report runs checks and shows the outcome.
type report struct {
	checks []Check
	busy   []atomic.Bool // of each check: it has not returned yet

	mu   sync.Mutex
	last Status
	at   time.Time
}

func newReport(checks []Check) *report {
	return &report{checks: checks, busy: make([]atomic.Bool, len(checks))}
}

// ServeHTTP answers 200 if all is well and 503 otherwise.
func (p *report) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := p.status(context.WithoutCancel(r.Context()))
	w.Header().Set("Content-Type", "application/json")
	if status.Status != "ok" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(status.page()) // a client that is gone needs no answer
}

// page is a status as JSON with a line for each check, for people who read it with curl.
func (s Status) page() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"status":%q,"checks":[`, s.Status)
	for i, c := range s.Checks {
		if i > 0 {
			b.WriteByte(',')
		}
		line, err := json.Marshal(c)
		if err != nil {
			line = []byte("{}") // it is made of text and a truth value
		}
		b.WriteString("\n  ")
		b.Write(line)
	}
	b.WriteString("\n]}\n")
	return b.Bytes()
}

// status runs all checks, or repeats what was found a moment ago. Callers wait for each other, so
// that no check runs twice at a time.
func (p *report) status(ctx context.Context) Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.at.IsZero() && time.Since(p.at) < CheckAge {
		return p.last
	}
	results := make([]CheckStatus, len(p.checks))
	var wg sync.WaitGroup
	for i, c := range p.checks {
		wg.Go(func() { results[i] = c.run(ctx, &p.busy[i]) })
	}
	wg.Wait()
	p.last = Status{Status: "ok", Checks: results}
	for _, r := range results {
		if !r.OK {
			p.last.Status = "failing"
		}
	}
	p.at = time.Now()
	return p.last
}

// run runs a check. One that ignores its deadline is left behind and counts as failed until it
// returns; a second one is not started beside it.
func (c Check) run(ctx context.Context, busy *atomic.Bool) CheckStatus {
	if !busy.CompareAndSwap(false, true) {
		return CheckStatus{Name: c.Name, Reason: "the check has not answered since it was last asked"}
	}
	ctx, cancel := context.WithTimeout(ctx, CheckTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer busy.Store(false)
		done <- c.call(ctx)
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = fmt.Errorf("no answer within %s", CheckTimeout)
	}
	if err != nil {
		return CheckStatus{Name: c.Name, Reason: oneLine(err.Error())}
	}
	return CheckStatus{Name: c.Name, OK: true}
}

// call makes a panic the failure of its check.
func (c Check) call(ctx context.Context) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("the check itself is broken")
		}
	}()
	return c.Func(ctx)
}

// oneLine makes text fit to be read by people and machines.
func oneLine(s string) string {
	s = secret.Plain(s)
	if r := []rune(s); len(r) > MaxReason {
		return string(r[:MaxReason]) + "…"
	}
	return s
}
