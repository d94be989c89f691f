package playtest

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// Result is how one test went.
type Result struct {
	File     string    `json:"file"`
	Playbook string    `json:"playbook"`
	Name     string    `json:"name"`
	Problems []Problem `json:"problems,omitempty"`
	Did      []Did     `json:"effects,omitempty"`
	State    string    `json:"state,omitempty"`
}

// Passed says whether all that was expected came about.
func (r Result) Passed() bool { return len(r.Problems) == 0 }

// Tester runs tests of the playbooks of a set.
type Tester struct {
	Set *playbooks.Set
	// Lists gives the content of watchlists that a test does not give itself.
	Lists func(name string) ([]any, bool)
	// Calendars are those that a test does not give itself.
	Calendars *calendar.Set
	// Rotas says who is on duty where a test does not. Nil: nobody does.
	Rotas    engine.Rotas
	coverage map[string]*Coverage
}

// Run runs the tests of a file.
func (t *Tester) Run(f *File) []Result {
	p, ok := t.Set.Lookup(f.Playbook)
	if !ok {
		return []Result{{File: f.Path, Playbook: f.Playbook, Name: "the playbook", Problems: []Problem{{
			At: f.Path, Want: "a playbook " + f.Playbook, Got: "there is none, or it has errors: see playbookd check"}}}}
	}
	cover, steps := t.cover(p), engine.Steps(p)
	var results []Result
	for _, c := range f.Cases {
		s := &stage{c: c, playbook: p, steps: steps, lists: t.lists(p, f), calendars: t.calendars(f), world: newWorld(c),
			memory: newMemory(f, c.Given, t.Rotas), answers: slices.Clone(c.Answers), cancel: c.Cancel, release: c.Release}
		s.checks = slices.Clone(c.Expects)
		slices.SortStableFunc(s.checks, inTime)
		s.play()
		for _, m := range s.decided {
			cover.decided(m)
		}
		for _, r := range s.runs {
			cover.add(r.history)
		}
		results = append(results, Result{File: f.Path, Playbook: p.Name, Name: c.Name, Problems: s.problems, Did: s.world.did, State: s.state()})
	}
	return results
}

func (s *stage) state() string {
	if s.match.Verdict != engine.Matched {
		return string(s.match.Verdict)
	}
	return string(s.latest().last.State)
}

// inTime orders expectations by when they are looked at; those at the end come last.
func inTime(a, b Expect) int {
	switch {
	case a.After == nil && b.After == nil:
		return 0
	case a.After == nil:
		return 1
	case b.After == nil:
		return -1
	}
	return int(*a.After - *b.After)
}

func (t *Tester) lists(p *playbooks.Playbook, f *File) map[string]any {
	values := map[string]any{}
	for _, name := range p.Lists {
		if list, ok := f.Lists[name]; ok {
			values[name] = list
		} else if t.Lists != nil {
			if list, ok := t.Lists(name); ok {
				values[name] = list
			}
		}
	}
	return values
}

func (t *Tester) calendars(f *File) expression.Calendars {
	all := expression.Calendars{}
	for _, name := range t.Calendars.Names() {
		all[name] = t.Calendars.Get(name)
	}
	for name, c := range f.Calendars {
		all[name] = c
	}
	return all
}

// maxShown is how many characters of what was wanted and what came are shown.
const maxShown = 4000

func oneLine(s string) string { return diag.Plain(s, maxShown) }

// Text writes what people read: every test that failed with what was wanted and what came.
func Text(w io.Writer, results []Result) {
	for _, r := range results {
		if r.Passed() {
			continue
		}
		fmt.Fprintf(w, "FAIL %s: %s\n", oneLine(r.File), oneLine(r.Name))
		for _, p := range r.Problems {
			fmt.Fprintf(w, "  %s\n    - %s\n    + %s\n", p.At, oneLine(p.Want), oneLine(p.Got))
		}
	}
}

type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the results as CI systems read them.
func JUnit(w io.Writer, results []Result) error {
	var suites junitSuites
	for _, r := range results {
		i := slices.IndexFunc(suites.Suites, func(s junitSuite) bool { return s.Name == r.File })
		if i < 0 {
			suites.Suites = append(suites.Suites, junitSuite{Name: r.File})
			i = len(suites.Suites) - 1
		}
		s := &suites.Suites[i]
		c := junitCase{Name: r.Name, Class: r.Playbook}
		if !r.Passed() {
			s.Failures++
			var text strings.Builder
			Text(&text, []Result{r})
			c.Failure = &junitFailure{Message: oneLine(r.Problems[0].Want), Text: text.String()}
		}
		s.Tests++
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
