package expression

import (
	"fmt"
	"regexp"

	"github.com/expr-lang/expr/ast"
	exprchecker "github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// rewriter makes the tree that the machine runs. Every access, call and operator that could fail on a missing
// value, or whose cost depends on a value, becomes a call of one of our functions with the meter as its first
// argument. The checked tree is left as it is.
type rewriter struct {
	types map[ast.Node]Type
	funcs map[string]callable
	lists int // names given to lists
}

// callable is a function as the machine calls it.
type callable func(params ...any) (any, error)

// assemble rewrites and compiles each term of the conjunction.
func (t *tree) assemble() ([]term, *Problem) {
	var terms []term
	for _, p := range t.conjunction() {
		text, offset := t.text(p)
		code, err := t.compile(p.node)
		if err != nil {
			return nil, &Problem{Message: "the expression cannot be compiled: " + clip(err.Error()), Offset: offset, Length: max(1, len([]rune(text)))}
		}
		t := term{text: text, offset: offset, code: code, comparison: comparison(p.node), direct: t.direct(p.node)}
		if t.comparison != nil {
			t.comparison.Text = text
		}
		terms = append(terms, t)
	}
	return terms, nil
}

// compile runs expr's own checker and compiler on the rewritten tree. To them every variable is of any type:
// typed variables would make the machine assume that they are never nil. Its optimizer stays off; it
// rewrites for types we do not declare, and what is worth folding is folded here.
func (t *tree) compile(n ast.Node) (code *vm.Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			code, err = nil, fmt.Errorf("%v", r)
		}
	}()
	r := &rewriter{types: t.types, funcs: map[string]callable{}}
	root := r.node(n)
	config := conf.CreateNew()
	config.WithEnv(map[string]any{})
	config.Strict = false
	config.Optimize = false
	for name, call := range r.funcs {
		config.Functions[name] = exprFunction(name, call)
	}
	rewritten := &parser.Tree{Node: root, Source: file.NewSource(t.src)}
	if _, err := exprchecker.Check(rewritten, config); err != nil {
		return nil, err
	}
	return compiler.Compile(rewritten, config)
}

// call makes a node that calls one of our functions.
func (r *rewriter) call(at ast.Node, name string, fn func(m *meter, args []any) (any, error), args ...ast.Node) ast.Node {
	name = "$" + name
	r.funcs[name] = func(params ...any) (any, error) {
		m, ok := params[0].(*meter)
		if !ok {
			return nil, fmt.Errorf("%s is called without a meter", name)
		}
		if err := m.spend(1); err != nil {
			return nil, err
		}
		return fn(m, params[1:])
	}
	n := &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: name},
		Arguments: append([]ast.Node{&ast.IdentifierNode{Value: meterName}}, args...),
	}
	n.Callee.SetLocation(at.Location())
	n.SetLocation(at.Location())
	return n
}

// node rewrites one node.
func (r *rewriter) node(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.ChainNode:
		return r.node(n.Node) // our access is safe for nil with and without "?."
	case *ast.MemberNode:
		return r.call(n, "get", get, r.node(n.Node), r.node(n.Property))
	case *ast.SliceNode:
		return r.call(n, "slice", slice, r.node(n.Node), r.optional(n.From), r.optional(n.To))
	case *ast.UnaryNode:
		return at(n, &ast.UnaryNode{Operator: n.Operator, Node: r.node(n.Node)})
	case *ast.BinaryNode:
		return r.binary(n)
	case *ast.ConditionalNode:
		return at(n, &ast.ConditionalNode{Ternary: n.Ternary, Cond: r.node(n.Cond), Exp1: r.node(n.Exp1), Exp2: r.node(n.Exp2)})
	case *ast.VariableDeclaratorNode:
		return at(n, &ast.VariableDeclaratorNode{Name: n.Name, Value: r.node(n.Value), Expr: r.node(n.Expr)})
	case *ast.ArrayNode:
		return r.array(n)
	case *ast.MapNode:
		pairs := make([]ast.Node, len(n.Pairs))
		for i, p := range n.Pairs {
			pair := p.(*ast.PairNode)
			key := r.node(pair.Key)
			if _, ok := key.(*ast.StringNode); !ok {
				key = r.call(pair.Key, "key", keyText, key)
			}
			pairs[i] = at(p, &ast.PairNode{Key: key, Value: r.node(pair.Value)})
		}
		return at(n, &ast.MapNode{Pairs: pairs})
	case *ast.CallNode:
		return r.function(n)
	case *ast.BuiltinNode:
		return r.loop(n)
	}
	// Leaves: constants, names, pointers. They are copied because the next checker writes types into them.
	return leaf(n)
}

// optional rewrites a node that may be left out.
func (r *rewriter) optional(n ast.Node) ast.Node {
	if n == nil {
		return &ast.NilNode{}
	}
	return r.node(n)
}

// at gives a new node the place of the one it stands for.
func at(old, n ast.Node) ast.Node {
	n.SetLocation(old.Location())
	return n
}

func leaf(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return at(n, &ast.IdentifierNode{Value: n.Value})
	case *ast.IntegerNode:
		return at(n, &ast.IntegerNode{Value: n.Value})
	case *ast.FloatNode:
		return at(n, &ast.FloatNode{Value: n.Value})
	case *ast.BoolNode:
		return at(n, &ast.BoolNode{Value: n.Value})
	case *ast.StringNode:
		return at(n, &ast.StringNode{Value: n.Value})
	case *ast.PointerNode:
		return at(n, &ast.PointerNode{Name: n.Name})
	}
	return at(n, &ast.NilNode{})
}

