package engine

import (
	"slices"
	"sync"

	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// search finds out which facts of a group are true of one event and whom they lead to.
type search struct {
	group *group
	lists func(name string) *listed
	facts *Facts
	place *place // being looked at
	see   func(any)

	held  []int
	is    []bool // by fact
	books []int
}

var searches = sync.Pool{New: func() any {
	s := &search{}
	s.see = s.value
	return s
}}

// look adds to facts what the group asks about an event, and returns the playbooks whose screens
// let it through, in the order of the set. facts says already what else is known of the event.
func (g *group) look(ev Event, subject any, facts *Facts, lists func(name string) *listed) []int {
	s := searches.Get().(*search)
	s.group, s.facts, s.lists = g, facts, lists
	s.is = append(s.is[:0], make([]bool, g.facts)...)
	s.circumstances(ev)
	for _, p := range g.keys {
		root := subject
		if p.key.Root != g.subject {
			root = tenantScope(ev)
		}
		s.place = p
		if err := p.key.Visit(root, s.see); err != nil {
			s.hold(p.fault)
			put(&facts.Faults, p.name, err.Error())
		}
	}
	s.walk(g.root)
	slices.Sort(s.books)
	books := slices.Clone(s.books)
	if mutant.On(mutant.SkipCandidate) && len(books) > 1 {
		books = books[1:]
	}
	s.group, s.facts, s.lists, s.place = nil, nil, nil, nil
	s.held, s.books = s.held[:0], s.books[:0]
	searches.Put(s)
	return books
}

func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

func tenantScope(ev Event) map[string]any { return map[string]any{"name": ev.Tenant} }

func (s *search) circumstances(ev Event) {
	if s.facts.Updated {
		s.hold(factUpdated)
	} else {
		s.hold(factCreated)
	}
	if fact, named := s.group.tenants[ev.Tenant]; named {
		s.hold(fact)
	}
	for field, fact := range s.group.changes {
		if _, changed := ev.Changes[field]; changed {
			s.hold(fact)
		}
	}
}

func (s *search) hold(fact int) bool {
	if s.is[fact] {
		return false
	}
	s.is[fact] = true
	s.held = append(s.held, fact)
	return true
}

// value is told of each value at the place.
func (s *search) value(v any) {
	p := s.place
	c, constant := expression.Constant(v)
	if constant {
		if fact, asked := p.values[c]; asked && s.hold(fact) {
			put(&s.facts.Values, p.name, append(s.facts.Values[p.name], c))
		}
	}
	for _, l := range p.lists {
		if !s.is[l.fact] && s.lists(l.name).has(v, c, constant) && s.hold(l.fact) {
			put(&s.facts.Lists, p.name, append(s.facts.Lists[p.name], l.name))
		}
	}
}

func (s *search) walk(n *node) {
	s.books = append(s.books, n.ends...)
	if len(n.byFact) > 0 {
		for _, fact := range s.held {
			for _, next := range n.byFact[fact] {
				s.walk(next)
			}
		}
	}
	for i := range n.tests {
		if n.tests[i].holds(s.is) {
			s.walk(n.tests[i].to)
		}
	}
}

func (c *condition) holds(is []bool) bool {
	for _, fact := range c.facts {
		if is[fact] {
			return !c.not
		}
	}
	return c.not
}
