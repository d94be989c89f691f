package document

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/playbookd/playbookd/internal/diag"
)

// builder turns the library's tree into ours and reports what is refused on the way.
type builder struct {
	doc      *Document
	findings diag.Findings
}

// report adds an error about a node of the library.
func (b *builder) report(y *yaml.Node, length int, code, message, mend string) {
	b.findings = append(b.findings, b.doc.Finding(code, diag.Error, b.doc.pos(y), length, message, mend))
}

// node converts one node. What is refused becomes a null of the same place, so that the rest can be checked.
func (b *builder) node(y *yaml.Node, depth int) *Node {
	n := &Node{Pos: b.doc.pos(y), Length: 1, doc: b.doc}
	if depth > MaxDepth {
		b.report(y, 1, codeDepth, fmt.Sprintf("maps and lists are nested more than %d deep", MaxDepth),
			"move the inner part into a playbook of its own")
		return n
	}
	if y.Anchor != "" {
		b.report(y, 1+utf8.RuneCountInString(y.Anchor), codeAlias,
			fmt.Sprintf("the anchor &%s is not allowed", y.Anchor),
			"remove it and repeat the value where it is needed; put quotes around a text that starts with &")
	}
	if y.Style&yaml.TaggedStyle != 0 {
		b.report(y, utf8.RuneCountInString(y.Tag), codeTag, fmt.Sprintf("the tag %s is not allowed", y.Tag),
			"remove it; put quotes around what should be text")
	}
	switch y.Kind {
	case yaml.AliasNode:
		b.report(y, 1+utf8.RuneCountInString(y.Value), codeAlias,
			fmt.Sprintf("the alias *%s is not allowed", y.Value),
			"repeat the value; put quotes around a text that starts with *")
	case yaml.MappingNode:
		b.mapping(n, y, depth)
	case yaml.SequenceNode:
		n.Kind = List
		for _, item := range y.Content {
			n.Items = append(n.Items, b.node(item, depth+1))
		}
	case yaml.ScalarNode:
		b.scalar(n, y)
	}
	return n
}

// mapping converts a map. Keys are texts; a key of another kind, or one that was there before, is left out.
func (b *builder) mapping(n *Node, y *yaml.Node, depth int) {
	n.Kind = Map
	seen := make(map[string]int, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		yk, yv := y.Content[i], y.Content[i+1]
		value := b.node(yv, depth+1)
		switch {
		case yk.Kind != yaml.ScalarNode && yk.Kind != yaml.AliasNode:
			b.report(yk, 1, codeKey, "a key must be a text, not a list or map",
				"if this is an expression, put quotes around it: \"${{ … }}\"")
			continue
		case yk.Kind == yaml.ScalarNode && yk.Value == "<<" && yk.Style&quotedStyles == 0:
			b.report(yk, 2, codeAlias, "the merge key << is not allowed", "write the keys out")
			continue
		case yk.Kind == yaml.ScalarNode && yk.Value == "" && yk.Style&quotedStyles == 0:
			b.report(yk, 1, codeKey, "a key is missing before this colon", "name the key, or remove the line")
			continue
		}
		key := b.key(yk, depth+1)
		if key == nil {
			continue
		}
		if line, ok := seen[key.Text]; ok {
			b.report(yk, key.Length, codeDuplicate,
				fmt.Sprintf("the key %s is given twice, first on line %d", quoteShort(key.Text), line),
				"remove one of them or merge their values")
			continue
		}
		seen[key.Text] = key.Pos.Line
		n.Pairs = append(n.Pairs, Pair{Key: key, Value: value})
	}
	if len(n.Pairs) > 0 && n.Pairs[0].Key.Pos == n.Pos {
		n.Length = n.Pairs[0].Key.Length
	}
}

// key converts a key without judging words such as "on": where a text must stand, it can only be text.
func (b *builder) key(y *yaml.Node, depth int) *Node {
	if y.Kind == yaml.AliasNode || y.Anchor != "" || y.Style&yaml.TaggedStyle != 0 {
		b.node(y, depth) // reports it
		return nil
	}
	key := &Node{Kind: String, Style: styleOf(y), Text: y.Value, Pos: b.doc.pos(y), doc: b.doc}
	key.Length = b.doc.scalarLength(key)
	return key
}

// scalar resolves a scalar by the core schema.
func (b *builder) scalar(n *Node, y *yaml.Node) {
	n.Style, n.Text = styleOf(y), y.Value
	n.Length = b.doc.scalarLength(n)
	if n.Style.Quoted() {
		n.Kind = String
		return
	}
	problem := n.resolve()
	if problem != nil {
		b.findings = append(b.findings, *problem)
	}
	if n.Kind == String {
		b.checkComment(n)
	}
}

