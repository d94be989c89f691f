// Package reconcile compares what a journal says was done with what really was.
//
// The simulator writes a log of every change that it performed: the truth. The journal holds what
// playbookd believes. Each attempt carries a request id to the other side, so the two can be laid
// side by side, line by line. The package answers with a list of discrepancies; an empty list is
// the proof that nothing was done unrecorded, recorded without being done, or done twice.
//
// It knows neither database nor simulator, only the two lists.
package reconcile

import (
	"fmt"
	"slices"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

// Effect is one line of the truth.
type Effect struct {
	RequestID string // the client-request-id that it came with
	Op        string
	Object    string
}

// Attempt is one attempt that the journal holds.
type Attempt struct {
	Run  engine.RunID
	Step string
	engine.AttemptTrace
}

// Attempts lists the attempts in a run's history that may change something.
func Attempts(run engine.RunID, history []engine.Entry) []Attempt {
	var list []Attempt
	for _, step := range engine.Trace(nil, history) {
		for _, a := range step.Attempts {
			if a.Effect != actions.Reads && !a.Probe {
				list = append(list, Attempt{Run: run, Step: step.Path, AttemptTrace: a})
			}
		}
	}
	return list
}

// Compare lays the two side by side. graphOnly says which attempts go to the system whose log
// the effects are from; the others (messages, requests elsewhere) are left out.
func Compare(attempts []Attempt, effects []Effect, graphOnly func(Attempt) bool) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	byRequest := map[string]Attempt{}
	for _, a := range attempts {
		byRequest[a.RequestID] = a
	}
	done := map[string]int{}  // request id → times
	byKey := map[string]int{} // idempotency key → times
	for _, e := range effects {
		a, known := byRequest[e.RequestID]
		if !known {
			say("%s on %s (request %s) was done, but no intent in the journal says so", e.Op, e.Object, e.RequestID)
			continue
		}
		done[e.RequestID]++
		byKey[a.Key]++
		if done[e.RequestID] > 1 {
			say("run %s %s: request %s was carried out %d times", a.Run, a.Step, e.RequestID, done[e.RequestID])
		}
	}
	for _, a := range attempts {
		if graphOnly != nil && !graphOnly(a) {
			continue
		}
		switch {
		case a.Effective() && done[a.RequestID] == 0:
			say("run %s %s: attempt %d at %s is recorded as done, but nothing happened", a.Run, a.Step, a.Number, a.Part)
		case a.Status == engine.Faulty && !a.Fault.Unknown && done[a.RequestID] > 0:
			say("run %s %s: attempt %d at %s is recorded as certainly not done, but it was", a.Run, a.Step, a.Number, a.Part)
		}
	}
	reported := map[string]bool{}
	for _, a := range attempts {
		repeats := a.Effect == actions.Adds || a.Effect == actions.Once
		if repeats && byKey[a.Key] > 1 && !reported[a.Key] {
			reported[a.Key] = true
			say("run %s %s: %s %s, and it was done %d times", a.Run, a.Step, a.Part, a.Effect, byKey[a.Key])
		}
	}
	slices.Sort(wrong)
	return wrong
}
