package playtest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// Coverage is what of a playbook the tests have seen: its steps, and the ways that it can take.
type Coverage struct {
	Playbook string   `json:"playbook"`
	Steps    int      `json:"steps"`
	Reached  int      `json:"reached"`
	Ways     int      `json:"ways"` // both sides of the condition, of every if, each case of a switch
	Taken    int      `json:"taken"`
	Missing  []string `json:"missing,omitempty"`

	steps, ways map[string]bool
	names       map[string]string
}

// Coverage reports every playbook that was tested, by name.
func (t *Tester) Coverage() []Coverage {
	var all []Coverage
	for _, c := range t.coverage {
		all = append(all, c.sum())
	}
	slices.SortFunc(all, func(a, b Coverage) int { return strings.Compare(a.Playbook, b.Playbook) })
	return all
}

func (t *Tester) cover(p *playbooks.Playbook) *Coverage {
	if t.coverage == nil {
		t.coverage = map[string]*Coverage{}
	}
	c := t.coverage[p.Name]
	if c == nil {
		c = &Coverage{Playbook: p.Name, steps: map[string]bool{}, ways: map[string]bool{}, names: map[string]string{}}
		if p.When != nil {
			c.ways["when true"], c.ways["when false"] = false, false
		}
		for _, list := range [][]playbooks.Step{p.Steps, p.OnFailure, p.Finally} {
			c.know(list)
		}
		t.coverage[p.Name] = c
	}
	return c
}

// know lists the steps and ways that there are.
func (c *Coverage) know(steps []playbooks.Step) {
	for i := range steps {
		s := &steps[i]
		c.steps[s.Path] = false
		c.names[s.Path] = s.Path + " (line " + strconv.Itoa(s.Pos.Line) + ")"
		if s.If != nil {
			c.ways[s.Path+" if true"], c.ways[s.Path+" if false"] = false, false
		}
		switch b := s.Body.(type) {
		case *playbooks.Branch:
			c.ways[s.Path+" then"], c.ways[s.Path+" else"] = false, false
		case *playbooks.Switch:
			for n := range b.Cases {
				c.ways[s.Path+" case "+strconv.Itoa(n+1)] = false
			}
			c.ways[s.Path+" else"] = false
		}
		s.Nested(func(name string, steps []playbooks.Step) {
			if name != "ask" {
				c.know(steps)
			}
		})
	}
}

// decided notes a decision about the condition.
func (c *Coverage) decided(m engine.Match) {
	switch m.Verdict {
	case engine.Matched:
		c.take("when true")
	case engine.NotMatched:
		c.take("when false")
	case engine.Skipped:
	}
}

// add notes what a history has seen. Steps of called playbooks count for the tests of those.
func (c *Coverage) add(history []engine.Entry) {
	asked := map[string]bool{}
	for _, e := range history {
		path := engine.TreePath(e.Path)
		if _, known := c.steps[path]; !known {
			continue
		}
		if e.Kind != engine.Chose {
			c.reach(path)
			continue
		}
		var d struct {
			Take bool
			Way  int
		}
		_ = json.Unmarshal(e.Data, &d) // our own record
		_, conditional := c.ways[path+" if true"]
		first := conditional && !asked[e.Path]
		asked[e.Path] = true
		switch {
		case first && d.Take:
			c.take(path + " if true")
			continue
		case first:
			c.take(path + " if false")
			continue
		case d.Take:
			c.take(path + " then")
			c.take(path + " case " + strconv.Itoa(d.Way+1))
		default:
			c.take(path + " else")
		}
		c.steps[path] = true
	}
}

// reach notes a step, and those around it, which may have left no entry of their own.
func (c *Coverage) reach(path string) {
	for ; path != ""; path = path[:max(0, strings.LastIndexByte(path, '/'))] {
		if _, known := c.steps[path]; known {
			c.steps[path] = true
		}
	}
}

func (c *Coverage) take(way string) {
	if _, known := c.ways[way]; known {
		c.ways[way] = true
	}
}

func (c *Coverage) sum() Coverage {
	s := Coverage{Playbook: c.Playbook, Steps: len(c.steps), Ways: len(c.ways)}
	for path, seen := range c.steps {
		if seen {
			s.Reached++
		} else {
			s.Missing = append(s.Missing, c.names[path])
		}
	}
	for way, seen := range c.ways {
		if seen {
			s.Taken++
		} else {
			s.Missing = append(s.Missing, way)
		}
	}
	slices.Sort(s.Missing)
	return s
}
