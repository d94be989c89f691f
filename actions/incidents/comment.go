package incidents

import (
	"context"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
)

// commentInput is the input of incident.comment.
type commentInput struct {
	Incident string `json:"incident" play:"min=1;max=256;example=29;doc=The id of the incident."`
	Comment  string `json:"comment" play:"min=1;example=Escalated to the lead.;doc=The comment. It ends in a marker, so that it is added once; beyond 10000 characters it is cut."`
}

// commentOutput is the output of incident.comment.
type commentOutput struct {
	Incident       string `json:"incident" play:"doc=The id of the incident that has the comment."`
	RedirectedFrom string `json:"redirectedFrom,omitempty" play:"doc=The id that was asked for, if that incident was merged into this one."`
	Comment        string `json:"comment" play:"doc=The comment as it was written."`
}

func (f family) comment() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "incident.comment",
		Summary: "Adds a comment to an incident.",
		Example: `- action: incident.comment
  with: {incident: "${{ incident.id }}", comment: "Escalation failed at ${{ failure.step }}."}`,
	}, commenting(f, func(in commentInput) (incident, comment string) { return in.Incident, in.Comment },
		func(c commented) commentOutput {
			return commentOutput{Incident: c.incident, RedirectedFrom: c.from, Comment: c.text}
		}))
}

// commented is a comment and where it went.
type commented struct{ incident, from, text string }

// commenting is the part that adds a comment: incident.comment has it alone, incident.update as
// its second.
func commenting[In, Out any](f family, of func(In) (incident, comment string), show func(commented) Out) actions.Doing[In, Out] {
	return actions.Doing[In, Out]{
		Part: actions.Part{Name: "comment", Effect: actions.Adds, Summary: "GET, then POST of the comment, unless its marker is there.",
			Permissions: []string{security.WriteIncidents}},
		When: func(in In) bool { _, comment := of(in); return comment != "" },
		Do: func(ctx context.Context, call actions.Call, in In) (Out, error) {
			var none Out
			id, comment := of(in)
			g, err := f.open.For(call)
			if err != nil {
				return none, err
			}
			i, from, err := survivor(ctx, g, id, false)
			if err != nil {
				return none, err
			}
			written := actions.Mark(comment, call.Key)
			if _, err := g.CommentIncident(security.Writing(ctx, call), i.ID, written); err != nil {
				return none, err
			}
			return show(commented{i.ID, from, written}), nil
		},
		Probe: func(ctx context.Context, call actions.Call, in In) (Out, bool, error) {
			id, _ := of(in)
			c, ok, err := f.findComment(ctx, call, id)
			if err != nil || !ok {
				var none Out
				return none, false, err
			}
			return show(c), true, nil
		},
		Touches: func(in In) []actions.Touch {
			id, _ := of(in)
			return []actions.Touch{{Object: "incidents/" + id, Comment: true, Derived: []string{"lastModifiedBy"}}}
		},
		Preview: func(in In) Out {
			id, comment := of(in)
			return show(commented{incident: id, text: comment})
		},
	}
}

// findComment looks on the incident and on all that it was merged into since: the comment is on
// the one that survived at the time.
func (f family) findComment(ctx context.Context, call actions.Call, id string) (commented, bool, error) {
	g, err := f.open.For(call)
	if err != nil {
		return commented{}, false, err
	}
	all, err := trail(ctx, g, id, false)
	if err != nil {
		return commented{}, false, err
	}
	for n, i := range all {
		if found, ok := security.FindComment(i.Comments, call); ok {
			c := commented{incident: i.ID, text: found.Comment}
			if n > 0 {
				c.from = id
			}
			return c, true, nil
		}
	}
	return commented{}, false, nil
}
