package expression

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
)

// checker walks an expression once, gives every node a type and stops at the first Problem. What it does not
// know it refuses: a node, operator or function that a later release of expr brings does not exist here until
// it is added.
type checker struct {
	tree    *tree
	env     *Env
	problem *Problem

	lets  []variable  // let, innermost last
	items []predicate // any, map …, innermost last
	depth int
	cost  int // product of the loops around the current node

	names, paths, hosts map[string]bool
	calendars           []CalendarUse
	calls               []Asking // of functions of the Env
}

// variable is a name given by let.
type variable struct {
	name string
	typ  Type
}

// predicate is a loop that the current node is inside of.
type predicate struct {
	item Type
	form string // any, map …
}

func newChecker(t *tree, env *Env) *checker {
	return &checker{
		tree: t, env: env, cost: 1,
		names: map[string]bool{}, paths: map[string]bool{}, hosts: map[string]bool{},
	}
}

func (c *checker) check() Type { return c.node(c.tree.root) }

// fail records the first problem, at a node.
func (c *checker) fail(n ast.Node, mend, format string, args ...any) Type {
	if c.problem == nil {
		loc := n.Location()
		c.problem = &Problem{
			Message: fmt.Sprintf(format, args...), Mend: mend,
			Offset: min(loc.From, len(c.tree.runes)), Length: max(1, loc.To-loc.From),
		}
	}
	return Any
}

// node types a node and remembers the type for the rewriter.
func (c *checker) node(n ast.Node) Type {
	if c.problem != nil {
		return Any
	}
	if n == nil {
		c.problem = &Problem{Message: "the expression is not complete", Length: 1}
		return Any
	}
	if c.depth++; c.depth > MaxNesting {
		return c.fail(n, "put parts of it into vars", "the expression is nested more than %d deep", MaxNesting)
	}
	t := c.infer(n)
	c.depth--
	c.tree.types[n] = t
	return t
}

