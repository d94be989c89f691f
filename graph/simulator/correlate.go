package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// maxCorrelated is the number of ids a move or merge may name.
const maxCorrelated = 1000

// correlation is the body of moveAlerts and mergeIncidents, which differ in names only.
type correlation struct {
	ids     []string
	target  string // moveAlerts only; "": a new incident
	comment string
}

// correlation reads the body: the field of the ids, of the comment and of the reasons.
func (x *exchange) correlation(ids, comment, reasons string, withTarget bool) (c correlation, err error) {
	body, err := x.bodyObject()
	if err != nil {
		return c, err
	}
	for name, value := range body {
		switch {
		case name == ids:
			c.ids, err = idList(name, value)
		case name == comment:
			c.comment, err = optionalText(name, value)
		case name == reasons:
			err = checkReasons(name, value)
		case name == "incidentId" && withTarget:
			c.target, err = optionalText(name, value)
		default:
			err = x.unwanted(name)
		}
		if err != nil {
			return c, err
		}
	}
	if len(c.ids) == 0 {
		return c, refuse(http.StatusBadRequest, "The property '%s' must name at least one id.", ids)
	}
	return c, nil
}

func optionalText(name string, value any) (string, error) {
	text, ok := value.(string)
	if !ok && value != nil {
		return "", refuse(http.StatusBadRequest, "The value of '%s' must be a string or null.", name)
	}
	return text, nil
}

