package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Machine is a device as Defender for Endpoint knows it. Raw holds the whole object as it came.
type Machine struct {
	ID              string `json:"id"` // 40 hexadecimal digits, mdeDeviceId in the evidence of an alert
	ComputerDNSName string `json:"computerDnsName"`
	OSPlatform      string `json:"osPlatform"`
	HealthStatus    string `json:"healthStatus"`
	RiskScore       string `json:"riskScore"`

	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the whole object in Raw, and reads fields as leniently as an alert's.
func (m *Machine) UnmarshalJSON(data []byte) error {
	var f struct {
		ID              text `json:"id"`
		ComputerDNSName text `json:"computerDnsName"`
		OSPlatform      text `json:"osPlatform"`
		HealthStatus    text `json:"healthStatus"`
		RiskScore       text `json:"riskScore"`
	}
	if err := unmarshalObject(data, &f); err != nil {
		return err
	}
	*m = Machine{ID: string(f.ID), ComputerDNSName: string(f.ComputerDNSName), OSPlatform: string(f.OSPlatform),
		HealthStatus: string(f.HealthStatus), RiskScore: string(f.RiskScore), Raw: slices.Clone(data)}
	return nil
}

// MarshalJSON writes the object as it came, or its named fields if it never came from Defender.
func (m Machine) MarshalJSON() ([]byte, error) {
	if m.Raw != nil {
		return m.Raw, nil
	}
	type named Machine
	return json.Marshal(named(m))
}

// MachineAction is something that was asked of a machine and takes its time: the answer to the request is
// only its beginning. Raw holds the whole object as it came.
type MachineAction struct {
	ID                    string `json:"id"`
	Type                  string `json:"type"`   // Isolate, Unisolate and so on
	Scope                 string `json:"scope"`  // of an isolation: Full, Selective or UnManagedDevice
	Status                string `json:"status"` // one of MachineActionStatuses
	MachineID             string `json:"machineId"`
	ComputerDNSName       string `json:"computerDnsName"`
	Requestor             string `json:"requestor"`
	RequestorComment      string `json:"requestorComment"`
	CreationDateTimeUTC   string `json:"creationDateTimeUtc"`
	LastUpdateDateTimeUTC string `json:"lastUpdateDateTimeUtc"` // as sent; lists call it lastUpdateTimeUtc

	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the whole object in Raw, and reads fields as leniently as an alert's.
func (a *MachineAction) UnmarshalJSON(data []byte) error {
	var f struct {
		ID                    text `json:"id"`
		Type                  text `json:"type"`
		Scope                 text `json:"scope"`
		Status                text `json:"status"`
		MachineID             text `json:"machineId"`
		ComputerDNSName       text `json:"computerDnsName"`
		Requestor             text `json:"requestor"`
		RequestorComment      text `json:"requestorComment"`
		CreationDateTimeUTC   text `json:"creationDateTimeUtc"`
		LastUpdateDateTimeUTC text `json:"lastUpdateDateTimeUtc"`
		LastUpdateTimeUTC     text `json:"lastUpdateTimeUtc"`
	}
	if err := unmarshalObject(data, &f); err != nil {
		return err
	}
	if f.LastUpdateDateTimeUTC == "" {
		f.LastUpdateDateTimeUTC = f.LastUpdateTimeUTC
	}
	*a = MachineAction{ID: string(f.ID), Type: string(f.Type), Scope: string(f.Scope), Status: string(f.Status),
		MachineID: string(f.MachineID), ComputerDNSName: string(f.ComputerDNSName), Requestor: string(f.Requestor),
		RequestorComment: string(f.RequestorComment), CreationDateTimeUTC: string(f.CreationDateTimeUTC),
		LastUpdateDateTimeUTC: string(f.LastUpdateDateTimeUTC), Raw: slices.Clone(data)}
	return nil
}

// MarshalJSON writes the object as it came, or its named fields if it never came from Defender.
func (a MachineAction) MarshalJSON() ([]byte, error) {
	if a.Raw != nil {
		return a.Raw, nil
	}
	type named MachineAction
	return json.Marshal(named(a))
}

// The states of a machine action. A state that is none of these counts as not ended.
const (
	MachineActionPending    = "Pending"
	MachineActionInProgress = "InProgress"
	MachineActionSucceeded  = "Succeeded"
	MachineActionFailed     = "Failed"
	MachineActionTimeOut    = "TimeOut"
	MachineActionCancelled  = "Cancelled"
)

// MachineActionStatuses lists the states, in the order of the contract.
func MachineActionStatuses() []string {
	return []string{MachineActionPending, MachineActionInProgress, MachineActionSucceeded, MachineActionFailed,
		MachineActionTimeOut, MachineActionCancelled}
}

// Ended says that a machine action will not change any more, and Succeeded that it did what was asked.
func (a MachineAction) Ended() bool {
	return slices.Contains([]string{MachineActionSucceeded, MachineActionFailed, MachineActionTimeOut, MachineActionCancelled}, a.Status)
}

// Succeeded says that what was asked of the machine was done.
func (a MachineAction) Succeeded() bool { return a.Status == MachineActionSucceeded }

// The types of machine actions that this client asks for.
const (
	MachineIsolate = "Isolate"
	MachineRelease = "Unisolate"
)

// IsolationTypes lists how a machine can be cut off.
func IsolationTypes() []string { return []string{"Full", "Selective", "UnManagedDevice"} }

// Machines lists machines, page by page as they are taken. Leave Query.Top alone: with it, Defender names
// no next page.
func (c *Client) Machines(ctx context.Context, q Query) iter.Seq2[Machine, error] {
	return listing(ctx, c, opListMachines, "", q, func(m Machine) string { return m.ID })
}

// Machine reads one machine.
func (c *Client) Machine(ctx context.Context, id string) (Machine, error) {
	q, err := c.newCall(opGetMachine, id, "", nil)
	if err != nil {
		return Machine{}, err
	}
	return one(ctx, c, q, func(m Machine) string { return m.ID })
}

// MachineActions lists machine actions, as [Client.Machines] does. Defender filters by id, status, machineId,
// type, requestor and creationDateTimeUtc, and by nothing else.
func (c *Client) MachineActions(ctx context.Context, q Query) iter.Seq2[MachineAction, error] {
	return listing(ctx, c, opListMachineActions, "", q, machineActionID)
}

// MachineAction reads one machine action.
func (c *Client) MachineAction(ctx context.Context, id string) (MachineAction, error) {
	q, err := c.newCall(opGetMachineAction, id, "", nil)
	if err != nil {
		return MachineAction{}, err
	}
	return one(ctx, c, q, machineActionID)
}

func machineActionID(a MachineAction) string { return a.ID }

// IsolateMachine begins to cut a machine off from the network. While an isolation of the machine has not
// ended, Defender refuses another one with 400.
func (c *Client) IsolateMachine(ctx context.Context, id, isolation, comment string) (MachineAction, error) {
	if !slices.Contains(IsolationTypes(), isolation) {
		return MachineAction{}, c.invalid(opIsolateMachine,
			fmt.Sprintf("%q is no type of isolation: use one of %s", clean(isolation, maxShown), strings.Join(IsolationTypes(), ", ")))
	}
	return c.startMachineAction(ctx, opIsolateMachine, id, map[string]any{"Comment": comment, "IsolationType": isolation})
}

// ReleaseMachine begins to let a machine back into the network.
func (c *Client) ReleaseMachine(ctx context.Context, id, comment string) (MachineAction, error) {
	return c.startMachineAction(ctx, opReleaseMachine, id, map[string]any{"Comment": comment})
}

func (c *Client) startMachineAction(ctx context.Context, op operation, id string, body map[string]any) (MachineAction, error) {
	if comment, _ := body["Comment"].(string); strings.TrimSpace(comment) == "" {
		return MachineAction{}, c.invalid(op, "the comment is empty")
	}
	q, err := c.newCall(op, id, "", body)
	if err != nil {
		return MachineAction{}, err
	}
	return one(ctx, c, q, machineActionID)
}
