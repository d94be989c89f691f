package actions

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Docs renders the reference of actions as one Markdown page: what `playbookd actions` prints
// and what docs/actions.md holds.
func Docs(specs []Spec) string {
	var b strings.Builder
	b.WriteString(`# Actions

What a step can do. This page is made from the declarations of the actions by ` + "`playbookd actions`" + `.

Each request that an action makes has an effect class, which decides what happens after a lost
answer or a crash:

| effect | what repeating it does | after a lost answer |
|---|---|---|
| reads | changes nothing | it is repeated |
| converges | ends in the same state | it is repeated |
| adds | adds another one | playbookd looks whether it happened, and repeats it if not |
| once | must not happen twice | it is never repeated; a person decides |

In a field, any value may also be a string with ` + "`${{ … }}`" + `.

| action | summary | effects |
|---|---|---|
`)
	specs = slices.Clone(specs)
	slices.SortFunc(specs, func(a, b Spec) int { return strings.Compare(a.Name, b.Name) })
	for _, s := range specs {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", s.Name, anchor(s.Name), cell(s.Summary), strings.Join(effects(s), ", "))
	}
	for _, s := range specs {
		b.WriteString("\n" + Doc(s))
	}
	return b.String()
}

// Doc renders the reference of one action as a section in Markdown.
func Doc(s Spec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n", s.Name, s.Summary)
	if s.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", s.Description)
	}
	if s.Example != "" {
		fmt.Fprintf(&b, "\n```yaml\n%s\n```\n", strings.TrimSpace(s.Example))
	}
	b.WriteString("\n| part | effect | request | permissions |\n|---|---|---|---|\n")
	for _, p := range s.Parts {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.Name, p.Effect, cell(p.Summary), cell(code(p.Permissions)))
	}
	b.WriteString("\nFields of `with`:\n\n")
	fieldTable(&b, s.Input, true)
	b.WriteString("\nFields of `output`:\n\n")
	fieldTable(&b, s.Output, false)
	return b.String()
}

// fieldTable lists the properties of an object in the order of their declaration.
func fieldTable(b *strings.Builder, s *Schema, input bool) {
	if s == nil || len(s.Properties) == 0 {
		b.WriteString("none\n")
		return
	}
	if input {
		b.WriteString("| field | type | | meaning |\n|---|---|---|---|\n")
	} else {
		b.WriteString("| field | type | meaning |\n|---|---|---|\n")
	}
	for _, name := range s.PropertyOrder {
		p := s.Properties[name]
		if !input {
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, typeText(p), cell(p.Description))
			continue
		}
		need := ""
		if slices.Contains(s.Required, name) {
			need = "required"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, typeText(p), need, cell(meaning(p)))
	}
	if s.AdditionalProperties == nil {
		b.WriteString("\nFurther fields are kept as Graph sends them.\n")
	}
}

// meaning is the description with whatever else the schema says about the values.
func meaning(s *Schema) string {
	parts := []string{s.Description}
	enum := s.Enum
	if s.Items != nil && len(enum) == 0 {
		enum = s.Items.Enum
	}
	if len(enum) > 0 {
		var words []string
		for _, v := range enum {
			words = append(words, value(v))
		}
		parts = append(parts, "One of "+strings.Join(words, ", ")+".")
	}
	if len(s.Default) > 0 {
		parts = append(parts, "Default `"+string(s.Default)+"`.")
	}
	if limit := limits(s); limit != "" {
		parts = append(parts, limit)
	}
	if len(s.Examples) > 0 && len(enum) == 0 {
		parts = append(parts, "Example: "+value(s.Examples[0])+".")
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// limits says what bounds a field has, if they are worth a reader's time.
func limits(s *Schema) string {
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("From %v to %v.", *s.Minimum, *s.Maximum)
	case s.MaxItems != nil && s.MinItems != nil:
		return fmt.Sprintf("From %s to %d.", count(*s.MinItems, "item"), *s.MaxItems)
	case s.MaxItems != nil:
		return fmt.Sprintf("At most %s.", count(*s.MaxItems, "item"))
	case s.MaxLength != nil:
		return fmt.Sprintf("At most %s.", count(*s.MaxLength, "character"))
	}
	return ""
}

// typeText names a type for people.
func typeText(s *Schema) string {
	switch {
	case IsSecret(s):
		return "secret"
	case len(s.Types) > 2:
		return "text, number or bool"
	case len(s.Types) == 2:
		return typeText(&Schema{Type: s.Types[0]}) + " or null"
	}
	switch s.Type {
	case "string":
		return "text"
	case "boolean":
		return "bool"
	case "array":
		if s.Items != nil && s.Items.Type != "" {
			return "list of " + plural(typeText(s.Items))
		}
		return "list"
	case "object":
		if s.AdditionalProperties != nil && !isFalse(s.AdditionalProperties) {
			return "map of " + plural(typeText(s.AdditionalProperties))
		}
		return "object"
	case "":
		return "any"
	}
	return s.Type
}

func plural(word string) string {
	switch word {
	case "text", "any", "text, number or bool":
		return word
	}
	return word + "s"
}

// effects are the different effect classes of an action, in the order of its parts.
func effects(s Spec) []string {
	var all []string
	for _, p := range s.Parts {
		if !slices.Contains(all, string(p.Effect)) {
			all = append(all, string(p.Effect))
		}
	}
	return all
}

func code(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "`" + w + "`"
	}
	return strings.Join(quoted, ", ")
}

// value is a value as it would be written, in code style.
func value(v any) string {
	if text, ok := v.(string); ok {
		return "`" + text + "`"
	}
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return "`" + string(data) + "`"
}

// cell keeps a text inside its table cell.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\n", " "), "|", "\\|")
}

// anchor is the link target that Markdown makes of a heading.
func anchor(name string) string { return strings.ReplaceAll(name, ".", "") }
