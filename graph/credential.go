package graph

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// The kinds of credential. There is no kind that tries one after the other: an operator should
// know which identity acts.
const (
	KindClientSecret     = "client_secret"
	KindCertificate      = "certificate"
	KindManagedIdentity  = "managed_identity"
	KindWorkloadIdentity = "workload_identity"
	KindAzureCLI         = "azure_cli"
)

// CredentialKinds lists the kinds.
func CredentialKinds() []string {
	return []string{KindClientSecret, KindCertificate, KindManagedIdentity, KindWorkloadIdentity, KindAzureCLI}
}

// CredentialOptions say as whom to sign in.
type CredentialOptions struct {
	// Kind is one of [CredentialKinds].
	Kind string
	// TenantID and ClientID name the app registration. A managed identity needs no tenant, and a
	// client id only when the machine has several identities.
	TenantID, ClientID string
	// Secret returns the client secret. It is asked again after a refusal, so that a rotated
	// secret is taken up without a restart.
	Secret func() string
	// CertificatePEM holds certificate and private key, in PEM or PKCS#12.
	CertificatePEM []byte
	// CertificatePassword opens the private key, if it is locked.
	CertificatePassword func() string
	// TokenFile is the projected token of a workload identity. Empty means the file that the
	// platform names in AZURE_FEDERATED_TOKEN_FILE.
	TokenFile string
	// Cloud is where the tenant lives. The zero value is the public cloud.
	Cloud Cloud
	// AuthorityURL takes the place of Cloud.Authority, for a simulator or a private cloud.
	AuthorityURL string
	// DisableInstanceDiscovery keeps the client from asking Microsoft whether the authority is
	// one of its own. An authority that is not needs it.
	DisableInstanceDiscovery bool
	// Transport carries the token requests. Nil means a transport of our own.
	Transport http.RoundTripper
	// MaxRetries and RetryDelay govern repeated token requests, which change nothing. Zero means
	// three and the library's delay, a negative number no retries.
	MaxRetries int32
	RetryDelay time.Duration
}

// String tells the kind and the ids, never what is secret.
func (o CredentialOptions) String() string {
	return fmt.Sprintf("credential %s (tenant %s, client %s)", o.Kind, o.TenantID, o.ClientID)
}

// GoString is String, so that %#v shows no more.
func (o CredentialOptions) GoString() string { return o.String() }

// NewCredential makes a credential. It sends nothing: a wrong secret shows when the first token
// is asked for, see [ExplainAuth].
func NewCredential(o CredentialOptions) (azcore.TokenCredential, error) {
	o.Cloud = o.Cloud.orPublic()
	if missing := o.missing(); missing != "" {
		return nil, fmt.Errorf("credential: %s", missing)
	}
	c := &credential{build: func() (azcore.TokenCredential, error) { return build(o) }}
	if err := c.make(); err != nil {
		return nil, fmt.Errorf("credential %s: %w", o.Kind, err)
	}
	return c, nil
}

// missing says what an option of the kind lacks.
func (o CredentialOptions) missing() string {
	need := map[string]bool{}
	switch o.Kind {
	case KindClientSecret:
		need = map[string]bool{"tenant_id": o.TenantID == "", "client_id": o.ClientID == "", "secret": o.Secret == nil || o.Secret() == ""}
	case KindCertificate:
		need = map[string]bool{"tenant_id": o.TenantID == "", "client_id": o.ClientID == "", "certificate": len(o.CertificatePEM) == 0}
	case KindWorkloadIdentity:
		need = map[string]bool{
			"tenant_id (or AZURE_TENANT_ID)":             o.TenantID == "" && os.Getenv("AZURE_TENANT_ID") == "",
			"client_id (or AZURE_CLIENT_ID)":             o.ClientID == "" && os.Getenv("AZURE_CLIENT_ID") == "",
			"token_file (or AZURE_FEDERATED_TOKEN_FILE)": o.TokenFile == "" && os.Getenv("AZURE_FEDERATED_TOKEN_FILE") == "",
		}
	case KindManagedIdentity, KindAzureCLI:
	case "":
		return "no kind: use one of " + strings.Join(CredentialKinds(), ", ")
	default:
		return fmt.Sprintf("unknown kind %q: use one of %s", clean(o.Kind, maxShown), strings.Join(CredentialKinds(), ", "))
	}
	maps.DeleteFunc(need, func(_ string, lacking bool) bool { return !lacking })
	if len(need) > 0 {
		return fmt.Sprintf("kind %s needs %s", o.Kind, strings.Join(slices.Sorted(maps.Keys(need)), ", "))
	}
	if o.AuthorityURL != "" && !strings.HasPrefix(o.AuthorityURL, "https://") {
		return "the authority must be an https address"
	}
	return ""
}

