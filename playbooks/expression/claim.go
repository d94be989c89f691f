package expression

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/expr-lang/expr/ast"
)

// Claim is what a condition says, as far as it can be reasoned about without a value: and, or and not over
// atoms. An atom compares what stands at one place with constants; any other part of a condition is an atom
// about itself, of which nothing is known but that it is true or false, and the same wherever it is written
// the same. Claims are immutable; a nil Claim says nothing and always holds.
//
// Errors of an evaluation are left out: where one claim says that a condition holds, an evaluation may still
// end in an error, and nothing that claims prove impossible ever comes out true.
type Claim struct {
	op    claimOp
	of    []*Claim
	atom  *atom
	holds bool // of a constant
}

type claimOp int

const (
	claimConstant claimOp = iota
	claimAtom
	claimNot
	claimAnd
	claimOr
)

// atom is one comparison of a place with constants.
type atom struct {
	place  string   // what stands there, written so that equal places have equal names; "": like no other
	reads  []string // paths from variables that its value depends on; calls with their name and ()
	test   atomTest
	values []any // constants: nil, bool, float64, string, time.Time, time.Duration
}

type atomTest int

const (
	isTrue  atomTest = iota // nothing is known of it
	isOneOf                 // equals one of the values
	isLess
	isAtMost
	isMore
	isAtLeast
	hasPart // text that contains the value
	hasStart
	hasEnd
)

// Reading is a condition, read for what it says and not to be evaluated.
type Reading struct {
	tree  *tree // nil: it cannot be read
	claim *Claim
}

// Read reads a condition. The text was compiled before; of one that cannot be read nothing is known.
func Read(src string) *Reading {
	t, problem := parse(src)
	if problem != nil {
		return &Reading{claim: Unknown()}
	}
	return &Reading{tree: t, claim: claimOf(t.root)}
}

// Claim is what the condition says.
func (r *Reading) Claim() *Claim { return r.claim }

// ClaimOf reads what a condition says.
func ClaimOf(src string) *Claim { return Read(src).claim }

// AnyRead is the path of what is read but not known.
const AnyRead = "?"

// Holds is a claim that is always true, or never.
func Holds(always bool) *Claim { return &Claim{op: claimConstant, holds: always} }

// All says that every one of the claims holds.
func All(claims ...*Claim) *Claim {
	claims = slices.DeleteFunc(slices.Clone(claims), func(c *Claim) bool { return c == nil })
	return &Claim{op: claimAnd, of: claims}
}

// AnyOf says that one of the claims holds.
func AnyOf(claims ...*Claim) *Claim { return &Claim{op: claimOr, of: claims} }

// Not says that the claim does not hold.
func (c *Claim) Not() *Claim {
	if c == nil {
		return Holds(false)
	}
	return &Claim{op: claimNot, of: []*Claim{c}}
}

func opaque(place string, reads []string) *Claim {
	return &Claim{op: claimAtom, atom: &atom{place: place, reads: reads, test: isTrue}}
}

// claimOf reads a node that is true or false.
func claimOf(n ast.Node) *Claim {
	switch n := n.(type) {
	case *ast.BoolNode:
		return Holds(n.Value)
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			return claimOf(n.Node).Not()
		}
	case *ast.ConditionalNode:
		cond := claimOf(n.Cond)
		return AnyOf(All(cond, claimOf(n.Exp1)), All(cond.Not(), claimOf(n.Exp2)))
	case *ast.BinaryNode:
		if c := claimOfBinary(n); c != nil {
			return c
		}
	}
	if key, ok := keyOf(n); ok { // a field that is true or false
		return compared(n, key.String(), isOneOf, true)
	}
	return opaque(asWritten(n), readsOf(n))
}

