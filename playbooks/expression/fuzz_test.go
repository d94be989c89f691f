package expression_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/playbookd/playbookd/internal/capped"
	"github.com/playbookd/playbookd/internal/killer"
	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/playbooks/schema"
)

// How trying an expression ends: with a value, with a finding when it is compiled, or with a fault when it is evaluated.
const (
	value   = "value"
	finding = "finding"
	fault   = "fault"
)

func TestMain(m *testing.M) {
	capped.Main(m, map[string]capped.Do{
		"expression": func(input []byte) string {
			end := "none"
			for _, w := range []func() (*expression.Env, map[string]any){world, tenant} {
				env, scope := w()
				p, problem := expression.Compile(string(input), env, expression.WantAny)
				if problem != nil {
					end = finding
					continue
				}
				_, err := p.Eval(scope, runTime)
				end = map[bool]string{true: value, false: fault}[err == nil]
			}
			return end
		},
		"template": func(input []byte) string {
			env, scope := tenant()
			p, problem := expression.ParseTemplate(string(input), env)
			if problem != nil {
				return finding
			}
			if _, err := p.Eval(scope, runTime); err != nil {
				return fault
			}
			return value
		},
	})
}

// sample is an alert as Graph sends it, decoded once. Expressions only read it.
var sample = sync.OnceValue(func() map[string]any {
	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "graph", "samples", "alerts_v2.list.response.json"))
	if err != nil {
		panic(err)
	}
	var page struct{ Value []json.RawMessage }
	if err := json.Unmarshal(text, &page); err != nil {
		panic(err)
	}
	v, err := expression.Decode(page.Value[0], schema.Alert())
	if err != nil {
		panic(err)
	}
	alert := v.(map[string]any)
	alert["x-new"] = "kept"
	return alert
})

// growth is what the growing killers read.
var growth = sync.OnceValue(func() map[string]any {
	long := make([]any, expression.MaxItems)
	for i := range long {
		long[i] = strings.Repeat("ab", 400)
	}
	return map[string]any{"long": long, "text": strings.Repeat("a", 900_000)}
})

// tenant is an alert of Graph's with its real schema, and steps with large values.
func tenant() (*expression.Env, map[string]any) {
	env, scope := world()
	env = env.With("alert", schema.Alert()).With("vars", expression.Any)
	scope["alert"], scope["vars"], scope["steps"] = sample(), map[string]any{"x": []any{int64(1), "a", nil}}, growth()
	return env, scope
}

// ends gives an expression to a child and demands that it ends as it should.
func ends(t *testing.T, src string) {
	t.Helper()
	switch end := capped.Try(t, "expression", []byte(src)); end {
	case value, finding, fault:
	default:
		t.Fatalf("%q ended as %q", src, end)
	}
}

// tryHere holds an expression that has ended well in a child to its promises in this process.
func tryHere(t *testing.T, src string, env *expression.Env, scope map[string]any) (end string) {
	p, problem := expression.Compile(src, env, expression.WantAny)
	if problem != nil {
		if n := len([]rune(src)); problem.Message == "" || problem.Offset < 0 || problem.Offset > n || problem.Length < 1 {
			t.Errorf("%q: %+v", src, problem)
		}
		return finding
	}
	v, err := p.Eval(scope, runTime)
	w, err2 := p.Eval(scope, runTime)
	if (err == nil) != (err2 == nil) || err == nil && !reflect.DeepEqual(v, w) {
		t.Errorf("%q is %v (%v), and again %v (%v)", src, v, err, w, err2)
	}
	amid(t, src, env, scope, v, err)
	for _, term := range p.Terms() {
		if _, problem := expression.Compile(term, env, expression.WantAny); problem != nil && len(p.Terms()) > 1 {
			t.Errorf("the term %q is no expression: %v", term, problem)
		}
	}
	if err != nil {
		if f, ok := errors.AsType[*expression.Fault](err); !ok || f.Message == "" {
			t.Errorf("%q: the fault is %#v", src, err)
		}
		return fault
	}
	if !p.Type().Holds(v) {
		t.Errorf("%q is %s for the checker, and its value is %#v", src, p.Type(), v)
	}
	return value
}

// amid compares an expression with the same text in the middle of a list: what stands around it must come to no harm.
// A condition must hold as it does when it is a value: its common terms are evaluated without the machine.
func amid(t *testing.T, src string, env *expression.Env, scope map[string]any, v any, err error) {
	t.Helper()
	q, problem := expression.Compile("[7, ("+src+"\n), 8]", env, expression.WantAny)
	if problem != nil {
		return // one of the limits
	}
	w, err2 := q.Eval(scope, runTime)
	list, _ := w.([]any)
	if (err == nil) != (err2 == nil) && !isLimit(err) && !isLimit(err2) || err2 == nil && (len(list) != 3 || list[0] != int64(7) || list[2] != int64(8)) ||
		err == nil && err2 == nil && !reflect.DeepEqual(list[1], v) {
		t.Errorf("%q is %v (%v), and between 7 and 8 %v (%v)", src, v, err, w, err2)
	}
	p, problem := expression.Compile(src, env, expression.WantBool)
	if problem != nil {
		return
	}
	ok, why, err := p.Match(scope, runTime)
	if err == nil && err2 == nil && (list[1] != ok || ok == (why != "")) || (err == nil) != (err2 == nil) && !isLimit(err) && !isLimit(err2) && (err2 != nil || list[1] == true || list[1] == false) {
		t.Errorf("%q as a condition is %v because of %q (%v), and as a value %v (%v)", src, ok, why, err, w, err2)
	}
}

