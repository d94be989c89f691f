package simulator

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// versionPrefix begins every path of the Graph surface.
const versionPrefix = "/v1.0"

// route is a row of the table: a resource is added by adding rows.
type route struct {
	method string
	path   string   // "{}" captures a segment; other segments match without regard to case
	roles  []string // any of them will do
	handle func(*exchange) (reply, error)
}

// routes is the surfaces of Graph and, below /api, of Defender. Where a fixed and a captured segment compete, the earlier row wins.
func routes() []route {
	var (
		readAlerts     = []string{"SecurityAlert.Read.All", "SecurityAlert.ReadWrite.All"}
		writeAlerts    = []string{"SecurityAlert.ReadWrite.All"}
		readIncidents  = []string{"SecurityIncident.Read.All", "SecurityIncident.ReadWrite.All"}
		writeIncidents = []string{"SecurityIncident.ReadWrite.All"}
		manage         = []string{"SecurityData.Manage.All"}
		hunt           = []string{"ThreatHunting.Read.All"}
		readMachines   = []string{"Machine.Read.All", "Machine.ReadWrite.All"}
		isolate        = []string{"Machine.Isolate"}
	)
	return []route{
		{"GET", "/security/alerts_v2", readAlerts, listAlerts},
		{"GET", "/security/alerts_v2/$count", readAlerts, countAlerts},
		{"POST", "/security/alerts_v2/moveAlerts", manage, moveAlerts},
		{"POST", "/security/alerts_v2/microsoft.graph.security.moveAlerts", manage, moveAlerts},
		{"GET", "/security/alerts_v2/{}", readAlerts, getAlert},
		{"PATCH", "/security/alerts_v2/{}", writeAlerts, updateAlert},
		{"POST", "/security/alerts_v2/{}/comments", writeAlerts, commentAlert},

		{"GET", "/security/incidents", readIncidents, listIncidents},
		{"GET", "/security/incidents/$count", readIncidents, countIncidents},
		{"POST", "/security/incidents/mergeIncidents", manage, mergeIncidents},
		{"POST", "/security/incidents/microsoft.graph.security.mergeIncidents", manage, mergeIncidents},
		{"GET", "/security/incidents/{}", readIncidents, getIncident},
		{"PATCH", "/security/incidents/{}", writeIncidents, updateIncident},
		{"GET", "/security/incidents/{}/alerts", readIncidents, listIncidentAlerts},
		{"POST", "/security/incidents/{}/comments", writeIncidents, commentIncident},

		{"POST", "/security/runHuntingQuery", hunt, runHuntingQuery},
		{"POST", "/security/microsoft.graph.security.runHuntingQuery", hunt, runHuntingQuery},

		{"GET", "/api/machines", readMachines, listMachines},
		{"GET", "/api/machines/{}", readMachines, getMachine},
		{"POST", "/api/machines/{}/isolate", isolate, isolateMachine},
		{"POST", "/api/machines/{}/unisolate", isolate, releaseMachine},
		{"GET", "/api/machineactions", readMachines, listMachineActions},
		{"GET", "/api/machineactions/{}", readMachines, getMachineAction},
	}
}

// allRoles lists the least role of every route.
func allRoles() []string {
	var roles []string
	for _, r := range routes() {
		if last := r.roles[len(r.roles)-1]; !slices.Contains(roles, last) {
			roles = append(roles, last)
		}
	}
	return roles
}

// match compares a path with the route and captures.
func (r route) match(segments []string) ([]string, bool) {
	pattern := strings.Split(r.path[1:], "/")
	if len(pattern) != len(segments) {
		return nil, false
	}
	var params []string
	for i, want := range pattern {
		switch {
		case want == "{}" && segments[i] != "":
			params = append(params, segments[i])
		case !strings.EqualFold(want, segments[i]):
			return nil, false
		}
	}
	return params, true
}

// dispatch finds the handler. The order of the checks is the order in which the service refuses: who are you,
// not so often, what do you want, may you, and in which form.
func (x *exchange) dispatch() (reply, error) {
	if x.surface == authoritySurface {
		return x.authority()
	}
	if err := x.authenticate(); err != nil {
		return reply{}, err
	}
	if err := x.throttle(); err != nil {
		return reply{}, err
	}
	r, err := x.find()
	if err != nil {
		return reply{}, err
	}
	if err := x.authorize(r.roles); err != nil {
		return reply{}, err
	}
	if x.query, err = url.ParseQuery(x.r.URL.RawQuery); err != nil {
		return reply{}, refuse(http.StatusBadRequest, "The query string is malformed.")
	}
	if r.method != http.MethodGet {
		if kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return reply{}, refuse(http.StatusUnsupportedMediaType, "A body must be sent with Content-Type application/json.")
		}
	}
	x.allEnums = prefers(x.r.Header, "include-unknown-enum-members")
	rep, err := r.handle(x)
	if err == nil && x.allEnums && x.s.opts.Behaviour.EchoPreference {
		rep.header.Set("Preference-Applied", "include-unknown-enum-members")
	}
	return rep, err
}

// find looks the request up in the table.
func (x *exchange) find() (route, error) {
	escaped := x.r.URL.EscapedPath()
	if rest, ok := cutPrefixFold(escaped, versionPrefix); ok {
		escaped = rest
	}
	segments := strings.Split(strings.TrimPrefix(strings.TrimSuffix(escaped, "/"), "/"), "/")
	for i := range segments {
		plain, err := url.PathUnescape(segments[i])
		if err != nil {
			return route{}, refuse(http.StatusBadRequest, "The path is malformed.")
		}
		segments[i] = plain
	}
	var allowed []string
	for _, r := range x.s.routes {
		params, ok := r.match(segments)
		if !ok || r.surface() != x.surface {
			continue
		}
		if r.method == x.r.Method {
			x.params = params
			return r, nil
		}
		allowed = append(allowed, r.method)
	}
	if allowed == nil && x.surface == defenderSurface {
		return route{}, refuse(http.StatusNotFound, "No HTTP resource was found that matches the request URI.")
	}
	if allowed == nil {
		return route{}, refuse(http.StatusBadRequest, "Resource not found for the segment '%s'.", segments[len(segments)-1])
	}
	e := refuse(http.StatusMethodNotAllowed, "The method is not allowed here.")
	e.header = http.Header{"Allow": {strings.Join(slices.Compact(allowed), ", ")}}
	return route{}, e
}

// prefers looks for a preference, which may share its header line with others.
func prefers(h http.Header, preference string) bool {
	for _, line := range h.Values("Prefer") {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(item), preference) {
				return true
			}
		}
	}
	return false
}
