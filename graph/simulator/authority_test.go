package simulator_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/playbookd/playbookd/graph/simulator"
)

// rsaKey is slow to make, so that all tests share one.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func clientCertificate(t *testing.T) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "playbookd"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func TestTheRealIdentityLibraryGetsTokens(t *testing.T) {
	t.Parallel()
	certificate, key := clientCertificate(t)
	tn := open(t, simulator.Options{Documents: someAlerts(1), Clients: []simulator.Client{
		{ID: simulator.DefaultClient, Secret: simulator.DefaultSecret, Certificates: []*x509.Certificate{certificate}}}})
	options := policy.ClientOptions{Transport: tn.http, Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: tn.base}}
	secret, err := azidentity.NewClientSecretCredential(simulator.DefaultTenant, simulator.DefaultClient, simulator.DefaultSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	byCertificate, err := azidentity.NewClientCertificateCredential(simulator.DefaultTenant, simulator.DefaultClient, []*x509.Certificate{certificate}, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, credential := range []azcore.TokenCredential{secret, byCertificate} {
		token, err := credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}})
		if err != nil {
			t.Fatal(err)
		}
		tn.token = token.Token
		tn.want(200, "GET", "/security/alerts_v2", nil)
	}
}

// jwt signs claims for a client assertion.
func jwt(t *testing.T, key *rsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	text := part(header) + "." + part(claims)
	digest := sha256.Sum256([]byte(text))
	var signature []byte
	var err error
	if header["alg"] == "PS256" {
		signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func assertionForm(assertion string) url.Values {
	form := secretForm()
	form.Del("client_secret")
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return form
}

func TestAssertionsAreVerified(t *testing.T) {
	t.Parallel()
	certificate, key := clientCertificate(t)
	tn := inProcess(t, simulator.Options{Clients: []simulator.Client{{ID: simulator.DefaultClient, Secret: simulator.DefaultSecret,
		Certificates: []*x509.Certificate{certificate}, Federated: []simulator.Federated{{Issuer: "https://ci.example", Subject: "main", Key: &key.PublicKey}}}}})
	sum := sha256.Sum256(certificate.Raw)
	number := 0
	ask := func(change func(header, claims map[string]any)) answer {
		number++
		header := map[string]any{"alg": "PS256", "typ": "JWT", "x5t#S256": base64.StdEncoding.EncodeToString(sum[:])}
		claims := map[string]any{"aud": tn.base + "/" + simulator.DefaultTenant + "/oauth2/v2.0/token", "iss": simulator.DefaultClient, "sub": simulator.DefaultClient,
			"jti": fmt.Sprint(number), "nbf": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix()}
		change(header, claims)
		return tn.askToken(assertionForm(jwt(t, key, header, claims)))
	}
	type m = map[string]any
	federated := func(_, c m) {
		c["iss"], c["sub"], c["aud"] = "https://ci.example", "main", []any{"api://AzureADTokenExchange"}
	}
	good := map[string]func(m, m){
		"plain": func(_, _ m) {}, "url thumbprint": func(h, _ m) { h["x5t#S256"] = base64.RawURLEncoding.EncodeToString(sum[:]) },
		"federated": federated, "federated RS256": func(h, c m) { federated(h, c); h["alg"] = "RS256" },
	}
	for name, change := range good {
		if a := ask(change); a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	bad := map[string]struct {
		code   int
		change func(m, m)
	}{
		"algorithm":          {700027, func(h, _ m) { h["alg"] = "RS256" }},
		"algorithm none":     {700027, func(h, _ m) { h["alg"] = "none" }},
		"thumbprint":         {700027, func(h, _ m) { h["x5t#S256"] = base64.StdEncoding.EncodeToString(sum[1:]) }},
		"no thumbprint":      {700027, func(h, _ m) { delete(h, "x5t#S256") }},
		"subject":            {700027, func(_, c m) { c["sub"] = "x" }},
		"audience":           {700027, func(_, c m) { c["aud"] = "https://elsewhere.example" }},
		"no jti":             {700027, func(_, c m) { delete(c, "jti") }},
		"replay":             {700027, func(_, c m) { c["jti"] = "replayed" }},
		"expired":            {700024, func(_, c m) { c["exp"] = time.Now().Unix() - 1 }},
		"too long":           {700024, func(_, c m) { c["exp"] = time.Now().Add(48 * time.Hour).Unix() }},
		"not yet":            {700024, func(_, c m) { c["nbf"] = time.Now().Add(time.Hour).Unix() }},
		"issuer":             {700213, func(_, c m) { c["iss"] = "x" }},
		"federated subject":  {700213, func(h, c m) { federated(h, c); c["sub"] = "other" }},
		"federated audience": {700027, func(h, c m) { federated(h, c); c["aud"] = "x" }},
	}
	ask(bad["replay"].change)
	for name, c := range bad {
		if a := ask(c.change); a.status != 401 || fmt.Sprint(a.body["error_codes"]) != fmt.Sprintf("[%d]", c.code) {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	for _, text := range []string{"x", "a.b.c", "..", strings.Repeat("x", 65<<10)} {
		if a := tn.askToken(assertionForm(text)); a.status != 401 {
			t.Errorf("%.10q: %d %s", text, a.status, a.text)
		}
	}
	tampered := jwt(t, key, m{"alg": "PS256", "x5t#S256": base64.StdEncoding.EncodeToString(sum[:])}, m{"iss": simulator.DefaultClient})
	if a := tn.askToken(assertionForm(tampered[:len(tampered)-8] + "AAAAAAAA")); a.status != 401 {
		t.Errorf("tampered: %d", a.status)
	}
}

func TestTokenErrorsSayWhatEntraSays(t *testing.T) {
	t.Parallel()
	tn := inProcess(t, simulator.Options{Clients: []simulator.Client{
		{ID: simulator.DefaultClient, Secret: simulator.DefaultSecret}, {ID: "old", Secret: "old", SecretExpired: true}, {ID: "bare"}}})
	set := func(pairs ...string) url.Values {
		form := secretForm()
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
			if pairs[i+1] == "" {
				form.Del(pairs[i])
			}
		}
		return form
	}
	cases := []struct {
		status int
		code   string
		number string
		form   url.Values
	}{
		{401, "invalid_client", "7000215", set("client_secret", "wrong")},
		{401, "invalid_client", "7000215", set("client_id", "bare")},
		{401, "invalid_client", "7000222", set("client_id", "old", "client_secret", "old")},
		{401, "invalid_client", "7000216", set("client_secret", "")},
		{400, "unauthorized_client", "700016", set("client_id", "nobody")},
		{400, "invalid_request", "900144", set("client_id", "")},
		{400, "invalid_request", "900144", set("scope", "")},
		{400, "invalid_request", "900144", set("grant_type", "")},
		{400, "invalid_request", "900144", set("client_assertion", "x")},
		{400, "unsupported_grant_type", "70003", set("grant_type", "password")},
		{400, "invalid_scope", "1002012", set("scope", "https://graph.microsoft.com/SecurityAlert.Read.All")},
		{400, "invalid_scope", "70011", set("scope", "nonsense")},
		{400, "invalid_scope", "70011", set("scope", "openid profile")},
		{400, "invalid_scope", "70011", set("scope", "https://graph.microsoft.com/.default https://graph.microsoft.us/.default")},
		{400, "invalid_resource", "500011", set("scope", "https://elsewhere.example/.default")},
	}
	for _, c := range cases {
		checkTokenError(t, tn.askToken(c.form), c.status, c.code, c.number)
	}
	checkTokenError(t, tn.askTokenOf("00000000-0000-0000-0000-000000000000", secretForm()), 400, "invalid_request", "90002")
}

func checkTokenError(t *testing.T, a answer, status int, code, number string) {
	t.Helper()
	if a.status != status || a.body["error"] != code || fmt.Sprint(a.body["error_codes"]) != "["+number+"]" {
		t.Errorf("%d %s, want %d %s %s", a.status, a.text, status, code, number)
	}
	description, _ := a.body["error_description"].(string)
	for _, part := range []string{"AADSTS" + number + ": ", "Trace ID: ", "Correlation ID: ", "Timestamp: "} {
		if !strings.Contains(description, part) {
			t.Errorf("description %q lacks %q", description, part)
		}
	}
	for _, field := range []string{"timestamp", "trace_id", "correlation_id", "error_uri"} {
		if s, _ := a.body[field].(string); s == "" {
			t.Errorf("token error lacks %s: %s", field, a.text)
		}
	}
}

func TestDiscoveryNamesTheHostItWasAskedOn(t *testing.T) {
	t.Parallel()
	tn := open(t, simulator.Options{})
	path := tn.base + "/" + simulator.DefaultTenant + "/v2.0/.well-known/openid-configuration?"
	a := tn.want(200, "GET", path, nil, "Authorization", "")
	for _, field := range []string{"issuer", "token_endpoint", "authorization_endpoint"} {
		if s, _ := a.body[field].(string); !strings.HasPrefix(s, tn.base+"/"+simulator.DefaultTenant+"/") {
			t.Errorf("%s is %v", field, a.body[field])
		}
	}
	tn.want(405, "GET", tn.base+"/"+simulator.DefaultTenant+"/oauth2/v2.0/token", nil)
	tn.want(404, "GET", tn.base+"/nothing/here", nil)
	tn.want(404, "GET", tn.base+"/", nil)
}

func TestRolesDecideWhatMayBeDone(t *testing.T) {
	t.Parallel()
	roles := []string{"SecurityAlert.Read.All", "SecurityAlert.ReadWrite.All", "SecurityIncident.Read.All", "SecurityIncident.ReadWrite.All", "SecurityData.Manage.All",
		"ThreatHunting.Read.All", "Machine.Read.All", "Machine.Isolate"}
	bodies := map[string]string{"comments": `{"comment":"x"}`, "moveAlerts": `{"alertIds":["a1"]}`, "mergeIncidents": `{"incidentIds":["1","2"]}`,
		"runHuntingQuery": `{"Query":"x"}`, "isolate": `{"Comment":"x","IsolationType":"Full"}`, "unisolate": `{"Comment":"x"}`}
	ids := map[string]string{"alerts_v2": "a1", "incidents": "1", "machines": "m1", "machineactions": "act1"}
	for _, shape := range []simulator.Forbidden{simulator.ForbiddenPlain, simulator.ForbiddenSilent, simulator.ForbiddenDenied} {
		for _, role := range append(roles, "none") {
			docs := someAlerts(2)
			docs.Machines = []simulator.Document{{"id": "m1"}}
			tn := inProcess(t, simulator.Options{Documents: docs, Roles: []string{role}, Behaviour: simulator.Behaviour{Forbidden: shape}})
			for _, r := range simulator.Routes() {
				id := ids[strings.Split(r.Path, "/")[2]]
				body := any(bodies[r.Path[strings.LastIndexAny(r.Path, "/.")+1:]])
				switch {
				case r.Method == "GET":
					body = nil
				case body == "":
					body = "{}"
				}
				a := tn.call(r.Method, strings.ReplaceAll(r.Path, "{}", id), body)
				done := a.status == 200 || a.status == 201 || a.status == 404 && strings.Contains(a.text, "act1") // there is no such action
				if allowed := slices.Contains(r.Roles, role); allowed != done || !allowed && a.status != 403 {
					t.Errorf("%s %s with %s: %d %s", r.Method, r.Path, role, a.status, a.text)
				}
				if strings.HasPrefix(r.Path, "/api/") {
					continue // Defender's refusals have one shape
				}
				if a.status == 403 && shape != "" && a.errorCode(t) != string(shape) {
					t.Errorf("403 of shape %s: %s", shape, a.text)
				}
				if a.status == 403 && shape == simulator.ForbiddenSilent && a.body["error"].(map[string]any)["message"] != "" {
					t.Errorf("a silent 403 speaks: %s", a.text)
				}
			}
		}
	}
}

func TestTokensExpireAndBelongToOneAudience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tn := inProcess(t, simulator.Options{Documents: someAlerts(1), TokenLifetime: 10 * time.Minute})
		tn.want(200, "GET", "/security/alerts_v2", nil)
		time.Sleep(10 * time.Minute)
		if a := tn.want(401, "GET", "/security/alerts_v2", nil); a.errorCode(t) != "InvalidAuthenticationToken" {
			t.Errorf("expired: %s", a.text)
		}
		for scope, want := range map[string]int{"https://api.securitycenter.microsoft.com/.default": 401, "https://graph.microsoft.us/.default": 200,
			"00000003-0000-0000-c000-000000000000/.default": 200, tn.base + "/.default": 200} {
			form := secretForm()
			form.Set("scope", scope)
			tn.token, _ = tn.askToken(form).body["access_token"].(string)
			if a := tn.call("GET", "/security/alerts_v2", nil); a.status != want {
				t.Errorf("%s: %d %s", scope, a.status, a.text)
			}
		}
		other := inProcess(t, simulator.Options{})
		tn.token = other.token
		tn.want(401, "GET", "/security/alerts_v2", nil) // another simulator's token
	})
}

func TestThrottlingCountsPerMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tn := inProcess(t, simulator.Options{Documents: someAlerts(1), ThrottlePerMinute: 3})
		for range 3 {
			tn.want(200, "GET", "/security/alerts_v2", nil)
		}
		time.Sleep(20500 * time.Millisecond)
		a := tn.want(429, "PATCH", "/security/alerts_v2/a1", `{"status":"resolved"}`)
		if a.header.Get("Retry-After") != "40" || a.errorCode(t) != "TooManyRequests" {
			t.Errorf("throttled: %v %s", a.header, a.text)
		}
		time.Sleep(40 * time.Second)
		tn.want(200, "GET", "/security/alerts_v2", nil)
		if len(tn.Effects()) != 0 {
			t.Error("a throttled request had an effect")
		}
	})
}

