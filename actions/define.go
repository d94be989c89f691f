package actions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// Doing is one part of an action and the functions behind it.
type Doing[In, Out any] struct {
	Part
	// When says whether this input takes the part. Nil means always.
	When func(In) bool
	// Do performs it.
	Do func(context.Context, Call, In) (Out, error)
	// Probe finds the trace of an earlier attempt. A part that adds must have one.
	Probe func(context.Context, Call, In) (Out, bool, error)
	// Touches lists what the part changes in Graph. Nil means nothing.
	Touches func(In) []Touch
	// Preview is the output that a dry run shows. Nil means Out's zero value.
	Preview func(In) Out
}

// Define makes an action from functions. In and Out are plain structs; their fields and tags are
// the only description of the action's input and output (see [infer] for the tags).
//
// It panics on a declaration that cannot be right, such as a part that adds and has no probe:
// that is a mistake in the program, and it shows itself when the program starts.
func Define[In, Out any](s Spec, parts ...Doing[In, Out]) Action {
	s.Input, s.Output = infer[In](), infer[Out]()
	s.Parts = nil
	for _, p := range parts {
		s.Parts = append(s.Parts, p.Part)
	}
	if err := s.check(); err != nil {
		panic(err)
	}
	for _, p := range parts {
		switch {
		case p.Do == nil:
			panic(fmt.Errorf("action %s: part %s does nothing: set Do", s.Name, p.Name))
		case p.Effect == Adds && p.Probe == nil:
			panic(fmt.Errorf("action %s: part %s adds, so it needs a Probe", s.Name, p.Name))
		case p.Effect != Adds && p.Probe != nil:
			panic(fmt.Errorf("action %s: part %s has a Probe, which only parts that add may have", s.Name, p.Name))
		case p.Effect == Reads && p.Touches != nil:
			panic(fmt.Errorf("action %s: part %s reads, so it touches nothing", s.Name, p.Name))
		}
	}
	return &defined[In, Out]{spec: s, parts: parts}
}

// defined is what Define makes.
type defined[In, Out any] struct {
	spec  Spec
	parts []Doing[In, Out]

	// An input is planned, asked for what it touches and done, a moment apart: the second time it
	// need not be checked again.
	mu     sync.Mutex
	recent map[string]In
}

// What is remembered of inputs that were checked.
const (
	maxRecent      = 256
	maxRecentBytes = 4 << 10 // of one
)

func (a *defined[In, Out]) Spec() Spec { return a.spec }

func (a *defined[In, Out]) Plan(input json.RawMessage) ([]string, error) {
	in, err := a.decode(input)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range a.parts {
		if !p.Awaits && (p.When == nil || p.When(in)) {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return nil, Failf(CodeInput, "%s: this input asks for nothing", a.spec.Name)
	}
	return names, nil
}

func (a *defined[In, Out]) Touches(part string, input json.RawMessage) []Touch {
	p, in, err := a.part(part, input)
	if err != nil || p.Touches == nil {
		return nil
	}
	return p.Touches(in)
}

func (a *defined[In, Out]) Preview(part string, input json.RawMessage) json.RawMessage {
	p, in, err := a.part(part, input)
	if err != nil {
		return nil
	}
	var out Out
	if p.Preview != nil {
		out = p.Preview(in)
	}
	data, err := json.Marshal(out)
	if err != nil {
		return nil
	}
	return data
}

func (a *defined[In, Out]) Do(ctx context.Context, call Call) (json.RawMessage, error) {
	p, in, err := a.part(call.Part, call.Input)
	if err != nil {
		return nil, err
	}
	out, err := p.Do(ctx, heard(call), in)
	if err != nil {
		return nil, err
	}
	return a.encode(p.Part, out)
}

func (a *defined[In, Out]) Probe(ctx context.Context, call Call) (json.RawMessage, bool, error) {
	p, in, err := a.part(call.Part, call.Input)
	if err != nil {
		return nil, false, err
	}
	if p.Probe == nil {
		return nil, false, Failf(CodeInternal, "%s: part %s has no probe: it %s", a.spec.Name, p.Name, p.Effect)
	}
	out, happened, err := p.Probe(ctx, heard(call), in)
	if err != nil || !happened {
		return nil, false, err
	}
	data, err := a.encode(p.Part, out)
	return data, err == nil, err
}

// part finds a part and decodes the input for it.
func (a *defined[In, Out]) part(name string, input json.RawMessage) (Doing[In, Out], In, error) {
	i := slices.IndexFunc(a.parts, func(p Doing[In, Out]) bool { return p.Name == name })
	if i < 0 {
		var none In
		return Doing[In, Out]{}, none, Failf(CodeInternal, "%s has no part %q", a.spec.Name, name)
	}
	p := a.parts[i]
	in, err := a.decode(input)
	if err == nil && p.When != nil && !p.When(in) {
		err = Failf(CodeInternal, "%s: this input does not take part %s", a.spec.Name, name)
	}
	return p, in, err
}

// decode lets through only what fits the schema and the rule. It costs tens of microseconds,
// and everything that it guards costs a request.
func (a *defined[In, Out]) decode(input json.RawMessage) (In, error) {
	a.mu.Lock()
	in, ok := a.recent[string(input)]
	a.mu.Unlock()
	if ok {
		return in, nil
	}
	in, err := a.check(input)
	if err == nil && len(input) <= maxRecentBytes {
		a.mu.Lock()
		if a.recent == nil || len(a.recent) >= maxRecent {
			a.recent = make(map[string]In, maxRecent)
		}
		a.recent[string(input)] = in
		a.mu.Unlock()
	}
	return in, err
}

func (a *defined[In, Out]) check(input json.RawMessage) (In, error) {
	var in In
	var value any
	if err := DecodeStrict(input, &value); err != nil {
		return in, Failf(CodeInput, "%s: %v", a.spec.Name, err)
	}
	found, err := CheckInput(a.spec, value)
	if err != nil {
		return in, Failf(CodeInput, "%s: %v", a.spec.Name, err)
	}
	if len(found) > 0 {
		return in, Failf(CodeInput, "%s: %s", a.spec.Name, describe(found))
	}
	if err := DecodeStrict(input, &in); err != nil {
		return in, Failf(CodeInput, "%s: %v", a.spec.Name, err)
	}
	return in, nil
}

// encode gives the output. It comes after the effect, so its failure leaves the effect done.
func (a *defined[In, Out]) encode(p Part, out Out) (json.RawMessage, error) {
	data, err := json.Marshal(out)
	if err != nil {
		return nil, &Fault{Code: CodeInternal, Message: fmt.Sprintf("%s: output: %v", a.spec.Name, err), Unknown: p.Effect != Reads}
	}
	return data, nil
}

// heard gives a call a logger, so that parts need not ask whether there is one.
func heard(call Call) Call {
	if call.Log == nil {
		call.Log = slog.New(slog.DiscardHandler)
	}
	return call
}

// describe puts violations into one line.
func describe(found []Violation) string {
	lines := make([]string, len(found))
	for i, v := range found {
		lines[i] = v.String()
	}
	return strings.Join(lines, "; ")
}

// DecodeStrict decodes exactly one JSON value. Fields that the target lacks are an error, and
// numbers keep their digits.
func DecodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("no JSON value: write at least {}")
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}
