package graph_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/graph/simulator"
)

const clientID = "11111111-2222-3333-4444-555555555555"

// tenant is a simulated tenant behind real HTTPS.
type tenant struct {
	*simulator.Server
	url  string
	http *http.Client
}

func simulated(t *testing.T, o simulator.Options) tenant {
	t.Helper()
	if o.Alerts == 0 {
		o.Alerts = 60
	}
	srv, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := srv.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return tenant{Server: srv, url: l.URL, http: l.Client()}
}

// bySecret are the options of the app that every simulated tenant knows.
func (s tenant) bySecret() graph.CredentialOptions {
	return graph.CredentialOptions{
		Kind: graph.KindClientSecret, TenantID: simulator.DefaultTenant, ClientID: simulator.DefaultClient,
		Secret: func() string { return simulator.DefaultSecret }, AuthorityURL: s.url, DisableInstanceDiscovery: true,
		Transport: s.http.Transport, MaxRetries: -1,
	}
}

func (s tenant) client(t *testing.T, o graph.CredentialOptions) *graph.Client {
	t.Helper()
	cred, err := graph.NewCredential(o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := graph.New(graph.Options{Tenant: "contoso", BaseURL: s.url, DefenderURL: s.url, Credential: cred, Transport: s.http.Transport})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// The simulator refuses a token of the one service at the other, as both do in life.
func TestAnAppHuntsAndIsolatesWithATokenForEach(t *testing.T) {
	t.Parallel()
	s := simulated(t, simulator.Options{PageSize: 2, TokenLifetime: 24 * time.Hour, Hunting: simulator.Hunting{
		Answers: []simulator.HuntingAnswer{{Query: "DeviceInfo", Rows: []simulator.Document{{"DeviceName": "ws-1"}}}}}})
	c := s.client(t, s.bySecret())
	found, err := c.RunHuntingQuery(t.Context(), graph.HuntingQuery{Query: "DeviceInfo | take 1", Timespan: "P7D"})
	if err != nil || len(found.Rows) != 1 || string(found.Rows[0]) != `{"DeviceName":"ws-1"}` {
		t.Fatalf("found %s, %v", found.Rows, err)
	}
	var machines []graph.Machine
	for m, err := range c.Machines(t.Context(), graph.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		machines = append(machines, m)
	}
	if len(machines) < 5 {
		t.Fatalf("%d machines on pages of two", len(machines))
	}
	id := machines[4].ID
	begun, err := c.IsolateMachine(t.Context(), id, "Full", "contain it")
	if err != nil || begun.Ended() || begun.Type != graph.MachineIsolate || begun.Scope != "Full" || begun.RequestorComment != "contain it" {
		t.Fatalf("begun %+v, %v", begun, err)
	}
	_, err = c.IsolateMachine(t.Context(), id, "Full", "again")
	if e, ok := errors.AsType[*graph.Error](err); !ok || e.Kind != graph.CodeInvalid || e.Code != "ActiveRequestAlreadyExists" || e.Unknown() {
		t.Errorf("a second isolation while the first is under way: %v", err)
	}
	s.SetClock(time.Hour)
	done, err := c.MachineAction(t.Context(), begun.ID)
	if err != nil || !done.Succeeded() || s.Isolation(id) != "Full" {
		t.Errorf("in the end it is %+v, %v", done, err)
	}
	if _, err := c.ReleaseMachine(t.Context(), id, "clean"); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for a, err := range c.MachineActions(t.Context(), graph.Query{Filter: "machineId eq " + graph.Literal(id)}) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, a.Type)
	}
	if strings.Join(kinds, " ") != "Unisolate Isolate" {
		t.Errorf("machine actions %v", kinds)
	}
}

func TestAnAppSignsInWithASecretAndReadsEveryAlertOnce(t *testing.T) {
	t.Parallel()
	for _, behaviour := range []simulator.Behaviour{{}, {ShortPageEvery: 2, EmptyPageEvery: 3}} {
		s := simulated(t, simulator.Options{PageSize: 7, Behaviour: behaviour})
		c := s.client(t, s.bySecret())
		seen := map[string]bool{}
		for a, err := range c.Alerts(t.Context(), graph.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			if seen[a.ID] {
				t.Errorf("alert %s came twice", a.ID)
			}
			seen[a.ID] = true
		}
		if len(seen) != len(s.Alerts()) {
			t.Errorf("%d of %d alerts", len(seen), len(s.Alerts()))
		}
		if n, err := c.CountAlerts(t.Context(), ""); err != nil || n != len(seen) {
			t.Errorf("counted %d, %v", n, err)
		}
	}
}