func claimOfBinary(n *ast.BinaryNode) *Claim {
	switch n.Operator {
	case "and", "&&":
		return All(claimOf(n.Left), claimOf(n.Right))
	case "or", "||":
		return AnyOf(claimOf(n.Left), claimOf(n.Right))
	case "==":
		return comparedWith(n, isOneOf, isOneOf)
	case "!=":
		if c := comparedWith(n, isOneOf, isOneOf); c != nil {
			return c.Not()
		}
	case "<":
		return comparedWith(n, isLess, isMore)
	case "<=":
		return comparedWith(n, isAtMost, isAtLeast)
	case ">":
		return comparedWith(n, isMore, isLess)
	case ">=":
		return comparedWith(n, isAtLeast, isAtMost)
	case "in":
		return amongConstants(n)
	case "contains":
		return textTest(n, hasPart)
	case "startsWith":
		return textTest(n, hasStart)
	case "endsWith":
		return textTest(n, hasEnd)
	}
	return nil
}

// comparedWith reads place OP constant, or constant OP place, for which turned is the test.
func comparedWith(n *ast.BinaryNode, test, turned atomTest) *Claim {
	place, other := n.Left, n.Right
	value, ok := known(other)
	if !ok {
		place, other, test = n.Right, n.Left, turned
		if value, ok = known(other); !ok {
			return nil
		}
	}
	if !ordered(value) && test != isOneOf {
		return nil
	}
	if left, ok := known(place); ok {
		a := atom{test: test, values: []any{value}}
		return Holds(a.holds(left))
	}
	return compared(place, placeName(place), test, value)
}

// amongConstants reads place in [constants].
func amongConstants(n *ast.BinaryNode) *Claim {
	list, ok := n.Right.(*ast.ArrayNode)
	if !ok || len(list.Nodes) == 0 {
		return nil
	}
	var values []any
	for _, e := range list.Nodes {
		v, ok := known(e)
		if !ok || v == nil {
			return nil
		}
		values = append(values, v)
	}
	if _, constant := known(n.Left); constant {
		return nil
	}
	return compared(n.Left, placeName(n.Left), isOneOf, values...)
}

func textTest(n *ast.BinaryNode, test atomTest) *Claim {
	value, ok := known(n.Right)
	if _, isText := value.(string); !ok || !isText {
		return nil
	}
	if _, constant := known(n.Left); constant {
		return nil
	}
	return compared(n.Left, placeName(n.Left), test, value)
}

func compared(place ast.Node, name string, test atomTest, values ...any) *Claim {
	return &Claim{op: claimAtom, atom: &atom{place: name, reads: readsOf(place), test: test, values: values}}
}

// placeName names what stands at a place: its path if it is one, else as it is written.
func placeName(n ast.Node) string {
	if key, ok := keyOf(n); ok {
		return key.String()
	}
	return asWritten(n)
}

// asWritten is an expression as it is written, by which it is known for the same elsewhere. It is empty, and the
// expression like no other, where a text may be that of another one too: the parentheses around a choice and a let
// are not always in it.
func asWritten(n ast.Node) string {
	ambiguous := ast.Find(n, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.ConditionalNode, *ast.VariableDeclaratorNode:
			return true
		}
		return false
	})
	if ambiguous != nil {
		return ""
	}
	return n.String()
}

// known gives the value of a constant in the form in which atoms hold it.
func known(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.NilNode:
		return nil, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.FloatNode: // beyond this one stands for several whole numbers
		return n.Value, -maxExact < n.Value && n.Value < maxExact
	case *ast.IntegerNode:
		return float64(n.Value), -maxExact <= n.Value && n.Value <= maxExact
	case *ast.UnaryNode:
		v, ok := known(n.Node)
		if f, isNumber := v.(float64); ok && isNumber && n.Operator == "-" {
			return -f, true
		}
	case *ast.CallNode:
		return knownCall(n)
	}
	return nil, false
}

