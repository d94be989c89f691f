package document

import (
	"strconv"
	"unicode/utf8"

	"github.com/playbookd/playbookd/internal/diag"
)

// OffsetPos returns the place in the file of the i-th character (from 0) of a scalar's value. One past the end
// is the place after the last character. Characters other than white space are placed exactly in every style;
// of folded white space the place is where the fold begins.
func (n *Node) OffsetPos(i int) diag.Position {
	if n == nil {
		return diag.Position{}
	}
	if n.Kind == Map || n.Kind == List || n.Text == "" || i < 0 {
		return n.Pos
	}
	if n.Style == Plain && utf8.RuneCountInString(n.Text) == n.Length {
		pos := n.Pos // the usual case: everything stands on one line
		pos.Column += min(i, n.Length)
		return pos
	}
	t := newTracer(n)
	pos := n.Pos
	count := 0
	for _, r := range n.Text {
		pos = t.next(r)
		if count == i {
			return pos
		}
		count++
	}
	pos.Column++
	return pos
}

// span limits a length to what stands on the line where it starts.
func (n *Node) span(offset, length int) int {
	start := n.OffsetPos(offset)
	if length <= 1 {
		return 1
	}
	end := n.OffsetPos(offset + length - 1)
	if end.Line == start.Line {
		return max(1, end.Column-start.Column+1)
	}
	return max(1, len(n.doc.characters(start.Line))-start.Column+1)
}

// scalarLength is how many characters a scalar takes on its first line, quotes included.
func (d *Document) scalarLength(n *Node) int {
	if n.Style == Literal || n.Style == Folded {
		return 1
	}
	t := newTracer(n)
	end := n.Pos
	for _, r := range n.Text {
		pos := t.next(r)
		if pos.Line != n.Pos.Line {
			return max(1, len(d.characters(n.Pos.Line))-n.Pos.Column+1)
		}
		end = pos
	}
	if n.Style == Plain {
		if n.Text == "" {
			return 1
		}
		return end.Column - n.Pos.Column + 1
	}
	if t.line == n.Pos.Line {
		return t.col - n.Pos.Column + 2 // the tracer stands on the closing quote
	}
	return 2
}

// tracer follows a scalar's value through its source. Value and source agree except for white space (folding,
// indentation, chomping), escapes and doubled quotes; so it is enough to walk both and to let white space on
// either side give way.
type tracer struct {
	doc   *Document
	style Style
	line  int    // from 1
	col   int    // from 0, in characters
	text  []rune // the line
	last  diag.Position
}

func newTracer(n *Node) *tracer {
	t := &tracer{doc: n.doc, style: n.Style, line: n.Pos.Line, col: n.Pos.Column - 1, last: n.Pos}
	switch n.Style {
	case SingleQuoted, DoubleQuoted:
		t.col++
	case Literal, Folded:
		t.line, t.col = t.line+1, 0
	}
	t.text = t.doc.characters(t.line)
	return t
}

// next returns the place of the next character of the value.
func (t *tracer) next(want rune) diag.Position {
	for {
		got, width, ok := t.unit()
		if !ok {
			return t.last // past the end: a final line break that the style adds
		}
		switch {
		case got == want, want == ' ' && got == '\n' && width == 1:
			pos := diag.Position{File: t.doc.File, Line: t.line, Column: t.col + 1}
			t.advance(got, width)
			t.last = pos
			return pos
		case width == 0 || got == ' ' || got == '\t' || got == '\n':
			t.advance(got, width)
		default:
			return t.last // they disagree; stay at the last place that was certain
		}
	}
}

// unit reads what stands at the tracer's place: a character and how many characters of source it takes. The
// end of a line counts as one.
func (t *tracer) unit() (r rune, width int, ok bool) {
	if t.col >= len(t.text) {
		return '\n', 1, t.line < len(t.doc.lines)
	}
	r = t.text[t.col]
	switch {
	case t.style == SingleQuoted && r == '\'' && t.col+1 < len(t.text) && t.text[t.col+1] == '\'':
		return '\'', 2, true
	case t.style == DoubleQuoted && r == '\\':
		r, width = t.escape()
		return r, width, true
	}
	return r, 1, true
}

// escape reads an escape sequence of a double-quoted scalar. A backslash at the end of a line stands for
// nothing; it has width 0 here and advance steps over it.
func (t *tracer) escape() (rune, int) {
	if t.col+1 >= len(t.text) {
		return '\n', 0
	}
	var digits int
	switch c := t.text[t.col+1]; c {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		if r, ok := simpleEscape(c); ok {
			return r, 2
		}
		return c, 2
	}
	if t.col+2+digits > len(t.text) {
		return utf8.RuneError, 2
	}
	code, err := strconv.ParseUint(string(t.text[t.col+2:t.col+2+digits]), 16, 32)
	if err != nil {
		return utf8.RuneError, 2 + digits
	}
	return rune(code), 2 + digits
}

// simpleEscape is the meaning of a backslash and one letter, where it is not the letter itself.
func simpleEscape(c rune) (rune, bool) {
	switch c {
	case '0':
		return 0, true
	case 'a':
		return '\a', true
	case 'b':
		return '\b', true
	case 't':
		return '\t', true
	case 'n':
		return '\n', true
	case 'v':
		return '\v', true
	case 'f':
		return '\f', true
	case 'r':
		return '\r', true
	case 'e':
		return 0x1b, true
	case 'N':
		return 0x85, true
	case '_':
		return 0xa0, true
	case 'L':
		return 0x2028, true
	case 'P':
		return 0x2029, true
	}
	return 0, false
}

// advance steps over a unit. Only the end of a line leads to the next line; an escaped line break does not.
func (t *tracer) advance(r rune, width int) {
	if t.col < len(t.text) && width > 0 {
		t.col += width
		return
	}
	t.line, t.col = t.line+1, 0
	t.text = t.doc.characters(t.line)
}
