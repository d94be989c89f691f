package graph

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
)

// Incident is a group of alerts. Raw holds the whole object as it came.
type Incident struct {
	ID                 string `json:"id"`
	TenantID           string `json:"tenantId"`
	DisplayName        string `json:"displayName"`
	Description        string `json:"description"`
	Summary            string `json:"summary"`
	Status             string `json:"status"`
	Severity           string `json:"severity"`
	Classification     string `json:"classification"`
	Determination      string `json:"determination"`
	AssignedTo         string `json:"assignedTo"` // empty when nobody
	ResolvingComment   string `json:"resolvingComment"`
	RedirectIncidentID string `json:"redirectIncidentId"` // the survivor of a merge
	IncidentWebURL     string `json:"incidentWebUrl"`
	LastModifiedBy     string `json:"lastModifiedBy"` // an app shows as API-App:…
	CreatedDateTime    string `json:"createdDateTime"`
	LastUpdateDateTime string `json:"lastUpdateDateTime"`

	CustomTags []string  `json:"customTags"`
	SystemTags []string  `json:"systemTags"`
	Comments   []Comment `json:"comments"`
	Alerts     []Alert   `json:"alerts"` // only when expanded

	Raw json.RawMessage `json:"-"` // the whole object
}

// incidentFields mirrors Incident with lenient types.
type incidentFields struct {
	ID                 text `json:"id"`
	TenantID           text `json:"tenantId"`
	DisplayName        text `json:"displayName"`
	Description        text `json:"description"`
	Summary            text `json:"summary"`
	Status             text `json:"status"`
	Severity           text `json:"severity"`
	Classification     text `json:"classification"`
	Determination      text `json:"determination"`
	AssignedTo         text `json:"assignedTo"`
	ResolvingComment   text `json:"resolvingComment"`
	RedirectIncidentID text `json:"redirectIncidentId"`
	IncidentWebURL     text `json:"incidentWebUrl"`
	LastModifiedBy     text `json:"lastModifiedBy"`
	CreatedDateTime    text `json:"createdDateTime"`
	LastUpdateDateTime text `json:"lastUpdateDateTime"`

	CustomTags list[text]    `json:"customTags"`
	SystemTags list[text]    `json:"systemTags"`
	Comments   list[Comment] `json:"comments"`
	Alerts     list[Alert]   `json:"alerts"`
}

// UnmarshalJSON keeps the whole object in Raw, and reads fields as leniently as an alert's.
func (i *Incident) UnmarshalJSON(data []byte) error {
	var f incidentFields
	if err := unmarshalObject(data, &f); err != nil {
		return err
	}
	*i = Incident{
		ID: string(f.ID), TenantID: string(f.TenantID), DisplayName: string(f.DisplayName),
		Description: string(f.Description), Summary: string(f.Summary), Status: string(f.Status),
		Severity: string(f.Severity), Classification: string(f.Classification),
		Determination: string(f.Determination), AssignedTo: string(f.AssignedTo),
		ResolvingComment: string(f.ResolvingComment), RedirectIncidentID: string(f.RedirectIncidentID),
		IncidentWebURL: string(f.IncidentWebURL), LastModifiedBy: string(f.LastModifiedBy),
		CreatedDateTime: string(f.CreatedDateTime), LastUpdateDateTime: string(f.LastUpdateDateTime),
		CustomTags: plain(f.CustomTags), SystemTags: plain(f.SystemTags),
		Comments: f.Comments, Alerts: f.Alerts, Raw: slices.Clone(data),
	}
	return nil
}

// MarshalJSON writes the object as it came, or its named fields if it never came from Graph.
func (i Incident) MarshalJSON() ([]byte, error) {
	if i.Raw != nil {
		return i.Raw, nil
	}
	type named Incident
	return json.Marshal(named(i))
}

func incidentID(i Incident) string { return i.ID }

// IncidentAlerts lists the alerts of an incident.
func (c *Client) IncidentAlerts(ctx context.Context, id string) iter.Seq2[Alert, error] {
	return listing(ctx, c, opIncidentAlerts, id, Query{}, alertID)
}

