package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// Limits of a run.
const (
	// MaxItems is how many items a foreach may have.
	MaxItems = 10_000
	// MaxRecord is how many entries one decision may add; the rest follow in the next one.
	MaxRecord = 256
	// MaxOutput is how large the output of an attempt may be, in bytes of JSON.
	MaxOutput = 4 << 20
)

// Machine is a run's state, folded from its history. Begin one, apply the entries that the
// journal holds, then take turns: Next says what to do, Settle records how it went. It is not
// safe for concurrent use, and it does nothing by itself.
type Machine struct {
	playbook *playbooks.Playbook
	run      Run
	seq      int
	begun    bool
	play     *play
	active   map[string]*frame // frames in progress by path, for routing entries
	left     map[string]*frame // calls that were given up and still clean up
	vars     map[string]any    // the value of `vars`, shared by all scopes of the run
	ended    *EndedData
	asks     bool // people were asked something, or had to settle or release a step
	released bool // a person let the run go on where limits held it
	flying   int
	own      any    // the data of the entry that is applied, if it was made here and not read
	reads    *reads // nil: the playbook asks the world for nothing
}

// Decision is what comes next for a run. Record must be durable before Invoke begins.
type Decision struct {
	Record []Entry
	Invoke []Attempt
	State  RunState
	// Message says why, when State is Parked or final.
	Message string
	// Wake is when Next is worth calling again although nothing was settled.
	Wake time.Time
	// Asks are questions that Next can't go on without: see Allow. What else there is to do is in the
	// decision all the same.
	Asks []Ask
	// Uses are what limits count of the record: the playbook and the action.
	Uses []Use
	// More is set when Record was cut at MaxRecord: append it and call Next again.
	More bool
	// Left becomes durable with Record.
	Left Left
}

// Attempt is one request to make.
type Attempt struct {
	Path      string // of the step and part: "steps/0:update"
	Part      string
	Number    int
	Key       string
	RequestID string
	Effect    actions.Effect
	Probe     bool // ask whether an earlier attempt happened, instead of making one
	Input     json.RawMessage
	Started   json.RawMessage // of a part that awaits: what the parts before it put out
	Timeout   time.Duration
	Action    actions.Action
	Touches   []actions.Touch
}

// Begin makes the machine of a run without history. Of the circumstances it takes the watchlists and the
// calendars; nil: there are none.
func Begin(p *playbooks.Playbook, run Run, ev Event, c *Circumstances) (*Machine, error) {
	subject, err := expression.Decode(ev.Payload, p.SubjectType)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", ev.ID, err)
	}
	if c == nil {
		c = &Circumstances{}
	}
	return beginWith(p, run, ev, subject, *c)
}

// beginWith is Begin with the payload decoded already. Expressions only read it, so it may be
// shared.
func beginWith(p *playbooks.Playbook, run Run, ev Event, subject any, c Circumstances) (*Machine, error) {
	inputs := map[string]any{}
	if len(ev.Inputs) > 0 {
		if err := json.Unmarshal(ev.Inputs, &inputs); err != nil {
			return nil, fmt.Errorf("inputs of event %s: %w", ev.ID, err)
		}
	}
	m := &Machine{playbook: p, run: run, active: map[string]*frame{}, left: map[string]*frame{}, vars: map[string]any{}}
	steps := map[string]any{}
	for _, list := range [][]playbooks.Step{p.Steps, p.OnFailure, p.Finally} {
		pending(list, steps)
	}
	s := eventScope(p, ev, subject, c, roomOfRun)
	s["inputs"], s["vars"], s["steps"], s["last"] = inputs, m.vars, steps, nil
	s["run"] = map[string]any{"id": string(run.ID), "url": run.ID.URL(), "startedAt": run.Created, "mode": string(run.Mode)}
	if len(p.Asks) > 0 {
		m.reads = &reads{asker: Asker{Tenant: run.Tenant, Event: ev.ID, Object: ev.Object, Now: run.Created}}
		m.reads.into(s, p)
	}
	m.play = newPlay(p, s, "")
	return m, nil
}

