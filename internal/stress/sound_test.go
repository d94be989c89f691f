//go:build unix

package stress_test

import (
	"os"
	"path/filepath"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/internal/invariant"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// books compiles the playbooks that the site uses.
func (s *site) books() *playbooks.Set {
	s.t.Helper()
	files, err := filepath.Glob(s.path("playbooks/*.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	var list []*playbooks.Playbook
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		p, findings := playbooks.Compile(file, text, playbooks.Options{Catalog: actions.NewRegistry(builtin.Actions(builtin.Deps{})...)})
		if err := findings.Err(); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, p)
	}
	return playbooks.NewSet(list...)
}

// sound lays the journal beside what the simulator did. The daemon must not run.
func (s *site) sound(r *store.Reader) {
	s.t.Helper()
	began := time.Now()
	c := invariant.Case{Journal: invariant.Store(r), Books: s.books()}
	c.Simulator(sandbox.TenantName, s.Sim)
	wrong, err := c.Check(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for i, w := range wrong {
		if i == 20 {
			s.t.Errorf("and %d more", len(wrong)-i)
			break
		}
		s.t.Error(w)
	}
	s.t.Logf("checked in %v", time.Since(began).Round(time.Millisecond))
}

// events counts the events in a journal.
func (s *site) events(r *store.Reader) (n int) {
	s.t.Helper()
	for before := ""; ; {
		list, err := r.Events(s.t.Context(), store.EventFilter{Limit: store.MaxLimit, Before: before})
		if err != nil {
			s.t.Fatal(err)
		}
		n += len(list)
		if len(list) < store.MaxLimit {
			return n
		}
		before = list[len(list)-1].ID
	}
}

// soundly is for tests that have nothing else to say about the journal than that it is sound and
// that so many events are in it.
func (s *site) soundly(r *store.Reader, events int) {
	s.t.Helper()
	s.sound(r)
	if n := s.events(r); n != events {
		s.t.Errorf("%d events, want %d", n, events)
	}
}
