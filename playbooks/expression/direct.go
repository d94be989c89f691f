package expression

import (
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// Most terms compare one field with something written out. Such a term is also compiled into tests that need
// neither the machine nor memory. They charge what the machine would, and where they are not sure, because a
// value is not what was expected or a limit is reached, the machine evaluates the term and says why.

// direct is a term without the machine: one of the tests holds.
type direct struct {
	tests []test
	not   bool
}

// test compares what stands at a path with an operand.
type test struct {
	op      testOp
	root    string
	path    []string
	operand any    // a constant, or the folded list of some
	list    string // of amongListed
}

type testOp int

const (
	equal       testOp = iota // path == operand
	among                     // path in operand
	amongListed               // path in lists.list
	holding                   // operand in path
	containing                // path contains operand
	starting
	ending
)

// direct compiles a checked term, nil if it has another form.
func (t *tree) direct(n ast.Node) *direct {
	switch n := n.(type) {
	case *ast.UnaryNode:
		if d := t.direct(n.Node); d != nil && (n.Operator == "not" || n.Operator == "!") {
			d.not = !d.not
			return d
		}
	case *ast.BinaryNode:
		return t.directBinary(n)
	}
	return nil
}

func (t *tree) directBinary(n *ast.BinaryNode) *direct {
	one := func(op testOp, place, operand ast.Node) *direct {
		c, ok := operandOf(operand)
		key, isKey := keyOf(place)
		if !ok || !isKey {
			return nil
		}
		return &direct{tests: []test{{op: op, root: key.Root, path: key.Path, operand: c}}}
	}
	switch n.Operator {
	case "==", "!=":
		d := one(equal, n.Left, n.Right)
		if d == nil {
			d = one(equal, n.Right, n.Left)
		}
		if d != nil {
			d.not = n.Operator == "!="
		}
		return d
	case "contains":
		return one(containing, n.Left, n.Right)
	case "startsWith":
		return one(starting, n.Left, n.Right)
	case "endsWith":
		return one(ending, n.Left, n.Right)
	case "in":
		return t.directIn(n, one)
	case "or", "||":
		a, b := t.direct(n.Left), t.direct(n.Right)
		if a != nil && b != nil && !a.not && !b.not {
			return &direct{tests: append(a.tests, b.tests...)}
		}
	}
	return nil
}

func (t *tree) directIn(n *ast.BinaryNode, one func(testOp, ast.Node, ast.Node) *direct) *direct {
	if d := one(holding, n.Right, n.Left); d != nil {
		return d
	}
	key, ok := keyOf(n.Left)
	if !ok {
		return nil
	}
	if array, ok := n.Right.(*ast.ArrayNode); ok {
		values, constant := foldable(array)
		if !constant {
			return nil
		}
		return &direct{tests: []test{{op: among, root: key.Root, path: key.Path, operand: values}}}
	}
	if l, ok := keyOf(n.Right); ok && l.Root == "lists" && len(l.Path) == 1 {
		return &direct{tests: []test{{op: amongListed, root: key.Root, path: key.Path, list: l.Path[0]}}}
	}
	return nil
}

// operandOf is a constant in the form in which the machine has it.
func operandOf(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.NilNode:
		return nil, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.StringNode:
		return n.Value, true
	}
	return nil, false
}

// holds evaluates the term. If it is not sure, nothing is known and the meter has no meaning.
func (d *direct) holds(m *meter) (holds, sure bool) {
	for i := range d.tests {
		ok, err := d.tests[i].holds(m)
		if err != nil {
			return false, false
		}
		if ok {
			return !d.not, true
		}
	}
	return d.not, true
}

func (t *test) holds(m *meter) (bool, error) {
	v, err := fetchPath(m, m.scope[t.root], t.path)
	if err != nil {
		return false, err
	}
	if t.op == equal {
		return equalsConstant(v, t.operand), nil
	}
	if err := m.spend(1); err != nil { // the call of an operator
		return false, err
	}
	switch t.op {
	case among:
		return isIn(m, v, t.operand)
	case holding:
		return isIn(m, t.operand, v)
	case containing:
		return containsText(m, v, t.operand)
	case starting:
		return startsWithText(m, v, t.operand)
	case ending:
		return endsWithText(m, v, t.operand)
	}
	if err := m.spend(1); err != nil { // the access to the list
		return false, err
	}
	l, err := fetch(m.scope["lists"], t.list)
	if err != nil {
		return false, err
	}
	return isIn(m, v, l)
}

// fetchPath follows constant fields, charging for each. The meter may be nil.
func fetchPath(m *meter, v any, path []string) (any, error) {
	for _, name := range path {
		if m != nil {
			if err := m.spend(1); err != nil {
				return nil, err
			}
		}
		var err error
		if v, err = fetch(v, name); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// fetch is value.name with a constant name.
func fetch(v any, name string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		return v[name], nil
	case nil:
		return nil, nil
	}
	return get(nil, []any{v, name}) // which says why not
}

// equalsConstant is == with a constant, as the machine compares.
func equalsConstant(v, constant any) bool {
	switch c := constant.(type) {
	case string:
		s, ok := v.(string)
		return ok && s == c
	case bool:
		b, ok := v.(bool)
		return ok && b == c
	case nil:
		switch v.(type) {
		case nil:
			return true
		case string, bool, int64, float64, time.Time:
			return false
		}
		return runtime.IsNil(v)
	}
	switch v.(type) {
	case nil, string, bool:
		return false
	}
	return runtime.Equal(v, constant)
}
