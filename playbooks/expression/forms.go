package expression

import (
	"strings"

	"github.com/expr-lang/expr/ast"
)

func (c *checker) conditional(n *ast.ConditionalNode) Type {
	if n.Cond == n.Exp1 {
		// a ?: b holds a twice, and nested ones grow without bound.
		return c.fail(n, "write a ?? b for a missing value, a ? b : c otherwise", "?: is not supported")
	}
	c.truth(n.Cond)
	return join(c.node(n.Exp1), c.node(n.Exp2))
}

// truth checks a node that must be true or false.
func (c *checker) truth(n ast.Node) {
	if t := c.node(n); !Bool.accepts(t) {
		c.fail(n, mendWant(Bool, t), "true or false is needed, this is %s", t.brief())
	}
}

func (c *checker) let(n *ast.VariableDeclaratorNode) Type {
	value := c.node(n.Value)
	if _, ok := c.env.vars()[n.Name]; ok {
		return c.fail(n, "choose another name", "%s is known already", clip(n.Name))
	}
	if _, ok := lookup(n.Name); ok || strings.HasPrefix(n.Name, "$") {
		return c.fail(n, "choose another name", "%s is the name of a function", clip(n.Name))
	}
	for _, v := range c.lets {
		if v.name == n.Name {
			return c.fail(n, "choose another name", "%s is known already", clip(n.Name))
		}
	}
	c.lets = append(c.lets, variable{n.Name, value})
	t := c.node(n.Expr)
	c.lets = c.lets[:len(c.lets)-1]
	return t
}

func (c *checker) array(n *ast.ArrayNode) Type {
	item := nilType
	for i, e := range n.Nodes {
		t := c.node(e)
		if i == 0 {
			item = t
			continue
		}
		item = join(item, t)
	}
	if item.kind == kindNil {
		item = Any
	}
	return List(item)
}

func (c *checker) object(n *ast.MapNode) Type {
	fields := make(map[string]Type, len(n.Pairs))
	open := false
	for _, p := range n.Pairs {
		pair, ok := p.(*ast.PairNode)
		if !ok {
			return c.fail(n, "", "this form of object is not supported")
		}
		t := c.node(pair.Value)
		if key, ok := pair.Key.(*ast.StringNode); ok {
			if _, twice := fields[key.Value]; twice {
				return c.fail(key, "remove one of them", "the field %s is given twice", clip(key.Value))
			}
			fields[key.Value] = t
			continue
		}
		if kt := c.node(pair.Key); !Text.accepts(kt) {
			return c.fail(pair.Key, "string(x) makes text of a value", "a key is text, not %s", kt.brief())
		}
		open = true
	}
	if open {
		for name := range fields { // a computed key may be the same
			fields[name] = Any
		}
		return OpenObject(fields)
	}
	return Object(fields)
}
