package actions

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxShown is how many characters of a wrong value a message repeats.
const maxShown = 60

// words says in plain words what the validator found. s is the schema of the place, if known.
func words(k jsonschema.ErrorKind, s *Schema) string {
	switch k := k.(type) {
	case *kind.Type:
		return typeWords(k)
	case *kind.Enum:
		return enumWords(k, s)
	case *kind.Const:
		return "must be " + show(k.Want)
	case *kind.Pattern:
		return patternWords(k, s)
	case *kind.MinLength:
		if k.Want == 1 {
			return "must not be empty"
		}
		return fmt.Sprintf("must have at least %d characters, has %d", k.Want, k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters, has %d", k.Want, k.Got)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %s, has %d", count(k.Want, "item"), k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %s, has %d", count(k.Want, "item"), k.Got)
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %s, has %d", count(k.Want, "field"), k.Got)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %s, has %d", count(k.Want, "field"), k.Got)
	case *kind.Minimum:
		return fmt.Sprintf("must be at least %s, is %s", number(k.Want), number(k.Got))
	case *kind.Maximum:
		return fmt.Sprintf("must be at most %s, is %s", number(k.Want), number(k.Got))
	case *kind.UniqueItems:
		return fmt.Sprintf("items %d and %d are equal", k.Duplicates[0], k.Duplicates[1])
	case *kind.FalseSchema, *kind.Not:
		return "is not allowed here"
	}
	return fmt.Sprintf("does not satisfy %s", strings.Join(k.KeywordPath(), "/"))
}

func unknownField(name string, known []string) string {
	name = cut(name)
	if w := Closest(name, known); w != "" {
		return fmt.Sprintf("unknown field %q (did you mean %q?)", name, w)
	}
	if len(known) == 0 {
		return fmt.Sprintf("unknown field %q: no fields are known here", name)
	}
	return fmt.Sprintf("unknown field %q: known here are %s", name, strings.Join(known, ", "))
}

func typeWords(k *kind.Type) string {
	var want []string
	for _, t := range []string{"string", "number", "integer", "boolean", "array", "object", "null"} {
		if slices.Contains(k.Want, t) {
			want = append(want, typeName(t))
		}
	}
	message := "must be " + strings.Join(want, " or ") + ", not " + typeName(k.Got)
	if slices.Contains(k.Want, "string") && slices.Contains([]string{"number", "boolean"}, k.Got) {
		message += ": put it in quotes"
	}
	return message
}

func typeName(t string) string {
	switch t {
	case "string":
		return "text"
	case "boolean":
		return "true or false"
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "array":
		return "a list"
	case "object":
		return "an object"
	}
	return t
}

func enumWords(k *kind.Enum, s *Schema) string {
	var allowed []string
	for _, w := range k.Want {
		if text, ok := w.(string); ok {
			allowed = append(allowed, text)
		} else {
			allowed = append(allowed, show(w))
		}
	}
	message := "must be one of " + strings.Join(allowed, ", ")
	got, ok := k.Got.(string)
	if !ok {
		return message + ", not " + show(k.Got)
	}
	if s != nil {
		if retired, ok := s.Extra[retiredKey].([]string); ok && slices.Contains(retired, got) {
			return fmt.Sprintf("%q is retired and Graph may refuse it: %s", cut(got), message)
		}
	}
	message += fmt.Sprintf(", not %q", cut(got))
	if w := Closest(got, allowed); w != "" {
		message += fmt.Sprintf(" (did you mean %q?)", w)
	}
	return message
}

func patternWords(k *kind.Pattern, s *Schema) string {
	if IsSecret(s) {
		return "must be a secret: write ${{ secrets.NAME }}"
	}
	return fmt.Sprintf("%q does not have the form %s", cut(k.Got), k.Want)
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return cut(r.Num().String())
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// show is a value as JSON, short.
func show(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "this value"
	}
	return cut(string(data))
}

// cut shortens what came from outside before a message repeats it.
func cut(s string) string {
	if r := []rune(s[:min(len(s), 4*maxShown)]); len(r) > maxShown {
		return string(r[:maxShown]) + "…"
	}
	return s
}
