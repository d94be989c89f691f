package actions

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Registry is the set of actions that playbooks may use. It never changes.
type Registry struct {
	byName map[string]Action
	specs  []Spec
}

// NewRegistry makes a registry. It panics on a name that is taken and on a declaration that
// cannot be right: both are mistakes in the program.
func NewRegistry(as ...Action) *Registry {
	r := &Registry{byName: map[string]Action{}}
	for _, a := range as {
		s := a.Spec()
		if err := s.check(); err != nil {
			panic(err)
		}
		if r.byName[s.Name] != nil {
			panic(fmt.Errorf("action %s is registered twice", s.Name))
		}
		r.byName[s.Name] = a
	}
	for _, name := range slices.Sorted(maps.Keys(r.byName)) {
		r.specs = append(r.specs, r.byName[name].Spec())
	}
	return r
}

// UnknownError is a lookup of a name that no action has.
type UnknownError struct {
	Name    string
	Closest string   // an action with a similar name, or ""
	Known   []string // every name, sorted
}

// Error says what to write instead.
func (e *UnknownError) Error() string {
	if e.Closest != "" {
		return fmt.Sprintf("unknown action %q (did you mean %q?)", e.Name, e.Closest)
	}
	return fmt.Sprintf("unknown action %q: `playbookd actions` lists the %d that there are", e.Name, len(e.Known))
}

// Lookup finds an action; the error is an [*UnknownError].
func (r *Registry) Lookup(name string) (Action, error) {
	if a := r.byName[name]; a != nil {
		return a, nil
	}
	known := slices.Sorted(maps.Keys(r.byName))
	return nil, &UnknownError{Name: name, Closest: Closest(name, known), Known: known}
}

// Specs returns all declarations, sorted by name.
func (r *Registry) Specs() []Spec { return slices.Clone(r.specs) }

// check refuses declarations that the engine could not act on.
func (s Spec) check() error {
	if !regexp.MustCompile(`^[a-z]+(\.[a-z]+)?$`).MatchString(s.Name) {
		return fmt.Errorf("action %q: a name is lower-case letters, as in alert.update", s.Name)
	}
	if s.Summary == "" {
		return fmt.Errorf("action %s has no summary", s.Name)
	}
	if s.Input == nil || s.Output == nil {
		return fmt.Errorf("action %s has no schema: make it with Define", s.Name)
	}
	if len(s.Parts) == 0 {
		return fmt.Errorf("action %s has no parts", s.Name)
	}
	names := map[string]bool{}
	for i, p := range s.Parts {
		if p.Awaits && (i == 0 || i < len(s.Parts)-1 || p.Effect != Reads) {
			return fmt.Errorf("action %s: part %s awaits: it must read, and come last", s.Name, p.Name)
		}
		if p.Name == "" || names[p.Name] {
			return fmt.Errorf("action %s: the part name %q is empty or taken", s.Name, p.Name)
		}
		names[p.Name] = true
		switch p.Effect {
		case Reads, Converges, Adds, Once:
		default:
			return fmt.Errorf("action %s: part %s has the effect %q: use reads, converges, adds or once", s.Name, p.Name, p.Effect)
		}
	}
	return nil
}
