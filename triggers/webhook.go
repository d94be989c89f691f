package triggers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/meter"
	"github.com/playbookd/playbookd/internal/secret"
)

// The limits of webhooks.
const (
	// MaxBody is how large a body may be.
	MaxBody = 1 << 20
	// MaxItems is how many events one body may hold.
	MaxItems = 1000
	// MaxDepth is how deep JSON may nest.
	MaxDepth = 64
	// MaxDeliveryID is how long the sender's name of a delivery may be.
	MaxDeliveryID = 256
	// MaxHooks is how many webhooks there may be.
	MaxHooks = 1000
	// Tolerance is how far a signed timestamp may be from our clock.
	Tolerance = 5 * time.Minute
	// DeliverTimeout is how long admitting may take before the sender is asked to come back.
	DeliverTimeout = 10 * time.Second
	// HookRate and HookBurst are how many authenticated requests a hook takes that does not say
	// otherwise: so many in a second, and so many at once after a quiet time.
	HookRate  = 100
	HookBurst = 500
	// HookConcurrent is how many requests of such a hook are worked on at once.
	HookConcurrent = 16
	// MinKey is how many bytes a key of a webhook needs.
	MinKey = 16
)

// WebhookPrefix is the path under which webhooks lie.
const WebhookPrefix = "/webhooks/"

// The ways in which a sender proves who it is.
const (
	AuthHMAC   = "hmac"
	AuthAPIKey = "apiKey"
)

// Hook is one webhook.
type Hook struct {
	Path   string // below WebhookPrefix
	As     string // alert, incident or event
	Tenant string
	Auth   string // AuthHMAC or AuthAPIKey
	// Secrets are the names of the keys that are accepted: one, or two while keys are changed.
	Secrets []string
	// Allow lists the networks that may send; none: everybody.
	Allow []netip.Prefix
	// Limits are how much it takes.
	Limits HookLimits
}

// HookLimits are how much a hook takes. What is 0 has its default: [HookRate], [HookConcurrent],
// and for Burst five times the rate.
type HookLimits struct {
	Rate       int // authenticated requests in a second
	Burst      int // of them at once after a quiet time
	Concurrent int // requests worked on at a time
}

// complete fills in what is not said.
func (l HookLimits) complete() HookLimits {
	if l.Burst == 0 {
		l.Burst = HookBurst
		if l.Rate != 0 {
			l.Burst = HookBurst / HookRate * l.Rate
		}
	}
	if l.Rate == 0 {
		l.Rate = HookRate
	}
	if l.Concurrent == 0 {
		l.Concurrent = HookConcurrent
	}
	return l
}

