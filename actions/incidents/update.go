package incidents

import (
	"context"
	"slices"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
)

// CodeContended is the fault of tags that somebody else keeps taking away.
const CodeContended = "contended"

// updateInput is the input of incident.update.
type updateInput struct {
	Incident         string                   `json:"incident" play:"min=1;max=256;example=29;doc=The id of the incident."`
	Status           string                   `json:"status,omitempty" play:"enum=active|inProgress|resolved;example=inProgress;doc=The new status."`
	Classification   string                   `json:"classification,omitempty" play:"enum=unknown|falsePositive|truePositive|informationalExpectedActivity;example=truePositive;doc=The verdict."`
	Determination    string                   `json:"determination,omitempty" play:"enum=unknown|malware|securityTesting|unwantedSoftware|other|multiStagedAttack|compromisedAccount|phishing|maliciousUserActivity|notMalicious|notEnoughDataToValidate|confirmedActivity|lineOfBusinessApplication|compromisedUser|clean|insufficientData|confirmedUserActivity;retired=apt|securityPersonnel;example=phishing;doc=The reason for the verdict; it must go with the classification. The last four are older names that Graph's pages still show; they are sent under the current ones."`
	AssignedTo       actions.Nullable[string] `json:"assignedTo,omitzero" play:"min=1;max=256;example=\"lead@contoso.example\";doc=The owner's user principal name. Null takes the owner away."`
	Severity         string                   `json:"severity,omitempty" play:"enum=informational|low|medium|high;example=high;doc=The severity."`
	DisplayName      string                   `json:"displayName,omitempty" play:"min=1;max=1000;example=Phishing wave in finance;doc=The title."`
	Description      string                   `json:"description,omitempty" play:"max=10000;example=Three mailboxes are affected.;doc=What happened."`
	Summary          string                   `json:"summary,omitempty" play:"max=10000;example=Contained.;doc=The summary."`
	ResolvingComment string                   `json:"resolvingComment,omitempty" play:"max=10000;example=All devices are clean.;doc=Why it is resolved."`
	CustomTags       *[]string                `json:"customTags,omitempty" play:"max=100;example=[\"vip\"];doc=Replaces all tags; an empty list removes them. Excludes addTags and removeTags."`
	AddTags          []string                 `json:"addTags,omitempty" play:"max=100;example=[\"auto-escalated\"];doc=Tags to add to those that are there."`
	RemoveTags       []string                 `json:"removeTags,omitempty" play:"max=100;example=[\"untriaged\"];doc=Tags to remove."`
	Comment          string                   `json:"comment,omitempty" play:"example=Taken over by playbook.;doc=A comment to add. It ends in a marker, so that it is added once."`
}

// merges says that the new tags depend on the old ones.
func (in updateInput) merges() bool { return len(in.AddTags)+len(in.RemoveTags) > 0 }

// fields are the values written, by Graph's names.
func (in updateInput) fields() map[string]any {
	all := map[string]any{}
	for name, value := range map[string]string{
		"status": in.Status, "classification": in.Classification, "determination": security.Determination(in.Determination),
		"severity": in.Severity, "displayName": in.DisplayName, "description": in.Description, "summary": in.Summary,
		"resolvingComment": in.ResolvingComment,
	} {
		if value != "" {
			all[name] = value
		}
	}
	if in.AssignedTo.Present() {
		all["assignedTo"] = in.AssignedTo.Any()
	}
	if in.CustomTags != nil {
		all["customTags"] = *in.CustomTags
	}
	return all
}

// updateOutput is the output of incident.update.
type updateOutput struct {
	Incident           string                   `json:"incident" play:"doc=The id of the incident that was changed."`
	RedirectedFrom     string                   `json:"redirectedFrom,omitempty" play:"doc=The id that was asked for, if that incident was merged into this one."`
	Status             string                   `json:"status,omitempty" play:"doc=The status afterwards."`
	Classification     string                   `json:"classification,omitempty" play:"doc=The classification afterwards."`
	Determination      string                   `json:"determination,omitempty" play:"doc=The determination afterwards."`
	Severity           string                   `json:"severity,omitempty" play:"doc=The severity afterwards."`
	AssignedTo         actions.Nullable[string] `json:"assignedTo,omitzero" play:"doc=The owner afterwards."`
	CustomTags         []string                 `json:"customTags,omitempty" play:"doc=The tags afterwards."`
	LastUpdateDateTime string                   `json:"lastUpdateDateTime,omitempty" play:"doc=When Graph made the change."`
	Comment            string                   `json:"comment,omitempty" play:"doc=The comment as it was written."`
}

