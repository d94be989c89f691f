package expression_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/playbooks/expression"
)

// keyed is a value that is looked up by key when it is read.
type keyed struct{ asked *[]string }

func (k keyed) Get(key any) (any, error) {
	*k.asked = append(*k.asked, fmt.Sprint(key))
	if key == "broken" {
		return nil, errors.New("it cannot be read")
	}
	return map[string]any{"n": int64(3)}, nil
}

func TestAKeyedValueIsLookedUpOnlyWhereItIsRead(t *testing.T) {
	t.Parallel()
	env := &expression.Env{Vars: map[string]expression.Type{"state": expression.Any, "x": expression.Text}}
	for _, c := range []struct{ source, want, asked string }{
		{`state.a.n`, "3", "a"}, {`state["a b"].n + 1`, "4", "a b"}, {`state["u:" + x].n == 3`, "true", "u:v"}, {`x == "w" and state.a != nil`, "false", ""},
		{`state.a.n == 3`, "true", "a"}, {`state?.a?.n`, "3", "a"}, {`state.broken`, "it cannot be read", "broken"}, {`state`, "cannot be a value", ""},
	} {
		p, problem := expression.Compile(c.source, env, expression.WantAny)
		if problem != nil {
			t.Errorf("%s: %v", c.source, problem)
			continue
		}
		var asked []string
		v, err := p.Eval(map[string]any{"state": keyed{&asked}, "x": "v"}, time.Time{})
		got := fmt.Sprint(v)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) && c.want != "cannot be a value" || c.want == "cannot be a value" && err == nil {
			t.Errorf("%s gives %s, want %s", c.source, got, c.want)
		}
		if strings.Join(asked, ",") != c.asked {
			t.Errorf("%s asked for %q, want %q", c.source, asked, c.asked)
		}
	}
}

func TestCallsSayWhatIsWrittenOut(t *testing.T) {
	t.Parallel()
	env := &expression.Env{Vars: map[string]expression.Type{"x": expression.Any}, Funcs: map[string]expression.Signature{
		"ask": {Params: []expression.Type{expression.Any, expression.Any}, Optional: 1, Result: expression.Any}}}
	tpl, problem := expression.ParseTemplate(`é ${{ ask("k", x) }} and ${{ ask({"a": 1, "b": [x]}) }}`, env)
	if problem != nil {
		t.Fatal(problem)
	}
	var got []string
	for _, c := range tpl.Calls() {
		line := fmt.Sprintf("%d %s", c.Offset, c.Name)
		for _, a := range c.Args {
			line += fmt.Sprintf(" [%d %v %v]", a.Offset, a.Constant, a.Value)
			for _, f := range a.Fields {
				line += fmt.Sprintf(" {%s %d %v %v}", f.Name, f.Offset, f.Constant, f.Value)
			}
		}
		got = append(got, line)
	}
	want := "6 ask [10 true k] [15 false <nil>]; 29 ask [33 false <nil>] {a 39 true 1} {b 47 false <nil>}"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("calls %s\nwant  %s", s, want)
	}
}
