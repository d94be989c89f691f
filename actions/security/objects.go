package security

import (
	"encoding/json"
	"maps"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/graph"
)

// text is a field that Graph may send as null.
type text = actions.Nullable[string]

// Alert is an alert as an output shows it.
type Alert struct {
	_ struct{} `play:"open"`

	ID                    string            `json:"id" play:"doc=The id of the alert."`
	IncidentID            text              `json:"incidentId,omitzero" play:"doc=The incident that it belongs to."`
	ProviderAlertID       text              `json:"providerAlertId,omitzero" play:"doc=The id that the product gave it."`
	Title                 text              `json:"title,omitzero" play:"doc=The title. Anybody who raises an alert can choose it."`
	Description           text              `json:"description,omitzero" play:"doc=What happened, in words."`
	Category              text              `json:"category,omitzero" play:"doc=The kill-chain category."`
	Status                text              `json:"status,omitzero" play:"doc=new, inProgress, resolved or unknown."`
	Severity              text              `json:"severity,omitzero" play:"doc=informational, low, medium, high or unknown."`
	Classification        text              `json:"classification,omitzero" play:"doc=The verdict."`
	Determination         text              `json:"determination,omitzero" play:"doc=The reason for the verdict."`
	AssignedTo            text              `json:"assignedTo,omitzero" play:"doc=The owner; null for nobody."`
	ServiceSource         text              `json:"serviceSource,omitzero" play:"doc=The product that raised it."`
	DetectorID            text              `json:"detectorId,omitzero" play:"doc=The rule or detector that raised it."`
	DetectionSource       text              `json:"detectionSource,omitzero" play:"doc=What in the product noticed it."`
	ProductName           text              `json:"productName,omitzero" play:"doc=The name of the product."`
	InvestigationState    text              `json:"investigationState,omitzero" play:"doc=Where the automated investigation stands."`
	AlertWebURL           text              `json:"alertWebUrl,omitzero" play:"doc=The page in the portal."`
	IncidentWebURL        text              `json:"incidentWebUrl,omitzero" play:"doc=The page of its incident."`
	CreatedDateTime       text              `json:"createdDateTime,omitzero" play:"doc=When it was created."`
	LastUpdateDateTime    text              `json:"lastUpdateDateTime,omitzero" play:"doc=When it last changed."`
	ResolvedDateTime      text              `json:"resolvedDateTime,omitzero" play:"doc=When it was resolved."`
	FirstActivityDateTime text              `json:"firstActivityDateTime,omitzero" play:"doc=The earliest activity."`
	LastActivityDateTime  text              `json:"lastActivityDateTime,omitzero" play:"doc=The latest activity."`
	MitreTechniques       []string          `json:"mitreTechniques,omitempty" play:"doc=Techniques, such as T1486."`
	Comments              []Comment         `json:"comments,omitempty" play:"doc=All comments."`
	Evidence              []json.RawMessage `json:"evidence,omitempty" play:"doc=Each of its own type."`

	raw json.RawMessage
}

// Comment is one comment of an alert or incident.
type Comment struct {
	_ struct{} `play:"open"`

	Comment              text `json:"comment,omitzero" play:"doc=The text."`
	CreatedByDisplayName text `json:"createdByDisplayName,omitzero" play:"doc=Who wrote it."`
	CreatedDateTime      text `json:"createdDateTime,omitzero" play:"doc=When."`
}

// NewAlert shows an alert.
func NewAlert(a graph.Alert) (Alert, error) {
	raw, err := settled(a, nil)
	return Alert{ID: a.ID, raw: raw}, err
}

// MarshalJSON writes the alert as Graph sent it.
func (a Alert) MarshalJSON() ([]byte, error) { return OrEmpty(a.raw), nil }

