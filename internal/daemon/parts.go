package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/actions/notify"
	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/guard"
	"github.com/playbookd/playbookd/internal/secret"
)

// maxIdleConns is how many connections to one host are kept for the next request.
const maxIdleConns = 64

// newClient makes the Graph client of a tenant.
func newClient(t config.Tenant, around func(http.RoundTripper) http.RoundTripper, scrub *secret.Scrubber, log *slog.Logger) (*graph.Client, error) {
	transport, err := transportFor(t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("tenant %s: %w", t.Name, err)
	}
	if around != nil {
		transport = around(transport)
	}
	o := graph.CredentialOptions{
		Kind: t.Credential.Kind, TenantID: t.TenantID, ClientID: t.ClientID, Cloud: t.Cloud, AuthorityURL: t.Authority,
		DisableInstanceDiscovery: t.Authority != "", Transport: transport, TokenFile: t.Credential.TokenFile,
		// The next poll, or the next attempt of a step, asks again: until then the reason should be known.
		MaxRetries: 1, RetryDelay: time.Second,
	}
	read := func(s secret.Source) func() string {
		return func() string {
			v, _, err := s.Read()
			if err != nil {
				log.Error("a secret can't be read", "tenant", t.Name, "err", err)
				return ""
			}
			scrub.Add(v)
			return v.Reveal()
		}
	}
	switch t.Credential.Kind {
	case "client_secret":
		// Read once now, so that a missing file is known at the start and not at the first poll.
		if _, warning, err := t.Credential.Secret.Read(); err != nil {
			return nil, fmt.Errorf("tenant %s: client secret: %w", t.Name, err)
		} else if warning != "" {
			log.Warn("client secret", "tenant", t.Name, "warning", warning)
		}
		o.Secret = read(t.Credential.Secret)
	case "certificate":
		if o.CertificatePEM, err = os.ReadFile(t.Credential.CertificateFile); err != nil {
			return nil, fmt.Errorf("tenant %s: certificate: %w", t.Name, err)
		}
		if t.Credential.Password != (secret.Source{}) {
			o.CertificatePassword = read(t.Credential.Password)
		}
	}
	credential, err := graph.NewCredential(o)
	if err != nil {
		return nil, fmt.Errorf("tenant %s: %w", t.Name, err)
	}
	client, err := graph.New(graph.Options{
		Tenant: t.Name, Cloud: t.Cloud, BaseURL: t.GraphURL, DefenderURL: t.Defender, Credential: credential, Transport: transport,
		Budgets: t.Budgets, Logger: log,
	})
	if err != nil {
		return nil, fmt.Errorf("tenant %s: %w", t.Name, err)
	}
	return client, nil
}

// transportFor trusts a CA besides those of the system. Without one the parts use their own.
func transportFor(caFile string) (http.RoundTripper, error) {
	if caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %s holds no PEM certificate", caFile)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	transport.MaxIdleConnsPerHost = maxIdleConns
	return transport, nil
}

// newRegistry makes the actions, with what they need to act. Their attempts are counted, unless
// n is nil.
func newRegistry(c *config.Config, clients map[string]*graph.Client, secrets *secret.Store, around func(http.RoundTripper) http.RoundTripper, n *counts) (*actions.Registry, error) {
	policy := guard.Policy{
		AllowHosts: c.Outbound.Hosts, AllowPrivate: c.Outbound.Private, AllowHTTP: c.Outbound.HTTP, NoRedirects: false,
	}
	if err := policy.Check(); err != nil {
		return nil, fmt.Errorf("outbound: %w", err)
	}
	outbound := guard.Client(policy)
	if around != nil {
		outbound.Transport = around(outbound.Transport)
	}
	var channels []notify.Channel
	for name, ch := range c.Channels {
		// The name of a channel's secret can't be the name of one of the configuration's own.
		channels = append(channels, notify.Channel{Name: name, Kind: notify.Kind(ch.Kind), URL: actions.NewSecretRef("channel/" + name)})
	}
	list := builtin.Actions(builtin.Deps{
		Graph: func(tenant string) (builtin.GraphClient, error) {
			if client := clients[tenant]; client != nil {
				return client, nil
			}
			return nil, errors.New("it is not in the configuration")
		},
		HTTP: outbound, Secrets: secrets, Channels: channels,
	})
	if n != nil {
		list = attempting(list, n)
	}
	return actions.NewRegistry(list...), nil
}

// checkSecrets says which of the named secrets can't be read. They are read anew each time they are
// used, so that is no reason not to start.
func (d *Daemon) checkSecrets() error {
	_, wrong := d.secrets.Check()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		errs = append(errs, wrong[name])
	}
	return errors.Join(errs...)
}

// secretSources are the secrets that the configuration names, and those of its channels.
func secretSources(c *config.Config) map[string]secret.Source {
	all := maps.Clone(c.Secrets)
	for name, ch := range c.Channels {
		all["channel/"+name] = ch.URL
	}
	for name, p := range c.People {
		all[personSecret+name] = p.Token
	}
	return all
}
