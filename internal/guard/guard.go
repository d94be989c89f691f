// Package guard makes HTTP clients for addresses that playbooks name. What a playbook, or worse
// an alert, puts into a URL must not reach the machine itself, the network behind it or the
// metadata service of its cloud.
//
// The promises:
//
//   - https only, unless a host is listed for plain http; only the ports that are allowed.
//   - The address is checked when the connection is made, after the name was resolved: a name
//     that changes its address between check and use gains nothing.
//   - Loopback, private, link-local, shared, multicast, reserved and metadata addresses are
//     refused, also when they are dressed as IPv6, unless the policy lists them.
//   - The proxy variables of the environment are ignored: behind a proxy nobody could check.
//   - A redirect is followed only on the same host and a few times, because headers and bodies
//     with credentials would travel along.
//   - Answers end at a limit, and everything ends at a time.
//
// Refusals are a [Refusal], which says what was refused, why, and how to allow it.
package guard

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits where the policy sets none.
const (
	DefaultMaxResponse = 1 << 20
	DefaultTimeout     = 30 * time.Second
	DefaultRedirects   = 3
	MaxHeaderBytes     = 64 << 10
	MaxIdleConns       = 64 // connections kept for the next request
)

// Policy says what a client may reach. The zero value allows https on port 443 of any public
// address.
type Policy struct {
	// AllowHosts lists hosts: exact, or *.suffix for every name below a suffix. Empty means any
	// public host. A host with a port ("hooks.example:8443") allows that port on that host.
	AllowHosts []string
	// AllowPrivate lists address ranges that may be reached although they are not public. The
	// metadata addresses of clouds must be listed one by one, as /32 or /128.
	AllowPrivate []netip.Prefix
	// AllowHTTP lists hosts, as AllowHosts does, that may be reached without TLS, on port 80.
	AllowHTTP []string
	// AllowPorts lists further ports for all hosts.
	AllowPorts []uint16
	// MaxResponse is how many bytes of an answer are read; beyond is an error.
	MaxResponse int64
	// Timeout is how long a request may take, with its redirects and its body.
	Timeout time.Duration
	// NoRedirects refuses all redirects.
	NoRedirects bool
	// RootCAs are trusted in place of the system's, for a private CA.
	RootCAs *x509.CertPool
}

// Refusal is a request, or an answer, that the policy does not allow.
type Refusal struct {
	Rule   string // scheme, host, port, address, credentials, redirect or size
	Target string // the host or address in question, never a whole URL
	Reason string
	Mend   string // what to change if it should be allowed
	Sent   bool   // the request had left when this was found
}

// Error says all of it.
func (r *Refusal) Error() string {
	return fmt.Sprintf("refused to call %s: %s; %s", r.Target, r.Reason, r.Mend)
}

// Fault says that no further attempt helps, and whether the request may have taken effect.
func (r *Refusal) Fault() (code, message string, retry bool, after time.Duration, unknown bool) {
	return "refused", r.Error(), false, 0, r.Sent
}

// Check says what is wrong with a policy.
func (p Policy) Check() error {
	for _, pattern := range slices.Concat(p.AllowHosts, p.AllowHTTP) {
		host, port := splitPattern(pattern)
		name := strings.TrimPrefix(host, "*.")
		_, err := strconv.ParseUint(port, 10, 16)
		if name == "" || strings.ContainsAny(pattern, "/@?# ") || strings.Contains(name, "*") || !ascii(name) || port != "" && err != nil {
			return fmt.Errorf("host pattern %q: write a host name, or *. and a suffix, without scheme or path", pattern)
		}
	}
	for _, prefix := range p.AllowPrivate {
		if !prefix.IsValid() {
			return fmt.Errorf("address range %s is not valid: write it as 10.1.0.0/16", prefix)
		}
	}
	if p.MaxResponse < 0 || p.Timeout < 0 {
		return fmt.Errorf("limits of the policy must not be negative")
	}
	return nil
}

// Client makes a client that keeps to the policy.
func Client(p Policy) *http.Client {
	if p.MaxResponse == 0 {
		p.MaxResponse = DefaultMaxResponse
	}
	if p.Timeout == 0 {
		p.Timeout = DefaultTimeout
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, ControlContext: p.control}
	return &http.Client{
		Timeout:       p.Timeout,
		CheckRedirect: p.redirect,
		Transport: &transport{policy: p, next: &http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.RootCAs},
			TLSHandshakeTimeout:    10 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           MaxIdleConns,
			MaxIdleConnsPerHost:    MaxIdleConns, // as many as the engine has workers, by default
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: MaxHeaderBytes,
		}},
	}
}

// checkURL applies every rule that needs no address.
func (p Policy) checkURL(u *url.URL) *Refusal {
	host := normal(u.Hostname())
	shown := strconv.QuoteToASCII(host)
	shown = shown[1 : len(shown)-1]
	plain := u.Scheme == "http" && matches(p.AllowHTTP, host, "")
	switch {
	case u.User != nil:
		return &Refusal{Rule: "credentials", Target: shown, Reason: "the address holds a user name or password", Mend: "send them in a header, from a secret"}
	case host == "" || !ascii(host):
		return &Refusal{Rule: "host", Target: shown, Reason: "the host is empty or not in ASCII", Mend: "write an international name in its xn-- form"}
	case u.Scheme != "https" && !plain:
		return &Refusal{Rule: "scheme", Target: shown, Reason: "only https is allowed", Mend: "use https, or list the host under outbound.http"}
	}
	if !plain && len(p.AllowHosts) > 0 && !matches(p.AllowHosts, host, u.Port()) {
		return &Refusal{Rule: "host", Target: shown, Reason: "the host is not on the list", Mend: "add it to outbound.hosts if playbooks should reach it"}
	}
	if !p.portAllowed(u, host) {
		return &Refusal{Rule: "port", Target: shown + ":" + clip(u.Port()), Reason: "the port is not allowed", Mend: "list the host with its port under outbound.hosts"}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return p.checkAddr(addr)
	}
	return nil
}

// portAllowed knows the scheme's own port, those for all hosts and those written with a host.
func (p Policy) portAllowed(u *url.URL, host string) bool {
	port := u.Port()
	if port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return false
	}
	if slices.Contains(p.AllowPorts, uint16(n)) {
		return true
	}
	listed := p.AllowHosts
	if u.Scheme == "http" {
		listed = p.AllowHTTP
	}
	return slices.ContainsFunc(listed, func(pattern string) bool {
		_, withPort := splitPattern(pattern)
		return withPort == port && matches([]string{pattern}, host, port)
	})
}

// matches looks for a host in a list of patterns. A pattern with a port matches only that port,
// unless the caller asks without one.
func matches(patterns []string, host, port string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		name, withPort := splitPattern(pattern)
		if withPort != "" && port != "" && withPort != port {
			return false
		}
		if suffix, ok := strings.CutPrefix(name, "*."); ok {
			return suffix != "" && strings.HasSuffix(host, "."+suffix)
		}
		return name == host
	})
}

// splitPattern takes a port off a pattern. An IPv6 address has its colons in brackets, or no port.
func splitPattern(pattern string) (host, port string) {
	if h, p, err := net.SplitHostPort(pattern); err == nil {
		return normal(h), p
	}
	return normal(strings.Trim(pattern, "[]")), ""
}

// normal is the one spelling of a host: lower case, without the dot of the root.
func normal(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e || r <= ' ' })
}

func clip(s string) string {
	if len(s) > 16 {
		return s[:16]
	}
	return s
}
