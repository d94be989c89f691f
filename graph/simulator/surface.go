package simulator

import (
	"net/http"
	"slices"
	"strings"
)

// surface is what a path belongs to. Each has tokens of its own, a shape for its errors, and counts its calls.
type surface int

const (
	authoritySurface surface = iota // sign-in
	graphSurface                    // /v1.0
	defenderSurface                 // /api: Defender for Endpoint
)

// defenderPrefix begins every path of the Defender surface. In life it is a host of its own.
const defenderPrefix = "/api/"

// surfaceOf tells the surface of a request's path, and the path as the table of routes and the effect log have it.
func surfaceOf(path string) (surface, string) {
	if rest, ok := cutPrefixFold(path, versionPrefix); ok {
		return graphSurface, rest
	}
	if _, beta := cutPrefixFold(path, "/beta/"); beta {
		return graphSurface, path // no such version here, but the refusal has the shape of Graph
	}
	if _, ok := cutPrefixFold(path, defenderPrefix); ok {
		return defenderSurface, path
	}
	return authoritySurface, path
}

// surface is the one that a route belongs to.
func (r route) surface() surface {
	if strings.HasPrefix(r.path, defenderPrefix) {
		return defenderSurface
	}
	return graphSurface
}

// defenderAppID is the application id of Defender for Endpoint, which tokens may name as their audience.
const defenderAppID = "fc780465-2017-40d4-a0c5-307022471b92"

// isDefender tells whether a resource is Defender for Endpoint, in any cloud.
func isDefender(resource string) bool {
	return slices.Contains([]string{defenderAppID, "https://api.securitycenter.microsoft.com", "https://api.security.microsoft.com",
		"https://api-gcc.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us"},
		strings.ToLower(strings.TrimSuffix(resource, "/")))
}

// accepts tells whether a token made for a resource is good on the surface that the request is for.
func (x *exchange) accepts(resource string) bool {
	if x.surface == defenderSurface {
		return isDefender(resource)
	}
	return x.isGraph(resource)
}

// rolesFor are those of an application's roles that a token for a resource carries: a role belongs to one
// resource, and shows in no other's tokens.
func (s *Server) rolesFor(resource string, roles []string) []string {
	return slices.DeleteFunc(slices.Clone(roles), func(role string) bool {
		ofDefender := slices.ContainsFunc(s.routes, func(r route) bool {
			return r.surface() == defenderSurface && slices.Contains(r.roles, role)
		})
		return ofDefender != isDefender(resource)
	})
}

// defenderError gives an error the shape of Defender for Endpoint.
func (x *exchange) defenderError(e *apiError) reply {
	code := e.code
	if code == usualCode(http.StatusUnauthorized) {
		code = "Unauthorized"
	}
	rep := x.json(e.status, e.header, map[string]any{
		"error": map[string]any{"code": code, "message": e.message, "target": x.requestID},
	})
	rep.header.Set("Content-Type", "application/json; charset=utf-8")
	return rep
}
