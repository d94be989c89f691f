package expression

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

func toJSON(m *meter, args []any) (any, error) { return jsonOf(m, args[0]) }

// jsonOf encodes a value as JSON, keys sorted. The value is measured first: parts may be shared, and a small
// value can have a text without end.
func jsonOf(m *meter, v any) (string, error) {
	if err := measure(m, v, 0); err != nil {
		return "", err
	}
	left := maxResult
	v, err := plainValue(v, 0, &left)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(jsonable(v)); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// measure charges for the JSON text of a value before it is written.
func measure(m *meter, v any, depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("the value is nested more than %d deep", MaxDepth)
	}
	switch v := v.(type) {
	case string:
		return m.write(2 + 2*len(v))
	case []any:
		for _, e := range v {
			if err := measure(m, e, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, e := range v {
			if err := m.write(4 + 2*len(key)); err != nil {
				return err
			}
			if err := measure(m, e, depth+1); err != nil {
				return err
			}
		}
	}
	return m.write(24)
}

// jsonable replaces durations, which JSON would show as nanoseconds, by their text.
func jsonable(v any) any {
	switch v := v.(type) {
	case time.Duration:
		return formatDuration(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = jsonable(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			out[key] = jsonable(e)
		}
		return out
	}
	return v
}

func fromJSON(m *meter, args []any) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	s, err := textArg(args[0])
	if err != nil {
		return nil, err
	}
	if err := m.write(8 * len(s)); err != nil {
		return nil, err
	}
	return Decode(json.RawMessage(s), Any)
}

func fromBase64(m *meter, args []any) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	s, err := textArg(args[0])
	if err != nil {
		return nil, err
	}
	if err := m.write(len(s)); err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("the text is not Base64")
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD"), nil
}
