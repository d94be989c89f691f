package diag

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxMessage is how many characters of a message or mend are shown; longer ones end in an ellipsis.
const MaxMessage = 600

// tabWidth is how many columns a tab takes in an excerpt. Tab stops would move the caret with the width of
// the line number, so every tab is equally wide.
const tabWidth = 4

// plain is [Plain] for messages.
func plain(s string) string { return Plain(s, MaxMessage) }

// Plain makes text from outside fit for a terminal: one line without anything that a terminal would
// obey or hide, of at most so many characters; where more are cut, the last is an ellipsis.
func Plain(s string, most int) string {
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n++; n == most && i+utf8.RuneLen(r) < len(s) {
			b.WriteRune('…')
			break
		}
		if r == '\n' || r == '\t' || r == '\r' {
			r = ' '
		}
		b.WriteRune(visible(r))
	}
	return b.String()
}

// Escaped writes JSON on to w with everything as \u… that a terminal would obey or hide. It means the
// same: such characters stand in texts only. A Write has to hold whole characters.
func Escaped(w io.Writer) io.Writer { return escaped{w} }

type escaped struct{ w io.Writer }

func (e escaped) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p))
	for rest := p; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r < 0x7f || visible(r) == r {
			out = append(out, rest[:n]...)
		} else {
			for _, unit := range utf16.Encode([]rune{r}) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
		}
		rest = rest[n:]
	}
	if _, err := e.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// visible replaces what a terminal would obey or hide by something that can be seen. Format characters are
// included because bidirectional overrides can make a line read differently from what it does.
func visible(r rune) rune {
	switch {
	case r < 0x20:
		return 0x2400 + r // the control pictures: ␛ for escape
	case r == 0x7f:
		return '␡'
	case r == utf8.RuneError,
		unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r),
		unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
		return utf8.RuneError
	}
	return r
}

// width is how many columns a terminal gives a character. It is right for what occurs in playbooks: East
// Asian text and pictographs take two columns, combining marks none.
func width(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Me, r):
		return 0
	case r >= 0x1100 && r <= 0x115f,
		r >= 0x2e80 && r <= 0x303e,
		r >= 0x3041 && r <= 0xa4cf,
		r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f,
		r >= 0xff00 && r <= 0xff60,
		r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1f64f,
		r >= 0x1f680 && r <= 0x1f6ff,
		r >= 0x1f900 && r <= 0x1faff,
		r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
