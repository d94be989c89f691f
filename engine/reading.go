package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// Expressions may ask the world about more than the event: whether a key was seen before, how many alerts had
// the same user, what the playbook keeps in its state, who is on duty. Each question of a decision is answered
// once. The answers are recorded with what was decided by them, as [Reading]s: with the stored decision of a
// condition, and in a [Read] entry before the entry of a run that follows from them. Deciding again from the
// record, with [Recall] for a world, gives the same.
//
// What the answers leave behind for later questions, that a key was seen, becomes durable with them. If
// the world has changed in between, the journal refuses the decision with [ErrMoved], and it is made anew.

// Limits of what is asked.
const (
	// MaxReadings is how many different things one evaluation may ask.
	MaxReadings = 100
	// MaxKey is how long a key of seen() or of the state may be, in bytes; of a longer one its hash is used.
	MaxKey = 256
	// MaxStateValue is how large a value of the state may be, in bytes of JSON.
	MaxStateValue = 16 << 10
	// MaxStateKeys is how many keys the state of a playbook may have for each tenant.
	MaxStateKeys = 10_000
	// ReadPause is how long a run waits that needs an answer which the journal could not give: longer than HoldFor, so
	// that it leaves its worker to others.
	ReadPause = 5 * time.Second
)

// Reading is a question that an expression asked, with its answer.
type Reading struct {
	// Name is the function: seen, history, onDuty, leastLoaded, state.
	Name string          `json:"name"`
	By   string          `json:"by"`   // the playbook that asked
	Args json.RawMessage `json:"args"` // a list
	// Value is the answer; times are marked. Fault says why there is none.
	Value json.RawMessage `json:"value,omitempty"`
	Fault string          `json:"fault,omitempty"`
	// Version is the digest of the file that answered, if it was one.
	Version string `json:"version,omitempty"`
}

// Versioned is an answer with the version of the file that it is from.
type Versioned struct {
	Value   any
	Version string
}

func (r Reading) is(name, by string, args []byte) bool {
	return r.Name == name && r.By == by && bytes.Equal(r.Args, args)
}

// answer is what the expression gets.
func (r Reading) answer() (any, error) {
	if r.Fault != "" {
		return nil, errors.New(r.Fault)
	}
	return decodeValue(r.Value)
}

// readData is what a [Read] entry holds.
type readData struct {
	Readings []Reading `json:"readings"`
}

// String is the reading as a person reads it: seen("Port scan", 3600) = true.
func (r Reading) String() string {
	var args []string
	if list, err := decodeValue(r.Args); err == nil {
		items, _ := list.([]any)
		for _, v := range items {
			args = append(args, readable(v))
		}
	}
	asked := r.Name + "(" + strings.Join(args, ", ") + ")"
	if r.Fault != "" {
		return asked + ": " + r.Fault
	}
	v, err := r.answer()
	if err != nil {
		return asked + ": " + err.Error()
	}
	return asked + " = " + readable(v)
}

