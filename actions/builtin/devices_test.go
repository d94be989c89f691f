package builtin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/devices"
	"github.com/playbookd/playbookd/actions/hunting"
	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/graph/simulator"
)

// slow are devices that take a minute to begin and an hour to end.
var slow = simulator.Options{TokenLifetime: 24 * time.Hour, Devices: simulator.Devices{Pending: time.Minute, Running: time.Hour}}

// follow looks at what was started.
func (tn *tenant) follow(t *testing.T, name string, input, begun map[string]any) (map[string]any, *actions.Fault) {
	t.Helper()
	in, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	started, err := json.Marshal(begun)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := tn.action(t, name).Do(t.Context(), actions.Call{Key: "k/await", RequestID: "0b7e1d52-0000-8000-8000-000000000002",
		Part: "await", Input: in, Started: started})
	if err != nil {
		return nil, actions.FaultOf(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out, nil
}

func TestAnIsolationIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	tn := simulated(t, slow)
	id := tn.machines(t)[0]
	input := map[string]any{"device": id, "comment": "contain"}
	begun, f := tn.do(t, "device.isolate", input)
	if f != nil || begun["status"] != "Pending" || begun["scope"] != "Full" || begun["machineId"] != id || begun["joined"] != nil {
		t.Fatalf("begun %v, %v", begun, f)
	}
	for _, c := range []struct {
		ahead time.Duration
		state string
	}{{time.Second, "Pending"}, {30 * time.Minute, "InProgress"}} {
		tn.SetClock(c.ahead)
		if _, f := tn.follow(t, "device.isolate", input, begun); f == nil || f.Code != actions.CodeNotYet || !f.Retry || !strings.Contains(f.Message, "is "+c.state) {
			t.Errorf("after %s: %v", c.ahead, f)
		}
	}
	tn.SetClock(2 * time.Hour)
	done, f := tn.follow(t, "device.isolate", input, begun)
	if f != nil || done["status"] != "Succeeded" || done["id"] != begun["id"] || done["lastUpdateDateTimeUtc"] == begun["lastUpdateDateTimeUtc"] {
		t.Errorf("in the end %v, %v", done, f)
	}
	if tn.Isolation(id) != "Full" || len(tn.Effects()) != 1 {
		t.Errorf("isolated %q by %d effects", tn.Isolation(id), len(tn.Effects()))
	}
}

func TestAnIsolationThatEndsBadlyFailsTheStep(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"Failed", "TimeOut", "Cancelled"} {
		o := slow
		o.Devices.Outcomes = map[string]string{}
		tn := simulated(t, o)
		id := tn.machines(t)[0]
		o.Devices.Outcomes[id] = end
		input := map[string]any{"device": id, "comment": "contain"}
		begun, f := tn.do(t, "device.isolate", input)
		if f != nil {
			t.Fatal(f)
		}
		tn.SetClock(2 * time.Hour)
		_, f = tn.follow(t, "device.isolate", input, begun)
		if f == nil || f.Code != actions.CodeFailed || f.Retry || f.Unknown || !strings.Contains(f.Message, "ended as "+end) {
			t.Errorf("%s: %v", end, f)
		}
	}
}

func TestAnIsolationThatIsUnderWayIsJoinedAndNotAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, b := range []simulator.Behaviour{{}, {ShortUpdateTime: true, ActiveRequestCode: "BadRequest"}} {
		o := slow
		o.Behaviour = b
		tn := simulated(t, o)
		id := tn.machines(t)[0]
		theirs, err := tn.client.IsolateMachine(t.Context(), id, "Full", "an analyst was faster")
		if err != nil {
			t.Fatal(err)
		}
		input := map[string]any{"device": id, "type": "full", "comment": "contain"}
		begun, f := tn.do(t, "device.isolate", input)
		if f != nil || begun["joined"] != true || begun["id"] != theirs.ID || begun["lastUpdateDateTimeUtc"] != theirs.LastUpdateDateTimeUTC {
			t.Fatalf("begun %v, %v", begun, f)
		}
		tn.SetClock(2 * time.Hour)
		done, f := tn.follow(t, "device.isolate", input, begun)
		if f != nil || done["status"] != "Succeeded" || len(tn.Effects()) != 1 {
			t.Errorf("in the end %v, %v, by %d effects", done, f, len(tn.Effects()))
		}
	}
}

