package graph

import (
	"bytes"
	"context"
	"errors"
	"strings"
)

// Assign says what happens to the owner: the zero value leaves it, see [AssignTo] and [Unassign].
type Assign struct {
	set bool
	to  string
}

// AssignTo makes somebody the owner. The portal shows only user principal names it knows.
func AssignTo(upn string) Assign { return Assign{set: true, to: upn} }

// Unassign takes the owner away.
func Unassign() Assign { return Assign{set: true} }

// put writes the owner into a body, null for nobody.
func (a Assign) put(body map[string]any) {
	switch {
	case !a.set:
	case a.to == "":
		body["assignedTo"] = nil
	default:
		body["assignedTo"] = a.to
	}
}

// AlertPatch is a change of an alert. Only what is set is sent: Graph refuses whole objects.
type AlertPatch struct {
	Status         *string
	Classification *string
	Determination  *string
	AssignedTo     Assign
	CustomDetails  map[string]string // nil leaves them
}

// body writes the changed fields, enum members in the spelling of the schema.
func (p AlertPatch) body() (map[string]any, string) {
	body := map[string]any{}
	p.AssignedTo.put(body)
	if p.CustomDetails != nil {
		body["customDetails"] = p.CustomDetails
	}
	wrong := putEnums(body, map[string]enumField{
		"status":         {p.Status, NormalizeAlertStatus},
		"classification": {p.Classification, NormalizeClassification},
		"determination":  {p.Determination, NormalizeDetermination},
	})
	if wrong == "" && len(body) == 0 {
		wrong = "nothing to change: set at least one field"
	}
	return body, wrong
}

// enumField is a value and the list that it must come from.
type enumField struct {
	value     *string
	normalize func(string) (string, error)
}

// putEnums writes those values that are set.
func putEnums(body map[string]any, fields map[string]enumField) (wrong string) {
	var all []string
	for name, f := range fields {
		if f.value == nil {
			continue
		}
		member, err := f.normalize(*f.value)
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		body[name] = member
	}
	return strings.Join(sorted(all), "; ")
}

// ChangedAlert is an alert after a change, as far as a change can touch it. The rest of what Graph
// answers, above all the evidence, is not read.
type ChangedAlert struct {
	ID                 string
	Status             string
	Classification     string
	Determination      string
	AssignedTo         string // empty when nobody
	LastUpdateDateTime string
	ResolvedDateTime   string
}

// changedFields is the answer to a change.
type changedFields struct {
	ID                 text `json:"id"`
	Status             text `json:"status"`
	Classification     text `json:"classification"`
	Determination      text `json:"determination"`
	AssignedTo         text `json:"assignedTo"`
	LastUpdateDateTime text `json:"lastUpdateDateTime"`
	ResolvedDateTime   text `json:"resolvedDateTime"`
}

func changedID(f changedFields) string { return string(f.ID) }

// UpdateAlert changes an alert and returns what it is afterwards. Doing it twice is the same as
// doing it once, but the last writer wins: there is no precondition.
func (c *Client) UpdateAlert(ctx context.Context, id string, p AlertPatch) (ChangedAlert, error) {
	body, wrong := p.body()
	if wrong != "" {
		return ChangedAlert{}, c.invalid(opUpdateAlert, wrong)
	}
	q, err := c.newCall(opUpdateAlert, id, "", body)
	if err != nil {
		return ChangedAlert{}, err
	}
	f, err := changed(ctx, c, q, changedID, func() (changedFields, error) {
		get, err := c.newCall(opGetAlert, id, "", nil)
		if err != nil {
			return changedFields{}, err
		}
		return one(ctx, c, get, changedID)
	})
	return ChangedAlert{
		ID: string(f.ID), Status: string(f.Status), Classification: string(f.Classification), Determination: string(f.Determination),
		AssignedTo: string(f.AssignedTo), LastUpdateDateTime: string(f.LastUpdateDateTime), ResolvedDateTime: string(f.ResolvedDateTime),
	}, err
}

// changed sends a change and returns the object. A service that answers without one is asked for
// it: the change was accepted, and saying otherwise would repeat it.
func changed[T any](ctx context.Context, c *Client, q call, id func(T) string, read func() (T, error)) (T, error) {
	var none T
	body, err := c.exchange(ctx, q)
	if err != nil {
		return none, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		out, err := read()
		if e, ok := errors.AsType[*Error](err); ok {
			after := *e
			after.applied = true
			err = &after
		}
		return out, err
	}
	var out T
	if err := c.decode(q, body, &out); err != nil {
		return none, err
	}
	if id(out) == "" {
		return none, c.broken(q.op, "the answer is not an object with an id")
	}
	return out, nil
}

// MoveRequest puts alerts into an incident.
type MoveRequest struct {
	AlertIDs   []string
	IncidentID string   // empty: a new incident
	Comment    string   // put on the alerts, if not empty
	Reasons    []string // members of CorrelationReasons
}

// MoveAlerts moves alerts into an incident and returns that incident's id. Without a target it
// makes a new incident, each time it is called: record the answer before anything else.
func (c *Client) MoveAlerts(ctx context.Context, r MoveRequest) (targetIncidentID string, err error) {
	wrong := checkMoved("alert", r.AlertIDs, 1)
	if wrong == "" && r.Comment != "" {
		wrong = checkComment(r.Comment)
	}
	if wrong == "" && r.IncidentID != "" {
		wrong = checkID(r.IncidentID)
	}
	reasons, err := NormalizeCorrelationReasons(r.Reasons)
	if wrong == "" && err != nil {
		wrong = err.Error()
	}
	if wrong != "" {
		return "", c.invalid(opMoveAlerts, wrong)
	}
	body := map[string]any{"alertIds": r.AlertIDs, "incidentId": nil}
	if r.IncidentID != "" {
		body["incidentId"] = r.IncidentID
	}
	return c.regroup(ctx, opMoveAlerts, body, "alertComment", r.Comment, "newCorrelationReasons", reasons)
}

// regroup sends a move or a merge and reads the id of the incident that results.
func (c *Client) regroup(ctx context.Context, op operation, body map[string]any, commentField, comment, reasonField, reasons string) (string, error) {
	if comment != "" {
		body[commentField] = comment
	}
	if reasons != "" {
		body[reasonField] = reasons
	}
	q, err := c.newCall(op, "", "", body)
	if err != nil {
		return "", err
	}
	var answer struct {
		TargetIncidentID text `json:"targetIncidentId"`
	}
	if err := c.do(ctx, q, &answer); err != nil {
		return "", err
	}
	if answer.TargetIncidentID == "" {
		return "", c.broken(op, "the answer does not name the incident")
	}
	return string(answer.TargetIncidentID), nil
}

// checkMoved says what is wrong with a list of ids.
func checkMoved(what string, ids []string, least int) string {
	switch {
	case len(ids) < least && least == 1:
		return "no " + what + " is named"
	case len(ids) < least:
		return "at least two different " + what + "s are needed"
	case len(ids) > MaxMoved:
		return "more than 1000 " + what + "s at once: split the list"
	}
	for _, id := range ids {
		if wrong := checkID(id); wrong != "" {
			return wrong
		}
	}
	return ""
}
