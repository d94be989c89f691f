package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/internal/config"
)

func page(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// code is what stands between backquotes, in fences and out of them.
func code(text string) string {
	var all strings.Builder
	for _, m := range regexp.MustCompile("(?s)```.*?```|`[^`\n]+`").FindAllString(text, -1) {
		all.WriteString(m + "\n")
	}
	return all.String()
}

func mentions(text, word string) bool {
	return regexp.MustCompile(`(^|[^\w.-])` + regexp.QuoteMeta(word) + `($|[^\w.-])`).MatchString(text)
}

// The reader of the configuration names its keys where it meets one that it does not know.
func TestEveryKeyOfTheConfigurationHasItsPlaceInThePage(t *testing.T) {
	t.Parallel()
	text := code(page(t, "configuration.md"))
	seen := map[string]bool{}
	for _, source := range []string{
		"x-y: 1",
		"tenants: {a: {x-y: 1}}",
		"tenants: {a: {credential: {kind: azure_cli, x-y: 1}}}",
		"tenants: {a: {sweep: {x-y: 1}}}",
		"tls: {x-y: 1}",
		"log: {x-y: 1}",
		"secrets: {a: {x-y: 1}}",
		"channels: {a: {x-y: 1}}",
		"webhooks: {a: {x-y: 1}}",
		"outbound: {x-y: 1}",
	} {
		_, findings := config.Parse("playbookd.yaml", []byte(source))
		asked := false
		for _, f := range findings {
			list, ok := strings.CutPrefix(f.Mend, "use one of: ")
			if f.Code != config.CodeKey || !ok {
				continue
			}
			asked = true
			for key := range strings.SplitSeq(list, ", ") {
				seen[key] = true
				if !mentions(text, key) {
					t.Errorf("configuration.md does not show the key %s, which %q could have", key, source)
				}
			}
		}
		if !asked {
			t.Errorf("%q: the reader named no keys: %v", source, findings)
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d keys", len(seen))
	}
	for _, kind := range graph.CredentialKinds() {
		if !mentions(text, kind) {
			t.Errorf("configuration.md does not show the credential kind %s", kind)
		}
	}
	for _, cloud := range graph.Clouds() {
		if !mentions(text, cloud.Name) {
			t.Errorf("configuration.md does not show the cloud %s", cloud.Name)
		}
	}
}

func TestEveryReasonForSkippingIsExplained(t *testing.T) {
	t.Parallel()
	text := code(page(t, "playbook.md"))
	for _, reason := range []string{
		engine.SkipNoTrigger, engine.SkipFilter, engine.SkipVersion, engine.SkipChange, engine.SkipDisabled, engine.SkipExpired,
		engine.SkipTenant, engine.SkipEcho, engine.SkipDuplicate, engine.SkipError,
	} {
		if !mentions(text, reason) {
			t.Errorf("playbook.md does not explain the reason %s", reason)
		}
	}
	for _, state := range []engine.RunState{engine.Ready, engine.Waiting, engine.Parked, engine.Succeeded, engine.Failed, engine.Canceled} {
		if !mentions(page(t, "architecture.md"), string(state)) {
			t.Errorf("architecture.md does not show the state %s", state)
		}
	}
}

func TestEveryPackageIsOnTheMap(t *testing.T) {
	t.Parallel()
	const module = "github.com/playbookd/playbookd/"
	out, err := exec.Command("go", "list", "../...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	text := code(page(t, "architecture.md"))
	for _, pkg := range strings.Fields(string(out)) {
		name := strings.TrimPrefix(pkg, module)
		if !mentions(text, name) && !mentions(text, filepath.Base(name)) {
			t.Errorf("architecture.md does not show the package %s", name)
		}
	}
}

func TestEveryCommandIsInTheReadme(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../cmd/playbookd/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no commands: %v", err)
	}
	use := regexp.MustCompile(`Use:\s+"([a-z]+)`)
	readme, found := page(t, "../README.md"), 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range use.FindAllStringSubmatch(page(t, file), -1) {
			if found++; m[1] != "playbookd" && !mentions(code(readme), m[1]) {
				t.Errorf("README.md does not show the command %s", m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d commands found", found)
	}
}
