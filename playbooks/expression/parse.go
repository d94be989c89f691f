package expression

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"
)

// tree is an expression as expr's parser read it, with its tokens: the parser forgets parentheses and the
// extent of a node, and both are needed to quote an author's words back.
type tree struct {
	src    string
	runes  []rune
	tokens []lexer.Token
	root   ast.Node
	types  map[ast.Node]Type // filled by the checker
}

// parse reads an expression within the limits on its text.
func parse(src string) (*tree, *Problem) {
	if len(src) > MaxSource {
		return nil, &Problem{
			Message: fmt.Sprintf("the expression has %d bytes; at most %d are read", len(src), MaxSource),
			Mend:    "put parts of it into vars, and long lists into watchlists",
			Length:  1,
		}
	}
	if !utf8.ValidString(src) {
		return nil, &Problem{Message: "the expression is not UTF-8", Mend: "write unusual characters as escapes in quotes", Length: 1}
	}
	if strings.TrimSpace(src) == "" {
		return nil, &Problem{Message: "the expression is empty", Mend: "write a condition or a value", Length: max(1, utf8.RuneCountInString(src))}
	}
	t := &tree{src: src, runes: []rune(src), types: map[ast.Node]Type{}}
	var err error
	if t.tokens, err = lexer.Lex(file.NewSource(src)); err != nil {
		return nil, t.syntax(err)
	}
	if problem := t.comments(); problem != nil {
		return nil, problem
	}
	if t.root, err = t.nodes(); err != nil {
		return nil, t.syntax(err)
	}
	return t, nil
}

// nodes runs expr's parser with every built-in function switched off, so that a call is a call and our table
// alone says what it means. Only the forms with a predicate (any, map …) are syntax and remain.
func (t *tree) nodes() (root ast.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("%v", r)
		}
	}()
	config := conf.CreateNew()
	config.MaxNodes = MaxNodes
	for _, f := range builtin.Builtins {
		config.Disabled[f.Name] = true
	}
	parsed, err := parser.ParseWithConfig(t.src, config)
	if err != nil {
		return nil, err
	}
	return parsed.Node, nil
}

// comments refuses //: YAML folds the lines of a block into one, and a comment would then silently swallow
// the conditions after it.
func (t *tree) comments() *Problem {
	from := 0
	for _, token := range t.tokens {
		to := token.From
		if token.Kind == lexer.EOF {
			to = len(t.runes)
		}
		if to > from {
			gap := string(t.runes[from:to])
			line, block := strings.Index(gap, "//"), strings.Index(gap, "/*")
			if line >= 0 && (block < 0 || line < block) {
				return &Problem{
					Message: "// would hide the rest of the expression where YAML folds lines into one",
					Mend:    "write /* … */, or a YAML comment above the expression",
					Offset:  from + utf8.RuneCountInString(gap[:line]), Length: 2,
				}
			}
		}
		from = max(from, token.To)
	}
	return nil
}

// start is where the expression's first token stands.
func (t *tree) start() int {
	if len(t.tokens) == 0 {
		return 0
	}
	return t.tokens[0].From
}

// length is how far the expression reaches from its first to its last token.
func (t *tree) length() int {
	if n := len(t.tokens); n >= 2 {
		return max(1, t.tokens[n-2].To-t.start()) // the last one is the end itself
	}
	return 1
}

// syntax turns an error of the parser into a Problem.
func (t *tree) syntax(err error) *Problem {
	p := &Problem{Message: err.Error(), Length: 1}
	var fe *file.Error
	if errors.As(err, &fe) {
		p.Message = fe.Message
		p.Offset, p.Length = fe.From, max(1, fe.To-fe.From)
	}
	p.Offset = min(max(p.Offset, 0), len(t.runes))
	p.Message, p.Mend = saySyntax(p.Message)
	return p
}