func TestEveryChangeArrivesAsItWasMeant(t *testing.T) {
	t.Parallel()
	s := simulated(t, simulator.Options{})
	c := s.client(t, s.bySecret())
	ctx := graph.WithRequestID(t.Context(), "0f8fad5b-d9cb-469f-a165-70867728950e")
	id, other := fmt.Sprint(s.Alerts()[0]["id"]), fmt.Sprint(s.Alerts()[0]["incidentId"])
	status, class, det := "resolved", "falsePositive", "clean"
	a, err := c.UpdateAlert(ctx, id, graph.AlertPatch{Status: &status, Classification: &class, Determination: &det, AssignedTo: graph.AssignTo("a@contoso.example")})
	if err != nil || a.Status != "resolved" || a.Determination != "notMalicious" || a.AssignedTo != "a@contoso.example" || a.ResolvedDateTime == "" {
		t.Fatalf("%+v, %v", a, err)
	}
	if a, err = c.UpdateAlert(ctx, id, graph.AlertPatch{AssignedTo: graph.Unassign()}); err != nil || a.AssignedTo != "" || a.Status != "resolved" {
		t.Errorf("%+v, %v", a, err)
	}
	comments, err := c.CommentAlert(ctx, id, "hello")
	if err != nil || len(comments) == 0 || comments[len(comments)-1].Comment != "hello" {
		t.Errorf("%+v, %v", comments, err)
	}
	fresh, err := c.MoveAlerts(ctx, graph.MoveRequest{AlertIDs: []string{id}, Comment: "apart", Reasons: []string{"sameActor"}})
	if err != nil || fresh == "" {
		t.Fatalf("moved to %q: %v", fresh, err)
	}
	if i, err := c.Incident(ctx, fresh, true); err != nil || len(i.Alerts) != 1 || i.Alerts[0].ID != id {
		t.Errorf("%+v, %v", i, err)
	}
	tags := graph.MergeTags(nil, []string{"auto"}, nil)
	if i, err := c.UpdateIncident(ctx, fresh, graph.IncidentPatch{CustomTags: &tags}); err != nil || len(i.CustomTags) != 1 {
		t.Errorf("%+v, %v", i, err)
	}
	kept, err := c.MergeIncidents(ctx, graph.MergeRequest{IncidentIDs: []string{other, fresh}, Reasons: []string{"sameCampaign"}})
	if err != nil {
		t.Fatal(err)
	}
	lost := map[string]string{other: fresh, fresh: other}[kept]
	if i, err := c.SurvivingIncident(ctx, lost); err != nil || i.ID != kept {
		t.Errorf("the survivor of %s is %q, %v", lost, i.ID, err)
	}
	for _, e := range s.Effects() {
		if e.ClientRequestID != "0f8fad5b-d9cb-469f-a165-70867728950e" {
			t.Errorf("%s came with the request id %q", e.Op, e.ClientRequestID)
		}
	}
	if n := len(s.Effects()); n != 6 {
		t.Errorf("%d effects", n)
	}
}

func TestALostAnswerIsReportedAsUnknownAndNotRepeated(t *testing.T) {
	t.Parallel()
	s := simulated(t, simulator.Options{})
	c := s.client(t, s.bySecret())
	if err := s.Inject(simulator.Fault{Method: "POST", Path: "/security/alerts_v2/*/comments", Drop: true, When: simulator.After}); err != nil {
		t.Fatal(err)
	}
	_, err := c.CommentAlert(t.Context(), fmt.Sprint(s.Alerts()[0]["id"]), "once")
	e, ok := errors.AsType[*graph.Error](err)
	if !ok || !e.Unknown() || e.Kind != graph.CodeConnection {
		t.Errorf("got %v", err)
	}
	if n := len(s.Effects()); n != 1 {
		t.Errorf("%d effects", n)
	}
}

// certified makes a certificate and its key as an operator would put them into one file.
func certified(t *testing.T) (*x509.Certificate, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	shape := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "playbookd"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, shape, shape, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk})...)
}

