// Package devices holds the actions on machines, through the API of Defender for Endpoint.
//
// Cutting a machine off takes its time: the request only starts a machine action, which ends some
// minutes later, or hours, when the machine is asleep. A step that says await follows it to its
// end and fails if that is no success; one that does not is over when the request was taken.
//
// Beyond the promises of package actions: no machine action is asked for twice. Its comment ends
// in a marker by which an attempt whose answer was lost is found again; and where an action of the
// same kind is under way already, whoever asked for it, the step follows that one, because the
// service lets only one be under way at a time.
package devices

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"regexp"
	"strings"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
)

// Defender is what these actions need of a client.
type Defender interface {
	Machine(ctx context.Context, id string) (graph.Machine, error)
	MachineAction(ctx context.Context, id string) (graph.MachineAction, error)
	MachineActions(ctx context.Context, q graph.Query) iter.Seq2[graph.MachineAction, error]
	IsolateMachine(ctx context.Context, id, isolation, comment string) (graph.MachineAction, error)
	ReleaseMachine(ctx context.Context, id, comment string) (graph.MachineAction, error)
}

// Open finds the client for a tenant.
type Open = security.Open[Defender]

// Actions lists the actions of this package. With a nil open they can be described and checked,
// and fail when they are done.
func Actions(open Open) []actions.Action {
	f := family{open}
	return []actions.Action{f.get(), f.isolate(), f.release()}
}

// family is what the actions share.
type family struct{ open Open }

// deviceID is the form of a machine's id. A name would do for the service, but not for looking an
// action up again by its machine.
var deviceID = regexp.MustCompile(`^[0-9a-fA-F]{40}$`)

// checkDevice refuses what is no id of a machine.
func checkDevice(input map[string]any) []actions.Violation {
	id, ok := input["device"].(string)
	if !ok || actions.IsTemplate(id) || deviceID.MatchString(id) {
		return nil
	}
	return []actions.Violation{actions.Violationf("device",
		"%.60q is no id of Defender for Endpoint, which has 40 hexadecimal digits: use mdeDeviceId of the device's evidence", id)}
}

// request is what a machine is asked to do, and by whom.
type request struct {
	device  string
	kind    string // as the service calls the machine action
	scope   string // of an isolation
	comment string
}

// send asks for it, and gives the machine action that came of it, or the one that was under way.
func (r request) send(ctx context.Context, d Defender, call actions.Call) (started, error) {
	ask := func(ctx context.Context) (graph.MachineAction, error) {
		return d.ReleaseMachine(ctx, r.device, actions.Mark(r.comment, call.Key))
	}
	if r.kind == graph.MachineIsolate {
		ask = func(ctx context.Context) (graph.MachineAction, error) {
			return d.IsolateMachine(ctx, r.device, r.scope, actions.Mark(r.comment, call.Key))
		}
	}
	a, err := ask(security.Writing(ctx, call))
	if e, ok := errors.AsType[*graph.Error](err); ok && e.Status == http.StatusBadRequest {
		return r.join(ctx, d, e)
	}
	return started{action: a}, err
}

// join follows the machine action because of which the service refused ours. The refusal is
// certain, so whatever goes wrong here leaves nothing unknown.
func (r request) join(ctx context.Context, d Defender, refusal *graph.Error) (started, error) {
	a, found, err := r.find(ctx, d, func(a graph.MachineAction) bool { return !a.Ended() && (r.scope == "" || a.Scope == r.scope) })
	switch {
	case err == nil && found:
		return started{action: a, joined: true}, nil
	case !strings.Contains(refusal.Code, "AlreadyExists"):
		return started{}, refusal
	}
	// It ended a moment ago, it is of another scope, or it cannot be read now. Later ours will be taken.
	return started{}, &actions.Fault{Code: graph.CodeConflict, Message: refusal.Error(), Retry: true}
}

