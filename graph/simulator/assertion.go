package simulator

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// federatedAudience is what tokens of outer issuers must be made for.
	federatedAudience = "api://AzureADTokenExchange"
	// maxAssertionLife bounds how long a replayed assertion has to be remembered.
	maxAssertionLife = 24 * time.Hour
	clockSkew        = 5 * time.Minute
)

// assertionJWT is a client assertion taken apart, its signature not yet checked.
type assertionJWT struct {
	header struct {
		Algorithm  string `json:"alg"`
		Thumbprint string `json:"x5t#S256"`
	}
	claims struct {
		Audience  any     `json:"aud"`
		Issuer    string  `json:"iss"`
		Subject   string  `json:"sub"`
		ID        string  `json:"jti"`
		NotBefore float64 `json:"nbf"`
		Expires   float64 `json:"exp"`
	}
	signed    string
	signature []byte
}

func parseAssertion(text string) (a assertionJWT, err error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return a, errors.New("an assertion has three parts")
	}
	for i, into := range []any{&a.header, &a.claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return a, err
		}
		if err := json.Unmarshal(data, into); err != nil {
			return a, err
		}
	}
	a.signed = parts[0] + "." + parts[1]
	a.signature, err = base64.RawURLEncoding.DecodeString(parts[2])
	return a, err
}

// verify checks the signature with an RSA key.
func (a assertionJWT) verify(key crypto.PublicKey, algorithms ...string) bool {
	public, ok := key.(*rsa.PublicKey)
	if !ok || !slices.Contains(algorithms, a.header.Algorithm) {
		return false
	}
	digest := sha256.Sum256([]byte(a.signed))
	if a.header.Algorithm == "PS256" {
		return rsa.VerifyPSS(public, crypto.SHA256, digest[:], a.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) == nil
	}
	return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], a.signature) == nil
}

func (a assertionJWT) madeFor(audience string) bool {
	switch aud := a.claims.Audience.(type) {
	case string:
		return strings.EqualFold(aud, audience)
	case []any:
		return slices.ContainsFunc(aud, func(v any) bool { s, ok := v.(string); return ok && strings.EqualFold(s, audience) })
	}
	return false
}

// assertion checks a client assertion: one of our certificates', or of a configured outer issuer's.
func (x *exchange) assertion(c Client, text string) error {
	if len(text) > maxTokenBytes {
		return aad(700027, "The certificate used to sign the client assertion is not valid: the assertion is too long.")
	}
	a, err := parseAssertion(text)
	if err != nil {
		return aad(700027, "The client assertion is not well formed.")
	}
	if a.claims.Issuer != c.ID {
		return x.federated(c, a)
	}
	if !x.signedByCertificate(c, a) {
		return aad(700027, "The certificate with identifier used to sign the client assertion is not registered on application, or the signature is invalid.")
	}
	switch {
	case a.claims.Subject != c.ID:
		return aad(700027, "The subject of the client assertion is not the application.")
	case !a.madeFor(x.issuer("/oauth2/v2.0/token")) && !a.madeFor(x.issuer("/v2.0")):
		return aad(700027, "The audience of the client assertion is not the token endpoint.")
	case a.claims.ID == "":
		return aad(700027, "The client assertion has no jti.")
	}
	if err := x.current(a); err != nil {
		return err
	}
	return x.unused(c.ID + "/" + a.claims.ID)
}

// signedByCertificate looks for the certificate the header names and checks the signature with it.
func (x *exchange) signedByCertificate(c Client, a assertionJWT) bool {
	named, err := base64.StdEncoding.DecodeString(a.header.Thumbprint)
	if err != nil {
		named, err = base64.RawURLEncoding.DecodeString(a.header.Thumbprint)
	}
	if err != nil {
		return false
	}
	for _, certificate := range c.Certificates {
		own := sha256.Sum256(certificate.Raw)
		if subtle.ConstantTimeCompare(own[:], named) == 1 {
			inTime := !x.now.Before(certificate.NotBefore) && !x.now.After(certificate.NotAfter)
			return inTime && a.verify(certificate.PublicKey, "PS256")
		}
	}
	return false
}

// federated checks the token of an outer issuer.
func (x *exchange) federated(c Client, a assertionJWT) error {
	for _, f := range c.Federated {
		if f.Issuer != a.claims.Issuer || f.Subject != a.claims.Subject {
			continue
		}
		if !a.madeFor(federatedAudience) || !a.verify(f.Key, "RS256", "PS256") {
			return aad(700027, "The signature or audience of the federated assertion is invalid.")
		}
		return x.current(a)
	}
	return aad(700213, "No matching federated identity record found for presented assertion issuer '%s' and subject '%s'.", a.claims.Issuer, a.claims.Subject)
}

// current checks the times of an assertion.
func (x *exchange) current(a assertionJWT) error {
	now := float64(x.now.Unix())
	if a.claims.Expires <= now || a.claims.NotBefore > now+clockSkew.Seconds() || a.claims.Expires > now+maxAssertionLife.Seconds() {
		return aad(700024, "Client assertion is not within its valid time range.")
	}
	return nil
}

// unused remembers an assertion's jti and refuses it a second time, unless a knob allows it.
func (x *exchange) unused(jti string) error {
	for id, expires := range x.s.jtis {
		if x.now.After(expires) {
			delete(x.s.jtis, id)
		}
	}
	if _, seen := x.s.jtis[jti]; seen && !x.s.opts.Behaviour.AllowAssertionReplay {
		return aad(700027, "The client assertion was used before.")
	}
	x.s.jtis[jti] = x.now.Add(maxAssertionLife)
	return nil
}