// saySyntax says what the parser means.
func saySyntax(message string) (said, mend string) {
	switch {
	case strings.Contains(message, "exceeds maximum allowed nodes"):
		return fmt.Sprintf("the expression has more than %d parts", MaxNodes), "put parts of it into vars, and long lists into watchlists"
	case strings.HasPrefix(message, "unexpected token EOF"), message == "unexpected end of expression":
		return "the expression ends too early", "close every bracket and quote, and give every operator two sides"
	case strings.HasPrefix(message, `unexpected token Operator("=")`):
		return "= is not an operator", "write == to compare"
	case strings.HasPrefix(message, `unexpected token Operator("&")`), strings.HasPrefix(message, `unexpected token Operator("|")`):
		return "this operator is not known", "write and, or"
	case strings.HasPrefix(message, `unexpected token Operator("#")`), strings.HasPrefix(message, `unexpected token Operator(".")`):
		return "# and .field stand for the item of a list, and there is no list here", "use them inside any(list, …), all, filter, map …"
	case strings.HasPrefix(message, "literal not terminated"):
		return "a quote is not closed", ""
	case strings.HasPrefix(message, `unexpected token Operator(":")`):
		return "a colon is not expected here", "inside map, filter and their like, put an object in parentheses: ({…})"
	case strings.HasPrefix(message, "unexpected token "):
		what := strings.TrimPrefix(message, "unexpected token ")
		if _, quoted, ok := strings.Cut(what, "("); ok {
			what = strings.TrimSuffix(quoted, ")")
		}
		return what + " is not expected here", "look for an operator, comma or bracket that is missing before it"
	case strings.Contains(message, "coalesce expressions"):
		return "?? cannot be mixed with other operators without parentheses", "write (x ?? y) in parentheses"
	}
	return message, ""
}

// part is a piece of the expression: a node and the tokens it was read from.
type part struct {
	node   ast.Node
	lo, hi int // tokens, hi not included
}

// conjunction splits the expression at its top-level ands, through parentheses.
func (t *tree) conjunction() []part {
	end := len(t.tokens)
	if end > 0 && t.tokens[end-1].Kind == lexer.EOF {
		end--
	}
	return t.split(part{t.root, 0, end}, isAnd, nil)
}

// split cuts a part at the operators of one kind, through parentheses.
func (t *tree) split(p part, is func(op string) bool, parts []part) []part {
	b, ok := p.node.(*ast.BinaryNode)
	if !ok || !is(b.Operator) {
		return append(parts, p)
	}
	inner := p
	for inner.hi-inner.lo >= 2 && t.closes(inner.lo, inner.hi-1) {
		inner.lo, inner.hi = inner.lo+1, inner.hi-1
	}
	at := t.tokenAt(b.Location().From, is, inner)
	if at < 0 {
		return append(parts, p)
	}
	parts = t.split(part{b.Left, inner.lo, at}, is, parts)
	return t.split(part{b.Right, at + 1, inner.hi}, is, parts)
}

func isAnd(op string) bool { return op == "and" || op == "&&" }

func isOr(op string) bool { return op == "or" || op == "||" }

// tokenAt finds the operator that stands at a place.
func (t *tree) tokenAt(from int, is func(op string) bool, p part) int {
	for i := p.lo; i < p.hi; i++ {
		if t.tokens[i].From == from && is(t.tokens[i].Value) {
			return i
		}
	}
	return -1
}

// partOf is the piece of the expression that a node and everything below it was read from, as far as the nodes
// know: parentheses at its ends are not among it.
func (t *tree) partOf(n ast.Node) part {
	from, to := extent(n)
	p := part{node: n, lo: len(t.tokens), hi: 0}
	for i, token := range t.tokens {
		if token.Kind != lexer.EOF && token.From >= from && token.From < to {
			p.lo, p.hi = min(p.lo, i), i+1
		}
	}
	return p
}

// extent is from where to where a node and those below it reach, in characters.
func extent(n ast.Node) (from, to int) {
	loc := n.Location()
	from, to = loc.From, max(loc.To, loc.From+1)
	below := children(n)
	switch n := n.(type) {
	case *ast.CallNode:
		below = append([]ast.Node{n.Callee}, n.Arguments...)
	case *ast.MemberNode:
		below = []ast.Node{n.Node, n.Property}
	}
	for _, child := range below {
		f, t := extent(child)
		from, to = min(from, f), max(to, t)
	}
	return from, to
}

// closes reports whether the token at hi is the parenthesis that closes the one at lo.
func (t *tree) closes(lo, hi int) bool {
	if !t.tokens[lo].Is(lexer.Bracket, "(") || !t.tokens[hi].Is(lexer.Bracket, ")") {
		return false
	}
	depth := 0
	for i := lo; i <= hi; i++ {
		switch {
		case t.tokens[i].Is(lexer.Bracket, "(", "[", "{"):
			depth++
		case t.tokens[i].Is(lexer.Bracket, ")", "]", "}"):
			depth--
		}
		if depth == 0 {
			return i == hi
		}
	}
	return false
}

// text is what the author wrote for a part, and where.
func (t *tree) text(p part) (string, int) {
	if p.lo >= p.hi {
		return "", 0
	}
	from, to := t.tokens[p.lo].From, t.tokens[p.hi-1].To
	return string(t.runes[from:to]), from
}