// check says what is wrong with a hook.
func (h Hook) check() error {
	switch {
	case h.Path == "" || strings.Trim(h.Path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "":
		return fmt.Errorf("webhook path %.80q: use letters, digits, - and _", h.Path)
	case h.As != "alert" && h.As != "incident" && h.As != "event":
		return fmt.Errorf("webhook %s: as is %.40q: use alert, incident or event", h.Path, h.As)
	case h.Auth != AuthHMAC && h.Auth != AuthAPIKey:
		return fmt.Errorf("webhook %s: anybody could send: give it auth hmac or apiKey", h.Path)
	case len(h.Secrets) < 1 || len(h.Secrets) > 2:
		return fmt.Errorf("webhook %s: name one secret, or two while keys are changed", h.Path)
	case h.Tenant == "":
		return fmt.Errorf("webhook %s: name the tenant that its events belong to", h.Path)
	case min(h.Limits.Rate, h.Limits.Burst, h.Limits.Concurrent) < 0:
		return fmt.Errorf("webhook %s: a limit is negative: %+v", h.Path, h.Limits)
	}
	return nil
}

// WebhookOptions build the handler of webhooks.
type WebhookOptions struct {
	Sink Sink
	// Resolve reads a secret. It is asked on every request, so that a changed key needs no restart.
	Resolve func(name string) (secret.Value, error)
	Log     *slog.Logger
	// Proxies are the networks of reverse proxies whose X-Forwarded-For is believed. Only the
	// allow lists of hooks and the log depend on it.
	Proxies []netip.Prefix
	Now     func() time.Time // the wall clock; nil: time.Now
}

// Webhooks serves POST /webhooks/PATH. It answers 202 once the events are durable, and never
// says to a stranger why it was refused.
//
//	202 accepted; a delivery that was seen before counts as duplicates
//	400 the body is not what it should be, with line and column
//	401 not authenticated
//	403 the address is not on the hook's list
//	404 no such hook
//	405 not a POST
//	408 the body did not arrive in time
//	413 the body is too large
//	415 another content type, charset or encoding
//	429 too much at once; Retry-After
//	503 nothing was accepted, come back; Retry-After
type Webhooks struct {
	sink    Sink
	resolve func(name string) (secret.Value, error)
	log     *slog.Logger
	now     func() time.Time
	proxies []netip.Prefix
	quiet   *bucket // of log lines about refused requests
	counts  *meter.By[hookStatus, meter.Counter]

	mu    sync.RWMutex
	hooks map[string]*hook
}

// hook is a Hook with what it counts.
type hook struct {
	Hook
	places *places
	rate   *bucket
	ring   *keyring
}

// NewWebhooks makes a handler without hooks.
func NewWebhooks(o WebhookOptions) (*Webhooks, error) {
	if o.Sink == nil || o.Resolve == nil {
		return nil, errors.New("webhooks need a sink and a way to read secrets")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Webhooks{
		sink: o.Sink, resolve: o.Resolve, proxies: o.Proxies,
		log:   o.Log.With("component", "triggers", "source", "webhook"),
		quiet: newBucket(1, 20), counts: newHookCounts(), now: clockOr(o.Now),
		hooks: map[string]*hook{},
	}, nil
}

// CheckHooks says why hooks can't be served together; nil if they can.
func CheckHooks(hooks []Hook) error {
	if len(hooks) > MaxHooks {
		return fmt.Errorf("there are %d webhooks: %d are the most", len(hooks), MaxHooks)
	}
	paths := make(map[string]bool, len(hooks))
	for _, h := range hooks {
		if err := h.check(); err != nil {
			return err
		}
		if paths[h.Path] {
			return fmt.Errorf("webhook %s is given twice: join the two", h.Path)
		}
		paths[h.Path] = true
	}
	return nil
}

// SetHooks replaces all hooks. Requests under way go on with the hook that they began with.
func (w *Webhooks) SetHooks(hooks []Hook) error {
	if err := CheckHooks(hooks); err != nil {
		return err
	}
	next := make(map[string]*hook, len(hooks))
	for _, h := range hooks {
		h.Limits = h.Limits.complete()
		next[h.Path] = &hook{Hook: h, places: newPlaces(h.Limits.Concurrent), rate: newBucket(float64(h.Limits.Rate), float64(h.Limits.Burst)), ring: &keyring{}}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, h := range next {
		if old := w.hooks[path]; old != nil && old.Limits == h.Limits { // a reload is no way around the limits
			h.places, h.rate = old.places, old.rate
		}
	}
	w.hooks = next
	return nil
}

// Answer is the body of a 202.
type Answer struct {
	Accepted   int `json:"accepted"`
	Duplicates int `json:"duplicates"`
}

// refusal is a request that is not accepted, and all that the sender learns about it.
type refusal struct {
	status  int
	message string
	after   int    // seconds for Retry-After
	why     string // for our log: never text of the sender's
}

// ServeHTTP implements [http.Handler].
func (w *Webhooks) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Cache-Control", "no-store")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	path := strings.TrimPrefix(r.URL.Path, WebhookPrefix)
	w.mu.RLock()
	h := w.hooks[path]
	w.mu.RUnlock()
	if h == nil || path == r.URL.Path {
		w.refuse(rw, r, "", &refusal{status: http.StatusNotFound, message: "there is no such webhook", why: "unknown path"})
		return
	}
	answer, no := w.receive(rw, r, h)
	if no != nil {
		w.refuse(rw, r, h.Path, no)
		return
	}
	w.counts.At(hookStatus{h.Path, http.StatusAccepted}).Add(1)
	w.log.DebugContext(r.Context(), "webhook accepted", "hook", h.Path, "accepted", answer.Accepted, "duplicates", answer.Duplicates)
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(rw).Encode(answer) // the events are durable; a sender that is gone comes back
}

// receive takes one request through all checks, the cheap ones first.
func (w *Webhooks) receive(rw http.ResponseWriter, r *http.Request, h *hook) (Answer, *refusal) {
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		return Answer{}, &refusal{status: http.StatusMethodNotAllowed, message: "send a POST", why: "method"}
	}
	if !allowed(h.Allow, w.sender(r)) {
		return Answer{}, &refusal{status: http.StatusForbidden, message: "not from here", why: "address is not on the list"}
	}
	if !h.places.take(time.Now()) {
		return Answer{}, &refusal{status: http.StatusTooManyRequests, message: "too many requests at once", after: 1, why: "concurrency"}
	}
	defer h.places.leave()
	now, wall := time.Now(), w.now()
	no := w.withKeys(r.Context(), h, now, func(keys [][]byte) *refusal { return checkHead(h, r, keys, wall) })
	if no != nil {
		return Answer{}, no
	}
	body, no := h.places.read(rw, r, now)
	if no != nil {
		return Answer{}, no
	}
	var delivery string
	no = w.withKeys(r.Context(), h, now, func(keys [][]byte) (no *refusal) {
		delivery, no = checkBody(h, r, keys, body)
		return no
	})
	if no != nil {
		return Answer{}, no
	}
	if !h.rate.take(now) {
		return Answer{}, &refusal{status: http.StatusTooManyRequests, message: "too many requests", after: 1, why: "rate"}
	}
	items, no := parseBody(r, body)
	if no != nil {
		return Answer{}, no
	}
	return w.deliver(r.Context(), h.events(items, delivery, wall))
}

// deliver admits the events of one request together.
func (w *Webhooks) deliver(ctx context.Context, events []engine.Event) (Answer, *refusal) {
	ctx, cancel := context.WithTimeout(ctx, DeliverTimeout)
	defer cancel()
	receipt, err := w.sink.Deliver(ctx, engine.Batch{Events: events})
	if err != nil {
		w.log.ErrorContext(ctx, "events of a webhook could not be stored; the sender is asked to come back", "err", err)
		return Answer{}, &refusal{status: http.StatusServiceUnavailable, message: "not accepted, come back later", after: 10, why: "storing failed"}
	}
	return Answer{Accepted: receipt.Admitted, Duplicates: receipt.Duplicates}, nil
}

// refuse answers and logs. Whoever floods us with bad requests must not fill the log too.
func (w *Webhooks) refuse(rw http.ResponseWriter, r *http.Request, hook string, no *refusal) {
	w.counts.At(hookStatus{hook, no.status}).Add(1)
	if w.quiet.take(time.Now()) {
		w.log.WarnContext(r.Context(), "webhook refused", "hook", hook, "status", no.status, "why", no.why, "sender", w.sender(r).String())
	}
	if no.after > 0 {
		rw.Header().Set("Retry-After", strconv.Itoa(no.after))
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(no.status)
	_ = json.NewEncoder(rw).Encode(map[string]string{"error": no.message})
}

// sender is the address that a request comes from, behind the proxies that we know.
func (w *Webhooks) sender(r *http.Request) netip.Addr {
	from := hostAddr(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(w.proxies, from); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		from = next.Unmap().WithZone("")
	}
	return from
}

func hostAddr(hostPort string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

func allowed(list []netip.Prefix, from netip.Addr) bool {
	return len(list) == 0 || contains(list, from)
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