// idList reads ids, without repetitions.
func idList(name string, value any) ([]string, error) {
	list, ok := value.([]any)
	if !ok || len(list) > maxCorrelated {
		return nil, refuse(http.StatusBadRequest, "The value of '%s' must be a list of at most %d ids.", name, maxCorrelated)
	}
	var ids []string
	for _, v := range list {
		id, ok := v.(string)
		if !ok || id == "" {
			return nil, refuse(http.StatusBadRequest, "The value of '%s' must be a list of ids.", name)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// checkReasons checks a flags enum: names joined by commas in one string.
func checkReasons(name string, value any) error {
	text, err := optionalText(name, value)
	if err != nil || value == nil {
		return err
	}
	for reason := range strings.SplitSeq(text, ",") {
		if !slices.Contains(correlationReasons, strings.TrimSpace(reason)) {
			return refuse(http.StatusBadRequest, "The value '%s' is not allowed for '%s'.", strings.TrimSpace(reason), name)
		}
	}
	return nil
}

// moveAlerts moves alerts to an incident, or to a new one. Nothing is moved unless everything can be.
func moveAlerts(x *exchange) (reply, error) {
	c, err := x.correlation("alertIds", "alertComment", "newCorrelationReasons", true)
	if err != nil {
		return reply{}, err
	}
	alerts := make([]*entry, len(c.ids))
	for i, id := range c.ids {
		if alerts[i], err = x.alert(id); err != nil {
			return reply{}, err
		}
	}
	changed := map[string]Change{}
	var target *entry
	if c.target == "" {
		target = x.s.store.newIncident(alerts, x.s.opts.Tenant, x.actor(), formatTime(x.now))
		changed["incidents/"+target.doc.text("id")] = Change{Old: nil, New: "created"}
	} else if target, err = x.openIncident(c.target); err != nil {
		return reply{}, err
	}
	x.move(alerts, target, c.comment, changed)
	return x.correlated(OpAlertMove, target, changed)
}

// openIncident finds an incident that can take alerts, following redirections if the service does.
func (x *exchange) openIncident(id string) (*entry, error) {
	e, err := x.incident(id)
	if err != nil {
		return nil, err
	}
	if e.doc.text("status") == "redirected" && x.s.opts.Behaviour.RefuseRedirected {
		return nil, refuse(http.StatusBadRequest, "The incident '%s' was merged into '%s'.", id, e.doc.text("redirectIncidentId"))
	}
	if e, err = x.s.store.follow(id); err != nil || !e.visible(x.now) {
		return nil, refuse(http.StatusNotFound, "The incident '%s' leads to one that was not found.", id)
	}
	return e, nil
}

// move puts alerts into the target and looks after the incidents they leave.
func (x *exchange) move(alerts []*entry, target *entry, comment string, changed map[string]Change) {
	id := target.doc.text("id")
	var left []string
	for _, alert := range alerts {
		old := alert.doc.text("incidentId")
		moved := old != id
		if moved {
			alert.doc["incidentId"], alert.doc["incidentWebUrl"] = id, target.doc["incidentWebUrl"]
			x.s.store.touch(alert, x.now)
			changed["alerts/"+alert.doc.text("id")+".incidentId"] = Change{Old: old, New: id}
			if !slices.Contains(left, old) {
				left = append(left, old)
			}
		}
		if comment != "" && (moved || x.s.opts.Behaviour.MoveCommentsEveryAlert) {
			x.say(alert, comment)
			changed["alerts/"+alert.doc.text("id")+".comments"] = Change{Old: nil, New: comment}
		}
	}
	for _, old := range left {
		if incident := x.s.store.incidents[old]; incident != nil {
			x.leave(incident, id, changed)
		}
	}
	if len(left) > 0 {
		target.doc["lastModifiedBy"] = x.actor()
		x.s.store.touch(target, x.now)
	}
}

// leave updates an incident that lost alerts; what becomes of an emptied one is a knob.
func (x *exchange) leave(incident *entry, target string, changed map[string]Change) {
	incident.doc["lastModifiedBy"] = x.actor()
	x.s.store.touch(incident, x.now)
	id := incident.doc.text("id")
	if len(x.s.store.alertsOf(id, x.now)) > 0 {
		return
	}
	var fields Document
	switch x.s.opts.Behaviour.EmptiedIncident {
	case EmptiedResolves:
		fields = Document{"status": "resolved"}
	case EmptiedRedirects:
		fields = Document{"status": "redirected", "redirectIncidentId": target}
	}
	for field, change := range incident.apply(fields) {
		changed["incidents/"+id+"."+field] = change
	}
}

// mergeIncidents merges incidents into one of them, chosen by the service.
func mergeIncidents(x *exchange) (reply, error) {
	c, err := x.correlation("incidentIds", "incidentComment", "mergeReasons", false)
	if err != nil {
		return reply{}, err
	}
	if len(c.ids) < 2 {
		return reply{}, refuse(http.StatusBadRequest, "The property 'incidentIds' must name at least two incidents.")
	}
	var incidents []*entry
	for _, id := range c.ids {
		e, err := x.openIncident(id)
		if err != nil {
			return reply{}, err
		}
		if !slices.Contains(incidents, e) {
			incidents = append(incidents, e)
		}
	}
	target := x.survivor(incidents)
	changed := map[string]Change{}
	if len(incidents) > 1 {
		x.merge(incidents, target, c.comment, changed)
	}
	return x.correlated(OpIncidentMerge, target, changed)
}

// survivor chooses the incident a merge keeps.
func (x *exchange) survivor(incidents []*entry) *entry {
	first := incidents[0]
	for _, e := range incidents[1:] {
		order := e.doc.at("createdDateTime").Compare(first.doc.at("createdDateTime"))
		switch x.s.opts.Behaviour.MergeSurvivor {
		case SurvivorFirst:
			return first
		case SurvivorNewest:
			order = -order
		}
		if order < 0 {
			first = e
		}
	}
	return first
}

// merge moves all alerts to the survivor and redirects the others.
func (x *exchange) merge(incidents []*entry, target *entry, comment string, changed map[string]Change) {
	id := target.doc.text("id")
	for _, e := range incidents {
		if e == target {
			continue
		}
		other := e.doc.text("id")
		for _, alert := range x.s.store.alertsOf(other, x.now) {
			alert.doc["incidentId"], alert.doc["incidentWebUrl"] = id, target.doc["incidentWebUrl"]
			x.s.store.touch(alert, x.now)
			changed["alerts/"+alert.doc.text("id")+".incidentId"] = Change{Old: other, New: id}
		}
		fields := Document{"status": "redirected", "redirectIncidentId": id, "lastModifiedBy": x.actor()}
		for field, change := range e.apply(fields) {
			changed["incidents/"+other+"."+field] = change
		}
		x.s.store.touch(e, x.now)
		if severity := worse(target.doc.text("severity"), e.doc.text("severity")); severity != target.doc["severity"] {
			target.doc["severity"] = severity
			x.s.other(target, x.actor(), Document{"severity": nil})
		}
	}
	if comment != "" {
		x.say(target, comment)
		changed["incidents/"+id+".comments"] = Change{Old: nil, New: comment}
	}
	target.doc["lastModifiedBy"] = x.actor()
	x.s.store.touch(target, x.now)
}

// correlated logs and answers a move or merge.
func (x *exchange) correlated(op string, target *entry, changed map[string]Change) (reply, error) {
	id := target.doc.text("id")
	if err := x.effect(op, "incidents/"+id, changed, map[string]any{"targetIncidentId": id}); err != nil {
		return reply{}, err
	}
	return x.json(http.StatusOK, nil, map[string]any{
		"@odata.context": x.base() + "/$metadata#microsoft.graph.security.mergeResponse", "targetIncidentId": id,
	}), nil
}

// worse is the higher of two severities.
func worse(a, b string) string {
	if slices.Index(severities, b) > slices.Index(severities, a) {
		return b
	}
	return a
}

// newIncident makes an incident for alerts.
func (st *store) newIncident(alerts []*entry, tenant, by, now string) *entry {
	id := st.freeIncidentID()
	severity := "informational"
	title := alerts[0].doc.text("title")
	for _, alert := range alerts {
		severity = worse(severity, alert.doc.text("severity"))
	}
	if len(alerts) > 1 {
		title = fmt.Sprintf("Multi-alert incident: %s and %d more", title, len(alerts)-1)
	}
	doc := incidentDocument(id, tenant, title, severity, now)
	doc["lastModifiedBy"] = by
	return st.put(st.incidents, doc, alerts[0].visibleAt)
}

// incidentDocument is an incident as the service makes it.
func incidentDocument(id, tenant, title, severity, created string) Document {
	return Document{
		"id": id, "tenantId": tenant, "status": "active", "severity": severity, "displayName": title,
		"incidentWebUrl":  fmt.Sprintf("https://security.microsoft.com/incident2/%s/overview?tid=%s", id, tenant),
		"createdDateTime": created, "lastUpdateDateTime": created, "redirectIncidentId": nil, "assignedTo": nil,
		"classification": "unknown", "determination": "unknown", "customTags": []any{}, "systemTags": []any{},
		"description": nil, "summary": nil, "resolvingComment": nil, "lastModifiedBy": "Microsoft 365 Defender",
		"priorityScore": nil, "comments": []any{},
	}
}
