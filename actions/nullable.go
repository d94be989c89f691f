package actions

import (
	"encoding/json"
	"reflect"
)

// Nullable is a field of an input that may be left out, be null, or have a value: three
// different wishes. Absent leaves what is there, null clears it. Tag it omitzero.
type Nullable[T any] struct {
	value   T
	present bool
	null    bool
}

// Some is a Nullable with a value.
func Some[T any](v T) Nullable[T] { return Nullable[T]{value: v, present: true} }

// Null is a Nullable that clears.
func Null[T any]() Nullable[T] { return Nullable[T]{present: true, null: true} }

// Get returns the value, and whether there is one: false for null as well as for absent.
func (n Nullable[T]) Get() (T, bool) { return n.value, n.present && !n.null }

// Present says that the field was written, be it as null.
func (n Nullable[T]) Present() bool { return n.present }

// IsNull says that the field was written as null.
func (n Nullable[T]) IsNull() bool { return n.present && n.null }

// Any is the value, or nil: what goes into JSON by another road.
func (n Nullable[T]) Any() any {
	if v, ok := n.Get(); ok {
		return v
	}
	return nil
}

// IsZero makes omitzero leave an absent field out.
func (n Nullable[T]) IsZero() bool { return !n.present }

// MarshalJSON writes the value or null.
func (n Nullable[T]) MarshalJSON() ([]byte, error) { return json.Marshal(n.Any()) }

// UnmarshalJSON tells null from a value; that it is called at all tells present from absent.
func (n *Nullable[T]) UnmarshalJSON(data []byte) error {
	*n = Nullable[T]{present: true, null: string(data) == "null"}
	if n.null {
		return nil
	}
	return json.Unmarshal(data, &n.value)
}

func (n Nullable[T]) describe() *Schema {
	s := inferType(reflect.TypeFor[T]())
	s.Types, s.Type = []string{s.Type, "null"}, ""
	return s
}
