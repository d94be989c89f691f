package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// phase is where the current part of an action stands.
//
//	due ──intent──► flying ──ok──► (next part, or done)
//	 ▲                │ fault, nothing happened: wait and try again
//	 ├────────────────┤
//	 │                │ nobody knows: repeat (reads, converges), or
//	 │                ├──adds──► probeDue ──intent──► probing ──happened──► (next part)
//	 └───absent───────┼───────────────────────────────┘
//	                  └──once──► unsure ──a person──► (next part) or due
//
// Before its first intent a part that is beyond a limit is held, until a person releases the run.
type phase int

const (
	due phase = iota
	flying
	probeDue
	probing
	unsure
	held // by a limit, until a person releases the run
)

// act is an action step in progress.
type act struct {
	body    *playbooks.Act
	input   json.RawMessage
	parts   []string
	planned bool
	outputs []json.RawMessage
	total   int // attempts of all parts, without probes

	part    int // index into parts
	phase   phase
	number  int       // attempts made at this part, probes included
	spent   int       // attempts that count against the retry policy
	probes  int       // probes that failed
	readyAt time.Time // not before
	fault   *actions.Fault
	until   time.Time // of a part that awaits: it fails then
	// cutOff: the attempt in question was interrupted by the end of the process, which is not
	// its own failing and costs nothing.
	cutOff bool

	allowed bool      // its limits let it begin
	counted []Counted // what was found then
	limited LimitedData
}

func (a *act) inFlight() bool { return a.phase == flying || a.phase == probing }

// path is the path of the current part.
func (a *act) path(f *frame) string {
	if a.part < len(a.parts) {
		return f.path + ":" + a.parts[a.part]
	}
	return f.path
}

func (a *act) effect() actions.Effect {
	p, _ := a.body.Spec.Part(a.parts[a.part])
	return p.Effect
}

// UncertainPrefix begins what a run says of an uncertain step.
const UncertainPrefix = "nobody knows whether "

// awaits says whether the current part looks for the end of what the others started.
func (a *act) awaits() bool {
	p, _ := a.body.Spec.Part(a.parts[a.part])
	return p.Awaits
}

func (f *frame) parkMessage() string {
	return fmt.Sprintf(UncertainPrefix+"%s at %s took effect: %s", f.act.body.Spec.Name, f.path, f.act.fault.Message)
}

// next makes the intent of the next attempt, if it is time for one.
func (a *act) next(t *turn, f *frame) bool {
	switch {
	case a.inFlight(), a.phase == unsure, a.phase == held:
		return false
	case t.now.Before(a.readyAt):
		t.sleepUntil(a.readyAt)
		return false
	}
	var fresh json.RawMessage
	if !a.planned {
		input, parts, fault := a.plan(t, f)
		if fault != nil {
			t.record(f.path, Outcome, 0, OutcomeData{Status: Faulty, Input: input, Fault: fault})
			return true
		}
		if len(parts) == 0 {
			t.record(f.path, Outcome, 0, OutcomeData{Status: Took, Input: input, Output: json.RawMessage("{}")})
			return true
		}
		if a.asks(t, f) {
			t.forget()
			return false
		}
		a.input, a.parts, fresh = input, parts, input
		t.begins(f)
	}
	if t.m.run.Mode == playbooks.Shadow && (a.effect() != actions.Reads || a.awaits()) {
		t.record(a.path(f), Outcome, 0, a.dry(fresh))
		return true
	}
	t.attempt(f, fresh)
	return true
}

// guarded says why the step must not act, if its guard says so: nothing was asked of anybody then.
func (a *act) guarded(t *turn, f *frame) *actions.Fault {
	if a.body.Guard == nil {
		return nil
	}
	holds, firstFalse, err := a.body.Guard.Match(f.scope, t.m.run.Created)
	switch {
	case err != nil:
		return expressionFault("guard", err)
	case !holds:
		return actions.Failf(actions.CodeGuard, "the guard does not hold: %s", firstFalse)
	}
	return nil
}

