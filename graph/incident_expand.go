package graph

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strings"
)

// Incidents lists incidents, page by page as they are taken.
//
// With alerts expanded the service is known to answer 500 when incidents are large. The listing
// then starts again in smaller pages, and if that fails too reads the alerts of each incident by
// themselves. Rows that were already handed out are not repeated.
func (c *Client) Incidents(ctx context.Context, q Query) iter.Seq2[Incident, error] {
	if !expandsAlerts(q.Expand) {
		return listing(ctx, c, opListIncidents, "", q, incidentID)
	}
	return c.expanded(ctx, q)
}

func expandsAlerts(expand string) bool {
	for e := range strings.SplitSeq(expand, ",") {
		if strings.TrimSpace(e) == "alerts" {
			return true
		}
	}
	return false
}

// smallTop is the page size of the second attempt at expanding.
const smallTop = 10

// expanded lists incidents with their alerts in up to three ways.
func (c *Client) expanded(ctx context.Context, q Query) iter.Seq2[Incident, error] {
	return func(yield func(Incident, error) bool) {
		if q.Top <= 0 || q.Top > MaxExpandTop {
			q.Top = MaxExpandTop
		}
		small := q
		small.Top = min(q.Top, smallTop)
		bare := q
		bare.Expand = ""
		out := &deduplicated{yield: yield, seen: map[string]bool{}}
		for _, way := range []struct {
			rows iter.Seq2[Incident, error]
			last bool
		}{
			{rows: listing(ctx, c, opListIncidents, "", q, incidentID)},
			{rows: listing(apart(ctx, "small"), c, opListIncidents, "", small, incidentID)},
			{rows: c.alertsApart(apart(ctx, "bare"), bare, out), last: true},
		} {
			err := out.drain(way.rows)
			if err == nil || out.stopped {
				return
			}
			if way.last || !tooLarge(err) {
				yield(Incident{}, err)
				return
			}
		}
	}
}

// deduplicated hands out rows once.
type deduplicated struct {
	yield   func(Incident, error) bool
	seen    map[string]bool
	stopped bool // the consumer wants no more
}

// drain hands out rows up to the first error.
func (d *deduplicated) drain(rows iter.Seq2[Incident, error]) error {
	for i, err := range rows {
		if err != nil {
			return err
		}
		if d.seen[i.ID] {
			continue
		}
		d.seen[i.ID] = true
		if !d.yield(i, nil) {
			d.stopped = true
			return nil
		}
	}
	return nil
}

// alertsApart lists incidents and reads the alerts of each that was not handed out yet.
func (c *Client) alertsApart(ctx context.Context, q Query, done *deduplicated) iter.Seq2[Incident, error] {
	return func(yield func(Incident, error) bool) {
		for i, err := range listing(ctx, c, opListIncidents, "", q, incidentID) {
			if err == nil && !done.seen[i.ID] {
				i, err = c.withAlerts(ctx, i)
			}
			if !yield(i, err) || err != nil {
				return
			}
		}
	}
}

// Incident reads one incident, with its alerts if wanted. If the service can't expand them, they
// are read by themselves.
func (c *Client) Incident(ctx context.Context, id string, expandAlerts bool) (Incident, error) {
	query := ""
	if expandAlerts {
		query = Query{Expand: "alerts"}.encode()
	}
	q, err := c.newCall(opGetIncident, id, query, nil)
	if err != nil {
		return Incident{}, err
	}
	i, err := one(ctx, c, q, incidentID)
	if err == nil || !expandAlerts || !tooLarge(err) {
		return i, err
	}
	if i, err = c.Incident(apart(ctx, "bare"), id, false); err != nil {
		return Incident{}, err
	}
	return c.withAlerts(ctx, i)
}

// tooLarge says that a failure looks like that of an answer too large to be built. A 503 is the
// service asking for less load: more requests are no answer to that.
func tooLarge(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.Status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// withAlerts reads the alerts of an incident and puts them where the expansion would have.
func (c *Client) withAlerts(ctx context.Context, i Incident) (Incident, error) {
	alerts := []Alert{}
	for a, err := range c.IncidentAlerts(apart(ctx, "alerts of "+i.ID), i.ID) {
		if err != nil {
			return Incident{}, err
		}
		alerts = append(alerts, a)
	}
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(i.Raw, &whole); err != nil {
		return Incident{}, c.broken(opGetIncident, "the incident cannot be read twice")
	}
	var err error
	if whole["alerts"], err = json.Marshal(alerts); err != nil {
		return Incident{}, c.broken(opIncidentAlerts, "the alerts cannot be written as JSON")
	}
	if i.Raw, err = json.Marshal(whole); err != nil {
		return Incident{}, c.broken(opGetIncident, "the incident cannot be written as JSON")
	}
	i.Alerts = alerts
	return i, nil
}