func (f family) update() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "incident.update",
		Summary: "Changes an incident's status, verdict, owner, texts or tags, and may comment on it.",
		Description: "Fields that are left out stay as they are. Graph replaces the whole list of tags, so addTags and " +
			"removeTags read it, write it, and look again whether somebody else's write took theirs away.",
		Example: `- action: incident.update
  with:
    incident: ${{ incident.id }}
    assignedTo: lead@contoso.example
    status: inProgress
    addTags: [auto-escalated]`,
		Rule: updateRule,
	}, actions.Doing[updateInput, updateOutput]{
		Part: actions.Part{Name: "update", Effect: actions.Converges, Summary: "GET, then PATCH of the fields that are named.",
			Permissions: []string{security.WriteIncidents}},
		When:    func(in updateInput) bool { return len(in.fields()) > 0 || in.merges() },
		Do:      f.doUpdate,
		Touches: touchUpdated,
		Preview: func(in updateInput) updateOutput {
			out := updateOutput{Incident: in.Incident, Status: in.Status, Classification: in.Classification,
				Determination: security.Determination(in.Determination), Severity: in.Severity, AssignedTo: in.AssignedTo}
			if in.CustomTags != nil {
				out.CustomTags = *in.CustomTags
			}
			return out
		},
	}, commenting(f, func(in updateInput) (incident, comment string) { return in.Incident, in.Comment },
		func(c commented) updateOutput {
			return updateOutput{Incident: c.incident, RedirectedFrom: c.from, Comment: c.text}
		}))
}

func updateRule(input map[string]any) []actions.Violation {
	found := append(security.CheckVerdict(input), security.CheckChanges(input, "incident")...)
	_, replaces := input["customTags"]
	for _, name := range []string{"addTags", "removeTags"} {
		if _, ok := input[name]; ok && replaces {
			found = append(found, actions.Violationf(name, "excludes customTags, which replaces all tags: use one or the other"))
		}
	}
	added, _ := input["addTags"].([]any)
	removed, _ := input["removeTags"].([]any)
	for _, tag := range added {
		if text, ok := tag.(string); ok && !actions.IsTemplate(text) && slices.Contains(removed, tag) {
			found = append(found, actions.Violationf("removeTags", "%q is to be added as well: name it in one list", text))
		}
	}
	return found
}

func touchUpdated(in updateInput) []actions.Touch {
	t := actions.Touch{Object: "incidents/" + in.Incident, Fields: in.fields(), Derived: []string{"lastModifiedBy"}}
	if in.merges() {
		t.Derived = append(t.Derived, "customTags")
		t.Fields["customTags"] = actions.ListChange{Add: in.AddTags, Remove: in.RemoveTags}
	}
	return []actions.Touch{t}
}

func (f family) doUpdate(ctx context.Context, call actions.Call, in updateInput) (updateOutput, error) {
	g, err := f.open.For(call)
	if err != nil {
		return updateOutput{}, err
	}
	i, from, err := survivor(ctx, g, in.Incident, false)
	if err != nil {
		return updateOutput{}, err
	}
	patch := graph.IncidentPatch{
		Status: security.Optional(in.Status), Severity: security.Optional(in.Severity),
		Classification: security.Optional(in.Classification), Determination: security.Optional(security.Determination(in.Determination)),
		AssignedTo: security.Owner(in.AssignedTo), DisplayName: security.Optional(in.DisplayName),
		Description: security.Optional(in.Description), Summary: security.Optional(in.Summary),
		ResolvingComment: security.Optional(in.ResolvingComment), CustomTags: in.CustomTags,
	}
	if in.merges() {
		i, err = mergeTags(ctx, call, g, i, patch, in)
	} else {
		i, err = g.UpdateIncident(security.Writing(ctx, call), i.ID, patch)
	}
	if err != nil {
		return updateOutput{}, err
	}
	out := updateOutput{Incident: i.ID, RedirectedFrom: from, Status: i.Status, Classification: i.Classification,
		Determination: i.Determination, Severity: i.Severity, AssignedTo: actions.Null[string](), CustomTags: i.CustomTags,
		LastUpdateDateTime: i.LastUpdateDateTime}
	if i.AssignedTo != "" {
		out.AssignedTo = actions.Some(i.AssignedTo)
	}
	return out, nil
}

// mergeTags writes the patch with the tags that the incident should have, once, and reads again
// whether they are there: somebody else's write may have taken them away. Then another attempt,
// with a record of its own, puts them back. An incident that has them, with nothing else to
// change, is left alone.
func mergeTags(ctx context.Context, call actions.Call, g Graph, i graph.Incident, patch graph.IncidentPatch, in updateInput) (graph.Incident, error) {
	want := graph.MergeTags(i.CustomTags, in.AddTags, in.RemoveTags)
	if len(in.fields()) == 0 && slices.Equal(want, i.CustomTags) {
		return i, nil
	}
	patch.CustomTags = &want
	if _, err := g.UpdateIncident(security.Writing(ctx, call), i.ID, patch); err != nil {
		return graph.Incident{}, err
	}
	i, err := g.Incident(ctx, i.ID, false)
	if err != nil {
		// The change was made; what failed is looking at it.
		fault := *actions.FaultOf(err)
		fault.Unknown = true
		return graph.Incident{}, &fault
	}
	if !slices.Equal(graph.MergeTags(i.CustomTags, in.AddTags, in.RemoveTags), i.CustomTags) {
		return graph.Incident{}, &actions.Fault{Code: CodeContended, Retry: true, Unknown: true,
			Message: "somebody else took tags of incident " + i.ID + " away"}
	}
	return i, nil
}
