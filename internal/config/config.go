// Package config reads playbookd.yaml, the one file that says what a daemon is made of: where
// its data lies, which tenants it serves and with which credentials, what it listens on, and
// where its messages go.
//
// It is read by the same strict reader as playbooks and complains in the same form: file, line,
// column and the mend. Nothing secret stands in it: a secret is the name of a file or of an
// environment variable. Paths are relative to the file itself, so a directory can be moved.
package config

import (
	"net/netip"
	"time"

	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/secret"
)

// Defaults and limits of the configuration.
const (
	// MetricsOff is what metrics: says if there are to be none.
	MetricsOff = "none"

	DefaultListen    = "127.0.0.1:8484"
	DefaultRetention = 90 * 24 * time.Hour
	MinRetention     = 24 * time.Hour
	DefaultFirst     = 24 * time.Hour
	DefaultOverlap   = 15 * time.Minute
	MinOverlap       = time.Minute
	MaxFirst         = 3650 * 24 * time.Hour
	MaxLookBack      = 30 * 24 * time.Hour
	DefaultSweep     = 24 * time.Hour
	DefaultSweepBack = 48 * time.Hour
	MinSweep         = time.Minute
	MaxWorkers       = 1024
	DefaultBackup    = 24 * time.Hour
	MinBackup        = time.Hour
	MaxBackup        = 30 * 24 * time.Hour
	DefaultBackups   = 2
	MaxBackups       = 100
	MaxTenants       = 64
	MaxPeople        = 500
	MaxRoles         = 20
	// How many runs of a playbook for one object may be asked for, within how long: no longer than
	// the journal surely remembers them.
	MaxCeiling       = 10_000
	MinCeilingWithin = time.Minute
	MaxCeilingWithin = MinRetention
	// The most that a webhook may take: requests in a second, at once after a quiet time, and
	// worked on at a time.
	MaxHookRate       = 10_000
	MaxHookBurst      = 100_000
	MaxHookConcurrent = 256
)

// LogFormats are the forms that a log may have.
func LogFormats() []string { return []string{"text", "json"} }

// LogLevels are the levels from which on lines may be written.
func LogLevels() []string { return []string{"debug", "info", "warn", "error"} }

// Config is a whole configuration, with paths made absolute and defaults filled in.
type Config struct {
	File      string
	Data      string // directory of the database
	Playbooks string // directory
	Lists     string // directory
	Calendars string // directory
	Rotas     string // directory
	Listen    string
	TLSCert   string
	TLSKey    string
	// BehindProxy allows a listener that is not on loopback and speaks plain HTTP.
	BehindProxy bool
	// Proxies are the networks of proxies whose X-Forwarded-For is believed.
	Proxies   []netip.Prefix
	Workers   int
	Retention time.Duration
	Backup    Backup
	// CeilingRuns live runs of a playbook for one object within CeilingWithin are the most that
	// start by themselves. 0: the engine's own ceiling.
	CeilingRuns   int
	CeilingWithin time.Duration
	// Metrics is the address of /metrics, if it has one of its own; "": that of Listen.
	Metrics   string
	LogFormat string // text or json
	LogLevel  string // debug, info, warn, error

	Tenants  []Tenant
	Secrets  map[string]secret.Source
	Channels map[string]Channel
	Hooks    map[string]Hook
	People   map[string]Person
	Outbound Outbound
}

// Tenant is one Microsoft tenant.
type Tenant struct {
	Name       string // what playbooks and commands call it
	TenantID   string
	ClientID   string
	Cloud      graph.Cloud
	Credential Credential
	GraphURL   string // instead of the cloud's, for a simulator
	Defender   string // instead of the cloud's: a region's address of Defender for Endpoint, or a simulator
	Authority  string // instead of the cloud's, for a simulator
	CAFile     string // trusted besides the system's, for a simulator
	Budgets    map[graph.Class]graph.Budget
	First      time.Duration // how far the first poll looks back
	Overlap    time.Duration // how far each poll looks back behind its position
	SweepEvery time.Duration
	SweepBack  time.Duration
	Pos        diag.Position
}

// Credential says how the tenant's tokens are obtained.
type Credential struct {
	Kind            string
	Secret          secret.Source // client_secret
	CertificateFile string        // certificate
	Password        secret.Source // certificate, optional
	TokenFile       string        // workload_identity, optional
}

// Channel is where messages go.
type Channel struct {
	Kind string // teams, slack or webhook
	URL  secret.Source
}

// Person is somebody who may answer questions and, with the role operator, call runs off.
type Person struct {
	Roles []string
	Token secret.Source
}

// Hook restricts a webhook that a playbook listens on.
type Hook struct {
	AllowFrom  []netip.Prefix
	Tenant     string
	Rate       int // requests in a second; 0: the default, here and below
	Burst      int // requests at once after a quiet time
	Concurrent int // requests worked on at a time
}

// Backup says how often the journal is copied, and how many copies are kept.
type Backup struct {
	Every time.Duration
	Keep  int // 0: none are made
}

// Outbound says which addresses outgoing requests may reach.
type Outbound struct {
	Hosts   []string       // names, or *.suffix; empty: every public address
	Private []netip.Prefix // addresses that are not public but allowed
	HTTP    []string       // hosts that may be reached without TLS
}

// The codes of this package's findings.
const (
	CodeKey   = "CF001"
	CodeType  = "CF002"
	CodeValue = "CF003"
	CodeNeed  = "CF004"
	CodePath  = "CF005"
)

// Codes explains the findings of this package.
func Codes() []diag.Code {
	return []diag.Code{
		{Code: CodeKey, Severity: diag.Error, Title: "unknown key", Help: "The configuration has a fixed set of keys; a misspelt one would silently change nothing."},
		{Code: CodeType, Severity: diag.Error, Title: "wrong kind of value", Help: "The key wants another kind of value, such as a list or a duration like 15m."},
		{Code: CodeValue, Severity: diag.Error, Title: "value not allowed", Help: "The value has the right kind but is outside what is allowed."},
		{Code: CodeNeed, Severity: diag.Error, Title: "key missing", Help: "Without this key the configuration can't be used."},
		{Code: CodePath, Severity: diag.Error, Title: "file not usable", Help: "A file or directory that the configuration names is missing or can't be read."},
	}
}
