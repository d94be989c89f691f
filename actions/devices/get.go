package devices

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
)

// getInput is the input of device.get.
type getInput struct {
	Device string `json:"device" play:"min=1;max=256;example=1e5bc9d7e413ddd7902c2932e418702b84d0cc07;doc=The device: mdeDeviceId of its evidence."`
}

// machineOutput is a machine as an output shows it: Defender's own JSON, unknown fields included.
type machineOutput struct {
	_ struct{} `play:"open"`

	ID               text     `json:"id,omitzero" play:"doc=The id of the device."`
	ComputerDNSName  text     `json:"computerDnsName,omitzero" play:"doc=Its name."`
	OSPlatform       text     `json:"osPlatform,omitzero" play:"doc=Its system, such as Windows11."`
	HealthStatus     text     `json:"healthStatus,omitzero" play:"doc=Active, Inactive, ImpairedCommunication, NoSensorData and others."`
	OnboardingStatus text     `json:"onboardingStatus,omitzero" play:"doc=Onboarded, CanBeOnboarded, Unsupported or InsufficientInfo."`
	RiskScore        text     `json:"riskScore,omitzero" play:"doc=None, Informational, Low, Medium or High."`
	ExposureLevel    text     `json:"exposureLevel,omitzero" play:"doc=None, Low, Medium or High."`
	DeviceValue      text     `json:"deviceValue,omitzero" play:"doc=Low, Normal or High: what people say it is worth."`
	RBACGroupName    text     `json:"rbacGroupName,omitzero" play:"doc=Its group."`
	AADDeviceID      text     `json:"aadDeviceId,omitzero" play:"doc=Its id in Entra."`
	LastIPAddress    text     `json:"lastIpAddress,omitzero" play:"doc=The last address inside."`
	LastSeen         text     `json:"lastSeen,omitzero" play:"doc=When it was last seen."`
	MachineTags      []string `json:"machineTags,omitempty" play:"doc=Tags that people and playbooks set."`

	raw json.RawMessage
}

// MarshalJSON writes the machine as Defender sent it.
func (o machineOutput) MarshalJSON() ([]byte, error) { return security.OrEmpty(o.raw), nil }

func (f family) get() actions.Action {
	return actions.Define(actions.Spec{
		Name:        "device.get",
		Summary:     "Reads a device.",
		Description: "What Defender for Endpoint knows of it now; the evidence of an alert shows it as it was. " + apiNote,
		Example: `- id: host
  action: device.get
  with: {device: "${{ devices(alert)[0].mdeDeviceId }}"}`,
		Rule: checkDevice,
	}, actions.Doing[getInput, machineOutput]{
		Part: actions.Part{Name: "get", Effect: actions.Reads, Summary: "GET of the machine.", Permissions: []string{security.ReadMachines}},
		Do:   f.doGet,
	})
}

func (f family) doGet(ctx context.Context, call actions.Call, in getInput) (machineOutput, error) {
	d, err := f.open.For(call)
	if err != nil {
		return machineOutput{}, err
	}
	m, err := d.Machine(security.Writing(ctx, call), strings.ToLower(in.Device))
	if err != nil {
		return machineOutput{}, err
	}
	fields, err := security.Fields(m)
	if err != nil {
		return machineOutput{}, err
	}
	delete(fields, "@odata.context")
	raw, err := json.Marshal(fields)
	return machineOutput{raw: raw}, err
}
