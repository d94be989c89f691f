package document

import (
	"slices"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"

	"github.com/playbookd/playbookd/internal/diag"
)

// Format gives a document the layout that all documents have: two spaces for each level, lists indented
// below their key, one space where one is enough, at most one empty line in a row. It changes white space
// between things and nothing else: not the order of keys, not a comment, not how a value is written, not where
// lines are broken. So what the document means stays, and the difference that a reader has to look at is small.
//
// A document with errors is not formatted; the findings say why. A document in a form that is too rare to have
// a layout, such as keys after a question mark, comes back as it is.
func Format(file string, src []byte) ([]byte, diag.Findings) {
	out, _, findings := format(file, src)
	return out, findings
}

// format says as well whether the document has a layout.
func format(file string, src []byte) (out []byte, laidOut bool, findings diag.Findings) {
	d, findings := Read(file, src)
	if d.Root == nil || findings.HasErrors() {
		return nil, false, findings
	}
	top, _ := d.parse(src)
	f := &formatter{doc: d, lines: make([]line, len(d.lines)+1)}
	if !f.layOut(top) {
		return src, false, findings
	}
	if out = []byte(f.write()); !sameDocument(file, d, out) {
		return src, false, findings
	}
	return out, true, findings
}

// sameDocument says whether a text means what the document means, and has every character of it but white space.
func sameDocument(file string, d *Document, out []byte) bool {
	again, findings := Read(file, out)
	if again.Root == nil || findings.HasErrors() || !sameNode(d.Root, again.Root) {
		return false
	}
	return inked(strings.Join(d.lines, "\n")) == inked(string(out))
}