// find looks among the machine actions of this kind on the machine, the newest of those that fit first.
func (r request) find(ctx context.Context, d Defender, fits func(graph.MachineAction) bool) (best graph.MachineAction, found bool, err error) {
	q := graph.Query{Filter: "machineId eq " + graph.Literal(r.device) + " and type eq " + graph.Literal(r.kind)}
	for a, err := range d.MachineActions(ctx, q) {
		if err != nil {
			return graph.MachineAction{}, false, err
		}
		if fits(a) && (!found || a.CreationDateTimeUTC > best.CreationDateTimeUTC) {
			best, found = a, true
		}
	}
	return best, found, nil
}

// starting is the part that asks for a machine action.
func starting[In any](f family, permission, summary string, of func(In) request) actions.Doing[In, actionOutput] {
	return actions.Doing[In, actionOutput]{
		Part: actions.Part{Name: "start", Effect: actions.Adds, Summary: summary,
			Permissions: []string{permission, security.ReadMachines}},
		Do: func(ctx context.Context, call actions.Call, in In) (actionOutput, error) {
			d, err := f.open.For(call)
			if err != nil {
				return actionOutput{}, err
			}
			s, err := of(in).send(ctx, d, call)
			if err != nil {
				return actionOutput{}, err
			}
			return s.show()
		},
		Probe: func(ctx context.Context, call actions.Call, in In) (actionOutput, bool, error) {
			d, err := f.open.For(call)
			if err != nil {
				return actionOutput{}, false, err
			}
			a, found, err := of(in).find(ctx, d, func(a graph.MachineAction) bool { return actions.Marked(a.RequestorComment, call.Key) })
			if err != nil || !found {
				return actionOutput{}, false, err
			}
			out, err := started{action: a}.show()
			return out, err == nil, err
		},
		Touches: func(in In) []actions.Touch {
			r := of(in)
			return []actions.Touch{{Object: "machines/" + r.device, Fields: map[string]any{"isolation": r.scope}}}
		},
		Preview: func(in In) actionOutput { return of(in).preview(graph.MachineActionPending) },
	}
}

// awaiting is the part that follows a machine action to its end.
func awaiting[In any](f family, of func(In) request) actions.Doing[In, actionOutput] {
	return actions.Doing[In, actionOutput]{
		Part: actions.Part{Name: "await", Effect: actions.Reads, Awaits: true,
			Summary: "GET of the machine action, until it has ended.", Permissions: []string{security.ReadMachines}},
		Do: func(ctx context.Context, call actions.Call, in In) (actionOutput, error) {
			d, err := f.open.For(call)
			if err != nil {
				return actionOutput{}, err
			}
			a, err := of(in).look(ctx, d, call.Started)
			if err != nil {
				return actionOutput{}, err
			}
			switch {
			case !a.Ended():
				return actionOutput{}, actions.NotYet("the machine action %s is %s", a.ID, a.Status)
			case !a.Succeeded():
				return actionOutput{}, actions.Failf(actions.CodeFailed, "the machine action %s (%s) ended as %s", a.ID, a.Type, a.Status)
			}
			return started{action: a}.show()
		},
		Preview: func(in In) actionOutput { return of(in).preview(graph.MachineActionSucceeded) },
	}
}

// look reads the machine action that was started. Where nobody knows its id, because a person said
// that it was started, it is the newest one.
func (r request) look(ctx context.Context, d Defender, begun json.RawMessage) (graph.MachineAction, error) {
	var known struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(begun, &known); err == nil && known.ID != "" {
		a, err := d.MachineAction(ctx, known.ID)
		if e, ok := errors.AsType[*graph.Error](err); ok && e.Kind == graph.CodeNotFound {
			return a, actions.NotYet("the machine action %s cannot be seen yet", known.ID)
		}
		return a, err
	}
	a, found, err := r.find(ctx, d, func(graph.MachineAction) bool { return true })
	if err == nil && !found {
		err = actions.NotYet("no machine action of type %s can be seen on %s", r.kind, r.device)
	}
	return a, err
}
