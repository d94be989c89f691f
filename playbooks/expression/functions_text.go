package expression

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

func textFunctions() []function {
	text := need("text", Text)
	return []function{
		{name: "lower", summary: "text in small letters", params: []param{text}, typ: Text, call: onText(strings.ToLower)},
		{name: "upper", summary: "text in capital letters", params: []param{text}, typ: Text, call: onText(strings.ToUpper)},
		{name: "trim", summary: "text without white space, or without the given characters, at its ends",
			params: []param{text, allow("characters", Text)}, typ: Text, call: trim},
		{name: "trimPrefix", summary: "text without a beginning", params: []param{text, need("prefix", Text)}, typ: Text, call: onTwoTexts(strings.TrimPrefix)},
		{name: "trimSuffix", summary: "text without an ending", params: []param{text, need("suffix", Text)}, typ: Text, call: onTwoTexts(strings.TrimSuffix)},
		{name: "hasPrefix", summary: "whether text starts with something", params: []param{text, need("prefix", Text)}, typ: Bool, call: startsWith},
		{name: "hasSuffix", summary: "whether text ends with something", params: []param{text, need("suffix", Text)}, typ: Bool, call: endsWith},
		{name: "indexOf", summary: "where a part of text first starts, in characters, or -1", params: []param{text, need("part", Text)}, typ: Int, call: indexOf(strings.Index)},
		{name: "lastIndexOf", summary: "where a part of text last starts, in characters, or -1", params: []param{text, need("part", Text)}, typ: Int, call: indexOf(strings.LastIndex)},
		{name: "split", summary: "the parts of text between separators", params: []param{text, need("separator", Text), allow("most", Int)}, typ: List(Text), call: split},
		{name: "replace", summary: "text with every old part replaced", params: []param{text, need("old", Text), need("new", Text)}, typ: Text, call: replace},
		{name: "join", summary: "the items of a list as one text", params: []param{need("list", List(Any)), allow("separator", Text)}, typ: Text, call: joinList},
		{name: "string", summary: "a value as text: nil is empty, times are RFC 3339, lists and objects JSON", params: []param{need("value", Any)}, typ: Text, call: toText},
		{name: "toJSON", summary: "a value as JSON", params: []param{need("value", Any)}, typ: Text, call: toJSON},
		{name: "fromJSON", summary: "the value that JSON text stands for", params: []param{text}, typ: Any, call: fromJSON},
		{name: "toBase64", summary: "text in Base64", params: []param{text}, typ: Text, call: onText(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) })},
		{name: "fromBase64", summary: "text from Base64", params: []param{text}, typ: Text, call: fromBase64},
	}
}

// textArg reads an argument that must be text; nil is the empty text.
func textArg(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("text is needed, this is %s", describe(v))
}

// onText makes a function of text that stays missing if the text is missing.
func onText(f func(string) string) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		s, err := textArg(args[0])
		if err != nil {
			return nil, err
		}
		// Changing case or encoding makes a text at most three times as long.
		if err := m.write(3 * len(s)); err != nil {
			return nil, err
		}
		return f(s), nil
	}
}

// readTwo reads two arguments that must be text, and pays for looking through the first.
func readTwo(m *meter, args []any) (s, t string, err error) {
	if s, err = textArg(args[0]); err != nil {
		return "", "", err
	}
	if t, err = textArg(args[1]); err != nil {
		return "", "", err
	}
	return s, t, m.read(s)
}

func onTwoTexts(f func(s, t string) string) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		s, t, err := readTwo(m, args)
		if err != nil {
			return nil, err
		}
		return f(s, t), nil
	}
}

func trim(m *meter, args []any) (any, error) {
	if len(args) == 2 {
		return onTwoTexts(strings.Trim)(m, args)
	}
	return onText(strings.TrimSpace)(m, args)
}

func indexOf(find func(s, part string) int) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		s, part, err := readTwo(m, args)
		if err != nil {
			return nil, err
		}
		at := find(s, part)
		if at < 0 {
			return int64(-1), nil
		}
		return int64(utf8.RuneCountInString(s[:at])), nil
	}
}

func split(m *meter, args []any) (any, error) {
	s, err := textArg(args[0])
	if err != nil {
		return nil, err
	}
	separator, err := textArg(args[1])
	if err != nil {
		return nil, err
	}
	most := -1
	if len(args) > 2 && args[2] != nil {
		n, ok := wholeNumber(args[2])
		if !ok || n < 1 {
			return nil, errors.New("the number of parts must be at least 1")
		}
		most = n
	}
	// A part takes sixteen bytes in a list, however short it is.
	if err := m.write(16 * (2 + strings.Count(s, separator))); err != nil {
		return nil, err
	}
	if err := m.read(s); err != nil {
		return nil, err
	}
	parts := strings.SplitN(s, separator, most)
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return out, nil
}

func replace(m *meter, args []any) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	var texts [3]string
	for i := range texts {
		s, err := textArg(args[i])
		if err != nil {
			return nil, err
		}
		texts[i] = s
	}
	s, old, with := texts[0], texts[1], texts[2]
	if old == "" {
		return s, nil // Go would insert between all characters, which nobody means
	}
	if err := m.read(s); err != nil {
		return nil, err
	}
	if err := m.write(len(s) + strings.Count(s, old)*len(with)); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(s, old, with), nil
}

func joinList(m *meter, args []any) (any, error) {
	l, err := list(args[0])
	if err != nil {
		return nil, err
	}
	separator := ""
	if len(args) > 1 {
		if separator, err = textArg(args[1]); err != nil {
			return nil, err
		}
	}
	var b strings.Builder
	for i, v := range l {
		s, err := textOf(m, v)
		if err != nil {
			return nil, err
		}
		if err := m.write(len(s) + len(separator)); err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func toText(m *meter, args []any) (any, error) { return textOf(m, args[0]) }

// textOf is a value as text, as in templates.
func textOf(m *meter, v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return formatFloat(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	case time.Duration:
		return formatDuration(v), nil
	}
	return jsonOf(m, v)
}

// formatFloat writes a number without an exponent where people would.
func formatFloat(f float64) (string, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", errors.New("the value is not a number; a division by zero?")
	}
	if math.Abs(f) < 1e15 {
		return strconv.FormatFloat(f, 'f', -1, 64), nil
	}
	return strconv.FormatFloat(f, 'g', -1, 64), nil
}

// formatDuration writes a duration without the zeros that Go appends: 4h, 90m is 1h30m.
func formatDuration(d time.Duration) string {
	s := d.Round(time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