// isLimit reports whether an evaluation was stopped: the same expression in another place may cost a little more.
func isLimit(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "too m") || strings.Contains(err.Error(), "more than") || strings.Contains(err.Error(), "memory"))
}

// FuzzEval compiles and evaluates whatever it is given, first in a child that may use little memory. The only ends
// allowed are a Problem with a place in the text, a Fault, and a plain value that is the same when it is computed again.
func FuzzEval(f *testing.F) {
	for _, k := range append(killer.Expressions(), killer.Growing()...) {
		f.Add(k.Text)
	}
	for _, src := range shipped(f) {
		f.Add(src)
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
	f.Fuzz(func(t *testing.T, src string) {
		ends(t, src)
		env, scope := world()
		tryHere(t, src, env, scope)
	})
}

// shipped are the expressions of the playbooks that ship.
func shipped(t testing.TB) []string {
	files, err := filepath.Glob(filepath.Join("..", "library", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no playbooks", err)
	}
	var list []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for rest := string(text); ; {
			_, after, found := strings.Cut(rest, "${{")
			if !found {
				break
			}
			var one string
			one, rest, _ = strings.Cut(after, "}}")
			list = append(list, strings.TrimSpace(one))
		}
	}
	return list
}

// FuzzGrammar does what FuzzEval does with texts that a grammar writes over the schema of an alert. Most of them compile,
// so that this one looks at evaluations where the other looks at the parser.
func FuzzGrammar(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		f.Add(someBytes(r), true)
	}
	f.Fuzz(func(t *testing.T, choices []byte, wrong bool) {
		src := anyExpression(choices, wrong)
		ends(t, src)
		env, scope := tenant()
		tryHere(t, src, env, scope)
	})
}

func someBytes(r *rand.Rand) []byte {
	b := make([]byte, r.IntN(120))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestTheGrammarWritesExpressionsOfEveryEnd(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	seen := map[string]int{}
	env, scope := tenant()
	for i := range 1000 {
		seen[tryHere(t, anyExpression(someBytes(r), i%2 == 0), env, scope)]++
	}
	if seen[value] < 200 || seen[finding] < 50 || seen[fault] < 20 {
		t.Errorf("of a thousand expressions: %v", seen)
	}
	t.Log(seen)
}

func TestKnownKillersEndInAProblem(t *testing.T) {
	t.Parallel()
	for _, k := range killer.Expressions() {
		if end := capped.Try(t, "expression", []byte(k.Text)); end != finding {
			t.Errorf("%s ended as %s", k.Name, end)
		}
	}
}

// Values that grow while they are computed, from programs that are small and cheap to look at.
func TestEvaluationsThatGrowAreStopped(t *testing.T) {
	t.Parallel()
	for _, k := range killer.Growing() {
		if end := capped.Try(t, "expression", []byte(k.Text)); end != fault {
			t.Errorf("%s ended as %s", k.Name, end)
		}
	}
}

// FuzzTemplate does the same for texts with expressions in them.
func FuzzTemplate(f *testing.F) {
	for _, src := range []string{`a ${{ alert.title }} b`, `$${{`, `${{ "}}" }}`, `${{ {"a": 1} }}`, `${{`, "${{ `", `${{ /* }} */ 1 }}`, `${{ '\' }}`} {
		f.Add(src)
	}
	for _, k := range append(killer.Expressions(), killer.Growing()...) {
		if len(k.Text) < expression.MaxTemplate {
			f.Add("a ${{ " + k.Text + " }} b")
		}
	}
	env, scope := tenant()
	f.Fuzz(func(t *testing.T, src string) {
		capped.Try(t, "template", []byte(src))
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
	text, err := json.Marshal(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	env, _ := world()
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, typ := range []expression.Type{env.Vars["alert"], schema.Alert()} {
			v, err := expression.Decode(json.RawMessage(payload), typ)
			if err != nil {
				continue
			}
			p, problem := expression.Compile(`toJSON(alert)`, env, expression.WantText)
			if problem != nil {
				t.Fatal(problem)
			}
			text, err := p.Eval(map[string]any{"alert": v}, runTime)
			if err != nil {
				continue
			}
			if s, ok := text.(string); !ok || !json.Valid([]byte(s)) {
				t.Errorf("%q is not JSON", text)
			}
		}
	})
}