// plan evaluates the step's guard and input, and asks the action which parts it takes.
func (a *act) plan(t *turn, f *frame) (json.RawMessage, []string, *actions.Fault) {
	if fault := a.guarded(t, f); fault != nil {
		return nil, nil, fault
	}
	v, err := a.body.With.Eval(f.scope, t.m.run.Created)
	if err != nil {
		return nil, nil, expressionFault("with", err)
	}
	input, err := inputJSON(v)
	if err != nil {
		return nil, nil, expressionFault("with", err)
	}
	parts, err := a.body.Action.Plan(input)
	if err == nil { // no action plans what does not fit its schema
		if p, ok := a.body.Spec.Awaiting(); ok && a.body.Await > 0 {
			parts = append(parts, p.Name)
		}
		return input, parts, nil
	}
	if violations, wrong := playbooks.CheckInput(a.body, input); wrong == nil && len(violations) > 0 {
		return input, nil, actions.Failf(actions.CodeInput, "%s", violations)
	}
	return input, nil, actions.Failf(actions.CodeInput, "%v", err)
}

// dry is the outcome of a part that a watching playbook does not perform.
func (a *act) dry(fresh json.RawMessage) OutcomeData {
	d := OutcomeData{Status: Dry, Output: a.body.Action.Preview(a.parts[a.part], a.input)}
	if fresh != nil {
		d.Input, d.Parts, d.Limits = fresh, a.parts, a.counted
	}
	return d
}

func (t *turn) attempt(f *frame, fresh json.RawMessage) {
	a := f.act
	path := a.path(f)
	k := key(t.m.run.ID, path)
	at := Attempt{
		Path: path, Part: a.parts[a.part], Number: a.number + 1,
		Key: k, RequestID: requestID(k, a.number+1),
		Effect: a.effect(), Probe: a.phase == probeDue,
		Input: a.input, Timeout: timeoutOf(f.step), Action: a.body.Action,
	}
	if a.awaits() {
		at.Started, _ = actions.Merge(a.outputs...) // what can't be read is nothing to go by
	}
	if !at.Probe {
		at.Touches = a.body.Action.Touches(at.Part, a.input)
	}
	d := IntentData{Key: k, RequestID: at.RequestID, Effect: at.Effect, Probe: at.Probe}
	if fresh != nil {
		d.Input, d.Parts, d.Limits = fresh, a.parts, a.counted
	}
	t.record(path, Intent, at.Number, d)
	if t.m.ended == nil {
		t.d.Invoke = append(t.d.Invoke, at)
	}
}

// settle has nothing to do: an attempt's outcome finishes the step at once.
func (a *act) settle(*Machine, *frame) {}

// drop has nothing to do either: what is in the air must land.
func (a *act) drop(*Machine) {}

// fold takes an intent, an outcome or a person's word.
func (a *act) fold(m *Machine, f *frame, e Entry, part string) error {
	switch e.Kind {
	case Intent:
		return a.foldIntent(m, f, e, part)
	case Outcome:
		return a.foldOutcome(m, f, e, part)
	case Resolve:
		return a.foldResolve(f, e)
	case Limited:
		return a.foldLimited(m, f, e)
	}
	return fmt.Errorf("%w: entry %d (%s) does not fit action step %s", errNotFollowing, e.Seq, e.Kind, f.path)
}

// learn takes over the input and the parts from the first entry that names them. Parts without an input are no plan:
// further attempts would be made with nothing.
func (a *act) learn(input json.RawMessage, parts []string) {
	if !a.planned && len(parts) > 0 && len(input) > 0 {
		a.planned, a.input, a.parts = true, input, parts
	}
}

// knows says whether the action has such a part: a record of another action would not.
func (a *act) knows(part string) bool {
	_, ok := a.body.Spec.Part(part)
	return ok
}

