package expression_test

import (
	"testing"
	"time"

	"github.com/playbookd/playbookd/playbooks/expression"
)

var runTime = time.Date(2027, 3, 31, 8, 0, 0, 0, time.UTC)

// world is an alert, an incident and lists, small but of the shape Graph sends.
func world() (*expression.Env, map[string]any) {
	ev := expression.OpenObject(map[string]expression.Type{
		"@odata.type": expression.Text, "ipAddress": expression.Text, "roles": expression.List(expression.Text), "size": expression.Int,
	})
	alert := expression.OpenObject(map[string]expression.Type{
		"id": expression.Text, "title": expression.Text,
		"status":          expression.Enum("new", "inProgress", "resolved"),
		"severity":        expression.EnumHints(map[string]string{"critical": "high"}, "low", "medium", "high"),
		"createdDateTime": expression.Time, "assignedTo": expression.Text, "count": expression.Int, "flag": expression.Bool,
		"evidence": expression.List(ev), "mitreTechniques": expression.List(expression.Text),
	})
	env := &expression.Env{
		Vars: map[string]expression.Type{
			"alert":    alert,
			"incident": expression.Object(map[string]expression.Type{"alerts": expression.List(alert)}),
			"lists": expression.Object(map[string]expression.Type{
				"known_noise": expression.List(expression.Text), "scanner_ranges": expression.List(expression.Text),
			}),
			"steps": expression.Any,
		},
		Funcs: map[string]expression.Signature{
			"onDuty": {Params: []expression.Type{expression.Text, expression.Time}, Optional: 1, Result: expression.Text},
		},
	}
	ip := func(a string) map[string]any {
		return map[string]any{"@odata.type": "#microsoft.graph.security.ipEvidence", "ipAddress": a, "roles": []any{"source"}, "size": int64(len(a))}
	}
	a := map[string]any{
		"id": "a1", "title": "Port scan", "status": "new", "severity": "low", "createdDateTime": runTime.Add(-time.Hour),
		"assignedTo": nil, "count": int64(3), "evidence": []any{ip("10.9.1.1"), ip("10.9.1.2"), ip("10.9.1.1")},
		"mitreTechniques": []any{"T1003.001"}, "x-new": "kept",
	}
	return env, map[string]any{
		"alert":    a,
		"incident": map[string]any{"alerts": []any{a, map[string]any{"id": "a2", "evidence": []any{ip("10.9.1.3")}}}},
		"lists":    map[string]any{"known_noise": []any{"Port scan"}, "scanner_ranges": []any{"10.9.0.0/16"}},
		"steps": map[string]any{"contain": map[string]any{"items": []any{
			map[string]any{"status": "ok", "host": map[string]any{"name": "pc1"}},
			map[string]any{"status": "failed", "host": map[string]any{"name": "pc2"}, "error": "no | answer"},
		}}},
		"onDuty": expression.HostFunc(func(args []any) (any, error) { return "anna@contoso.example", nil }),
	}
}

func compile(t testing.TB, src string) *expression.Program {
	t.Helper()
	env, _ := world()
	p, problem := expression.Compile(src, env, expression.WantAny)
	if problem != nil {
		t.Fatalf("%s: %v", src, problem)
	}
	return p
}

func eval(t testing.TB, src string) any {
	t.Helper()
	_, scope := world()
	v, err := compile(t, src).Eval(scope, runTime)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return v
}