// Consult says whom the machine's expressions ask from now on. Without anybody, a run that asks can't go on.
func (m *Machine) Consult(w World) {
	if m.reads != nil {
		m.reads.world = w
	}
}

// Rebuild makes the machine of a run as its history left it. p is the playbook that it runs.
func Rebuild(p *playbooks.Playbook, l Loaded) (*Machine, error) {
	lists, calendars, err := recorded(l.Lists)
	if err != nil {
		return nil, err
	}
	m, err := Begin(p, l.Run, l.Event, &Circumstances{Lists: lists, Calendars: calendars})
	if err != nil {
		return nil, err
	}
	return m, m.Replay(l.Entries)
}

// playbookScope is what a playbook's expressions see of the playbook.
func playbookScope(p *playbooks.Playbook) map[string]any {
	return map[string]any{
		"name": p.Name, "description": p.Description, "owner": p.Owner, "reason": p.Reason,
		"mode": string(p.Mode), "digest": p.Digest, "tags": texts(p.Tags),
	}
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// pending gives every step with an ID its value from before it ran.
func pending(steps []playbooks.Step, into map[string]any) {
	for i := range steps {
		s := &steps[i]
		if s.ID != "" {
			into[s.ID] = stepValue(result{status: "pending"})
		}
		s.Nested(func(_ string, steps []playbooks.Step) { pending(steps, into) })
	}
}

// Run returns the run that the machine decides about.
func (m *Machine) Run() Run { return m.run }

// scope is what expressions see.
type scope map[string]any

// fork is a scope of its own for steps that go on beside others: what they leave behind is not
// seen outside.
func (s scope) fork() scope {
	c := maps.Clone(s)
	c["steps"] = maps.Clone(s["steps"].(map[string]any))
	return c
}

// child is a fork with one name more.
func (s scope) child(name string, item any) scope {
	c := s.fork()
	c[name] = item
	return c
}

// adopt takes over what the given steps left behind in a fork.
func (s scope) adopt(fork scope, steps []playbooks.Step) {
	ids := map[string]any{}
	pending(steps, ids)
	from, into := fork["steps"].(map[string]any), s["steps"].(map[string]any)
	for id := range ids {
		into[id] = from[id]
	}
}

func (s scope) keep(id string, r result) {
	s["last"] = r.output
	if id != "" {
		s["steps"].(map[string]any)[id] = stepValue(r)
	}
}

// result is how a step ended.
type result struct {
	status   string // ok, failed, skipped, uncertain, canceled, pending
	step     string // which step failed, where it is another one below
	output   any
	items    []any
	fault    *actions.Fault
	attempts int
	approved *bool // of an approve
	answer   any   // of an ask
}

func (r result) bad() bool { return r.status == "failed" || r.status == "uncertain" }

func stepValue(r result) map[string]any {
	v := map[string]any{"status": r.status, "output": r.output, "attempts": r.attempts, "error": nil, "items": nil,
		"answer": r.answer, "approved": nil}
	if r.approved != nil {
		v["approved"] = *r.approved
	}
	if r.fault != nil {
		v["error"] = map[string]any{"code": r.fault.Code, "message": r.fault.Message}
	}
	if r.items != nil {
		v["items"] = r.items
	}
	return v
}

// Replay applies a recorded history.
func (m *Machine) Replay(history []Entry) error {
	for _, e := range history {
		if err := m.apply(e); err != nil {
			return err
		}
	}
	return nil
}

// applyOwn folds in an entry that was made here, with its data.
func (m *Machine) applyOwn(e Entry, data any) error {
	m.own = data
	err := m.apply(e)
	m.own = nil
	return err
}

// dataOf is what an entry holds. What was made here need not be read back, except for faults: of
// those only what is recorded may count.
func dataOf[T any](m *Machine, e Entry) (T, error) {
	if d, ok := m.own.(T); ok {
		if o, is := m.own.(OutcomeData); !is || o.Fault == nil {
			return d, nil
		}
	}
	return decodeData[T](e)
}

// apply folds one entry in.
func (m *Machine) apply(e Entry) error {
	if e.Seq != m.seq+1 {
		return fmt.Errorf("%w: entry %d comes after entry %d", errNotFollowing, e.Seq, m.seq)
	}
	if m.ended != nil {
		return fmt.Errorf("%w: entry %d comes after the end", errNotFollowing, e.Seq)
	}
	if err := m.fold(e); err != nil {
		return err
	}
	m.seq = e.Seq
	if m.reads != nil && e.Kind != Read {
		m.reads.known = nil
	}
	if m.begun {
		for _, f := range m.left {
			f.work.settle(m, f)
		}
		m.play.settle(m)
	}
	return nil
}

func (m *Machine) fold(e Entry) error {
	switch {
	case e.Path != "": // of a step: below
	case e.Kind == Ended:
		end, err := dataOf[EndedData](m, e)
		if err == nil && !end.State.Final() {
			err = fmt.Errorf("%w: entry %d: the run ended as %q", errNotFollowing, e.Seq, end.State)
		}
		m.ended = &end
		return err
	case e.Kind == Released:
		return m.foldReleased(e)
	case e.Kind == Began && !m.begun && m.play.stage != isOver:
		return m.foldBegan(e)
	}
	switch e.Kind {
	case Canceling:
		return m.foldCanceling(e)
	case Read:
		return m.foldRead(e)
	}
	path, part, _ := strings.Cut(e.Path, ":")
	f := m.active[path]
	if f == nil {
		return fmt.Errorf("%w: entry %d (%s) is for %q, which is not in progress", errNotFollowing, e.Seq, e.Kind, e.Path)
	}
	if err := f.fold(m, e, part); err != nil {
		return err
	}
	f.release(m)
	return nil
}

// nextLeft lets playbooks that were called and given up clean up after themselves.
func (m *Machine) nextLeft(t *turn) bool {
	for _, path := range slices.Sorted(maps.Keys(m.left)) {
		if f := m.left[path]; f.work.next(t, f) {
			return true
		}
	}
	return false
}

// foldRead takes answers that were recorded: what follows from them is the next entry.
func (m *Machine) foldRead(e Entry) error {
	d, err := decodeData[readData](e)
	if err != nil {
		return err
	}
	if _, active := m.active[e.Path]; m.reads == nil || e.Path != "" && !active || len(d.Readings) == 0 {
		return fmt.Errorf("%w: entry %d: nothing was asked at %q", errNotFollowing, e.Seq, e.Path)
	}
	m.reads.known = d.Readings
	return nil
}

func (m *Machine) foldBegan(e Entry) error {
	d, err := dataOf[beganData](m, e)
	if err != nil {
		return err
	}
	if len(d.Vars) > 0 {
		v, err := decodeValue(d.Vars)
		if err != nil {
			return err
		}
		values, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%w: vars are no object", errNotFollowing)
		}
		maps.Copy(m.vars, values)
	}
	m.begun = true
	if d.Fault != nil {
		m.play.failure = failure{step: "vars", Fault: *d.Fault}
		m.play.halt(EndedData{State: Failed, Message: "vars: " + d.Fault.Error()})
	}
	return nil
}

