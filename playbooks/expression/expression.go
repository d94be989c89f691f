// Package expression compiles and evaluates the conditions and templates of playbooks.
//
// The language is expr (github.com/expr-lang/expr); this is the only package that imports it. What a
// playbook says must hold in the hands of people who write it at three in the morning, against alerts that an
// attacker has written. So the package stands between the two and promises:
//
//   - Names, fields and types are checked before anything runs. A mistake is a Problem with the place in the
//     text and, where there is one, the name that was probably meant.
//   - The same program, scope and time give the same value, today and years later. There is no clock and no
//     randomness, maps are walked in the order of their keys, and a function that is not on our list does not
//     exist.
//   - Every program and every evaluation ends, within limits that are constants of this package. Nothing
//     panics and nothing exhausts memory, whatever the text and whatever the values.
//   - Values are plain JSON values (nil, bool, int64, float64, string, []any, map[string]any) and time.Time and
//     time.Duration.
//
// Missing values. Every value may be nil. A field of nil is nil, an item beyond the end of a list is nil, a
// nil list has no items and length 0, and text operators (contains, matches, startsWith, endsWith) are false
// for nil. Comparing with == and != always works. Arithmetic and order (<, >) with nil, and nil where true or
// false is needed, are errors of the evaluation that say so: write "x ?? 0".
//
// Inside, expr's parser reads the text, our checker gives every node a type, the tree is rewritten so that all
// access, text and list functions are ours and are metered, and expr's machine runs the result.
package expression

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm"
)

// Signature is the type of a function that the scope brings along: one that reads the world, such as the
// rota or the history of events, and whose answers the caller records.
type Signature struct {
	Params   []Type
	Optional int  // how many of the last parameters may be left out
	Variadic bool // the last parameter may be repeated
	Result   Type
}

// HostFunc is the value in the scope behind a Signature. It must be deterministic for the evaluation.
type HostFunc func(args []any) (any, error)

// Keyed is a value in the scope whose fields are looked up when they are read: what the caller keeps by key. Such a
// name is declared as Any in the Env. Like a HostFunc, it must be deterministic for the evaluation.
type Keyed interface{ Get(key any) (any, error) }

// Env is what an expression may name. The functions of the language are always there. An Env is not changed
// after its first use; With makes an extended one.
type Env struct {
	Vars  map[string]Type
	Funcs map[string]Signature
}

// With returns an Env that has one name more.
func (e *Env) With(name string, t Type) *Env {
	next := &Env{Vars: make(map[string]Type, len(e.vars())+1)}
	maps.Copy(next.Vars, e.vars())
	next.Vars[name] = t
	if e != nil {
		next.Funcs = e.Funcs
	}
	return next
}

// Without returns an Env that lacks a name.
func (e *Env) Without(name string) *Env {
	next := &Env{Vars: maps.Clone(e.vars())}
	delete(next.Vars, name)
	if e != nil {
		next.Funcs = e.Funcs
	}
	return next
}

// vars tolerates a nil Env.
func (e *Env) vars() map[string]Type {
	if e == nil {
		return nil
	}
	return e.Vars
}

// Problem is what is wrong with an expression. Offset and Length count characters of the text that was given
// to Compile or ParseTemplate.
type Problem struct {
	Message string
	Mend    string
	Offset  int
	Length  int
}

// Error makes a Problem usable as an error.
func (p *Problem) Error() string {
	if p.Mend == "" {
		return p.Message
	}
	return p.Message + " (" + p.Mend + ")"
}

// Want is what the place of an expression asks of its value.
type Want int

// What may be wanted.
const (
	WantAny Want = iota
	WantBool
	WantText
	WantNumber
	WantList
	WantObject
	WantTime
	WantDuration
)

// typ is the type behind a Want.
func (w Want) typ() Type {
	switch w {
	case WantBool:
		return Bool
	case WantText:
		return Text
	case WantNumber:
		return Number
	case WantList:
		return List(Any)
	case WantObject:
		return Object(nil)
	case WantTime:
		return Time
	case WantDuration:
		return Duration
	}
	return Any
}

// Program is a compiled expression. It is immutable and may be used by many goroutines.
type Program struct {
	source string
	typ    Type
	want   Type
	terms  []term
	names  []string
	paths  []string
	funcs  []string
	calls  []Asking

	calendars []CalendarUse
}

// term is one part of a top-level conjunction; an expression that is none has one term.
type term struct {
	text   string
	offset int
	code   *vm.Program

	direct     *direct     // the same without the machine; nil if the term has another form
	comparison *Comparison // nil if the term is none
}

// Compile reads and checks an expression.
func Compile(src string, env *Env, want Want) (*Program, *Problem) {
	tree, problem := parse(src)
	if problem != nil {
		return nil, problem
	}
	c := newChecker(tree, env)
	typ := c.check()
	if c.problem != nil {
		return nil, c.problem
	}
	if wanted := want.typ(); !wanted.accepts(typ) {
		return nil, &Problem{
			Message: fmt.Sprintf("this is %s, but %s is needed here", typ, wanted),
			Mend:    mendWant(wanted, typ),
			Offset:  tree.start(), Length: tree.length(),
		}
	}
	p := &Program{
		source: src, typ: typ, want: want.typ(),
		names: sortedKeys(c.names), paths: sortedKeys(c.paths), funcs: sortedKeys(c.hosts), calendars: c.calendars, calls: c.calls,
	}
	if p.terms, problem = tree.assemble(); problem != nil {
		return nil, problem
	}
	return p, nil
}

