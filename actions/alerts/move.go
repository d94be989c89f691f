package alerts

import (
	"context"
	"slices"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
)

// CodePartlyMoved is the fault of a probe that finds some alerts moved and others not: nobody but
// a person can say what should become of the rest.
const CodePartlyMoved = "partly_moved"

// moveInput is the input of alert.move.
type moveInput struct {
	Alerts   []string `json:"alerts" play:"min=1;max=100;example=[\"da637551227677560813_-961444813\"];doc=The ids of the alerts."`
	Incident string   `json:"incident,omitempty" play:"min=1;max=256;example=29;doc=The incident that takes them. Left out, Graph makes a new one."`
	Comment  string   `json:"comment,omitempty" play:"example=Same campaign.;doc=A comment put on the alerts that move. It ends in a marker."`
	Reasons  []string `json:"reasons,omitempty" play:"max=17;enum=repeatedAlertOccurrence|sameGeography|similarArtifacts|sameTargetedAsset|sameNetworkSegment|eventSequence|timeFrame|sameThreatSource|similarTTPsOrBehavior|sameActor|sameCampaign|sharedIndicators|sameAsset|networkProximity|eventCasualSequence|temporalProximity|lateralMovementPath;example=[\"sameCampaign\"];doc=Why they belong together."`
}

// moveOutput is the output of alert.move.
type moveOutput struct {
	Incident string   `json:"incident,omitempty" play:"doc=The incident that the alerts are in now."`
	Created  bool     `json:"created" play:"doc=Whether the incident was made by this move."`
	Alerts   []string `json:"alerts" play:"doc=The alerts."`
}

func (f family) move() actions.Action {
	return actions.Define(actions.Spec{
		Name:        "alert.move",
		Summary:     "Moves alerts into an incident, or into a new one.",
		Description: "Every alert that moves gets a comment, if only the marker: a move into a new incident could not be found again without it, and repeating it would make a second incident.",
		Example: `- action: alert.move
  with:
    alerts: ${{ map(steps.related.output.alerts, .id) }}
    incident: ${{ alert.incidentId }}
    reasons: [sameCampaign]`,
	}, actions.Doing[moveInput, moveOutput]{
		Part: actions.Part{Name: "move", Effect: actions.Adds, Summary: "POST of the move, unless its marker is on the alerts.",
			Permissions: []string{security.ManageData, security.ReadAlerts}},
		Do:      f.doMove,
		Probe:   f.probeMove,
		Touches: touchMoved,
		Preview: func(in moveInput) moveOutput {
			return moveOutput{Incident: in.Incident, Created: in.Incident == "", Alerts: in.Alerts}
		},
	})
}

func (f family) doMove(ctx context.Context, call actions.Call, in moveInput) (moveOutput, error) {
	g, err := f.open.For(call)
	if err != nil {
		return moveOutput{}, err
	}
	incident, err := g.MoveAlerts(security.Writing(ctx, call), graph.MoveRequest{
		AlertIDs: in.Alerts, IncidentID: in.Incident, Comment: actions.Mark(in.Comment, call.Key), Reasons: in.Reasons,
	})
	if err != nil {
		return moveOutput{}, err
	}
	return moveOutput{Incident: incident, Created: in.Incident == "", Alerts: in.Alerts}, nil
}

// probeMove reads the alerts. The move is known by its marker; alerts that were in the target
// before get none, so being there is as good for those, but is no proof by itself.
func (f family) probeMove(ctx context.Context, call actions.Call, in moveInput) (moveOutput, bool, error) {
	g, err := f.open.For(call)
	if err != nil {
		return moveOutput{}, false, err
	}
	var (
		target  string   // where the marked alerts are
		at      []string // where the others are
		unmoved int
	)
	for _, id := range in.Alerts {
		a, err := g.Alert(ctx, id)
		if err != nil {
			return moveOutput{}, false, err
		}
		if _, marked := security.FindComment(a.Comments, call); !marked {
			at = append(at, a.IncidentID)
		} else if target == "" {
			target = a.IncidentID
		}
	}
	if target == "" {
		return moveOutput{}, false, nil
	}
	for _, incident := range at {
		if incident != target {
			unmoved++
		}
	}
	if unmoved > 0 {
		fault := actions.Failf(CodePartlyMoved, "%d of %d alerts are in incident %s, the others are not: look at them in the portal",
			len(in.Alerts)-unmoved, len(in.Alerts), target)
		fault.Unknown = true
		return moveOutput{}, false, fault
	}
	return moveOutput{Incident: target, Created: in.Incident == "", Alerts: in.Alerts}, true, nil
}

// touchMoved names the alerts, and the incident that takes them.
func touchMoved(in moveInput) []actions.Touch {
	var all []actions.Touch
	for _, id := range slices.Compact(slices.Sorted(slices.Values(in.Alerts))) {
		t := actions.Touch{Object: "alerts/" + id, Comment: true, Derived: []string{"incidentWebUrl"}}
		if in.Incident != "" {
			t.Fields = map[string]any{"incidentId": in.Incident}
		} else {
			t.Derived = append(t.Derived, "incidentId")
		}
		all = append(all, t)
	}
	if in.Incident != "" {
		all = append(all, actions.Touch{Object: "incidents/" + in.Incident, Derived: []string{"lastModifiedBy"}})
	}
	return all
}
