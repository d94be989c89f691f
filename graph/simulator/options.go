package simulator

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// The identity a simulator has when none is given. The secret protects nothing: it opens invented data only.
const (
	DefaultTenant = "3a1f0c52-7d5e-4c0b-9a57-0d6f2b8c4e10"
	DefaultClient = "9f6d2a34-18b7-4e0d-8c65-52d0a1b7e3f4"
	DefaultSecret = "simulator-secret"
)

// Defaults and limits of Options.
const (
	DefaultPageSize      = 50
	DefaultTokenLifetime = time.Hour
	DefaultSpan          = 7 * 24 * time.Hour
	MaxAlerts            = 100_000
	MaxTop               = 1000
)

// Mode says how the simulator treats query options that work on live tenants without being documented.
type Mode int

const (
	// LiveLike accepts what live tenants were seen to accept: $orderby, $select, a $top clamped without a word.
	LiveLike Mode = iota
	// Strict answers 400 to whatever the documentation does not promise.
	Strict
)

// Client is an application registration that may ask for tokens.
type Client struct {
	ID            string
	Secret        string
	SecretExpired bool                // the secret is right but its time is over (AADSTS7000222)
	Certificates  []*x509.Certificate // accepted for client assertions
	Federated     []Federated         // outer issuers accepted for client assertions
	Roles         []string            // nil: Options.Roles
}

// Federated is a federated credential: tokens of an outer issuer accepted as client assertions.
type Federated struct {
	Issuer, Subject string
	Key             crypto.PublicKey // *rsa.PublicKey that signs the outer tokens (RS256 or PS256)
}

// Late makes part of the alerts arrive as they do in real life: after their own timestamps, out of order,
// and with evidence that is filled in afterwards. The choice is made from the seed.
type Late struct {
	Share    float64       // of alerts concerned, 0 to 1
	Visible  time.Duration // each is hidden for up to this long after its creation
	Evidence time.Duration // and its evidence is empty for up to this long after it became visible
}

// Options describe a simulator. The zero value is a working one, without documents.
type Options struct {
	Seed      int64
	Start     time.Time     // base time of generated documents; zero: now, to the minute
	Alerts    int           // how many alerts to invent when Documents is empty
	Span      time.Duration // generated alerts are spread over this long before Start; zero: a week
	Ahead     time.Duration // and over this long after it: they appear as time passes
	Documents Documents
	Late      Late
	Hunting   Hunting
	Devices   Devices

	Mode      Mode
	PageSize  int // rows of a page when $top is absent
	Behaviour Behaviour
	Faults    []Fault
	// Chance, if set, may let a fault strike a request that none of the list struck; nil: no fault. It is asked
	// while the server is locked, so it must not call it.
	Chance func(method, path string) *Fault

	Tenant        string
	Clients       []Client // none: DefaultClient with DefaultSecret
	Roles         []string // application roles in tokens; nil: all that the routes ask for
	TokenLifetime time.Duration

	// ThrottlePerMinute answers 429 beyond that many calls of one tenant to Graph, or to Defender, in a minute;
	// zero: never.
	ThrottlePerMinute int
	// Effects receives one JSON line for each effect, written (and flushed, where the writer can) before the
	// answer leaves.
	Effects io.Writer
	Logger  *slog.Logger
}

// withDefaults checks the options and fills in what was left out.
func (o Options) withDefaults() (Options, error) {
	if o.Alerts < 0 || o.Alerts > MaxAlerts {
		return o, fmt.Errorf("alerts is %d: choose between 0 and %d", o.Alerts, MaxAlerts)
	}
	if o.Late.Share < 0 || o.Late.Share > 1 {
		return o, fmt.Errorf("late share is %v: choose between 0 and 1", o.Late.Share)
	}
	for name, d := range map[string]time.Duration{"span": o.Span, "ahead": o.Ahead, "token lifetime": o.TokenLifetime,
		"late visible": o.Late.Visible, "late evidence": o.Late.Evidence} {
		if d < 0 {
			return o, fmt.Errorf("%s is %s: it cannot be negative", name, d)
		}
	}
	if o.PageSize < 0 || o.PageSize > MaxTop {
		return o, fmt.Errorf("page size is %d: choose between 1 and %d, or 0 for %d", o.PageSize, MaxTop, DefaultPageSize)
	}
	if o.ThrottlePerMinute < 0 {
		return o, errors.New("throttle per minute is negative: use 0 for no throttling")
	}
	for _, part := range []interface{ check() error }{o.Behaviour, o.Hunting, o.Devices} {
		if err := part.check(); err != nil {
			return o, err
		}
	}
	for i := range o.Faults {
		if err := o.Faults[i].check(); err != nil {
			return o, fmt.Errorf("fault %d: %w", i+1, err)
		}
	}
	o.PageSize = orDefault(o.PageSize, DefaultPageSize)
	o.Devices.Pending = orDefault(o.Devices.Pending, DefaultPending)
	o.Devices.Running = orDefault(o.Devices.Running, DefaultRunning)
	o.TokenLifetime = orDefault(o.TokenLifetime, DefaultTokenLifetime)
	o.Span = orDefault(o.Span, DefaultSpan)
	o.Tenant = orDefault(o.Tenant, DefaultTenant)
	o.Start = orDefault(o.Start, time.Now().UTC().Truncate(time.Minute)).UTC()
	if len(o.Clients) == 0 {
		o.Clients = []Client{{ID: DefaultClient, Secret: DefaultSecret}}
	}
	seen := map[string]bool{}
	for i, c := range o.Clients {
		if c.ID == "" || seen[strings.ToLower(c.ID)] {
			return o, fmt.Errorf("client %d: the id %q is empty or taken: give each client its own", i+1, c.ID)
		}
		seen[strings.ToLower(c.ID)] = true
	}
	if o.Roles == nil {
		o.Roles = allRoles()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}
