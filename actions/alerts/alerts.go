// Package alerts holds the actions on Graph's alerts (alerts_v2).
//
// Two promises beyond those of package actions: a comment is put on an alert once, however often
// the attempt is repeated, because it ends in a marker that is looked for first; and a change
// names only the fields that the playbook names.
package alerts

import (
	"context"
	"iter"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
)

// Graph is what these actions need of a Graph client.
type Graph interface {
	Alert(ctx context.Context, id string) (graph.Alert, error)
	Alerts(ctx context.Context, q graph.Query) iter.Seq2[graph.Alert, error]
	UpdateAlert(ctx context.Context, id string, p graph.AlertPatch) (graph.ChangedAlert, error)
	CommentAlert(ctx context.Context, id, text string) ([]graph.Comment, error)
	MoveAlerts(ctx context.Context, r graph.MoveRequest) (string, error)
}

// Open finds the client for a tenant.
type Open = security.Open[Graph]

// Actions lists the actions of this package. With a nil open they can be described and checked,
// and fail when they are done.
func Actions(open Open) []actions.Action {
	f := family{open}
	return []actions.Action{f.get(), f.list(), f.update(), f.comment(), f.move()}
}

// family is what the actions share.
type family struct{ open Open }

// getInput is the input of alert.get.
type getInput struct {
	Alert string `json:"alert" play:"min=1;max=256;example=da637551227677560813_-961444813;doc=The id of the alert."`
}

func (f family) get() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "alert.get",
		Summary: "Reads an alert.",
		Example: `- id: current
  action: alert.get
  with: {alert: "${{ alert.id }}"}`,
	}, actions.Doing[getInput, security.Alert]{
		Part: actions.Part{Name: "get", Effect: actions.Reads, Summary: "GET of the alert.", Permissions: []string{security.ReadAlerts}},
		Do: func(ctx context.Context, call actions.Call, in getInput) (security.Alert, error) {
			g, err := f.open.For(call)
			if err != nil {
				return security.Alert{}, err
			}
			a, err := g.Alert(security.Writing(ctx, call), in.Alert)
			if err != nil {
				return security.Alert{}, err
			}
			return security.NewAlert(a)
		},
		Preview: func(in getInput) security.Alert { return security.PreviewAlert(in.Alert) },
	})
}

// listInput is the input of alert.list.
type listInput struct {
	Filter string `json:"filter,omitempty" play:"max=4096;format=odata;example=severity eq 'high' and status eq 'new';doc=Graph's $filter. Text from outside must go through odata()."`
	Top    int    `json:"top,omitempty" play:"min=1;max=100;default=25;doc=How many alerts at most."`
}

// listOutput is the output of alert.list.
type listOutput struct {
	Alerts []security.Alert `json:"alerts" play:"doc=The alerts."`
	Count  int              `json:"count" play:"doc=How many there are in the list."`
	More   bool             `json:"more" play:"doc=Whether more alerts match than were read."`
}

func (f family) list() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "alert.list",
		Summary: "Lists alerts that match a filter.",
		Example: `- id: same_user
  action: alert.list
  with:
    filter: status eq 'new' and severity eq 'high'
    top: 50`,
	}, actions.Doing[listInput, listOutput]{
		Part:    actions.Part{Name: "list", Effect: actions.Reads, Summary: "GET of the alerts, page by page.", Permissions: []string{security.ReadAlerts}},
		Do:      f.doList,
		Preview: func(listInput) listOutput { return listOutput{Alerts: []security.Alert{}} },
	})
}

func (f family) doList(ctx context.Context, call actions.Call, in listInput) (listOutput, error) {
	g, err := f.open.For(call)
	if err != nil {
		return listOutput{}, err
	}
	if in.Top == 0 {
		in.Top = security.DefaultListed
	}
	var out listOutput
	rows := g.Alerts(security.Writing(ctx, call), graph.Query{Filter: in.Filter, Top: in.Top})
	out.Alerts, out.More, err = security.Collect(rows, in.Top, security.NewAlert)
	out.Count = len(out.Alerts)
	return out, err
}
