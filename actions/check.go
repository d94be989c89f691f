package actions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// MaxViolations is how many violations a check reports. Nobody reads more, and a list with a
// million wrong items would make a million.
const MaxViolations = 100

// Check reports every way in which v does not fit s, in the order of the value's paths. The error
// means that the check itself could not be made: v is not JSON data, or s is no schema.
//
// The schema must not change after its first check: what was compiled is kept as long as it lives.
func Check(s *Schema, v any) ([]Violation, error) {
	c, err := compiled.of(s)
	if err != nil {
		return nil, err
	}
	plain := v
	if !decoded(v) {
		if plain, err = plainJSON(v); err != nil {
			return nil, err
		}
	}
	err = c.Validate(plain)
	if err == nil {
		return nil, nil
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return nil, fmt.Errorf("check against schema: %w", err)
	}
	t := translator{root: s}
	t.add(invalid)
	slices.SortStableFunc(t.found, func(a, b Violation) int { return slices.Compare(a.Path, b.Path) })
	t.found = slices.CompactFunc(t.found, func(a, b Violation) bool {
		return a.Message == b.Message && slices.Equal(a.Path, b.Path)
	})
	return t.found[:min(len(t.found), MaxViolations)], nil
}

// CheckInput reports what is wrong with a finished input of an action: what the schema finds, and
// what the action's rule finds. Where both speak of the same place, the rule's words win.
func CheckInput(s Spec, input any) ([]Violation, error) { return checkBoth(s, s.Input, input) }

// CheckWritten does the same for an input as it stands in a playbook, where any value may still
// be a string that holds an expression. authoring is AuthoringSchema(s.Input), made once.
func CheckWritten(s Spec, authoring *Schema, input any) ([]Violation, error) {
	return checkBoth(s, authoring, input)
}

func checkBoth(s Spec, schema *Schema, input any) ([]Violation, error) {
	found, err := Check(schema, input)
	if err != nil || s.Rule == nil {
		return found, err
	}
	object, ok := input.(map[string]any)
	if !ok {
		return found, nil
	}
	ruled := s.Rule(object)
	found = slices.DeleteFunc(found, func(v Violation) bool {
		return slices.ContainsFunc(ruled, func(r Violation) bool { return len(r.Path) > 0 && slices.Equal(r.Path, v.Path) })
	})
	return append(found, ruled...), nil
}

// decoded says that v is already as a decoder of JSON makes it, and the validator wants it: with
// numbers as they are written.
func decoded(v any) bool {
	switch v := v.(type) {
	case nil, string, bool:
		return true
	case json.Number:
		return json.Valid([]byte(v)) // somebody may have made it of anything
	case map[string]any:
		for _, field := range v {
			if !decoded(field) {
				return false
			}
		}
		return true
	case []any:
		return !slices.ContainsFunc(v, func(item any) bool { return !decoded(item) })
	}
	return false
}

// plainJSON brings v into the form that the validator knows. What is no JSON, such as NaN or a
// channel, is found here and not by a panic later.
func plainJSON(v any) (any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("value is not JSON data: %w", err)
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("value is not JSON data: %w", err)
	}
	return plain, nil
}

// compiled remembers compiled schemas by the identity of their source. It is a memo, not state:
// without it every result would be the same, and slower. An entry goes when its schema does.
var compiled memo

type memo struct{ m sync.Map } // weak.Pointer[Schema] → *jsonschema.Schema

func (m *memo) of(s *Schema) (*jsonschema.Schema, error) {
	if s == nil {
		return nil, errors.New("no schema to check against")
	}
	key := weak.Make(s)
	if c, ok := m.m.Load(key); ok {
		return c.(*jsonschema.Schema), nil
	}
	c, err := compile(s)
	if err != nil {
		return nil, err
	}
	if _, loaded := m.m.LoadOrStore(key, c); !loaded {
		runtime.AddCleanup(s, func(k weak.Pointer[Schema]) { m.m.Delete(k) }, key)
	}
	return c, nil
}

// compile never loads anything: a schema that refers to a file or an address is refused.
func compile(s *Schema) (*jsonschema.Schema, error) {
	const address = "playbookd:///schema.json"
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(refusing{})
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(address, doc); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	out, err := c.Compile(address)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return out, nil
}

// refusing is a loader that loads nothing.
type refusing struct{}

func (refusing) Load(url string) (any, error) {
	return nil, fmt.Errorf("refers to %s: schemas stand alone", url)
}

// translator turns the validator's tree of errors into a list in plain words.
type translator struct {
	root  *Schema
	found []Violation
}

func (t *translator) add(e *jsonschema.ValidationError) {
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, c := range e.Causes {
			t.add(c)
		}
	case *kind.AnyOf, *kind.OneOf:
		t.addNearest(e)
	case *kind.AdditionalProperties:
		for _, name := range slices.Sorted(slices.Values(k.Properties)) {
			t.say(append(slices.Clone(e.InstanceLocation), name), unknownField(name, t.names(e.InstanceLocation)))
		}
	case *kind.Required:
		for _, name := range slices.Sorted(slices.Values(k.Missing)) {
			t.say(e.InstanceLocation, fmt.Sprintf("missing field %q%s", name, t.hint(append(slices.Clone(e.InstanceLocation), name))))
		}
	default:
		t.say(e.InstanceLocation, words(k, schemaAt(t.root, e.InstanceLocation)))
	}
}

// addNearest reports the alternative of an anyOf that came nearest: the one whose complaints lie
// deepest in the value.
func (t *translator) addNearest(e *jsonschema.ValidationError) {
	if len(e.Causes) == 0 {
		t.say(e.InstanceLocation, "fits more than one of the forms that exclude each other")
		return
	}
	t.add(slices.MaxFunc(e.Causes, func(a, b *jsonschema.ValidationError) int { return deepest(a) - deepest(b) }))
}

func deepest(e *jsonschema.ValidationError) int {
	most := len(e.InstanceLocation)
	for _, c := range e.Causes {
		most = max(most, deepest(c))
	}
	return most
}

func (t *translator) say(path []string, message string) {
	t.found = append(t.found, Violation{Path: slices.Clone(path), Message: message})
}

// names are the fields known at a place.
func (t *translator) names(path []string) []string {
	if s := schemaAt(t.root, path); s != nil {
		return slices.Sorted(maps.Keys(s.Properties))
	}
	return nil
}

// hint is what the schema says about a missing field.
func (t *translator) hint(path []string) string {
	if s := schemaAt(t.root, path); s != nil && s.Description != "" {
		return ": " + s.Description
	}
	return ""
}

// schemaAt finds the schema of a place in the value, or nil.
func schemaAt(s *Schema, path []string) *Schema {
	for s != nil && s.Else != nil { // an authoring schema
		outer := s
		s = s.Else
		if outer.Description != "" || outer.Format != "" {
			described := *s
			described.Description, described.Format = outer.Description, outer.Format
			s = &described
		}
	}
	if s == nil || len(path) == 0 {
		return s
	}
	switch {
	case s.Properties[path[0]] != nil:
		return schemaAt(s.Properties[path[0]], path[1:])
	case s.Items != nil:
		return schemaAt(s.Items, path[1:])
	}
	return schemaAt(s.AdditionalProperties, path[1:])
}