// CountIncidents counts the incidents that a filter matches. An empty filter matches all.
func (c *Client) CountIncidents(ctx context.Context, filter string) (int, error) {
	return c.count(ctx, opCountIncidents, filter)
}

// maxRedirects is how many merges in a row are followed.
const maxRedirects = 5

// SurvivingIncident reads an incident and, if it was merged into another one, that one. A chain
// of merges is followed for five steps.
func (c *Client) SurvivingIncident(ctx context.Context, id string) (Incident, error) {
	for range maxRedirects + 1 {
		i, err := c.Incident(ctx, id, false)
		if err != nil || i.Status != "redirected" || i.RedirectIncidentID == "" {
			return i, err
		}
		id = i.RedirectIncidentID
	}
	return Incident{}, c.broken(opGetIncident, "the incident was merged more than five times in a row")
}

// IncidentPatch is a change of an incident. Only what is set is sent.
type IncidentPatch struct {
	Status           *string
	Severity         *string
	Classification   *string
	Determination    *string
	AssignedTo       Assign
	DisplayName      *string
	Description      *string
	Summary          *string
	ResolvingComment *string
	// CustomTags replaces all tags: read, merge (see MergeTags), write.
	CustomTags *[]string
}

// body writes the changed fields.
func (p IncidentPatch) body() (map[string]any, string) {
	body := map[string]any{}
	p.AssignedTo.put(body)
	for name, value := range map[string]*string{
		"displayName": p.DisplayName, "description": p.Description,
		"summary": p.Summary, "resolvingComment": p.ResolvingComment,
	} {
		if value != nil {
			body[name] = *value
		}
	}
	if p.CustomTags != nil {
		body["customTags"] = append([]string{}, *p.CustomTags...) // never null
	}
	wrong := putEnums(body, map[string]enumField{
		"status":         {p.Status, NormalizeIncidentStatus},
		"severity":       {p.Severity, NormalizeSeverity},
		"classification": {p.Classification, NormalizeClassification},
		"determination":  {p.Determination, NormalizeDetermination},
	})
	if wrong == "" && len(body) == 0 {
		wrong = "nothing to change: set at least one field"
	}
	return body, wrong
}

// UpdateIncident changes an incident and returns it as it is afterwards. The last writer wins.
func (c *Client) UpdateIncident(ctx context.Context, id string, p IncidentPatch) (Incident, error) {
	body, wrong := p.body()
	if wrong != "" {
		return Incident{}, c.invalid(opUpdateIncident, wrong)
	}
	q, err := c.newCall(opUpdateIncident, id, "", body)
	if err != nil {
		return Incident{}, err
	}
	return changed(ctx, c, q, incidentID, func() (Incident, error) { return c.Incident(ctx, id, false) })
}

// MergeTags adds and removes tags and keeps the order of those that stay.
func MergeTags(have, add, remove []string) []string {
	out := []string{}
	for _, tag := range slices.Concat(have, add) {
		if !slices.Contains(remove, tag) && !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	return out
}

// MergeRequest makes one incident of several.
type MergeRequest struct {
	IncidentIDs []string // two or more
	Comment     string
	Reasons     []string // members of CorrelationReasons
}

// MergeIncidents merges incidents and returns the id of the one that survives, which the service
// chooses. The others become redirected.
func (c *Client) MergeIncidents(ctx context.Context, r MergeRequest) (targetIncidentID string, err error) {
	wrong := checkMoved("incident", MergeTags(r.IncidentIDs, nil, nil), 2)
	if wrong == "" && r.Comment != "" {
		wrong = checkComment(r.Comment)
	}
	reasons, err := NormalizeCorrelationReasons(r.Reasons)
	if wrong == "" && err != nil {
		wrong = err.Error()
	}
	if wrong != "" {
		return "", c.invalid(opMergeIncidents, wrong)
	}
	body := map[string]any{"incidentIds": r.IncidentIDs}
	return c.regroup(ctx, opMergeIncidents, body, "incidentComment", r.Comment, "mergeReasons", reasons)
}
