// Package security is what the actions on alerts, incidents and devices have in common: how a client
// is found for a call, how the service's objects look in an output, and which words a verdict may
// use.
//
// An object in an output is the service's own JSON, unknown fields included. The schema names the
// fields that the API documents, so that later expressions are checked against them; nothing is
// renamed and nothing is left out.
package security

import (
	"context"
	"iter"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/graph"
)

// Permissions that the actions need, the least for each request.
const (
	ReadAlerts     = "SecurityAlert.Read.All"
	WriteAlerts    = "SecurityAlert.ReadWrite.All"
	ReadIncidents  = "SecurityIncident.Read.All"
	WriteIncidents = "SecurityIncident.ReadWrite.All"
	ManageData     = "SecurityData.Manage.All"
	Hunt           = "ThreatHunting.Read.All"

	// These belong to WindowsDefenderATP, the API of Defender for Endpoint, and not to Graph.
	ReadMachines   = "Machine.Read.All"
	IsolateMachine = "Machine.Isolate"
)

// Limits of the actions in this family.
const (
	// DefaultListed is how many objects a list action returns when nothing is said.
	DefaultListed = 25
	// MaxListed is how many it returns at most: an output is stored with the run.
	MaxListed = 100
	// MaxMoved is how many alerts one move, or incidents one merge, may name. A probe reads each.
	MaxMoved = 100
)

// Open finds the client for a tenant. It is nil where actions are only described or checked.
type Open[G any] func(tenant string) (G, error)

// For gives the client for a call. Its faults say that nothing was sent.
func (o Open[G]) For(call actions.Call) (G, error) {
	var none G
	if o == nil {
		return none, actions.Failf(actions.CodeUnconfigured, "no connection to Graph: configure the tenant %q", call.Tenant)
	}
	g, err := o(call.Tenant)
	if err != nil {
		return none, actions.Failf(actions.CodeUnconfigured, "no connection to Graph for the tenant %q: %v", call.Tenant, err)
	}
	return g, nil
}

// Writing is the context for the one request of an attempt that changes something: it carries
// the attempt's id to Graph. Reads beside it get ids of their own.
func Writing(ctx context.Context, call actions.Call) context.Context {
	return graph.WithRequestID(ctx, call.RequestID)
}

// FindComment looks among comments for the one that an attempt with this call's key left.
func FindComment(comments []graph.Comment, call actions.Call) (graph.Comment, bool) {
	for _, c := range comments {
		if actions.Marked(c.Comment, call.Key) {
			return c, true
		}
	}
	return graph.Comment{}, false
}

// Owner turns a field of an input into a change of the owner.
func Owner(n actions.Nullable[string]) graph.Assign {
	if upn, ok := n.Get(); ok {
		return graph.AssignTo(upn)
	}
	if n.IsNull() {
		return graph.Unassign()
	}
	return graph.Assign{}
}

// Optional is a pointer to a text, nil for an empty one: how a patch leaves a field alone.
func Optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Collect reads rows as playbooks see them, at most so many, and says whether there were more.
func Collect[Row, Shown any](rows iter.Seq2[Row, error], most int, show func(Row) (Shown, error)) (list []Shown, more bool, err error) {
	list = []Shown{}
	for row, err := range rows {
		if err != nil {
			return nil, false, err
		}
		if len(list) == most {
			return list, true, nil
		}
		shown, err := show(row)
		if err != nil {
			return nil, false, err
		}
		list = append(list, shown)
	}
	return list, false, nil
}
