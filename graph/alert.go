package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Alert is an alert of alerts_v2. The fields that decisions are made on have names; Raw holds
// the whole object as it came, with whatever this version does not know. Times are kept as sent:
// they have up to seven fraction digits, and comparing the strings compares the versions.
type Alert struct {
	ID                    string `json:"id"`
	IncidentID            string `json:"incidentId"`
	ProviderAlertID       string `json:"providerAlertId"`
	TenantID              string `json:"tenantId"`
	Title                 string `json:"title"`
	Description           string `json:"description"`
	Category              string `json:"category"`
	Status                string `json:"status"`
	Severity              string `json:"severity"`
	Classification        string `json:"classification"`
	Determination         string `json:"determination"`
	AssignedTo            string `json:"assignedTo"` // empty when nobody
	ServiceSource         string `json:"serviceSource"`
	DetectionSource       string `json:"detectionSource"`
	ProductName           string `json:"productName"`
	InvestigationState    string `json:"investigationState"`
	AlertWebURL           string `json:"alertWebUrl"`
	IncidentWebURL        string `json:"incidentWebUrl"`
	CreatedDateTime       string `json:"createdDateTime"`
	LastUpdateDateTime    string `json:"lastUpdateDateTime"`
	ResolvedDateTime      string `json:"resolvedDateTime"`
	FirstActivityDateTime string `json:"firstActivityDateTime"`
	LastActivityDateTime  string `json:"lastActivityDateTime"`

	MitreTechniques []string          `json:"mitreTechniques"`
	SystemTags      []string          `json:"systemTags"`
	Comments        []Comment         `json:"comments"`
	Evidence        []json.RawMessage `json:"evidence"` // each of its own type, as it came

	Raw json.RawMessage `json:"-"` // the whole object
}

// alertFields mirrors Alert with lenient types.
type alertFields struct {
	ID                    text `json:"id"`
	IncidentID            text `json:"incidentId"`
	ProviderAlertID       text `json:"providerAlertId"`
	TenantID              text `json:"tenantId"`
	Title                 text `json:"title"`
	Description           text `json:"description"`
	Category              text `json:"category"`
	Status                text `json:"status"`
	Severity              text `json:"severity"`
	Classification        text `json:"classification"`
	Determination         text `json:"determination"`
	AssignedTo            text `json:"assignedTo"`
	ServiceSource         text `json:"serviceSource"`
	DetectionSource       text `json:"detectionSource"`
	ProductName           text `json:"productName"`
	InvestigationState    text `json:"investigationState"`
	AlertWebURL           text `json:"alertWebUrl"`
	IncidentWebURL        text `json:"incidentWebUrl"`
	CreatedDateTime       text `json:"createdDateTime"`
	LastUpdateDateTime    text `json:"lastUpdateDateTime"`
	ResolvedDateTime      text `json:"resolvedDateTime"`
	FirstActivityDateTime text `json:"firstActivityDateTime"`
	LastActivityDateTime  text `json:"lastActivityDateTime"`

	MitreTechniques list[text]            `json:"mitreTechniques"`
	SystemTags      list[text]            `json:"systemTags"`
	Comments        list[Comment]         `json:"comments"`
	Evidence        list[json.RawMessage] `json:"evidence"`
}

// UnmarshalJSON keeps the whole object in Raw. A field of an unexpected type is read as text or
// left empty: losing an alert over it would be worse.
func (a *Alert) UnmarshalJSON(data []byte) error {
	var f alertFields
	if err := unmarshalObject(data, &f); err != nil {
		return err
	}
	*a = Alert{
		ID: string(f.ID), IncidentID: string(f.IncidentID), ProviderAlertID: string(f.ProviderAlertID),
		TenantID: string(f.TenantID), Title: string(f.Title), Description: string(f.Description),
		Category: string(f.Category), Status: string(f.Status), Severity: string(f.Severity),
		Classification: string(f.Classification), Determination: string(f.Determination),
		AssignedTo: string(f.AssignedTo), ServiceSource: string(f.ServiceSource),
		DetectionSource: string(f.DetectionSource), ProductName: string(f.ProductName),
		InvestigationState: string(f.InvestigationState),
		AlertWebURL:        string(f.AlertWebURL), IncidentWebURL: string(f.IncidentWebURL),
		CreatedDateTime: string(f.CreatedDateTime), LastUpdateDateTime: string(f.LastUpdateDateTime),
		ResolvedDateTime: string(f.ResolvedDateTime), FirstActivityDateTime: string(f.FirstActivityDateTime),
		LastActivityDateTime: string(f.LastActivityDateTime),
		MitreTechniques:      plain(f.MitreTechniques), SystemTags: plain(f.SystemTags),
		Comments: f.Comments, Evidence: f.Evidence, Raw: slices.Clone(data),
	}
	return nil
}

// MarshalJSON writes the object as it came, or its named fields if it never came from Graph.
func (a Alert) MarshalJSON() ([]byte, error) {
	if a.Raw != nil {
		return a.Raw, nil
	}
	type named Alert
	return json.Marshal(named(a))
}

// unmarshalObject decodes an object and nothing else: null would pass for an empty one.
func unmarshalObject(data []byte, out any) error {
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || trimmed[0] != '{' {
		return errors.New("it is no JSON object")
	}
	return json.Unmarshal(data, out)
}

// Alerts lists alerts, page by page as they are taken. The service promises no order and may
// repeat rows when the set changes meanwhile: take them by id.
func (c *Client) Alerts(ctx context.Context, q Query) iter.Seq2[Alert, error] {
	return listing(ctx, c, opListAlerts, "", q, alertID)
}

func alertID(a Alert) string { return a.ID }

// Alert reads one alert.
func (c *Client) Alert(ctx context.Context, id string) (Alert, error) {
	q, err := c.newCall(opGetAlert, id, "", nil)
	if err != nil {
		return Alert{}, err
	}
	return one(ctx, c, q, alertID)
}

// one sends a call that is answered with one object.
func one[T any](ctx context.Context, c *Client, q call, id func(T) string) (T, error) {
	var out, none T
	if err := c.do(ctx, q, &out); err != nil {
		return none, err
	}
	if id(out) == "" {
		return none, c.broken(q.op, "the answer is not an object with an id")
	}
	return out, nil
}

// CountAlerts counts the alerts that a filter matches. An empty filter matches all.
func (c *Client) CountAlerts(ctx context.Context, filter string) (int, error) {
	return c.count(ctx, opCountAlerts, filter)
}

// count reads a number from a text answer, which may begin with a byte order mark.
func (c *Client) count(ctx context.Context, op operation, filter string) (int, error) {
	q, err := c.newCall(op, "", Query{Filter: filter}.encode(), nil)
	if err != nil {
		return 0, err
	}
	body, err := c.exchange(ctx, q)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(string(body), "\uFEFF")))
	if err != nil || n < 0 {
		return 0, c.broken(op, "the answer is not a number")
	}
	return n, nil
}