// knownCall is the value of date("…") and duration("…").
func knownCall(n *ast.CallNode) (any, bool) {
	name, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || len(n.Arguments) != 1 || name.Value != "date" && name.Value != "duration" {
		return nil, false
	}
	text, ok := n.Arguments[0].(*ast.StringNode)
	if !ok {
		return nil, false
	}
	f, ok := lookup(name.Value)
	if !ok {
		return nil, false
	}
	v, err := f.call(&meter{}, []any{text.Value})
	if at, ok := v.(time.Time); ok {
		v = at.UTC().Round(0) // so that equal times are the same constant
	}
	return v, err == nil && ordered(v)
}

// ordered says whether constants of the type stand in a row that we know. Texts do, but nobody compares them.
func ordered(v any) bool {
	switch v.(type) {
	case float64, time.Time, time.Duration:
		return true
	}
	return false
}

// reader collects what an expression depends on.
type reader struct{ reads []string }

func readsOf(n ast.Node) []string {
	r := &reader{}
	r.node(n)
	slices.Sort(r.reads)
	return slices.Compact(r.reads)
}

func (r *reader) node(n ast.Node) {
	if key, ok := keyOf(n); ok {
		if key.Root != itemRoot {
			r.reads = append(r.reads, strings.Join(append([]string{key.Root}, key.Path...), "."))
		}
		return
	}
	switch n := n.(type) {
	case *ast.CallNode:
		r.call(n)
		return
	case *ast.MemberNode:
		r.node(n.Node)
		r.node(n.Property)
		return
	}
	for _, child := range children(n) {
		r.node(child)
	}
}

// call reads what a call depends on: its arguments, and the world if the function looks at it. Functions that
// collect evidence read nothing of an alert but its evidence.
func (r *reader) call(n *ast.CallNode) {
	name, _ := n.Callee.(*ast.IdentifierNode)
	if name == nil {
		r.reads = append(r.reads, AnyRead)
		return
	}
	if !slices.Contains(pure(), name.Value) {
		r.reads = append(r.reads, name.Value+"()")
	} else if slices.Contains(collectors(), name.Value) && len(n.Arguments) == 1 {
		if id, ok := n.Arguments[0].(*ast.IdentifierNode); ok {
			r.reads = append(r.reads, id.Value+".evidence", id.Value+".alerts")
			return
		}
	}
	for _, a := range n.Arguments {
		r.node(a)
	}
}

// pure are the functions whose value depends on their arguments alone. Others look at the time, or at the world.
var pure = sync.OnceValue(func() []string {
	names := namesOf(slices.Concat(textFunctions(), listFunctions(), numberFunctions(), timeFunctions(), securityFunctions(),
		evidenceFunctions(), writingFunctions(), quotingFunctions()))
	return slices.DeleteFunc(names, func(name string) bool { return name == "now" })
})

// collectors are the functions that collect evidence.
var collectors = sync.OnceValue(func() []string { return namesOf(evidenceFunctions()) })

func namesOf(table []function) []string {
	names := make([]string, len(table))
	for i, f := range table {
		names[i] = f.name
	}
	return names
}

// children are the nodes directly below one that is neither a call nor an access.
func children(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.VariableDeclaratorNode:
		return []ast.Node{n.Value, n.Expr}
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		return n.Pairs
	case *ast.PairNode:
		return []ast.Node{n.Key, n.Value}
	case *ast.BuiltinNode:
		return n.Arguments
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.SliceNode:
		list := []ast.Node{n.Node}
		for _, end := range []ast.Node{n.From, n.To} {
			if end != nil {
				list = append(list, end)
			}
		}
		return list
	}
	return nil
}

// Fixed is the claim without what may change: atoms that read something for which fixed is false become
// unknown, each for itself. A path is given as it is written; a function that looks at the world as name().
func (c *Claim) Fixed(fixed func(path string) bool) *Claim {
	return c.replace(func(a *atom) *Claim {
		if !slices.ContainsFunc(a.reads, func(path string) bool { return !fixed(path) }) {
			return nil
		}
		return Unknown()
	})
}

// Unknown is a claim of which nothing is known, and that is no other.
func Unknown() *Claim {
	return &Claim{op: claimAtom, atom: &atom{test: isTrue, reads: []string{AnyRead}}}
}

