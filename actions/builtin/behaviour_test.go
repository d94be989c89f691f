package builtin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/alerts"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/actions/incidents"
	"github.com/playbookd/playbookd/actions/security"
	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/graph/simulator"
)

// do performs all parts of an action and returns their joint output.
func (tn *tenant) do(t *testing.T, name string, input map[string]any) (map[string]any, *actions.Fault) {
	t.Helper()
	out, f := perform(t, tn.action(t, name), func(part string) actions.Call {
		return actions.Call{Key: "k/" + part, RequestID: "0b7e1d52-0000-8000-8000-000000000001"}
	}, input)
	if f != nil {
		return nil, f
	}
	var fields map[string]any
	if err := json.Unmarshal(out, &fields); err != nil {
		t.Fatal(err)
	}
	return fields, nil
}

// perform makes all calls of an action, one after the other, and returns their joint output.
func perform(t *testing.T, a actions.Action, call func(part string) actions.Call, input map[string]any) (json.RawMessage, *actions.Fault) {
	t.Helper()
	data, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := a.Plan(data)
	if err != nil {
		return nil, actions.FaultOf(err)
	}
	var outs []json.RawMessage
	for _, part := range plan {
		c := call(part)
		c.Part, c.Input = part, data
		out, err := a.Do(t.Context(), c)
		if err != nil {
			return nil, actions.FaultOf(err)
		}
		outs = append(outs, out)
	}
	merged, err := actions.Merge(outs...)
	if err != nil {
		t.Fatal(err)
	}
	return merged, nil
}

func TestAMergedIncidentIsFollowedToItsSurvivor(t *testing.T) {
	t.Parallel()
	tn := simulated(t, simulator.Options{})
	all := tn.incidents(t)
	merged, f := tn.do(t, "incident.merge", map[string]any{"incidents": []string{all[0].ID, all[1].ID}})
	if f != nil {
		t.Fatal(f)
	}
	survivor := merged["incident"].(string)
	loser := merged["merged"].([]any)[0].(string)
	for name, input := range map[string]map[string]any{
		"incident.update": {"status": "inProgress", "addTags": []string{"a"}, "comment": "c"}, "incident.comment": {"comment": "d"}, "incident.alerts": {},
	} {
		input["incident"] = loser
		out, f := tn.do(t, name, input)
		if f != nil || out["incident"] != survivor || out["redirectedFrom"] != loser {
			t.Errorf("%s: %v, %v", name, out, f)
		}
	}
	out, f := tn.do(t, "incident.get", map[string]any{"incident": loser})
	if f != nil || out["id"] != survivor || out["redirectedFrom"] != loser || out["status"] != "inProgress" {
		t.Errorf("incident.get: %v, %v", out, f)
	}
	if comments, _ := out["comments"].([]any); len(comments) < 2 {
		t.Errorf("the survivor has the comments %v", comments)
	}
}

func TestRedirectionsThatDoNotEndAreAFault(t *testing.T) {
	t.Parallel()
	for hops, fails := range map[int]bool{incidents.MaxHops: false, incidents.MaxHops + 1: true} {
		o := simulator.Options{}
		for n := range hops + 1 {
			doc := simulator.Document{"id": fmt.Sprint(n), "status": "redirected", "redirectIncidentId": fmt.Sprint(n + 1), "displayName": "x",
				"createdDateTime": "2026-11-01T00:00:00Z", "lastUpdateDateTime": "2026-11-01T00:00:00Z"}
			if n == hops {
				doc["status"], doc["redirectIncidentId"] = "active", nil
			}
			o.Documents.Incidents = append(o.Documents.Incidents, doc)
		}
		tn := simulated(t, o)
		_, f := tn.do(t, "incident.get", map[string]any{"incident": "0"})
		if (f != nil) != fails || fails && (f.Code != incidents.CodeRedirects || f.Unknown) {
			t.Errorf("%d redirections: %v", hops, f)
		}
	}
}

func TestATagThatIsThereIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	tn := simulated(t, simulator.Options{})
	input := map[string]any{"incident": tn.openIncident(t).ID, "addTags": []string{"auto"}, "removeTags": []string{"gone"}}
	for range 2 {
		out, f := tn.do(t, "incident.update", input)
		if f != nil || !slices.Contains(out["customTags"].([]any), any("auto")) {
			t.Fatalf("%v, %v", out, f)
		}
	}
	if n := len(tn.Effects()); n != 1 {
		t.Errorf("the tag was written %d times", n)
	}
}

// rival is a client beside which somebody else takes tags away.
type rival struct {
	*graph.Client
	rounds int
	writes int
}

func (r *rival) UpdateIncident(ctx context.Context, id string, p graph.IncidentPatch) (graph.Incident, error) {
	i, err := r.Client.UpdateIncident(ctx, id, p)
	if r.writes++; err == nil && r.writes <= r.rounds {
		_, err = r.Client.UpdateIncident(ctx, id, graph.IncidentPatch{CustomTags: &[]string{"theirs"}})
	}
	return i, err
}

func TestATagThatSomebodyElsesWriteTookAwayIsPutBackByTheNextAttempt(t *testing.T) {
	t.Parallel()
	tn := simulated(t, simulator.Options{})
	r := &rival{Client: tn.client, rounds: 1}
	tn.actions = actions.NewRegistry(builtin.Actions(builtin.Deps{Graph: func(string) (builtin.GraphClient, error) { return r, nil }})...)
	input := map[string]any{"incident": tn.openIncident(t).ID, "addTags": []string{"ours"}, "status": "inProgress"}
	if out, f := tn.do(t, "incident.update", input); f == nil || f.Code != incidents.CodeContended || !f.Retry || !f.Unknown {
		t.Errorf("beside a rival: %v, %v; want a fault that another attempt may mend", out, f)
	}
	out, f := tn.do(t, "incident.update", input)
	if f != nil {
		t.Fatal(f)
	}
	for _, tag := range []any{"ours", "theirs"} {
		if !slices.Contains(out["customTags"].([]any), tag) {
			t.Errorf("tags %v lack %v", out["customTags"], tag)
		}
	}
}

func TestAReadThatFailsAfterTheWriteDoesNotClaimThatNothingHappened(t *testing.T) {
	t.Parallel()
	tn := simulated(t, simulator.Options{Faults: []simulator.Fault{{Method: "GET", Path: "/security/incidents/*", After: 1, Status: 429, RetryAfter: "1"}}})
	id := tn.Incidents()[0]["id"].(string)
	if out, f := tn.do(t, "incident.update", map[string]any{"incident": id, "addTags": []string{"ours"}}); f == nil || !f.Unknown || !f.Retry {
		t.Errorf("%v, %v; want a fault that says that the change may stand", out, f)
	}
	if n := len(tn.Effects()); n != 1 {
		t.Errorf("%d changes, want the one", n)
	}
}

func TestAMoveThatIsHalfDoneIsLeftToAPerson(t *testing.T) {
	t.Parallel()
	tn := simulated(t, simulator.Options{})
	a, elsewhere := strangers(t, tn)
	var b string
	for _, other := range tn.alerts(t) {
		if other.IncidentID == elsewhere {
			b = other.ID
		}
	}
	if b == "" {
		t.Fatal("the other incident has no alert")
	}
	if _, err := tn.client.CommentAlert(t.Context(), a, actions.Mark("", "k")); err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(map[string]any{"alerts": []string{a, b}})
	if err != nil {
		t.Fatal(err)
	}
	_, happened, err := tn.action(t, "alert.move").Probe(t.Context(), actions.Call{Key: "k", Part: "move", Input: input})
	if f := actions.FaultOf(err); happened || err == nil || f.Code != alerts.CodePartlyMoved || f.Retry || !f.Unknown {
		t.Errorf("%v, %v", happened, err)
	}
}

