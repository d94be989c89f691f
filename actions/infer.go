package actions

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// describer is a type that knows its own schema.
type describer interface{ describe() *Schema }

// infer makes the schema of a struct. The json tag gives the name, and whether the field may be
// left out (omitempty or omitzero). The play tag gives the rest, as key=value separated by
// semicolons:
//
//	doc      one sentence; must come last, and may then hold semicolons
//	enum     the values allowed, separated by |
//	retired  values that were allowed once: kept for the message that says what to write instead
//	default  what is used when the field is left out
//	example  one value, for the reference
//	format   what kind of text it is: "secret" comes by itself, "date-time"; of another language, "uri", "odata", "kql", "html"
//	min max  of a number's value, of a text's length, of how many items there are
//
// A struct with the blank field `_ struct{} "play:\"open\""` may hold fields beyond its own.
//
// It panics on a tag it cannot read: a mistake in the program.
func infer[T any]() *Schema {
	s := inferType(reflect.TypeFor[T]())
	if s.Type != "object" {
		panic(fmt.Errorf("%v is not a struct: inputs and outputs are objects", reflect.TypeFor[T]()))
	}
	return s
}

func inferType(t reflect.Type) *Schema {
	known := map[reflect.Type]*Schema{reflect.TypeFor[json.RawMessage](): {}}
	describers(t, known)
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: known})
	if err != nil {
		panic(fmt.Errorf("schema of %v: %w", t, err))
	}
	annotate(s, t, known)
	return s
}

// describers collects the types inside of t that know their own schema.
func describers(t reflect.Type, known map[reflect.Type]*Schema) {
	if known[t] != nil {
		return
	}
	if t.Implements(reflect.TypeFor[describer]()) && t.Kind() != reflect.Interface {
		known[t] = reflect.Zero(t).Interface().(describer).describe()
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		describers(t.Elem(), known)
	case reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() {
				describers(f.Type, known)
			}
		}
	}
}

// annotate adds what the play tags say, and takes away what only describes Go: that a nil slice
// or pointer would be null.
func annotate(s *Schema, t reflect.Type, known map[reflect.Type]*Schema) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if known[t] != nil {
		return
	}
	if len(s.Types) == 2 && s.Types[0] == "null" {
		s.Type, s.Types = s.Types[1], nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		annotate(s.Items, t.Elem(), known)
	case reflect.Map:
		annotate(s.AdditionalProperties, t.Elem(), known)
	case reflect.Struct:
		for f := range t.Fields() {
			tag := f.Tag.Get("play")
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case f.Name == "_" && tag == "open":
				s.AdditionalProperties = nil
			case f.Anonymous && name == "":
				panic(fmt.Errorf("%v embeds %v: write the fields out", t, f.Type))
			case !f.IsExported() || name == "-":
			case name == "":
				panic(fmt.Errorf("%v.%s has no json name", t, f.Name))
			default:
				annotate(s.Properties[name], f.Type, known)
				if err := applyTag(s.Properties[name], tag); err != nil {
					panic(fmt.Errorf("%v.%s: play tag: %w", t, f.Name, err))
				}
			}
		}
	}
}

// applyTag reads one play tag.
func applyTag(s *Schema, tag string) error {
	for tag != "" {
		var item string
		if strings.HasPrefix(tag, "doc=") {
			item, tag = tag, ""
		} else {
			item, tag, _ = strings.Cut(tag, ";")
		}
		key, text, _ := strings.Cut(item, "=")
		if err := applyItem(s, key, text); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func applyItem(s *Schema, key, text string) error {
	switch key {
	case "doc":
		s.Description = text
	case "format":
		s.Format = text
	case "example":
		s.Examples = append(s.Examples, tagValue(s, text))
	case "default":
		data, err := json.Marshal(tagValue(s, text))
		s.Default = data
		return err
	case "enum":
		target := s
		if s.Items != nil {
			target = s.Items
		}
		for word := range strings.SplitSeq(text, "|") {
			target.Enum = append(target.Enum, word)
		}
		if len(s.Types) > 0 { // a Nullable: null is one of the values
			target.Enum = append(target.Enum, nil)
		}
	case "retired":
		s.Extra = map[string]any{retiredKey: strings.Split(text, "|")}
	case "min", "max":
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		return applyBound(s, key == "min", n)
	default:
		return fmt.Errorf("unknown key")
	}
	return nil
}

// applyBound sets a limit, whose meaning depends on the type.
func applyBound(s *Schema, lower bool, n int) error {
	typ := s.Type
	if typ == "" && len(s.Types) > 0 {
		typ = s.Types[0]
	}
	number := float64(n)
	switch {
	case typ == "string" && lower:
		s.MinLength = &n
	case typ == "string":
		s.MaxLength = &n
	case typ == "array" && lower:
		s.MinItems = &n
	case typ == "array":
		s.MaxItems = &n
	case typ == "object" && lower:
		s.MinProperties = &n
	case typ == "object":
		s.MaxProperties = &n
	case (typ == "integer" || typ == "number") && lower:
		s.Minimum = &number
	case typ == "integer" || typ == "number":
		s.Maximum = &number
	default:
		return fmt.Errorf("a %s has no size", typ)
	}
	return nil
}

// tagValue reads an example or a default: JSON for everything that is not text.
func tagValue(s *Schema, text string) any {
	if s.Type == "string" {
		return text
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	return v
}

// retiredKey is where a schema keeps values that were allowed once.
const retiredKey = "x-retired"