// replace gives every atom another claim; nil leaves it as it is.
func (c *Claim) replace(with func(*atom) *Claim) *Claim {
	switch {
	case c == nil || c.op == claimConstant:
		return c
	case c.op == claimAtom:
		if other := with(c.atom); other != nil {
			return other
		}
		return c
	}
	next := &Claim{op: c.op, of: make([]*Claim, len(c.of))}
	for i, child := range c.of {
		next.of[i] = child.replace(with)
	}
	return next
}

// After is the claim about a world in which some fields have other values: changes gives the new value of a
// path, a constant or one that nobody knows. What depends on a path above or below one that changed, or on its
// value in another way than by a comparison, becomes unknown.
func (c *Claim) After(changes map[string]Change) *Claim {
	return c.replace(func(a *atom) *Claim {
		if change, ok := changes[a.place]; ok && !change.Unknown && a.test != isTrue {
			if v, ok := constantValue(change.Value); ok {
				return Holds(a.holds(v))
			}
		}
		for path := range changes {
			if slices.ContainsFunc(a.reads, func(read string) bool { return overlap(read, path) }) {
				return Unknown()
			}
		}
		return nil
	})
}

// Places lists places that must hold one of some constants for the claim to hold. It is quick and finds those
// that are plain to see.
func (c *Claim) Places() map[string][]any {
	found := map[string][]any{}
	var walk func(c *Claim)
	walk = func(c *Claim) {
		switch {
		case c == nil:
		case c.op == claimAnd:
			for _, part := range c.of {
				walk(part)
			}
		default:
			if place, values := c.oneOf(); place != "" && found[place] == nil {
				found[place] = values
			}
		}
	}
	walk(c)
	return found
}

// oneOf says that the claim holds only if a place has one of the values.
func (c *Claim) oneOf() (place string, values []any) {
	switch {
	case c == nil:
	case c.op == claimAtom && c.atom.test == isOneOf:
		return c.atom.place, slices.Clone(c.atom.values)
	case c.op == claimOr, c.op == claimAnd && len(c.of) == 1:
		for i, part := range c.of {
			at, more := part.oneOf()
			if at == "" || i > 0 && at != place {
				return "", nil
			}
			place, values = at, append(values, more...)
		}
	}
	return place, values
}

// Change is the new value of a field.
type Change struct {
	Value   any // nil, bool, string or a number
	Unknown bool
}

func constantValue(v any) (any, bool) {
	switch v := v.(type) {
	case nil, bool, string, float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	}
	return nil, false
}

// overlap says whether one of two paths leads to the other.
func overlap(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".") || a == AnyRead
}

// holds tests a constant. What an evaluation would refuse does not hold.
func (a *atom) holds(v any) bool {
	switch a.test {
	case isOneOf:
		return slices.Contains(a.values, v)
	case hasPart, hasStart, hasEnd:
		text, ok := v.(string)
		part, _ := a.values[0].(string)
		return ok && (a.test == hasPart && strings.Contains(text, part) ||
			a.test == hasStart && strings.HasPrefix(text, part) || a.test == hasEnd && strings.HasSuffix(text, part))
	}
	order, ok := compareConstants(v, a.values[0])
	if !ok {
		return false
	}
	switch a.test {
	case isLess:
		return order < 0
	case isAtMost:
		return order <= 0
	case isMore:
		return order > 0
	case isAtLeast:
		return order >= 0
	}
	return false
}

// compareConstants orders two constants of one type.
func compareConstants(v, w any) (int, bool) {
	switch v := v.(type) {
	case float64:
		w, ok := w.(float64)
		return orderOf(v, w), ok
	case time.Duration:
		w, ok := w.(time.Duration)
		return orderOf(v, w), ok
	case time.Time:
		w, ok := w.(time.Time)
		return v.Compare(w), ok
	}
	return 0, false
}

func orderOf[T ~int64 | ~float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