func (a *act) foldIntent(m *Machine, f *frame, e Entry, part string) error {
	d, err := dataOf[IntentData](m, e)
	if err != nil {
		return err
	}
	a.learn(d.Input, d.Parts)
	wantProbe := a.phase == probeDue
	if !a.knows(part) || !a.planned || a.inFlight() || a.phase == unsure || a.phase == held || d.Probe != wantProbe ||
		part != a.parts[a.part] || e.Attempt != a.number+1 {
		return fmt.Errorf("%w: entry %d: unexpected intent at %s", errNotFollowing, e.Seq, e.Path)
	}
	a.number++
	a.phase = flying
	if d.Probe {
		a.phase = probing
	} else {
		a.total++
	}
	m.flying++
	return nil
}

func (a *act) foldOutcome(m *Machine, f *frame, e Entry, part string) error {
	d, err := dataOf[OutcomeData](m, e)
	if err != nil {
		return err
	}
	made := e.Attempt > 0
	if ok := d.Status == Took || d.Status == Dry && !made || d.Status == Absent && d.Probe && made; !ok && d.Fault == nil {
		return fmt.Errorf("%w: entry %d: outcome %q without a fault", errNotFollowing, e.Seq, d.Status)
	}
	if !made {
		return a.foldUnattempted(f, e, d, part)
	}
	if !a.inFlight() || d.Probe != (a.phase == probing) || part != a.parts[a.part] || e.Attempt != a.number {
		return fmt.Errorf("%w: entry %d: unexpected outcome at %s", errNotFollowing, e.Seq, e.Path)
	}
	m.flying--
	switch {
	case d.Status == Took:
		return a.took(f, d.Output, e.At)
	case d.Fault != nil && d.Fault.Code == actions.CodeNotYet && a.awaits():
		a.notYet(f, d.Fault, e.At)
	case d.Probe:
		a.foldProbe(f, e, d)
	case d.Interrupted && d.Fault.Unknown:
		a.fault, a.cutOff = d.Fault, true
		a.unknown(f, e.At)
	case d.Interrupted:
		a.fault, a.cutOff = d.Fault, true
		a.again(f, e.At, true)
	default:
		a.spent++
		a.fault, a.cutOff = d.Fault, false
		if d.Fault.Unknown {
			a.unknown(f, e.At)
		} else {
			a.again(f, e.At, d.Fault.Retry)
		}
	}
	m.asks = m.asks || a.phase == unsure
	return nil
}

// foldUnattempted takes the outcome of a step that needed no attempt: its input was wrong, it
// had nothing to do, or the playbook only watches.
func (a *act) foldUnattempted(f *frame, e Entry, d OutcomeData, part string) error {
	switch {
	case d.Status == Dry:
		a.learn(d.Input, d.Parts)
		if !a.knows(part) || !a.planned || part != a.parts[a.part] {
			return fmt.Errorf("%w: entry %d: unexpected dry outcome at %s", errNotFollowing, e.Seq, e.Path)
		}
		return a.took(f, d.Output, e.At)
	case part != "" || a.planned:
		return fmt.Errorf("%w: entry %d: unexpected outcome at %s", errNotFollowing, e.Seq, e.Path)
	case d.Status == Took:
		a.finish(f, d.Output)
	default:
		f.finish(result{status: "failed", fault: d.Fault})
	}
	return nil
}

// took goes on to the next part, or ends the step.
func (a *act) took(f *frame, out json.RawMessage, at time.Time) error {
	a.outputs = append(a.outputs, out)
	a.part++
	a.phase, a.number, a.spent, a.probes = due, 0, 0, 0
	a.readyAt, a.fault, a.cutOff = time.Time{}, nil, false
	if a.part < len(a.parts) {
		a.until = at.Add(a.body.Await)
		return nil
	}
	merged, err := actions.Merge(a.outputs...)
	if err != nil {
		merged = nil // the effects stand; only later expressions can't read the outputs
	}
	a.finish(f, merged)
	return nil
}

