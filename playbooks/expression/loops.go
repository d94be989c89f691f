package expression

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// loop types a form with a predicate: any(list, …), map(list, …) and their like.
func (c *checker) loop(n *ast.BuiltinNode) Type {
	if len(n.Arguments) == 0 {
		return c.fail(n, "", "%s needs a list", n.Name)
	}
	list := c.node(n.Arguments[0])
	if c.problem != nil {
		return Any
	}
	if list.kind != kindAny && list.kind != kindNil && list.kind != kindList {
		return c.fail(n.Arguments[0], mendWant(List(Any), list), "%s needs a list, this is %s", n.Name, list.brief())
	}
	item := list.item()
	var body Type
	if len(n.Arguments) > 1 {
		p, ok := n.Arguments[1].(*ast.PredicateNode)
		if !ok {
			return c.fail(n, "", "%s needs a condition on # after the list", n.Name)
		}
		if body, ok = c.body(n, p, item); !ok {
			return Any
		}
	} else {
		body = item
	}
	return c.loopType(n, list, body)
}

// body types what is evaluated for each item, and counts what that costs. Neither a context nor the machine's
// memory budget interrupts a loop, so nested loops are bounded here and metered when they run.
func (c *checker) body(n *ast.BuiltinNode, p *ast.PredicateNode, item Type) (Type, bool) {
	outer := c.cost
	c.cost *= sizeOf(n.Arguments[0])
	if c.cost > MaxCost {
		c.fail(n, "loop over fewer lists inside one another, or compute the inner list in vars first",
			"the loops inside one another may take more than %d steps", MaxCost)
		return Any, false
	}
	c.items = append(c.items, predicate{item: item, form: n.Name})
	t := c.node(p.Node)
	c.items = c.items[:len(c.items)-1]
	c.cost = outer
	return t, c.problem == nil
}

// sizeOf is how many items a list is assumed to have.
func sizeOf(n ast.Node) int {
	switch n := n.(type) {
	case *ast.ArrayNode:
		return max(1, len(n.Nodes))
	case *ast.BinaryNode:
		from, ok := n.Left.(*ast.IntegerNode)
		to, ok2 := n.Right.(*ast.IntegerNode)
		if n.Operator == ".." && ok && ok2 {
			return max(1, to.Value-from.Value+1)
		}
	}
	return assumedSize
}

// loopType checks the value of the predicate and gives the form its own type.
func (c *checker) loopType(n *ast.BuiltinNode, list, body Type) Type {
	item := list.item()
	switch n.Name {
	case "all", "none", "any", "one", "filter", "find", "findIndex", "findLast", "findLastIndex", "count":
		if !Bool.accepts(body) {
			return c.fail(n, mendWant(Bool, body), "%s needs a condition that is true or false, this is %s", n.Name, body.brief())
		}
	case "sum":
		if !Number.accepts(body) {
			return c.fail(n, "name the number, as in sum(list, .size)", "sum needs numbers, this is %s", body.brief())
		}
	case "groupBy":
		if body.kind == kindList || body.kind == kindObject || body.kind == kindTime {
			return c.fail(n, "group by a text", "%s cannot be a key", body.brief())
		}
	case "sortBy":
		return c.sortBy(n, list, body)
	}
	switch n.Name {
	case "all", "none", "any", "one":
		return Bool
	case "filter":
		return List(item)
	case "map":
		return List(body)
	case "find", "findLast":
		return item
	case "findIndex", "findLastIndex", "count":
		return Int
	case "sum":
		if body.kind == kindNil {
			return Number
		}
		return body
	case "groupBy":
		return OpenObject(nil)
	case "reduce":
		if len(n.Arguments) > 2 {
			c.node(n.Arguments[2])
		}
		return Any
	}
	return c.fail(n, "", "the function %s is not known", n.Name)
}

func (c *checker) sortBy(n *ast.BuiltinNode, list, body Type) Type {
	if body.kind == kindList || body.kind == kindObject || body.kind == kindBool {
		return c.fail(n, "sort by a number, text or time", "%s has no order", body.brief())
	}
	if len(n.Arguments) > 2 {
		order, ok := n.Arguments[2].(*ast.StringNode)
		if !ok || !slices.Contains([]string{"asc", "desc"}, order.Value) {
			return c.fail(n.Arguments[2], "", `the order is "asc" or "desc"`)
		}
		c.tree.types[order] = Text
	}
	return List(list.item())
}
