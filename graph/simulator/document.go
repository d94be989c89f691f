package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Document is an alert, an incident or a machine as JSON. Numbers are json.Number, so that a document is served with the
// digits it came with.
type Document map[string]any

// Documents are the contents of a tenant.
type Documents struct {
	Alerts    []Document
	Incidents []Document
	// Machines are those of Defender for Endpoint, beside the devices that the evidence of alerts names.
	Machines []Document
}

// wireTime is the form of timestamps on the wire: UTC, seven fraction digits.
const wireTime = "2006-01-02T15:04:05.0000000Z"

// tick is the smallest difference between two wire times.
const tick = 100 * time.Nanosecond

func formatTime(t time.Time) string { return t.UTC().Format(wireTime) }

// text returns a string property, "" when it is absent, null or something else.
func (d Document) text(name string) string {
	s, _ := d[name].(string)
	return s
}

// at returns a timestamp property, the zero time when there is none.
func (d Document) at(name string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, d.text(name))
	if err != nil {
		return time.Time{}
	}
	return t
}

// clone copies a document in depth.
func (d Document) clone() Document { return cloneValue(map[string]any(d)).(map[string]any) }

func cloneValue(v any) any {
	switch v := v.(type) {
	case Document:
		return cloneValue(map[string]any(v))
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = cloneValue(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = cloneValue(e)
		}
		return out
	}
	return v
}

// plain turns any Go value a caller may put into a document into what JSON decoding would have made of it.
func plain(v any) (any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("a document holds JSON values only: %w", err)
	}
	return decodeJSON(data)
}

// decodeJSON decodes exactly one JSON value, keeping the digits of numbers.
func decodeJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows after the JSON value")
	}
	return v, nil
}

// encodeJSON encodes without the HTML escapes of package json: Graph sends "<" as it is.
func encodeJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// jsonError adds the line to an error of package json, where it can be known.
func jsonError(data []byte, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("line %d: %w", lineAt(data, syntax.Offset), err)
	}
	return err
}

// lineAt counts the lines up to an offset, from 1.
func lineAt(data []byte, offset int64) int {
	offset = min(max(offset, 0), int64(len(data)))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// trimType removes the optional "#" of an @odata.type and the name space.
func trimType(s string) string {
	return strings.TrimPrefix(strings.TrimPrefix(s, "#"), "microsoft.graph.security.")
}
