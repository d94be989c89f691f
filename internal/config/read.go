package config

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/internal/secret"
)

// Load reads a configuration file. The configuration is usable if the findings hold no errors.
func Load(file string) (*Config, diag.Findings) {
	src, err := read(file)
	if err != nil {
		return nil, diag.Findings{{Code: CodePath, Severity: diag.Error, Pos: diag.Position{File: file},
			Message: "the configuration can't be read: " + reason(err),
			Mend:    "give the path of a playbookd.yaml with -c; `playbookd simulate --write-config DIR` writes one to try"}}
	}
	return Parse(file, src)
}

// read reads no more than shows that a file is too large.
func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, document.MaxSize+1))
}

func reason(err error) string {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// Parse reads a configuration from src. Relative paths are relative to file's directory.
func Parse(file string, src []byte) (*Config, diag.Findings) {
	doc, findings := document.Read(file, src)
	if findings.HasErrors() {
		return nil, findings
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		dir = filepath.Dir(file)
	}
	w := &walker{dir: dir, findings: findings}
	c := &Config{
		File: file, Data: filepath.Join(dir, "data"), Playbooks: filepath.Join(dir, "playbooks"), Lists: filepath.Join(dir, "lists"),
		Calendars: filepath.Join(dir, "calendars"), Rotas: filepath.Join(dir, "rotas"),
		Listen: DefaultListen, Retention: DefaultRetention, LogFormat: "text", LogLevel: "info",
		Backup:  Backup{Every: DefaultBackup, Keep: DefaultBackups},
		Secrets: map[string]secret.Source{}, Channels: map[string]Channel{}, Hooks: map[string]Hook{}, People: map[string]Person{},
	}
	if doc.Root == nil || doc.Root.Kind == document.Null {
		return nil, diag.Findings{{Code: CodeNeed, Severity: diag.Error, Pos: diag.Position{File: file, Line: 1, Column: 1},
			Message: "the configuration is empty", Mend: "it needs at least one tenant: see docs/configuration.md"}}
	}
	w.object(doc.Root, keys{
		"data":         w.path(&c.Data),
		"playbooks":    w.path(&c.Playbooks),
		"lists":        w.path(&c.Lists),
		"calendars":    w.path(&c.Calendars),
		"rotas":        w.path(&c.Rotas),
		"listen":       w.text(&c.Listen),
		"metrics":      w.text(&c.Metrics),
		"behind_proxy": w.flag(&c.BehindProxy),
		"proxies":      w.list(w.prefix(&c.Proxies)),
		"workers":      w.whole(&c.Workers, 1, MaxWorkers),
		"retention":    w.span(&c.Retention, MinRetention, 3650*24*time.Hour),
		"ceiling":      func(n *document.Node) { w.ceiling(c, n) },
		"backup": func(n *document.Node) {
			w.object(n, keys{"every": w.span(&c.Backup.Every, MinBackup, MaxBackup), "keep": w.whole(&c.Backup.Keep, 0, MaxBackups)})
		},
		"tls": func(n *document.Node) {
			w.object(n, keys{"cert": w.path(&c.TLSCert), "key": w.path(&c.TLSKey)}, "cert", "key")
		},
		"log": func(n *document.Node) {
			w.object(n, keys{"format": w.oneOf(&c.LogFormat, LogFormats()...), "level": w.oneOf(&c.LogLevel, LogLevels()...)})
		},
		"tenants":  func(n *document.Node) { w.each(n, func(name string, n *document.Node) { w.tenant(c, name, n) }) },
		"secrets":  func(n *document.Node) { w.each(n, func(name string, n *document.Node) { w.named(c, name, n) }) },
		"channels": func(n *document.Node) { w.each(n, func(name string, n *document.Node) { w.channel(c, name, n) }) },
		"webhooks": func(n *document.Node) { w.each(n, func(name string, n *document.Node) { w.hook(c, name, n) }) },
		"people":   func(n *document.Node) { w.people(c, n) },
		"outbound": func(n *document.Node) { w.outbound(c, n) },
	}, "tenants")
	if n := doc.Root.Get("tenants"); n != nil && n.Kind == document.Map && (len(n.Pairs) == 0 || len(n.Pairs) > MaxTenants) {
		w.refuse(n, "name the tenants to serve", "there are %d tenants; 1 to %d are allowed", len(n.Pairs), MaxTenants)
	}
	w.hookTenants(c, doc.Root.Get("webhooks"))
	return c, conceal(w.findings)
}

// hookTenants refuses webhooks whose events would belong to a tenant that is not served: no step
// of a run about them could reach Graph.
func (w *walker) hookTenants(c *Config, hooks *document.Node) {
	for path, h := range c.Hooks {
		served := slices.ContainsFunc(c.Tenants, func(t Tenant) bool { return t.Name == h.Tenant })
		if h.Tenant != "" && !served {
			w.refuse(hooks.Get(path).Get("tenant"), "name one of those below tenants", "there is no tenant %.80q", h.Tenant)
		}
	}
}

// inline is a value that stands where the place of a secret should, below whatever name people give
// to one.
var inline = regexp.MustCompile(`(?i)(?:[\w-]*(?:secret|passw(?:or)?d|token|key|value|url|env|file)s?["']?\s*:\s*|-\s+)([^\s{\[,}][^,}]*)`)

// conceal keeps a secret that somebody wrote into the file, which is what the finding is about,
// from the screen and from logs: excerpts are shown without values that might be one.
func conceal(findings diag.Findings) diag.Findings {
	for i, f := range findings {
		findings[i].Excerpt = masked(f.Excerpt)
	}
	return findings
}

// masked returns the line with a star for each character of a value that might be a secret, so
// that a caret below it still points at the same place.
func masked(line string) string {
	var b strings.Builder
	rest := 0
	for _, at := range inline.FindAllStringSubmatchIndex(line, -1) {
		b.WriteString(line[rest:at[2]])
		b.WriteString(strings.Repeat("*", utf8.RuneCountInString(line[at[2]:at[3]])))
		rest = at[3]
	}
	return b.String() + line[rest:]
}

func (w *walker) named(c *Config, name string, n *document.Node) {
	var s secret.Source
	w.secret(&s)(n)
	c.Secrets[name] = s
}

func (w *walker) channel(c *Config, name string, n *document.Node) {
	var ch Channel
	w.object(n, keys{"kind": w.oneOf(&ch.Kind, "teams", "slack", "webhook"), "url": w.secret(&ch.URL)}, "kind", "url")
	c.Channels[name] = ch
}

// people reads who may answer. Names are often addresses, so they may have dots and an @.
func (w *walker) people(c *Config, n *document.Node) {
	if n.Kind != document.Map {
		w.wrong(n, "a map of people", "write one name a line, each with roles and token")
		return
	}
	if len(n.Pairs) > MaxPeople {
		w.refuse(n.Pairs[MaxPeople].Key, "name fewer", "there are %d people; %d are allowed", len(n.Pairs), MaxPeople)
		return
	}
	for _, entry := range n.Pairs {
		name := entry.Key.Text
		if !isName(strings.NewReplacer(".", "", "@", "").Replace(name)) {
			w.refuse(entry.Key, "use letters, digits, . _ - and @, beginning with a letter", "%.80q can't be the name of a person", name)
			continue
		}
		var p Person
		w.object(entry.Value, keys{"roles": w.list(w.role(&p.Roles)), "token": w.secret(&p.Token)}, "token")
		if len(p.Roles) > MaxRoles {
			w.refuse(entry.Value, "remove some", "%s has %d roles; %d are allowed", name, len(p.Roles), MaxRoles)
		}
		c.People[name] = p
	}
}

func (w *walker) role(into *[]string) func(*document.Node) {
	return func(n *document.Node) {
		if !isName(n.Text) {
			w.refuse(n, "use letters, digits, _ and -, beginning with a letter", "%.80q can't be the name of a role", n.Text)
			return
		}
		*into = append(*into, n.Text)
	}
}

func (w *walker) hook(c *Config, name string, n *document.Node) {
	var h Hook
	w.object(n, keys{
		"tenant":     w.text(&h.Tenant),
		"allow_from": w.list(w.prefix(&h.AllowFrom)),
		"rate":       w.whole(&h.Rate, 1, MaxHookRate),
		"burst":      w.whole(&h.Burst, 1, MaxHookBurst),
		"concurrent": w.whole(&h.Concurrent, 1, MaxHookConcurrent),
	})
	c.Hooks[name] = h
}

func (w *walker) prefix(into *[]netip.Prefix) func(*document.Node) {
	return func(n *document.Node) {
		p, err := netip.ParsePrefix(n.Text)
		if err != nil {
			if a, aerr := netip.ParseAddr(n.Text); aerr == nil {
				p, err = a.Prefix(a.BitLen())
			}
		}
		if err != nil {
			w.refuse(n, "write a range such as 192.0.2.0/24", "%q is no address range", n.Text)
			return
		}
		*into = append(*into, p)
	}
}

func (w *walker) outbound(c *Config, n *document.Node) {
	text := func(into *[]string) func(*document.Node) {
		return w.list(func(n *document.Node) {
			var s string
			w.text(&s)(n)
			*into = append(*into, s)
		})
	}
	o := &c.Outbound
	w.object(n, keys{"hosts": text(&o.Hosts), "http": text(&o.HTTP), "private": w.list(w.prefix(&o.Private))})
}

func (w *walker) tenant(c *Config, name string, n *document.Node) {
	t := Tenant{
		Name: name, First: DefaultFirst, Overlap: DefaultOverlap, SweepEvery: DefaultSweep, SweepBack: DefaultSweepBack,
		Budgets: map[graph.Class]graph.Budget{}, Pos: n.Pos,
	}
	t.Cloud, _ = graph.CloudNamed("")
	w.object(n, keys{
		"tenant_id":  w.text(&t.TenantID),
		"client_id":  w.text(&t.ClientID),
		"cloud":      w.cloud(&t.Cloud),
		"credential": func(n *document.Node) { w.credential(&t.Credential, n) },
		"graph":      w.https(&t.GraphURL),
		"defender":   w.https(&t.Defender),
		"authority":  w.https(&t.Authority),
		"ca":         w.path(&t.CAFile),
		"budgets":    func(n *document.Node) { w.budgets(t.Budgets, n) },
		"first":      w.span(&t.First, time.Minute, MaxFirst),
		"overlap":    w.span(&t.Overlap, MinOverlap, MaxLookBack),
		"sweep": func(n *document.Node) {
			w.object(n, keys{"every": w.span(&t.SweepEvery, MinSweep, MaxLookBack), "back": w.span(&t.SweepBack, MinSweep, MaxLookBack)})
		},
	}, "credential")
	if k := t.Credential.Kind; k != "managed_identity" && k != "azure_cli" && k != "" && n.Kind == document.Map {
		for _, need := range []string{"tenant_id", "client_id"} {
			if n.Get(need) == nil {
				w.add(n.Error(CodeNeed, fmt.Sprintf("a credential of kind %s needs the key %q", k, need), "copy it from the app registration's overview page"))
			}
		}
	}
	c.Tenants = append(c.Tenants, t)
}

func (w *walker) cloud(into *graph.Cloud) func(*document.Node) {
	return func(n *document.Node) {
		cloud, err := graph.CloudNamed(n.Text)
		if err != nil {
			w.refuse(n, "leave it out for the public cloud", "%v", err)
			return
		}
		*into = cloud
	}
}

// https reads a URL to which tokens or secrets will be sent.
func (w *walker) https(into *string) func(*document.Node) {
	return func(n *document.Node) {
		u, err := url.Parse(n.Text)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			w.refuse(n, "write https://host", "%q is no https address: tokens are never sent without TLS", n.Text)
			return
		}
		*into = strings.TrimRight(n.Text, "/")
	}
}

