package playtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks"
)

// Given is what the world knows when a test begins. Where it says nothing, there is nothing: no key was seen,
// no event has anything in common with the test's, the state is empty, and nobody has anything to do.
type Given struct {
	Seen    []string
	State   map[string]any
	History []Past
	Loads   map[string]int // open objects by person
	Rotas   map[string]string
}

// Past is what history() counts: the first that fits the question answers.
type Past struct {
	With  map[string]string // fields with a value that is asked for; none: any question
	Count int64
}

// memory answers what a playbook asks in a test.
type memory struct {
	given Given
	rotas engine.Rotas
	kept  map[place]kept
}

// place is a key of the state of a playbook: that which is tested, or one that it calls.
type place struct{ playbook, key string }

type kept struct {
	value   any
	expires time.Time // zero: it was given, and stays
}

func newMemory(playbook string, file, test Given, rotas engine.Rotas) *memory {
	m := &memory{given: test, rotas: rotas, kept: map[place]kept{}}
	m.given.Rotas = maps.Clone(file.Rotas)
	if m.given.Rotas == nil {
		m.given.Rotas = map[string]string{}
	}
	maps.Copy(m.given.Rotas, test.Rotas)
	for key, v := range test.State {
		m.kept[place{playbook, key}] = kept{value: v}
	}
	return m
}

// Read implements [engine.World].
func (m *memory) Read(a engine.Asker, by, name string, args []any) (any, error) {
	switch name {
	case playbooks.AskSeen:
		return slices.Contains(m.given.Seen, fmt.Sprint(args[0])), nil
	case playbooks.AskState:
		return m.value(place{by, fmt.Sprint(args[0])}, a.At), nil
	case playbooks.AskHistory:
		return m.count(args[0]), nil
	case playbooks.AskLeastLoaded:
		return m.leastLoaded(args), nil
	case playbooks.AskOnDuty:
		return m.onDuty(args)
	}
	return true, nil // there is room for what is kept
}

func (m *memory) value(at place, now time.Time) any {
	k := m.kept[at]
	if !k.expires.IsZero() && !now.Before(k.expires) {
		return nil
	}
	return k.value
}

func (m *memory) count(arg any) int64 {
	asked, _ := arg.(map[string]any)
	for _, p := range m.given.History {
		fits := true
		for field, want := range p.With {
			values, _ := asked[field].([]any)
			fits = fits && slices.Contains(values, any(strings.ToLower(strings.TrimSpace(want))))
		}
		if fits {
			return p.Count
		}
	}
	return 0
}

func (m *memory) leastLoaded(people []any) any {
	return slices.MinFunc(people, func(a, b any) int { return m.given.Loads[fmt.Sprint(a)] - m.given.Loads[fmt.Sprint(b)] })
}

func (m *memory) onDuty(args []any) (any, error) {
	name, _ := args[0].(string)
	at, _ := args[1].(time.Time)
	if who, ok := m.given.Rotas[name]; ok {
		return nobody(who), nil
	}
	if m.rotas != nil {
		if who, version, ok := m.rotas.OnDuty(name, at); ok {
			return engine.Versioned{Value: nobody(who), Version: version}, nil
		}
	}
	return nil, engine.Refusal(fmt.Sprintf("there is no rota %.60q: add rotas: {%.60s: PERSON} to the test", name, name))
}

// nobody is nil for no name.
func nobody(who string) any {
	if who == "" {
		return nil
	}
	return who
}

// keep takes over what the run keeps.
func (m *memory) keep(puts []engine.Put) error {
	for _, p := range puts {
		at := place{p.Playbook, p.Key}
		if p.Value == nil {
			delete(m.kept, at)
			continue
		}
		v, err := engine.KeptValue(p.Value)
		if err != nil {
			return err
		}
		m.kept[at] = kept{value: v, expires: p.Expires}
	}
	return nil
}

func (s *stage) judgeKept(e Expect) {
	for _, key := range slices.Sorted(maps.Keys(e.Kept)) {
		got := s.memory.value(place{s.playbook.Name, key}, s.now)
		if diff := differs("", e.Kept[key], plainTimes(got)); diff != "" {
			s.fail(e.Pos, fmt.Sprintf("the state of %q is %s", key, written(e.Kept[key])), "it "+diff)
		}
	}
}

// given are the readers of what the world knows, by key.
func (r *reader) given(g *Given) map[string]func(*document.Node) {
	return map[string]func(*document.Node){
		"seen": r.words(&g.Seen),
		"state": func(n *document.Node) {
			var ok bool
			if g.State, ok = n.Any().(map[string]any); !ok {
				r.fail(n, CodeForm, "write {key: value}", "state is a map of keys, not %s", n)
			}
		},
		"history": func(n *document.Node) { r.history(n, g) },
		"loads": func(n *document.Node) {
			g.Loads = map[string]int{}
			for _, p := range r.pairs(n, "loads") {
				g.Loads[p.Key.Text] = int(r.whole(p.Value, "the load of "+p.Key.Text))
			}
		},
		"rotas": r.rotas(g),
	}
}

// rotas reads who is on duty.
func (r *reader) rotas(g *Given) func(*document.Node) {
	return func(n *document.Node) {
		g.Rotas = map[string]string{}
		for _, p := range r.pairs(n, "rotas") {
			var who string
			if !p.Value.IsNull() { // nobody
				r.text(&who)(p.Value)
			}
			g.Rotas[p.Key.Text] = who
		}
	}
}

// history reads a number, or a list of fields with numbers.
func (r *reader) history(n *document.Node, g *Given) {
	if n.Kind != document.List {
		g.History = []Past{{Count: r.whole(n, "history")}}
		return
	}
	r.list(n, "history", MaxMocks, func(item *document.Node) {
		p := Past{With: map[string]string{}}
		counted := false
		for _, pair := range r.pairs(item, "an entry of history") {
			if pair.Key.Text == "count" {
				p.Count, counted = r.whole(pair.Value, "count"), true
				continue
			}
			p.With[pair.Key.Text] = pair.Value.Text
		}
		if !counted {
			r.fail(item, CodeForm, "add count: 3", "the entry does not say what is counted")
		}
		g.History = append(g.History, p)
	})
}

func (r *reader) pairs(n *document.Node, what string) []document.Pair {
	if n.Kind != document.Map {
		r.fail(n, CodeForm, "write {name: value}", "%s is a map, not %s", what, n)
		return nil
	}
	return n.Pairs
}

func (r *reader) whole(n *document.Node, what string) int64 {
	v, ok := n.Int()
	if !ok || v < 0 {
		r.fail(n, CodeForm, "write a number from 0", "%s is a number, not %s", what, n)
	}
	return v
}
