package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	prefix    = "microsoft.graph.security."
	reference = "#/components/schemas/"

	// evidenceBase is the type that all kinds of evidence extend. In the files it stands for all of them.
	evidenceBase = prefix + "alertEvidence"
)

// document is the part of an OpenAPI description that is read.
type document struct {
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

type schema struct {
	Ref        string             `json:"$ref"`
	Title      string             `json:"title"`
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Enum       []any              `json:"enum"`
	Flags      any                `json:"x-ms-enum-flags"`
	Items      *schema            `json:"items"`
	Properties map[string]*schema `json:"properties"`
	AllOf      []*schema          `json:"allOf"`
	AnyOf      []*schema          `json:"anyOf"`
	OneOf      []*schema          `json:"oneOf"`
}

// compiler collects the object types that can be reached from a root.
type compiler struct {
	schemas map[string]*schema
	types   map[string]map[string]field
}

// object compiles a named object type, once.
func (c *compiler) object(name string) error {
	short := strings.TrimPrefix(name, prefix)
	if c.types[short] != nil {
		return nil
	}
	if c.schemas[name] == nil {
		return fmt.Errorf("there is no schema %s", name)
	}
	fields := map[string]field{}
	c.types[short] = fields // before its fields, which may lead back to it
	if err := c.properties(name, fields); err != nil {
		return err
	}
	if name != evidenceBase {
		return nil
	}
	for _, kind := range sorted(c.schemas) {
		if c.extends(kind, evidenceBase) {
			if err := c.properties(kind, fields); err != nil {
				return err
			}
		}
	}
	return nil
}

// extends reports whether a type inherits from another, over any number of steps.
func (c *compiler) extends(name, base string) bool {
	s := c.schemas[name]
	if s == nil {
		return false
	}
	for _, part := range s.AllOf {
		if parent := strings.TrimPrefix(part.Ref, reference); part.Ref != "" && (parent == base || c.extends(parent, base)) {
			return true
		}
	}
	return false
}

// properties adds the properties of a type and of what it inherits from.
func (c *compiler) properties(name string, into map[string]field) error {
	s := c.schemas[name]
	if s == nil {
		return fmt.Errorf("there is no schema %s", name)
	}
	for _, part := range append([]*schema{s}, s.AllOf...) {
		if part.Ref != "" {
			if err := c.properties(strings.TrimPrefix(part.Ref, reference), into); err != nil {
				return err
			}
		}
		for _, key := range sorted(part.Properties) {
			f, err := c.field(part.Properties[key])
			if err != nil {
				return fmt.Errorf("%s.%s: %w", name, key, err)
			}
			if old, ok := into[key]; ok {
				f = merge(old, f)
			}
			into[key] = f
		}
	}
	return nil
}

// field compiles the type of a property.
func (c *compiler) field(s *schema) (field, error) {
	if s.Ref != "" {
		return c.named(strings.TrimPrefix(s.Ref, reference))
	}
	// A nullable reference is written as a choice between it and null.
	for _, choice := range append(slices.Clone(s.AnyOf), s.OneOf...) {
		if choice.Ref != "" {
			return c.named(strings.TrimPrefix(choice.Ref, reference))
		}
	}
	switch s.Type {
	case "string":
		if s.Format == "date-time" {
			return field{Type: "time"}, nil
		}
		return field{Type: "text"}, nil
	case "integer":
		return field{Type: "int"}, nil
	case "number":
		return field{Type: "number"}, nil
	case "boolean":
		return field{Type: "bool"}, nil
	case "array":
		if s.Items == nil {
			return field{Type: "list"}, nil
		}
		items, err := c.field(s.Items)
		return field{Type: "list", Items: &items}, err
	case "object":
		return field{Type: "object"}, nil
	}
	if len(s.AnyOf)+len(s.OneOf) > 0 { // numbers are a choice between number, text and INF
		return c.choice(append(slices.Clone(s.AnyOf), s.OneOf...))
	}
	return field{Type: "any"}, nil
}

// choice takes the first number among alternatives, the first alternative otherwise.
func (c *compiler) choice(alternatives []*schema) (field, error) {
	for _, a := range alternatives {
		if a.Type == "number" || a.Type == "integer" {
			return c.field(a)
		}
	}
	return c.field(alternatives[0])
}

// named compiles a reference: an enumeration or an object.
func (c *compiler) named(name string) (field, error) {
	// "x.any" is the choice between all types derived from x; object puts them together.
	name = strings.TrimSuffix(name, ".any")
	s := c.schemas[name]
	if s == nil {
		return field{}, fmt.Errorf("there is no schema %s", name)
	}
	short := strings.TrimPrefix(name, prefix)
	switch {
	case len(s.Enum) > 0:
		// All members: those after unknownFutureValue arrive because the client asks for them.
		f := field{Type: "text", Name: short}
		for _, v := range s.Enum {
			if text, ok := v.(string); ok {
				f.Enum = append(f.Enum, text)
			}
		}
		return f, nil
	case s.Type == "string": // flags: several members with commas between them
		return field{Type: "text", Name: short}, nil
	case s.Properties == nil && len(s.AllOf) == 0 && len(s.OneOf)+len(s.AnyOf) > 0:
		return c.choice(append(slices.Clone(s.AnyOf), s.OneOf...))
	}
	return field{Type: "object", Ref: short}, c.object(name)
}

// merge is the type of a field that two kinds of evidence declare.
func merge(a, b field) field {
	switch {
	case a.Type != b.Type:
		return field{Type: "any"}
	case a.Type == "text":
		if a.Name == b.Name && slices.Equal(a.Enum, b.Enum) {
			return a
		}
		if len(a.Enum) == 0 || len(b.Enum) == 0 {
			return field{Type: "text"}
		}
		return field{Type: "text", Enum: union(a.Enum, b.Enum)}
	case a.Type == "list" && a.Items != nil && b.Items != nil:
		items := merge(*a.Items, *b.Items)
		return field{Type: "list", Items: &items}
	case a.Type == "object" && a.Ref != b.Ref:
		return field{Type: "any"}
	}
	return a
}

// union keeps the order of a and appends what only b has.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
