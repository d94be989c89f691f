package expression

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// Comparison is a term of the form that most terms of conditions have: it compares what stands at one place
// with constants or with a watchlist. Who has many conditions looks at the place once and knows about all of
// their comparisons with it.
//
// A comparison is a OneOf unless it says otherwise: one of the values at the Key equals one of Values.
type Comparison struct {
	Text   string // the term as it was written
	Key    Key
	Values []any  // what it is compared with: nil, bool, int64 or string, the form that [Constant] gives
	List   string // the watchlist that it is looked for in, instead of Values
	Not    bool   // the term holds if the comparison does not
}

// Key is a place, and which values are there.
type Key struct {
	Root string   // the variable
	Path []string // fields below it
	Form KeyForm
	Of   []string // of Each: the path below each item
}

// KeyForm says which values a comparison looks at.
type KeyForm int

// The forms of a Key.
const (
	Single KeyForm = iota // the value at the path, which may be nil
	Items                 // the items of the list at the path, or the keys of the object: x in path
	Each                  // what is below each item of the list: any(path, .of == x)
)

// String names the key so that two keys with one name are the same.
func (k Key) String() string {
	var b strings.Builder
	b.WriteString(k.Root)
	writePath(&b, k.Path)
	switch k.Form {
	case Items:
		b.WriteString("[]")
	case Each:
		b.WriteString("[#")
		writePath(&b, k.Of)
		b.WriteString("]")
	}
	return b.String()
}

func writePath(b *strings.Builder, path []string) {
	for _, name := range path {
		if isName(name) {
			b.WriteString("." + name)
			continue
		}
		b.WriteString("[" + strconv.Quote(name) + "]")
	}
}

// isName reports whether a field can be written after a dot.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return s != ""
}

// Visit calls see with each value of the key, until one is missing that must be there: then the error is the
// one that an evaluation of the comparison ends with, unless a value before it decides.
func (k Key) Visit(root any, see func(v any)) error {
	at, err := fetchPath(nil, root, k.Path)
	if err != nil {
		return err
	}
	switch k.Form {
	case Items:
		return visitItems(at, see)
	case Each:
		l, err := list(at)
		if err != nil {
			return err
		}
		for _, item := range l {
			v, err := fetchPath(nil, item, k.Of)
			if err != nil {
				return err
			}
			see(v)
		}
		return nil
	}
	see(at)
	return nil
}

// visitItems sees what "x in v" would find.
func visitItems(v any, see func(v any)) error {
	if o, ok := v.(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(o)) {
			see(name)
		}
		return nil
	}
	l, err := list(v)
	if err != nil {
		return notSearchable(v)
	}
	for _, item := range l {
		see(item)
	}
	return nil
}

// maxExact is up to where whole numbers are the same whether they are compared as int64 or as float64.
const maxExact = 1 << 53

// Constant gives a value the one form in which it is compared by ==; false if it has none, because the language
// compares values of its type in another way or never finds them equal to a constant.
func Constant(v any) (any, bool) {
	switch v := v.(type) {
	case nil, bool:
		return v, true
	case string:
		return v, utf8.ValidString(v)
	case int:
		return int64(v), -maxExact <= v && v <= maxExact
	case int64:
		return v, -maxExact <= v && v <= maxExact
	case float64:
		if v == float64(int64(v)) && -maxExact <= v && v <= maxExact {
			return int64(v), true
		}
	}
	return nil, false
}

// Comparisons are the program's leading terms, as far as each of them is a comparison. All of them say nothing
// about the terms that follow.
func (p *Program) Comparisons() []Comparison {
	var list []Comparison
	for _, t := range p.terms {
		if t.comparison == nil {
			break
		}
		list = append(list, *t.comparison)
	}
	return list
}

