package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// Most events concern few of the playbooks that listen, and most conditions begin with comparisons of a field
// with something written out. The comparisons that a condition begins with are the playbook's screen. It is
// stored once. With an event are stored the facts that screens ask for, and a decision of its own only for
// playbooks whose screen let the event through. What the others decided follows from screen and facts, always in
// the same way, by [Decisions]. docs/decisions/0012 has the reasons.

// Screen is what keeps an event from a playbook before its condition is evaluated as a whole.
type Screen struct {
	Disabled bool            `json:"disabled,omitempty"`
	Expires  time.Time       `json:"expires,omitzero"`
	Tenants  []string        `json:"tenants,omitempty"`
	Gates    map[string]Gate `json:"gates,omitempty"` // by source
}

// Gate is the part of a screen that is for events of one source.
type Gate struct {
	// Several says that more than one trigger listens to the source. Such a gate has no terms.
	Several bool   `json:"several,omitempty"`
	On      string `json:"on,omitempty"` // created or updated; "": both
	// Change is the field that must have changed, Changed what the trigger asks of it. Such a gate
	// has no terms.
	Change  string     `json:"change,omitempty"`
	Changed string     `json:"changed,omitempty"`
	Terms   []GateTerm `json:"terms,omitempty"`
	// Filter and When are the expressions that the terms are from, shortened, for faults.
	Filter string `json:"filter,omitempty"`
	When   string `json:"when,omitempty"`
}

// GateTerm is a term that must hold.
type GateTerm struct {
	Text   string    `json:"text"`
	Filter bool      `json:"filter,omitempty"` // it is of the trigger's filter
	Key    string    `json:"key"`
	Values Constants `json:"values,omitempty"`
	List   string    `json:"list,omitempty"`
	Not    bool      `json:"not,omitempty"`

	key expression.Key
}

// Constants are values as [expression.Constant] gives them.
type Constants []any

// UnmarshalJSON reads whole numbers as whole numbers.
func (c *Constants) UnmarshalJSON(raw []byte) error {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var list []any
	if err := dec.Decode(&list); err != nil {
		return err
	}
	if _, err := numbers(list); err != nil {
		return err
	}
	*c = list
	return nil
}

// Facts are what screens ask of an event, with the circumstances in which it was considered.
type Facts struct {
	At      time.Time `json:"at"`
	Updated bool      `json:"updated,omitempty"`
	// Fault says why the payload can't be read; then nobody who listens has considered it.
	Fault string `json:"fault,omitempty"`
	// Values are, by key, those of the values there that a screen compares with; Lists the
	// watchlists that hold one of them; Faults why there are none, or not all.
	Values map[string]Constants `json:"values,omitempty"`
	Lists  map[string][]string  `json:"lists,omitempty"`
	Faults map[string]string    `json:"faults,omitempty"`
	// Versions are the digests of the watchlists that were looked at.
	Versions map[string]string `json:"versions,omitempty"`
}

// screenOf makes the screen of a playbook.
func screenOf(p *playbooks.Playbook) *Screen {
	s := &Screen{Disabled: !p.Enabled, Expires: p.Expires, Tenants: p.Tenants, Gates: map[string]Gate{}}
	for _, t := range p.Triggers {
		if _, twice := s.Gates[t.Source]; twice {
			s.Gates[t.Source] = Gate{Several: true}
			continue
		}
		s.Gates[t.Source] = gateOf(p, t)
	}
	return s
}

// The values of Gate.On.
const (
	onCreated = "created"
	onUpdated = "updated"
	onNothing = "nothing" // no version at all; the checker does not let it through
)

// gateOf follows the order in which Consider asks.
func gateOf(p *playbooks.Playbook, t playbooks.Trigger) Gate {
	var g Gate
	if t.Poll != nil {
		switch {
		case t.Poll.Created && t.Poll.Updated:
		case t.Poll.Created:
			g.On = onCreated
		case t.Poll.Updated:
			g.On = onUpdated
		default:
			g.On = onNothing
		}
		if t.Change != nil {
			g.Change, g.Changed = t.Change.Field, t.Change.String()
			return g
		}
	}
	if f := t.Filter(); f != nil {
		all := g.add(f.Program, p.Subject, true)
		g.Filter = shorten(f.Program)
		if !all {
			return g
		}
	}
	if p.When != nil {
		g.add(p.When, p.Subject, false)
		g.When = shorten(p.When)
	}
	return g
}

func shorten(p *expression.Program) string { return expression.Shorten(p.Source()) }

