package document

import "strings"

// flat walks the characters of a value over its lines.
type flat struct {
	doc       *Document
	line, col int
}

// at is the character here; '\n' at the end of a line, 0 at the end of the document.
func (t *flat) at() rune {
	switch text := t.doc.characters(t.line); {
	case t.line > t.doc.Lines():
		return 0
	case t.col >= len(text):
		return '\n'
	default:
		return text[t.col]
	}
}

func (t *flat) next() {
	if t.at() == '\n' {
		t.line, t.col = t.line+1, 0
		return
	}
	t.col++
}

// quoted walks to the quote that ends a text.
func (t *flat) quoted() {
	quote := t.at()
	for t.next(); t.at() != 0; t.next() {
		switch c := t.at(); {
		case c == '\\' && quote == '"':
			t.next()
		case c == quote && quote == '\'' && t.ahead() == '\'':
			t.next()
		case c == quote:
			return
		}
	}
}

func (t *flat) ahead() rune {
	text := t.doc.characters(t.line)
	if t.col+1 < len(text) {
		return text[t.col+1]
	}
	return '\n'
}

// brackets walks to the bracket that ends a list or map. It returns how many are open where each line begins.
func (t *flat) brackets() map[int]int {
	depths := map[int]int{}
	depth, begins := 0, true // of a value
	for ; t.at() != 0; t.next() {
		if _, ok := depths[t.line]; !ok {
			depths[t.line] = depth
		}
		switch c := t.at(); {
		case (c == '"' || c == '\'') && begins:
			t.quoted()
			begins = false
		case c == '#' && begins: // behind white space, or what follows is a value without quotes
			for t.at() != '\n' && t.at() != 0 {
				t.next()
			}
		case c == '[' || c == '{':
			depth++
			begins = true
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return depths
			}
			begins = false
		case c == ',', c == ':' && isSpace(t.ahead()):
			begins = true
		case isSpace(c):
			if t.ahead() == '#' {
				begins = true
			}
		default:
			begins = false
		}
	}
	return depths
}

func isSpace(c rune) bool { return c == ' ' || c == '\t' || c == '\n' }

// write gives the document its layout.
func (f *formatter) write() string {
	var out []string
	for at := 1; at <= f.doc.Lines(); at++ {
		text := f.write1(at)
		if strings.TrimSpace(text) == "" && f.lines[at].inside == nil {
			if len(out) > 0 && out[len(out)-1] != "" {
				out = append(out, "")
			}
			continue
		}
		out = append(out, text)
	}
	for len(out) > 0 && out[len(out)-1] == "" && f.lines[f.doc.Lines()].inside == nil {
		out = out[:len(out)-1]
	}
	return strings.Join(out, "\n") + "\n"
}

// write1 gives one line its layout.
func (f *formatter) write1(at int) string {
	l, text := &f.lines[at], f.doc.Line(at)
	switch {
	case l.inside != nil:
		return l.inside.goesOn(at, text)
	case len(l.starts) > 0:
		return f.entries(at)
	case strings.HasPrefix(strings.TrimSpace(text), "#"):
		return strings.Repeat(" ", f.commentColumn(at)) + strings.TrimSpace(text)
	}
	return strings.TrimRight(text, " \t")
}

// goesOn lays out a further line of a value.
func (p *piece) goesOn(at int, text string) string {
	if p.isBlock() {
		return shifted(text, p.shift)
	}
	bare := strings.TrimSpace(text)
	if bare == "" {
		return ""
	}
	if p.node.Kind != scalarNode {
		depth := p.depths[at]
		if strings.ContainsAny(bare[:1], "]}") {
			depth--
		}
		return strings.Repeat(" ", p.column+depth*indentStep) + bare
	}
	column, least := len(text)-len(strings.TrimLeft(text, " \t"))+p.shift, p.level.new+indentStep
	return strings.Repeat(" ", max(column, least)) + bare
}

// shifted moves a line of a block to the right or left. White space at its end belongs to the text.
func shifted(text string, by int) string {
	if by >= 0 {
		if strings.Trim(text, " ") == "" {
			return text
		}
		return strings.Repeat(" ", by) + text
	}
	spaces := len(text) - len(strings.TrimLeft(text, " "))
	return text[min(spaces, -by):]
}

