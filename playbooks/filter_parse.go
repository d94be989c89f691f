package playbooks

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// A poll's filter is the part of OData's $filter that Graph is known to answer on alerts_v2 and
// incidents: eq ne gt ge lt le, in, and, or, not and parentheses over plain properties. This file
// turns its text into a tree; filter.go gives the tree its meaning.

// filterProblem is what is wrong with a filter, and where: Offset and Length count bytes of its
// text.
type filterProblem struct {
	code           string
	offset, length int
	message, mend  string
}

func (p *filterProblem) Error() string { return p.message }

// filterToken is a word, a literal or a mark of a filter.
type filterToken struct {
	kind   filterKind
	text   string // as written
	value  string // of a string: without quotes
	offset int
}

type filterKind int

const (
	filterEnd filterKind = iota
	filterWord
	filterString
	filterNumber
	filterMark
)

// lexFilter cuts a filter into tokens. The last one is always filterEnd.
func lexFilter(text string) ([]filterToken, *filterProblem) {
	var tokens []filterToken
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '\'':
			t, next, problem := lexFilterString(text, i)
			if problem != nil {
				return nil, problem
			}
			tokens, i = append(tokens, t), next
		case c == '(' || c == ')' || c == ',':
			tokens = append(tokens, filterToken{kind: filterMark, text: text[i : i+1], offset: i})
			i++
		case isFilterWord(c):
			start := i
			for i < len(text) && isFilterWord(text[i]) {
				i++
			}
			kind := filterWord
			if c >= '0' && c <= '9' || c == '-' || c == '+' {
				kind = filterNumber // or a timestamp, or a GUID: told apart by their property
			}
			tokens = append(tokens, filterToken{kind: kind, text: text[start:i], offset: start})
		default:
			return nil, unexpectedInFilter(text, i)
		}
	}
	return append(tokens, filterToken{kind: filterEnd, offset: len(text)}), nil
}

// oneLine is a filter as it is sent: OData knows no line breaks between words, and YAML writes them. What stands in
// quotes stays as it is, or other objects would be asked for than those that are meant.
func oneLine(text string) string {
	var out []byte
	quoted, gap := false, false
	for i := range len(text) {
		switch c := text[i]; {
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			gap = len(out) > 0
			continue
		case c == '\'':
			quoted = !quoted
		}
		if gap {
			out, gap = append(out, ' '), false
		}
		out = append(out, text[i])
	}
	return string(out)
}

func isFilterWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '_' || c == '.' || c == ':' || c == '-' || c == '+' || c == '/' || c == '@' || c == '$'
}

