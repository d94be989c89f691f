package expression

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// Text from outside must not become code. Where the value of an expression is put into a text of another
// language, every part of it that comes from outside has to pass through the function that quotes for that language. What does not is
// bare.

// languages are those that have a function that quotes for them.
func languages() []string { return []string{"kql", "odata", "url", "html", "card", "markdown", "csv"} }

// Quotes reports whether there is a function of that name which quotes for a language.
func Quotes(language string) bool { return slices.Contains(languages(), language) }

// Bare is the first part of an expression that would reach a text of a language unquoted, nil if there is none. trusted says
// which names hold what the author of the playbook wrote: a variable, and the field below it or "". Numbers, times, and what is true or false need no quotes. An
// expression that does not compile has nothing bare.
func Bare(src string, env *Env, language string, trusted func(root, field string) bool) *Problem {
	tree, problem := parse(src)
	if problem != nil {
		return nil
	}
	c := newChecker(tree, env)
	if c.check(); c.problem != nil {
		return nil
	}
	b := bare{tree: tree, language: language, trusted: trusted, lets: map[string]bool{}}
	found := b.find(tree.root)
	if found == nil {
		return nil
	}
	at := found.Location()
	return &Problem{
		Message: "text from outside is put into " + languageNames()[language] + " as it is",
		Mend:    "write " + language + "(…) around it",
		Offset:  min(at.From, len(tree.runes)), Length: max(1, at.To-at.From),
	}
}

func languageNames() map[string]string {
	return map[string]string{"kql": "a KQL query", "odata": "an OData filter", "url": "a URL", "html": "HTML", "card": "a card",
		"markdown": "Markdown", "csv": "CSV"}
}

type bare struct {
	tree     *tree
	language string
	trusted  func(root, field string) bool
	lets     map[string]bool // names that hold nothing bare
}

// find looks into what the value of a node is made of.
func (b *bare) find(n ast.Node) ast.Node {
	if t := b.tree.types[n]; t.IsNumber() || t.IsBool() || t.IsTime() || t.kind == kindDuration || t.kind == kindNil {
		return nil
	}
	switch n := n.(type) {
	case *ast.ChainNode:
		return b.find(n.Node)
	case *ast.IdentifierNode:
		if b.lets[n.Value] || b.trusted(n.Value, "") {
			return nil
		}
		return n
	case *ast.PointerNode:
		return n
	case *ast.MemberNode:
		if key, ok := keyOf(n); ok && len(key.Path) == 1 && b.trusted(key.Root, key.Path[0]) {
			return nil
		}
		if found := b.find(n.Node); found != nil {
			return n // the longest path is what the author sees
		}
		return nil
	case *ast.SliceNode:
		return b.find(n.Node)
	case *ast.ConditionalNode:
		return b.first(n.Exp1, n.Exp2)
	case *ast.BinaryNode:
		return b.first(n.Left, n.Right)
	case *ast.VariableDeclaratorNode:
		b.lets[n.Name] = b.find(n.Value) == nil
		return b.find(n.Expr)
	case *ast.ArrayNode:
		return b.first(n.Nodes...)
	case *ast.MapNode:
		return b.fields(n)
	case *ast.CallNode:
		return b.call(n)
	case *ast.BuiltinNode:
		return b.loop(n)
	}
	return nil // constants
}

func (b *bare) first(nodes ...ast.Node) ast.Node {
	for _, n := range nodes {
		if found := b.find(n); found != nil {
			return found
		}
	}
	return nil
}

func (b *bare) fields(n *ast.MapNode) ast.Node {
	for _, p := range n.Pairs {
		pair := p.(*ast.PairNode)
		if found := b.first(pair.Key, pair.Value); found != nil {
			return found
		}
	}
	return nil
}

// call looks into the arguments of a function, but for those that make harmless text of any.
func (b *bare) call(n *ast.CallNode) ast.Node {
	name := n.Callee.(*ast.IdentifierNode).Value // the checker has seen to that
	if name == b.language || name == "hash" {
		return nil
	}
	if _, ours := lookup(name); !ours {
		return n // what a function of the Env gives is from outside
	}
	return b.first(n.Arguments...)
}

// loop looks at what becomes of the items.
func (b *bare) loop(n *ast.BuiltinNode) ast.Node {
	body := func() ast.Node {
		if p, ok := n.Arguments[1].(*ast.PredicateNode); ok {
			return b.find(p.Node)
		}
		return b.find(n.Arguments[1])
	}
	switch {
	case n.Name == "map" && len(n.Arguments) > 1:
		return body()
	case n.Name == "reduce" && len(n.Arguments) > 1:
		if found := body(); found != nil {
			return found
		}
		return b.first(n.Arguments[2:]...)
	}
	return b.find(n.Arguments[0]) // the items themselves, all or some of them
}
