package graph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// tokenMargin is how long before its end a token is no longer used.
const tokenMargin = 5 * time.Minute

// fresher is a credential that can be made to forget what it cached.
type fresher interface{ Forget() }

// tokens keeps the current token of one scope, so that a credential without a cache of its own
// (the Azure CLI starts a process each time) isn't asked for every request.
type tokens struct {
	credential azcore.TokenCredential
	scope      string
	turn       chan struct{} // one caller fetches, the others wait and find its token
	token      azcore.AccessToken
	fetched    time.Time
}

func newTokens(c azcore.TokenCredential, scope string) *tokens {
	return &tokens{credential: c, scope: scope, turn: make(chan struct{}, 1)}
}

// get returns a token that is good for another while. A fresh one is asked for after a 401,
// with the claims that the challenge named.
func (t *tokens) get(ctx context.Context, fresh bool, claims string) (string, error) {
	asked := time.Now()
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if fresh && t.fetched.After(asked) {
		fresh = false // another caller met the same 401 and was faster
	}
	if !fresh && claims == "" && t.usable(time.Now()) {
		return t.token.Token, nil
	}
	if f, ok := t.credential.(fresher); ok && fresh {
		f.Forget()
	}
	// Nobody else gets a token meanwhile, so one question that is never answered must not hold them all.
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	token, err := t.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{t.scope}, Claims: claims})
	if err != nil {
		return "", err
	}
	if token.Token == "" {
		return "", errors.New("the sign-in service returned an empty token")
	}
	t.token, t.fetched = token, time.Now()
	return token.Token, nil
}

func (t *tokens) usable(now time.Time) bool {
	if t.token.Token == "" || t.token.ExpiresOn.Sub(now) <= tokenMargin {
		return false
	}
	return t.token.RefreshOn.IsZero() || now.Before(t.token.RefreshOn)
}

// Grant is what a token says about itself: which app it stands for and what it may do.
type Grant struct {
	Audience string
	TenantID string
	AppID    string
	Roles    []string // the application permissions granted, sorted
	Expires  time.Time
	Opaque   bool // the token could not be looked into, which is its right
}

// Allows says that a role was granted.
func (g Grant) Allows(permission string) bool { return slices.Contains(g.Roles, permission) }

// RefreshToken fetches a new token for Graph and tells what it grants. A role that an administrator gave a
// minute ago reaches only a new token, so this is what a self-test calls.
func (c *Client) RefreshToken(ctx context.Context) (Grant, error) {
	token, err := c.services[APIGraph].tokens.get(ctx, true, "")
	if err != nil {
		e := &Error{Tenant: c.tenant, read: true}
		return Grant{}, e.fromToken(ctx, err)
	}
	return readGrant(token), nil
}

// readGrant looks into a token without trusting it: nothing is decided by what it says.
func readGrant(token string) Grant {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Grant{Opaque: true}
	}
	data, ok := decodeBase64(parts[1])
	var claims struct {
		Aud   text       `json:"aud"`
		Tid   text       `json:"tid"`
		AppID text       `json:"appid"`
		Azp   text       `json:"azp"`
		Roles list[text] `json:"roles"`
		Exp   float64    `json:"exp"`
	}
	if !ok || json.Unmarshal(data, &claims) != nil {
		return Grant{Opaque: true}
	}
	g := Grant{
		Audience: string(claims.Aud), TenantID: string(claims.Tid), AppID: string(claims.AppID),
		Roles: plain(claims.Roles), Expires: time.Unix(int64(claims.Exp), 0),
	}
	if g.AppID == "" {
		g.AppID = string(claims.Azp)
	}
	slices.Sort(g.Roles)
	return g
}

// decodeBase64 reads either alphabet, with or without padding.
func decodeBase64(s string) ([]byte, bool) {
	s = strings.TrimRight(s, "=")
	s = strings.NewReplacer("+", "-", "/", "_").Replace(s)
	data, err := base64.RawURLEncoding.DecodeString(s)
	return data, err == nil
}

// fromToken is a request that was not sent for want of a token.
func (e *Error) fromToken(ctx context.Context, err error) *Error {
	e.Kind, e.Err = CodeAuth, err
	if cause := ctx.Err(); cause != nil {
		e = e.fromContext(cause)
		e.Message = "no token: " + e.Message
		return e
	}
	code, explanation, ok := ExplainAuth(err)
	if !ok {
		e.Message = "no token: " + clean(err.Error(), MaxServerText)
		return e
	}
	e.Code, e.Message = code, "no token: "+explanation
	return e
}
