// Package incidents holds the actions on Graph's incidents.
//
// Incidents merge: one survives and the others redirect to it. Every action here follows a
// redirection before it acts, because a change of a redirected incident is one that nobody sees,
// and says in its output that it did (redirectedFrom).
//
// Beyond that the promises are those of package alerts: a comment is put once, and a change names
// only the fields that the playbook names.
package incidents

import (
	"context"
	"iter"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
)

// Graph is what these actions need of a Graph client.
type Graph interface {
	Incident(ctx context.Context, id string, expandAlerts bool) (graph.Incident, error)
	Incidents(ctx context.Context, q graph.Query) iter.Seq2[graph.Incident, error]
	IncidentAlerts(ctx context.Context, id string) iter.Seq2[graph.Alert, error]
	UpdateIncident(ctx context.Context, id string, p graph.IncidentPatch) (graph.Incident, error)
	CommentIncident(ctx context.Context, id, text string) ([]graph.Comment, error)
	MergeIncidents(ctx context.Context, r graph.MergeRequest) (string, error)
}

// Open finds the client for a tenant.
type Open = security.Open[Graph]

// Actions lists the actions of this package. With a nil open they can be described and checked,
// and fail when they are done.
func Actions(open Open) []actions.Action {
	f := family{open}
	return []actions.Action{f.get(), f.list(), f.alerts(), f.update(), f.comment(), f.merge()}
}

// family is what the actions share.
type family struct{ open Open }

// MaxHops is how many merges in a row are followed.
const MaxHops = 5

// CodeRedirects is the fault of an incident whose redirections do not end.
const CodeRedirects = "redirects"

// trail reads an incident and those that it was merged into, one after the other. The last one
// is the survivor.
func trail(ctx context.Context, g Graph, id string, expand bool) ([]graph.Incident, error) {
	var all []graph.Incident
	for range MaxHops + 1 {
		i, err := g.Incident(ctx, id, expand)
		if err != nil {
			return nil, err
		}
		all = append(all, i)
		if i.Status != "redirected" || i.RedirectIncidentID == "" {
			return all, nil
		}
		id = i.RedirectIncidentID
	}
	return nil, actions.Failf(CodeRedirects, "incident %s was merged more than %d times in a row: name the one that survives", all[0].ID, MaxHops)
}

// survivor reads the incident that an id stands for now. from is the id if it is another one.
func survivor(ctx context.Context, g Graph, id string, expand bool) (i graph.Incident, from string, err error) {
	all, err := trail(ctx, g, id, expand)
	if err != nil {
		return graph.Incident{}, "", err
	}
	if len(all) > 1 {
		from = id
	}
	return all[len(all)-1], from, nil
}

// getInput is the input of incident.get.
type getInput struct {
	Incident string `json:"incident" play:"min=1;max=256;example=29;doc=The id of the incident."`
	Expand   string `json:"expand,omitempty" play:"enum=alerts;example=alerts;doc=alerts: read its alerts too."`
}

func (f family) get() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "incident.get",
		Summary: "Reads an incident, with its alerts if wanted.",
		Example: `- id: current
  action: incident.get
  with: {incident: "${{ alert.incidentId }}", expand: alerts}`,
	}, actions.Doing[getInput, security.Incident]{
		Part: actions.Part{Name: "get", Effect: actions.Reads, Summary: "GET of the incident.", Permissions: []string{security.ReadIncidents}},
		Do: func(ctx context.Context, call actions.Call, in getInput) (security.Incident, error) {
			g, err := f.open.For(call)
			if err != nil {
				return security.Incident{}, err
			}
			i, from, err := survivor(ctx, g, in.Incident, in.Expand == "alerts")
			if err != nil {
				return security.Incident{}, err
			}
			return security.NewIncident(i, from)
		},
		Preview: func(in getInput) security.Incident { return security.PreviewIncident(in.Incident) },
	})
}

// alertsInput is the input of incident.alerts.
type alertsInput struct {
	Incident string `json:"incident" play:"min=1;max=256;example=29;doc=The id of the incident."`
}

// alertsOutput is the output of incident.alerts.
type alertsOutput struct {
	Incident       string           `json:"incident" play:"doc=The incident that the alerts belong to."`
	RedirectedFrom string           `json:"redirectedFrom,omitempty" play:"doc=The id that was asked for, if that incident was merged into this one."`
	Alerts         []security.Alert `json:"alerts" play:"doc=Its alerts, at most 100."`
	Count          int              `json:"count" play:"doc=How many there are in the list."`
	More           bool             `json:"more" play:"doc=Whether the incident has more."`
}

func (f family) alerts() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "incident.alerts",
		Summary: "Lists the alerts of an incident.",
		Example: `- id: all
  action: incident.alerts
  with: {incident: "${{ incident.id }}"}`,
	}, actions.Doing[alertsInput, alertsOutput]{
		Part: actions.Part{Name: "list", Effect: actions.Reads, Summary: "GET of the incident's alerts.", Permissions: []string{security.ReadIncidents}},
		Do:   f.doAlerts,
		Preview: func(in alertsInput) alertsOutput {
			return alertsOutput{Incident: in.Incident, Alerts: []security.Alert{}}
		},
	})
}

func (f family) doAlerts(ctx context.Context, call actions.Call, in alertsInput) (alertsOutput, error) {
	g, err := f.open.For(call)
	if err != nil {
		return alertsOutput{}, err
	}
	i, from, err := survivor(ctx, g, in.Incident, false)
	if err != nil {
		return alertsOutput{}, err
	}
	out := alertsOutput{Incident: i.ID, RedirectedFrom: from}
	out.Alerts, out.More, err = security.Collect(g.IncidentAlerts(security.Writing(ctx, call), i.ID), security.MaxListed, security.NewAlert)
	out.Count = len(out.Alerts)
	return out, err
}