// inked is a text without its white space.
func inked(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

func sameNode(a, b *Node) bool {
	if a.Kind != b.Kind || a.Style != b.Style || a.Text != b.Text || len(a.Items) != len(b.Items) || len(a.Pairs) != len(b.Pairs) {
		return false
	}
	for i := range a.Items {
		if !sameNode(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for i := range a.Pairs {
		if !sameNode(a.Pairs[i].Key, b.Pairs[i].Key) || !sameNode(a.Pairs[i].Value, b.Pairs[i].Value) {
			return false
		}
	}
	return a.bool == b.bool && a.int == b.int && a.float == b.float
}

// formatter lays out one document, line by line. Columns count from 0, in characters.
type formatter struct {
	doc   *Document
	lines []line // by number, from 1
}

// line is what is known of one line of the source.
type line struct {
	starts []start // entries that begin here, from left to right
	value  *piece  // a value that begins here
	inside *piece  // a value of several lines that goes on here

	above, below *start // the nearest entries; nil: there is none
}

// level is one block of keys, or of items.
type level struct {
	outer    *level
	old, new int // column
}

// start is where an entry of a block begins: a key, the dash of an item, or a value on a line of its own.
type start struct {
	level *level
	old   int
	kind  startKind
	key   *yaml.Node
}

type startKind int

const (
	startsKey startKind = iota
	startsItem
	startsValue
)

// piece is a value that is no block of its own: a scalar, or a list or map in brackets.
type piece struct {
	node  *yaml.Node
	level *level // of the entry that it belongs to
	last  int    // line

	column int         // of the entry or, on a line of its own, of the value
	shift  int         // by how much further lines of text move
	depths map[int]int // of brackets: how many are open where a further line begins
}

const indentStep = 2

const scalarNode = yaml.ScalarNode

func (p *piece) isBlock() bool {
	return p.node.Kind == scalarNode && p.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
}

// layOut finds out where everything belongs. It is false for what has no layout.
func (f *formatter) layOut(top *yaml.Node) bool {
	inBrackets := top.Style&yaml.FlowStyle != 0
	if isMarker(f.doc.Line(top.Line)) || inBrackets || top.Kind != yaml.MappingNode && top.Kind != yaml.SequenceNode {
		return false
	}
	if !f.block(top, &level{old: top.Column - 1}) {
		return false
	}
	for at := range f.lines {
		if p := f.lines[at].value; p != nil && p.last == 0 {
			f.plainScalar(p)
		}
	}
	f.neighbours()
	return true
}

// neighbours tells each line what begins before and behind it.
func (f *formatter) neighbours() {
	var near *start
	for at := range f.lines {
		f.lines[at].above = near
		if s := f.lines[at].starts; len(s) > 0 {
			near = &s[len(s)-1]
		}
	}
	near = nil
	for at := range slices.Backward(f.lines) {
		f.lines[at].below = near
		if s := f.lines[at].starts; len(s) > 0 {
			near = &s[0]
		}
	}
}

// isMarker recognises the lines that begin and end documents.
func isMarker(text string) bool {
	return strings.HasPrefix(text, "---") || strings.HasPrefix(text, "...") || strings.HasPrefix(text, "%")
}

// block lays out a map or list that is not in brackets.
func (f *formatter) block(n *yaml.Node, l *level) bool {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			f.start(key.Line, start{level: l, old: key.Column - 1, kind: startsKey, key: key})
			if !f.value(n.Content[i+1], l, key.Line) {
				return false
			}
		}
		return true
	}
	above := 0
	for _, item := range n.Content {
		at := f.dash(item, l.old, above)
		if at == 0 {
			return false
		}
		f.start(at, start{level: l, old: l.old, kind: startsItem})
		if above = at; !f.value(item, l, at) {
			return false
		}
	}
	return true
}

// dash finds the line with the dash of an item; 0: there is none.
func (f *formatter) dash(item *yaml.Node, column, above int) int {
	for at := item.Line; at > above; at-- {
		text := f.doc.characters(at)
		if column < len(text) && text[column] == '-' && strings.Trim(string(text[:column]), " -") == "" &&
			(column+1 == len(text) || text[column+1] == ' ' || text[column+1] == '\t') {
			return at
		}
	}
	return 0
}

func (f *formatter) start(at int, s start) {
	f.lines[at].starts = append(f.lines[at].starts, s)
}

// value lays out the value of an entry that begins in a line.
func (f *formatter) value(v *yaml.Node, l *level, from int) bool {
	block := v.Style&yaml.FlowStyle == 0
	if (v.Kind == yaml.MappingNode || v.Kind == yaml.SequenceNode) && block {
		return f.block(v, &level{outer: l, old: v.Column - 1, new: l.new + indentStep})
	}
	if v.Kind == yaml.ScalarNode && v.Value == "" && v.Style == 0 {
		return true // nothing is written
	}
	p := &piece{node: v, level: l, last: v.Line, column: l.new, shift: l.new - l.old}
	if v.Line != from {
		own := &level{outer: l, old: v.Column - 1, new: l.new + indentStep}
		f.start(v.Line, start{level: own, old: own.old, kind: startsValue})
		p.column, p.shift = own.new, own.new-own.old
	}
	f.lines[v.Line].value = p
	switch {
	case v.Kind != yaml.ScalarNode:
		text := flat{doc: f.doc, line: v.Line, col: v.Column - 1}
		p.depths = text.brackets()
		p.last = text.line
	case v.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		f.blockScalar(p)
	case v.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		text := flat{doc: f.doc, line: v.Line, col: v.Column - 1}
		text.quoted()
		p.last = text.line
	default:
		p.last = 0 // is found when all starts are known
		return true
	}
	f.goesOn(p)
	return true
}

// goesOn marks the further lines of a value.
func (f *formatter) goesOn(p *piece) {
	for at := p.node.Line + 1; at <= p.last && at < len(f.lines); at++ {
		f.lines[at].inside = p
	}
}

// plainScalar finds the lines of a scalar without quotes: up to the next entry or comment.
func (f *formatter) plainScalar(p *piece) {
	p.last = p.node.Line
	for at := p.node.Line + 1; at <= f.doc.Lines(); at++ {
		text := strings.TrimSpace(f.doc.Line(at))
		if len(f.lines[at].starts) > 0 || strings.HasPrefix(text, "#") || isMarker(f.doc.Line(at)) {
			break
		}
		if text != "" {
			p.last = at
		}
	}
	f.goesOn(p)
}

// blockScalar finds the lines of a scalar after | or >, and how far they move.
func (f *formatter) blockScalar(p *piece) {
	head := string(f.doc.characters(p.node.Line)[p.node.Column-1:])
	head, _, _ = strings.Cut(head, " ")
	indent := -1
	if at := strings.IndexAny(head, "123456789"); at >= 0 {
		indent = p.level.old + int(head[at]-'0')
		p.shift = p.level.new - p.level.old
	}
	at := p.node.Line + 1
	for ; at <= f.doc.Lines(); at++ {
		text := f.doc.Line(at)
		if strings.TrimLeft(text, " ") == "" {
			continue
		}
		spaces := len(text) - len(strings.TrimLeft(text, " "))
		if indent < 0 && spaces > p.level.old {
			indent = spaces
			p.shift = p.level.new + indentStep - indent
		}
		if indent < 0 || spaces < indent {
			break
		}
	}
	p.last = at - 1
	if strings.Contains(head, "+") {
		return // empty lines at the end count
	}
	for p.last > p.node.Line && strings.TrimSpace(f.doc.Line(p.last)) == "" {
		p.last--
	}
}