// add appends the comparisons that a program begins with and says whether that is all of it.
func (g *Gate) add(p *expression.Program, subject string, filter bool) (all bool) {
	list := p.Comparisons()
	for i, c := range list {
		if c.Key.Root != subject && c.Key.Root != "tenant" {
			return false
		}
		g.Terms = append(g.Terms, GateTerm{Text: c.Text, Filter: filter, Key: c.Key.String(), key: c.Key,
			Values: c.Values, List: c.List, Not: c.Not})
		if i == len(list)-1 {
			return len(list) == len(p.Terms())
		}
	}
	return false
}

// holds says whether a term is true of an event with these facts, or why it can't be evaluated.
func (t *GateTerm) holds(f *Facts) (holds bool, fault string) {
	var found bool
	if t.List != "" {
		found = slices.Contains(f.Lists[t.Key], t.List)
	} else {
		there := f.Values[t.Key]
		found = slices.ContainsFunc(t.Values, func(v any) bool { return slices.Contains(there, v) })
	}
	if !found {
		if fault := f.Faults[t.Key]; fault != "" {
			return false, fault
		}
	}
	return found != t.Not, ""
}

// blocked is the decision about an event that the screen of m did not let through; false if it
// did.
func (m SetMember) blocked(ev Event, f *Facts) (Match, bool) {
	match := Match{Playbook: m.Name, Digest: m.Digest, Verdict: Skipped}
	s := m.Screen
	if s == nil {
		match.Reason = SkipNoTrigger
		return match, f == nil // in sets from before there were facts
	}
	g, listens := s.Gates[ev.Source]
	switch {
	case !listens:
		match.Reason = SkipNoTrigger
	case f == nil:
		return match, false
	case f.Fault != "":
		match.Reason, match.Detail = SkipError, f.Fault
	case s.Disabled:
		match.Reason = SkipDisabled
	case !s.Expires.IsZero() && !f.At.Before(s.Expires):
		match.Reason, match.Detail = SkipExpired, expired(s.Expires)
	case len(s.Tenants) > 0 && !slices.Contains(s.Tenants, ev.Tenant):
		match.Reason, match.Detail = SkipTenant, ev.Tenant
	case g.On != "" && g.On != version(f.Updated):
		match.Reason = SkipVersion
	case g.Change != "" && !ev.changed(g.Change):
		match.Reason, match.Detail = SkipChange, g.Changed
	default:
		return g.blocked(match, f)
	}
	return match, true
}

func version(updated bool) string {
	if updated {
		return onUpdated
	}
	return onCreated
}

func (g *Gate) blocked(match Match, f *Facts) (Match, bool) {
	for i := range g.Terms {
		t := &g.Terms[i]
		holds, fault := t.holds(f)
		switch {
		case holds:
			continue
		case fault != "" && t.Filter:
			match.Reason, match.Detail = SkipError, filterFault((&expression.Fault{Source: g.Filter, Message: fault}).Error())
		case fault != "":
			match.Reason, match.Detail = SkipError, (&expression.Fault{Source: g.When, Message: fault}).Error()
		case t.Filter:
			match.Reason, match.Detail = SkipFilter, t.Text
		default:
			match.Verdict, match.Detail = NotMatched, t.Text
		}
		return match, true
	}
	return match, false
}

// errUndecided means that a decision is missing.
var errUndecided = errors.New("a decision is missing")

// Decisions returns what every playbook of a set decided about an event, in the order of the set:
// the decision that is stored, or the one that follows from the facts. It is an error if there is
// none: there is no third state. What is stored about playbooks that the set doesn't name comes
// last. An event without facts is from before there were any; for it, what is not stored is that
// no trigger listens.
func Decisions(ev Event, f *Facts, set []SetMember, stored []Match) ([]Match, error) {
	type version struct{ name, digest string }
	left := make(map[version]Match, len(stored))
	for _, m := range stored {
		left[version{m.Playbook, m.Digest}] = m
	}
	list := make([]Match, 0, max(len(set), len(stored)))
	for i := range set {
		v := version{set[i].Name, set[i].Digest}
		m, ok := left[v]
		if !ok {
			if m, ok = set[i].blocked(ev, f); !ok {
				return nil, fmt.Errorf("%w: of %s about %s", errUndecided, v.name, ev.ID)
			}
		}
		delete(left, v)
		list = append(list, m)
	}
	for _, m := range stored {
		if _, is := left[version{m.Playbook, m.Digest}]; is {
			list = append(list, m)
		}
	}
	return list, nil
}