// mendWant advises on an expression of the wrong type.
func mendWant(want, got Type) string {
	switch {
	case want.kind == kindBool:
		return "compare the value with something, as in x == \"new\" or len(x) > 0"
	case want.kind == kindText && got.kind == kindList:
		return "join(list, \", \") makes text of a list"
	case want.kind == kindText:
		return "string(x) makes text of a value"
	case want.kind == kindList:
		return "[x] is a list of one"
	case want.kind == kindTime:
		return `date("2027-03-31") makes a time of text`
	case want.kind == kindDuration && got.kind == kindText:
		return `duration("4h") makes a duration of text`
	}
	return ""
}

// sortedKeys lists a set.
func sortedKeys(set map[string]bool) []string {
	return slices.Sorted(maps.Keys(set))
}

// Source is the text the program was compiled from.
func (p *Program) Source() string { return p.source }

// Type is what is known of the program's value.
func (p *Program) Type() Type { return p.typ }

// Names are the variables of the Env that the program uses, sorted.
func (p *Program) Names() []string { return slices.Clone(p.names) }

// Paths are the longest constant paths from a variable that the program uses, sorted: "alert.title",
// "lists.known_noise". A path ends where a list is entered or a key is computed.
func (p *Program) Paths() []string { return slices.Clone(p.paths) }

// Funcs are the functions of the Env that the program calls, sorted.
func (p *Program) Funcs() []string { return slices.Clone(p.funcs) }

// Calendars are the places at which the program names a calendar.
func (p *Program) Calendars() []CalendarUse { return slices.Clone(p.calendars) }

// Calls are the calls of functions of the Env, in the order of the text.
func (p *Program) Calls() []Asking { return slices.Clone(p.calls) }

// Terms are the parts of the top-level conjunction as written, one if there is none.
func (p *Program) Terms() []string {
	texts := make([]string, len(p.terms))
	for i, t := range p.terms {
		texts[i] = t.text
	}
	return texts
}

// Eval computes the program's value. The scope is only read.
func (p *Program) Eval(scope map[string]any, now time.Time) (any, error) {
	if len(p.terms) > 1 {
		ok, _, err := p.Match(scope, now)
		return ok, err
	}
	r := newRun(p, scope, now)
	v, err := r.eval(&p.terms[0])
	if err != nil {
		return nil, err
	}
	r.release()
	v, err = result(v)
	if err != nil {
		return nil, p.fault(err)
	}
	if v != nil && !p.want.accepts(typeOf(v)) {
		return nil, p.fault(fmt.Errorf("the value is %s, but %s is needed", typeOf(v), p.want))
	}
	return v, nil
}

// Bool computes a program that was compiled with WantBool.
func (p *Program) Bool(scope map[string]any, now time.Time) (bool, error) {
	ok, _, err := p.Match(scope, now)
	return ok, err
}

// Match computes a condition and says why it does not hold: the terms of its top-level conjunction are
// evaluated in order, and the text of the first that is false is returned exactly as it was written.
func (p *Program) Match(scope map[string]any, now time.Time) (ok bool, firstFalse string, err error) {
	m := meter{now: now, scope: scope}
	return p.match(&m)
}

// match evaluates the terms, each without the machine if it has that form and the values are what it expects.
func (p *Program) match(m *meter) (ok bool, firstFalse string, err error) {
	var r *run
	for i := range p.terms {
		t := &p.terms[i]
		if t.direct != nil {
			before := *m
			if holds, sure := t.direct.holds(m); !sure {
				*m = before
			} else if holds {
				continue
			} else {
				r.release()
				return false, t.text, nil
			}
		}
		if r == nil {
			r = newRun(p, m.scope, m.now)
		}
		r.meter = *m
		holds, err := r.truth(t)
		*m = r.meter
		if err != nil {
			return false, "", err
		}
		if !holds {
			r.release()
			return false, t.text, nil
		}
	}
	r.release()
	return true, "", nil
}

// Fault is an error of an evaluation: a value was not what the expression needs it to be.
type Fault struct {
	Source  string // the expression
	Message string
	Offset  int // characters of Source; -1 if the place is not known
}

// Error quotes the expression, shortened, and says what happened.
func (f *Fault) Error() string {
	return fmt.Sprintf("expression %s: %s", quoted(f.Source), f.Message)
}

// fault wraps an error of the evaluation without a place.
func (p *Program) fault(err error) error {
	return &Fault{Source: p.source, Message: err.Error(), Offset: -1}
}

// quoted shortens a text to fit into a message.
func quoted(s string) string { return fmt.Sprintf("%q", Shorten(s)) }

// Shorten puts a text on one line and cuts it to the length in which messages quote it. Doing so again changes nothing.
func Shorten(s string) string {
	const most = 80
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}
