package expression

import (
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser/lexer"
)

// Decider finds out whether claims can hold. It tries values: those that the claims name, those between them,
// and one that is like none of them. These are all that a claim can tell apart, so an answer is exact where
// claims say all there is, and where some part is not known it is taken to be either, so that "impossible" is
// never wrong. A Decider that has looked too often answers no more: then everything is possible.
type Decider struct {
	left int // looks
}

// NewDecider makes one that may look so often: a look is one part of a claim, examined once.
func NewDecider(looks int) *Decider { return &Decider{left: looks} }

// Tired says that the Decider has looked as often as it may.
func (d *Decider) Tired() bool { return d.left <= 0 }

// Impossible says that the claim can never hold. False may also mean that it is not known.
func (d *Decider) Impossible(c *Claim) bool {
	if c == nil || d.left <= 0 {
		return false
	}
	s := search{d: d, at: map[*atom]spot{}}
	s.collect(c)
	for _, u := range s.unknowns {
		if !u.cells(d) {
			return false
		}
	}
	return !s.possible(c) && d.left > 0
}

// unknown is one place and what may stand there, told apart only as far as its atoms do.
type unknown struct {
	atoms []*atom
	sorts [][]bool // the truth of each atom, once for each kind of value
	sort  int      // the one that is tried; -1: none yet
}

// search tries the sorts of all unknowns.
type search struct {
	d        *Decider
	unknowns []*unknown
	at       map[*atom]spot
}

// spot is where the truth of an atom is found.
type spot struct {
	unknown *unknown
	index   int
}

func (s *search) collect(c *Claim) {
	places := map[string]*unknown{}
	var walk func(c *Claim)
	walk = func(c *Claim) {
		if c == nil {
			return
		}
		if c.op == claimAtom && s.at[c.atom].unknown == nil {
			u := places[c.atom.place]
			if u == nil {
				u = &unknown{sort: -1}
				s.unknowns = append(s.unknowns, u)
				if c.atom.place != "" {
					places[c.atom.place] = u
				}
			}
			s.at[c.atom] = spot{u, len(u.atoms)}
			u.atoms = append(u.atoms, c.atom)
		}
		for _, child := range c.of {
			walk(child)
		}
	}
	walk(c)
}

// maxTextTests is how many tests of one text are looked at together: each doubles the kinds of text there are.
const maxTextTests = 4

// cells works out the sorts of values. It is false if there are too many.
func (u *unknown) cells(d *Decider) bool {
	seen := map[string]bool{}
	add := func(row []bool) {
		key := make([]byte, len(row))
		for i, holds := range row {
			key[i] = byte(bit(holds))
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			u.sorts = append(u.sorts, row)
		}
	}
	if slices.ContainsFunc(u.atoms, func(a *atom) bool { return a.test == isTrue }) {
		// Nothing is known of it but whether it is true. Whatever else compares it is as free.
		add(slices.Repeat([]bool{true}, len(u.atoms)))
		add(make([]bool, len(u.atoms)))
		return !slices.ContainsFunc(u.atoms, func(a *atom) bool { return a.test != isTrue })
	}
	equal := map[any][]int{} // the atoms that a constant satisfies by being it
	for i, a := range u.atoms {
		if a.test == isOneOf {
			for _, v := range a.values {
				equal[v] = append(equal[v], i)
			}
		}
	}
	samples := u.samples()
	if d.left -= len(samples) * (1 + len(u.atoms)/bitsPerLook); d.left <= 0 {
		return false
	}
	for _, v := range samples {
		row := make([]bool, len(u.atoms))
		for _, i := range equal[v] {
			row[i] = true
		}
		for i, a := range u.atoms {
			if a.test != isOneOf {
				row[i] = a.holds(v)
			}
		}
		add(row)
	}
	return u.otherTexts(add)
}

// bitsPerLook is how many truths of a row are worked out in the time of a look.
const bitsPerLook = 16

