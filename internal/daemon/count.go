package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/meter"
)

// Limits of what is counted apart. What is beyond them is counted under "other".
const (
	// MaxCountedPlaybooks is how many playbooks have metrics of their own.
	MaxCountedPlaybooks = 200
	// MaxCountedActions is how many actions have; there are fewer.
	MaxCountedActions = 200
	// MaxCountedSources is how many pairs of tenant and source have.
	MaxCountedSources = 500
)

// other is the label of what is beyond a limit.
const other = "other"

// reasons are the reasons for which an event is skipped, "" for decisions that need none.
var reasons = []string{
	"", engine.SkipNoTrigger, engine.SkipFilter, engine.SkipVersion, engine.SkipChange, engine.SkipDisabled, engine.SkipExpired,
	engine.SkipTenant, engine.SkipEcho, engine.SkipDuplicate, engine.SkipError, other,
}

// counts is what the daemon counts itself, where its parts meet. Whoever reads it may come at any
// time.
type counts struct {
	sources  *meter.By[sourceKey, sourceCounts]
	verdicts map[engine.Verdict]*[16]meter.Counter // by index in reasons
	started  *meter.By[string, meter.Counter]      // by playbook
	screened meter.Counter
	held     *meter.By[string, meter.Counter]
	ended    *meter.By[endedKey, meter.Counter]
	lasted   map[engine.RunState]*meter.Histogram
	delay    *meter.Histogram
	attempts *meter.By[attemptKey, meter.Counter]
	took     *meter.By[string, meter.Histogram] // by action
	outcomes map[engine.OutcomeStatus]*meter.Counter
	retries  meter.Counter
	reloads  map[string]*meter.Counter // by outcome
	lines    map[slog.Level]*meter.Counter

	began time.Time
	moved atomic.Int64 // how long after began a run last got further
}

type (
	sourceKey    struct{ tenant, source string }
	sourceCounts struct {
		admitted, duplicates meter.Counter
		late                 *meter.Histogram
	}
	endedKey struct {
		playbook string
		state    engine.RunState
	}
	attemptKey struct{ action, effect, ending string }
)

func finalStates() []engine.RunState {
	return []engine.RunState{engine.Succeeded, engine.Failed, engine.Canceled}
}

// The ways in which an attempt ends, for its metric.
const (
	endedOK       = "ok"
	endedRefused  = "refused" // certainly no effect
	endedUnknown  = "unknown" // nobody knows
	endedFound    = "found"   // a probe's answer
	endedAbsent   = "absent"  // a probe's answer
	endedPanicked = "panicked"
)

var endings = []string{endedOK, endedRefused, endedUnknown, endedFound, endedAbsent, endedPanicked}

func newCounter() *meter.Counter { return &meter.Counter{} }

func newCounts() *counts {
	one := func(string) string { return other }
	lasted := map[engine.RunState]*meter.Histogram{}
	for _, state := range finalStates() {
		lasted[state] = meter.NewHistogram(meter.Long())
	}
	return &counts{
		began: time.Now(),
		sources: meter.NewBy(MaxCountedSources, func(k sourceKey) sourceKey { return sourceKey{k.tenant, other} },
			func() *sourceCounts { return &sourceCounts{late: meter.NewHistogram(meter.Long())} }),
		verdicts: map[engine.Verdict]*[16]meter.Counter{engine.Matched: {}, engine.NotMatched: {}, engine.Skipped: {}},
		started:  meter.NewBy(MaxCountedPlaybooks, one, newCounter),
		held:     meter.NewBy(MaxCountedPlaybooks, one, newCounter),
		ended:    meter.NewBy(len(finalStates())*MaxCountedPlaybooks, func(k endedKey) endedKey { return endedKey{other, k.state} }, newCounter),
		lasted:   lasted,
		delay:    meter.NewHistogram(meter.Short()),
		attempts: meter.NewBy(MaxCountedActions*len(endings), func(attemptKey) attemptKey { return attemptKey{other, other, other} }, newCounter),
		took:     meter.NewBy(MaxCountedActions, one, func() *meter.Histogram { return meter.NewHistogram(meter.Short()) }),
		outcomes: map[engine.OutcomeStatus]*meter.Counter{engine.Took: {}, engine.Faulty: {}, engine.Absent: {}, engine.Dry: {}},
		reloads:  map[string]*meter.Counter{"ok": {}, "broken": {}, "refused": {}},
		lines:    map[slog.Level]*meter.Counter{slog.LevelDebug: {}, slog.LevelInfo: {}, slog.LevelWarn: {}, slog.LevelError: {}},
	}
}