func TestAnAppSignsInWithACertificate(t *testing.T) {
	t.Parallel()
	cert, file := certified(t)
	s := simulated(t, simulator.Options{Clients: []simulator.Client{{ID: clientID, Certificates: []*x509.Certificate{cert}}}})
	o := s.bySecret()
	o.Kind, o.ClientID, o.CertificatePEM = graph.KindCertificate, clientID, file
	if g, err := s.client(t, o).RefreshToken(t.Context()); err != nil || !g.Allows("SecurityAlert.ReadWrite.All") {
		t.Errorf("%+v, %v", g, err)
	}
	_, stranger := certified(t)
	o.CertificatePEM = stranger
	_, err := s.client(t, o).RefreshToken(t.Context())
	if code, advice, ok := graph.ExplainAuth(err); !ok || code != "AADSTS700027" || !strings.Contains(advice, "certificate") {
		t.Errorf("%s, %s, %v", code, advice, err)
	}
}

func TestAnOperatorIsToldWhySigningInFailed(t *testing.T) {
	t.Parallel()
	s := simulated(t, simulator.Options{Clients: []simulator.Client{
		{ID: simulator.DefaultClient, Secret: simulator.DefaultSecret},
		{ID: clientID, Secret: "old-one", SecretExpired: true},
	}})
	for _, tc := range []struct {
		name   string
		change func(*graph.CredentialOptions)
		code   string
		advice string
	}{
		{"a wrong secret", func(o *graph.CredentialOptions) { o.Secret = func() string { return "hunter2-hunter2" } }, "AADSTS7000215", "id of the secret"},
		{"an expired secret", func(o *graph.CredentialOptions) { o.ClientID, o.Secret = clientID, func() string { return "old-one" } }, "AADSTS7000222", "expired"},
		{"an unknown app", func(o *graph.CredentialOptions) { o.ClientID = "99999999-2222-3333-4444-555555555555" }, "AADSTS700016", "unknown in this tenant"},
		{"an unknown tenant", func(o *graph.CredentialOptions) { o.TenantID = "99999999-2222-3333-4444-555555555555" }, "AADSTS90002", "tenant"},
		{"nobody at the authority", func(o *graph.CredentialOptions) { o.AuthorityURL = "https://127.0.0.1:1" }, graph.AuthNoNetwork, "cannot be reached"},
		{"no such host", func(o *graph.CredentialOptions) { o.AuthorityURL = "https://login.invalid" }, graph.AuthNoNetwork, "resolved"},
		{"an untrusted authority", func(o *graph.CredentialOptions) { o.Transport = &http.Transport{} }, graph.AuthUntrusted, "not trusted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := s.bySecret()
			tc.change(&o)
			_, err := s.client(t, o).CommentAlert(t.Context(), "a", "x")
			code, advice, ok := graph.ExplainAuth(err)
			if !ok || code != tc.code || !strings.Contains(advice, tc.advice) {
				t.Errorf("%s: %s (%v)", code, advice, err)
			}
			e, ok := errors.AsType[*graph.Error](err)
			if !ok || e.Kind != graph.CodeAuth || !e.Retry() || e.Unknown() {
				t.Errorf("got %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000 {
				t.Errorf("the text is not fit to be shown: %v", err)
			}
			// The library's own error is explained as well.
			cred, err := graph.NewCredential(o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}})
			if code, _, ok := graph.ExplainAuth(err); !ok || code != tc.code {
				t.Errorf("the bare error gives %s: %v", code, err)
			}
		})
	}
	if _, _, ok := graph.ExplainAuth(io.EOF); ok {
		t.Error("an error that has nothing to do with tokens was explained")
	}
	if _, _, ok := graph.ExplainAuth(nil); ok {
		t.Error("no error was explained")
	}
}

func TestARotatedSecretIsTakenUpWithoutARestart(t *testing.T) {
	t.Parallel()
	s := simulated(t, simulator.Options{})
	var secret atomic.Value
	secret.Store("the old one")
	o := s.bySecret()
	o.Secret = func() string { return secret.Load().(string) }
	c := s.client(t, o)
	if _, err := c.RefreshToken(t.Context()); err == nil {
		t.Fatal("the old secret works")
	}
	secret.Store(simulator.DefaultSecret)
	if _, err := c.RefreshToken(t.Context()); err != nil {
		t.Errorf("the new secret was not taken up: %v", err)
	}
}

