package library_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/library"
	"github.com/playbookd/playbookd/playbooks/playtest"
	"github.com/playbookd/playbookd/playbooks/rota"
	"github.com/playbookd/playbookd/playbooks/watchlist"
)

// catalog describes the actions without being able to do them.
func catalog() *actions.Registry { return actions.NewRegistry(builtin.Actions(builtin.Deps{})...) }

func load(t *testing.T) *playbooks.Set {
	t.Helper()
	sub, err := fs.Sub(library.FS(), "lists")
	if err != nil {
		t.Fatal(err)
	}
	lists, findings := watchlist.Load(sub, ".")
	known := map[string]playbooks.ListInfo{}
	for _, name := range lists.Names() {
		known[name] = playbooks.ListInfo{}
	}
	calendars := shippedCalendars(t)
	hours := map[string]bool{}
	for _, name := range calendars.Names() {
		hours[name] = true
	}
	rotas, broken := rota.Load(library.FS(), "rotas")
	findings = append(findings, broken...)
	set, more := playbooks.Load(library.FS(), "", playbooks.Options{
		Catalog: catalog(), Lists: known, Calendars: hours, Rotas: rotas.Names(), Now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
	})
	if all := append(findings, more...); len(all) > 0 {
		var text strings.Builder
		if err := diag.Render(&text, all, false); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("the shipped playbooks have findings:\n%s", text.String())
	}
	return set
}

func shippedCalendars(t *testing.T) *calendar.Set {
	t.Helper()
	set, findings := calendar.Load(library.FS(), "calendars")
	if len(findings) > 0 || len(set.Names()) == 0 {
		t.Fatalf("calendars %v, findings %v", set.Names(), findings)
	}
	return set
}

func TestShippedPlaybooksHaveNoFindings(t *testing.T) {
	t.Parallel()
	if n := len(load(t).Playbooks); n < 10 {
		t.Errorf("only %d playbooks ship", n)
	}
}

// What ships has tests beside it which pass, and which see every step and every way it can take.
func TestShippedPlaybooksPassTheirTests(t *testing.T) {
	t.Parallel()
	set := load(t)
	tester := &playtest.Tester{Set: set, Calendars: shippedCalendars(t)}
	for _, p := range set.Playbooks {
		file, findings := playtest.Read(os.DirFS("."), strings.TrimSuffix(p.File, ".yaml")+".test.yaml")
		if len(findings) > 0 || file == nil {
			t.Errorf("the tests of %s: %v", p.Name, findings)
			continue
		}
		results := tester.Run(file)
		for _, r := range results {
			if !r.Passed() {
				t.Errorf("%s: %s: %v", p.Name, r.Name, r.Problems)
			}
		}
	}
	covered := tester.Coverage()
	if len(covered) != len(set.Playbooks) {
		t.Errorf("%d playbooks are tested of %d", len(covered), len(set.Playbooks))
	}
	for _, c := range covered {
		if len(c.Missing) > 0 {
			t.Errorf("the tests of %s do not see %v", c.Playbook, c.Missing)
		}
	}
}

func TestShippedPlaybooksFitTheSchemaForEditors(t *testing.T) {
	t.Parallel()
	s := playbooks.Schema(catalog().Specs())
	for _, p := range load(t).Playbooks {
		doc, _ := document.Read(p.File, p.Source)
		found, err := actions.Check(s, doc.Root.Any())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range found {
			t.Errorf("%s: %s", p.File, v)
		}
	}
}
