package enginetest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// Suite is an engine that is held to the cases.
type Suite struct {
	Engine func(engine.Options) Engine
	// Journal makes a journal for one play of a case, and returns how a process opens it. One that can be closed is closed
	// when its process ends.
	Journal func(t *testing.T) (open func() engine.Journal)
	// Dir holds the cases. With Update, what is expected is written into them anew.
	Dir    string
	Update bool
	// Every says for which cases and deaths there is time: every n-th; 0: all of them.
	Every int
}

// Played is how much a suite has played.
type Played struct{ Cases, Deaths atomic.Int64 }

// Run plays every case as it stands, and then once for each moment at which its process can die.
func (s Suite) Run(t *testing.T) *Played {
	played := new(Played)
	t.Run("cases", func(t *testing.T) { s.run(t, played) }) // returns when all of them are over
	return played
}

func (s Suite) run(t *testing.T, played *Played) {
	t.Helper()
	cases, err := ReadCases(os.DirFS(s.Dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatalf("there are no cases in %s", s.Dir)
	}
	for i, c := range cases {
		if s.Every > 1 && i%s.Every != 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			s.hold(t, c, played)
		})
	}
}

// hold holds the engine to one case.
func (s Suite) hold(t *testing.T, c Case, played *Played) {
	st, err := newStage(c)
	if err != nil {
		t.Fatal(err)
	}
	played.Cases.Add(1)
	want := s.play(t, st, Kill{})
	for _, w := range want.Wrong {
		t.Error(w)
	}
	if got := want.String(); s.Update && got != c.Expected {
		if err := os.WriteFile(filepath.Join(s.Dir, filepath.FromSlash(c.Name)+".txt"), []byte(c.with(got)), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if d := diff(c.Expected, got); d != "" {
		t.Fatalf("%s\n%s", c.About, d)
	}
	for i, k := range want.deaths() {
		if t.Failed() {
			return
		}
		if s.Every > 1 && i%s.Every != 0 {
			continue
		}
		t.Run(k.String(), func(t *testing.T) {
			played.Deaths.Add(1)
			got := s.play(t, st, k)
			for _, w := range got.Wrong {
				t.Error(w)
			}
			if d := diff(want.outcome(), got.outcome()); d != "" {
				t.Errorf("killed %s, it is another outcome:\n%s\n%s", k, d, indented(got.Journal))
			}
		})
	}
}

// deaths are the moments at which the process of a case can die.
func (r Result) deaths() (list []Kill) {
	for i, kind := range r.kinds {
		if kind == engine.Outcome {
			list = append(list, Kill{Entry: i + 1, Before: true})
		}
		list = append(list, Kill{Entry: i + 1})
	}
	return list
}

// stage is where all plays of a case take place, one after the other: with the playbook compiled once.
type stage struct {
	c       Case
	world   *World
	catalog *actions.Registry
	book    *playbooks.Playbook
}

func newStage(c Case) (st stage, err error) {
	st = stage{c: c, world: new(World)}
	st.catalog = st.world.Registry()
	st.book, err = c.Compile(st.catalog)
	return st, err
}

func (s Suite) play(t *testing.T, st stage, k Kill) (r Result) {
	synctest.Test(t, func(t *testing.T) { r = newPlayer(t, s, st, s.Journal(t)).play(k) })
	return r
}

// Missing says what the cases leave out: a construct in a place where the language allows it, without a case in which it
// is reached there; a cancellation during one that lasts, or in one of the places; or something of the language that the
// suite has not heard of.
func Missing(dir fs.FS) ([]string, error) {
	cases, err := ReadCases(dir)
	if err != nil {
		return nil, err
	}
	catalog := new(World).Registry()
	reached, canceled := map[pair]bool{}, map[string]bool{}
	for _, c := range cases {
		book, err := c.Compile(catalog)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		reachedIn(book, c.Expected, reached)
		canceled[c.Name] = strings.Contains(c.Expected, " canceling ")
	}
	var missing []string
	need := func(what string, there bool) {
		if !there {
			missing = append(missing, what)
		}
	}
	allowed := map[pair]bool{}
	for _, p := range pairs(playbooks.Options{Catalog: catalog}) {
		allowed[p] = true
		need("a case for "+p.String(), reached[p])
	}
	for construct := range constructs {
		need("a step that compiles for "+construct, allowed[pair{construct, "steps"}])
	}
	for place := range places {
		need("a playbook that compiles for "+place, allowed[pair{"action", place}])
		need("cancel/in-"+place, place == "steps" || canceled["cancel/in-"+place])
	}
	for _, construct := range lasting() {
		need("cancel/"+construct, canceled["cancel/"+construct])
	}
	for _, key := range unknown() {
		need("a construct with the key "+key, false)
	}
	slices.Sort(missing)
	return missing, nil
}