func TestAnAssertionMayBeReplayedWhenTheKnobSaysSo(t *testing.T) {
	t.Parallel()
	certificate, key := clientCertificate(t)
	sum := sha256.Sum256(certificate.Raw)
	for allowed, want := range map[bool]int{true: 200, false: 401} {
		tn := inProcess(t, simulator.Options{Behaviour: simulator.Behaviour{AllowAssertionReplay: allowed}, Clients: []simulator.Client{
			{ID: simulator.DefaultClient, Secret: simulator.DefaultSecret, Certificates: []*x509.Certificate{certificate}}}})
		assertion := jwt(t, key, map[string]any{"alg": "PS256", "x5t#S256": base64.StdEncoding.EncodeToString(sum[:])},
			map[string]any{"aud": tn.base + "/" + simulator.DefaultTenant + "/v2.0", "iss": simulator.DefaultClient, "sub": simulator.DefaultClient,
				"jti": "1", "exp": time.Now().Add(time.Minute).Unix()})
		if first := tn.askToken(assertionForm(assertion)); first.status != 200 {
			t.Errorf("first use: %d %s", first.status, first.text)
		}
		if second := tn.askToken(assertionForm(assertion)); second.status != want {
			t.Errorf("allowed %v: the second use answers %d", allowed, second.status)
		}
	}
}
