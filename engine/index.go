package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// index is a set of playbooks, prepared for events: it names those whose screens let an event
// through without looking at the others. It is immutable.
type index struct {
	set    *playbooks.Set
	stored PlaybookSet
	since  time.Time           // when it was taken into use
	groups map[string][]*group // by source
	// watched are the fields that change triggers ask about, by source and without repeats.
	watched map[string][]watchedField
	ends    map[string][]*playbooks.EndOfRun // by playbook: who waits for the ends of its runs
	clocks  map[string][]*playbooks.Playbook // by the source of the versions that they are counted by
}

// group is the playbooks that listen to a source and see its events under one name. All but one
// of a source's groups are empty unless playbooks disagree about what it brings.
type group struct {
	subject     string
	subjectType expression.Type
	books       []*playbooks.Playbook // in the order of the set
	byName      map[string]int
	keys        []*place
	tenants     map[string]int // facts
	changes     map[string]int // facts: that a field changed
	root        *node
	facts       int // how many there are
}

// place is a key that terms ask about, with the facts that there are about it.
type place struct {
	key    expression.Key
	name   string
	values map[any]int
	lists  []listFact
	fault  int // the fact that reading it failed
}

type listFact struct {
	name string
	fact int
}

// Facts that every group has.
const (
	factCreated = iota
	factUpdated
	firstFact
)

// condition is a term in the form in which it is looked for: one of its facts is true, or, with
// not, none.
type condition struct {
	facts []int
	not   bool
	// one says that at most one of the facts can be true of an event.
	one    bool
	weight int
}

// node is where the conditions on the way from the root hold.
type node struct {
	ends   []int // playbooks that have no more conditions
	byFact map[int][]*node
	tests  []branch // conditions that have to be looked at
}

type branch struct {
	condition
	to *node
}

// newIndex prepares a set. What it makes of a playbook depends on nothing else than its text.
func newIndex(set *playbooks.Set) *index {
	x := &index{set: set, groups: map[string][]*group{}, watched: map[string][]watchedField{}, ends: map[string][]*playbooks.EndOfRun{},
		clocks: map[string][]*playbooks.Playbook{}}
	x.stored.Members = make([]SetMember, 0, len(set.Playbooks))
	screens := make([]*Screen, len(set.Playbooks))
	for i, p := range set.Playbooks {
		screens[i] = screenOf(p)
		x.watch(p)
		if sla := p.SLA(); sla != nil && p.Enabled {
			source := "poll/" + sla.Resource
			x.clocks[source] = append(x.clocks[source], p)
		}
		x.stored.Members = append(x.stored.Members, SetMember{Name: p.Name, Digest: p.Digest, Screen: screens[i]})
	}
	if set.Digest != "" {
		x.stored.Digest = digestOf(x.stored.Members)
	}
	type listener struct {
		n      int // in the group
		screen *Screen
		gate   Gate
	}
	listeners := map[*group][]listener{}
	for i, p := range set.Playbooks {
		for source, gate := range screens[i].Gates {
			g := x.group(source, p)
			listeners[g] = append(listeners[g], listener{len(g.books), screens[i], gate})
			g.byName[p.Name] = len(g.books)
			g.books = append(g.books, p)
		}
	}
	for g, list := range listeners {
		places := map[string]*place{}
		conditions := make([][]condition, len(list))
		for i, l := range list {
			conditions[i] = g.conditions(l.screen, l.gate, places)
		}
		g.weigh(conditions)
		root := &builder{next: map[string]*builder{}}
		g.root = &root.node
		for i, l := range list {
			if !l.screen.Disabled {
				root.insert(conditions[i], l.n)
			}
		}
	}
	return x
}

// watch notes the fields and the ends of runs that concern a playbook.
func (x *index) watch(p *playbooks.Playbook) {
	for i := range p.Triggers {
		t := &p.Triggers[i]
		if t.Run != nil {
			for _, name := range t.Run.Playbooks {
				x.ends[name] = append(x.ends[name], t.Run)
			}
		}
		if t.Change == nil || slices.ContainsFunc(x.watched[t.Source], func(f watchedField) bool { return f.name == t.Change.Field }) {
			continue
		}
		x.watched[t.Source] = append(x.watched[t.Source], watched(p, t.Change))
	}
}

