package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// graphAppID is the application id of Microsoft Graph, which tokens may name as their audience.
const graphAppID = "00000003-0000-0000-c000-000000000000"

// maxTokenBytes bounds what is looked at as a token.
const maxTokenBytes = 64 << 10

// caller is who a token says is calling.
type caller struct {
	tenant, client string
	roles          []string
}

// claims are those of an access token that matter here.
type claims struct {
	Audience  string   `json:"aud"`
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Tenant    string   `json:"tid"`
	App       string   `json:"appid"`
	Roles     []string `json:"roles,omitempty"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	ID        string   `json:"uti"`
	Version   string   `json:"ver"`
}

func jwtPart(v any) (string, error) {
	data, err := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(data), err
}

// sign makes an access token. Nobody but the simulator reads it, so its own symmetric key will do.
func (s *Server) sign(c claims) (string, error) {
	header, err := jwtPart(map[string]string{"typ": "JWT", "alg": "HS256"})
	if err != nil {
		return "", err
	}
	body, err := jwtPart(c)
	if err != nil {
		return "", err
	}
	return header + "." + body + "." + base64.RawURLEncoding.EncodeToString(s.mac(header+"."+body)), nil
}

func (s *Server) mac(text string) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// authenticate reads the bearer token of a Graph call.
func (x *exchange) authenticate() error {
	unauthorized := func(message string) error { return refuse(http.StatusUnauthorized, "%s", message) }
	scheme, token, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return unauthorized("Access token is empty.")
	}
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 || len(token) > maxTokenBytes {
		return unauthorized("The access token is not well formed.")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(signature, x.s.mac(parts[0]+"."+parts[1])) {
		return unauthorized("Signature validation of the access token failed.")
	}
	var c claims
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &c) != nil {
		return unauthorized("The access token is not well formed.")
	}
	if x.now.Before(time.Unix(c.NotBefore, 0)) || !x.now.Before(time.Unix(c.Expires, 0)) {
		return unauthorized("Lifetime validation failed, the token is expired.")
	}
	if !x.accepts(c.Audience) {
		return unauthorized("Access token validation failure. Invalid audience.")
	}
	x.caller = caller{tenant: c.Tenant, client: c.App, roles: c.Roles}
	return nil
}

// isGraph tells whether a resource is this Graph: any cloud's name, the application id, or our own host.
func (x *exchange) isGraph(resource string) bool {
	resource = strings.ToLower(strings.TrimSuffix(resource, "/"))
	return resource == graphAppID || resource == "https://"+strings.ToLower(x.r.Host) || slices.Contains([]string{
		"https://graph.microsoft.com", "https://graph.microsoft.us", "https://dod-graph.microsoft.us",
		"https://microsoftgraph.chinacloudapi.cn"}, resource)
}

// authorize checks the roles of the token against those of the route, any of which will do.
func (x *exchange) authorize(roles []string) error {
	for _, role := range roles {
		if slices.Contains(x.caller.roles, role) {
			return nil
		}
	}
	e := refuse(http.StatusForbidden, "Missing application roles. API required roles: %s, application roles: %s.",
		strings.Join(roles, ","), strings.Join(x.caller.roles, ","))
	if x.surface == defenderSurface {
		return e
	}
	switch shape := x.s.opts.Behaviour.Forbidden; shape {
	case ForbiddenSilent:
		e.code, e.message = string(shape), ""
	case ForbiddenDenied:
		e.code, e.message = string(shape), "Insufficient privileges to complete the operation."
	}
	return e
}