const quotedStyles = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

func styleOf(y *yaml.Node) Style {
	switch {
	case y.Style&yaml.SingleQuotedStyle != 0:
		return SingleQuoted
	case y.Style&yaml.DoubleQuotedStyle != 0:
		return DoubleQuoted
	case y.Style&yaml.LiteralStyle != 0:
		return Literal
	case y.Style&yaml.FoldedStyle != 0:
		return Folded
	}
	return Plain
}

// The regular expressions of the core schema of YAML 1.2.
var (
	intForm   = regexp.MustCompile(`^[-+]?[0-9]+$`)
	hexForm   = regexp.MustCompile(`^0x[0-9a-fA-F]+$`)
	octForm   = regexp.MustCompile(`^0o[0-7]+$`)
	floatForm = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	zeroForm  = regexp.MustCompile(`^[-+]?0[0-9]`)
)

// resolve gives a plain scalar its kind and value.
func (n *Node) resolve() *diag.Finding {
	n.Kind = String
	switch n.Text {
	case "", "~", "null", "Null", "NULL":
		n.Kind = Null
		return nil
	case "true", "True", "TRUE":
		n.Kind, n.bool = Bool, true
		return nil
	case "false", "False", "FALSE":
		n.Kind = Bool
		return nil
	case "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF":
		f := n.Error(codeBoolean, fmt.Sprintf("%s without quotes is a boolean for some YAML readers and text for others", n.Text),
			fmt.Sprintf(`write "%s" if you mean the word, true or false if you mean a boolean`, n.Text))
		return &f
	case ".inf", ".Inf", ".INF", "+.inf", "-.inf", ".nan", ".NaN", ".NAN":
		f := n.Error(codeNumber, n.Text+" is not a number that can be used here", "write quotes if you mean the text")
		return &f
	}
	return n.resolveNumber()
}

// resolveNumber gives a plain scalar that looks like a number its value.
func (n *Node) resolveNumber() *diag.Finding {
	var err error
	switch {
	case zeroForm.MatchString(n.Text) && floatForm.MatchString(n.Text):
		f := n.Error(codeOctal, fmt.Sprintf("%s starts with a zero: an octal number for some YAML readers", n.Text),
			fmt.Sprintf(`write "%s" if it is an identifier, or the number without leading zeros`, n.Text))
		return &f
	case intForm.MatchString(n.Text):
		n.int, err = strconv.ParseInt(n.Text, 10, 64)
		n.Kind = Int
	case hexForm.MatchString(n.Text), octForm.MatchString(n.Text):
		n.int, err = strconv.ParseInt(n.Text, 0, 64)
		n.Kind = Int
	case floatForm.MatchString(n.Text):
		n.float, err = strconv.ParseFloat(n.Text, 64)
		n.Kind = Float
	}
	if err != nil || math.IsInf(n.float, 0) {
		n.Kind, n.int, n.float = String, 0, 0
		f := n.Error(codeNumber, fmt.Sprintf("the number %s is too large", quoteShort(n.Text)),
			"write quotes if it is an identifier")
		return &f
	}
	return nil
}

// checkComment finds a text that was cut off by what its author did not mean as a comment: a bracket or an
// expression is still open, and the next thing on the line is a #.
func (b *builder) checkComment(n *Node) {
	if !open(n.Text) {
		return
	}
	last := n.OffsetPos(utf8.RuneCountInString(n.Text) - 1)
	line := b.doc.characters(last.Line)
	at := min(last.Column, len(line))
	for at < len(line) && (line[at] == ' ' || line[at] == '\t') {
		at++
	}
	if at >= len(line) || line[at] != '#' {
		return
	}
	pos := last
	pos.Column = at + 1
	b.findings = append(b.findings, b.doc.Finding(codeComment, diag.Error, pos, len(line)-at,
		"a space and # start a comment, so this is not part of the text before it",
		"put quotes around the whole text, or write it as a block after >"))
}

// open reports whether a text ends inside brackets or inside an expression.
func open(s string) bool {
	return strings.Count(s, "(") > strings.Count(s, ")") ||
		strings.Count(s, "[") > strings.Count(s, "]") ||
		strings.Count(s, "{") > strings.Count(s, "}")
}

// quoteShort quotes at most 60 characters.
func quoteShort(s string) string {
	r := []rune(s)
	if len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return strconv.Quote(s)
}