func (w *walker) credential(cr *Credential, n *document.Node) {
	w.object(n, keys{
		"kind":       w.oneOf(&cr.Kind, graph.CredentialKinds()...),
		"secret":     w.secret(&cr.Secret),
		"file":       w.path(&cr.CertificateFile),
		"password":   w.secret(&cr.Password),
		"token_file": w.path(&cr.TokenFile),
	}, "kind")
	w.credentialKeys(cr.Kind, n)
	switch {
	case cr.Kind == "client_secret" && n.Get("secret") == nil:
		w.add(n.Error(CodeNeed, "a credential of kind client_secret needs the key \"secret\"", "write secret: {file: PATH} or {env: NAME}"))
	case cr.Kind == "certificate" && n.Get("file") == nil:
		w.add(n.Error(CodeNeed, "a credential of kind certificate needs the key \"file\"", "name the PEM or PKCS#12 file with certificate and key"))
	}
}

// credentialKeys refuses keys that mean nothing to a kind of credential: whoever wrote them
// believes something that is not so.
func (w *walker) credentialKeys(kind string, n *document.Node) {
	own := map[string][]string{
		"client_secret": {"secret"}, "certificate": {"file", "password"}, "workload_identity": {"token_file"},
	}
	if kind == "" || n.Kind != document.Map {
		return
	}
	for _, p := range n.Pairs {
		for other, keys := range own {
			if other != kind && slices.Contains(keys, p.Key.Text) {
				w.refuse(p.Key, "take it out, or use kind: "+other, "the key %q means nothing to a credential of kind %s", p.Key.Text, kind)
			}
		}
	}
}