// Incident is an incident as an output shows it.
type Incident struct {
	_ struct{} `play:"open"`

	ID                 string    `json:"id" play:"doc=The id of the incident."`
	RedirectedFrom     string    `json:"redirectedFrom,omitempty" play:"doc=The id that was asked for, if that incident was merged into this one. Not a field of Graph's."`
	DisplayName        text      `json:"displayName,omitzero" play:"doc=The title."`
	Description        text      `json:"description,omitzero" play:"doc=What happened, in words."`
	Summary            text      `json:"summary,omitzero" play:"doc=The summary for readers in a hurry."`
	Status             text      `json:"status,omitzero" play:"doc=active, inProgress, awaitingAction, resolved or redirected."`
	Severity           text      `json:"severity,omitzero" play:"doc=informational, low, medium, high or unknown."`
	Classification     text      `json:"classification,omitzero" play:"doc=The verdict."`
	Determination      text      `json:"determination,omitzero" play:"doc=The reason for the verdict."`
	AssignedTo         text      `json:"assignedTo,omitzero" play:"doc=The owner; null for nobody."`
	ResolvingComment   text      `json:"resolvingComment,omitzero" play:"doc=Why it was resolved."`
	RedirectIncidentID text      `json:"redirectIncidentId,omitzero" play:"doc=The incident that it was merged into."`
	IncidentWebURL     text      `json:"incidentWebUrl,omitzero" play:"doc=The page in the portal."`
	LastModifiedBy     text      `json:"lastModifiedBy,omitzero" play:"doc=Who changed it last."`
	CreatedDateTime    text      `json:"createdDateTime,omitzero" play:"doc=When it was created."`
	LastUpdateDateTime text      `json:"lastUpdateDateTime,omitzero" play:"doc=When it last changed."`
	CustomTags         []string  `json:"customTags,omitempty" play:"doc=Tags that people and playbooks set."`
	SystemTags         []string  `json:"systemTags,omitempty" play:"doc=Tags that the service sets."`
	Comments           []Comment `json:"comments,omitempty" play:"doc=All comments."`
	Alerts             []Alert   `json:"alerts,omitempty" play:"doc=The alerts, if they were asked for."`

	raw json.RawMessage
}

// NewIncident shows an incident. redirectedFrom is the id that was asked for, if another.
func NewIncident(i graph.Incident, redirectedFrom string) (Incident, error) {
	var extra map[string]any
	if redirectedFrom != "" {
		extra = map[string]any{"redirectedFrom": redirectedFrom}
	}
	raw, err := settled(i, extra)
	return Incident{ID: i.ID, RedirectedFrom: redirectedFrom, raw: raw}, err
}

// MarshalJSON writes the incident as Graph sent it.
func (i Incident) MarshalJSON() ([]byte, error) { return OrEmpty(i.raw), nil }

// OrEmpty is an object's JSON, an empty object where there is none.
func OrEmpty(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("{}")
	}
	return raw
}

// settled is an object's JSON, with fields added.
func settled(object json.Marshaler, extra map[string]any) (json.RawMessage, error) {
	fields, err := Fields(object)
	if err != nil {
		return nil, err
	}
	maps.Copy(fields, extra)
	return json.Marshal(fields)
}

// Fields are the fields of an object as the service sent it. Lists that are null are left out: an
// expression would have to ask before it looks into them.
func Fields(object json.Marshaler) (map[string]any, error) {
	raw, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := actions.DecodeStrict(raw, &fields); err != nil {
		return nil, err
	}
	drop(fields)
	return fields, nil
}

// lists are the fields that may be null in place of a list.
var lists = []string{"mitreTechniques", "comments", "evidence", "customTags", "systemTags", "alerts", "commands", "machineTags"}

// drop leaves out the lists that are null, in the object and in the alerts it holds.
func drop(fields map[string]any) {
	for _, name := range lists {
		if v, ok := fields[name]; ok && v == nil {
			delete(fields, name)
		}
	}
	alerts, _ := fields["alerts"].([]any)
	for _, a := range alerts {
		if alert, ok := a.(map[string]any); ok {
			drop(alert)
		}
	}
}

// PreviewAlert is an alert of which only the id is known.
func PreviewAlert(id string) Alert { return Alert{ID: id, raw: onlyID(id)} }

// PreviewIncident is an incident of which only the id is known.
func PreviewIncident(id string) Incident { return Incident{ID: id, raw: onlyID(id)} }

// onlyID is an object with nothing but an id.
func onlyID(id string) json.RawMessage {
	data, err := json.Marshal(map[string]string{"id": id})
	if err != nil {
		return nil
	}
	return data
}
