package playbooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// act reads a step that calls an action.
func (c *compiler) act(b *block, step *Step, depth int, s *scope) afterStep {
	output := expression.Any
	var guard *expression.Program
	if n := b.get("guard"); n != nil {
		guard = c.condition(n, s)
	}
	if action, ok := c.action(b.get("action")); ok {
		spec := action.Spec()
		output = shapeOf(spec.Output)
		step.Body = &Act{Action: action, Spec: spec, Guard: guard, With: c.with(b, spec, s), Output: output, Await: b.duration("await", MinAwait, MaxAwait, 0)}
		if _, ok := spec.Awaiting(); !ok && b.get("await") != nil {
			c.fail(b.node.Pair("await").Key, codeConflict, "remove it", "%s is over when it has answered: there is nothing to await", spec.Name)
		}
	}
	if n := b.get("retry"); n != nil {
		step.Retry = c.retry(n)
	}
	step.Timeout = b.duration("timeout", MinTimeout, MaxTimeout, 0)
	c.onError(b, step, depth, s)
	return afterStep{scope: s, step: stepType(map[string]expression.Type{"output": output})}
}

// lookup finds an action that the language itself needs.
func (c *compiler) lookup(name string) (actions.Action, bool) {
	if c.o.Catalog == nil {
		return nil, false
	}
	a, err := c.o.Catalog.Lookup(name)
	return a, err == nil
}

// action finds the action that a step names.
func (c *compiler) action(n *document.Node) (actions.Action, bool) {
	name := c.text(n, "action", MaxTextLength)
	if name == "" {
		return nil, false
	}
	if c.o.Catalog == nil {
		c.fail(n, codeUnknownAction, "", "there is no action %q", shorten(name))
		return nil, false
	}
	a, err := c.o.Catalog.Lookup(name)
	if err == nil {
		return a, true
	}
	mend := "`playbookd actions` lists them"
	if unknown, ok := errors.AsType[*actions.UnknownError](err); ok {
		mend = orElse(didYouMean(name, unknown.Known), mend)
	}
	c.fail(n, codeUnknownAction, mend, "there is no action %q", shorten(name))
	return nil, false
}

// CheckInput is the check of an evaluated input, right before the action sees it. input is JSON
// data, as text or as values. The error means that the check could not be made.
func CheckInput(act *Act, input any) ([]actions.Violation, error) {
	switch text := input.(type) {
	case json.RawMessage:
		return checkText(act.Spec, text)
	case []byte:
		return checkText(act.Spec, text)
	}
	return actions.CheckInput(act.Spec, input)
}

func checkText(spec actions.Spec, text []byte) ([]actions.Violation, error) {
	var value any
	if err := actions.DecodeStrict(text, &value); err != nil {
		return nil, fmt.Errorf("input of %s: %w", spec.Name, err)
	}
	return actions.CheckInput(spec, value)
}

// with reads the input of an action: expressions are compiled, and all that is written out is
// checked as if the step ran now.
func (c *compiler) with(b *block, spec actions.Spec, s *scope) Value {
	n := b.get("with")
	if n == nil {
		c.required(b.node.Pair("action").Value, nil, spec, nil)
		return Object{}
	}
	if !c.isMap(n, "with") {
		return Object{}
	}
	in := &input{c: c, scope: s, judged: map[string]bool{}}
	value, written, _ := in.value(n, spec.Input, nil)
	c.verdict(n, spec, in)
	c.listFilter(n.Get("filter"), spec)
	c.required(n, n, spec, in.judgedOf(written))
	return value
}

// required checks the written input against the action's schema and rule, and reports what is not
// reported yet. Where a field is missing, at is what the finding points at.
func (c *compiler) required(at, with *document.Node, spec actions.Spec, in *judgedInput) {
	var written any = map[string]any{}
	if in != nil {
		written = in.written
	}
	found, err := actions.CheckWritten(spec, c.authoring(spec), written)
	if err != nil {
		c.fail(at, codeInput, "write plain values", "this cannot be an input of %s: %v", spec.Name, err)
		return
	}
	for _, v := range found {
		if in != nil && in.judged[strings.Join(v.Path, "\x00")] {
			continue
		}
		place := at
		if with != nil && len(v.Path) > 0 {
			if key, ok := with.FindKey(v.Path); ok && strings.HasPrefix(v.Message, "unknown field") {
				place = key
			} else {
				place, _ = with.Find(v.Path)
			}
		}
		message, mend := splitMend(v.Message)
		if allowed := enumAt(spec.Input, v.Path); place.Kind == document.String && len(allowed) > 0 && !slices.Contains(allowed, place.Text) {
			mend = enumMend(place.Text, allowed)
		}
		c.fail(place, codeInput, orElse(mend, "see `playbookd actions "+spec.Name+"`"), "%s: %s", where(spec, v.Path), message)
	}
}

// enumAt lists the values that a field of an input takes, if they are a few words.
func enumAt(s *actions.Schema, path []string) []string {
	for _, name := range path {
		switch {
		case s == nil:
			return nil
		case s.Items != nil:
			s = s.Items
		default:
			s = memberOf(s, name)
		}
	}
	if s == nil {
		return nil
	}
	words, _ := enumWords(s)
	return words
}

