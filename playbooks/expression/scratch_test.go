package expression

import (
	"fmt"
	"testing"
	"time"
)

func TestScratch(t *testing.T) {
	ev := OpenObject(map[string]Type{"@odata.type": Text, "ipAddress": Text, "roles": List(Text)})
	alert := OpenObject(map[string]Type{"id": Text, "title": Text, "status": Enum("new", "inProgress", "resolved"),
		"severity": EnumHints(map[string]string{"critical": "high"}, "low", "medium", "high"), "createdDateTime": Time, "evidence": List(ev), "assignedTo": Text, "mitreTechniques": List(Text)})
	env := &Env{Vars: map[string]Type{"alert": alert, "lists": OpenObject(map[string]Type{"known_noise": List(Text), "scanner_ranges": List(Text)}), "incident": Object(map[string]Type{"alerts": List(alert)}), "steps": Any}}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	scope := map[string]any{"alert": map[string]any{"title": "Port scan", "status": "new", "severity": "low", "createdDateTime": now.Add(-time.Hour), "evidence": []any{map[string]any{"@odata.type": "#microsoft.graph.security.ipEvidence", "ipAddress": "10.9.1.1"}}},
		"lists": map[string]any{"known_noise": []any{"Port scan"}, "scanner_ranges": []any{"10.9.0.0/16"}}, "incident": map[string]any{"alerts": []any{map[string]any{"mitreTechniques": []any{"T1003.001"}}}}}
	for _, src := range []string{
		`alert.status == "new" and alert.title in lists.known_noise and len(ips(alert)) > 0 and all(ips(alert), inCIDR(#, lists.scanner_ranges))`,
		`alert.sevrity == "high"`, `alert.severity == "critical"`, `now() - alert.createdDateTime > duration("30m")`,
		`any(incident.alerts, any(.mitreTechniques, techniqueIn(#, ["T1486", "T1003"])))`,
		`alert.evidence[3].ipAddress == nil`, `alert["x-y"]`, `(alert.status == "new" and (alert.title == "x")) and true`,
		`map(alert.evidence, .ipAddress) == ["10.9.1.1"]`, `alert.assignedTo != nil`, `alert.assignedTo == nil ? 1 : 2`, `groupBy(alert.evidence, .ipAddress)`,
		`alert.severity in ["hihg"]`, `1 < 2 < 3`, `x ?: 1`, `let x = alert.title; x + "a" + string(1)`, `alert.title matches "^Port"`, `alert.title matches alert.id`, `repeat("a", 3)`,
		`alert.title = "x"`, `alert.title =="x`, `filter(steps.a, .status == "ok") | map(.host.name)`, `sum(map(1..10, # * 2))`, `alert.createdDateTime > "2025"`, `not alert.title`, `alert.title and true`, `5 > alert.assignedTo`,
		`toJSON({"b": 1, "a": [1, 2.5, now()]})`, `sortBy(lists.known_noise, #, "desc")`, `reduce(1..5, #acc + #, 0)`, `first(alert.evidence).ipAddress`, `first(alert.evidence).ipAddres`, `alert.evidence.ipAddress`, `alert?.title ?? "x"`,
		`alert.title // foo`, `$env`, `alert.createdDateTime.Year()`, `kql(["a\"b", 1])`, `-alert.title`, `1..5000`, `lists.known_nois`, `count(alert.evidence)`, `findIndex(alert.evidence, .ipAddress != nil)`, `len(alert.missing ?? [])`, `alert.title contains "scan" and alert.title not in ["x"]`,
		`alert.title + 1`, `"a" in alert.title`, `duration("1h") * 2`, `alert.createdDateTime > date("2025-01-01")`, `nosuch(1)`, `lwer("a")`, `devices(alert)[0].name`, `any(alert.evidence, .roles)`, `10 % 0`, `if true { 1 } else { 2 }`, `::now()`, `true; false`,
	} {
		p, prob := Compile(src, env, WantAny)
		if prob != nil {
			fmt.Printf("%-60s PROBLEM %d+%d %s | %s\n", src, prob.Offset, prob.Length, prob.Message, prob.Mend)
			continue
		}
		v, err := p.Eval(scope, now)
		fmt.Printf("%-60s = %v %T (%s) err=%v paths=%v terms=%d\n", src, v, v, p.Type(), err, p.Paths(), len(p.Terms()))
	}
}
