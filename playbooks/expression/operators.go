package expression

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

func (c *checker) unary(n *ast.UnaryNode) Type {
	switch n.Operator {
	case "not", "!":
		c.truth(n.Node)
		return Bool
	case "-", "+":
		t := c.node(n.Node)
		if !t.IsNumber() && t.kind != kindAny && t.kind != kindDuration {
			return c.fail(n, "", "%s needs a number, this is %s", n.Operator, t.brief())
		}
		return t
	}
	return c.fail(n, "", "the operator %s is not supported", n.Operator)
}

func (c *checker) binary(n *ast.BinaryNode) Type {
	switch n.Operator {
	case "and", "&&", "or", "||":
		return c.logic(n)
	case "==", "!=":
		c.compare(n)
		return Bool
	case "<", ">", "<=", ">=":
		return c.order(n)
	case "in":
		return c.in(n)
	case "contains", "startsWith", "endsWith":
		return c.textOperator(n)
	case "matches":
		return c.matches(n)
	case "+", "-", "*", "/", "%", "**", "^":
		return c.arithmetic(n)
	case "..":
		return c.span(n)
	case "??":
		return join(c.node(n.Left), c.node(n.Right))
	}
	return c.fail(n, "", "the operator %s is not supported", n.Operator)
}

// logic types and, or. a < b < c reaches us as an "and" that stands at the second <, and whose two sides
// share b: evaluated twice, and grown without bound if nested. So it is refused.
func (c *checker) logic(n *ast.BinaryNode) Type {
	if from := n.Location().From; from < len(c.tree.runes) && strings.ContainsRune("<>", c.tree.runes[from]) {
		return c.fail(n, "write a < b and b < c", "comparisons cannot be chained")
	}
	c.truth(n.Left)
	c.truth(n.Right)
	return Bool
}

// compare checks == and !=: two sides that can never be equal are a mistake.
func (c *checker) compare(n *ast.BinaryNode) {
	left, right := c.node(n.Left), c.node(n.Right)
	if c.problem != nil {
		return
	}
	if !comparable(left, right) {
		c.fail(n, mendCompare(left, right), "%s is compared with %s; they are never equal", left.brief(), right.brief())
		return
	}
	c.enumerated(left, n.Right)
	c.enumerated(right, n.Left)
}

// comparable reports whether values of two types can be equal.
func comparable(a, b Type) bool {
	return a.kind == kindAny || b.kind == kindAny || a.kind == kindNil || b.kind == kindNil ||
		a.kind == b.kind || a.IsNumber() && b.IsNumber()
}

func mendCompare(a, b Type) string {
	kinds := []kind{a.kind, b.kind}
	switch {
	case slices.Contains(kinds, kindTime) && slices.Contains(kinds, kindText):
		return `date("2027-03-31T08:00:00Z") makes a time of text`
	case slices.Contains(kinds, kindDuration) && slices.Contains(kinds, kindText):
		return `duration("30m") makes a duration of text`
	case slices.Contains(kinds, kindList):
		return "use in, any(list, …) or len(list)"
	case slices.Contains(kinds, kindText) && (a.IsNumber() || b.IsNumber()):
		return "int(text) makes a number of text, string(number) text of a number"
	}
	return ""
}

// enumerated refuses a constant that an enumeration never is. Left unsaid, such a condition is silently false
// for every alert.
func (c *checker) enumerated(t Type, constant ast.Node) {
	s, ok := constant.(*ast.StringNode)
	if !ok || t.kind != kindText || len(t.values) == 0 || slices.Contains(t.values, s.Value) {
		return
	}
	c.fail(s, mendEnum(t, s.Value), "%s is not a value it can have", quoted(s.Value))
}

// Meant says which values an enumeration has, and which of them a word is probably meant to be.
func (t Type) Meant(word string) string { return mendEnum(t, word) }

// mendEnum names the value that was meant and the values there are.
func mendEnum(t Type, got string) string {
	legal := strings.Join(t.values, ", ")
	if len(t.values) > 24 {
		legal = strings.Join(t.values[:24], ", ") + " …"
	}
	for word, meant := range t.hints {
		if strings.EqualFold(word, got) {
			return fmt.Sprintf("Graph calls it %q; possible: %s", meant, legal)
		}
	}
	if near := nearest(got, t.values); near != "" {
		return fmt.Sprintf("did you mean %q? possible: %s", near, legal)
	}
	return "possible: " + legal
}

func (c *checker) order(n *ast.BinaryNode) Type {
	left, right := c.node(n.Left), c.node(n.Right)
	if c.problem != nil {
		return Bool
	}
	for _, t := range []Type{left, right} {
		switch t.kind {
		case kindBool, kindList, kindObject, kindNil:
			return c.fail(n, mendOrder(t), "%s has no order that %s could compare", t.brief(), n.Operator)
		}
	}
	if !comparable(left, right) {
		return c.fail(n, mendCompare(left, right), "%s cannot be compared with %s", left.brief(), right.brief())
	}
	return Bool
}

func mendOrder(t Type) string {
	if t.kind == kindList {
		return "len(list) is the number of items"
	}
	return ""
}

