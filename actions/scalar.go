package actions

import (
	"encoding/json"
	"fmt"
)

// Scalar is a text that may also be written as a number, as true or false, or as null for the
// empty text: a single ${{ … }} keeps the type of its value, and where a text is only shown
// nobody should have to convert it.
type Scalar string

// UnmarshalJSON takes any value that is neither a list nor an object.
func (s *Scalar) UnmarshalJSON(data []byte) error {
	var v any
	if err := DecodeStrict(data, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		*s = ""
	case string:
		*s = Scalar(v)
	case json.Number, bool:
		*s = Scalar(fmt.Sprint(v))
	default:
		return fmt.Errorf("must be text, a number, true, false or null")
	}
	return nil
}

func (Scalar) describe() *Schema {
	return &Schema{Types: []string{"string", "number", "boolean", "null"}}
}
