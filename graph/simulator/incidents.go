package simulator

import (
	"fmt"
	"net/http"
)

func listIncidents(x *exchange) (reply, error) {
	res := x.s.incidents
	return x.page(res, shown(x.s.store.incidents, x.now), "security/incidents", res.documented)
}

func countIncidents(x *exchange) (reply, error) {
	return x.total(x.s.incidents, shown(x.s.store.incidents, x.now))
}

func getIncident(x *exchange) (reply, error) {
	e, err := x.incident(x.params[0])
	if err != nil {
		return reply{}, err
	}
	o, err := x.options(x.s.incidents, nil, []string{"$select", "$expand"})
	if err != nil {
		return reply{}, err
	}
	return x.single(x.s.incidents, e, o)
}

// incident finds a visible incident.
func (x *exchange) incident(id string) (*entry, error) {
	if e := x.s.store.incidents[id]; e.visible(x.now) {
		return e, nil
	}
	return nil, refuse(http.StatusNotFound, "The incident '%s' was not found.", id)
}

// listIncidentAlerts answers the navigation property. No query option is documented for it.
func listIncidentAlerts(x *exchange) (reply, error) {
	if _, err := x.incident(x.params[0]); err != nil {
		return reply{}, err
	}
	rows := x.s.store.alertsOf(x.params[0], x.now)
	return x.page(x.s.alerts, rows, fmt.Sprintf("security/incidents('%s')/alerts", x.params[0]), nil)
}

func updateIncident(x *exchange) (reply, error) {
	e, err := x.incident(x.params[0])
	if err != nil {
		return reply{}, err
	}
	fields, err := x.patch(x.s.incidents)
	if err != nil {
		return reply{}, err
	}
	changed := x.update(e, fields)
	e.doc["lastModifiedBy"] = x.actor()
	if fields["status"] == "resolved" && x.s.opts.Behaviour.ResolveAlertsWithIncident {
		x.resolveAlerts(x.params[0], changed)
	}
	if err := x.effect(OpIncidentUpdate, "incidents/"+x.params[0], changed, nil); err != nil {
		return reply{}, err
	}
	return x.single(x.s.incidents, e, listOptions{})
}

// resolveAlerts resolves what is still open in an incident and adds it to the changes of the effect.
func (x *exchange) resolveAlerts(incident string, changed map[string]Change) {
	for _, alert := range x.s.store.alertsOf(incident, x.now) {
		if alert.doc.text("status") == "resolved" {
			continue
		}
		for field, change := range x.update(alert, Document{"status": "resolved", "resolvedDateTime": formatTime(x.now)}) {
			changed["alerts/"+alert.doc.text("id")+"."+field] = change
		}
	}
}

func commentIncident(x *exchange) (reply, error) {
	e, err := x.incident(x.params[0])
	if err != nil {
		return reply{}, err
	}
	rep, err := x.postComment(x.s.incidents, e, OpIncidentComment)
	if err == nil {
		e.doc["lastModifiedBy"] = x.actor()
	}
	return rep, err
}