// Next says what comes next. The entries that it returns are already folded in: if they can't
// be made durable, the machine must be thrown away.
func (m *Machine) Next(now time.Time) Decision {
	t := turn{m: m, now: now}
	if m.reads != nil {
		m.reads.begin(now)
	}
	if !m.begun && m.ended == nil && m.play.stage != isOver {
		t.begin()
	}
	for m.ended == nil && !t.full() && t.unread == nil {
		if !t.advance() {
			break
		}
	}
	if m.reads != nil {
		m.reads.goes = len(t.asks) > 0
	}
	return t.decision()
}

// turn is one call of Next.
type turn struct {
	m      *Machine
	now    time.Time
	d      Decision
	wake   time.Time
	puts   []Put // of the entry that is being worked out
	unread error // something that was asked could not be answered: nothing follows now
	asks   []Ask
}

func (t *turn) full() bool { return len(t.d.Record) >= MaxRecord }

// record folds a new entry in and hands it out, behind what the world was asked for it.
func (t *turn) record(path string, kind EntryKind, attempt int, data any) {
	if t.m.reads != nil && !t.recordReadings(path) {
		return
	}
	t.add(path, kind, attempt, data)
}

// recordReadings records what the next entry was worked out from. It reports false if that could not
// be: then the entry is worked out from nothing, and must not be.
func (t *turn) recordReadings(path string) bool {
	reads := t.m.reads
	err := reads.err
	reads.err = nil
	known := reads.known != nil
	list, puts := reads.take(), t.puts
	t.puts = nil
	if err != nil {
		t.unread = err
		return false
	}
	t.d.Left.Puts = append(t.d.Left.Puts, puts...)
	reads.puts = append(reads.puts, puts...)
	if len(list) > 0 && !known {
		at, _, _ := strings.Cut(path, ":")
		t.add(at, Read, 0, readData{Readings: list})
		t.d.Left.Sightings = append(t.d.Left.Sightings, sightings(reads.asker, list)...)
	}
	return true
}

