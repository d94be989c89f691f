package docs_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/playbooks/playtest"
	"github.com/playbookd/playbookd/playbooks/rota"
	"github.com/playbookd/playbookd/playbooks/watchlist"
	"github.com/playbookd/playbookd/server"
)

var update = flag.Bool("update", false, "write the generated pages anew")

func catalog() *actions.Registry { return actions.NewRegistry(builtin.Actions(builtin.Deps{})...) }

func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	all := map[string]string{}
	for _, file := range append(files, "../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(text)
	}
	return all
}

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```")

func TestEveryPlaybookInThePagesCompiles(t *testing.T) {
	t.Parallel()
	found := 0
	for file, text := range pages(t) {
		for i, block := range fence.FindAllStringSubmatch(text, -1) {
			if block[1] != "yaml" || !strings.HasPrefix(block[2], "name:") {
				continue
			}
			found++
			_, findings := playbooks.Compile(fmt.Sprintf("%s block %d", file, i+1), []byte(block[2]), daemonOptions(nil))
			for _, f := range findings {
				if f.Severity == diag.Error {
					t.Errorf("%v", f)
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d playbooks in all pages", found)
	}
}

func daemonOptions(lists *watchlist.Set) playbooks.Options {
	return daemon.Compiling(catalog(), daemon.Beside{Lists: lists}, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
}

func TestEveryExpressionInThePagesGivesTheValueShown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	found := 0
	for file, text := range pages(t) {
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			if block[1] != "expr" {
				continue
			}
			for line := range strings.Lines(block[2]) {
				source, want, ok := strings.Cut(strings.TrimSpace(line), " → ")
				if !ok {
					continue
				}
				found++
				p, problem := expression.Compile(strings.TrimSpace(source), nil, expression.WantAny)
				if problem != nil {
					t.Errorf("%s: %s: %v", file, source, problem)
					continue
				}
				v, err := p.Eval(map[string]any{}, now)
				if err != nil {
					t.Errorf("%s: %s: %v", file, source, err)
					continue
				}
				got, _ := json.Marshal(v)
				if string(got) != strings.TrimSpace(want) {
					t.Errorf("%s: %s gives %s, the page says %s", file, source, got, want)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d expressions in all pages", found)
	}
}

func TestEveryFaultListInThePagesIsTaken(t *testing.T) {
	t.Parallel()
	found := 0
	for file, text := range pages(t) {
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			if block[1] != "json" || !strings.Contains(block[2], `"path"`) {
				continue
			}
			found++
			if _, err := simulator.ParseFaults(strings.NewReader(block[2])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if found == 0 {
		t.Error("no fault list in any page")
	}
}

func TestEveryAnswerToAHuntingQueryInThePagesIsTaken(t *testing.T) {
	t.Parallel()
	found := 0
	for file, text := range pages(t) {
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			if block[1] != "json" || !strings.Contains(block[2], `"rows"`) {
				continue
			}
			found++
			if _, err := simulator.ParseHunting(strings.NewReader(block[2])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if found == 0 {
		t.Error("no answers in any page")
	}
}

func TestTheExampleForARealTenantIsClean(t *testing.T) {
	t.Parallel()
	const dir = "../examples/real-tenant"
	if _, findings := config.Load(filepath.Join(dir, "playbookd.yaml")); len(findings) > 0 {
		t.Errorf("configuration: %v", findings)
	}
	set, _, findings := daemon.Read(catalog(), daemon.Dirs{Playbooks: filepath.Join(dir, "playbooks"), Lists: filepath.Join(dir, "lists"), Calendars: filepath.Join(dir, "calendars")}, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	if len(findings) > 0 || len(set.Playbooks) == 0 {
		t.Errorf("%d playbooks, findings: %v", len(set.Playbooks), findings)
	}
}

func TestShippedPlaybooksAndThoseInThePagesHaveTheLayout(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for file, text := range pages(t) {
		for i, block := range fence.FindAllStringSubmatch(text, -1) {
			if block[1] == "yaml" {
				texts[fmt.Sprintf("%s block %d", file, i+1)] = block[2]
			}
		}
	}
	for _, pattern := range []string{"../playbooks/library/*.yaml", "../playbooks/library/lists/*.yaml", "../examples/real-tenant/*.yaml", "../examples/real-tenant/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = string(text)
		}
	}
	if len(texts) < 20 {
		t.Errorf("only %d texts", len(texts))
	}
	for name, text := range texts {
		if out, findings := document.Format(name, []byte(text)); !findings.HasErrors() && string(out) != text {
			t.Errorf("%s is not as playbookd fmt writes it:\n%s", name, out)
		}
	}
}

func TestEveryLinkInThePagesLeadsSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#]+)`)
	for file, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
}

// Pages that are derived from the code. `make generate` writes them.
func TestGeneratedPagesAreInStep(t *testing.T) {
	schema, err := json.MarshalIndent(playbooks.Schema(catalog().Specs()), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made := libraryPages(t)
	maps.Copy(made, map[string][]byte{
		"actions.md":           []byte(actions.Docs(catalog().Specs())),
		"findings.md":          findingsPage(),
		"functions.md":         functionsPage(),
		"limits.md":            limitsPage(),
		"logs.md":              logsPage(),
		"metrics.md":           metricsPage(),
		"robustness.md":        robustnessPage(t),
		"playbook.schema.json": append(schema, '\n'),
	})
	for file, want := range made {
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is out of step with the code: run make generate (%v)", file, err)
		}
	}
}

//go:embed metrics.tmpl
var metricsText string

// metricsPage is a text with the table of metrics in it.
func metricsPage() []byte {
	return []byte(strings.Replace(metricsText, "{{table}}", strings.TrimSpace(string(server.MetricsPage())), 1))
}

func findingsPage() []byte {
	var b bytes.Buffer
	b.WriteString("# Findings\n\nWhat `playbookd check` and the configuration's reader can find. `playbookd explain CODE` prints the same.\n")
	for _, c := range slices.Concat(document.Codes(), playbooks.Codes(), playtest.Codes(), watchlist.Codes(), calendar.Codes(), rota.Codes(), config.Codes()) {
		fmt.Fprintf(&b, "\n## %s: %s\n\n%s. %s\n", c.Code, c.Title, strings.ToUpper(string(c.Severity[:1]))+string(c.Severity[1:]), c.Help)
	}
	return b.Bytes()
}