// sourceOf is the label of a source: schedules and playbooks run by hand are told apart by their
// own metrics.
func sourceOf(source string) string {
	for _, kind := range []string{"schedule", "manual"} {
		if strings.HasPrefix(source, kind+"/") {
			return kind
		}
	}
	return source
}

func (c *counts) source(ev engine.Event) *sourceCounts {
	return c.sources.At(sourceKey{ev.Tenant, sourceOf(ev.Source)})
}

// admitted counts what a journal has stored.
func (c *counts) admitted(a engine.Admission, r engine.Receipt, now time.Time) {
	var tally [3][16]int // of verdicts and reasons: fewer atomic additions with many playbooks
	repeated, started, held := r.Repeated, r.Started, r.Held
	for i, p := range a.Events {
		s := c.source(p.Event)
		if len(repeated) > 0 && repeated[0] == i {
			repeated = repeated[1:]
			s.duplicates.Add(1)
			continue
		}
		s.admitted.Add(1)
		s.late.Observe(p.Event.Seen.Sub(p.Event.Occurred))
		c.screened.Add(p.Screened)
		for _, m := range p.Matches {
			verdict, reason := place(m)
			tally[verdict][reason]++
		}
		for _, run := range p.Runs {
			switch {
			case len(started) > 0 && started[0] == run.Run.ID:
				started = started[1:]
				c.started.At(run.Run.Playbook).Add(1)
				if len(run.Entries) > 0 {
					c.delay.Observe(now.Sub(p.Event.Seen))
				}
			case len(held) > 0 && held[0] == run.Run.ID:
				held = held[1:]
				c.held.At(run.Run.Playbook).Add(1)
			default: // its decision was stored as a duplicate's
				tally[0][0]--
				tally[2][reasonAt(engine.SkipDuplicate)]++
			}
		}
	}
	for i, verdict := range []engine.Verdict{engine.Matched, engine.NotMatched, engine.Skipped} {
		for reason, n := range tally[i] {
			if n > 0 {
				c.verdicts[verdict][reason].Add(n)
			}
		}
	}
}

// place is where a decision is tallied.
func place(m engine.Match) (verdict, reason int) {
	switch m.Verdict {
	case engine.Matched:
		return 0, 0
	case engine.NotMatched:
		return 1, 0
	}
	return 2, reasonAt(m.Reason)
}

func reasonAt(reason string) int {
	for i, r := range reasons {
		if r == reason {
			return i
		}
	}
	return len(reasons) - 1
}

// counted is a journal whose admissions are counted.
type counted struct {
	engine.Journal
	c *counts
}

// Admit implements [engine.Journal].
func (j counted) Admit(ctx context.Context, a engine.Admission) (engine.Receipt, error) {
	r, err := j.Journal.Admit(ctx, a)
	if err == nil {
		j.c.admitted(a, r, time.Now())
	}
	return r, err
}

// End implements [engine.Journal].
func (j counted) End(ctx context.Context, a engine.Append, following engine.Admission) (engine.Receipt, error) {
	r, err := j.Journal.End(ctx, a, following)
	if err == nil {
		j.c.admitted(following, r, time.Now())
	}
	return r, err
}

