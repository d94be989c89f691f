package diag

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// MaxExcerpt is how many columns of a source line are shown; a longer line is cut around the caret.
const MaxExcerpt = 100

// ANSI sequences for the few things that are coloured.
const (
	bold   = "\x1b[1m"
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	blue   = "\x1b[34m"
	reset  = "\x1b[0m"
)

// Render writes findings for people: the place, the message, the source line with a caret, the mend.
//
//	close.yaml:12:9: error PB012: the key "statsu" is not known
//	   12 |         statsu: resolved
//	      |         ^^^^^^
//	   mend: did you mean "status"?
//
// Findings are written in the order given. With color, ANSI sequences mark severity and caret.
func Render(w io.Writer, findings Findings, color bool) error {
	out := bufio.NewWriter(w)
	for _, f := range findings {
		renderOne(out, f, painter(color))
	}
	return out.Flush()
}

// painter wraps text in a colour, or does not.
type painter bool

func (p painter) paint(style, s string) string {
	if !p {
		return s
	}
	return style + s + reset
}

// renderOne writes one finding. Errors of the writer are kept by bufio and reported by Flush.
func renderOne(out *bufio.Writer, f Finding, p painter) {
	style := red
	if f.Severity == Warning {
		style = yellow
	}
	fmt.Fprintf(out, "%s: %s %s\n",
		p.paint(bold, plain(f.Pos.String())),
		p.paint(style, strings.TrimSpace(string(f.Severity)+" "+f.Code)+":"),
		plain(f.Message))
	if f.Pos.Line > 0 && f.Excerpt != "" {
		line, pad, carets := window(f.Excerpt, f.Pos.Column, f.Length)
		number := strconv.Itoa(f.Pos.Line)
		gutter := max(5, len(number)+3)
		fmt.Fprintf(out, "%s %s\n", p.paint(blue, fmt.Sprintf("%*s |", gutter, number)), line)
		if carets > 0 {
			fmt.Fprintf(out, "%s %s%s\n",
				p.paint(blue, fmt.Sprintf("%*s |", gutter, "")),
				strings.Repeat(" ", pad),
				p.paint(style, strings.Repeat("^", carets)))
		}
	}
	if f.Mend != "" {
		fmt.Fprintf(out, "   mend: %s\n", plain(f.Mend))
	}
}

// cell is one character of an excerpt as it will be shown.
type cell struct {
	text  string
	width int
}

// window lays a source line out for a terminal: harmless characters, tabs widened, at most MaxExcerpt columns
// around the caret. It returns the text, the columns before the caret and the width of the caret.
func window(line string, column, length int) (text string, pad, carets int) {
	cells := layOut(line)
	at := min(max(column, 1)-1, len(cells)) // one past the end is a place too: "something is missing here"
	end := min(at+max(length, 1), len(cells))

	from, to := cut(cells, at, end)
	var b strings.Builder
	if from > 0 {
		b.WriteRune('…')
		pad++
	}
	for i := from; i < to; i++ {
		b.WriteString(cells[i].text)
		switch {
		case i < at:
			pad += cells[i].width
		case i < end:
			carets += cells[i].width
		}
	}
	if to < len(cells) {
		b.WriteRune('…')
	}
	if column <= 0 {
		return b.String(), 0, 0
	}
	return b.String(), pad, max(carets, 1)
}

// layOut turns a line into cells. The input is cut first, far beyond what can be shown, so that a line of a
// quarter megabyte costs little.
func layOut(line string) []cell {
	line = strings.TrimRight(line, "\r\n")
	cells := make([]cell, 0, min(len(line), 512))
	for _, r := range line {
		if r == '\t' {
			cells = append(cells, cell{strings.Repeat(" ", tabWidth), tabWidth})
			continue
		}
		r = visible(r)
		cells = append(cells, cell{string(r), width(r)})
	}
	return cells
}

// cut chooses the cells to show: all of them if they fit, otherwise those around the caret, with a third of
// the room before it. A run of zero-width marks is cut by count as well, so that it cannot grow without end.
func cut(cells []cell, at, end int) (from, to int) {
	total := 0
	for _, c := range cells {
		total += c.width
	}
	if total <= MaxExcerpt && len(cells) <= 2*MaxExcerpt {
		return 0, len(cells)
	}
	from = at
	for room := MaxExcerpt / 3; from > 0 && at-from < MaxExcerpt && room >= cells[from-1].width; from-- {
		room -= cells[from-1].width
	}
	used := 0
	for to = from; to < len(cells) && to-from < 2*MaxExcerpt && used+cells[to].width <= MaxExcerpt; to++ {
		used += cells[to].width
	}
	return from, to
}
