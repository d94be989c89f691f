package playbooks

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// callMark begins the text of a called playbook in the record of its caller. It is a document
// marker of YAML, and a playbook has only one document, so no text of a playbook contains it.
const callMark = "\n--- # called: "

// recordedSize is how long the record will be.
func (p *Playbook) recordedSize() int {
	size := len(p.Source)
	for name, callee := range p.Calls {
		size += len(callMark) + len(name) + len("\n") + len(callee.Source)
	}
	return size
}

// record is the text that a run is decided by: the playbook's own and those of all it calls. A
// playbook that calls none is recorded as it stands.
func (p *Playbook) record() []byte {
	if len(p.Calls) == 0 {
		return p.Source
	}
	var b bytes.Buffer
	b.Write(p.Source)
	for _, name := range sortedNames(p.Calls) {
		fmt.Fprintf(&b, "%s%s\n%s", callMark, name, p.Calls[name].Source)
	}
	return b.Bytes()
}

// CompileRecorded compiles what [Playbook.Recorded] holds.
func CompileRecorded(name string, recorded []byte, o Options) (*Playbook, diag.Findings) {
	own, rest, _ := strings.Cut(string(recorded), callMark)
	o.AsItWas = true
	l := linker{o: o, sources: map[string]source{}}
	for _, part := range strings.Split(rest, callMark) {
		if callee, text, ok := strings.Cut(part, "\n"); ok {
			l.sources[callee] = source{file: callee, text: []byte(text)}
		}
	}
	return l.link(source{file: name, text: []byte(own)})
}

// call reads a step that runs another playbook.
func (c *compiler) call(b *block, step *Step, depth int, s *scope) afterStep {
	after := afterStep{scope: s, step: stepType(nil)}
	n := b.get("playbook")
	name := c.text(n, "playbook", MaxNameLength)
	callee := c.callee(n, name)
	body := &Call{Name: name, Playbook: callee}
	step.Body = body
	if callee != nil {
		body.With = c.callInputs(b, callee, s)
		after.step = stepType(map[string]expression.Type{"output": expression.Object(callee.OutputTypes)})
		before := c.book.recordedSize()
		c.book.Calls = withCall(c.book.Calls, callee)
		c.book.callDepth = max(c.book.callDepth, callee.callDepth+1)
		if size := c.book.recordedSize(); size > MaxRecorded && before <= MaxRecorded && !c.o.AsItWas {
			c.fail(n, codeLimit, "call fewer playbooks, or shorter ones",
				"a run would keep this playbook and all that it calls, %d bytes; at most %d are kept", size, MaxRecorded)
		}
		if body.Pass = callee.Subject == c.book.Subject; !body.Pass && needsSubject(callee) {
			c.fail(n, codeSubject, "give it a manual trigger and inputs", "%s works on an %s, but this playbook has an %s", name, callee.Subject, c.book.Subject)
		}
	}
	c.onError(b, step, depth, s)
	return after
}

// needsSubject says whether a playbook does anything with the event that started it.
func needsSubject(p *Playbook) bool {
	return slices.ContainsFunc(p.Triggers, func(t Trigger) bool { return t.Manual == nil })
}

// callee finds the playbook that a step names.
func (c *compiler) callee(n *document.Node, name string) *Playbook {
	if name == "" {
		return nil
	}
	if chain := c.o.cycles[name]; chain != "" {
		c.fail(n, codeCycle, "take one of the calls out", "the playbook calls itself: %s", chain)
		return nil
	}
	callee := c.o.Callees[name]
	switch {
	case callee == nil && c.o.broken[name]:
		c.fail(n, codeCall, "mend it first", "the playbook %q has mistakes of its own", shorten(name))
	case callee == nil:
		c.fail(n, codeCall, orElse(didYouMean(name, append(sortedNames(c.o.Callees), c.o.known...)), "put it beside this one"), "there is no playbook %q", shorten(name))
	case callee.callDepth >= MaxCallDepth:
		c.fail(n, codeLimit, "write some of the steps out", "playbooks call each other more than %d deep", MaxCallDepth)
		return nil
	}
	return callee
}

// callInputs reads what a called playbook is given.
func (c *compiler) callInputs(b *block, callee *Playbook, s *scope) Object {
	var given Object
	inputs := callee.Inputs()
	with := b.get("with")
	if with != nil && c.isMap(with, "with") {
		for _, p := range with.Pairs {
			i := slices.IndexFunc(inputs, func(in Input) bool { return in.Name == p.Key.Text })
			if i < 0 {
				c.fail(p.Key, codeInput, orElse(didYouMean(p.Key.Text, namesOf(inputs)), "declare it under the manual trigger of "+callee.Name),
					"%s has no input %q", callee.Name, shorten(p.Key.Text))
				continue
			}
			value, typ := c.value(p.Value, s)
			if lit, ok := value.(Literal); ok {
				if err := inputs[i].Check(lit.Value); err != nil {
					c.fail(p.Value, codeInput, "write a value of the input's type", "%s %v", p.Key.Text, err)
				}
			} else if want := inputType(inputs[i]); !want.Accepts(typ) {
				c.fail(p.Value, codeInputType, "", "%s is %s, but this is %s", p.Key.Text, inputKind(inputs[i].Type), typ)
			}
			given = append(given, Binding{Name: p.Key.Text, Value: value})
		}
	}
	for _, in := range inputs {
		if in.Required && !slices.ContainsFunc(given, func(g Binding) bool { return g.Name == in.Name }) {
			c.fail(b.node.Pair("playbook").Value, codeInput, "add it under with", "%s needs the input %s", callee.Name, in.Name)
		}
	}
	return given
}

func namesOf(inputs []Input) []string {
	names := make([]string, len(inputs))
	for i, in := range inputs {
		names[i] = in.Name
	}
	return names
}

// withCall adds a playbook and all that it calls itself.
func withCall(calls map[string]*Playbook, callee *Playbook) map[string]*Playbook {
	if calls == nil {
		calls = map[string]*Playbook{}
	}
	calls[callee.Name] = callee
	for name, p := range callee.Calls {
		calls[name] = p
	}
	return calls
}

// Inputs are the inputs of the manual trigger: what a person or a calling playbook gives.
func (p *Playbook) Inputs() []Input {
	for _, t := range p.Triggers {
		if t.Manual != nil {
			return t.Manual.Inputs
		}
	}
	return nil
}

// Given completes the values given for the inputs with their defaults, and checks them.
func (p *Playbook) Given(values map[string]any) (map[string]any, error) {
	return Complete(p.Inputs(), values)
}

// Complete completes values for typed fields with their defaults, and checks them.
func Complete(fields []Input, values map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, in := range fields {
		v, ok := values[in.Name]
		if !ok || v == nil {
			if in.Required {
				return nil, fmt.Errorf("input %s is missing", in.Name)
			}
			out[in.Name] = in.Default
			continue
		}
		if err := in.Check(v); err != nil {
			return nil, fmt.Errorf("input %s %w", in.Name, err)
		}
		out[in.Name] = v
	}
	return out, nil
}
