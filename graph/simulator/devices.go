package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// How long a machine action takes when the options do not say.
const (
	DefaultPending = 5 * time.Second
	DefaultRunning = 10 * time.Second
)

// MaxDeviceTop is the largest page of a list of the Defender surface.
const MaxDeviceTop = 10_000

// machineActionStates lists the states of a machine action; the last four are ends.
var machineActionStates = []string{"Pending", "InProgress", "Succeeded", "Failed", "TimeOut", "Cancelled"}

// isolationTypes are the ways to cut a machine off.
var isolationTypes = []string{"Full", "Selective", "UnManagedDevice"}

// machineActionTypes are those that a filter may name.
var machineActionTypes = []string{"RunAntiVirusScan", "Offboard", "LiveResponse", "CollectInvestigationPackage", "Isolate",
	"Unisolate", "StopAndQuarantineFile", "RestrictCodeExecution", "UnrestrictCodeExecution"}

// Devices says how machines take what is asked of them. The times run on the service's clock.
type Devices struct {
	Pending time.Duration // until a machine takes an action up; zero: DefaultPending
	Running time.Duration // and until it has done it; zero: DefaultRunning
	// Outcomes says, by a machine's id, in which state its actions end; those that are not named succeed.
	// Pending is a machine that never answers, InProgress one that never gets done.
	Outcomes map[string]string
}

func (d Devices) check() error {
	if d.Pending < 0 || d.Running < 0 {
		return errors.New("devices: pending and running cannot be negative")
	}
	for _, id := range slices.Sorted(maps.Keys(d.Outcomes)) {
		if state := d.Outcomes[id]; !slices.Contains(machineActionStates, state) {
			return fmt.Errorf("devices: the outcome of %q is %q: use one of %s", id, state, strings.Join(machineActionStates, ", "))
		}
	}
	return nil
}

func machineResource() *resource {
	return &resource{
		segment: "Machines", kind: "microsoft.windowsDefenderATP.api.machine", object: "machines",
		documented: []string{"$filter", "$skip", "$top"}, maxTop: MaxDeviceTop, topEnds: true,
		properties: map[string]property{
			"id": {filterable: true}, "computerDnsName": {filterable: true}, "lastSeen": {form: formTime, filterable: true},
			"healthStatus": {filterable: true}, "osPlatform": {filterable: true}, "onboardingStatus": {filterable: true},
			"riskScore": {filterable: true}, "rbacGroupId": {form: formOpaque, filterable: true}, "lastIpAddress": {filterable: true},
			"aadDeviceId": {filterable: true}, "machineTags": {form: formTexts, filterable: true},
			"firstSeen": {form: formTime}, "version": {}, "osProcessor": {}, "osBuild": {form: formNumber}, "lastExternalIpAddress": {},
			"rbacGroupName": {}, "exposureLevel": {}, "deviceValue": {},
		},
	}
}

func machineActionResource() *resource {
	return &resource{
		segment: "MachineActions", kind: "microsoft.windowsDefenderATP.api.machineAction", object: "machineactions",
		documented: []string{"$filter", "$skip", "$top"}, maxTop: MaxDeviceTop, topEnds: true,
		properties: map[string]property{
			"id": {filterable: true}, "machineId": {filterable: true}, "requestor": {filterable: true},
			"status":              {form: formEnum, members: machineActionStates, filterable: true},
			"type":                {form: formEnum, members: machineActionTypes, filterable: true},
			"creationDateTimeUtc": {form: formTime, filterable: true},
			"scope":               {}, "title": {}, "requestorComment": {}, "requestSource": {}, "externalID": {}, "computerDnsName": {},
			"lastUpdateDateTimeUtc": {form: formTime}, "lastUpdateTimeUtc": {form: formTime}, "cancellationRequestor": {},
			"cancellationComment": {}, "cancellationDateTimeUtc": {form: formTime}, "errorHResult": {form: formNumber},
			"commands": {form: formOpaque}, "relatedFileInfo": {form: formOpaque},
		},
	}
}