func TestAnIsolationOfAnotherKindIsWaitedFor(t *testing.T) {
	t.Parallel()
	tn := simulated(t, slow)
	id := tn.machines(t)[0]
	if _, err := tn.client.IsolateMachine(t.Context(), id, "Selective", "an analyst was faster"); err != nil {
		t.Fatal(err)
	}
	input := map[string]any{"device": id, "type": "full", "comment": "contain"}
	_, f := tn.do(t, "device.isolate", input)
	if f == nil || f.Code != graph.CodeConflict || !f.Retry || f.Unknown {
		t.Errorf("while the other is under way: %v", f)
	}
	tn.SetClock(2 * time.Hour)
	if begun, f := tn.do(t, "device.isolate", input); f != nil || begun["scope"] != "Full" || begun["joined"] != nil {
		t.Errorf("afterwards: %v, %v", begun, f)
	}
}

func TestARefusedIsolationIsCertainWhateverTheLookSays(t *testing.T) {
	t.Parallel()
	tn := simulated(t, slow)
	id := tn.machines(t)[0]
	input := map[string]any{"device": id, "comment": "contain"}
	if _, f := tn.do(t, "device.isolate", input); f != nil {
		t.Fatal(f)
	}
	if err := tn.Inject(simulator.Fault{Method: "GET", Path: "/api/machineactions", Status: 500}); err != nil {
		t.Fatal(err)
	}
	if _, f := tn.do(t, "device.isolate", input); f == nil || f.Unknown || !f.Retry {
		t.Errorf("the list cannot be read: %v", f)
	}
	if err := tn.Inject(simulator.Fault{Method: "POST", Path: "/api/machines/*/isolate", Status: 400, Code: "DisallowedOperation"}); err != nil {
		t.Fatal(err)
	}
	other := map[string]any{"device": tn.machines(t)[1], "comment": "contain"}
	if _, f := tn.do(t, "device.isolate", other); f == nil || f.Code != graph.CodeInvalid || f.Unknown || f.Retry {
		t.Errorf("a refusal for another reason: %v", f)
	}
}

func TestAMachineActionThatCannotBeSeenYetIsLookedForAgain(t *testing.T) {
	t.Parallel()
	tn := simulated(t, slow)
	id := tn.machines(t)[0]
	input := map[string]any{"device": id, "comment": "contain"}
	if _, f := tn.follow(t, "device.isolate", input, nil); f == nil || f.Code != actions.CodeNotYet {
		t.Errorf("a person said that it was started, and nothing is there: %v", f)
	}
	begun, f := tn.do(t, "device.isolate", input)
	if f != nil {
		t.Fatal(f)
	}
	if err := tn.Inject(simulator.Fault{Method: "GET", Path: "/api/machineactions/*", Status: 404}); err != nil {
		t.Fatal(err)
	}
	if _, f := tn.follow(t, "device.isolate", input, begun); f == nil || f.Code != actions.CodeNotYet {
		t.Errorf("it is not listed yet: %v", f)
	}
	tn.SetClock(2 * time.Hour)
	if done, f := tn.follow(t, "device.isolate", input, nil); f != nil || done["id"] != begun["id"] {
		t.Errorf("a person said that it was started: %v, %v", done, f)
	}
}

func TestADeviceIsNamedByItsIDAlone(t *testing.T) {
	t.Parallel()
	tn := simulated(t, slow)
	for _, name := range []string{"device.get", "device.isolate", "device.release"} {
		input := map[string]any{"device": "ws-14.contoso.example", "comment": "x"}
		if name == "device.get" {
			delete(input, "comment")
		}
		if _, f := tn.do(t, name, input); f == nil || f.Code != actions.CodeInput || !strings.Contains(f.Message, "mdeDeviceId") {
			t.Errorf("%s of a name: %v", name, f)
		}
		input["device"] = strings.Repeat("0", 40)
		if _, f := tn.do(t, name, input); f == nil || f.Code != graph.CodeNotFound || f.Unknown || f.Retry {
			t.Errorf("%s of a device that is not there: %v", name, f)
		}
		input["device"] = "${{ host.mdeDeviceId }}"
		if found, err := actions.CheckInput(tn.action(t, name).Spec(), input); err != nil || len(found) > 0 {
			t.Errorf("%s of a device that is known later: %v, %v", name, found, err)
		}
	}
	if n := len(tn.Effects()); n != 0 {
		t.Errorf("%d effects", n)
	}
}

func TestAMissingPermissionOfDefenderIsNamed(t *testing.T) {
	t.Parallel()
	tn := simulated(t, simulator.Options{})
	id := tn.machines(t)[0]
	if err := tn.Inject(simulator.Fault{Method: "POST", Path: "/api/**", Status: 403}); err != nil {
		t.Fatal(err)
	}
	_, f := tn.do(t, "device.isolate", map[string]any{"device": id, "comment": "x"})
	if f == nil || f.Code != graph.CodeForbidden || !strings.Contains(f.Message, "Machine.Isolate of WindowsDefenderATP") {
		t.Errorf("%v", f)
	}
	if got := strings.Join(tn.action(t, "device.isolate").Spec().Permissions(), " "); got != "Machine.Isolate Machine.Read.All" {
		t.Errorf("the action needs %s", got)
	}
}

