package expression_test

import (
	"testing"

	"github.com/playbookd/playbookd/playbooks/expression"
)

// The expressions of the normative examples of the language.
func TestTheExamplesOfTheLanguageCompile(t *testing.T) {
	t.Parallel()
	env, _ := world()
	env.Funcs["page"] = expression.Signature{Params: []expression.Type{expression.Text}, Variadic: true, Result: expression.Bool}
	env = env.With("incident", expression.OpenObject(map[string]expression.Type{
		"id": expression.Text, "status": expression.Enum("active", "resolved"), "severity": expression.Enum("low", "high"),
		"displayName": expression.Text, "alerts": expression.List(env.Vars["alert"]),
	})).With("vars", expression.Object(map[string]expression.Type{"hosts": compile(t, `devices(incident)`).Type()})).
		With("sla", expression.Object(map[string]expression.Type{"stage": expression.Enum("at_risk", "breached"), "elapsed": expression.Duration, "target": expression.Duration})).
		With("run", expression.Object(map[string]expression.Type{"url": expression.Text}))
	for _, src := range []string{
		`alert.status == "inProgress" and alert.assignedTo == "vendor@contoso.example"`,
		`alert.status != "new" or alert.assignedTo != nil`,
		`sla.stage == "at_risk"`,
		`incident.status == "active" and incident.severity == "high" and any(incident.alerts, any(.mitreTechniques, techniqueIn(#, ["T1486", "T1003"])))`,
		`steps.ok.approved`,
	} {
		if _, problem := expression.Compile(src, env, expression.WantBool); problem != nil {
			t.Errorf("%s: %v", src, problem)
		}
	}
	for _, src := range []string{
		`DeviceLogonEvents | where DeviceName in~ (${{ kql(map(vars.hosts, .name)) }}) | take 100`,
		`Isolate ${{ len(vars.hosts) }} device(s) of ${{ incident.displayName }}?`,
		`${{ onDuty('tier1', now()) }}`, `Triage SLA of ${{ sla.target }} breached.`, `${{ sla.elapsed }}`,
		`${{ table(steps.contain.items, ["host.name", "status", "error"]) }}`,
		`${{ filter(steps.contain.items, .status == "ok") | map(.host.name) }}`,
		`${{ devices(incident) }}`, `${{ run.url }}`,
	} {
		if _, problem := expression.ParseTemplate(src, env); problem != nil {
			t.Errorf("%s: %v", src, problem)
		}
	}
}
