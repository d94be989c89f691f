package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
)

// function is one function of the language. Calls are checked against params; result, if set, computes the
// type of a call from the types of its arguments.
type function struct {
	name     string
	summary  string
	params   []param
	variadic bool // the last parameter may be repeated
	calendar bool // behind the parameters stands the name of a calendar, written out
	typ      Type
	result   func(args []Type) Type
	call     func(m *meter, args []any) (any, error)
}

// param is a parameter. Its name appears in messages and in the reference.
type param struct {
	name     string
	typ      Type
	optional bool
}

// Function describes a function for the reference.
type Function struct {
	Name      string
	Signature string // "truncate(text, length)"
	Summary   string
}

// Functions lists the functions of the language, sorted by name, without the forms that take a predicate.
func Functions() []Function {
	table := functions()
	list := make([]Function, len(table))
	for i, f := range table {
		list[i] = Function{Name: f.name, Signature: f.signature(), Summary: f.summary}
	}
	return list
}

// signature writes the function as it is called.
func (f function) signature() string {
	var b strings.Builder
	b.WriteString(f.name + "(")
	for i, p := range f.params {
		name := p.name
		if i > 0 {
			name = ", " + name
		}
		if p.optional {
			name = "[" + name + "]"
		}
		b.WriteString(name)
	}
	if f.variadic {
		b.WriteString(", …")
	}
	if f.calendar {
		b.WriteString(", calendar")
	}
	return b.String() + ")"
}

// exprFunction makes a function known to expr. Without declared types, expr passes all arguments as they are.
func exprFunction(name string, call callable) *builtin.Function {
	return &builtin.Function{Name: name, Func: call}
}

// call types a call. Only names can be called: a method of a value would be Go's, not ours.
func (c *checker) call(n *ast.CallNode) Type {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return c.fail(n, "call functions by name, as in lower(alert.title)", "values have no methods")
	}
	args := make([]Type, len(n.Arguments))
	f, found := lookup(callee.Value)
	sig, hosted := c.hosted(callee.Value)
	if !found && !hosted {
		return c.fail(n, c.mendFunction(callee.Value), "the function %s is not known", clip(callee.Value))
	}
	for i, a := range n.Arguments {
		args[i] = c.node(a)
	}
	if c.problem != nil {
		return Any
	}
	if hosted && !found {
		f = hostFunction(callee.Value, sig)
		c.hosts[callee.Value] = true
		c.calls = append(c.calls, c.askingOf(callee.Value, n))
	}
	if f.calendar {
		if args = c.calendar(n, f, args); c.problem != nil {
			return Any
		}
	}
	if !c.arguments(n, f, args) {
		return Any
	}
	if f.result != nil {
		return f.result(args)
	}
	return f.typ
}

// calendar takes the name of a calendar off the arguments of a call. It is written out, so that whoever
// loads the expression knows which calendars to keep with what it decides.
func (c *checker) calendar(n *ast.CallNode, f function, args []Type) []Type {
	last := len(args) - 1
	if last < 1 {
		c.fail(n, "write "+f.signature(), "%s is called with %d arguments", f.name, len(args))
		return nil
	}
	name, ok := n.Arguments[last].(*ast.StringNode)
	if !ok {
		c.fail(n.Arguments[last], fmt.Sprintf(`write its name in quotes, as in %s`, strings.Replace(f.signature(), "calendar)", `"office")`, 1)),
			"a calendar is named when the playbook is loaded, not worked out")
		return nil
	}
	loc := name.Location()
	c.calendars = append(c.calendars, CalendarUse{Name: name.Value, Offset: min(loc.From, len(c.tree.runes)), Length: max(1, loc.To-loc.From)})
	return args[:last]
}

func (c *checker) hosted(name string) (Signature, bool) {
	if c.env == nil {
		return Signature{}, false
	}
	sig, ok := c.env.Funcs[name]
	return sig, ok
}