// forget drops answers from which nothing follows yet: it will be worked out again.
func (t *turn) forget() {
	if t.m.reads != nil {
		t.m.reads.list = nil
	}
}

// add folds a new entry in and hands it out.
func (t *turn) add(path string, kind EntryKind, attempt int, data any) {
	e := t.m.entry(path, kind, attempt, t.now, data)
	if err := t.m.applyOwn(e, data); err != nil {
		// Our own entry did not fit: a defect. Fail the run in the open rather than guess.
		t.m.ended = &EndedData{State: Failed, Message: actions.CodeInternal + ": " + err.Error()}
		e = Entry{Seq: t.m.seq + 1, Kind: Ended, At: t.now, Data: encode(*t.m.ended)}
		t.m.seq++
	}
	t.d.Record = append(t.d.Record, e)
}

func (m *Machine) entry(path string, kind EntryKind, attempt int, now time.Time, data any) Entry {
	return Entry{Seq: m.seq + 1, Path: path, Kind: kind, Attempt: attempt, At: now.UTC(), Data: encode(data)}
}

func (t *turn) begin() {
	var d beganData
	vars, fault := evalVars(t.m.playbook, t.m.play.scope, t.m.run.Created)
	if d.Fault = fault; len(vars) > 0 {
		raw, err := encodeValue(vars)
		if err != nil {
			d.Fault = expressionFault("vars", err)
		}
		d.Vars = raw
	}
	t.record("", Began, 0, d)
}

func expressionFault(where string, err error) *actions.Fault {
	return actions.Failf("expression", "%s: %v", where, err)
}

// advance does the first thing that can be done now, and reports whether there was one.
func (t *turn) advance() bool {
	m := t.m
	t.wake, t.asks = time.Time{}, nil
	if m.play.next(t) || m.nextLeft(t) {
		return true
	}
	if m.play.stage == isOver {
		t.record("", Ended, 0, m.end())
		return true
	}
	return false
}

// end is how the run ended.
func (m *Machine) end() EndedData {
	end := *m.play.ending
	values, fault := m.play.outputs(m)
	if fault == nil && values != nil {
		var err error
		if end.Outputs, err = encodeValue(values); err != nil {
			fault = expressionFault("outputs", err)
		}
	}
	if fault != nil {
		return EndedData{State: Failed, Message: fault.Error()}
	}
	return end
}

// stepsIn are the action steps in a phase, by path.
func (m *Machine) stepsIn(p phase) []*frame {
	var list []*frame
	for _, f := range m.active {
		if f.act != nil && f.act.phase == p {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b *frame) int { return strings.Compare(a.path, b.path) })
	return list
}

// pathsIn are the paths of the action steps in a phase, sorted.
func (m *Machine) pathsIn(p phase) []string {
	var paths []string
	for _, f := range m.stepsIn(p) {
		paths = append(paths, f.path)
	}
	return paths
}

