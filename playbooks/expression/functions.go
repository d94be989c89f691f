package expression

import (
	"slices"
	"strings"
	"sync"
)

// byName is the table of functions, ordered once. It is never changed.
var byName = sync.OnceValue(func() []function {
	table := slices.Concat(textFunctions(), listFunctions(), numberFunctions(), timeFunctions(), businessFunctions(),
		securityFunctions(), evidenceFunctions(), writingFunctions(), quotingFunctions())
	slices.SortFunc(table, func(a, b function) int { return strings.Compare(a.name, b.name) })
	return table
})

// functions returns the table, sorted by name. Callers only read it.
func functions() []function { return byName() }

// lookup finds a function of the language.
func lookup(name string) (function, bool) {
	table := byName()
	i, ok := slices.BinarySearchFunc(table, name, func(f function, name string) int { return strings.Compare(f.name, name) })
	if !ok {
		return function{}, false
	}
	return table[i], true
}

// Parameters, named for the tables.
func need(name string, t Type) param  { return param{name: name, typ: t} }
func allow(name string, t Type) param { return param{name: name, typ: t, optional: true} }

// itemOf is the type of a call that returns an item of its first argument.
func itemOf(args []Type) Type { return args[0].item() }

// sameAs is the type of a call that returns a list like its first argument.
func sameAs(args []Type) Type {
	if args[0].kind == kindList {
		return args[0]
	}
	return List(Any)
}