// digestOf identifies what is stored of a set: two releases of this program may make different
// screens of one text.
func digestOf(members []SetMember) string {
	h := sha256.New()
	// Encoding our own plain types can't fail, and a hash takes all that is written to it.
	_ = json.NewEncoder(h).Encode(members)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func (x *index) group(source string, p *playbooks.Playbook) *group {
	for _, g := range x.groups[source] {
		if g.subject == p.Subject {
			return g
		}
	}
	g := &group{subject: p.Subject, subjectType: p.SubjectType, byName: map[string]int{}, tenants: map[string]int{}, changes: map[string]int{}, facts: firstFact}
	x.groups[source] = append(x.groups[source], g)
	return g
}

// listeners counts the playbooks that listen to a source.
func (x *index) listeners(source string) int {
	n := 0
	for _, g := range x.groups[source] {
		n += len(g.books)
	}
	return n
}

func (g *group) fact() int {
	g.facts++
	return g.facts - 1
}

// conditions are what must hold before the playbook is looked at.
func (g *group) conditions(s *Screen, gate Gate, places map[string]*place) []condition {
	var list []condition
	if len(s.Tenants) > 0 {
		c := condition{one: true}
		for _, tenant := range s.Tenants {
			if _, known := g.tenants[tenant]; !known {
				g.tenants[tenant] = g.fact()
			}
			c.add(g.tenants[tenant])
		}
		list = append(list, c)
	}
	switch gate.On {
	case onCreated:
		list = append(list, condition{facts: []int{factCreated}, one: true})
	case onUpdated:
		list = append(list, condition{facts: []int{factUpdated}, one: true})
	case onNothing:
		list = append(list, condition{})
	}
	if gate.Change != "" {
		if _, known := g.changes[gate.Change]; !known {
			g.changes[gate.Change] = g.fact()
		}
		list = append(list, condition{facts: []int{g.changes[gate.Change]}, one: true})
	}
	for _, t := range gate.Terms {
		p := places[t.Key]
		if p == nil {
			p = &place{key: t.key, name: t.Key, values: map[any]int{}, fault: g.fact()}
			places[t.Key] = p
			g.keys = append(g.keys, p)
		}
		list = append(list, g.condition(t, p))
	}
	return list
}

func (g *group) condition(t GateTerm, p *place) condition {
	c := condition{not: t.Not}
	if t.List != "" {
		c.add(g.listFact(p, t.List))
	}
	for _, v := range t.Values {
		if _, known := p.values[v]; !known {
			p.values[v] = g.fact()
		}
		c.add(p.values[v])
	}
	c.one = !t.Not && (len(c.facts) == 1 || p.key.Form == expression.Single)
	if t.Not {
		c.add(p.fault) // what can't be read does not hold, whatever is asked of it
	}
	return c
}

func (c *condition) add(fact int) {
	if !slices.Contains(c.facts, fact) {
		c.facts = append(c.facts, fact)
	}
}

func (g *group) listFact(p *place, name string) int {
	for _, l := range p.lists {
		if l.name == name {
			return l.fact
		}
	}
	l := listFact{name, g.fact()}
	p.lists = append(p.lists, l)
	return l.fact
}

// weigh orders the conditions of each playbook so that those that few playbooks share come first:
// they are true of few events, and what follows them is not looked at. The order has no meaning;
// it is the same in all playbooks so that their ways share nodes.
func (g *group) weigh(conditions [][]condition) {
	used := make([]int, g.facts)
	for _, list := range conditions {
		for _, c := range list {
			for _, f := range c.facts {
				used[f]++
			}
		}
	}
	for _, list := range conditions {
		for i := range list {
			slices.Sort(list[i].facts)
			for _, f := range list[i].facts {
				list[i].weight += used[f]
			}
		}
		slices.SortFunc(list, func(a, b condition) int {
			return cmp.Or(a.class()-b.class(), a.weight-b.weight, slices.Compare(a.facts, b.facts))
		})
	}
}

// class puts conditions that are found before those that must be looked at.
func (c condition) class() int {
	switch {
	case c.one:
		return 0
	case !c.not:
		return 1
	}
	return 2
}

// builder is a node in the making: it knows its next ones by their conditions.
type builder struct {
	node
	next map[string]*builder
}

func (b *builder) insert(list []condition, book int) {
	for _, c := range list {
		name := fmt.Sprint(c.not, c.one, c.facts)
		next := b.next[name]
		if next == nil {
			next = &builder{next: map[string]*builder{}}
			b.next[name] = next
			b.link(c, &next.node)
		}
		b = next
	}
	b.ends = append(b.ends, book)
}

func (n *node) link(c condition, to *node) {
	if !c.one {
		n.tests = append(n.tests, branch{c, to})
		return
	}
	if n.byFact == nil {
		n.byFact = map[int][]*node{}
	}
	for _, f := range c.facts {
		n.byFact[f] = append(n.byFact[f], to)
	}
}
