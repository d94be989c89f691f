package actions

import (
	"fmt"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema is the only name by which other packages know the schema library.
type Schema = jsonschema.Schema

// Violation is one way in which a value does not fit a schema.
type Violation struct {
	Path    []string // keys and indexes from the root of the value
	Message string
}

// String is the message with its place: `facts.severity: must be text, not a number`.
func (v Violation) String() string {
	if len(v.Path) == 0 {
		return v.Message
	}
	return strings.Join(v.Path, ".") + ": " + v.Message
}

// Violationf makes a violation of the field that the dotted path names; "" is the whole input.
func Violationf(path, format string, args ...any) Violation {
	v := Violation{Message: fmt.Sprintf(format, args...)}
	if path != "" {
		v.Path = strings.Split(path, ".")
	}
	return v
}

// formatSecret marks the fields that take a [SecretRef].
const formatSecret = "secret"

// IsSecret says that a schema describes a reference to a secret: the only places where a
// playbook may write ${{ secrets.NAME }}.
func IsSecret(s *Schema) bool { return s != nil && s.Format == formatSecret }

// The formats of fields that hold text of another language, in which text from outside must be quoted.
func languages() map[string]string {
	return map[string]string{"kql": "kql", "odata": "odata", "uri": "url", "html": "html"}
}

// Language names the function that quotes what is put into a field, "" if the field is plain text.
func Language(s *Schema) string {
	if s == nil {
		return ""
	}
	return languages()[s.Format]
}

// templatePattern recognises a string that holds an expression.
const templatePattern = `\$\{\{`

// IsTemplate says that a value is a string holding an expression, so that nothing is known
// about what it will be.
func IsTemplate(v any) bool {
	s, ok := v.(string)
	return ok && strings.Contains(s, "${{")
}

// AuthoringSchema is the schema for what people write: within the value, anything may also be a
// string that holds an expression. Whatever s accepts, AuthoringSchema(s) accepts too.
//
// It is built from if and else, not from anyOf: a value that does not fit is then reported with
// the reason for which it does not fit, instead of with the news that it is no expression either.
func AuthoringSchema(s *Schema) *Schema {
	if s == nil {
		return nil
	}
	return loosen(s.CloneSchemas())
}

// loosen changes s, which nobody else holds, in those places that describe parts of the value.
// Keywords that only test the value (not, if, contains, dependentSchemas) stay as they are: made
// more permissive, they would accept less.
func loosen(s *Schema) *Schema {
	for name, p := range s.Properties {
		s.Properties[name] = orTemplate(p)
	}
	for pattern, p := range s.PatternProperties {
		s.PatternProperties[pattern] = orTemplate(p)
	}
	for i, p := range s.PrefixItems {
		s.PrefixItems[i] = orTemplate(p)
	}
	s.AdditionalProperties = orTemplate(s.AdditionalProperties)
	s.Items = orTemplate(s.Items)
	for i := range s.AllOf {
		s.AllOf[i] = loosen(s.AllOf[i])
	}
	for i := range s.AnyOf {
		s.AnyOf[i] = loosen(s.AnyOf[i])
	}
	// More than one loosened alternative may fit, which oneOf would refuse.
	for _, alternative := range s.OneOf {
		s.AnyOf = append(s.AnyOf, loosen(alternative))
	}
	s.OneOf = nil
	return s
}

// orTemplate wraps the schema of a part of the value. What describes the field for people stays
// outside, where editors look for it.
func orTemplate(s *Schema) *Schema {
	if s == nil || isFalse(s) || isTrue(s) {
		return s
	}
	inner := loosen(s)
	outer := &Schema{
		If:          &Schema{Type: "string", Pattern: templatePattern},
		Else:        inner,
		Description: inner.Description,
		Default:     inner.Default,
		Examples:    inner.Examples,
		Format:      inner.Format,
	}
	if len(inner.Enum) > 0 {
		outer.Examples = inner.Enum // editors offer examples, and don't look into else
	}
	inner.Description, inner.Default, inner.Examples, inner.Format = "", nil, nil, ""
	return outer
}

// isFalse recognises the schema that accepts nothing, as the library writes it.
func isFalse(s *Schema) bool {
	return s.Not != nil && isTrue(s.Not) && jsonschema.Equal(bare(s), bare(&Schema{Not: &Schema{}}))
}

// isTrue recognises the schema that accepts everything.
func isTrue(s *Schema) bool { return jsonschema.Equal(bare(s), "true") }

// bare is a schema's JSON text.
func bare(s *Schema) string {
	data, err := s.MarshalJSON()
	if err != nil {
		return ""
	}
	return string(data)
}