func (t *turn) decision() Decision {
	d, m := t.d, t.m
	switch {
	case m.ended != nil:
		d.State, d.Message = m.ended.State, m.ended.Message
	case t.unread != nil:
		t.sleepUntil(t.now.Add(ReadPause))
		d.State, d.Wake, d.Message = Waiting, t.wake, "what the playbook asks could not be answered: "+t.unread.Error()
		if asking := m.asking(); asking != "" {
			d.Message = asking + "; " + d.Message
		}
		if m.flying > 0 {
			d.State = Ready
		}
	case t.full():
		d.State, d.More = Ready, true
	case len(t.asks) > 0:
		d.State, d.Wake, d.Asks = Ready, t.wake, t.asks
	case m.flying > 0:
		d.State, d.Wake, d.Message = Ready, t.wake, m.asking()
	case !t.wake.IsZero():
		d.State, d.Wake, d.Message = Waiting, t.wake, m.asking()
	default:
		d.State, d.Message = Parked, m.needs()
	}
	return d
}

// Settle records how an attempt ended.
func (m *Machine) Settle(a Attempt, out json.RawMessage, absent bool, err error, now time.Time) (Entry, error) {
	d := OutcomeData{Status: Took, Probe: a.Probe, Output: out}
	switch {
	case err != nil:
		d.Status, d.Output, d.Fault = Faulty, nil, faultOf(err)
		d.Interrupted = errors.As(err, new(*cutOff))
	case absent:
		d.Status, d.Output = Absent, nil
	case len(out) > MaxOutput:
		// It happened; only its output can't be kept.
		d.Output = json.RawMessage("{}")
		d.Fault = actions.Failf("output", "the output has %d bytes and was dropped: the limit is %d", len(out), MaxOutput)
	case len(out) > 0 && !json.Valid(out):
		d.Output = json.RawMessage("{}")
		d.Fault = actions.Failf("output", "the output is not JSON and was dropped")
	}
	e := m.entry(a.Path, Outcome, a.Number, now, d)
	return e, m.applyOwn(e, d)
}

// Resolve records a person's word on an uncertain step.
func (m *Machine) Resolve(path string, d ResolveData, now time.Time) (Entry, error) {
	f := m.active[path]
	if f == nil || f.act == nil || f.act.phase != unsure {
		return Entry{}, fmt.Errorf("%w: step %q is not uncertain", ErrNotFound, path)
	}
	d.Note = shortened(d.Note, MaxAnswerComment)
	e := m.entry(f.act.path(f), Resolve, f.act.number, now, d)
	return e, m.apply(e)
}

// Uncertain lists the paths of the steps of which nobody knows whether they took effect, sorted.
func (m *Machine) Uncertain() []string { return m.pathsIn(unsure) }

// Held lists the paths of the steps that wait for a person because of a limit, sorted.
func (m *Machine) Held() []string { return m.pathsIn(held) }

// Cancel records that somebody calls the run off: its steps end, what is in the air lands, and
// finally runs. Calling off a second time gives finally up, too.
func (m *Machine) Cancel(d CancelData, now time.Time) (Entry, error) {
	if m.ended != nil || m.play.stage == isOver {
		return Entry{}, fmt.Errorf("%w: the run can't be canceled any more", ErrNotFound)
	}
	d.Reason = shortened(d.Reason, MaxAnswerComment)
	e := m.entry("", Canceling, 0, now, d)
	return e, m.apply(e)
}

func (m *Machine) foldCanceling(e Entry) error {
	d, err := decodeData[CancelData](e)
	if err != nil {
		return err
	}
	if m.play.stage == isOver {
		return fmt.Errorf("%w: entry %d cancels what is not in progress", errNotFollowing, e.Seq)
	}
	message := "canceled by " + d.By
	if d.Reason != "" {
		message += ": " + d.Reason
	}
	m.play.cancel(message)
	if !m.begun {
		m.play.stage = isOver // there is nothing to clean up
	}
	return nil
}
