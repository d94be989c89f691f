package graph

import "time"

// Endpoint is one request that the client can send. The table of them is the only place where a
// path, its permission and its class are written; the reference is generated from it.
type Endpoint struct {
	Method     string
	Path       string // below the version of Graph, or below the address of Defender; {id} stands for an id
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
	opRunHunting
	opListMachines
	opGetMachine
	opIsolateMachine
	opReleaseMachine
	opListMachineActions
	opGetMachineAction
)

// The permissions that the table names.
const (
	readAlerts     = "SecurityAlert.Read.All"
	writeAlerts    = "SecurityAlert.ReadWrite.All"
	readIncidents  = "SecurityIncident.Read.All"
	writeIncidents = "SecurityIncident.ReadWrite.All"
	manageData     = "SecurityData.Manage.All"
	readHunting    = "ThreatHunting.Read.All"
	readMachines   = "Machine.Read.All"
	isolateMachine = "Machine.Isolate"
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

		opRunHunting: {"POST", "/security/runHuntingQuery", readHunting, ClassHunting, "RunHuntingQuery"},

		opListMachines:       {"GET", "/api/machines", readMachines, ClassDevices, "Machines"},
		opGetMachine:         {"GET", "/api/machines/{id}", readMachines, ClassDevices, "Machine"},
		opIsolateMachine:     {"POST", "/api/machines/{id}/isolate", isolateMachine, ClassDevices, "IsolateMachine"},
		opReleaseMachine:     {"POST", "/api/machines/{id}/unisolate", isolateMachine, ClassDevices, "ReleaseMachine"},
		opListMachineActions: {"GET", "/api/machineactions", readMachines, ClassDevices, "MachineActions"},
		opGetMachineAction:   {"GET", "/api/machineactions/{id}", readMachines, ClassDevices, "MachineAction"},
	}
}

// table is made once: every request looks at its row several times.
var table = Endpoints()

// endpoint is the row of the operation.
func (o operation) endpoint() Endpoint { return table[o] }

// reads says that a request changes nothing, so that a lost answer leaves nothing unknown. A hunting
// query is a POST only because it is long.
func (e Endpoint) reads() bool { return e.Method == "GET" || e.Class == ClassHunting }

// API is the service that answers. The class of devices is Defender for Endpoint's own.
func (e Endpoint) API() API {
	if e.Class == ClassDevices {
		return APIDefender
	}
	return APIGraph
}

// timeout is how long an exchange may take.
func (e Endpoint) timeout() time.Duration {
	if e.Class == ClassHunting {
		return HuntingTimeout
	}
	return RequestTimeout
}
