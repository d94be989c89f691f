package simulator

import (
	"crypto/subtle"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// aad makes a token error by its AADSTS number.
func aad(number int, format string, args ...any) *apiError {
	status, code := http.StatusBadRequest, "invalid_request"
	switch number {
	case 7000215, 7000222, 7000216, 700027, 700024, 700213:
		status, code = http.StatusUnauthorized, "invalid_client"
	case 700016:
		code = "unauthorized_client"
	case 70011, 1002012:
		code = "invalid_scope"
	case 500011:
		code = "invalid_resource"
	case 70003:
		code = "unsupported_grant_type"
	case 53003:
		code = "access_denied"
	case 90055:
		status = http.StatusTooManyRequests
	case 90033:
		status, code = http.StatusServiceUnavailable, "temporarily_unavailable"
	}
	return &apiError{status: status, code: code, aadsts: number, message: fmt.Sprintf(format, args...)}
}

// authority answers what is not Graph: discovery and tokens of any tenant named in the path.
func (x *exchange) authority() (reply, error) {
	segments := strings.Split(strings.Trim(x.r.URL.Path, "/"), "/")
	if len(segments) < 2 {
		return reply{}, &apiError{status: http.StatusNotFound, code: "not_found", message: "There is nothing at this address."}
	}
	tenant, rest := segments[0], strings.ToLower(strings.Join(segments[1:], "/"))
	want := http.MethodGet
	handle := x.discovery
	switch rest {
	case "v2.0/.well-known/openid-configuration":
	case "oauth2/v2.0/token":
		want, handle = http.MethodPost, x.token
	default:
		return reply{}, &apiError{status: http.StatusNotFound, code: "not_found", message: "There is nothing at this address."}
	}
	if x.r.Method != want {
		return reply{}, &apiError{status: http.StatusMethodNotAllowed, code: "invalid_request",
			message: "The method is not allowed here.", header: http.Header{"Allow": {want}}}
	}
	if !strings.EqualFold(tenant, x.s.opts.Tenant) {
		return reply{}, aad(90002, "Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.", tenant)
	}
	return handle()
}

// issuer is the address the tenant's tokens come from, on whatever host the caller used.
func (x *exchange) issuer(rest string) string {
	return "https://" + x.r.Host + "/" + x.s.opts.Tenant + rest
}

func (x *exchange) discovery() (reply, error) {
	return x.authorityJSON(http.StatusOK, nil, map[string]any{
		"token_endpoint":                        x.issuer("/oauth2/v2.0/token"),
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"},
		"authorization_endpoint":                x.issuer("/oauth2/v2.0/authorize"),
		"issuer":                                x.issuer("/v2.0"),
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	}), nil
}

func (x *exchange) authorityJSON(status int, header http.Header, body any) reply {
	rep := x.json(status, header, body)
	rep.header.Set("Content-Type", "application/json; charset=utf-8")
	return rep
}

// token issues an access token for client credentials.
func (x *exchange) token() (reply, error) {
	if kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return reply{}, aad(900144, "The request body must contain the following parameter: 'grant_type'.")
	}
	form, err := url.ParseQuery(string(x.body))
	if err != nil {
		return reply{}, aad(900144, "The request body is not a form.")
	}
	for _, field := range []string{"grant_type", "client_id", "scope"} {
		if form.Get(field) == "" {
			return reply{}, aad(900144, "The request body must contain the following parameter: '%s'.", field)
		}
	}
	if grant := form.Get("grant_type"); grant != "client_credentials" {
		return reply{}, aad(70003, "The app requested an unsupported grant type '%s'.", grant)
	}
	at := slices.IndexFunc(x.s.opts.Clients, func(c Client) bool { return strings.EqualFold(c.ID, form.Get("client_id")) })
	if at < 0 {
		return reply{}, aad(700016, "Application with identifier '%s' was not found in the directory '%s'.", form.Get("client_id"), x.s.opts.Tenant)
	}
	client := x.s.opts.Clients[at]
	resource, err := x.resource(form.Get("scope"))
	if err != nil {
		return reply{}, err
	}
	if err := x.credentials(client, form); err != nil {
		return reply{}, err
	}
	return x.issue(client, resource)
}