func TestAnAnswerToAHuntingQueryIsCutVisibly(t *testing.T) {
	t.Parallel()
	row := func(n int, text string) simulator.Document {
		return simulator.Document{"N": n, "N@odata.type": "#Int64", "Text": text}
	}
	var many, large []simulator.Document
	for n := range hunting.MaxRows + 1 {
		many = append(many, row(n, "x"))
	}
	for n := range 5 {
		large = append(large, row(n, strings.Repeat("x", hunting.MaxRowsBytes/4)))
	}
	tn := simulated(t, simulator.Options{Hunting: simulator.Hunting{Answers: []simulator.HuntingAnswer{
		{Query: "Many", Rows: many}, {Query: "Exact", Rows: many[1:]}, {Query: "Large", Rows: large},
		{Query: "Wrong", Error: "Failed to resolve table expression named 'Wrong'"},
	}}})
	for _, tc := range []struct {
		query string
		top   int
		count int
		more  bool
	}{
		{"Many", 0, hunting.DefaultRows, true}, {"Many", 1, 1, true}, {"Many", hunting.MaxRows, hunting.MaxRows, true},
		{"Exact", hunting.MaxRows, hunting.MaxRows, false}, {"Large", 0, 3, true}, {"Nothing", 0, 0, false},
	} {
		input := map[string]any{"query": tc.query}
		if tc.top > 0 {
			input["top"] = tc.top
		}
		out, f := tn.do(t, "hunting.run", input)
		if f != nil {
			t.Fatal(f)
		}
		rows := out["rows"].([]any)
		if len(rows) != tc.count || out["count"] != float64(tc.count) || out["more"] != tc.more {
			t.Errorf("%s, top %d: %d rows, count %v, more %v", tc.query, tc.top, len(rows), out["count"], out["more"])
		}
		if tc.count > 0 && (strings.Contains(fmt.Sprint(rows[0]), "odata") || len(out["schema"].([]any)) != 2) {
			t.Errorf("%s: a row is %.80s, the schema %v", tc.query, fmt.Sprint(rows[0]), out["schema"])
		}
	}
	if _, f := tn.do(t, "hunting.run", map[string]any{"query": "Wrong"}); f == nil || f.Code != graph.CodeInvalid || f.Retry || !strings.Contains(f.Message, "Failed to resolve table") {
		t.Errorf("a wrong query: %v", f)
	}
	if _, f := tn.do(t, "hunting.run", map[string]any{"query": "Many", "top": hunting.MaxRows + 1}); f == nil || f.Code != actions.CodeInput {
		t.Errorf("beyond the limit: %v", f)
	}
}

func TestAQuotaOfHuntingIsWaitedFor(t *testing.T) {
	t.Parallel()
	tn := simulated(t, simulator.Options{Hunting: simulator.Hunting{CPU: time.Second, Answers: []simulator.HuntingAnswer{{CPU: time.Second}}}})
	if _, f := tn.do(t, "hunting.run", map[string]any{"query": "x"}); f != nil {
		t.Fatal(f)
	}
	_, f := tn.do(t, "hunting.run", map[string]any{"query": "x"})
	if f == nil || f.Code != graph.CodeThrottled || !f.Retry || f.Unknown || f.After < 14*time.Minute {
		t.Errorf("%+v", f)
	}
}

// stranger is a Defender that answers with what it likes.
type stranger struct {
	devices.Defender
	actions []graph.MachineAction
}

func (s stranger) MachineActions(context.Context, graph.Query) iter.Seq2[graph.MachineAction, error] {
	return func(yield func(graph.MachineAction, error) bool) {
		for _, a := range s.actions {
			if !yield(a, nil) {
				return
			}
		}
	}
}

func TestAMachineActionThatOnlyQuotesTheMarkerIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	const id = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07"
	call := actions.Call{Key: "k", Part: "start", Input: json.RawMessage(`{"device":"` + id + `","comment":"x"}`)}
	for comment, ours := range map[string]bool{
		actions.Mark("x", "k"): true, strings.ReplaceAll(actions.Mark("x", "k"), "\n", " "): true,
		actions.Mark("x", "k") + " and more": false, actions.Mark("x", "another"): false, "x": false,
	} {
		list := devices.Actions(func(string) (devices.Defender, error) {
			return stranger{actions: []graph.MachineAction{{ID: "1", Type: "Isolate", RequestorComment: comment}}}, nil
		})
		for _, a := range list {
			if a.Spec().Name != "device.isolate" {
				continue
			}
			if _, happened, err := a.Probe(t.Context(), call); err != nil || happened != ours {
				t.Errorf("%q: found %v, %v", comment, happened, err)
			}
		}
	}
}