// readable is a value as JSON, with times as people write them.
func readable(v any) string {
	raw, err := inputJSON(v)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// Asker is on whose behalf the world is asked.
type Asker struct {
	Tenant string
	Event  string    // its ID
	Object string    // what the event is a version of, if anything
	Now    time.Time // now() of the expression: when the event was considered
	At     time.Time // when the question is asked
}

// World answers what expressions ask. by is the playbook, args are checked and in plain form: see the
// methods of reads. An error that is a [Refusal] is the answer, and recorded as such; with any other nothing
// can be decided now.
type World interface {
	Read(a Asker, by, name string, args []any) (any, error)
}

// Refusal is an error that is the answer to a question: asking again would not help.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// Recall is the world as it was recorded: it answers from readings, each as often as it was given.
func Recall(readings ...Reading) World { return &recall{slices.Clone(readings)} }

type recall struct{ left []Reading }

func (r *recall) Read(_ Asker, by, name string, args []any) (any, error) {
	raw, err := encodeValue(args)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(r.left, func(l Reading) bool { return l.is(name, by, raw) })
	if i < 0 {
		return nil, fmt.Errorf("the record has no answer to %s(%s)", name, raw)
	}
	found := r.left[i]
	r.left = slices.Delete(r.left, i, i+1)
	if found.Fault != "" {
		return nil, Refusal(found.Fault)
	}
	v, err := decodeValue(found.Value)
	return Versioned{v, found.Version}, err
}

// Readings are all that a history holds, in order.
func Readings(history []Entry) ([]Reading, error) {
	var list []Reading
	for _, e := range history {
		if e.Kind != Read {
			continue
		}
		d, err := decodeData[readData](e)
		if err != nil {
			return nil, err
		}
		list = append(list, d.Readings...)
	}
	return list, nil
}

// reads is the questions of one decision after the other.
type reads struct {
	world World
	asker Asker
	known []Reading // answers to the next evaluation that are recorded already
	list  []Reading // of this evaluation
	err   error     // the world could not answer
	puts  []Put     // of the decision that is being made: they are there for its later questions
	goes  bool      // the decision goes on with the next turn: it waits for what limits count
}

// ask answers a question: as it was answered before in this evaluation, or by the world.
func (a *reads) ask(by, name string, args []any) (any, error) {
	raw, err := encodeValue(args)
	if err != nil {
		return nil, err
	}
	for _, r := range a.list {
		if r.is(name, by, raw) {
			return r.answer()
		}
	}
	if len(a.list) >= MaxReadings {
		return nil, fmt.Errorf("the expression asks for more than %d things", MaxReadings)
	}
	r := Reading{Name: name, By: by, Args: raw}
	if i := slices.IndexFunc(a.known, func(k Reading) bool { return k.is(name, by, raw) }); i >= 0 {
		r = a.known[i]
	} else if err := a.read(&r, args); err != nil {
		a.err = err
		return nil, err
	}
	a.list = append(a.list, r)
	return r.answer()
}

// read asks the world.
func (a *reads) read(r *Reading, args []any) error {
	if name := playbooks.AskState; r.Name == name {
		for _, p := range slices.Backward(a.puts) {
			if p.Playbook == r.By && p.Key == args[0] {
				r.Value = p.Value
				if p.Value == nil {
					r.Value = null
				}
				return nil
			}
		}
	}
	if a.world == nil {
		return fmt.Errorf("%s: there is nobody to ask", r.Name)
	}
	v, err := a.world.Read(a.asker, r.By, r.Name, args)
	if refusal, is := errors.AsType[Refusal](err); is {
		r.Fault = string(refusal)
		return nil
	}
	if err != nil {
		return err
	}
	if from, is := v.(Versioned); is {
		v, r.Version = from.Value, from.Version
	}
	r.Value, err = encodeValue(v)
	return err
}

// begin begins a turn. What the last decision has left behind is durable then, unless it goes on.
func (a *reads) begin(now time.Time) {
	if a.asker.At = now; !a.goes {
		a.puts = nil
	}
}

// take gives the readings of the evaluation and begins another.
func (a *reads) take() []Reading {
	list := a.list
	a.list, a.known = nil, nil
	return list
}

// into puts what a playbook asks for into a scope.
func (a *reads) into(scope map[string]any, p *playbooks.Playbook) {
	by := p.Name
	for _, name := range p.Asks {
		switch name {
		case playbooks.AskSeen:
			scope[name] = expression.HostFunc(func(args []any) (any, error) { return a.seen(by, args) })
		case playbooks.AskHistory:
			scope[name] = expression.HostFunc(func(args []any) (any, error) { return a.history(p, args) })
		case playbooks.AskOnDuty:
			scope[name] = expression.HostFunc(func(args []any) (any, error) { return a.onDuty(by, args) })
		case playbooks.AskLeastLoaded:
			scope[name] = expression.HostFunc(func(args []any) (any, error) { return a.leastLoaded(by, args) })
		case playbooks.AskState:
			scope[name] = state{a, by}
		}
	}
}

// seen asks with the key as text and the window in seconds.
func (a *reads) seen(by string, args []any) (any, error) {
	window, err := playbooks.Window(args[1])
	if err != nil {
		return nil, err
	}
	key, ok, err := keyOf(args[0])
	if err != nil || !ok {
		return false, err
	}
	return a.ask(by, playbooks.AskSeen, []any{key, window.Seconds()})
}

// onDuty asks with the rota and the time.
func (a *reads) onDuty(by string, args []any) (any, error) {
	name, ok := args[0].(string)
	if !ok {
		return nil, errors.New("the rota is missing (nil)")
	}
	at := a.asker.Now
	if len(args) > 1 {
		if at, ok = args[1].(time.Time); !ok {
			return nil, errors.New("the time is missing (nil)")
		}
	}
	return a.ask(by, playbooks.AskOnDuty, []any{name, at.UTC()})
}

// leastLoaded asks with the people, each once, in the order in which they are named.
func (a *reads) leastLoaded(by string, args []any) (any, error) {
	list, _ := args[0].([]any)
	var people []any
	for _, v := range list {
		who, ok := v.(string)
		if v == nil || ok && who == "" || slices.Contains(people, v) {
			continue
		}
		if !ok {
			return nil, errors.New("people are named by text")
		}
		people = append(people, who)
	}
	switch {
	case len(people) == 0:
		return nil, nil
	case len(people) > playbooks.MaxPeople:
		return nil, fmt.Errorf("there are more than %d people", playbooks.MaxPeople)
	}
	return a.ask(by, playbooks.AskLeastLoaded, people)
}

// history asks with the fields, those of values as lists of text without repeats, and the window in seconds.
func (a *reads) history(p *playbooks.Playbook, args []any) (any, error) {
	fields, _ := args[0].(map[string]any)
	window, err := playbooks.Window(fields["window"])
	if err != nil {
		return nil, err
	}
	q := map[string]any{"resource": p.Subject + "s"}
	for name, v := range fields {
		if name == "window" || name == "resource" {
			q[name] = v
			continue
		}
		values, err := historyValues(name, v)
		if err != nil {
			return nil, err
		}
		if len(values) == 0 {
			return int64(0), nil // nothing in common with anything
		}
		q[name] = values
	}
	q["window"] = window.Seconds()
	return a.ask(p.Name, playbooks.AskHistory, []any{q})
}

// historyValues are the values of a field, of which one has to fit.
func historyValues(name string, v any) ([]any, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var values []any
	for _, v := range list {
		text, ok, err := keyOf(v)
		if err != nil {
			return nil, fmt.Errorf("%s of history: %w", name, err)
		}
		if text = folded(text); ok && text != "" && !slices.Contains(values, any(text)) {
			values = append(values, text)
		}
	}
	if len(values) > playbooks.MaxHistoryValues {
		return nil, fmt.Errorf("%s of history: there are more than %d values", name, playbooks.MaxHistoryValues)
	}
	return values, nil
}

// state is a playbook's state as expressions see it.
type state struct {
	a  *reads
	by string
}

// Get reads a key.
func (s state) Get(key any) (any, error) {
	text, ok, err := keyOf(key)
	if err != nil || !ok {
		return nil, err
	}
	return s.a.ask(s.by, playbooks.AskState, []any{text})
}

// askRoom is the question whether the state takes another value of a key.
const askRoom = "stateRoom"

// keyOf is a value as a key. Nothing is no key: what events lack must not be what they have in common.
func keyOf(v any) (key string, ok bool, err error) {
	switch v := v.(type) {
	case nil:
		return "", false, nil
	case string:
		key = v
	case bool:
		key = strconv.FormatBool(v)
	case int64:
		key = strconv.FormatInt(v, 10)
	case int:
		key = strconv.Itoa(v)
	case float64:
		key = strconv.FormatFloat(v, 'g', -1, 64)
	case time.Time:
		key = v.UTC().Format(time.RFC3339Nano)
	default:
		return "", false, errors.New("a key is text or a number, not a list or an object")
	}
	if len(key) > MaxKey {
		sum := sha256.Sum256([]byte(key))
		key = "sha256:" + hex.EncodeToString(sum[:])
	}
	return key, key != "", nil
}

// Sighting says that a playbook asked whether it had seen a key, and was answered Seen. An earlier mark of another
// event, no older than the window, makes the answer yes.
type Sighting struct {
	Tenant   string
	Playbook string
	Key      string
	Event    string // ID of the event that asked
	At       time.Time
	Window   time.Duration
	Seen     bool
}

// Put gives a key of a playbook's state a value; a nil one forgets it.
type Put struct {
	Tenant   string
	Playbook string
	Key      string
	Value    json.RawMessage
	At       time.Time
	Expires  time.Time
	// Read says that the value was worked out from what was there: it must still be Was, nil for nothing.
	Read bool
	Was  json.RawMessage
}

// Left is what a decision leaves behind for later questions. It becomes durable with the decision.
type Left struct {
	Sightings []Sighting
	Puts      []Put
	Loads     []Load
}

// sightings are what asking seen() leaves behind.
func sightings(a Asker, readings []Reading) []Sighting {
	var list []Sighting
	for _, r := range readings {
		if r.Name != playbooks.AskSeen || r.Fault != "" {
			continue
		}
		var args []any
		var seen bool
		if json.Unmarshal(r.Args, &args) != nil || json.Unmarshal(r.Value, &seen) != nil {
			continue // our own encoding
		}
		key, _ := args[0].(string)
		seconds, _ := args[1].(float64)
		list = append(list, Sighting{Tenant: a.Tenant, Playbook: r.By, Key: key, Event: a.Event, At: a.Now,
			Window: time.Duration(seconds * float64(time.Second)), Seen: seen})
	}
	return list
}

// ErrMoved means that what a decision was made by has changed before it could become durable: a key was seen,
// or a value of the state written. Nothing of it was stored.
var ErrMoved = errors.New("what the decision was made by has changed")

// outside is the world as the journal, the rotas and the set of playbooks have it.
type outside struct {
	ctx context.Context
	e   *Engine
	pl  *planner // of a batch: what its earlier events leave behind counts, too; nil: there is none
}

func (o outside) Read(a Asker, by, name string, args []any) (any, error) {
	switch name {
	case playbooks.AskSeen:
		seconds, _ := args[1].(float64)
		m := Sighting{Tenant: a.Tenant, Playbook: by, Key: args[0].(string), Event: a.Event, At: a.Now, Window: time.Duration(seconds * float64(time.Second))}
		if o.pl != nil && o.pl.marked(m) {
			return true, nil
		}
		return o.e.o.Journal.Seen(o.ctx, m)
	case playbooks.AskState:
		raw, err := o.e.o.Journal.State(o.ctx, StateKey{Tenant: a.Tenant, Playbook: by, Key: args[0].(string)}, a.At)
		if err != nil || raw == nil {
			return nil, err
		}
		return decodeValue(raw)
	case playbooks.AskHistory:
		return o.counted(a, args[0].(map[string]any))
	case playbooks.AskLeastLoaded:
		return o.leastLoaded(a, args)
	case playbooks.AskOnDuty:
		return o.onDuty(args[0].(string), args[1].(time.Time))
	case askRoom:
		return o.e.o.Journal.StateRoom(o.ctx, StateKey{Tenant: a.Tenant, Playbook: by, Key: args[0].(string)}, a.At)
	}
	return nil, Refusal(name + " cannot be asked here")
}

// onDuty asks the rota as it is now.
func (o outside) onDuty(name string, at time.Time) (any, error) {
	if o.e.o.Rotas == nil {
		return nil, Refusal("there are no rotas")
	}
	who, version, ok := o.e.o.Rotas.OnDuty(name, at)
	if !ok {
		return nil, Refusal(fmt.Sprintf("there is no rota %.60q", name))
	}
	if who == "" {
		return Versioned{nil, version}, nil
	}
	return Versioned{who, version}, nil
}
