package builtin_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/actions/effecttest"
	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/graph/simulator"
)

// tenant is a simulated tenant behind real HTTPS, and the actions on it.
type tenant struct {
	*simulator.Server
	client  *graph.Client
	actions *actions.Registry
	before  map[string]any // the state when nothing had happened yet
}

// simulated starts a tenant with a dozen alerts, of which each incident has some.
func simulated(t *testing.T, o simulator.Options) *tenant {
	t.Helper()
	o.Seed, o.Alerts = 7, 12
	if o.Devices.Pending == 0 {
		o.Devices.Pending, o.Devices.Running = 1, 1 // what was asked of a machine is done at once
	}
	s, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := l.Client().Transport
	credential, err := graph.NewCredential(graph.CredentialOptions{
		Kind: graph.KindClientSecret, TenantID: simulator.DefaultTenant, ClientID: simulator.DefaultClient,
		Secret: func() string { return simulator.DefaultSecret }, AuthorityURL: l.URL, DisableInstanceDiscovery: true,
		Transport: transport, MaxRetries: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := graph.New(graph.Options{Tenant: "contoso", BaseURL: l.URL, DefenderURL: l.URL, Credential: credential, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	deps := builtin.Deps{Graph: func(string) (builtin.GraphClient, error) { return c, nil }}
	tn := &tenant{Server: s, client: c, actions: actions.NewRegistry(builtin.Actions(deps)...)}
	tn.before = tn.State(t).(map[string]any)
	return tn
}

// action finds an action that must exist.
func (tn *tenant) action(t *testing.T, name string) actions.Action {
	t.Helper()
	a, err := tn.actions.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// alerts reads all alerts, sorted by id.
func (tn *tenant) alerts(t *testing.T) []graph.Alert {
	t.Helper()
	var all []graph.Alert
	for a, err := range tn.client.Alerts(t.Context(), graph.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b graph.Alert) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// incidents reads all incidents, sorted by id.
func (tn *tenant) incidents(t *testing.T) []graph.Incident {
	t.Helper()
	var all []graph.Incident
	for i, err := range tn.client.Incidents(t.Context(), graph.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b graph.Incident) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// openAlert is an alert that nobody has dealt with.
func (tn *tenant) openAlert(t *testing.T) graph.Alert {
	t.Helper()
	all := tn.alerts(t)
	i := slices.IndexFunc(all, func(a graph.Alert) bool { return a.Status == "new" })
	if i < 0 {
		t.Fatal("the tenant has no new alert")
	}
	return all[i]
}

// openIncident is an incident that nobody has dealt with.
func (tn *tenant) openIncident(t *testing.T) graph.Incident {
	t.Helper()
	all := tn.incidents(t)
	i := slices.IndexFunc(all, func(i graph.Incident) bool { return i.Status == "active" })
	if i < 0 {
		t.Fatal("the tenant has no active incident")
	}
	return all[i]
}

// State implements effecttest.World with what Graph says about every object.
func (tn *tenant) State(t *testing.T) any {
	t.Helper()
	all := map[string]any{}
	add := func(name string, raw json.RawMessage) {
		var fields map[string]any
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatal(err)
		}
		delete(fields, "lastUpdateDateTime")
		all[name] = fields
	}
	for _, a := range tn.alerts(t) {
		add("alerts/"+a.ID, a.Raw)
	}
	for _, i := range tn.incidents(t) {
		add("incidents/"+i.ID, i.Raw)
	}
	for _, m := range tn.machines(t) {
		all["machines/"+m] = map[string]any{"isolation": tn.Isolation(m)}
	}
	for _, a := range tn.MachineActions() {
		all["machineactions/"+a["id"].(string)] = map[string]any{"type": a["type"], "scope": a["scope"], "comment": a["requestorComment"]}
	}
	return all
}

// machines reads the ids of all machines, sorted.
func (tn *tenant) machines(t *testing.T) []string {
	t.Helper()
	var all []string
	for m, err := range tn.client.Machines(t.Context(), graph.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m.ID)
	}
	slices.Sort(all)
	return all
}

// Changes implements effecttest.World: what Graph says now against what it said at the beginning.
func (tn *tenant) Changes(t *testing.T) []effecttest.Change {
	t.Helper()
	var all []effecttest.Change
	now := tn.State(t).(map[string]any)
	for _, object := range slices.Sorted(maps.Keys(now)) {
		old, _ := tn.before[object].(map[string]any)
		c := effecttest.Change{Object: object, Fields: map[string]any{}}
		for field, value := range now[object].(map[string]any) {
			switch {
			case cmp.Equal(old[field], value):
			case field == "comments":
				c.Comment = true
			default:
				c.Fields[field] = value
			}
		}
		if c.Comment || len(c.Fields) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// Requests implements effecttest.World.
func (tn *tenant) Requests() int { return len(tn.Server.Requests()) }

// LoseAnswer implements effecttest.World.
func (tn *tenant) LoseAnswer(t *testing.T) {
	t.Helper()
	tn.inject(t, simulator.Fault{Drop: true, When: simulator.After})
}

// Refuse implements effecttest.World.
func (tn *tenant) Refuse(t *testing.T) {
	t.Helper()
	tn.inject(t, simulator.Fault{Status: 429, RetryAfter: "0"})
}

// inject lets a fault strike the next change.
func (tn *tenant) inject(t *testing.T, f simulator.Fault) {
	t.Helper()
	for _, f.Path = range []string{"/security/**", "/api/**"} {
		for _, f.Method = range []string{"POST", "PATCH"} {
			if err := tn.Inject(f); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// graphCases are the actions on Graph with an input that changes something.
func graphCases() map[string]func(*testing.T, *tenant) effecttest.Case {
	onAlert := func(action string, more map[string]any) func(*testing.T, *tenant) effecttest.Case {
		return func(t *testing.T, tn *tenant) effecttest.Case {
			input := maps.Clone(more)
			input["alert"] = tn.openAlert(t).ID
			return effecttest.Case{Action: tn.action(t, action), Input: input}
		}
	}
	onIncident := func(action string, more map[string]any) func(*testing.T, *tenant) effecttest.Case {
		return func(t *testing.T, tn *tenant) effecttest.Case {
			input := maps.Clone(more)
			input["incident"] = tn.openIncident(t).ID
			return effecttest.Case{Action: tn.action(t, action), Input: input}
		}
	}
	return map[string]func(*testing.T, *tenant) effecttest.Case{
		"alert.get": onAlert("alert.get", map[string]any{}),
		"alert.list": func(t *testing.T, tn *tenant) effecttest.Case {
			return effecttest.Case{Action: tn.action(t, "alert.list"), Input: map[string]any{"top": 5}}
		},
		"alert.update": onAlert("alert.update", map[string]any{"status": "resolved", "classification": "falsePositive",
			"determination": "clean", "assignedTo": "tier1@contoso.example", "customDetails": map[string]any{"ticket": "4711"}, "comment": "ours"}),
		"alert.update, owner cleared": onAlert("alert.update", map[string]any{"assignedTo": nil}),
		"alert.comment":               onAlert("alert.comment", map[string]any{"comment": "seen"}),
		"alert.move, new incident": func(t *testing.T, tn *tenant) effecttest.Case {
			all := tn.alerts(t)
			return effecttest.Case{Action: tn.action(t, "alert.move"),
				Input: map[string]any{"alerts": []string{all[0].ID, all[1].ID}, "comment": "same campaign", "reasons": []string{"sameCampaign"}},
				Aside: func(object string) bool { return strings.HasPrefix(object, "incidents/") }}
		},
		"alert.move, known incident": func(t *testing.T, tn *tenant) effecttest.Case {
			a, target := strangers(t, tn)
			return effecttest.Case{Action: tn.action(t, "alert.move"), Input: map[string]any{"alerts": []string{a}, "incident": target},
				// The incident that loses the alert is known to Graph only.
				Aside: func(object string) bool {
					return strings.HasPrefix(object, "incidents/") && object != "incidents/"+target
				}}
		},
		"hunting.run": func(t *testing.T, tn *tenant) effecttest.Case {
			return effecttest.Case{Action: tn.action(t, "hunting.run"), Input: map[string]any{"query": "DeviceInfo | take 1", "timespan": "P7D", "top": 5}}
		},
		"device.get": func(t *testing.T, tn *tenant) effecttest.Case {
			return effecttest.Case{Action: tn.action(t, "device.get"), Input: map[string]any{"device": tn.machines(t)[0]}}
		},
		"device.isolate": func(t *testing.T, tn *tenant) effecttest.Case {
			return effecttest.Case{Action: tn.action(t, "device.isolate"), Aside: machineAction,
				Input: map[string]any{"device": strings.ToUpper(tn.machines(t)[0]), "type": "selective", "comment": "contain"}}
		},
		"device.release": func(t *testing.T, tn *tenant) effecttest.Case {
			id := tn.machines(t)[0]
			if _, err := tn.client.IsolateMachine(t.Context(), id, "Full", "before the test"); err != nil {
				t.Fatal(err)
			}
			tn.before = tn.State(t).(map[string]any)
			return effecttest.Case{Action: tn.action(t, "device.release"), Aside: machineAction, Input: map[string]any{"device": id, "comment": "clean"}}
		},
		"incident.get":    onIncident("incident.get", map[string]any{"expand": "alerts"}),
		"incident.alerts": onIncident("incident.alerts", map[string]any{}),
		"incident.list": func(t *testing.T, tn *tenant) effecttest.Case {
			return effecttest.Case{Action: tn.action(t, "incident.list"), Input: map[string]any{"expand": "alerts"}}
		},
		"incident.update": onIncident("incident.update", map[string]any{"status": "inProgress", "classification": "truePositive",
			"determination": "phishing", "assignedTo": "lead@contoso.example", "severity": "high", "displayName": "Wave",
			"description": "d", "summary": "s", "resolvingComment": "r", "addTags": []string{"auto"}, "comment": "taken"}),
		"incident.update, tags replaced": onIncident("incident.update", map[string]any{"customTags": []string{"vip"}}),
		"incident.comment":               onIncident("incident.comment", map[string]any{"comment": "seen"}),
		"incident.merge": func(t *testing.T, tn *tenant) effecttest.Case {
			all := tn.incidents(t)
			return effecttest.Case{Action: tn.action(t, "incident.merge"), ByState: true,
				Input: map[string]any{"incidents": []string{all[0].ID, all[1].ID}, "comment": "one attack", "reasons": []string{"sameActor"}},
				Aside: func(object string) bool { return strings.HasPrefix(object, "alerts/") }}
		},
	}
}

// machineAction tells the record of what a machine was asked, which is made beside the change of the machine.
func machineAction(object string) bool { return strings.HasPrefix(object, "machineactions/") }

// strangers are an alert and an incident that it does not belong to.
func strangers(t *testing.T, tn *tenant) (alert, incident string) {
	t.Helper()
	a := tn.alerts(t)[0]
	for _, i := range tn.incidents(t) {
		if i.ID != a.IncidentID {
			return a.ID, i.ID
		}
	}
	t.Fatal("the tenant has only one incident")
	return "", ""
}

func TestActionsOnGraphKeepThePromisesOfTheirEffects(t *testing.T) {
	t.Parallel()
	behaviours := map[string]simulator.Behaviour{
		"as we hold it": {},
		"otherwise": {NewestCommentFirst: true, RefuseRedirected: true, MoveCommentsEveryAlert: true, CommentKeepsUpdateTime: true,
			RepeatKeepsUpdateTime: true, MergeSurvivor: simulator.SurvivorNewest, ShortUpdateTime: true, ActiveRequestCode: "BadRequest"},
	}
	for kind, behaviour := range behaviours {
		for name, make := range graphCases() {
			if kind == "otherwise" && !strings.ContainsAny(name, ", ") && !strings.HasSuffix(name, "update") && !strings.HasSuffix(name, "comment") && !strings.HasSuffix(name, "merge") && !strings.HasSuffix(name, "isolate") {
				continue // reads are the same in every world
			}
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				effecttest.Run(t, func(t *testing.T) effecttest.Case {
					tn := simulated(t, simulator.Options{Behaviour: behaviour})
					c := make(t, tn)
					c.World = tn
					return c
				})
			})
		}
	}
}
