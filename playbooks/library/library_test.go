package library_test

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/alerts"
	"github.com/playbookd/playbookd/actions/incidents"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/library"
	"github.com/playbookd/playbookd/playbooks/watchlist"
)

// catalog describes the actions without being able to do them.
func catalog() *actions.Registry {
	return actions.NewRegistry(append(alerts.Actions(nil), incidents.Actions(nil)...)...)
}

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
	set, more := playbooks.Load(library.FS(), "", playbooks.Options{
		Catalog: catalog(), Lists: known, Now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
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

func TestShippedPlaybooksHaveNoFindings(t *testing.T) {
	t.Parallel()
	var names []string
	for _, m := range load(t).Members() {
		names = append(names, m.Name)
	}
	want := "escalate-critical-incidents group-related-alerts resolve-known-false-positives triage-reminder"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("shipped playbooks are %q, want %q", got, want)
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