// resource finds the one resource a scope asks for. The OIDC scopes that clients add are no resources.
func (x *exchange) resource(scope string) (string, error) {
	var resource string
	for _, word := range strings.Fields(scope) {
		if slices.Contains([]string{"openid", "offline_access", "profile", "email"}, word) {
			continue
		}
		name, ok := strings.CutSuffix(word, "/.default")
		switch {
		case !ok && strings.Contains(word, "/"):
			return "", aad(1002012, "The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", word)
		case !ok || name == "" || resource != "":
			return "", aad(70011, "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope %s is not valid.", scope)
		}
		resource = name
	}
	switch {
	case resource == "":
		return "", aad(70011, "The provided value for the input parameter 'scope' is not valid. The scope %s is not valid.", scope)
	case !x.isGraph(resource) && !isDefender(resource):
		return "", aad(500011, "The resource principal named %s was not found in the tenant.", resource)
	}
	return resource, nil
}

// credentials checks the secret or the assertion.
func (x *exchange) credentials(c Client, form url.Values) error {
	if assertion := form.Get("client_assertion"); assertion != "" {
		if form.Get("client_assertion_type") != assertionType {
			return aad(900144, "The request body must contain the following parameter: 'client_assertion_type'.")
		}
		return x.assertion(c, assertion)
	}
	secret := form.Get("client_secret")
	switch {
	case secret == "":
		return aad(7000216, "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.")
	case c.Secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(c.Secret)) != 1:
		return aad(7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", c.ID)
	case c.SecretExpired:
		return aad(7000222, "The provided client secret keys for app '%s' are expired.", c.ID)
	}
	return nil
}

// issue writes the token. It is issued even when the client has no role at all: the calls fail, not the token.
func (x *exchange) issue(c Client, resource string) (reply, error) {
	roles := c.Roles
	if roles == nil {
		roles = x.s.opts.Roles
	}
	roles = x.s.rolesFor(resource, roles)
	token, err := x.s.sign(claims{
		Audience: resource, Issuer: x.issuer("/v2.0"), Subject: c.ID, Tenant: x.s.opts.Tenant, App: c.ID, Roles: roles,
		IssuedAt: x.now.Unix(), NotBefore: x.now.Unix(), Expires: x.now.Add(x.s.opts.TokenLifetime).Unix(), ID: x.s.uuid(), Version: "1.0",
	})
	if err != nil {
		return reply{}, fmt.Errorf("sign token: %w", err)
	}
	seconds := int64(x.s.opts.TokenLifetime / time.Second)
	return x.authorityJSON(http.StatusOK, nil, map[string]any{
		"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token,
	}), nil
}

// tokenError gives an error the shape of the authority. A fault may name an AADSTS number as its code.
func (x *exchange) tokenError(e *apiError) reply {
	status, code, number := e.status, e.code, e.aadsts
	switch n, err := strconv.Atoi(code); {
	case err == nil:
		number, code = n, aad(n, "").code
	case number == 0 && status == http.StatusTooManyRequests:
		number, code = 90055, aad(90055, "").code
	case number == 0 && status >= http.StatusInternalServerError:
		number, code = 90033, aad(90033, "").code
	}
	stamp := x.now.UTC().Format("2006-01-02 15:04:05Z")
	body := map[string]any{
		"error":             code,
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s", number, e.message, x.requestID, x.clientRequestID, stamp),
		"error_codes":       []int{number}, "timestamp": stamp, "trace_id": x.requestID, "correlation_id": x.clientRequestID,
		"error_uri": fmt.Sprintf("https://%s/error?code=%d", x.r.Host, number),
	}
	return x.authorityJSON(status, e.header, body)
}