func TestAListSaysWhetherThereIsMore(t *testing.T) {
	t.Parallel()
	tn := simulated(t, simulator.Options{})
	total := len(tn.alerts(t))
	for top, more := range map[int]bool{1: true, total - 1: true, total: false, security.MaxListed: false} {
		out, f := tn.do(t, "alert.list", map[string]any{"top": top})
		if f != nil || out["more"] != more || len(out["alerts"].([]any)) != min(top, total) || out["count"] != float64(min(top, total)) {
			t.Errorf("top %d of %d: more is %v, %v alerts, %v", top, total, out["more"], out["count"], f)
		}
	}
	if _, f := tn.do(t, "alert.list", map[string]any{"top": security.MaxListed + 1}); f == nil || f.Code != actions.CodeInput {
		t.Errorf("beyond the limit: %v", f)
	}
}

func TestAnObjectInAnOutputIsWhatGraphSent(t *testing.T) {
	t.Parallel()
	tn := simulated(t, simulator.Options{})
	a := tn.openAlert(t)
	out, f := tn.do(t, "alert.get", map[string]any{"alert": a.ID})
	if f != nil {
		t.Fatal(f)
	}
	var want map[string]any
	if err := json.Unmarshal(a.Raw, &want); err != nil {
		t.Fatal(err)
	}
	for name := range out { // the answer for one object has a context of its own
		if strings.HasPrefix(name, "@odata.") {
			delete(out, name)
		}
	}
	maps.DeleteFunc(want, func(name string, v any) bool {
		return v == nil && slices.Contains([]string{"mitreTechniques", "comments", "evidence"}, name)
	})
	maps.DeleteFunc(want, func(name string, _ any) bool { return strings.HasPrefix(name, "@odata.") })
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-sent +shown):\n%s", diff)
	}
}

func TestTheAttemptsIDReachesGraphWithItsChange(t *testing.T) {
	t.Parallel()
	tn := simulated(t, simulator.Options{})
	if _, f := tn.do(t, "incident.update", map[string]any{"incident": tn.openIncident(t).ID, "status": "inProgress", "addTags": []string{"a"}}); f != nil {
		t.Fatal(f)
	}
	for _, e := range tn.Effects() {
		if e.ClientRequestID != "0b7e1d52-0000-8000-8000-000000000001" {
			t.Errorf("%s has the id %s", e.Op, e.ClientRequestID)
		}
	}
}

func TestMistakesInInputsAreFoundBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	r := actions.NewRegistry(builtin.Actions(builtin.Deps{})...)
	for _, c := range []struct{ action, input, want string }{
		{"alert.update", `{"alert": "a"}`, `changes nothing: set at least one field beside "alert"`},
		{"alert.update", `{"alert": "a", "determination": "apt"}`, `determination: "apt" is retired: use one of`},
		{"alert.update", `{"alert": "a", "classification": "falsePositive", "determination": "phishing"}`,
			`determination: "phishing" does not go with the classification "falsePositive": use one of notMalicious, notEnoughDataToValidate, other`},
		{"alert.update", `{"alert": "a", "classification": "falsePositive", "determination": "clean"}`, ``},
		{"alert.update", `{"alert": "a", "classification": "${{ x }}", "determination": "phishing"}`, ``},
		{"alert.update", `{"alert": "a", "assignedTo": null}`, ``},
		{"alert.update", `{"alert": "a", "assignedTo": ""}`, `assignedTo: must not be empty`},
		{"alert.update", `{"alert": "a", "status": "newAlert"}`, `status: must be one of new, inProgress, resolved, not "newAlert"`},
		{"alert.move", `{"alerts": "${{ x }}", "incident": "${{ y }}"}`, ``},
		{"alert.move", `{"alerts": []}`, `alerts: must have at least 1 item, has 0`},
		{"alert.move", `{"alerts": ["a"], "reasons": ["sameactor"]}`, `did you mean "sameActor"?`},
		{"incident.update", `{"incident": "1", "customTags": ["a"], "addTags": "${{ x }}"}`, `addTags: excludes customTags`},
		{"incident.update", `{"incident": "1", "addTags": ["a", "b"], "removeTags": ["b"]}`, `removeTags: "b" is to be added as well`},
		{"incident.update", `{"incident": "1", "customTags": []}`, ``},
		{"incident.update", `{"incident": "1", "status": "redirected"}`, `status: must be one of active, inProgress, resolved`},
		{"incident.merge", `{"incidents": ["1", "1"]}`, `incidents: "1" is named twice`},
		{"incident.merge", `{"incidents": ["1"]}`, `incidents: must have at least 2 items, has 1`},
		{"incident.merge", `{"incidents": ["${{ x }}", "${{ x }}"]}`, ``},
		{"http.request", `{"url": "ftp://x"}`, `url: must begin with https:// and a host`},
		{"http.request", `{"url": "https://u:p@contoso.example"}`, `url: holds a user name or password`},
		{"http.request", `{"url": "${{ x }}/y", "headers": {"X": "${{ y }}"}, "bearer": "${{ secrets.z }}"}`, ``},
		{"http.request", `{"url": "https://c.example", "body": 1}`, `method: a GET or HEAD carries no body`},
		{"http.request", `{"url": "https://c.example", "method": "POST", "body": 1, "text": "x"}`, `text: excludes body`},
		{"http.request", `{"url": "https://c.example", "headers": {"Authorization": "Bearer x"}}`, `headers.Authorization: holds a credential`},
		{"http.request", `{"url": "https://c.example", "headers": {"cookie": "x"}}`, `headers.cookie: holds a credential`},
		{"http.request", `{"url": "https://c.example", "headers": {"X-A": "b\r\nX-C: d"}}`, `headers.X-A: holds a line break`},
		{"http.request", `{"url": "https://c.example", "headers": {"a b": "c"}}`, `"a b" is not the name of a header`},
		{"http.request", `{"url": "https://c.example", "headers": {"Host": "c"}}`, `headers.Host: is set by the connection`},
		{"http.request", `{"url": "https://c.example", "headers": {"Idempotency-Key": "c"}}`, `headers.Idempotency-Key: is set for each step`},
		{"http.request", `{"url": "https://c.example", "bearer": "secret:a", "secretHeaders": {"authorization": "secret:b"}}`, `secretHeaders.authorization: excludes bearer`},
		{"http.request", `{"url": "https://c.example", "bearer": "hunter2"}`, `bearer: must be a secret`},
		{"notify.teams", `{"channel": "soc", "title": "x", "facts": {"a": []}}`, `facts.a: must be text or a number or true or false or null, not a list`},
		{"notify.webhook", `{"channel": "soc"}`, `missing field "payload"`},
		{"log", `{"message": 5}`, ``},
	} {
		a, err := r.Lookup(c.action)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal([]byte(c.input), &v); err != nil {
			t.Fatal(err)
		}
		found, err := actions.CheckWritten(a.Spec(), actions.AuthoringSchema(a.Spec().Input), v)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, violation := range found {
			got = append(got, violation.String())
		}
		if len(got) > 1 || c.want == "" && len(got) > 0 || !strings.Contains(strings.Join(got, ""), c.want) {
			t.Errorf("%s %s: %q, want %q", c.action, c.input, got, c.want)
		}
	}
}