// array folds a list of constants into one constant, so that "x in [a, b]" allocates nothing.
func (r *rewriter) array(n *ast.ArrayNode) ast.Node {
	if values, ok := foldable(n); ok {
		return at(n, &ast.ConstantNode{Value: values})
	}
	nodes := make([]ast.Node, len(n.Nodes))
	for i, e := range n.Nodes {
		nodes[i] = r.node(e)
	}
	return at(n, &ast.ArrayNode{Nodes: nodes})
}

// foldable gives the values of a list that consists of constants.
func foldable(n *ast.ArrayNode) (values []any, ok bool) {
	for _, e := range n.Nodes {
		switch e := e.(type) {
		case *ast.StringNode:
			values = append(values, e.Value)
		case *ast.IntegerNode:
			values = append(values, int64(e.Value))
		case *ast.BoolNode:
			values = append(values, e.Value)
		default:
			return nil, false
		}
	}
	return values, len(values) > 0
}

func (r *rewriter) binary(n *ast.BinaryNode) ast.Node {
	left, right := r.types[n.Left], r.types[n.Right]
	switch n.Operator {
	case "in":
		return r.call(n, "in", in, r.node(n.Left), r.node(n.Right))
	case "contains":
		return r.call(n, "contains", contains, r.node(n.Left), r.node(n.Right))
	case "startsWith":
		return r.call(n, "startsWith", startsWith, r.node(n.Left), r.node(n.Right))
	case "endsWith":
		return r.call(n, "endsWith", endsWith, r.node(n.Left), r.node(n.Right))
	case "matches":
		// The pattern was compiled by the checker, so it compiles.
		pattern := regexp.MustCompile(n.Right.(*ast.StringNode).Value)
		return r.call(n, "matches", matches, r.node(n.Left), at(n.Right, &ast.ConstantNode{Value: pattern}))
	case "+":
		if !left.IsNumber() || !right.IsNumber() {
			return r.call(n, "add", add, r.node(n.Left), r.node(n.Right))
		}
	case "and", "&&", "or", "||":
		if right.kind == kindAny {
			// The machine looks at the left side only, and the right one would pass whatever it is.
			return at(n, &ast.BinaryNode{Operator: n.Operator, Left: r.node(n.Left), Right: r.call(n.Right, "truth", truth, r.node(n.Right))})
		}
	case "*", "/":
		if left.kind == kindDuration || right.kind == kindDuration {
			return r.call(n, "scale"+n.Operator, scale(n.Operator), r.node(n.Left), r.node(n.Right))
		}
	case "==", "!=":
		if !left.single() && !right.single() {
			equal := r.call(n, "equal", equals, r.node(n.Left), r.node(n.Right))
			if n.Operator == "!=" {
				return at(n, &ast.UnaryNode{Operator: "not", Node: equal})
			}
			return equal
		}
	}
	return at(n, &ast.BinaryNode{Operator: n.Operator, Left: r.node(n.Left), Right: r.node(n.Right)})
}

// single reports whether values are certain to be neither lists nor objects.
func (t Type) single() bool {
	return t.kind != kindAny && t.kind != kindList && t.kind != kindObject
}

// loop hands the list through our items, which makes a list of nil and charges for the loop.
func (r *rewriter) loop(n *ast.BuiltinNode) ast.Node {
	args := make([]ast.Node, 0, 3)
	args = append(args, r.call(n.Arguments[0], "items", items, r.node(n.Arguments[0])))
	for _, a := range n.Arguments[1:] {
		if p, ok := a.(*ast.PredicateNode); ok {
			args = append(args, at(p, &ast.PredicateNode{Node: r.node(p.Node)}))
			continue
		}
		args = append(args, r.node(a))
	}
	loop := &ast.BuiltinNode{Name: n.Name, Arguments: args}
	switch at(n, loop); n.Name {
	case "groupBy":
		return r.call(n, "grouped", grouped, loop)
	case "findLast", "findLastIndex":
		return r.backwards(n, loop)
	}
	return loop
}

// backwards finds the last item as the first one of the list backwards. The machine's own loops from the end leave a
// value on its stack for each item, which then passes for what stands before the loop: an argument or an item.
func (r *rewriter) backwards(n *ast.BuiltinNode, loop *ast.BuiltinNode) ast.Node {
	list := loop.Arguments[0]
	if n.Name == "findLast" {
		loop.Name, loop.Arguments[0] = "find", r.call(n, "reverse", reverse, list)
		return loop
	}
	r.lists++
	name := fmt.Sprintf("\x00list%d", r.lists) // no author can write it
	items := func() ast.Node { return at(n, &ast.IdentifierNode{Value: name}) }
	loop.Name, loop.Arguments[0] = "findIndex", r.call(n, "reverse", reverse, items())
	return at(n, &ast.VariableDeclaratorNode{Name: name, Value: list, Expr: r.call(n, "mirror", mirror, items(), loop)})
}

// function rewrites a call of a function of the language, or of one that the scope brings along.
func (r *rewriter) function(n *ast.CallNode) ast.Node {
	name := n.Callee.(*ast.IdentifierNode).Value // the checker has seen to that
	args := make([]ast.Node, len(n.Arguments))
	for i, a := range n.Arguments {
		args[i] = r.node(a)
	}
	if f, ok := lookup(name); ok {
		return r.call(n, name, f.call, args...)
	}
	return r.call(n, "host:"+name, host(name), args...)
}