// enrol makes a machine of each device in an alert's evidence that Defender for Endpoint has an id for.
func (s *Server) enrol(evidence []any) {
	for _, item := range evidence {
		e, _ := item.(map[string]any)
		device := Document(e)
		id := device.text("mdeDeviceId")
		if trimType(device.text("@odata.type")) != "deviceEvidence" || id == "" || s.store.machines[id] != nil {
			continue
		}
		doc := Document{"id": id}
		for name, from := range map[string]string{"computerDnsName": "deviceDnsName", "firstSeen": "firstSeenDateTime",
			"osPlatform": "osPlatform", "version": "version", "healthStatus": "healthStatus", "onboardingStatus": "onboardingStatus",
			"riskScore": "riskScore", "rbacGroupName": "rbacGroupName", "aadDeviceId": "azureAdDeviceId", "osBuild": "osBuild",
			"lastIpAddress": "lastIpAddress"} {
			doc[name] = device[from]
		}
		for _, name := range []string{"healthStatus", "onboardingStatus", "riskScore"} { // the API writes "Active" where evidence says "active"
			if text := doc.text(name); text != "" {
				doc[name] = strings.ToUpper(text[:1]) + text[1:]
			}
		}
		doc["machineTags"] = []any{}
		s.putMachine(doc)
	}
}

func (s *Server) putMachine(doc Document) {
	e := s.store.put(s.store.machines, doc, time.Time{})
	e.times = timeFields{created: "firstSeen", updated: "lastSeen"}
}

func listMachines(x *exchange) (reply, error) {
	return x.page(x.s.machines, shown(x.s.store.machines, x.now), "Machines", x.s.machines.documented)
}

func getMachine(x *exchange) (reply, error) {
	e, err := x.machine(x.params[0])
	if err != nil {
		return reply{}, err
	}
	return x.json(http.StatusOK, nil, x.ofDefender("Machines/$entity", e.doc.clone())), nil
}