// otherTexts adds what is none of the constants: a text passes the tests of texts in one way or another, and
// anything else passes none. It is false if there are too many ways.
func (u *unknown) otherTexts(add func(row []bool)) bool {
	var tests []string
	for _, a := range u.atoms {
		if key := a.textTest(); key != "" && !slices.Contains(tests, key) {
			tests = append(tests, key)
		}
	}
	if len(tests) > maxTextTests {
		return false
	}
	for passed := range 1 << len(tests) {
		row := make([]bool, len(u.atoms))
		for i, a := range u.atoms {
			at := slices.Index(tests, a.textTest())
			row[i] = at >= 0 && passed&(1<<at) != 0
		}
		add(row)
	}
	return true
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// textTest names the test of a text that the atom is; "" if it is none.
func (a *atom) textTest() string {
	if a.test != hasPart && a.test != hasStart && a.test != hasEnd {
		return ""
	}
	part, _ := a.values[0].(string)
	return string(rune('0'+int(a.test))) + part
}

// samples are the constants of all atoms, and a value below, between and above those that have an order.
func (u *unknown) samples() []any {
	all := []any{nil, true, false}
	var numbers []float64
	var times []time.Time
	var spans []time.Duration
	for _, a := range u.atoms {
		if a.textTest() != "" {
			continue
		}
		for _, v := range a.values {
			switch v := v.(type) {
			case float64:
				numbers = append(numbers, v)
			case time.Time:
				times = append(times, v)
			case time.Duration:
				spans = append(spans, v)
			case string:
				all = append(all, v)
			}
		}
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		all = append(all, n, math.Nextafter(n, math.Inf(-1)), math.Nextafter(n, math.Inf(1)))
		if i > 0 {
			all = append(all, numbers[i-1]/2+n/2)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	for i, t := range times {
		all = append(all, t, t.Add(-time.Nanosecond), t.Add(time.Nanosecond))
		if i > 0 {
			all = append(all, times[i-1].Add(t.Sub(times[i-1])/2))
		}
	}
	slices.Sort(spans)
	for i, d := range spans {
		all = append(all, d, d-1, d+1)
		if i > 0 {
			all = append(all, spans[i-1]/2+d/2)
		}
	}
	return all
}

// verdict is what is known of a claim while some sorts are open.
type verdict int

const (
	open verdict = iota
	does
	doesNot
)

// possible tries to make the claim hold, one unknown after the other.
func (s *search) possible(c *Claim) bool {
	switch v, next := s.look(c); {
	case s.d.left <= 0, v == does:
		return true
	case v == doesNot:
		return false
	default:
		for i := range next.sorts {
			next.sort = i
			if s.possible(c) {
				next.sort = -1
				return true
			}
		}
		next.sort = -1
		return false
	}
}

// look evaluates the claim as far as the unknowns are settled; if that is not enough, it names one that isn't.
func (s *search) look(c *Claim) (verdict, *unknown) {
	if s.d.left--; s.d.left <= 0 || c == nil {
		return does, nil
	}
	switch c.op {
	case claimConstant:
		return verdictOf(c.holds), nil
	case claimAtom:
		at := s.at[c.atom]
		if at.unknown.sort < 0 {
			return open, at.unknown
		}
		return verdictOf(at.unknown.sorts[at.unknown.sort][at.index]), nil
	case claimNot:
		v, u := s.look(c.of[0])
		switch v {
		case does:
			return doesNot, nil
		case doesNot:
			return does, nil
		}
		return open, u
	}
	decisive := doesNot // one part that does not hold decides an and
	if c.op == claimOr {
		decisive = does
	}
	var first *unknown
	for _, part := range c.of {
		v, u := s.look(part)
		switch {
		case v == decisive:
			return decisive, nil
		case v == open && first == nil:
			first = u
		}
	}
	switch {
	case first != nil:
		return open, first
	case c.op == claimOr:
		return doesNot, nil
	}
	return does, nil
}

func verdictOf(holds bool) verdict {
	if holds {
		return does
	}
	return doesNot
}

// Foregone is a part of a condition that comes out the same for every event.
type Foregone struct {
	Text           string // as it is written
	Offset, Length int    // in characters of the condition
	Value          bool
	Whole          bool // it is the whole condition
	Written        bool // it is true or false, written out
}

// Foregone finds the largest parts of a condition that never change: the whole of it, parts of an and or an
// or, and what is asked of the items of a list.
func (d *Decider) Foregone(r *Reading) []Foregone {
	if r.tree == nil {
		return nil
	}
	end := len(r.tree.tokens)
	if end > 0 && r.tree.tokens[end-1].Kind == lexer.EOF {
		end--
	}
	f := finder{d: d, t: r.tree}
	f.part(part{r.tree.root, 0, end})
	if len(f.found) == 1 && f.found[0].Length >= r.tree.length() {
		f.found[0].Whole = true
	}
	return f.found
}

// finder is one search for constant parts.
type finder struct {
	d     *Decider
	t     *tree
	found []Foregone
}

// part looks at a piece of the condition, and if it is not constant at what it is made of.
func (f *finder) part(p part) {
	c := claimOf(p.node)
	never := f.d.Impossible(c)
	if never || f.d.Impossible(c.Not()) {
		text, offset := f.t.text(p)
		_, written := p.node.(*ast.BoolNode)
		f.found = append(f.found, Foregone{Text: text, Offset: offset, Length: utf8.RuneCountInString(text), Value: !never, Written: written})
		return
	}
	switch n := p.node.(type) {
	case *ast.BinaryNode:
		if !isAnd(n.Operator) && !isOr(n.Operator) {
			return
		}
		is := isAnd
		if isOr(n.Operator) {
			is = isOr
		}
		if parts := f.t.split(p, is, nil); len(parts) > 1 {
			for _, inner := range parts {
				f.part(inner)
			}
		}
	case *ast.BuiltinNode:
		if len(n.Arguments) < 2 || !slices.Contains(askingForms(), n.Name) {
			return
		}
		if body, ok := n.Arguments[1].(*ast.PredicateNode); ok {
			f.part(f.t.partOf(body.Node))
		}
	}
}

// askingForms are the loops whose predicate is true or false.
func askingForms() []string {
	return []string{"all", "none", "any", "one", "filter", "find", "findIndex", "findLast", "findLastIndex", "count"}
}