func (c *checker) in(n *ast.BinaryNode) Type {
	left, right := c.node(n.Left), c.node(n.Right)
	if c.problem != nil {
		return Bool
	}
	switch right.kind {
	case kindAny, kindNil:
		return Bool
	case kindObject:
		if !Text.accepts(left) {
			return c.fail(n, "", "in an object, in looks for a key, and a key is text")
		}
		return Bool
	case kindText:
		return c.fail(n, "write text contains \"part\"", "in looks into a list, this is text")
	case kindList:
	default:
		return c.fail(n, "", "in looks into a list, this is %s", right.brief())
	}
	if !comparable(left, right.item()) {
		return c.fail(n, mendCompare(left, right.item()), "%s is never among items that are %s", left.brief(), right.item().brief())
	}
	if list, ok := n.Right.(*ast.ArrayNode); ok {
		for _, e := range list.Nodes {
			c.enumerated(left, e)
		}
	}
	c.enumerated(right.item(), n.Left)
	return Bool
}

func (c *checker) textOperator(n *ast.BinaryNode) Type {
	left, right := c.node(n.Left), c.node(n.Right)
	if c.problem != nil {
		return Bool
	}
	if left.kind == kindList && n.Operator == "contains" {
		return c.fail(n, "write item in list", "contains looks into text, this is a list")
	}
	for _, t := range []Type{left, right} {
		if !Text.accepts(t) {
			return c.fail(n, "", "%s needs text on both sides, this is %s", n.Operator, t.brief())
		}
	}
	return Bool
}

// matches requires a constant pattern: it is compiled once, here, and its mistakes are found here.
func (c *checker) matches(n *ast.BinaryNode) Type {
	if left := c.node(n.Left); !Text.accepts(left) {
		return c.fail(n, "", "matches looks into text, this is %s", left.brief())
	}
	pattern, ok := n.Right.(*ast.StringNode)
	if !ok {
		return c.fail(n, "use contains or glob(text, pattern) with a value that is computed",
			"the pattern of matches must be written out in quotes")
	}
	if _, err := regexp.Compile(pattern.Value); err != nil {
		return c.fail(pattern, "the syntax is that of RE2, without look-around and back references",
			"%s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	c.tree.types[pattern] = Text
	return Bool
}

func (c *checker) arithmetic(n *ast.BinaryNode) Type {
	left, right := c.node(n.Left), c.node(n.Right)
	if c.problem != nil {
		return Any
	}
	if t, ok := arithmeticType(n.Operator, left, right); ok {
		return t
	}
	mend := ""
	if n.Operator == "+" && (left.kind == kindText || right.kind == kindText) {
		mend = "string(x) makes text of a value"
	} else if n.Operator == "+" && left.kind == kindList {
		mend = "concat(a, b) joins lists"
	}
	return c.fail(n, mend, "%s does not work for %s and %s", n.Operator, left.brief(), right.brief())
}

// arithmeticType is the table of what can be computed with what.
func arithmeticType(op string, a, b Type) (Type, bool) {
	if a.kind == kindNil || b.kind == kindNil {
		return Any, false
	}
	if a.kind == kindAny || b.kind == kindAny {
		switch {
		case op == "/" && a.kind == kindDuration: // by a number it is a duration, by a duration a number
			return Any, true
		case op == "/", op == "**", op == "^":
			return Number, true
		}
		return Any, true
	}
	switch {
	case a.IsNumber() && b.IsNumber():
		switch op {
		case "/", "**", "^":
			return Number, true
		case "%":
			return Int, a.kind == kindInt && b.kind == kindInt
		}
		return join(a, b), true
	case op == "+" && a.kind == kindText && b.kind == kindText:
		return Text, true
	case op == "-" && a.kind == kindTime && b.kind == kindTime:
		return Duration, true
	case (op == "+" || op == "-") && a.kind == kindTime && b.kind == kindDuration:
		return Time, true
	case op == "+" && a.kind == kindDuration && b.kind == kindTime:
		return Time, true
	case (op == "+" || op == "-") && a.kind == kindDuration && b.kind == kindDuration:
		return Duration, true
	case op == "*" && a.kind == kindDuration && b.IsNumber(), op == "*" && a.IsNumber() && b.kind == kindDuration:
		return Duration, true
	case op == "/" && a.kind == kindDuration && b.IsNumber():
		return Duration, true
	case op == "/" && a.kind == kindDuration && b.kind == kindDuration:
		return Number, true
	}
	return Any, false
}

// span types 1..n. Both ends are constants, so that the size is known before anything is allocated.
func (c *checker) span(n *ast.BinaryNode) Type {
	from, ok := n.Left.(*ast.IntegerNode)
	to, ok2 := n.Right.(*ast.IntegerNode)
	if !ok || !ok2 {
		return c.fail(n, "take(list, n) is a list's beginning", "both ends of a range must be written as numbers")
	}
	if to.Value < from.Value || to.Value-from.Value >= MaxRange || to.Value-from.Value < 0 {
		return c.fail(n, "", "a range has between 1 and %d numbers", MaxRange)
	}
	return List(Int)
}
