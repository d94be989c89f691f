package alerts

import (
	"context"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
)

// updateInput is the input of alert.update.
type updateInput struct {
	Alert          string                   `json:"alert" play:"min=1;max=256;example=da637551227677560813_-961444813;doc=The id of the alert."`
	Status         string                   `json:"status,omitempty" play:"enum=new|inProgress|resolved;example=resolved;doc=The new status."`
	Classification string                   `json:"classification,omitempty" play:"enum=unknown|falsePositive|truePositive|informationalExpectedActivity;example=falsePositive;doc=The verdict."`
	Determination  string                   `json:"determination,omitempty" play:"enum=unknown|malware|securityTesting|unwantedSoftware|other|multiStagedAttack|compromisedAccount|phishing|maliciousUserActivity|notMalicious|notEnoughDataToValidate|confirmedActivity|lineOfBusinessApplication|compromisedUser|clean|insufficientData|confirmedUserActivity;retired=apt|securityPersonnel;example=notMalicious;doc=The reason for the verdict; it must go with the classification. The last four are older names that Graph's pages still show; they are sent under the current ones."`
	AssignedTo     actions.Nullable[string] `json:"assignedTo,omitzero" play:"min=1;max=256;example=\"tier1@contoso.example\";doc=The owner's user principal name. Null takes the owner away."`
	CustomDetails  map[string]string        `json:"customDetails,omitempty" play:"max=50;doc=Details of the alert, by name."`
	Comment        string                   `json:"comment,omitempty" play:"example=Closed by playbook.;doc=A comment to add. It ends in a marker, so that it is added once."`
}

// changes says that there is something to PATCH.
func (in updateInput) changes() bool {
	return in.Status != "" || in.Classification != "" || in.Determination != "" || in.AssignedTo.Present() || in.CustomDetails != nil
}

// updateOutput is the output of alert.update.
type updateOutput struct {
	Alert              string                   `json:"alert" play:"doc=The id of the alert."`
	Status             string                   `json:"status,omitempty" play:"doc=The status afterwards."`
	Classification     string                   `json:"classification,omitempty" play:"doc=The classification afterwards."`
	Determination      string                   `json:"determination,omitempty" play:"doc=The determination afterwards."`
	AssignedTo         actions.Nullable[string] `json:"assignedTo,omitzero" play:"doc=The owner afterwards."`
	LastUpdateDateTime string                   `json:"lastUpdateDateTime,omitempty" play:"doc=When Graph made the change."`
	Comment            string                   `json:"comment,omitempty" play:"doc=The comment as it was written."`
}

func (f family) update() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "alert.update",
		Summary: "Changes an alert's status, verdict, owner or details, and may comment on it.",
		Description: "Fields that are left out stay as they are. The change and the comment are two requests, " +
			"with an entry of its own for each in the journal.",
		Example: `- action: alert.update
  with:
    alert: ${{ alert.id }}
    status: resolved
    classification: falsePositive
    determination: notMalicious
    comment: Our own scanner.`,
		Rule: func(input map[string]any) []actions.Violation {
			return append(security.CheckVerdict(input), security.CheckChanges(input, "alert")...)
		},
	}, actions.Doing[updateInput, updateOutput]{
		Part:    actions.Part{Name: "update", Effect: actions.Converges, Summary: "PATCH of the fields that are named.", Permissions: []string{security.WriteAlerts}},
		When:    updateInput.changes,
		Do:      f.doUpdate,
		Touches: func(in updateInput) []actions.Touch { return []actions.Touch{in.touch()} },
		Preview: func(in updateInput) updateOutput {
			return updateOutput{Alert: in.Alert, Status: in.Status, Classification: in.Classification,
				Determination: security.Determination(in.Determination), AssignedTo: in.AssignedTo}
		},
	}, commenting(f, func(in updateInput) (alert, comment string) { return in.Alert, in.Comment },
		func(alert, comment string) updateOutput { return updateOutput{Alert: alert, Comment: comment} }))
}

func (f family) doUpdate(ctx context.Context, call actions.Call, in updateInput) (updateOutput, error) {
	g, err := f.open.For(call)
	if err != nil {
		return updateOutput{}, err
	}
	a, err := g.UpdateAlert(security.Writing(ctx, call), in.Alert, graph.AlertPatch{
		Status:         security.Optional(in.Status),
		Classification: security.Optional(in.Classification),
		Determination:  security.Optional(security.Determination(in.Determination)),
		AssignedTo:     security.Owner(in.AssignedTo),
		CustomDetails:  in.CustomDetails,
	})
	if err != nil {
		return updateOutput{}, err
	}
	out := updateOutput{Alert: a.ID, Status: a.Status, Classification: a.Classification, Determination: a.Determination,
		AssignedTo: actions.Null[string](), LastUpdateDateTime: a.LastUpdateDateTime}
	if a.AssignedTo != "" {
		out.AssignedTo = actions.Some(a.AssignedTo)
	}
	return out, nil
}

// touch names the fields that the PATCH writes.
func (in updateInput) touch() actions.Touch {
	t := actions.Touch{Object: "alerts/" + in.Alert, Fields: map[string]any{}}
	for name, value := range map[string]string{"status": in.Status, "classification": in.Classification,
		"determination": security.Determination(in.Determination)} {
		if value != "" {
			t.Fields[name] = value
		}
	}
	if in.Status != "" {
		t.Derived = []string{"resolvedDateTime"}
	}
	if in.AssignedTo.Present() {
		t.Fields["assignedTo"] = in.AssignedTo.Any()
	}
	if in.CustomDetails != nil {
		t.Fields["customDetails"] = in.CustomDetails
	}
	return t
}