// ceiling reads a value such as "20/24h".
func (w *walker) ceiling(c *Config, n *document.Node) {
	count, within, _ := strings.Cut(n.Text, "/")
	runs, err := strconv.Atoi(count)
	window, werr := ParseSpan(within)
	if err != nil || werr != nil || runs < 1 || runs > MaxCeiling || window < MinCeilingWithin || window > MaxCeilingWithin {
		w.refuse(n, fmt.Sprintf("write a number of runs from 1 to %d and a time from %s to %s, such as 20/24h", MaxCeiling, MinCeilingWithin, MaxCeilingWithin),
			"%.80q is no ceiling", n.Text)
		return
	}
	c.CeilingRuns, c.CeilingWithin = runs, window
}

// budgets reads entries such as "security: 150/1m".
func (w *walker) budgets(into map[graph.Class]graph.Budget, n *document.Node) {
	defaults := graph.DefaultBudgets()
	w.each(n, func(name string, n *document.Node) {
		b, known := defaults[graph.Class(name)]
		if !known {
			w.refuse(n, "see docs/configuration.md for the classes", "%q is no class of requests", name)
			return
		}
		count, per, ok := strings.Cut(n.Text, "/")
		requests, err := strconv.Atoi(count)
		window, perr := ParseSpan(per)
		if !ok || err != nil || perr != nil || requests < 2 || window <= 0 {
			w.refuse(n, "write a number of requests and a window, such as 150/1m", "%q is no budget", n.Text)
			return
		}
		b.Requests, b.Per, b.Burst = requests, window, max(1, requests/10)
		into[graph.Class(name)] = b
	})
}