// where names a field of an action's input.
func where(spec actions.Spec, path []string) string {
	if len(path) == 0 {
		return spec.Name
	}
	return spec.Name + " " + strings.Join(path, ".")
}

// splitMend takes the advice out of a violation's message: what stands in parentheses at its end.
func splitMend(message string) (string, string) {
	if at := strings.LastIndex(message, " (did you mean "); at > 0 && strings.HasSuffix(message, ")") {
		return message[:at], message[at+2 : len(message)-1]
	}
	return message, ""
}

// authoring is the schema for what people write, made once for each action.
func (c *compiler) authoring(spec actions.Spec) *actions.Schema {
	if c.o.written == nil {
		c.o.written = map[string]*actions.Schema{}
	}
	s := c.o.written[spec.Name]
	if s == nil {
		s = actions.AuthoringSchema(spec.Input)
		c.o.written[spec.Name] = s
	}
	return s
}

// input is the conversion of one with block.
type input struct {
	c      *compiler
	scope  *scope
	judged map[string]bool // paths about which there is a finding already
}

type judgedInput struct {
	written any
	judged  map[string]bool
}

func (in *input) judgedOf(written any) *judgedInput {
	return &judgedInput{written: written, judged: in.judged}
}

func (in *input) judge(path []string) { in.judged[strings.Join(path, "\x00")] = true }

// value converts a node. It returns what the engine evaluates, and the value as written, for the
// check against the schema.
func (in *input) value(n *document.Node, s *actions.Schema, path []string) (Value, any, bool) {
	switch n.Kind {
	case document.Map:
		return in.object(n, s, path)
	case document.List:
		return in.list(n, s, path)
	case document.String:
		if actions.IsSecret(s) {
			return in.secret(n, path)
		}
		if strings.Contains(n.Text, "${{") {
			return in.text(n, s, path), n.Text, false
		}
	}
	return Literal{n.Any()}, n.Any(), true
}

func (in *input) object(n *document.Node, s *actions.Schema, path []string) (Value, any, bool) {
	var (
		object  Object
		written = make(map[string]any, len(n.Pairs))
		literal = true
	)
	for _, p := range n.Pairs {
		v, w, plain := in.value(p.Value, memberOf(s, p.Key.Text), append(slices.Clone(path), p.Key.Text))
		object = append(object, Binding{Name: p.Key.Text, Value: v})
		written[p.Key.Text] = w
		literal = literal && plain
	}
	if literal && len(path) > 0 {
		return Literal{written}, written, true
	}
	return object, written, literal
}

func (in *input) list(n *document.Node, s *actions.Schema, path []string) (Value, any, bool) {
	var (
		list    = make(List, len(n.Items))
		written = make([]any, len(n.Items))
		literal = true
		of      *actions.Schema
	)
	if s != nil {
		of = s.Items
	}
	for i, item := range n.Items {
		v, w, plain := in.value(item, of, append(slices.Clone(path), strconv.Itoa(i)))
		list[i], written[i] = v, w
		literal = literal && plain
	}
	if literal {
		return Literal{written}, written, true
	}
	return list, written, false
}

// memberOf is the schema of a field, nil if nothing is known of it.
func memberOf(s *actions.Schema, name string) *actions.Schema {
	if s == nil {
		return nil
	}
	if p := s.Properties[name]; p != nil {
		return p
	}
	return s.AdditionalProperties
}

// text converts a text with expressions, and checks the type of a whole expression.
func (in *input) text(n *document.Node, s *actions.Schema, path []string) Value {
	t := in.c.template(n, in.scope)
	if t == nil {
		return Literal{nil}
	}
	if typ := t.Type(); !fits(typ, s) {
		in.c.fail(n, codeInputType, mendType(typ, s), "%s takes %s, but this is %s", strings.Join(path, "."), schemaWords(s), typ)
	}
	if language := actions.Language(s); language != "" && !in.c.o.AsItWas {
		in.c.quoted(n, in.scope, language)
	}
	return Text{t}
}

// secret converts the value of a field that takes a secret: its name, never its text.
func (in *input) secret(n *document.Node, path []string) (Value, any, bool) {
	name, ok := secretOf(n.Text)
	switch {
	case !ok && strings.Contains(n.Text, "secrets."):
		in.c.fail(n, codeSecret, "write nothing but ${{ secrets.NAME }}", "a secret cannot be part of a text or an expression")
	case !ok:
		in.c.fail(n, codeSecret, "write ${{ secrets.NAME }} and keep the text in the secret store", "%s takes a secret, which a playbook never holds itself", strings.Join(path, "."))
	default:
		ref := string(actions.NewSecretRef(name))
		return Literal{ref}, ref, true
	}
	in.judge(path)
	return Literal{nil}, "${{", false
}

// secretOf reads ${{ secrets.NAME }}.
func secretOf(text string) (string, bool) {
	inner, ok := strings.CutPrefix(strings.TrimSpace(text), "${{")
	if !ok {
		return "", false
	}
	if inner, ok = strings.CutSuffix(inner, "}}"); !ok {
		return "", false
	}
	name, ok := strings.CutPrefix(strings.TrimSpace(inner), "secrets.")
	return name, ok && isSecretName(name)
}