func TestFieldsTakeTheWordsThatGraphTakes(t *testing.T) {
	t.Parallel()
	r := actions.NewRegistry(builtin.Actions(builtin.Deps{})...)
	determinations := append(graph.WritableDeterminations(), slices.Collect(maps.Keys(graph.DeterminationAliases()))...)
	for _, c := range []struct {
		action, field string
		want          []string
	}{
		{"alert.update", "status", graph.WritableAlertStatuses()}, {"alert.update", "classification", graph.Classifications()},
		{"alert.update", "determination", determinations}, {"incident.update", "determination", determinations},
		{"incident.update", "status", graph.WritableIncidentStatuses()}, {"incident.update", "severity", graph.WritableSeverities()},
		{"incident.update", "classification", graph.Classifications()},
		{"alert.move", "reasons", graph.CorrelationReasons()}, {"incident.merge", "reasons", graph.CorrelationReasons()},
	} {
		a, err := r.Lookup(c.action)
		if err != nil {
			t.Fatal(err)
		}
		s := a.Spec().Input.Properties[c.field]
		if s.Items != nil {
			s = s.Items
		}
		var got []string
		for _, v := range s.Enum {
			got = append(got, v.(string))
		}
		if diff := cmp.Diff(slices.Sorted(slices.Values(c.want)), slices.Sorted(slices.Values(got))); diff != "" {
			t.Errorf("%s.%s (-graph +ours):\n%s", c.action, c.field, diff)
		}
	}
}

func TestPermissionsAreThoseOfTheRequests(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, e := range graph.Endpoints() {
		known[e.Permission] = true
	}
	for _, s := range actions.NewRegistry(builtin.Actions(builtin.Deps{})...).Specs() {
		for _, p := range s.Permissions() {
			if !known[p] {
				t.Errorf("%s asks for %s, which no endpoint needs", s.Name, p)
			}
		}
	}
}

func TestTheReferenceNamesEveryField(t *testing.T) {
	t.Parallel()
	specs := actions.NewRegistry(builtin.Actions(builtin.Deps{})...).Specs()
	page := actions.Docs(specs)
	for _, s := range specs {
		section := actions.Doc(s)
		if !strings.Contains(page, section) || s.Example == "" {
			t.Errorf("%s is not on the page, or has no example", s.Name)
		}
		for _, schema := range []*actions.Schema{s.Input, s.Output} {
			for name, field := range schema.Properties {
				if !strings.Contains(section, "| `"+name+"` |") || field.Description == "" {
					t.Errorf("%s: the field %s is not described", s.Name, name)
				}
			}
		}
	}
}

func TestEveryExampleAndDefaultOfAFieldIsRight(t *testing.T) {
	t.Parallel()
	for _, s := range actions.NewRegistry(builtin.Actions(builtin.Deps{})...).Specs() {
		for name, field := range s.Input.Properties {
			values := slices.Clone(field.Examples)
			if len(field.Default) > 0 {
				var v any
				if err := json.Unmarshal(field.Default, &v); err != nil {
					t.Fatal(err)
				}
				values = append(values, v)
			}
			for _, v := range values {
				if found, err := actions.Check(field, v); err != nil || len(found) > 0 {
					t.Errorf("%s.%s: %v: %v, %v", s.Name, name, v, found, err)
				}
			}
		}
	}
	if got, err := json.Marshal(security.DefaultListed); err != nil || string(got) != string(listTop(t).Default) {
		t.Errorf("the default of top is %s in the code and %s in the reference", got, listTop(t).Default)
	}
	r := actions.NewRegistry(builtin.Actions(builtin.Deps{})...)
	for action, field := range map[string]string{"alert.move": "alerts", "incident.merge": "incidents"} {
		a, err := r.Lookup(action)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Spec().Input.Properties[field].MaxItems; got == nil || *got != security.MaxMoved {
			t.Errorf("%s takes %v %s, the limit is %d", action, got, field, security.MaxMoved)
		}
	}
	if float64(security.MaxListed) != *listTop(t).Maximum {
		t.Errorf("the limit of top is %d in the code and %v in the schema", security.MaxListed, *listTop(t).Maximum)
	}
}

// listTop is the schema of alert.list's top.
func listTop(t *testing.T) *actions.Schema {
	t.Helper()
	a, err := actions.NewRegistry(builtin.Actions(builtin.Deps{})...).Lookup("alert.list")
	if err != nil {
		t.Fatal(err)
	}
	return a.Spec().Input.Properties["top"]
}
