package incidents

import (
	"context"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
)

// listInput is the input of incident.list.
type listInput struct {
	Filter string `json:"filter,omitempty" play:"max=4096;format=odata;example=status eq 'active';doc=Graph's $filter. Text from outside must go through odata()."`
	Top    int    `json:"top,omitempty" play:"min=1;max=100;default=25;doc=How many incidents at most."`
	Expand string `json:"expand,omitempty" play:"enum=alerts;example=alerts;doc=alerts: read their alerts too."`
}

// listOutput is the output of incident.list.
type listOutput struct {
	Incidents []security.Incident `json:"incidents" play:"doc=The incidents. Redirected ones are among them: a list is what it is."`
	Count     int                 `json:"count" play:"doc=How many there are in the list."`
	More      bool                `json:"more" play:"doc=Whether more incidents match than were read."`
}

func (f family) list() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "incident.list",
		Summary: "Lists incidents that match a filter.",
		Example: `- id: open
  action: incident.list
  with: {filter: "status eq 'active' and severity eq 'high'", top: 50}`,
	}, actions.Doing[listInput, listOutput]{
		Part:    actions.Part{Name: "list", Effect: actions.Reads, Summary: "GET of the incidents, page by page.", Permissions: []string{security.ReadIncidents}},
		Do:      f.doList,
		Preview: func(listInput) listOutput { return listOutput{Incidents: []security.Incident{}} },
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
	rows := g.Incidents(security.Writing(ctx, call), graph.Query{Filter: in.Filter, Top: in.Top, Expand: in.Expand})
	out.Incidents, out.More, err = security.Collect(rows, in.Top, func(i graph.Incident) (security.Incident, error) { return security.NewIncident(i, "") })
	out.Count = len(out.Incidents)
	return out, err
}
