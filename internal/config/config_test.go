package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/killer"
)

// tenant is the smallest configuration that can be used, to which tests add lines.
const tenant = "tenants:\n  c: {tenant_id: t, client_id: i, credential: {kind: azure_cli}}\n"

func codes(t *testing.T, text string) []string {
	t.Helper()
	_, findings := config.Parse("playbookd.yaml", []byte(text))
	var list []string
	for _, f := range findings {
		if f.Mend == "" || f.Pos.Line == 0 {
			t.Errorf("a finding without place or mend: %v", f)
		}
		list = append(list, fmt.Sprintf("%s@%d:%d", f.Code, f.Pos.Line, f.Pos.Column))
	}
	return list
}

func TestEveryMistakeHasItsCodeItsPlaceAndAMend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"PB005@1:1"}},
		{"nothing", "null\n", []string{"CF004@1:1"}},
		{"no tenant", "data: d\n", []string{"CF004@1:1"}},
		{"tenants without one", "tenants: {}\n", []string{"CF003@1:10"}},
		{"unknown key", tenant + "dta: d\n", []string{"CF001@3:1"}},
		{"a list where text belongs", tenant + "data: [d]\n", []string{"CF002@3:7"}},
		{"text where a number belongs", tenant + "workers: many\n", []string{"CF002@3:10"}},
		{"text where a flag belongs", tenant + "behind_proxy: \"true\"\n", []string{"CF002@3:15"}},
		{"no duration", tenant + "retention: long\n", []string{"CF002@3:12"}},
		{"backups too often", tenant + "backup: {every: 59m}\n", []string{"CF003@3:17"}},
		{"too many backups", tenant + "backup: {keep: 101}\n", []string{"CF003@3:16"}},
		{"retention too short", tenant + "retention: 23h\n", []string{"CF003@3:12"}},
		{"log format", tenant + "log: {format: xml}\n", []string{"CF003@3:15"}},
		{"half a tls", tenant + "tls: {cert: c.pem}\n", []string{"CF004@3:6"}},
		{"a secret in the open", tenant + "secrets: {k: topsecret}\n", []string{"CF002@3:14"}},
		{"a secret with two places", tenant + "secrets: {k: {env: A, file: b}}\n", []string{"CF004@3:14"}},
		{"a secret's name", tenant + "secrets: {\"a b\": {env: A}}\n", []string{"CF003@3:11"}},
		{"a channel's kind", tenant + "channels: {soc: {kind: irc, url: {env: A}}}\n", []string{"CF003@3:24"}},
		{"a channel without url", tenant + "channels: {soc: {kind: slack}}\n", []string{"CF004@3:17"}},
		{"an address range", tenant + "outbound: {private: [10.0.0.0/33]}\n", []string{"CF003@3:22"}},
		{"a cloud", "tenants:\n  c: {cloud: moon, tenant_id: t, client_id: i, credential: {kind: azure_cli}}\n", []string{"CF003@2:14"}},
		{"plain http", "tenants:\n  c: {graph: \"http://g\", credential: {kind: azure_cli}}\n", []string{"CF003@2:14"}},
		{"plain http to Defender", "tenants:\n  c: {defender: \"http://g\", credential: {kind: azure_cli}}\n", []string{"CF003@2:17"}},
		{"user in a url", "tenants:\n  c: {graph: \"https://u:p@g\", credential: {kind: azure_cli}}\n", []string{"CF003@2:14"}},
		{"no credential", "tenants:\n  c: {tenant_id: t, client_id: i}\n", []string{"CF004@2:6"}},
		{"a credential without secret", "tenants:\n  c: {tenant_id: t, client_id: i, credential: {kind: client_secret}}\n", []string{"CF004@2:47"}},
		{"a certificate without file", "tenants:\n  c: {tenant_id: t, client_id: i, credential: {kind: certificate}}\n", []string{"CF004@2:47"}},
		{"a secret without ids", "tenants:\n  c: {credential: {kind: client_secret, secret: {env: A}}}\n", []string{"CF004@2:6", "CF004@2:6"}},
		{"a budget", "tenants:\n  c: {budgets: {security: lots}, credential: {kind: azure_cli}}\n", []string{"CF003@2:27"}},
		{"a class of requests", "tenants:\n  c: {budgets: {everything: 1/1m}, credential: {kind: azure_cli}}\n", []string{"CF003@2:29"}},
		{"overlap below its limit", "tenants:\n  c: {overlap: 59s, credential: {kind: azure_cli}}\n", []string{"CF003@2:16"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, codes(t, c.text)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFileThatCannotBeReadSaysHowToGetOne(t *testing.T) {
	t.Parallel()
	_, findings := config.Load(filepath.Join(t.TempDir(), "none.yaml"))
	if len(findings) != 1 || findings[0].Code != config.CodePath || !strings.Contains(findings[0].Mend, "--write-config") {
		t.Errorf("findings %v", findings)
	}
}

func TestLimitsHoldAtAndBeyond(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{fmt.Sprintf("workers: %d\n", config.MaxWorkers), true},
		{fmt.Sprintf("workers: %d\n", config.MaxWorkers+1), false},
		{"workers: 1\n", true},
		{"workers: 0\n", false},
		{"retention: 1d\n", true},
		{"retention: 3650d\n", true},
		{"retention: 3651d\n", false},
		{fmt.Sprintf("ceiling: %d/24h\n", config.MaxCeiling), true},
		{"ceiling: 1/1m\n", true},
		{fmt.Sprintf("ceiling: %d/24h\n", config.MaxCeiling+1), false},
		{"ceiling: 0/24h\n", false},
		{"ceiling: 20/59s\n", false},
		{"ceiling: 20/25h\n", false},
		{"ceiling: 20\n", false},
		{"ceiling: [20, 24h]\n", false},
		{fmt.Sprintf("webhooks: {edr: {rate: %d, burst: %d, concurrent: %d}}\n", config.MaxHookRate, config.MaxHookBurst, config.MaxHookConcurrent), true},
		{"webhooks: {edr: {rate: 1, burst: 1, concurrent: 1}}\n", true},
		{fmt.Sprintf("webhooks: {edr: {rate: %d}}\n", config.MaxHookRate+1), false},
		{"webhooks: {edr: {rate: 0}}\n", false},
		{fmt.Sprintf("webhooks: {edr: {burst: %d}}\n", config.MaxHookBurst+1), false},
		{"webhooks: {edr: {burst: 0}}\n", false},
		{fmt.Sprintf("webhooks: {edr: {concurrent: %d}}\n", config.MaxHookConcurrent+1), false},
		{"webhooks: {edr: {concurrent: 0}}\n", false},
	} {
		if got := codes(t, tenant+c.text) == nil; got != c.ok {
			t.Errorf("%q is taken: %t, want %t", c.text, got, c.ok)
		}
	}
	var many strings.Builder
	many.WriteString("tenants:\n")
	for i := range config.MaxTenants + 1 {
		fmt.Fprintf(&many, "  t%d: {credential: {kind: azure_cli}}\n", i)
	}
	if codes(t, many.String()) == nil {
		t.Errorf("more than %d tenants are taken", config.MaxTenants)
	}
}

func TestWhatIsSetArrivesAndWhatIsNotHasItsDefault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "playbookd.yaml")
	text := `data: journal
listen: 127.0.0.1:9
metrics: 127.0.0.1:9464
retention: 7d
backup: {every: 12h, keep: 5}
ceiling: 7/1h
webhooks: {edr: {tenant: c, allow_from: [192.0.2.0/24, 198.51.100.7], rate: 40, burst: 80, concurrent: 4}}
tenants:
  c:
    tenant_id: t
    client_id: i
    cloud: usgov-l5
    credential: {kind: certificate, file: app.pem}
    budgets: {security: 300/2m}
    sweep: {every: 1h, back: 3h}
    defender: https://api-gcc.securitycenter.microsoft.us/
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, findings := config.Load(file)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	tn := c.Tenants[0]
	for _, same := range []struct {
		what      string
		got, want any
	}{
		{"data", c.Data, filepath.Join(dir, "journal")},
		{"playbooks", c.Playbooks, filepath.Join(dir, "playbooks")},
		{"listen", c.Listen, "127.0.0.1:9"},
		{"metrics", c.Metrics, "127.0.0.1:9464"},
		{"retention", c.Retention, 7 * 24 * time.Hour},
		{"time between backups", c.Backup.Every, 12 * time.Hour},
		{"backups", c.Backup.Keep, 5},
		{"runs of the ceiling", c.CeilingRuns, 7},
		{"time of the ceiling", c.CeilingWithin, time.Hour},
		{"hook's networks", len(c.Hooks["edr"].AllowFrom), 2},
		{"hook's rate", c.Hooks["edr"].Rate, 40},
		{"hook's burst", c.Hooks["edr"].Burst, 80},
		{"hook's concurrency", c.Hooks["edr"].Concurrent, 4},
		{"cloud", tn.Cloud.Graph, "https://dod-graph.microsoft.us"},
		{"address of Defender", tn.Defender, "https://api-gcc.securitycenter.microsoft.us"},
		{"certificate", tn.Credential.CertificateFile, filepath.Join(dir, "app.pem")},
		{"budget", tn.Budgets[graph.ClassSecurity].Requests, 300},
		{"sweep", tn.SweepBack, 3 * time.Hour},
		{"overlap", tn.Overlap, config.DefaultOverlap},
		{"first", tn.First, config.DefaultFirst},
	} {
		if same.got != same.want {
			t.Errorf("%s is %v, want %v", same.what, same.got, same.want)
		}
	}
}

// A secret that somebody wrote where its place belongs must not be shown back to the screen.
func TestAFindingNeverShowsWhatMayBeASecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		tenant + "secrets: {k: hunter2hunter2}\n",
		"tenants:\n  c:\n    tenant_id: t\n    client_id: i\n    credential: {kind: client_secrt, secret: hunter2hunter2}\n",
		"tenants:\n  c: {tenant_id: t, client_id: i, credential: {kind: certificate, file: f, password: hunter2hunter2}}\n",
		tenant + "channels: {soc: {kind: teams, url: https://hooks.example/hunter2hunter2}}\n",
		tenant + "people: {'a b': {roles: [x], token: hunter2hunter2}}\n",
		tenant + "secrets:\n  k: {value: hunter2hunter2}\n",
		"tenants: {c: {client_secret: hunter2hunter2, credential: {kind: azure_cli}}}\n",
		tenant + "webhooks: {edr: {api_key: hunter2hunter2, Password: hunter2hunter2}}\n",
	} {
		_, findings := config.Parse("playbookd.yaml", []byte(text))
		if len(findings) == 0 {
			t.Errorf("no finding about %q", text)
		}
		for _, f := range findings {
			if strings.Contains(f.Excerpt+f.Message+f.Mend, "hunter2") {
				t.Errorf("the finding shows the secret: %+v", f)
			}
		}
	}
}

func TestEveryKeyIsInThePage(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("read.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile(`(?m)^\s+"([a-z_]+)":\s`).FindAllStringSubmatch(string(src), -1)
	if len(keys) < 20 {
		t.Fatalf("only %d keys found in the code", len(keys))
	}
	for _, k := range keys {
		if !regexp.MustCompile(`\b` + k[1] + `\b`).Match(page) {
			t.Errorf("the key %s is not in docs/configuration.md", k[1])
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(tenant)
	f.Add("tenants: {c: {budgets: {security: 9999999999999/1m}}}")
	f.Add("secrets: {k: {env: A}}\ntenants: [")
	f.Add("0- 0:0")
	f.Add("tenants: {c: {client_secret: {file:x}}}\n- hunter2\nx- y: [")
	for _, k := range killer.Documents() {
		f.Add(k.Text)
	}
	for _, sample := range []string{"../../examples/real-tenant/playbookd.yaml"} {
		text, err := os.ReadFile(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, findings := config.Parse("playbookd.yaml", []byte(text))
		if c == nil && !findings.HasErrors() {
			t.Error("nothing came of it, and nobody says why")
		}
	})
}