// entries lays out a line in which entries begin: dashes, a key, a value.
func (f *formatter) entries(at int) string {
	l, text := &f.lines[at], f.doc.characters(at)
	var out strings.Builder
	out.WriteString(strings.Repeat(" ", l.starts[0].level.new))
	for i, s := range l.starts {
		rest := ""
		switch s.kind {
		case startsItem:
			out.WriteString("-")
			rest = string(text[s.old+1:])
		case startsKey:
			name, after, ok := keyIn(string(text[s.old:]))
			if !ok {
				return string(text)
			}
			out.WriteString(name + ":")
			rest = after
		case startsValue:
			out.WriteString(f.tail(l, string(text[s.old:])))
			continue
		}
		switch bare := strings.TrimLeft(rest, " \t"); {
		case i < len(l.starts)-1:
			out.WriteString(" ")
		case strings.TrimSpace(bare) == "":
		case bare[0] == '#':
			out.WriteString(strings.TrimRight(rest, " \t")) // as far to the right as it stood
		default:
			out.WriteString(" " + f.tail(l, bare))
		}
	}
	return out.String()
}

// keyIn cuts a key from what follows its colon.
func keyIn(text string) (name, rest string, ok bool) {
	end := 0
	switch text[0] {
	case '"', '\'':
		d := &Document{lines: []string{text}, runes: [][]rune{[]rune(text)}}
		t := flat{doc: d, line: 1}
		if t.quoted(); t.line > 1 {
			return "", "", false
		}
		end = len(string([]rune(text)[:t.col+1]))
	default:
		for end < len(text) && !(text[end] == ':' && (end+1 == len(text) || isSpace(rune(text[end+1])))) {
			end++
		}
	}
	name = strings.TrimRight(text[:end], " \t")
	rest, ok = strings.CutPrefix(strings.TrimLeft(text[end:], " \t"), ":")
	return name, rest, ok
}

// tail lays out what stands behind a key or dash: a value, and perhaps a comment.
func (f *formatter) tail(l *line, text string) string {
	p := l.value
	if p == nil || p.node.Kind == scalarNode || p.last != p.node.Line {
		return strings.TrimRight(text, " \t")
	}
	d := &Document{lines: []string{text}, runes: [][]rune{[]rune(text)}}
	t := flat{doc: d, line: 1}
	t.brackets()
	if t.line > 1 {
		return strings.TrimRight(text, " \t")
	}
	runes := []rune(text)
	return spaced(runes[:t.col+1]) + strings.TrimRight(string(runes[t.col+1:]), " \t")
}

// spaced gives a list or map in brackets one space behind each comma and colon, and none elsewhere.
func spaced(text []rune) string {
	var out strings.Builder
	begins := true
	for i := 0; i < len(text); i++ {
		c := text[i]
		next := i + 1
		for next < len(text) && isSpace(text[next]) {
			next++
		}
		closes := next < len(text) && strings.ContainsRune(",]}", text[next])
		switch {
		case (c == '"' || c == '\'') && begins:
			d := &Document{lines: []string{string(text)}, runes: [][]rune{text}}
			t := flat{doc: d, line: 1, col: i}
			t.quoted()
			end := min(t.col, len(text)-1)
			out.WriteString(string(text[i : end+1]))
			if i, begins = end, false; i+1 < len(text) && text[i+1] == ':' {
				out.WriteString(": ") // behind quotes a colon needs no space
				for i++; i+1 < len(text) && isSpace(text[i+1]); i++ {
				}
				begins = true
			}
		case c == '[' || c == '{':
			out.WriteRune(c)
			i, begins = next-1, true
		case c == ',':
			out.WriteRune(c)
			if !closes {
				out.WriteByte(' ')
			}
			i, begins = next-1, true
		case c == ':' && next > i+1:
			out.WriteRune(c)
			if !closes {
				out.WriteByte(' ')
			}
			i, begins = next-1, true
		case isSpace(c):
			colon := next < len(text) && text[next] == ':' && (next+1 == len(text) || isSpace(text[next+1]))
			if !closes && !colon {
				out.WriteString(string(text[i:next]))
			}
			i = next - 1
		default:
			out.WriteRune(c)
			begins = false
		}
	}
	return out.String()
}

// commentColumn finds the column of a comment on a line of its own: that of what it stood in line with, first
// of all of the entry below it.
func (f *formatter) commentColumn(at int) int {
	text := f.doc.Line(at)
	old := len(text) - len(strings.TrimLeft(text, " \t"))
	above, below := f.lines[at].above, f.lines[at].below
	if below != nil && below.old == old {
		return below.level.new
	}
	var around []*level // innermost first
	for _, s := range []*start{above, below} {
		if s == nil {
			continue
		}
		for l := s.level; l != nil; l = l.outer {
			around = append(around, l)
		}
	}
	var nearest *level
	for _, l := range around {
		switch {
		case l.old == old: // of several in one column the outermost: it comes last
			nearest = l
		case l.old < old && (nearest == nil || l.old > nearest.old):
			nearest = l
		}
	}
	if nearest == nil {
		return 0
	}
	return nearest.new
}
