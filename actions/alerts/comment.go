package alerts

import (
	"context"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
)

// commentInput is the input of alert.comment.
type commentInput struct {
	Alert   string `json:"alert" play:"min=1;max=256;example=da637551227677560813_-961444813;doc=The id of the alert."`
	Comment string `json:"comment" play:"min=1;example=Triage SLA breached.;doc=The comment. It ends in a marker, so that it is added once; beyond 10000 characters it is cut."`
}

// commentOutput is the output of alert.comment.
type commentOutput struct {
	Alert   string `json:"alert" play:"doc=The id of the alert."`
	Comment string `json:"comment" play:"doc=The comment as it was written."`
}

func (f family) comment() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "alert.comment",
		Summary: "Adds a comment to an alert.",
		Example: `- action: alert.comment
  with: {alert: "${{ alert.id }}", comment: "Triage SLA of ${{ sla.target }} breached."}`,
	}, commenting(f, func(in commentInput) (alert, comment string) { return in.Alert, in.Comment },
		func(alert, comment string) commentOutput { return commentOutput{Alert: alert, Comment: comment} }))
}

// commenting is the part that adds a comment: alert.comment has it alone, alert.update as its
// second.
func commenting[In, Out any](f family, of func(In) (alert, comment string), show func(alert, comment string) Out) actions.Doing[In, Out] {
	return actions.Doing[In, Out]{
		Part: actions.Part{Name: "comment", Effect: actions.Adds, Summary: "POST of the comment, unless its marker is there.",
			Permissions: []string{security.WriteAlerts}},
		When: func(in In) bool { _, comment := of(in); return comment != "" },
		Do: func(ctx context.Context, call actions.Call, in In) (Out, error) {
			var none Out
			alert, comment := of(in)
			g, err := f.open.For(call)
			if err != nil {
				return none, err
			}
			written := actions.Mark(comment, call.Key)
			if _, err := g.CommentAlert(security.Writing(ctx, call), alert, written); err != nil {
				return none, err
			}
			return show(alert, written), nil
		},
		Probe: func(ctx context.Context, call actions.Call, in In) (Out, bool, error) {
			var none Out
			alert, _ := of(in)
			g, err := f.open.For(call)
			if err != nil {
				return none, false, err
			}
			a, err := g.Alert(ctx, alert)
			if err != nil {
				return none, false, err
			}
			found, ok := security.FindComment(a.Comments, call)
			if !ok {
				return none, false, nil
			}
			return show(alert, found.Comment), true, nil
		},
		Touches: func(in In) []actions.Touch {
			alert, _ := of(in)
			return []actions.Touch{{Object: "alerts/" + alert, Comment: true}}
		},
		Preview: func(in In) Out { return show(of(in)) },
	}
}
