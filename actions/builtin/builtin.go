// Package builtin lists the actions that ship with playbookd. The list is this one function:
// nothing registers itself, and what it returns is all that a playbook can do.
package builtin

import (
	"errors"
	"net/http"
	"slices"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/alerts"
	"github.com/playbookd/playbookd/actions/devices"
	"github.com/playbookd/playbookd/actions/flow"
	"github.com/playbookd/playbookd/actions/hunting"
	"github.com/playbookd/playbookd/actions/incidents"
	"github.com/playbookd/playbookd/actions/notify"
	"github.com/playbookd/playbookd/actions/web"
)

// GraphClient is what the actions need of a Graph client; *graph.Client is one.
type GraphClient interface {
	alerts.Graph
	incidents.Graph
	hunting.Graph
	devices.Defender
}

// Deps are what the actions need of the world. With the zero value they can be described and
// checked, and each fails with a fault that says what is missing when it is done.
type Deps struct {
	Graph    func(tenant string) (GraphClient, error)
	HTTP     *http.Client // made by package guard
	Secrets  actions.Secrets
	Channels []notify.Channel
}

// Actions returns every action that ships.
func Actions(d Deps) []actions.Action {
	return slices.Concat(
		alerts.Actions(opener[alerts.Graph](d.Graph)),
		incidents.Actions(opener[incidents.Graph](d.Graph)),
		hunting.Actions(opener[hunting.Graph](d.Graph)),
		devices.Actions(opener[devices.Defender](d.Graph)),
		web.Actions(web.Deps{HTTP: d.HTTP, Secrets: d.Secrets}),
		notify.Actions(notify.Deps{HTTP: d.HTTP, Secrets: d.Secrets, Channels: d.Channels}),
		flow.Actions(),
	)
}

// opener narrows the client to what one family needs.
func opener[G any](open func(string) (GraphClient, error)) func(string) (G, error) {
	if open == nil {
		return nil
	}
	return func(tenant string) (G, error) {
		var none G
		g, err := open(tenant)
		if err != nil {
			return none, err
		}
		narrow, ok := any(g).(G)
		if !ok {
			return none, errors.New("no client")
		}
		return narrow, nil
	}
}
