package triggers

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// topFields calls each with the fields of a JSON object, in their order, without decoding what is
// in them: of most payloads two or three short texts are needed. The text must be valid JSON; of
// one that is no object there are no fields.
func topFields(text []byte, each func(name string, value []byte)) {
	i := blank(text, 0)
	if i >= len(text) || text[i] != '{' {
		return
	}
	for i = blank(text, i+1); i < len(text) && text[i] == '"'; i = blank(text, i+1) {
		end := valueEnd(text, i)
		name := text[i:end]
		i = blank(text, end)
		if i >= len(text) || text[i] != ':' {
			return
		}
		start := blank(text, i+1)
		end = valueEnd(text, start)
		each(plainText(name), text[start:end])
		if i = blank(text, end); i >= len(text) || text[i] != ',' {
			return
		}
	}
}

// plainText is a JSON text; "" for any other value.
func plainText(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// blank is where white space ends.
func blank(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	return i
}

// valueEnd is where the value ends that begins at i.
func valueEnd(text []byte, i int) int {
	depth := 0
	for ; i < len(text); i++ {
		switch text[i] {
		case '"':
			if i = textEnd(text, i); depth == 0 {
				return min(i+1, len(text))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of what the value is in
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\n', '\t', '\r', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text) // also if it is not valid, and i is beyond
}

// textEnd is where the text that begins at i has its last quote.
func textEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return len(text)
		}
		escapes := bytes.IndexByte(text[i:i+n], '\\')
		if escapes < 0 {
			return i + n
		}
		i += escapes + 1 // the next character means itself
	}
	return i
}
