// Package sandbox makes a place to try playbookd in: a Graph simulator, and beside it a directory
// with all that a daemon needs to work against it: a configuration, the simulator's CA, the
// client secret, some of the shipped playbooks and their watchlists.
//
// What it writes is what a real installation has, so `playbookd serve` runs it as it is. Only
// three things differ, and the configuration says so: the addresses, the budget, and, where the
// sandbox is meant to be watched, how often the playbooks look.
package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/playbookd/playbookd/playbooks/library"
)

// ConfigName is the configuration's file in the directory.
const ConfigName = "playbookd.yaml"

// TenantName is what the configuration calls the simulated tenant.
const TenantName = "contoso"

// Site is where a simulator is and how to sign in to it.
type Site struct {
	URL    string // Graph and sign-in in one
	CA     []byte // PEM
	Tenant string
	Client string
	Secret string
	// Hasty makes the playbooks look every ten seconds, and schedules fire every minute, so that
	// somebody can watch.
	Hasty bool
}

var configTemplate = template.Must(template.New("").Parse(`# Written by playbookd simulate. A configuration for a real tenant looks the same, without
# graph, defender, authority, ca and budgets: see docs/configuration.md.
data: data
playbooks: playbooks
lists: lists
listen: 127.0.0.1:8484

tenants:
  contoso:
    tenant_id: {{.Tenant}}
    client_id: {{.Client}}
    credential:
      kind: client_secret
      secret: {file: client-secret.txt}
    # The simulator is Graph, Defender and sign-in in one, with a certificate of its own.
    graph: {{.URL}}
    defender: {{.URL}}
    authority: {{.URL}}
    ca: ca.pem
    # Graph allows 150 requests a minute; the simulator does not mind more.
    budgets: {security: 60000/1m}
    # The simulated alerts may be old: take them all.
    first: 3650d
`))

// Write fills dir for a site. What describes the simulator is written anew; playbooks and lists
// that are there already may have been edited and stay.
func Write(dir string, s Site) (configFile string, err error) {
	if _, err := url.Parse(s.URL); err != nil {
		return "", fmt.Errorf("simulator's address: %w", err)
	}
	for _, sub := range []string{"", "playbooks", "lists"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return "", fmt.Errorf("write configuration: %w", err)
		}
	}
	var config bytes.Buffer
	if err := configTemplate.Execute(&config, s); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	configFile = filepath.Join(dir, ConfigName)
	for name, content := range map[string][]byte{
		configFile:                              config.Bytes(),
		filepath.Join(dir, "ca.pem"):            s.CA,
		filepath.Join(dir, "client-secret.txt"): []byte(s.Secret + "\n"),
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return "", fmt.Errorf("write configuration: %w", err)
		}
	}
	return configFile, copyLibrary(dir, s.Hasty)
}

// chosen are the shipped playbooks that need nothing but Graph: no people, channels or calendars,
// which a sandbox does not have.
var chosen = []string{
	"escalate-critical-incidents.yaml",
	"group-related-alerts.yaml",
	"resolve-known-false-positives.yaml",
	"triage-reminder.yaml",
	"lists/known_noise.txt",
	"lists/scanner_ranges.txt",
}

func copyLibrary(dir string, hasty bool) error {
	for _, name := range chosen {
		content, err := fs.ReadFile(library.FS(), name)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, "playbooks", name)
		if strings.HasPrefix(name, "lists/") {
			to = filepath.Join(dir, name)
		}
		if hasty {
			content = hurry(content)
		}
		if err := keepOrWrite(to, content); err != nil {
			return fmt.Errorf("write playbook: %w", err)
		}
	}
	return nil
}

// keepOrWrite leaves a file alone that is there.
func keepOrWrite(file string, content []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

var (
	everyLine = regexp.MustCompile(`(?m)^(\s*every:) .*$`)
	cronValue = regexp.MustCompile(`cron: "[^"]*"`)
)

// hurry changes how often a playbook looks, and nothing else.
func hurry(text []byte) []byte {
	text = everyLine.ReplaceAll(text, []byte("$1 10s"))
	return cronValue.ReplaceAll(text, []byte(`cron: "* * * * *"`))
}
