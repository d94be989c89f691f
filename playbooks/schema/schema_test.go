package schema_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/playbooks/schema"
)

const samples = "../../testdata/graph/samples"

func env() *expression.Env {
	return &expression.Env{Vars: map[string]expression.Type{"alert": schema.Alert(), "incident": schema.Incident()}}
}

func TestFieldsAndValuesOfAlertsAndIncidentsAreKnown(t *testing.T) {
	t.Parallel()
	for _, src := range []string{
		`alert.severity == "high" and alert.status == "new"`,
		`alert.createdDateTime < now()`,
		`any(alert.evidence, .verdict == "malicious" and .userAccount.userPrincipalName == "a@contoso.example")`,
		`any(alert.evidence, .fileDetails.sha256 == "x" or .mdeDeviceId == "y")`,
		`any(alert.evidence, "attacked" in .roles)`,
		`any(alert.evidence, .remediationStatus == "active")`, // gated: sent only when asked for
		`alert.detectionSource == "scheduledAlerts"`,
		`alert.serviceSource == "microsoftSentinel"`,
		`incident.status == "awaitingAction"`,
		`any(incident.alerts, any(.mitreTechniques, techniqueIn(#, "T1486")))`,
		`alert.additionalData["anything"] == nil and alert["brandNewField"] == nil`,
		`any(alert.comments, .comment contains "ours")`,
		`incident.alerts[0].evidence[0].hostName == "h"`,
	} {
		if _, problem := expression.Compile(src, env(), expression.WantBool); problem != nil {
			t.Errorf("%s: %v", src, problem)
		}
	}
}

func TestMistakesAreNamedWithWhatGraphCallsThem(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`alert.sevrity == "high"`:                "severity",
		`alert.severity == "critical"`:           `Graph calls it "high"`,
		`alert.status == "newAlert"`:             `Graph calls it "new"`,
		`incident.status == "new"`:               `Graph calls it "active"`,
		`alert.determination == "clean"`:         `Graph calls it "notMalicious"`,
		`alert.createdDatetime == nil`:           "createdDateTime",
		`any(alert.evidence, .hostname == "h")`:  "hostName",
		`any(incident.alerts, .severty == "x")`:  "severity",
		`alert.createdDateTime > "2027-01-01"`:   "date(",
		`any(alert.evidence, .verdict == "bad")`: "possible:",
	} {
		_, problem := expression.Compile(src, env(), expression.WantBool)
		if problem == nil {
			t.Errorf("%s is accepted", src)
			continue
		}
		if !strings.Contains(problem.Mend, want) {
			t.Errorf("%s: mend %q does not say %q", src, problem.Mend, want)
		}
	}
}

// outdated are fields of the published incident sample that the API description no longer has: tags is
// customTags and systemTags today, and a comment has createdByDisplayName and createdDateTime.
var outdated = []string{".tags", ".comments[].createdBy", ".comments[].createdTime"}

// Every alert among the samples must be described completely: a field without a type would be refused in a
// condition although Graph sends it.
func TestEveryFieldOfTheSamplesIsDeclared(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, name := range []string{
		"alerts_v2.get.composed.response.json", "alerts_v2.list.response.json", "alerts_v2.list.sentinel.response.json",
		"alerts_v2.update.response.json", "incidents.list.expand-alerts.response.json",
	} {
		typ := schema.Alert()
		if strings.HasPrefix(name, "incidents") {
			typ = schema.Incident()
		}
		data, err := os.ReadFile(filepath.Join(samples, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, entity := range entities(t, data) {
			checked++
			for _, path := range undeclared(entity, typ, "") {
				if !slices.Contains(outdated, path) {
					t.Errorf("%s: %s is not declared", name, path)
				}
			}
		}
	}
	if checked < 3 {
		t.Errorf("only %d alerts and incidents were looked at", checked)
	}
}

// entities are the objects of a list response, or the response itself.
func entities(t *testing.T, data []byte) []map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	list, ok := doc["value"].([]any)
	if !ok {
		return []map[string]any{doc}
	}
	var out []map[string]any
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func undeclared(v any, t expression.Type, path string) []string {
	var missing []string
	switch v := v.(type) {
	case map[string]any:
		if !t.IsObject() || len(t.Fields()) == 0 || slices.Equal(t.Fields(), []string{"@odata.type"}) {
			return nil // an object whose fields are the tenant's own
		}
		for key, e := range v {
			f, ok := t.Field(key)
			if !ok && !strings.Contains(key, "@") {
				missing = append(missing, path+"."+key)
				continue
			}
			missing = append(missing, undeclared(e, f, path+"."+key)...)
		}
	case []any:
		item, _ := t.IsList()
		for _, e := range v {
			missing = append(missing, undeclared(e, item, path+"[]")...)
		}
	}
	return missing
}

func TestADecodedSampleHasTimesAndItsEvidenceCanBeCollected(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(samples, "alerts_v2.get.composed.response.json"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := expression.Decode(data, schema.Alert())
	if err != nil {
		t.Fatal(err)
	}
	scope := map[string]any{"alert": v}
	for src, want := range map[string]any{
		`alert.createdDateTime < date("2027-01-01")`: true,
		`devices(alert)[0].hostName`:                 "yonif-lap3",
		`processes(alert)[0].commandLine`:            `"MsSense.exe"`,
		`len(files(alert)) > 0`:                      true,
		`processes(alert)[0].processId`:              int64(4780),
	} {
		p, problem := expression.Compile(src, env(), expression.WantAny)
		if problem != nil {
			t.Errorf("%s: %v", src, problem)
			continue
		}
		got, err := p.Eval(scope, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
		if err != nil || got != want {
			t.Errorf("%s = %v (%v), want %v", src, got, err, want)
		}
	}
}