// comparison recognizes a Comparison.
func comparison(n ast.Node) *Comparison {
	switch n := n.(type) {
	case *ast.UnaryNode:
		if c := comparison(n.Node); c != nil && (n.Operator == "not" || n.Operator == "!") {
			c.Not = !c.Not
			return c
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "==":
			return equality(n)
		case "!=":
			if c := equality(n); c != nil {
				c.Not = true
				return c
			}
		case "in":
			return membership(n)
		case "or", "||":
			return alternatives(comparison(n.Left), comparison(n.Right))
		}
	case *ast.BuiltinNode:
		return anyItem(n)
	}
	return nil
}

// equality recognizes path == constant.
func equality(n *ast.BinaryNode) *Comparison {
	for _, sides := range [][2]ast.Node{{n.Left, n.Right}, {n.Right, n.Left}} {
		value, ok := constantOf(sides[1])
		if !ok {
			continue
		}
		if key, ok := keyOf(sides[0]); ok {
			return &Comparison{Key: key, Values: []any{value}}
		}
	}
	return nil
}

// membership recognizes path in [constants], path in lists.name and constant in path.
func membership(n *ast.BinaryNode) *Comparison {
	if value, ok := constantOf(n.Left); ok {
		if key, ok := keyOf(n.Right); ok && value != nil {
			key.Form = Items
			return &Comparison{Key: key, Values: []any{value}}
		}
		return nil
	}
	key, ok := keyOf(n.Left)
	if !ok {
		return nil
	}
	if array, ok := n.Right.(*ast.ArrayNode); ok {
		if values := constantsOf(array); values != nil {
			return &Comparison{Key: key, Values: values}
		}
		return nil
	}
	if l, ok := keyOf(n.Right); ok && l.Root == "lists" && len(l.Path) == 1 {
		return &Comparison{Key: key, List: l.Path[0]}
	}
	return nil
}

// alternatives joins comparisons of one place with constants.
func alternatives(a, b *Comparison) *Comparison {
	if a == nil || b == nil || a.Not || b.Not || a.List != "" || b.List != "" || a.Key.String() != b.Key.String() {
		return nil
	}
	a.Values = append(a.Values, b.Values...)
	return a
}

// anyItem recognizes any(path, .of == constant).
func anyItem(n *ast.BuiltinNode) *Comparison {
	if n.Name != "any" || len(n.Arguments) != 2 {
		return nil
	}
	p, ok := n.Arguments[1].(*ast.PredicateNode)
	if !ok {
		return nil
	}
	key, ok := keyOf(n.Arguments[0])
	if !ok {
		return nil
	}
	inner := comparison(p.Node)
	// What not all items have says nothing about whether one has it.
	if inner == nil || inner.Not || inner.List != "" || inner.Key.Root != itemRoot || inner.Key.Form != Single {
		return nil
	}
	key.Form, key.Of = Each, inner.Key.Path
	return &Comparison{Key: key, Values: inner.Values}
}

// itemRoot is the root of keys inside a loop.
const itemRoot = "#"

// keyOf recognizes a constant path.
func keyOf(n ast.Node) (Key, bool) {
	switch n := n.(type) {
	case *ast.ChainNode:
		return keyOf(n.Node)
	case *ast.IdentifierNode:
		return Key{Root: n.Value}, true
	case *ast.PointerNode:
		return Key{Root: itemRoot}, n.Name == ""
	case *ast.MemberNode:
		name, ok := n.Property.(*ast.StringNode)
		if !ok || !utf8.ValidString(name.Value) {
			return Key{}, false
		}
		key, ok := keyOf(n.Node)
		key.Path = append(key.Path, name.Value)
		return key, ok
	}
	return Key{}, false
}

func constantOf(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.NilNode:
		return nil, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.IntegerNode:
		return Constant(n.Value)
	case *ast.StringNode:
		return Constant(n.Value)
	}
	return nil, false
}

// constantsOf reads a list that rewriting folds; nil if it does not.
func constantsOf(n *ast.ArrayNode) []any {
	var values []any
	for _, e := range n.Nodes {
		v, ok := constantOf(e)
		if !ok || v == nil {
			return nil
		}
		values = append(values, v)
	}
	return values
}