// build hands the options to the library.
func build(o CredentialOptions) (azcore.TokenCredential, error) {
	client := o.client()
	switch o.Kind {
	case KindClientSecret:
		return azidentity.NewClientSecretCredential(o.TenantID, o.ClientID, o.Secret(), &azidentity.ClientSecretCredentialOptions{
			ClientOptions: client, DisableInstanceDiscovery: o.DisableInstanceDiscovery,
		})
	case KindCertificate:
		return buildCertificate(o, client)
	case KindManagedIdentity:
		opts := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: client}
		if o.ClientID != "" {
			opts.ID = azidentity.ClientID(o.ClientID)
		}
		return azidentity.NewManagedIdentityCredential(opts)
	case KindWorkloadIdentity:
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: client, TenantID: o.TenantID, ClientID: o.ClientID, TokenFilePath: o.TokenFile,
			DisableInstanceDiscovery: o.DisableInstanceDiscovery,
		})
	}
	return azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: o.TenantID})
}

func buildCertificate(o CredentialOptions, client azcore.ClientOptions) (azcore.TokenCredential, error) {
	var password []byte
	if o.CertificatePassword != nil {
		password = []byte(o.CertificatePassword())
	}
	certs, key, err := azidentity.ParseCertificates(o.CertificatePEM, password)
	if err != nil {
		// The library's text may quote what it read.
		return nil, errors.New("the certificate cannot be read: it must hold a certificate and its private key, " +
			"as PEM or PKCS#12, and the password must fit")
	}
	return azidentity.NewClientCertificateCredential(o.TenantID, o.ClientID, certs, key, &azidentity.ClientCertificateCredentialOptions{
		ClientOptions: client, DisableInstanceDiscovery: o.DisableInstanceDiscovery,
	})
}

// client is what all kinds share.
func (o CredentialOptions) client() azcore.ClientOptions {
	authority := o.Cloud.Authority
	if o.AuthorityURL != "" {
		authority = o.AuthorityURL
	}
	t := o.Transport
	if t == nil {
		t = newTransport()
	}
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: authority},
		Transport: plainHTTP(noting{t}),
		Retry:     policy.RetryOptions{MaxRetries: o.MaxRetries, RetryDelay: o.RetryDelay, MaxRetryDelay: 10 * time.Second},
		Telemetry: policy.TelemetryOptions{ApplicationID: "playbookd"},
	}
}

// credential is a credential that can be made anew: to take up a rotated secret, and to forget
// the tokens that the library caches and has no other way to drop.
type credential struct {
	build func() (azcore.TokenCredential, error)

	mu    sync.Mutex
	inner azcore.TokenCredential
}

func (c *credential) make() error {
	inner, err := c.build()
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.inner = inner
	c.mu.Unlock()
	return nil
}

// Forget drops cached tokens.
func (c *credential) Forget() {
	c.mu.Lock()
	c.inner = nil
	c.mu.Unlock()
}

// GetToken implements azcore.TokenCredential.
func (c *credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.mu.Lock()
	inner := c.inner
	if inner == nil {
		made, err := c.build()
		if err != nil {
			c.mu.Unlock()
			return azcore.AccessToken{}, err
		}
		c.inner, inner = made, made
	}
	c.mu.Unlock()
	note := &transportNote{}
	token, err := inner.GetToken(context.WithValue(ctx, noteKey{}, note), o)
	if err != nil {
		c.Forget()
		return token, &signInError{err: err, transport: note.get()}
	}
	return token, nil
}

// signInError adds to the library's error what happened on the wire, which the library keeps
// only as text.
type signInError struct {
	err       error
	transport error
}

func (e *signInError) Error() string { return "sign-in: " + firstLine(e.err.Error()) }

func (e *signInError) Unwrap() []error {
	if e.transport == nil {
		return []error{e.err}
	}
	return []error{e.err, e.transport}
}

type noteKey struct{}

// transportNote remembers the outcome of the latest token request.
type transportNote struct {
	mu  sync.Mutex
	err error
}

func (n *transportNote) set(err error) {
	n.mu.Lock()
	n.err = err
	n.mu.Unlock()
}

func (n *transportNote) get() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// noting is a transport that writes such notes.
type noting struct{ http.RoundTripper }

func (t noting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if note, ok := req.Context().Value(noteKey{}).(*transportNote); ok {
		note.set(err)
	}
	return resp, err
}
