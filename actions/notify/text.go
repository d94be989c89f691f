package notify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/playbookd/playbookd/actions"
)

// plain makes a text fit to be shown: valid, without control characters and without the
// characters that reverse the direction of a line or have no width. Only line breaks and tabs
// stay.
func plain(text actions.Scalar) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r', unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), invisible(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(text), "\uFFFD"))
}

// invisible characters let two texts look alike that are not. The joiners (200C, 200D) stay:
// several scripts need them.
func invisible(r rune) bool {
	switch r {
	case '\u200b', '\u2060', '\ufeff', '\u00ad', '\u2028', '\u2029':
		return true
	}
	return false
}

// fit cuts a text so that cost of it, summed over its characters, stays within the budget. A cut
// is visible: it says how much is missing.
func fit(text string, budget int, cost func(rune) int) string {
	total := 0
	for _, r := range text {
		total += cost(r)
	}
	if total <= budget {
		return text
	}
	const reserve = 32 // for the note
	kept, used := 0, 0
	for i, r := range text {
		if used += cost(r); used > budget-reserve {
			break
		}
		kept = i + utf8.RuneLen(r)
	}
	missing := utf8.RuneCountInString(text[kept:])
	return fmt.Sprintf("%s… [%d more characters]", text[:kept], missing)
}

// bytesOf is the cost of a character where a limit counts bytes of JSON.
func bytesOf(r rune) int {
	switch r {
	case '"', '\\', '\n', '\t', '{': // still may put a blank behind a brace
		return 2
	}
	return max(utf8.RuneLen(r), 1)
}

// fact is a row of the table.
type fact struct{ name, value string }

// sorted are the facts in the order of their names.
func sorted(facts map[string]actions.Scalar) []fact {
	var all []fact
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		all = append(all, fact{plain(actions.Scalar(name)), plain(facts[name])})
	}
	return all
}

// title is the first line, which must not be empty.
func (m message) title() string {
	line := strings.Join(strings.Fields(plain(m.Title)), " ")
	if line == "" {
		return "(no title)"
	}
	return line
}
