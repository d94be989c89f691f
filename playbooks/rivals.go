package playbooks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// Two playbooks of one priority that give one field of one object different values leave it to
// chance which of them stays. Whether they can meet is asked of their conditions: what excludes
// each other is no rivalry, and of the rest one pair is named for each playbook and field.

// claimant is a playbook that writes a field of the object of its event.
type claimant struct {
	book    *Playbook
	step    *Step
	field   string // alert.status
	change  expression.Change
	matches *expression.Claim // when it is written
	places  map[string][]any  // values without which that cannot be
}

// rivals warns of such playbooks. They are in the order of their files.
func rivals(books []*Playbook) diag.Findings {
	groups := map[string][]claimant{}
	for _, p := range books {
		for _, c := range claimantsOf(p) {
			key := fmt.Sprintf("%s %d", c.field, p.Priority)
			groups[key] = append(groups[key], c)
		}
	}
	think := expression.NewDecider(MaxSetLooks)
	var findings diag.Findings
	for _, key := range sortedNames(groups) {
		findings = append(findings, rivalsAmong(groups[key], think)...)
	}
	return findings
}

// claimantsOf lists what a playbook writes, live, to the objects that its polls bring.
func claimantsOf(p *Playbook) []claimant {
	if p.Mode != Live || !p.Enabled || !slices.ContainsFunc(p.Triggers, func(t Trigger) bool { return t.Poll != nil }) {
		return nil
	}
	j := newJudge(p)
	j.all()
	if !slices.ContainsFunc(j.acts, func(w writing) bool { return len(w.gives) > 0 }) {
		return nil
	}
	var all []claimant
	base := expression.All(j.polled(), j.matches()).Fixed(sharedByPlaybooks)
	for _, w := range j.acts {
		for _, field := range w.gives {
			c := claimant{book: p, step: w.step, field: field, change: w.fields[field], matches: expression.All(base, w.at.Fixed(sharedByPlaybooks))}
			c.places = c.matches.Places()
			all = append(all, c)
		}
	}
	return all
}

// sharedByPlaybooks says whether what stands at a path is the same for two playbooks that look at
// one event.
func sharedByPlaybooks(path string) bool {
	root, _ := splitPath(path)
	return slices.Contains([]string{alertSubject, incidentSubject, "tenant", "lists"}, root) && !isWorld(path)
}

// polled is what some poll of the playbook lets through.
func (j *judge) polled() *expression.Claim {
	var ways []*expression.Claim
	for _, t := range j.book.Triggers {
		switch {
		case t.Poll == nil:
		case t.Poll.Filter == nil:
			return nil
		default:
			ways = append(ways, j.passes(t.Poll))
		}
	}
	return expression.AnyOf(ways...)
}

// rivalsAmong compares those that write one field at one priority.
func rivalsAmong(group []claimant, think *expression.Decider) diag.Findings {
	var findings diag.Findings
	near := newNeighbours(group)
	told := map[*Playbook]bool{} // one finding for each playbook and field
	for i, c := range group {
		for _, at := range near.of(i) {
			if other := group[at]; !told[c.book] && canMeet(c, other, think) {
				findings = append(findings, rivalry(c, other))
				told[c.book] = true
			}
		}
	}
	return findings
}

// canMeet says whether two playbooks can match one object and give the field different values.
func canMeet(a, b claimant, think *expression.Decider) bool {
	known := !a.change.Unknown && !b.change.Unknown
	switch {
	case a.book == b.book, known && a.change.Value == b.change.Value:
		return false
	case len(a.book.Tenants) > 0 && len(b.book.Tenants) > 0 && !slices.ContainsFunc(a.book.Tenants, func(t string) bool { return slices.Contains(b.book.Tenants, t) }):
		return false
	}
	return !think.Impossible(expression.All(a.matches, b.matches)) && !think.Tired()
}

func rivalry(c, other claimant) diag.Finding {
	lines := strings.Split(string(c.book.Source), "\n")
	excerpt := ""
	if at := c.step.Pos.Line - 1; at >= 0 && at < len(lines) {
		excerpt = strings.TrimSuffix(lines[at], "\r")
	}
	return diag.Finding{Code: codeRivals, Severity: diag.Warning, Pos: c.step.Pos, Length: 1, Excerpt: excerpt,
		Message: fmt.Sprintf("%s writes %s too, with the same priority (%d), and both can match one %s", other.book.Name, c.field, c.book.Priority, c.book.Subject),
		Mend:    "give one of them another priority, or conditions that exclude each other"}
}

// neighbours finds those of a group that are not far apart at first sight: they ask the place that
// most of them ask for a value in common. A set of thousands is not compared pair by pair.
type neighbours struct {
	group []claimant
	place string
	with  map[any][]int // by a value at the place
	open  []int         // those that take any value there
}

func newNeighbours(group []claimant) *neighbours {
	asked := map[string]map[any]int{} // how many ask a place for a value
	asking := map[string]int{}
	for _, c := range group {
		for place, values := range c.places {
			if asked[place] == nil {
				asked[place] = map[any]int{}
			}
			asking[place]++
			for _, v := range values {
				asked[place][v]++
			}
		}
	}
	n := &neighbours{group: group, with: map[any][]int{}}
	fewest := len(group) * len(group) // pairs to look at
	for _, place := range sortedNames(asked) {
		pairs := (len(group) - asking[place]) * len(group)
		for _, together := range asked[place] {
			pairs += together * together
		}
		if pairs < fewest {
			n.place, fewest = place, pairs
		}
	}
	for i, c := range group {
		values, ok := c.places[n.place]
		if !ok {
			n.open = append(n.open, i)
		}
		for _, v := range values {
			n.with[v] = append(n.with[v], i)
		}
	}
	return n
}

// of lists those before a member that may meet it, in order.
func (n *neighbours) of(i int) []int {
	values, ok := n.group[i].places[n.place]
	if !ok {
		all := make([]int, i)
		for at := range all {
			all[at] = at
		}
		return all
	}
	near := slices.Clone(n.open)
	for _, v := range values {
		near = append(near, n.with[v]...)
	}
	near = slices.DeleteFunc(near, func(at int) bool { return at >= i })
	slices.Sort(near)
	return slices.Compact(near)
}
