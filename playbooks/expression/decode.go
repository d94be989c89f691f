package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Decode turns a JSON document from outside into a value for a scope. The type says which texts are times;
// everything else is taken as it is, and fields that the type does not know are kept.
//
// Whole numbers that fit become int64, others float64. A text where a time is expected becomes a time.Time if
// it is RFC 3339, with any number of fraction digits; if it is not it stays text, so that nothing is
// lost and comparing it says what is wrong. A value of an enumeration that differs only in case gets the
// spelling of the enumeration: some examples of Graph's documentation, and so some forwarders, capitalize.
//
// A document beyond MaxPayload, MaxItems or MaxDepth is refused.
func Decode(payload json.RawMessage, t Type) (any, error) {
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("the event has %d bytes; at most %d are taken", len(payload), MaxPayload)
	}
	if v, ok := scan(payload, t); ok {
		return v, nil
	}
	return decode(payload, t)
}

// decode is Decode for documents that are not usual, or that hold mistakes.
func decode(payload json.RawMessage, t Type) (any, error) {
	if err := checkDepth(payload); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("the event is not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the event is not one JSON value: something follows it")
	}
	return convert(v, t, "")
}

// checkDepth counts brackets outside of texts. It runs before the decoder, which would recurse.
func checkDepth(payload []byte) error {
	depth, inText := 0, false
	for i := 0; i < len(payload); i++ {
		switch c := payload[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return fmt.Errorf("the event is nested more than %d deep", MaxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// convert changes a decoded value in place. The name is that of the field, for messages.
func convert(v any, t Type, name string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			ft, _ := t.Field(key)
			if single(e, ft) {
				continue
			}
			w, err := convert(e, ft, key)
			if err != nil {
				return nil, err
			}
			v[key] = w
		}
		return v, nil
	case []any:
		if len(v) > MaxItems {
			return nil, fmt.Errorf("the list %s has %d items; at most %d are taken", quoted(name), len(v), MaxItems)
		}
		for i, e := range v {
			w, err := convert(e, t.item(), name)
			if err != nil {
				return nil, err
			}
			v[i] = w
		}
		return v, nil
	case json.Number:
		return numberOf(v), nil
	case string:
		return textValue(v, t), nil
	}
	return v, nil
}

// single recognises the values that stay as they are, which are most.
func single(v any, t Type) bool {
	switch v.(type) {
	case string:
		return t.kind != kindTime && len(t.values) == 0
	case nil, bool:
		return true
	}
	return false
}

func numberOf(n json.Number) any {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil || math.IsInf(f, 0) {
		return n.String() // beyond what a number can be; as text it is at least not wrong
	}
	return f
}

func textValue(s string, t Type) any {
	switch {
	case t.kind == kindTime:
		if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
			return at.UTC()
		}
	case len(t.values) > 0 && !slices.Contains(t.values, s):
		for _, value := range t.values {
			if strings.EqualFold(value, s) {
				return value
			}
		}
	}
	return s
}
