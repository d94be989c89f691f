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
	Count int
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

func newMemory(f *File, test Given, rotas engine.Rotas) *memory {
	m := &memory{given: test, rotas: rotas, kept: map[place]kept{}}
	m.given.Rotas = map[string]string{}
	maps.Copy(m.given.Rotas, f.Rotas)
	maps.Copy(m.given.Rotas, test.Rotas)
	for key, v := range test.State {
		m.kept[place{f.Playbook, key}] = kept{value: v}
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
			return int64(p.Count)
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
		"seen":    r.words(&g.Seen),
		"state":   r.object(&g.State, "state"),
		"history": func(n *document.Node) { r.history(n, g) },
		"loads":   r.numbers(&g.Loads, "loads"),
		"rotas":   r.rotas(&g.Rotas),
	}
}

// rotas reads who is on duty.
func (r *reader) rotas(into *map[string]string) func(*document.Node) {
	return func(n *document.Node) {
		*into = map[string]string{}
		for _, p := range r.pairs(n, "rotas") {
			var who string
			if !p.Value.IsNull() { // nobody
				r.text(&who)(p.Value)
			}
			(*into)[p.Key.Text] = who
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
		keys := map[string]func(*document.Node){"count": func(n *document.Node) { p.Count, counted = r.whole(n, "count"), true }}
		for _, field := range playbooks.HistoryFields() {
			keys[field] = func(n *document.Node) {
				var value string
				r.text(&value)(n)
				p.With[field] = value
			}
		}
		if r.fields(item, "an entry of history", keys) && !counted {
			r.fail(item, CodeForm, "add count: 3", "the entry does not say what is counted")
		}
		g.History = append(g.History, p)
	})
}
