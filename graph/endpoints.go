package graph

// Endpoint is one request that the client can send. The table of them is the only place where a
// path, its permission and its class are written; the reference is generated from it.
type Endpoint struct {
	Method     string
	Path       string // below the version, {id} stands for an id
	Permission string // the least application permission
	Class      Class  // whose budget it is charged to
	Func       string // the function that sends it
}

// operation names a row of the table.
type operation int

const (
	opListAlerts operation = iota
	opCountAlerts
	opGetAlert
	opUpdateAlert
	opCommentAlert
	opMoveAlerts
	opListIncidents
	opCountIncidents
	opGetIncident
	opIncidentAlerts
	opUpdateIncident
	opCommentIncident
	opMergeIncidents
)

// The permissions that the table names.
const (
	readAlerts     = "SecurityAlert.Read.All"
	writeAlerts    = "SecurityAlert.ReadWrite.All"
	readIncidents  = "SecurityIncident.Read.All"
	writeIncidents = "SecurityIncident.ReadWrite.All"
	manageData     = "SecurityData.Manage.All"
)

// Endpoints lists every request that the client can send, in the order of [operation].
func Endpoints() []Endpoint {
	return []Endpoint{
		opListAlerts:      {"GET", "/security/alerts_v2", readAlerts, ClassSecurity, "Alerts"},
		opCountAlerts:     {"GET", "/security/alerts_v2/$count", readAlerts, ClassSecurity, "CountAlerts"},
		opGetAlert:        {"GET", "/security/alerts_v2/{id}", readAlerts, ClassSecurity, "Alert"},
		opUpdateAlert:     {"PATCH", "/security/alerts_v2/{id}", writeAlerts, ClassSecurity, "UpdateAlert"},
		opCommentAlert:    {"POST", "/security/alerts_v2/{id}/comments", writeAlerts, ClassSecurity, "CommentAlert"},
		opMoveAlerts:      {"POST", "/security/alerts_v2/moveAlerts", manageData, ClassSecurity, "MoveAlerts"},
		opListIncidents:   {"GET", "/security/incidents", readIncidents, ClassSecurity, "Incidents"},
		opCountIncidents:  {"GET", "/security/incidents/$count", readIncidents, ClassSecurity, "CountIncidents"},
		opGetIncident:     {"GET", "/security/incidents/{id}", readIncidents, ClassSecurity, "Incident"},
		opIncidentAlerts:  {"GET", "/security/incidents/{id}/alerts", readIncidents, ClassSecurity, "IncidentAlerts"},
		opUpdateIncident:  {"PATCH", "/security/incidents/{id}", writeIncidents, ClassSecurity, "UpdateIncident"},
		opCommentIncident: {"POST", "/security/incidents/{id}/comments", writeIncidents, ClassSecurity, "CommentIncident"},
		opMergeIncidents:  {"POST", "/security/incidents/mergeIncidents", manageData, ClassSecurity, "MergeIncidents"},
	}
}

// endpoint is the row of the operation.
func (o operation) endpoint() Endpoint { return Endpoints()[o] }

// reads says that a request changes nothing, so that a lost answer leaves nothing unknown.
func (e Endpoint) reads() bool { return e.Method == "GET" }