// Load implements [engine.Journal]. A run without a history is about to begin.
func (j counted) Load(ctx context.Context, id engine.RunID) (engine.Loaded, error) {
	l, err := j.Journal.Load(ctx, id)
	if err == nil && len(l.Entries) == 0 && l.Run.State == engine.Ready {
		j.c.delay.Observe(time.Since(l.Event.Seen))
	}
	return l, err
}

// The beginnings of outcomes as the engine writes them: their status comes first.
var beginnings = map[engine.OutcomeStatus][]byte{
	engine.Took: []byte(`{"status":"ok"`), engine.Faulty: []byte(`{"status":"fault"`),
	engine.Absent: []byte(`{"status":"absent"`), engine.Dry: []byte(`{"status":"dry"`),
}

// outcome counts an outcome without reading all of it.
func (c *counts) outcome(e engine.Entry) {
	c.moves()
	if e.Attempt > 1 {
		c.retries.Add(1)
	}
	for status, beginning := range beginnings {
		if bytes.HasPrefix(e.Data, beginning) {
			c.outcomes[status].Add(1)
		}
	}
}

// runEnded counts the end of a run.
func (c *counts) runEnded(r engine.Run) {
	c.moves()
	c.ended.At(endedKey{r.Playbook, r.State}).Add(1)
	if h := c.lasted[r.State]; h != nil {
		h.Observe(r.Ended.Sub(r.Created))
	}
}

// moves notes that a run got further.
func (c *counts) moves() { c.moved.Store(int64(time.Since(c.began))) }

// still is how long no run got further, by a clock that nobody can set.
func (c *counts) still() time.Duration { return time.Since(c.began) - time.Duration(c.moved.Load()) }

// attempted is an action whose attempts are counted.
type attempted struct {
	actions.Action
	name   string
	effect map[string]string // by part
	c      *counts
}

// attempting lays the counting around actions.
func attempting(list []actions.Action, c *counts) []actions.Action {
	out := make([]actions.Action, len(list))
	for i, a := range list {
		spec := a.Spec()
		w := attempted{Action: a, name: spec.Name, effect: map[string]string{}, c: c}
		for _, p := range spec.Parts {
			w.effect[p.Name] = string(p.Effect)
		}
		out[i] = w
	}
	return out
}

// Do implements [actions.Action].
func (a attempted) Do(ctx context.Context, call actions.Call) (out json.RawMessage, err error) {
	ending := endedPanicked
	defer a.done(call.Part, &ending, time.Now())
	out, err = a.Action.Do(ctx, call)
	ending = endingOf(err, endedOK)
	return out, err
}

// Probe implements [actions.Action].
func (a attempted) Probe(ctx context.Context, call actions.Call) (out json.RawMessage, happened bool, err error) {
	ending := endedPanicked
	defer a.done(call.Part, &ending, time.Now())
	out, happened, err = a.Action.Probe(ctx, call)
	ending = endedAbsent
	if happened {
		ending = endedFound
	}
	ending = endingOf(err, ending)
	return out, happened, err
}

func (a attempted) done(part string, ending *string, began time.Time) {
	a.c.took.At(a.name).Observe(time.Since(began))
	a.c.attempts.At(attemptKey{a.name, a.effect[part], *ending}).Add(1)
}

// endingOf says in a word what an error means for the attempt.
func endingOf(err error, good string) string {
	if err == nil {
		return good
	}
	if f := actions.FaultOf(err); f == nil || f.Unknown {
		return endedUnknown
	}
	return endedRefused
}

// countedLog counts the lines that reach a log.
type countedLog struct {
	slog.Handler
	c *counts
}

// Handle implements [slog.Handler].
func (h countedLog) Handle(ctx context.Context, r slog.Record) error {
	if n := h.c.lines[r.Level]; n != nil {
		n.Add(1)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h countedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return countedLog{h.Handler.WithAttrs(attrs), h.c}
}

// WithGroup implements [slog.Handler].
func (h countedLog) WithGroup(name string) slog.Handler {
	return countedLog{h.Handler.WithGroup(name), h.c}
}
