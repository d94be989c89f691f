package graph

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/playbookd/playbookd/internal/meter"
)

// Options say which tenant a client works for and how.
type Options struct {
	// Tenant is the name shown in errors, logs and metrics.
	Tenant string
	// Cloud is where the tenant lives. The zero value is the public cloud.
	Cloud Cloud
	// BaseURL takes the place of Cloud.Graph, for a simulator. It must be https.
	BaseURL string
	// DefenderURL takes the place of Cloud.Defender: a region's own address, or a simulator. Whoever
	// sets BaseURL has to set it too, or Defender for Endpoint is not reached at all: what is meant for
	// a simulator must not end up at the real service.
	DefenderURL string
	// Credential obtains tokens, see [NewCredential].
	Credential azcore.TokenCredential
	// Transport carries the requests. Nil means a transport of our own with kept connections,
	// which honours the proxy variables of the environment.
	Transport http.RoundTripper
	// Budgets replace single entries of [DefaultBudgets].
	Budgets map[Class]Budget
	// Logger receives one debug line for each exchange and a warning for each pause.
	Logger *slog.Logger
}

// Client talks to Graph for one tenant. It is safe for concurrent use; all users of one client
// share its budgets.
type Client struct {
	tenant   string
	services [apis]*service // nil where there is none
	http     *http.Client
	gates    map[Class]*gate
	log      *slog.Logger
}

// New makes a client. It sends nothing.
func New(o Options) (*Client, error) {
	o.Cloud = o.Cloud.orPublic()
	if o.Credential == nil {
		return nil, errors.New("graph client: no credential: make one with NewCredential")
	}
	services, err := o.services()
	if err != nil {
		return nil, fmt.Errorf("graph client: %w", err)
	}
	gates, err := makeGates(o.Budgets)
	if err != nil {
		return nil, fmt.Errorf("graph client: %w", err)
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{
		tenant:   clean(o.Tenant, maxShown),
		services: services,
		http:     plainHTTP(o.Transport),
		gates:    gates,
		log:      o.Logger.With("component", "graph", "tenant", o.Tenant),
	}, nil
}

// parseBase accepts https addresses without anything that a request would have to fill, and without one of these
// names at the end.
func parseBase(s string, ends ...string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("base URL is not an address: write it as https://graph.microsoft.com")
	case u.Scheme != "https":
		return nil, fmt.Errorf("base URL %s is not https: a token must not travel in the clear", clean(u.Redacted(), maxShown))
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("base URL %s must be scheme and host, such as https://graph.microsoft.com", clean(u.Redacted(), maxShown))
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if last := u.Path[strings.LastIndexByte(u.Path, '/')+1:]; slices.Contains(ends, last) {
		return nil, fmt.Errorf("base URL %s must not end in /%s: leave out the last part", clean(u.Redacted(), maxShown), last)
	}
	return u, nil
}

// makeGates lays single budgets over the defaults.
func makeGates(own map[Class]Budget) (map[Class]*gate, error) {
	budgets := DefaultBudgets()
	for class, b := range own {
		if _, ok := budgets[class]; !ok {
			known := slices.Sorted(maps.Keys(budgets))
			return nil, fmt.Errorf("budget of unknown class %q: the classes are %v", class, known)
		}
		if wrong := b.check(); wrong != "" {
			return nil, fmt.Errorf("budget of class %s: %s", class, wrong)
		}
		budgets[class] = b
	}
	gates := make(map[Class]*gate, len(budgets))
	for class, b := range budgets {
		gates[class] = newGate(class, b)
	}
	return gates, nil
}

// newTransport is the default transport with limits of our own.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  HuntingTimeout, // the context of a request is the shorter limit of the others
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// plainHTTP never follows a redirect: neither Graph nor the sign-in service sends one, and
// following it would carry the token or the secret along.
func plainHTTP(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// CloseIdleConnections closes connections that no request uses.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// String names the client without showing what it holds.
func (c *Client) String() string { return "graph client of " + c.tenant }

// GoString is String, so that %#v shows no more.
func (c *Client) GoString() string { return c.String() }

// Stats is what happened in one class since the client was made.
type Stats struct {
	Class       Class
	Sent        int64     // requests that left
	Failed      int64     // of these, without a good answer, except throttled ones
	Throttled   int64     // of these, refused with 429 or with 503 and Retry-After
	Refused     int64     // not sent because of a pause or an empty budget
	InFlight    int       // now
	Waiting     int       // now, for a slot, the budget or the end of a pause
	PausedUntil time.Time // zero when not paused
	LastSuccess time.Time
	Answers     [answerKinds]int64 // of Sent, by [AnswerKind]
	Took        meter.Distribution // of Sent
	Budget      Budget
	Left        float64 // requests that may be sent at once now
}

// AnswerKind is what kind of answer a request had.
type AnswerKind int

// The kinds of answers. Dropped is none: the connection failed, or nobody waited for it any more.
const (
	Answered2xx AnswerKind = iota
	Answered3xx
	Answered4xx
	Answered429
	Answered5xx
	Dropped
	answerKinds
)

// String is the kind's name, as metrics have it.
func (k AnswerKind) String() string {
	return [answerKinds]string{"2xx", "3xx", "4xx", "429", "5xx", "dropped"}[k]
}

func kindOfAnswer(status int) AnswerKind {
	switch {
	case status == 0:
		return Dropped
	case status < 300:
		return Answered2xx
	case status < 400:
		return Answered3xx
	case status == http.StatusTooManyRequests:
		return Answered429
	case status < 500:
		return Answered4xx
	}
	return Answered5xx
}

// Stats reports every class, sorted by name.
func (c *Client) Stats() []Stats {
	var all []Stats
	for _, class := range slices.Sorted(maps.Keys(c.gates)) {
		all = append(all, c.gates[class].snapshot())
	}
	return all
}