// lexFilterString reads a quoted string; a quote inside is doubled.
func lexFilterString(text string, start int) (filterToken, int, *filterProblem) {
	var value strings.Builder
	for i := start + 1; i < len(text); i++ {
		if text[i] != '\'' {
			value.WriteByte(text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '\'' {
			value.WriteByte('\'')
			i++
			continue
		}
		return filterToken{kind: filterString, text: text[start : i+1], value: value.String(), offset: start}, i + 1, nil
	}
	return filterToken{}, 0, &filterProblem{code: codeFilterSyntax, offset: start, length: len(text) - start,
		message: "the quoted text is not closed", mend: "end it with a single quote; write a quote inside as ''"}
}

// unexpectedInFilter explains the characters that people bring along from other languages.
func unexpectedInFilter(text string, at int) *filterProblem {
	r, size := utf8.DecodeRuneInString(text[at:])
	p := &filterProblem{code: codeFilterSyntax, offset: at, length: size,
		message: fmt.Sprintf("%q has no meaning in a filter", r),
		mend:    "a filter is OData: property, operator, literal, as in severity eq 'high' and status ne 'resolved'"}
	for _, known := range []struct{ wrong, right string }{
		{"==", "eq"}, {"!=", "ne"}, {">=", "ge"}, {"<=", "le"}, {">", "gt"}, {"<", "lt"},
		{"&&", "and"}, {"||", "or"}, {"!", "not"}, {"=", "eq"}, {`"`, "single quotes"},
	} {
		if strings.HasPrefix(text[at:], known.wrong) {
			p.length = len(known.wrong)
			p.message = fmt.Sprintf("%s has no meaning in a filter", known.wrong)
			p.mend = "OData writes " + known.right + " instead"
			return p
		}
	}
	return p
}

// filterNode is a node of a filter's tree: a comparison, or a joint of other nodes.
type filterNode struct {
	op       string // and, or, not; eq, ne, gt, ge, lt, le, in
	children []*filterNode
	property filterToken
	operator filterToken
	literals []filterToken
}

// filterParser reads tokens by recursive descent, with a bound on depth and size.
type filterParser struct {
	tokens      []filterToken
	at          int
	depth       int
	comparisons int
}

// parseFilter reads a whole filter.
func parseFilter(text string) (*filterNode, *filterProblem) {
	tokens, problem := lexFilter(text)
	if problem != nil {
		return nil, problem
	}
	p := &filterParser{tokens: tokens}
	if p.peek().kind == filterEnd {
		return nil, p.wrong(p.peek(), "the filter is empty", "leave the key out to poll everything")
	}
	node, problem := p.or()
	if problem != nil {
		return nil, problem
	}
	if t := p.peek(); t.kind != filterEnd {
		return nil, p.wrong(t, fmt.Sprintf("%s was not expected here", t.text), "join comparisons with and, or")
	}
	return node, nil
}

func (p *filterParser) peek() filterToken { return p.tokens[p.at] }

func (p *filterParser) next() filterToken {
	t := p.tokens[p.at]
	if t.kind != filterEnd {
		p.at++
	}
	return t
}

func (p *filterParser) wrong(t filterToken, message, mend string) *filterProblem {
	return &filterProblem{code: codeFilterSyntax, offset: t.offset, length: max(len(t.text), 1), message: message, mend: mend}
}

// word reports whether the next token is the given word and takes it. OData's words are lower case.
func (p *filterParser) word(w string) bool {
	if t := p.peek(); t.kind == filterWord && t.text == w {
		p.at++
		return true
	}
	return false
}

func (p *filterParser) or() (*filterNode, *filterProblem)  { return p.joint("or", p.and) }
func (p *filterParser) and() (*filterNode, *filterProblem) { return p.joint("and", p.not) }

func (p *filterParser) joint(op string, operand func() (*filterNode, *filterProblem)) (*filterNode, *filterProblem) {
	first, problem := operand()
	if problem != nil {
		return nil, problem
	}
	node := &filterNode{op: op, children: []*filterNode{first}}
	for p.word(op) {
		child, problem := operand()
		if problem != nil {
			return nil, problem
		}
		node.children = append(node.children, child)
	}
	if len(node.children) == 1 {
		return first, nil
	}
	return node, nil
}

func (p *filterParser) not() (*filterNode, *filterProblem) {
	t := p.peek()
	isMark := t.kind == filterMark && t.text == "("
	if !isMark && !(t.kind == filterWord && t.text == "not") {
		return p.comparison()
	}
	if p.depth++; p.depth > MaxFilterDepth {
		return nil, &filterProblem{code: codeLimit, offset: t.offset, length: len(t.text),
			message: fmt.Sprintf("the filter is nested more than %d deep", MaxFilterDepth), mend: "write it flatter, or say it in when"}
	}
	defer func() { p.depth-- }()
	p.next()
	if !isMark {
		child, problem := p.not()
		if problem != nil {
			return nil, problem
		}
		return &filterNode{op: "not", children: []*filterNode{child}}, nil
	}
	node, problem := p.or()
	if problem != nil {
		return nil, problem
	}
	if end := p.next(); end.text != ")" || end.kind != filterMark {
		return nil, p.wrong(end, "the parenthesis is not closed", "add )")
	}
	return node, nil
}

func (p *filterParser) comparison() (*filterNode, *filterProblem) {
	property := p.next()
	switch {
	case property.kind == filterEnd:
		return nil, p.wrong(property, "the filter ends where a comparison should follow", "add one, or remove the last and, or, not")
	case property.kind != filterWord:
		return nil, p.wrong(property, "a comparison starts with a property, not with "+property.text,
			"put the property first: severity eq 'high'")
	case p.peek().kind == filterMark && p.peek().text == "(":
		return nil, p.wrong(property, "the function "+property.text+" is not answered by Graph in this filter",
			"say it in when: it is checked here for each event")
	}
	if p.comparisons++; p.comparisons > MaxFilterComparisons {
		return nil, &filterProblem{code: codeLimit, offset: property.offset, length: len(property.text),
			message: fmt.Sprintf("the filter has more than %d comparisons", MaxFilterComparisons), mend: "say the rest in when"}
	}
	operator := p.next()
	node := &filterNode{op: operator.text, property: property, operator: operator}
	switch operator.text {
	case "eq", "ne", "gt", "ge", "lt", "le":
		literal, problem := p.literal()
		if problem != nil {
			return nil, problem
		}
		node.literals = []filterToken{literal}
		return node, nil
	case "in":
		return node, p.list(node)
	}
	return nil, p.wrong(operator, operatorMessage(property, operator), "operators are eq, ne, gt, ge, lt, le and in")
}

func operatorMessage(property, operator filterToken) string {
	if operator.kind == filterEnd {
		return "an operator is missing after " + property.text
	}
	return operator.text + " is not an operator"
}

// list reads the literals of an in.
func (p *filterParser) list(node *filterNode) *filterProblem {
	if open := p.next(); open.kind != filterMark || open.text != "(" {
		return p.wrong(open, "a list in parentheses follows in", "write in ('low', 'medium')")
	}
	for {
		literal, problem := p.literal()
		if problem != nil {
			return problem
		}
		node.literals = append(node.literals, literal)
		if p.comparisons++; p.comparisons > MaxFilterComparisons {
			return &filterProblem{code: codeLimit, offset: literal.offset, length: len(literal.text),
				message: fmt.Sprintf("the filter has more than %d comparisons", MaxFilterComparisons), mend: "say the rest in when"}
		}
		switch t := p.next(); {
		case t.kind == filterMark && t.text == ",":
		case t.kind == filterMark && t.text == ")":
			return nil
		default:
			return p.wrong(t, "the list is not closed", "separate literals with commas and end the list with )")
		}
	}
}

func (p *filterParser) literal() (filterToken, *filterProblem) {
	t := p.next()
	switch t.kind {
	case filterString, filterNumber:
		return t, nil
	case filterWord:
		if t.text == "null" || t.text == "true" || t.text == "false" {
			return t, nil
		}
		return t, p.wrong(t, t.text+" is not a literal", "text and enum values stand in single quotes: '"+t.text+"'")
	case filterEnd:
		return t, p.wrong(t, "a literal is missing at the end", "add one, as in severity eq 'high'")
	}
	return t, p.wrong(t, t.text+" was not expected here", "a literal belongs here: 'text', a timestamp, or null")
}

// filterTime reads a timestamp as OData writes it: bare, ISO 8601, with a zone.
func filterTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil && filterTimeForm.MatchString(s)
}

// filterTimeForm is what OData takes for a timestamp; time.Parse knows more forms, such as hours of one digit.
var filterTimeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)