// machine finds a machine by its id, or by its name, which the service takes as well.
func (x *exchange) machine(id string) (*entry, error) {
	if e := x.s.store.machines[id]; e != nil {
		return e, nil
	}
	for _, known := range slices.Sorted(maps.Keys(x.s.store.machines)) {
		e := x.s.store.machines[known]
		if strings.EqualFold(known, id) || strings.EqualFold(e.doc.text("computerDnsName"), id) {
			return e, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "Machine %s was not found", id)
}

func listMachineActions(x *exchange) (reply, error) {
	return x.page(x.s.machineActions, shown(x.s.store.machineActions, x.now), "MachineActions", x.s.machineActions.documented)
}

func getMachineAction(x *exchange) (reply, error) {
	e := x.s.store.machineActions[x.params[0]]
	if e == nil {
		return reply{}, refuse(http.StatusNotFound, "Machine action %s was not found", x.params[0])
	}
	return x.json(http.StatusOK, nil, x.ofDefender("MachineActions/$entity", e.doc.clone())), nil
}

// ofDefender adds the context that an object has alone.
func (x *exchange) ofDefender(context string, doc Document) Document {
	doc["@odata.context"] = x.base() + "/$metadata#" + context
	return doc
}

// isolateMachine begins to cut a machine off.
func isolateMachine(x *exchange) (reply, error) {
	return x.startMachineAction("Isolate", OpDeviceIsolate, func(body map[string]any) (any, error) {
		scope, given := body["IsolationType"].(string)
		switch {
		case !given && body["IsolationType"] == nil && x.s.opts.Mode == LiveLike:
			return "Full", nil // older pages say that it may be left out
		case !slices.Contains(isolationTypes, scope):
			return nil, refuse(http.StatusBadRequest, "IsolationType must be one of %s", strings.Join(isolationTypes, ", "))
		}
		return scope, nil
	})
}

// releaseMachine begins to let a machine back into the network.
func releaseMachine(x *exchange) (reply, error) {
	return x.startMachineAction("Unisolate", OpDeviceRelease, func(map[string]any) (any, error) { return nil, nil })
}

// startMachineAction performs a request for a machine action, whose scope is read from the body.
func (x *exchange) startMachineAction(kind, op string, scope func(body map[string]any) (any, error)) (reply, error) {
	body, err := x.bodyObject()
	if err != nil {
		return reply{}, err
	}
	comment, _ := body["Comment"].(string)
	if strings.TrimSpace(comment) == "" {
		return reply{}, refuse(http.StatusBadRequest, "Comment is missing or empty")
	}
	wanted, err := scope(body)
	if err != nil {
		return reply{}, err
	}
	machine, err := x.machine(x.params[0])
	if err != nil {
		return reply{}, err
	}
	id := machine.doc.text("id")
	for _, other := range x.s.store.machineActions {
		if other.doc.text("machineId") == id && other.doc.text("type") == kind && !ended(other.doc) {
			e := refuse(http.StatusBadRequest, "Action is already in progress")
			e.code = orDefault(x.s.opts.Behaviour.ActiveRequestCode, "ActiveRequestAlreadyExists")
			return reply{}, e
		}
	}
	stamp := formatTime(x.now.UTC().Truncate(tick))
	doc := Document{
		"id": x.s.uuid(), "type": kind, "title": nil, "scope": wanted, "requestor": x.caller.client, "requestorComment": comment,
		"requestSource": "PublicApi", "externalID": nil, "status": "Pending", "machineId": id, "computerDnsName": machine.doc["computerDnsName"],
		"creationDateTimeUtc": stamp, "lastUpdateDateTimeUtc": stamp, "cancellationRequestor": nil, "cancellationComment": nil,
		"cancellationDateTimeUtc": nil, "errorHResult": 0, "commands": []any{}, "relatedFileInfo": nil,
	}
	x.s.track(doc, x.now)
	if err := x.effect(op, "machines/"+id, map[string]Change{}, map[string]any{"id": doc["id"]}); err != nil {
		return reply{}, err
	}
	return x.json(http.StatusCreated, nil, x.ofDefender("MachineActions/$entity", doc.clone())), nil
}

// track stores a machine action and plans what becomes of it.
func (s *Server) track(doc Document, now time.Time) {
	e := s.store.put(s.store.machineActions, doc, time.Time{})
	e.times = timeFields{created: "creationDateTimeUtc", updated: "lastUpdateDateTimeUtc"}
	end := orDefault(s.opts.Devices.Outcomes[doc.text("machineId")], "Succeeded")
	if end == "Pending" {
		return
	}
	taken := now.Add(s.opts.Devices.Pending)
	s.store.schedule(later{due: taken, entry: e, fields: Document{"status": "InProgress"}})
	if end != "InProgress" {
		s.store.schedule(later{due: taken.Add(s.opts.Devices.Running), entry: e, fields: Document{"status": end}})
	}
}

// ended tells whether a machine action will not change any more.
func ended(doc Document) bool { return slices.Index(machineActionStates, doc.text("status")) >= 2 }

// Machine returns a copy of a machine; nil when there is none.
func (s *Server) Machine(id string) Document { return s.copyOf(s.store.machines, id) }

// MachineActions returns copies of all machine actions, in the order in which they were asked for.
func (s *Server) MachineActions() []Document {
	all := s.copies(s.store.machineActions)
	slices.Reverse(all)
	return all
}

// Isolation tells how a machine is cut off now: Full, Selective or UnManagedDevice; empty when it is not.
func (s *Server) Isolation(machine string) string {
	var isolation string
	done := s.MachineActions()
	slices.SortStableFunc(done, func(a, b Document) int {
		return cmp.Compare(a.text("lastUpdateDateTimeUtc"), b.text("lastUpdateDateTimeUtc"))
	})
	for _, action := range done {
		if action.text("machineId") == machine && action.text("status") == "Succeeded" {
			isolation = action.text("scope") // a release has none
		}
	}
	return isolation
}
