package devices

import (
	"strings"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
)

const apiNote = "The permissions are those of WindowsDefenderATP, the API of Defender for Endpoint, and not of Microsoft Graph."

// isolateInput is the input of device.isolate.
type isolateInput struct {
	Device  string `json:"device" play:"min=1;max=256;example=1e5bc9d7e413ddd7902c2932e418702b84d0cc07;doc=The device: mdeDeviceId of its evidence."`
	Type    string `json:"type,omitempty" play:"enum=full|selective|unmanagedDevice;default=full;doc=full cuts it off from all but Defender, selective leaves Outlook and Teams, unmanagedDevice has the others refuse it."`
	Comment string `json:"comment" play:"min=1;example=Ransomware, run 4711;doc=Why, for whoever looks in the portal. It ends in a marker, so that it is asked for once; beyond 10000 characters it is cut."`
}

func (in isolateInput) request() request {
	scope := map[string]string{"": "Full", "full": "Full", "selective": "Selective", "unmanagedDevice": "UnManagedDevice"}[in.Type]
	return request{device: strings.ToLower(in.Device), kind: graph.MachineIsolate, scope: scope, comment: in.Comment}
}

func (f family) isolate() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "device.isolate",
		Summary: "Cuts a device off from the network.",
		Description: "The request starts a machine action, which takes minutes, and hours when the device is asleep: `await` follows it " +
			"to its end, and the step fails if that is Failed, TimeOut or Cancelled. If an isolation of the device is under way already, the step " +
			"follows that one. `device.release` takes it back. " + apiNote,
		Example: `- action: device.isolate
  with: {device: "${{ host.mdeDeviceId }}", type: full, comment: "${{ run.url }}"}
  await: 20m`,
		Rule: checkDevice,
	}, starting(f, security.IsolateMachine, "POST of the isolation, unless its marker is on a machine action.", isolateInput.request),
		awaiting(f, isolateInput.request))
}

// releaseInput is the input of device.release.
type releaseInput struct {
	Device  string `json:"device" play:"min=1;max=256;example=1e5bc9d7e413ddd7902c2932e418702b84d0cc07;doc=The device: mdeDeviceId of its evidence."`
	Comment string `json:"comment" play:"min=1;example=It is clean;doc=Why. It ends in a marker, as that of an isolation does."`
}

func (in releaseInput) request() request {
	return request{device: strings.ToLower(in.Device), kind: graph.MachineRelease, comment: in.Comment}
}

func (f family) release() actions.Action {
	return actions.Define(actions.Spec{
		Name:        "device.release",
		Summary:     "Lets an isolated device back into the network.",
		Description: "The opposite of `device.isolate`, and started, followed and joined as it is. " + apiNote,
		Example: `- action: device.release
  with: {device: "${{ host.mdeDeviceId }}", comment: "Clean: ${{ run.url }}"}
  await: 20m`,
		Rule: checkDevice,
	}, starting(f, security.IsolateMachine, "POST of the release, unless its marker is on a machine action.", releaseInput.request),
		awaiting(f, releaseInput.request))
}
