package odata

import (
	"fmt"
	"slices"
	"strings"
)

// parser walks the tokens by recursive descent: or, and, not, then single terms.
type parser struct {
	tokens      []token
	at          int
	depth       int
	terms       int
	variables   []variable
	comparisons []Comparison
}

// variable is a lambda's name for an element, with the path of its collection.
type variable struct {
	name string
	path []string
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// word takes a name if it is the one wanted.
func (p *parser) word(text string) bool {
	if t := p.peek(); t.kind == tokenName && t.text == text {
		p.at++
		return true
	}
	return false
}

// punct takes a punctuation mark if it is the one wanted.
func (p *parser) punct(text string) bool {
	if t := p.peek(); t.kind == tokenPunct && t.text == text {
		p.at++
		return true
	}
	return false
}

func (p *parser) unexpected(wanted string) error {
	t := p.peek()
	found := fmt.Sprintf("%q", t.text)
	if t.kind == tokenEnd {
		found = "the end"
	}
	return &SyntaxError{t.offset, fmt.Sprintf("found %s, expected %s", found, wanted)}
}

// deeper guards the recursion; the caller calls the returned function on the way out.
func (p *parser) deeper() (func(), error) {
	if p.depth >= MaxDepth {
		return nil, &SyntaxError{p.peek().offset, fmt.Sprintf("more than %d levels inside one another", MaxDepth)}
	}
	p.depth++
	return func() { p.depth-- }, nil
}

// term counts comparisons and list members.
func (p *parser) term() error {
	if p.terms++; p.terms > MaxTerms {
		return &SyntaxError{p.peek().offset, fmt.Sprintf("more than %d terms", MaxTerms)}
	}
	return nil
}

func (p *parser) or() (node, error) {
	left, err := p.and()
	if err != nil {
		return nil, err
	}
	parts := []node{left}
	for p.word("or") {
		part, err := p.and()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return junction{parts, true}.reduce(), nil
}

func (p *parser) and() (node, error) {
	left, err := p.not()
	if err != nil {
		return nil, err
	}
	parts := []node{left}
	for p.word("and") {
		part, err := p.not()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return junction{parts, false}.reduce(), nil
}

func (p *parser) not() (node, error) {
	if !p.word("not") {
		return p.primary()
	}
	leave, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer leave()
	inner, err := p.not()
	if err != nil {
		return nil, err
	}
	return negation{inner}, nil
}

// primary reads a parenthesis, a lambda, a comparison or a property standing alone.
func (p *parser) primary() (node, error) {
	if p.punct("(") {
		leave, err := p.deeper()
		if err != nil {
			return nil, err
		}
		defer leave()
		inner, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.punct(")") {
			return nil, p.unexpected("a closing parenthesis")
		}
		return inner, nil
	}
	if err := p.term(); err != nil {
		return nil, err
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	if left.quantifier != "" {
		return p.lambda(left)
	}
	return p.comparison(left)
}

var comparisonOps = []string{"eq", "ne", "gt", "ge", "lt", "le"}

func (p *parser) comparison(left operand) (node, error) {
	t := p.peek()
	switch {
	case t.kind == tokenName && slices.Contains(comparisonOps, t.text):
		p.take()
		right, err := p.operand()
		if err != nil {
			return nil, err
		}
		if right.quantifier != "" {
			return nil, &SyntaxError{t.offset, "any and all cannot be compared"}
		}
		p.note(t.text, left, right)
		return comparison{t.text, left, right}, nil
	case p.word("in"):
		return p.list(left)
	case left.isLiteral() && left.literal.Kind != Bool:
		return nil, p.unexpected("a comparison such as eq")
	}
	p.note("", left)
	return comparison{"eq", left, operand{literal: Literal{Kind: Bool, Text: "true"}}}, nil
}

// list reads the members of an in.
func (p *parser) list(left operand) (node, error) {
	if !p.punct("(") {
		return nil, p.unexpected("a list in parentheses")
	}
	var members []Literal
	for {
		t := p.peek()
		if t.kind != tokenLiteral {
			return nil, p.unexpected("a literal")
		}
		if err := p.term(); err != nil {
			return nil, err
		}
		p.take()
		members = append(members, t.literal)
		if p.punct(")") {
			break
		}
		if !p.punct(",") {
			return nil, p.unexpected("a comma or a closing parenthesis")
		}
	}
	if !left.isLiteral() {
		p.comparisons = append(p.comparisons, Comparison{Path: p.fullPath(left), Op: "in", Literals: members})
	}
	return membership{left, members}, nil
}

// lambda reads what follows path/any( or path/all(.
func (p *parser) lambda(collection operand) (node, error) {
	leave, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer leave()
	p.comparisons = append(p.comparisons, Comparison{Path: p.fullPath(collection), Op: collection.quantifier})
	if collection.quantifier == "any" && p.punct(")") {
		return lambda{collection: collection, all: false}, nil
	}
	name := p.take()
	if name.kind != tokenName || strings.Contains(name.text, ".") {
		return nil, &SyntaxError{name.offset, "expected a name for the element, such as any(e:e/verdict eq 'malicious')"}
	}
	if !p.punct(":") {
		return nil, p.unexpected("a colon")
	}
	p.variables = append(p.variables, variable{name.text, p.fullPath(collection)})
	body, err := p.or()
	p.variables = p.variables[:len(p.variables)-1]
	if err != nil {
		return nil, err
	}
	if !p.punct(")") {
		return nil, p.unexpected("a closing parenthesis")
	}
	return lambda{collection: collection, name: name.text, body: body, all: collection.quantifier == "all"}, nil
}

// operand reads a literal or a path. A path that ends in any( or all( has the parenthesis taken.
func (p *parser) operand() (operand, error) {
	t := p.peek()
	if t.kind == tokenLiteral {
		p.take()
		return operand{literal: t.literal}, nil
	}
	var path []string
	for {
		t := p.peek()
		if t.kind != tokenName {
			return operand{}, p.unexpected("a property or a literal")
		}
		p.take()
		if p.punct("(") {
			if len(path) > 0 && (t.text == "any" || t.text == "all") {
				return operand{path: path, quantifier: t.text}, nil
			}
			return operand{}, &SyntaxError{t.offset, fmt.Sprintf("the function %q is not supported", t.text)}
		}
		path = append(path, t.text)
		if !p.punct("/") {
			return operand{path: path}, nil
		}
	}
}

// note remembers a comparison between a property and literals for Comparisons.
func (p *parser) note(op string, operands ...operand) {
	for i, o := range operands {
		if o.isLiteral() {
			continue
		}
		c := Comparison{Path: p.fullPath(o), Op: op}
		if other := len(operands) - 1 - i; other != i && operands[other].isLiteral() {
			c.Literals = []Literal{operands[other].literal}
		}
		p.comparisons = append(p.comparisons, c)
	}
}

// fullPath replaces a lambda's variable by the path of its collection.
func (p *parser) fullPath(o operand) []string {
	for i := len(p.variables) - 1; i >= 0; i-- {
		if v := p.variables[i]; v.name == o.path[0] {
			return append(slices.Clone(v.path), o.path[1:]...)
		}
	}
	return o.path
}
