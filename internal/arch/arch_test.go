package arch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/playbookd/playbookd"

// arrows says which of our packages each package may import. A package that is not listed here
// has no place in the architecture yet: give it one, and write down why in docs/architecture.md.
var arrows = map[string][]string{
	"docs":               {},
	"internal/arch":      {},
	"internal/capped":    {},
	"internal/diag":      {},
	"internal/killer":    {},
	"internal/meter":     {},
	"internal/mutant":    {},
	"internal/record":    {},
	"internal/powerloss": {},
	"internal/stress":    {},
	"internal/secret":    {"internal/mutant"},
	"internal/soak":      {},
	"internal/guard":     {},
	"internal/document":  {"internal/diag"},
	"internal/sweep":     {},
	"internal/invariant": {"engine", "engine/memory", "store", "triggers", "playbooks", "playbooks/expression", "actions", "actions/builtin", "graph/simulator"},
	"internal/demo":      {"*"},
	"internal/sandbox":   {"*"},
	"internal/testsite":  {"graph/simulator", "internal/sandbox"},
	"internal/bench":     {"*"},
	"internal/config":    {"internal/diag", "internal/document", "internal/secret", "graph"},

	"graph":                 {"internal/meter"},
	"graph/simulator":       {"graph/simulator/odata"},
	"graph/simulator/odata": {},

	"actions":            {"internal/secret"},
	"actions/security":   {"actions", "graph"},
	"actions/alerts":     {"actions", "actions/security", "graph"},
	"actions/incidents":  {"actions", "actions/security", "graph"},
	"actions/hunting":    {"actions", "actions/security", "graph"},
	"actions/devices":    {"actions", "actions/security", "graph"},
	"actions/notify":     {"actions", "actions/web", "internal/guard", "internal/secret"},
	"actions/web":        {"actions", "internal/guard", "internal/secret"},
	"actions/flow":       {"actions"},
	"actions/builtin":    {"actions", "actions/*", "graph", "internal/guard", "internal/secret"},
	"actions/effecttest": {"actions"},

	"playbooks/expression": {},
	"playbooks/schema":     {"playbooks/expression"},
	"playbooks/schema/gen": {},
	"playbooks/named":      {"internal/document", "internal/diag"},
	"playbooks/watchlist":  {"playbooks/named", "internal/document", "internal/diag"},
	"playbooks/rota":       {"playbooks/calendar", "playbooks/named", "internal/document", "internal/diag"},
	"playbooks/library":    {},
	"playbooks/calendar":   {"playbooks/named", "internal/document", "internal/diag"},
	"playbooks/playtest":   {"engine", "playbooks", "playbooks/calendar", "playbooks/expression", "actions", "internal/document", "internal/diag"},
	"playbooks":            {"actions", "playbooks/expression", "playbooks/schema", "internal/document", "internal/diag"},

	"engine":             {"playbooks", "playbooks/calendar", "playbooks/expression", "actions", "internal/mutant"},
	"engine/memory":      {"engine", "playbooks", "actions"},
	"engine/enginetest":  {"engine", "playbooks", "actions"},
	"engine/journaltest": {"engine", "engine/memory", "playbooks", "actions"},
	"store":              {"engine", "playbooks", "actions", "internal/meter", "internal/mutant"},
	"triggers":           {"engine", "playbooks", "playbooks/expression", "graph", "internal/secret", "internal/meter", "internal/mutant"},
	"server":             {"engine", "internal/meter", "internal/secret"},

	"internal/bench/byhand": {}, // shares nothing with what it is compared with
	"internal/bench/target": {},

	"internal/daemon": {"*"},
	"cmd/playbookd":   {"*"},
}

// owners says which of our packages may import a third-party module.
var owners = map[string]string{
	"github.com/expr-lang/expr":             "playbooks/expression",
	"gopkg.in/yaml.v3":                      "internal/document",
	"github.com/robfig/cron/v3":             "triggers",
	"github.com/Azure/azure-sdk-for-go/sdk": "graph",
	"golang.org/x/time":                     "graph",
	"github.com/mattn/go-sqlite3":           "store",
	"github.com/google/jsonschema-go":       "actions",
	"github.com/santhosh-tekuri/jsonschema": "actions",
	"github.com/prometheus/client_golang":   "server",
	"github.com/arran4/golang-ical":         "playbooks/calendar",
	"github.com/teambition/rrule-go":        "playbooks/calendar",
	"github.com/spf13/cobra":                "cmd/playbookd",
	"golang.org/x/term":                     "cmd/playbookd",
	"github.com/rogpeppe/go-internal/diff":  "cmd/playbookd",
	"github.com/google/go-cmp":              "actions/effecttest", // and tests
}

type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	Deps       []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func allowed(list []string, imported string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool {
		prefix, wild := strings.CutSuffix(pattern, "*")
		return pattern == imported || wild && strings.HasPrefix(imported, prefix)
	})
}

func TestArrowsPointOneWayOnly(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		may, listed := arrows[name]
		if !listed {
			t.Errorf("package %s has no place in the architecture: add it to the map in this test", name)
			continue
		}
		for _, imp := range p.Imports {
			ours, is := strings.CutPrefix(imp, module+"/")
			if is && !allowed(may, ours) {
				t.Errorf("%s imports %s: the architecture allows %v", name, ours, may)
			}
		}
	}
}

func TestEachThirdPartyPackageHasOneOwner(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imp := range p.Imports {
			if !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") || strings.HasPrefix(imp, module) {
				continue
			}
			owner := ""
			for prefix, o := range owners {
				if strings.HasPrefix(imp, prefix) {
					owner = o
				}
			}
			if owner != name && !(name == "internal/bench/byhand" && owner == "store") { // the bench compares the two
				t.Errorf("%s imports %s, which belongs to %q", name, imp, owner)
			}
		}
	}
}

func TestEveryPackageTellsItsStory(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if len(p.Doc) < 25 {
			t.Errorf("package %s has no package comment worth the name: %q", p.ImportPath, p.Doc)
		}
	}
}

func TestTheSimulatorKnowsNothingOfTheClient(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"graph/simulator", "graph/simulator/odata"} {
		out, err := exec.Command("go", "list", "-deps", module+"/"+name).Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for _, dep := range strings.Fields(string(out)) {
			if strings.HasPrefix(dep, module) && !strings.HasPrefix(dep, module+"/graph/simulator") {
				t.Errorf("%s depends on %s: the simulator must not share code with what it checks", name, dep)
			}
		}
	}
}
