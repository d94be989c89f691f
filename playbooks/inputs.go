package playbooks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
)

// manual reads what a person who starts the playbook is asked for.
func (c *compiler) manual(n *document.Node) *Manual {
	m := &Manual{}
	if n.IsNull() {
		return m
	}
	b, ok := c.block(n, "manual", manualKeys(), nil)
	if !ok {
		return m
	}
	if inputs := b.get("inputs"); inputs != nil {
		m.Inputs = c.inputList(inputs, "inputs")
		for _, p := range inputs.Pairs {
			c.asked = append(c.asked, p.Key)
		}
	}
	return m
}

// inputList reads typed fields: the inputs of a playbook, or the form of a question.
func (c *compiler) inputList(n *document.Node, what string) []Input {
	if !c.isMap(n, what) {
		return nil
	}
	if len(n.Pairs) > MaxInputs {
		c.fail(n.Pairs[MaxInputs].Key, codeLimit, "ask for less", "%s has more than %d fields", what, MaxInputs)
		return nil
	}
	var list []Input
	for _, p := range n.Pairs {
		if c.identifier(p.Key, "an input") {
			list = append(list, c.input(p.Key.Text, p.Value))
		}
	}
	return list
}

func inputTypes() []string { return []string{"text", "int", "number", "bool", "list"} }

func (c *compiler) input(name string, n *document.Node) Input {
	in := Input{Name: name, Type: "text"}
	if n.Kind == document.String { // "host: text" says it all
		in.Type, _ = c.oneOf(n, "the type of an input", inputTypes())
		return in
	}
	b, ok := c.block(n, "an input", inputKeys(), nil)
	if !ok {
		return in
	}
	in.Type = b.word("type", "text", inputTypes()...)
	in.Description = b.text("description", MaxTextLength)
	in.Required = b.flag("required", false)
	if e := b.get("enum"); e != nil && in.Type != "text" {
		c.fail(e, codeConflict, "remove it, or make the type text", "only text can have an enum")
	} else {
		in.Enum = b.texts("enum", MaxEnumValues)
	}
	if d := b.get("default"); d != nil {
		in.Default = c.inputDefault(d, in)
		if in.Required {
			c.report(c.doc.Finding(codeConflict, diag.Error, n.Pair("required").Key.Pos, n.Pair("required").Key.Length,
				"an input with a default is never missing", "remove required or default"))
		}
	}
	return in
}

func (c *compiler) inputDefault(n *document.Node, in Input) any {
	if err := in.Check(n.Any()); err != nil {
		c.fail(n, codeKind, "write a value of the input's type", "the default of %s %v", in.Name, err)
		return nil
	}
	return n.Any()
}

// Check says what is wrong with a value for the input, as it comes from JSON.
func (in Input) Check(v any) error {
	ok := false
	switch in.Type {
	case "text":
		s, isText := v.(string)
		if isText && len(in.Enum) > 0 && !slices.Contains(in.Enum, s) {
			return fmt.Errorf("must be one of %s", strings.Join(in.Enum, ", "))
		}
		ok = isText
	case "int":
		ok = isWhole(v)
	case "number":
		_, isFloat := v.(float64)
		ok = isFloat || isWhole(v)
	case "bool":
		_, ok = v.(bool)
	case "list":
		_, ok = v.([]any)
	}
	if !ok {
		return fmt.Errorf("must be %s", inputKind(in.Type))
	}
	return nil
}

func isWhole(v any) bool {
	switch v := v.(type) {
	case int, int64:
		return true
	case float64: // JSON has no other numbers
		const exact = 1 << 53
		return v >= -exact && v <= exact && v == float64(int64(v))
	}
	return false
}

func inputKind(typ string) string {
	switch typ {
	case "int":
		return "a whole number"
	case "number":
		return "a number"
	case "bool":
		return "true or false"
	case "list":
		return "a list"
	}
	return "text"
}
