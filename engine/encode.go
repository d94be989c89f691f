package engine

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// Every step writes its input, an intent and an outcome. They are written out here, byte for byte as
// the standard library would write them, which takes several times as long.

// inputJSON is a value as an action takes it: times and durations as people write them.
func inputJSON(v any) (json.RawMessage, error) { return appendInput(make([]byte, 0, 256), v) }

func appendInput(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case string:
		return appendText(b, v), nil
	case time.Time:
		return appendText(b, v.Format(time.RFC3339Nano)), nil
	case time.Duration:
		return appendText(b, playbooks.FormatDuration(v)), nil
	case []any:
		return appendItems(b, v)
	case map[string]any:
		return appendFields(b, v)
	}
	raw, err := json.Marshal(v)
	return append(b, raw...), err
}

func appendItems(b []byte, items []any) ([]byte, error) {
	b = append(b, '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendInput(b, item); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendFields(b []byte, fields map[string]any) ([]byte, error) {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		var err error
		if b, err = appendInput(b, fields[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendText writes a text in quotes.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			quoted, _ := json.Marshal(s) // of a text, that can't fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// encode writes data of our own types, which can't fail.
func encode(v any) json.RawMessage {
	switch d := v.(type) {
	case IntentData:
		return d.encode()
	case OutcomeData:
		if d.Status != Dry { // whose output nobody has looked at yet
			return d.encode()
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		// Only a RawMessage that is not JSON gets here: an action returned garbage.
		raw = OutcomeData{Status: Faulty, Fault: &actions.Fault{Code: actions.CodeInternal, Message: err.Error(), Unknown: true}}.encode()
	}
	return raw
}

// object writes the fields of an object, one after the other, and leaves out those without a value.
type object struct{ b []byte }

func (o *object) name(name string) {
	sep := byte(',')
	if len(o.b) == 0 {
		sep = '{'
	}
	o.b = append(o.b, sep, '"')
	o.b = append(append(o.b, name...), '"', ':')
}

func (o *object) text(name, value string) {
	o.name(name)
	o.b = appendText(o.b, value)
}

func (o *object) yes(name string, value bool) {
	if value {
		o.name(name)
		o.b = append(o.b, "true"...)
	}
}

func (o *object) raw(name string, value []byte) {
	if len(value) > 0 {
		o.name(name)
		o.b = append(o.b, value...)
	}
}

// counted writes what limits were found to have let through: few steps have any.
func (o *object) counted(list []Counted) {
	if len(list) > 0 {
		raw, _ := json.Marshal(list) // of texts and numbers, that can't fail
		o.raw("limits", raw)
	}
}

func (o *object) texts(name string, values []string) {
	for i, v := range values {
		if i == 0 {
			o.name(name)
			o.b = append(o.b, '[')
		} else {
			o.b = append(o.b, ',')
		}
		o.b = appendText(o.b, v)
	}
	if len(values) > 0 {
		o.b = append(o.b, ']')
	}
}

// roomFor is what the fields of an intent or an outcome take beside the values in them.
const roomFor = 224

func (d IntentData) encode() json.RawMessage {
	o := object{make([]byte, 0, roomFor+len(d.Input))}
	o.text("key", d.Key)
	o.text("requestId", d.RequestID)
	o.text("effect", string(d.Effect))
	o.yes("probe", d.Probe)
	o.texts("parts", d.Parts)
	o.raw("input", d.Input)
	o.counted(d.Limits)
	return append(o.b, '}')
}

func (d OutcomeData) encode() json.RawMessage {
	o := object{make([]byte, 0, roomFor+len(d.Input)+len(d.Output))}
	o.text("status", string(d.Status))
	o.yes("probe", d.Probe)
	o.yes("interrupted", d.Interrupted)
	o.texts("parts", d.Parts)
	o.raw("input", d.Input)
	o.counted(d.Limits)
	o.raw("output", d.Output)
	if d.Fault != nil {
		fault, _ := json.Marshal(d.Fault) // texts, numbers and truth values: that can't fail
		o.raw("fault", fault)
	}
	return append(o.b, '}')
}
