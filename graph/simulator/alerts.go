package simulator

import (
	"net/http"
)

func listAlerts(x *exchange) (reply, error) {
	res := x.s.alerts
	return x.page(res, shown(x.s.store.alerts, x.now), "security/alerts_v2", res.documented)
}

func countAlerts(x *exchange) (reply, error) {
	return x.total(x.s.alerts, shown(x.s.store.alerts, x.now))
}

func getAlert(x *exchange) (reply, error) {
	e, err := x.alert(x.params[0])
	if err != nil {
		return reply{}, err
	}
	o, err := x.options(x.s.alerts, nil, []string{"$select"})
	if err != nil {
		return reply{}, err
	}
	return x.single(x.s.alerts, e, o)
}

// alert finds a visible alert.
func (x *exchange) alert(id string) (*entry, error) {
	if e := x.s.store.alerts[id]; e.visible(x.now) {
		return e, nil
	}
	return nil, refuse(http.StatusNotFound, "The alert '%s' was not found.", id)
}

func updateAlert(x *exchange) (reply, error) {
	e, err := x.alert(x.params[0])
	if err != nil {
		return reply{}, err
	}
	fields, err := x.patch(x.s.alerts)
	if err != nil {
		return reply{}, err
	}
	if status, ok := fields["status"].(string); ok {
		fields["resolvedDateTime"] = x.resolvedAt(e, status)
	}
	changed := x.update(e, fields)
	x.afterAlertChange(e)
	if err := x.effect(OpAlertUpdate, "alerts/"+x.params[0], changed, nil); err != nil {
		return reply{}, err
	}
	return x.single(x.s.alerts, e, listOptions{})
}

// resolvedAt is the resolvedDateTime that goes with a status: kept when already resolved, null when reopened.
func (x *exchange) resolvedAt(e *entry, status string) any {
	if status != "resolved" {
		return nil
	}
	if old := e.doc["resolvedDateTime"]; old != nil && e.doc.text("status") == "resolved" {
		return old
	}
	return formatTime(x.now)
}

// afterAlertChange lets an incident follow its alert, as far as the knobs say so.
func (x *exchange) afterAlertChange(e *entry) {
	incident := x.s.store.incidents[e.doc.text("incidentId")]
	if incident == nil {
		return
	}
	if x.s.opts.Behaviour.AlertChangesTouchIncident {
		x.s.store.touch(incident, x.now)
	}
	if !x.s.opts.Behaviour.ResolveIncidentWithAlerts || incident.doc.text("status") == "resolved" {
		return
	}
	for _, alert := range x.s.store.alertsOf(incident.doc.text("id"), x.now) {
		if alert.doc.text("status") != "resolved" {
			return
		}
	}
	incident.doc["status"], incident.doc["lastModifiedBy"] = "resolved", x.actor()
	x.s.other(incident, x.actor(), Document{"status": nil})
	x.s.store.touch(incident, x.now)
}

func commentAlert(x *exchange) (reply, error) {
	e, err := x.alert(x.params[0])
	if err != nil {
		return reply{}, err
	}
	return x.postComment(x.s.alerts, e, OpAlertComment)
}
