package incidents

import (
	"context"
	"slices"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
)

// mergeInput is the input of incident.merge.
type mergeInput struct {
	Incidents []string `json:"incidents" play:"min=2;max=100;example=[\"29\", \"31\"];doc=The ids of the incidents."`
	Comment   string   `json:"comment,omitempty" play:"example=Same campaign.;doc=A comment put on the incident that survives. It ends in a marker."`
	Reasons   []string `json:"reasons,omitempty" play:"max=17;enum=repeatedAlertOccurrence|sameGeography|similarArtifacts|sameTargetedAsset|sameNetworkSegment|eventSequence|timeFrame|sameThreatSource|similarTTPsOrBehavior|sameActor|sameCampaign|sharedIndicators|sameAsset|networkProximity|eventCasualSequence|temporalProximity|lateralMovementPath;example=[\"sameCampaign\"];doc=Why they belong together."`
}

// mergeOutput is the output of incident.merge.
type mergeOutput struct {
	Incident string   `json:"incident,omitempty" play:"doc=The incident that survives. Graph chooses it."`
	Merged   []string `json:"merged" play:"doc=The incidents that redirect to it now."`
}

func (f family) merge() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "incident.merge",
		Summary: "Merges incidents into one, which Graph chooses among them.",
		Example: `- id: one
  action: incident.merge
  with:
    incidents: ["${{ incident.id }}", "${{ inputs.other }}"]
    reasons: [sameActor]`,
		Rule: distinct,
	}, actions.Doing[mergeInput, mergeOutput]{
		Part: actions.Part{Name: "merge", Effect: actions.Adds, Summary: "POST of the merge, unless all incidents lead to the same one.",
			Permissions: []string{security.ManageData, security.ReadIncidents}},
		Do:    f.doMerge,
		Probe: f.probeMerge,
		Touches: func(in mergeInput) []actions.Touch {
			var all []actions.Touch
			for _, id := range in.Incidents {
				all = append(all, actions.Touch{Object: "incidents/" + id, Comment: in.Comment != "",
					Derived: []string{"status", "redirectIncidentId", "severity", "lastModifiedBy"}})
			}
			return all
		},
		Preview: func(in mergeInput) mergeOutput { return mergeOutput{Merged: in.Incidents} },
	})
}

// distinct refuses the same incident twice: a merge with itself is a mistake, not a wish.
func distinct(input map[string]any) []actions.Violation {
	list, _ := input["incidents"].([]any)
	for n, id := range list {
		if text, ok := id.(string); ok && !actions.IsTemplate(text) && slices.Contains(list[:n], id) {
			return []actions.Violation{actions.Violationf("incidents", "%q is named twice: name different incidents", text)}
		}
	}
	return nil
}

func (f family) doMerge(ctx context.Context, call actions.Call, in mergeInput) (mergeOutput, error) {
	g, err := f.open.For(call)
	if err != nil {
		return mergeOutput{}, err
	}
	// The service may refuse incidents that were merged before. Those that lead to the same one
	// count once, and if only one is left there is nothing to do.
	alive, err := survivors(ctx, g, in.Incidents)
	if err != nil {
		return mergeOutput{}, err
	}
	if len(alive) == 1 {
		return mergedInto(alive[0], in), nil
	}
	request := graph.MergeRequest{IncidentIDs: alive, Reasons: in.Reasons}
	if in.Comment != "" {
		request.Comment = actions.Mark(in.Comment, call.Key)
	}
	target, err := g.MergeIncidents(security.Writing(ctx, call), request)
	if err != nil {
		return mergeOutput{}, err
	}
	return mergedInto(target, in), nil
}

// probeMerge needs no marker: incidents that all lead to one are merged, whoever did it.
func (f family) probeMerge(ctx context.Context, call actions.Call, in mergeInput) (mergeOutput, bool, error) {
	g, err := f.open.For(call)
	if err != nil {
		return mergeOutput{}, false, err
	}
	alive, err := survivors(ctx, g, in.Incidents)
	if err != nil || len(alive) > 1 {
		return mergeOutput{}, false, err
	}
	return mergedInto(alive[0], in), true, nil
}

// survivors are the different incidents that ids stand for now, in their order.
func survivors(ctx context.Context, g Graph, ids []string) ([]string, error) {
	var alive []string
	for _, id := range ids {
		i, _, err := survivor(ctx, g, id, false)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(alive, i.ID) {
			alive = append(alive, i.ID)
		}
	}
	return alive, nil
}

func mergedInto(target string, in mergeInput) mergeOutput {
	others := slices.DeleteFunc(slices.Clone(in.Incidents), func(id string) bool { return id == target })
	return mergeOutput{Incident: target, Merged: others}
}
