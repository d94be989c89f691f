package graph

import (
	"fmt"
	"net/url"
)

// API is a service that the client speaks to. Each has an address, and wants tokens made for it
// alone: one for Graph is refused by Defender, and the other way round.
type API int

// The services.
const (
	APIGraph    API = iota
	APIDefender     // Defender for Endpoint: machines and what is done to them
	apis
)

// String is the service's name.
func (a API) String() string {
	return [apis]string{"Microsoft Graph", "WindowsDefenderATP"}[a]
}

// service is where an API answers and with which tokens.
type service struct {
	base    *url.URL
	version string // between the address and the paths of the table
	tokens  *tokens
}

// services are the APIs that the options lead to. A token is always asked for the cloud's own
// resource, even when the requests go to another address.
func (o Options) services() (all [apis]*service, err error) {
	graph, defender := o.BaseURL, o.DefenderURL
	if graph == "" {
		graph = o.Cloud.Graph
		if defender == "" {
			defender = o.Cloud.Defender
		}
	}
	if all[APIGraph], err = newService(o, APIGraph, graph, o.Cloud.Graph); err != nil {
		return all, err
	}
	switch {
	case defender == "":
	case o.Cloud.Defender == "":
		return all, fmt.Errorf("the cloud %s has no Defender for Endpoint: leave its address out", o.Cloud.Name)
	default:
		all[APIDefender], err = newService(o, APIDefender, defender, o.Cloud.Defender)
	}
	return all, err
}

func newService(o Options, api API, base, resource string) (*service, error) {
	version, ends := "/v1.0", []string{"v1.0", "beta"} // what people copy with an address, and is in the paths already
	if api == APIDefender {
		version, ends = "", []string{"api"}
	}
	u, err := parseBase(base, ends...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", api, err)
	}
	return &service{base: u, version: version, tokens: newTokens(o.Credential, resource+"/.default")}, nil
}
