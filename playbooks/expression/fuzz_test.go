package expression_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/playbookd/playbookd/playbooks/expression"
)

// FuzzEval compiles and evaluates whatever it is given. The only ends allowed are a Problem with a place in
// the text, a Fault, and a plain value that is the same when it is computed again.
func FuzzEval(f *testing.F) {
	for _, src := range killers() {
		if len(src) <= 2*expression.MaxSource {
			f.Add(src)
		}
	}
	for _, src := range []string{
		`alert.status == "new" and alert.title in lists.known_noise`, `(a and (b)) && c`, `map(alert.evidence, {let x = .size; x + 1})`,
		`alert.evidence[1:].size`, `reduce(1..9, #acc + #)`, `groupBy(alert.evidence, .roles)`, `sortBy(steps, #)`, `{"a": [1, now()]} | toJSON()`,
		`if alert.flag { 1 } else if true { 2 } else { nil }`, `let a = [1]; let b = [a, a]; b == a`, `-duration("1h") * 2.5`, `"\u{10FFFF}" + '\x00'`,
		`kql(ips(incident))`, `table(steps.contain.items)`, `alert?.["x"]?.y ?? 1`, `1_000 + 0x1F + 0b1 + 1e3`, `find(alert.evidence, #)`, `steps[steps]`,
		`date("2027-01-01") - now()`, `max(1, nil, [2])`, `sum(alert.evidence, .size)`, `fromJSON("[1]")[0]`, `alert.title matches "a{1,1000}"`,
	} {
		f.Add(src)
	}
	env, scope := world()
	f.Fuzz(func(t *testing.T, src string) {
		p, problem := expression.Compile(src, env, expression.WantAny)
		if problem != nil {
			if n := len([]rune(src)); problem.Message == "" || problem.Offset < 0 || problem.Offset > n || problem.Length < 1 {
				t.Errorf("%+v", problem)
			}
			return
		}
		v, err := p.Eval(scope, runTime)
		w, err2 := p.Eval(scope, runTime)
		if (err == nil) != (err2 == nil) || err == nil && !reflect.DeepEqual(v, w) {
			t.Errorf("%v (%v), and again %v (%v)", v, err, w, err2)
		}
		for _, term := range p.Terms() {
			if _, problem := expression.Compile(term, env, expression.WantAny); problem != nil && len(p.Terms()) > 1 {
				t.Errorf("the term %q is no expression: %v", term, problem)
			}
		}
	})
}

// FuzzTemplate does the same for texts with expressions in them.
func FuzzTemplate(f *testing.F) {
	for _, src := range []string{`a ${{ alert.title }} b`, `$${{`, `${{ "}}" }}`, `${{ {"a": 1} }}`, `${{`, "${{ `", `${{ /* }} */ 1 }}`, `${{ '\' }}`} {
		f.Add(src)
	}
	env, scope := world()
	f.Fuzz(func(t *testing.T, src string) {
		tpl, problem := expression.ParseTemplate(src, env)
		if problem != nil {
			if n := len([]rune(src)); problem.Offset < 0 || problem.Offset > n {
				t.Errorf("%+v", problem)
			}
			return
		}
		v, err := tpl.Eval(scope, runTime)
		if tpl.Static() && (err != nil || len(v.(string)) > len(src)) {
			t.Errorf("%v %v", v, err)
		}
	})
}

// FuzzDecode checks that what is accepted is within the limits and can be used.
func FuzzDecode(f *testing.F) {
	for _, src := range []string{`{"createdDateTime":"2027-03-31T08:00:00.1234567Z","evidence":[{"size":1}]}`, `[[[1]]]`, `{"a":1e400}`, `"\ud800"`} {
		f.Add([]byte(src))
	}
	env, _ := world()
	f.Fuzz(func(t *testing.T, payload []byte) {
		v, err := expression.Decode(json.RawMessage(payload), env.Vars["alert"])
		if err != nil {
			return
		}
		p, problem := expression.Compile(`toJSON(alert)`, env, expression.WantText)
		if problem != nil {
			t.Fatal(problem)
		}
		text, err := p.Eval(map[string]any{"alert": v}, runTime)
		if err != nil {
			return
		}
		if s, ok := text.(string); !ok || !json.Valid([]byte(s)) {
			t.Errorf("%q is not JSON", text)
		}
	})
}
