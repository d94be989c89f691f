package docs_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/library"
	"github.com/playbookd/playbookd/playbooks/playtest"
)

// libraryPages is a page for each playbook that ships, made from its text and its tests, and one
// that lists them.
func libraryPages(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	var index bytes.Buffer
	index.WriteString("# Ready playbooks\n\nThey lie in [playbooks/library](../../playbooks/library), each with its tests. To use one, copy it, its test and the watchlists,\n" +
		"calendars and rotas that it reads, change the names of people and channels to yours, and start it with `mode: shadow`.\n\n| playbook | what it does | started by |\n|---|---|---|\n")
	for _, p := range shipped(t) {
		fmt.Fprintf(&index, "| [%s](%s.md) | %s | %s |\n", p.Name, p.Name, p.Description, strings.Join(starts(p), ", "))
		all[filepath.Join("library", p.Name+".md")] = libraryPage(t, p)
	}
	all[filepath.Join("library", "README.md")] = index.Bytes()
	return all
}

func shipped(t *testing.T) []*playbooks.Playbook {
	t.Helper()
	o := daemonOptions(nil)
	o.Now = o.Now.AddDate(0, 0, 1)
	set, findings := playbooks.Load(library.FS(), "", o)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	return slices.SortedFunc(slices.Values(set.Playbooks), func(a, b *playbooks.Playbook) int { return strings.Compare(a.Name, b.Name) })
}

func starts(p *playbooks.Playbook) []string {
	var kinds []string
	for _, t := range p.Triggers {
		kind := string(t.Kind)
		if resource := reads(t); resource != "" {
			kind += " of " + resource
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// reads is the resource that a trigger reads; "": none.
func reads(t playbooks.Trigger) string {
	switch {
	case t.Poll != nil: // a change trigger has one, too
		return t.Poll.Resource
	case t.SLA != nil:
		return t.SLA.Resource
	}
	return ""
}

func libraryPage(t *testing.T, p *playbooks.Playbook) []byte {
	t.Helper()
	story, text := head(string(p.Source))
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n%s\n\n%s\n\n| | |\n|---|---|\n", p.Name, p.Description, story)
	row := func(name string, values []string) {
		if len(values) > 0 {
			fmt.Fprintf(&b, "| %s | %s |\n", name, strings.Join(values, ", "))
		}
	}
	uses := collect(p)
	row("started by", starts(p))
	row("actions", uses.actions())
	row("permissions of the application", quoted(maps.Keys(uses.permissions)))
	row("watchlists", quoted(slices.Values(p.Lists)))
	hours := slices.Clone(p.Calendars)
	if sla := p.SLA(); sla != nil && sla.Calendar != "" {
		hours = append(hours, sla.Calendar)
	}
	row("calendars", quoted(slices.Values(hours)))
	row("rotas", quoted(rotas(p)))
	row("channels", quoted(maps.Keys(uses.channels)))
	row("asks", quoted(maps.Keys(uses.people)))
	row("calls", quoted(maps.Keys(p.Calls)))
	b.WriteString("\n## What its tests promise\n\n")
	file, findings := playtest.Read(os.DirFS("../playbooks/library"), p.Name+".test.yaml")
	if file == nil {
		t.Fatalf("%s has no tests: %v", p.Name, findings)
	}
	for _, c := range file.Cases {
		fmt.Fprintf(&b, "- %s\n", c.Name)
	}
	fmt.Fprintf(&b, "\n## Its text\n\n```yaml\n%s```\n", text)
	return b.Bytes()
}

// rotas are those that the playbook asks by name.
func rotas(p *playbooks.Playbook) func(func(string) bool) {
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`onDuty\(['"]([^'"]+)`).FindAllSubmatch(p.Source, -1) {
		names[string(m[1])] = true
	}
	return maps.Keys(names)
}

// head divides a playbook's text into the comment before it, as prose, and the rest.
func head(text string) (story, rest string) {
	var words []string
	for strings.HasPrefix(text, "#") {
		line, after, _ := strings.Cut(text, "\n")
		words, text = append(words, strings.TrimSpace(strings.TrimPrefix(line, "#"))), after
	}
	return strings.Join(words, "\n"), text
}

// uses is what a playbook needs around it.
type uses struct {
	effects                       map[string]string // of each action
	permissions, channels, people map[string]bool
}

func (u *uses) actions() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(u.effects)) {
		all = append(all, fmt.Sprintf("[%s](../actions.md#%s) (%s)", name, strings.ReplaceAll(name, ".", ""), u.effects[name]))
	}
	return all
}

func quoted(values func(func(string) bool)) []string {
	var all []string
	for _, v := range slices.Sorted(values) {
		all = append(all, "`"+v+"`")
	}
	return all
}

func collect(p *playbooks.Playbook) *uses {
	u := &uses{effects: map[string]string{}, permissions: map[string]bool{}, channels: map[string]bool{}, people: map[string]bool{}}
	for _, t := range p.Triggers {
		switch reads(t) {
		case "alerts":
			u.permissions[security.ReadAlerts] = true
		case "incidents":
			u.permissions[security.ReadIncidents] = true
		}
	}
	for _, steps := range [][]playbooks.Step{p.Steps, p.OnFailure, p.Finally} {
		u.add(steps)
	}
	return u
}

func (u *uses) add(steps []playbooks.Step) {
	for i := range steps {
		switch body := steps[i].Body.(type) {
		case *playbooks.Act:
			var effects []string
			for _, part := range body.Spec.Parts {
				if e := string(part.Effect); !slices.Contains(effects, e) {
					effects = append(effects, e)
				}
			}
			u.effects[body.Spec.Name] = strings.Join(effects, " + ")
			for _, permission := range body.Spec.Permissions() {
				u.permissions[permission] = true
			}
			with, _ := body.With.(playbooks.Object)
			for _, field := range with {
				if name, ok := field.Value.(playbooks.Literal); ok && field.Name == "channel" {
					u.channels[name.Value.(string)] = true
				}
			}
		case *playbooks.Question:
			for _, who := range body.By {
				u.people[who.Source()] = true
			}
		}
		u.add(steps[i].OnError.Steps)
		steps[i].Nested(func(_ string, nested []playbooks.Step) { u.add(nested) })
	}
}