// notYet looks again later, until the step has waited as long as it says.
func (a *act) notYet(f *frame, fault *actions.Fault, at time.Time) {
	if !at.Before(a.until) {
		f.finish(result{status: "failed", attempts: a.total, fault: actions.Failf(actions.CodeTimeout,
			"it did not come to its end within %s: %s", playbooks.FormatDuration(a.body.Await), fault.Message)})
		return
	}
	waited := a.body.Await - a.until.Sub(at)
	pause := max(AwaitEvery, min(waited/4, AwaitPause), fault.After)
	// A look that was answered ends a row of failed ones: over hours a few failures are nothing.
	a.phase, a.fault, a.spent, a.readyAt = due, nil, 0, at.Add(pause)
	if a.readyAt.After(a.until) {
		a.readyAt = a.until // one last look
	}
}

func (a *act) finish(f *frame, raw json.RawMessage) {
	r := result{status: "ok", attempts: a.total}
	if len(raw) > 0 {
		out, err := expression.Decode(raw, a.body.Output)
		if err != nil {
			// The effect stands, and its record too; only later expressions can't read it.
			out = nil
		}
		r.output = out
	}
	f.finish(r)
}

// unknown decides after an attempt that may have taken effect.
func (a *act) unknown(f *frame, at time.Time) {
	effect := a.effect()
	if effect == actions.Once && mutant.On(mutant.RetryOnce) || effect == actions.Adds && mutant.On(mutant.BlindAdd) {
		effect = actions.Converges
	}
	switch effect {
	case actions.Reads, actions.Converges:
		a.again(f, at, a.fault.Retry)
	case actions.Adds:
		a.phase, a.readyAt = probeDue, at.Add(max(ProbeDelay, a.fault.After))
	default:
		a.giveUp(f)
	}
}

// again waits for another attempt if the policy has one left, else fails the step.
func (a *act) again(f *frame, at time.Time, retry bool) {
	p := policyOf(f.step)
	switch {
	case a.cutOff:
		a.phase, a.readyAt = due, at
	case retry && a.spent < p.Attempts:
		a.phase, a.readyAt = due, at.Add(backoff(p, a.spent, a.fault, f.path))
	default:
		f.finish(result{status: "failed", fault: a.fault, attempts: a.total})
	}
}

func (a *act) foldProbe(f *frame, e Entry, d OutcomeData) {
	if d.Status == Absent {
		a.probes = 0
		a.again(f, e.At, a.fault.Retry)
		return
	}
	if !d.Interrupted {
		a.probes++
	}
	p := policyOf(f.step)
	if a.probes >= max(p.Attempts, DefaultAttempts) || !d.Fault.Retry {
		a.fault = d.Fault
		a.giveUp(f)
		return
	}
	a.phase, a.readyAt = probeDue, e.At.Add(backoff(p, max(1, a.probes), d.Fault, f.path))
}

// giveUp leaves the step to a person, unless the playbook says how to go on without knowing.
func (a *act) giveUp(f *frame) {
	if f.step.OnError.Continue || f.step.OnError.Steps != nil {
		fault := *a.fault
		fault.Code, fault.Message = actions.CodeUncertain, a.fault.Code+": "+a.fault.Message
		f.finish(result{status: "uncertain", fault: &fault, attempts: a.total})
		return
	}
	a.phase = unsure
}

func (a *act) foldResolve(f *frame, e Entry) error {
	d, err := decodeData[ResolveData](e)
	if err != nil {
		return err
	}
	if a.phase != unsure {
		return fmt.Errorf("%w: entry %d resolves step %s, which is not uncertain", errNotFollowing, e.Seq, f.path)
	}
	if d.Happened {
		return a.took(f, a.body.Action.Preview(a.parts[a.part], slices.Clone(a.input)), e.At)
	}
	a.phase, a.readyAt, a.spent = due, e.At, 0
	return nil
}