// hostFunction gives a function of the Env the form of our own, to check its calls.
func hostFunction(name string, sig Signature) function {
	f := function{name: name, typ: sig.Result, variadic: sig.Variadic}
	for i, t := range sig.Params {
		f.params = append(f.params, param{
			name: fmt.Sprintf("argument %d", i+1), typ: t, optional: i >= len(sig.Params)-sig.Optional,
		})
	}
	return f
}

// mendFunction advises on a call of a function that does not exist.
func (c *checker) mendFunction(name string) string {
	switch name {
	case "repeat":
		return "repeat is not available: it can fill the memory"
	case "get":
		return `write x["field"]`
	case "timezone":
		return "times are compared in UTC; calendars of a playbook have their own time zone"
	}
	names := []string{"all", "any", "none", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex",
		"count", "sum", "groupBy", "sortBy", "reduce"}
	for _, f := range functions() {
		names = append(names, f.name)
	}
	if c.env != nil {
		for n := range c.env.Funcs {
			names = append(names, n)
		}
	}
	if near := nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

// arguments checks number and types of a call's arguments.
func (c *checker) arguments(n *ast.CallNode, f function, args []Type) bool {
	least := 0
	for _, p := range f.params {
		if !p.optional {
			least++
		}
	}
	if len(args) < least || len(args) > len(f.params) && !f.variadic {
		c.fail(n, "write "+f.signature(), "%s is called with %d arguments", f.name, len(n.Arguments))
		return false
	}
	for i, t := range args {
		p := f.params[min(i, len(f.params)-1)]
		if !p.typ.accepts(t) {
			c.fail(n.Arguments[i], mendWant(p.typ, t), "%s of %s must be %s, this is %s", p.name, f.name, p.typ.brief(), t.brief())
			return false
		}
	}
	return true
}

// Asking is a call of a function that the scope brings along, as it is written: what the Env's types cannot say about the
// arguments is for its owner to check. Offset and Length are as those of a Problem.
type Asking struct {
	Name           string
	Args           []Argument
	Offset, Length int
}

// Argument is what is known of an argument before anything is evaluated.
type Argument struct {
	Name     string // of a field of an object
	Constant bool   // it is written out: Value is what it will be
	Value    any
	Object   bool // it is an object that is written out, with these fields
	Fields   []Argument

	Offset, Length int
}

func (c *checker) askingOf(name string, n *ast.CallNode) Asking {
	at := n.Callee.Location()
	call := Asking{Name: name, Offset: at.From, Length: max(1, at.To-at.From)}
	for _, a := range n.Arguments {
		call.Args = append(call.Args, argumentOf(a))
	}
	return call
}

// moved is the call where its text stands so many characters later.
func (c Asking) moved(by int) Asking {
	c.Offset += by
	c.Args = movedArguments(c.Args, by)
	return c
}

func movedArguments(args []Argument, by int) []Argument {
	moved := slices.Clone(args)
	for i := range moved {
		moved[i].Offset += by
		moved[i].Fields = movedArguments(moved[i].Fields, by)
	}
	return moved
}

func argumentOf(n ast.Node) Argument {
	at := n.Location()
	a := Argument{Offset: at.From, Length: max(1, at.To-at.From)}
	if v, ok := operandOf(n); ok {
		a.Constant, a.Value = true, v
		return a
	}
	object, ok := n.(*ast.MapNode)
	if !ok {
		return a
	}
	for _, p := range object.Pairs {
		pair := p.(*ast.PairNode)
		key, ok := pair.Key.(*ast.StringNode)
		if !ok {
			return a
		}
		field := argumentOf(pair.Value)
		field.Name = key.Value
		a.Fields = append(a.Fields, field)
	}
	a.Object = true
	return a
}

// host calls a function that the scope brings along.
func host(name string) func(m *meter, args []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		switch fn := m.scope[name].(type) {
		case HostFunc:
			return fn(append([]any(nil), args...)) // the machine uses its slice again
		case func([]any) (any, error):
			return fn(append([]any(nil), args...))
		}
		return nil, fmt.Errorf("the function %s is not available here", name)
	}
}
