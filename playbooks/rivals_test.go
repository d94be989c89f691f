package playbooks_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/playbookd/playbookd/playbooks"
)

// assigning is a playbook that gives alerts to somebody.
func assigning(name, when, head string) *fstest.MapFile {
	return file(fmt.Sprintf("name: %s\n%striggers:\n  - poll: {resource: alerts, on: created}\nwhen: %s\nsteps:\n  - action: alert.update\n    with: {alert: \"${{ alert.id }}\", assignedTo: %s@contoso.example}\n", name, head, when, name))
}

func rivalsOf(t *testing.T, fsys fstest.MapFS) int {
	t.Helper()
	_, findings := playbooks.Load(fsys, "", options())
	n := 0
	for _, f := range findings {
		if f.Code != "PB063" {
			t.Errorf("unexpected: %s", f)
		}
		n++
	}
	return n
}

func TestPlaybooksThatCannotMeetAreNoRivals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		one, two, heads string
		rivals          int
	}{
		"the same":             {`alert.severity == "high"`, `alert.status == "new"`, "", 1},
		"other values":         {`alert.severity == "high"`, `alert.severity in ["low", "medium"]`, "", 0},
		"one excludes":         {`alert.severity == "high"`, `alert.severity != "high" and len(ips(alert)) > 0`, "", 0},
		"far apart":            {`len(ips(alert)) > 5`, `len(ips(alert)) < 3`, "", 0},
		"opposites":            {`glob(alert.title, "*x*")`, `not glob(alert.title, "*x*")`, "", 0},
		"unlike functions":     {`glob(alert.title, "*x*")`, `glob(alert.title, "*y*")`, "", 1},
		"who knows what":       {`now() > alert.createdDateTime`, `not (now() > alert.createdDateTime)`, "", 1},
		"each its own name":    {`playbook.name == "one" and alert.severity == "high"`, `playbook.name != "one"`, "", 1},
		"tenants":              {`alert.severity == "high"`, `alert.severity == "high"`, "tenants: [%s]\n", 0},
		"one of them is tried": {`alert.severity == "high"`, `alert.severity == "high"`, "description: %s\nmode: shadow\n", 0},
		"one of them is off":   {`alert.severity == "high"`, `alert.severity == "high"`, "description: %s\nenabled: false\n", 0},
	} {
		head := func(tenant string) string {
			if c.heads == "" {
				return ""
			}
			return fmt.Sprintf(c.heads, tenant)
		}
		if got := rivalsOf(t, fstest.MapFS{"one.yaml": assigning("one", c.one, head("contoso")), "two.yaml": assigning("two", c.two, head("fabrikam"))}); got != c.rivals {
			t.Errorf("%s: %d rivals, want %d", name, got, c.rivals)
		}
	}
}

// Looking for rivals ends: among more playbooks than may be compared nothing is said.
func TestLookingForRivalsHasALimit(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{5: 1, 500: 0} {
		fsys := fstest.MapFS{
			"z1.yaml": assigning("z1", `len(ips(alert)) > 100000`, ""),
			"z2.yaml": assigning("z2", `len(ips(alert)) > 200000`, ""),
		}
		for i := range n {
			name := fmt.Sprintf("p%d", i)
			fsys[name+".yaml"] = assigning(name, fmt.Sprintf(`len(ips(alert)) >= %d and len(ips(alert)) < %d`, i, i+1), "")
		}
		if got := rivalsOf(t, fsys); got != want {
			t.Errorf("%d playbooks beside two rivals, with %d looks for all: %d findings, want %d", n, playbooks.MaxSetLooks, got, want)
		}
	}
}
