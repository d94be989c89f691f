package expression

import (
	"errors"
	"fmt"
	"html"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// The functions in this file are the only way for a value from outside into another language. Each makes the
// value into what that language reads as one literal, whatever the value holds.

func quotingFunctions() []function {
	value := need("value", Any)
	return []function{
		{name: "kql", summary: "a value as a literal of KQL, a list as literals with commas between them", params: []param{value}, typ: Text, call: literals(kqlLiteral, "dynamic([])")},
		{name: "odata", summary: "a value as a literal of OData ($filter), a list as literals with commas between them", params: []param{value}, typ: Text, call: literals(odataLiteral, "")},
		{name: "url", summary: "text escaped for any part of a URL", params: []param{value}, typ: Text, call: quoteText(urlText)},
		{name: "html", summary: "text escaped for HTML, in elements and in quoted attributes", params: []param{value}, typ: Text, call: quoteText(html.EscapeString)},
		{name: "card", summary: "text that an Adaptive Card or a Teams message shows as it is", params: []param{value}, typ: Text, call: quoteText(cardText)},
		{name: "markdown", summary: "text that Markdown shows as it is", params: []param{value}, typ: Text, call: quoteText(markdownText)},
		{name: "csv", summary: "a value as a CSV field that spreadsheets do not run, a list as a row", params: []param{value}, typ: Text, call: csvRow},
	}
}

// literals makes a quoting function that also takes lists. What an empty list is called differs.
func literals(one func(m *meter, v any) (string, error), empty string) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		l := []any{args[0]}
		switch v := args[0].(type) {
		case []any:
			l = v
		case []int:
			l, _ = list(v)
		}
		if len(l) == 0 {
			if empty == "" {
				return nil, errors.New("an empty list cannot be written here; test len(list) > 0 first")
			}
			return empty, nil
		}
		parts := make([]string, len(l))
		for i, v := range l {
			s, err := one(m, v)
			if err != nil {
				return nil, err
			}
			parts[i] = s
			if err := m.write(len(s) + 2); err != nil {
				return nil, err
			}
		}
		return strings.Join(parts, ", "), nil
	}
}

func kqlLiteral(m *meter, v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "dynamic(null)", nil
	case string:
		if err := m.write(6 * len(v)); err != nil {
			return "", err
		}
		return kqlString(v), nil
	case time.Time:
		return "datetime(" + v.UTC().Format("2006-01-02T15:04:05.9999999Z") + ")", nil
	case time.Duration:
		return fmt.Sprintf("%dtick", int64(v/100)), nil
	case bool, int, int64, float64:
		return textOf(m, v)
	}
	return "", fmt.Errorf("KQL has no literal for %s", describe(v))
}

// kqlString escapes everything but plain characters, also quotes of both kinds: a reader who replaces the
// outer quotes by hand is safe too.
func kqlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20, r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func odataLiteral(m *meter, v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "null", nil
	case string:
		if err := m.write(2 * len(v)); err != nil {
			return "", err
		}
		return "'" + strings.ReplaceAll(withoutControls(v), "'", "''") + "'", nil
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.9999999Z"), nil
	case bool, int, int64, float64:
		return textOf(m, v)
	}
	return "", fmt.Errorf("OData has no literal for %s", describe(v))
}

// withoutControls drops what no filter, cell or card needs.
func withoutControls(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// quoteText makes a quoting function of text; other values are written as text first, lists with commas.
func quoteText(quote func(string) string) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		s, err := commaText(m, args[0])
		if err != nil {
			return nil, err
		}
		if err := m.write(6 * len(s)); err != nil {
			return nil, err
		}
		return quote(s), nil
	}
}

func commaText(m *meter, v any) (string, error) {
	if l, ok := v.([]any); ok {
		s, err := joinList(m, []any{l, ", "})
		if err != nil {
			return "", err
		}
		return s.(string), nil
	}
	return textOf(m, v)
}

// urlText escapes for a path segment and for a query alike, so nobody has to know which it is.
func urlText(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// markdownText escapes every character that any dialect gives a meaning, and folds lines into one.
func markdownText(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteByte(' ')
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*_{}[]()#+-.!|~:@$=^", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// cardText escapes the Markdown of cards, and breaks the {{DATE(…)}} of Adaptive Cards apart.
func cardText(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case strings.ContainsRune("\\`*_[]()#~<>", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '{' || r == '}':
			b.WriteRune(r)
			b.WriteRune('\u200b') // shown as nothing, but no longer a double brace
		case r == '\n':
			b.WriteString("\n\n")
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func csvRow(m *meter, args []any) (any, error) {
	l := []any{args[0]}
	if v, ok := args[0].([]any); ok {
		l = v
	}
	cells := make([]string, len(l))
	for i, v := range l {
		s, err := textOf(m, v)
		if err != nil {
			return nil, err
		}
		if err := m.write(2*len(s) + 4); err != nil {
			return nil, err
		}
		cells[i] = csvField(s, isNumber(v))
	}
	return strings.Join(cells, ","), nil
}

func isNumber(v any) bool {
	_, ok := number(v)
	return ok
}

// csvField quotes always. A text that a spreadsheet would take for a formula gets an apostrophe in front.
func csvField(s string, plain bool) string {
	if plain {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if start := strings.TrimLeft(s, " "); start != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(start)[0]) {
		s = "'" + s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}