func (c *checker) infer(n ast.Node) Type {
	switch n := n.(type) {
	case *ast.NilNode:
		return nilType
	case *ast.BoolNode:
		return Bool
	case *ast.IntegerNode:
		return Int
	case *ast.FloatNode:
		return Number
	case *ast.StringNode:
		return Text
	case *ast.IdentifierNode:
		t, path := c.identifier(n)
		c.path(path)
		return t
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.ChainNode:
		return c.node(n.Node)
	case *ast.MemberNode:
		t, path := c.member(n)
		c.path(path)
		return t
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.MapNode:
		return c.object(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.BuiltinNode:
		return c.loop(n)
	case *ast.SequenceNode:
		return c.fail(n, "join conditions with and", "only the last of several expressions would count")
	case *ast.BytesNode:
		return c.fail(n, "remove the b before the quote", "there are no byte strings")
	}
	return c.fail(n, "", "this form of expression is not supported")
}

// path remembers a path that the expression reads.
func (c *checker) path(path string) {
	if path != "" {
		c.paths[path] = true
	}
}

// identifier types a name. The path is empty for a name given by let.
func (c *checker) identifier(n *ast.IdentifierNode) (Type, string) {
	for i := len(c.lets) - 1; i >= 0; i-- {
		if c.lets[i].name == n.Value {
			return c.lets[i].typ, ""
		}
	}
	if t, ok := c.env.vars()[n.Value]; ok && n.Value != meterName {
		c.names[n.Value] = true
		return t, n.Value
	}
	if f, ok := lookup(n.Value); ok {
		return c.fail(n, "write "+f.signature(), "%s is a function", n.Value), ""
	}
	return c.fail(n, didYouMean(n.Value, c.known(), "known here"), "the name %s is not known", clip(n.Value)), ""
}

// known are the variables that can be named here.
func (c *checker) known() []string {
	var names []string
	for name := range c.env.vars() {
		names = append(names, name)
	}
	for _, v := range c.lets {
		names = append(names, v.name)
	}
	return names
}

// clip shortens a name for a message.
func clip(name string) string {
	if r := []rune(name); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return name
}

func (c *checker) pointer(n *ast.PointerNode) Type {
	if len(c.items) == 0 {
		return c.fail(n, "use it inside any(list, …), all, filter, map …", "there is no list whose item # could be")
	}
	top := c.items[len(c.items)-1]
	switch {
	case n.Name == "":
		return top.item
	case n.Name == "index" && (top.form == "map" || top.form == "reduce"):
		return Int
	case n.Name == "acc" && top.form == "reduce":
		return Any
	}
	return c.fail(n, "# is the item; in map and reduce #index is its number, in reduce #acc the value so far",
		"#%s is not known in %s", clip(n.Name), top.form)
}

// member types object.field and list[0]. It returns the constant path that leads here, if there is one.
func (c *checker) member(n *ast.MemberNode) (Type, string) {
	base, path := c.base(n.Node)
	if c.problem != nil {
		return Any, ""
	}
	key, constant := n.Property.(*ast.StringNode)
	dot := constant && key.Location() == n.Location() // in brackets, the node stands at the bracket
	if !constant {
		c.path(path)
		path = ""
	}
	if !constant {
		return c.index(n, base), ""
	}
	switch base.kind {
	case kindAny, kindNil:
		if base.kind == kindNil {
			return c.fail(n, "", "nil has no fields"), ""
		}
		return Any, extend(path, key.Value)
	case kindObject:
		t := c.field(n, base, key.Value, dot)
		return t, extend(path, key.Value)
	case kindList:
		return c.fail(n, fmt.Sprintf("any(list, .%s == …) or map(list, .%s) looks at the items", clip(key.Value), clip(key.Value)),
			"a list has no fields, its items may have"), ""
	}
	return c.fail(n, "", "%s has no fields", base.brief()), ""
}

// base types what stands before a dot or bracket, without recording its path: a longer one follows.
func (c *checker) base(n ast.Node) (t Type, path string) {
	switch n := n.(type) {
	case *ast.ChainNode:
		return c.base(n.Node)
	case *ast.IdentifierNode:
		t, path = c.identifier(n)
	case *ast.MemberNode:
		if c.depth++; c.depth > MaxNesting {
			return c.fail(n, "put parts of it into vars", "the expression is nested more than %d deep", MaxNesting), ""
		}
		t, path = c.member(n)
		c.depth--
	default:
		return c.node(n), ""
	}
	c.tree.types[n] = t
	return t, path
}

func extend(path, name string) string {
	if path == "" {
		return ""
	}
	return path + "." + name
}

// field types a field of an object.
func (c *checker) field(n ast.Node, base Type, name string, dot bool) Type {
	if t, ok := base.Field(name); ok {
		return t
	}
	if base.IsOpen() && !dot {
		return Any
	}
	mend := didYouMean(name, base.Fields(), "known fields")
	if near := nearest(name, base.Fields()); near == "" && base.IsOpen() {
		mend = fmt.Sprintf("write [%q] to read a field that is not declared", clip(name))
	}
	return c.fail(n, mend, "there is no field %s", clip(name))
}

// index types x[i] where i is not a constant text.
func (c *checker) index(n *ast.MemberNode, base Type) Type {
	key := c.node(n.Property)
	if c.problem != nil {
		return Any
	}
	switch base.kind {
	case kindList, kindText:
		if !key.IsNumber() && !key.IsAny() {
			return c.fail(n.Property, "", "an item is chosen by a number, not by %s", key.brief())
		}
		if base.kind == kindText {
			return Text
		}
		return base.item()
	case kindObject:
		if !key.IsText() && !key.IsAny() {
			return c.fail(n.Property, "", "a field is chosen by text, not by %s", key.brief())
		}
		return Any
	case kindAny:
		return Any
	}
	return c.fail(n, "", "%s has no items", base.brief())
}

func (c *checker) slice(n *ast.SliceNode) Type {
	base := c.node(n.Node)
	for _, end := range []ast.Node{n.From, n.To} {
		if end == nil {
			continue
		}
		if t := c.node(end); !Int.accepts(t) && t.kind != kindNumber {
			return c.fail(end, "", "a position is a number, not %s", t.brief())
		}
	}
	if base.kind != kindList && base.kind != kindText && base.kind != kindAny {
		return c.fail(n, "", "%s cannot be cut", base.brief())
	}
	return base
}
