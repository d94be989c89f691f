package devices

import (
	"encoding/json"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
)

// text is a field that Defender may send as null.
type text = actions.Nullable[string]

// actionOutput is a machine action as an output shows it: Defender's own JSON, unknown fields included.
type actionOutput struct {
	_ struct{} `play:"open"`

	ID                    text `json:"id,omitzero" play:"doc=The id of the machine action."`
	Type                  text `json:"type,omitzero" play:"doc=Isolate or Unisolate."`
	Scope                 text `json:"scope,omitzero" play:"doc=Of an isolation: Full, Selective or UnManagedDevice."`
	Status                text `json:"status,omitzero" play:"doc=Pending, InProgress, Succeeded, Failed, TimeOut or Cancelled. With await it is Succeeded, or the step fails."`
	MachineID             text `json:"machineId,omitzero" play:"doc=The device."`
	ComputerDNSName       text `json:"computerDnsName,omitzero" play:"doc=Its name."`
	Requestor             text `json:"requestor,omitzero" play:"doc=Who asked for it."`
	RequestorComment      text `json:"requestorComment,omitzero" play:"doc=The comment, with its marker."`
	CreationDateTimeUTC   text `json:"creationDateTimeUtc,omitzero" play:"doc=When it was asked for."`
	LastUpdateDateTimeUTC text `json:"lastUpdateDateTimeUtc,omitzero" play:"doc=When it last changed."`
	Joined                bool `json:"joined,omitempty" play:"doc=Whether somebody had asked for the same before: the step follows that machine action. Not a field of Defender's."`

	raw json.RawMessage
}

// MarshalJSON writes the machine action as Defender sent it.
func (o actionOutput) MarshalJSON() ([]byte, error) { return security.OrEmpty(o.raw), nil }

// started is a machine action that came of a request.
type started struct {
	action graph.MachineAction
	joined bool // it was under way before
}

// show writes it for an output: what may be spelled in two ways is spelled in one.
func (s started) show() (actionOutput, error) {
	fields, err := security.Fields(s.action)
	if err != nil {
		return actionOutput{}, err
	}
	delete(fields, "@odata.context")
	delete(fields, "lastUpdateTimeUtc")
	if at := s.action.LastUpdateDateTimeUTC; at != "" {
		fields["lastUpdateDateTimeUtc"] = at
	}
	if s.joined {
		fields["joined"] = true
	}
	raw, err := json.Marshal(fields)
	return actionOutput{raw: raw}, err
}

// preview is the machine action that would probably come of a request, in a state.
func (r request) preview(status string) actionOutput {
	fields := map[string]any{"type": r.kind, "status": status, "machineId": r.device, "requestorComment": r.comment}
	if r.scope != "" {
		fields["scope"] = r.scope
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return actionOutput{}
	}
	return actionOutput{raw: raw}
}