func TestARefreshedTokenIsReallyANewOne(t *testing.T) {
	t.Parallel()
	s := simulated(t, simulator.Options{})
	c := s.client(t, s.bySecret())
	tokens := func() int {
		n := 0
		for _, r := range s.Requests() {
			if strings.HasSuffix(r.Path, "/token") {
				n++
			}
		}
		return n
	}
	for range 3 {
		if _, err := c.CountAlerts(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if n := tokens(); n != 1 {
		t.Errorf("%d token requests for three calls", n)
	}
	if _, err := c.RefreshToken(t.Context()); err != nil || tokens() != 2 {
		t.Errorf("%d token requests after a refresh, %v", tokens(), err)
	}
	if err := s.Inject(simulator.Fault{Path: "/security/**", Status: 401}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CountAlerts(t.Context(), ""); err != nil || tokens() != 3 {
		t.Errorf("%d token requests after a 401, %v", tokens(), err)
	}
}

func TestACredentialSaysWhatItLacks(t *testing.T) {
	for _, name := range []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"} {
		t.Setenv(name, "")
	}
	full := graph.CredentialOptions{TenantID: "contoso.example", ClientID: clientID, Secret: func() string { return "x" }}
	for _, tc := range []struct {
		kind   string
		change func(*graph.CredentialOptions)
		want   string
	}{
		{"", nil, "client_secret, certificate"},
		{"default", nil, "managed_identity"},
		{graph.KindClientSecret, func(o *graph.CredentialOptions) { o.Secret = nil }, "secret"},
		{graph.KindClientSecret, func(o *graph.CredentialOptions) { o.Secret = func() string { return "" } }, "secret"},
		{graph.KindClientSecret, func(o *graph.CredentialOptions) { o.TenantID = "" }, "tenant_id"},
		{graph.KindClientSecret, func(o *graph.CredentialOptions) { o.ClientID, o.TenantID = "", "" }, "client_id, tenant_id"},
		{graph.KindCertificate, nil, "certificate"},
		{graph.KindCertificate, func(o *graph.CredentialOptions) { o.CertificatePEM = []byte("rubbish") }, "private key"},
		{graph.KindWorkloadIdentity, nil, "AZURE_FEDERATED_TOKEN_FILE"},
		{graph.KindClientSecret, func(o *graph.CredentialOptions) { o.AuthorityURL = "http://login.example" }, "https"},
	} {
		o := full
		o.Kind = tc.kind
		if tc.change != nil {
			tc.change(&o)
		}
		if _, err := graph.NewCredential(o); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "rubbish") {
			t.Errorf("%s: %v", tc.kind, err)
		}
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("jwt"), 0o600); err != nil {
		t.Fatal(err)
	}
	full.TokenFile = file
	for _, kind := range []string{graph.KindClientSecret, graph.KindManagedIdentity, graph.KindWorkloadIdentity, graph.KindAzureCLI} {
		full.Kind = kind
		if _, err := graph.NewCredential(full); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestALockedCertificateNeedsItsPassword(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = graph.NewCredential(graph.CredentialOptions{
		Kind: graph.KindCertificate, TenantID: "contoso.example", ClientID: clientID,
		CertificatePEM:      pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}),
		CertificatePassword: func() string { return "hunter2" },
	})
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "password") {
		t.Errorf("got %v", err)
	}
}

// canary is a credential whose token must never be seen.
type canary struct{}

func (canary) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "canary-token-in-no-known-form", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestTokensAndSecretsAreNeitherPrintedNorLogged(t *testing.T) {
	t.Parallel()
	s := simulated(t, simulator.Options{})
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := graph.New(graph.Options{Tenant: "contoso", BaseURL: s.url, Credential: canary{}, Transport: s.http.Transport, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Alert(t.Context(), "a")
	o := s.bySecret()
	shown := log.String() + fmt.Sprintf("%v %+v %#v %v %+v %#v %v", c, c, c, o, o, o, err)
	if strings.Contains(shown, "canary-token") || strings.Contains(shown, simulator.DefaultSecret) {
		t.Errorf("found in %s", shown)
	}
	if err == nil || !strings.Contains(log.String(), "graph request") {
		t.Errorf("nothing was logged: %v", err)
	}
}
