package playbooks_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks"
)

// misfits says what the schema for editors has against a value.
func misfits(t interface{ Fatal(...any) }, schema *actions.Schema, value any) []actions.Violation {
	found, err := actions.Check(schema, value)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTheSchemaForEditorsTakesWhateverTheCheckerTakes(t *testing.T) {
	t.Parallel()
	s := playbooks.Schema(catalog().Specs())
	good := 0
	for _, src := range material(t) {
		p, _ := playbooks.Compile("a.yaml", []byte(src), options())
		if p == nil {
			continue
		}
		good++
		for _, v := range misfits(t, s, plain(t, []byte(src))) {
			t.Errorf("%s\n%s", v, src)
		}
	}
	if good < 30 {
		t.Errorf("only %d good playbooks", good)
	}
}

func TestTheSchemaForEditorsTakesEveryGeneratedPlaybookThatTheCheckerTakes(t *testing.T) {
	t.Parallel()
	s := playbooks.Schema(catalog().Specs())
	good, constructs := 0, map[string]bool{}
	o := options()
	o.Callees = map[string]*playbooks.Playbook{"callee": compile(t, "name: callee\ntriggers: [{manual: {inputs: {host: text}}}]\nsteps: [{stop: \"${{ inputs.host }}\"}]\n")}
	rapid.Check(t, func(t *rapid.T) {
		g := &generator{T: t}
		value := g.playbook()
		src, err := json.Marshal(value) // which is YAML
		if err != nil {
			t.Fatal(err)
		}
		p, findings := playbooks.Compile("a.yaml", src, o)
		for _, f := range findings {
			if f.Code == "PB020" {
				t.Fatalf("the generator writes what is not of the language: %v", f)
			}
		}
		if p == nil {
			return
		}
		good++
		maps.Copy(constructs, g.used)
		for _, v := range misfits(t, s, value) {
			t.Fatalf("%s\n%s", v, src)
		}
	})
	t.Logf("%d good playbooks", good)
	for _, key := range append(playbooks.BodyKeys(), playbooks.TriggerKinds()...) {
		if !constructs[key] {
			t.Errorf("no good playbook had %s: the generator does not know it, or draws it badly", key)
		}
	}
}

// A key that nobody reads is refused by the checker, and underlined by the editor.
func TestTheSchemaForEditorsRefusesEveryKeyThatTheCheckerDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := playbooks.Schema(catalog().Specs())
	tried := 0
	for _, src := range material(t) {
		if p, _ := playbooks.Compile("a.yaml", []byte(src), options()); p == nil {
			continue
		}
		for _, value := range withKey(plain(t, []byte(src)), "x_y") {
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			_, findings := playbooks.Compile("a.yaml", text, options())
			unknown := slices.ContainsFunc(findings, func(f diag.Finding) bool {
				return f.Code == "PB020" || f.Code == "PB034" && strings.Contains(f.Message, "unknown field")
			})
			if !unknown {
				continue
			}
			if tried++; len(misfits(t, s, value)) == 0 {
				t.Errorf("the schema takes a key that is not known:\n%s", text)
			}
		}
	}
	if tried < 200 {
		t.Errorf("only %d keys were tried", tried)
	}
}

// withKey gives copies of a value, each with one more key in one of its objects.
func withKey(v any, key string) []any {
	var all []any
	switch v := v.(type) {
	case map[string]any:
		more := maps.Clone(v)
		more[key] = "x"
		all = append(all, more)
		for name, inner := range v {
			for _, changed := range withKey(inner, key) {
				more := maps.Clone(v)
				more[name] = changed
				all = append(all, more)
			}
		}
	case []any:
		for i, inner := range v {
			for _, changed := range withKey(inner, key) {
				more := slices.Clone(v)
				more[i] = changed
				all = append(all, more)
			}
		}
	}
	return all
}

func TestTheSchemaForEditorsSaysSomethingAboutEveryKey(t *testing.T) {
	t.Parallel()
	silent := map[string]bool{}
	var walk func(path string, s *actions.Schema)
	walk = func(path string, s *actions.Schema) {
		if s == nil {
			return
		}
		for name, p := range s.Properties {
			if empty, err := json.Marshal(p); err != nil || string(empty) == "true" || string(empty) == "{}" {
				silent[path+"."+name] = true
			}
			walk(path+"."+name, p)
		}
		for _, inner := range slices.Concat(s.AnyOf, []*actions.Schema{s.Items, s.AdditionalProperties}) {
			walk(path, inner)
		}
	}
	s := playbooks.Schema(nil)
	walk("playbook", s)
	for name, def := range s.Defs {
		walk(name, def)
	}
	for _, key := range slices.Sorted(maps.Keys(silent)) {
		t.Errorf("%s is not described in editor.go", key)
	}
}

func TestTheSchemaForEditorsFindsMistakes(t *testing.T) {
	t.Parallel()
	s := playbooks.Schema(catalog().Specs())
	for _, src := range []string{
		"name: a\n", "name: A\n" + simple, "nme: a\n" + simple, "name: a\ntriggers: [sla]\nsteps: [{stop: done}]\n",
		"name: a\ntriggers: [manual]\nsteps:\n  - action: alert.updaet\n",
		"name: a\ntriggers: [manual]\nsteps:\n  - action: alert.update\n    with: {alert: x, status: closed}\n",
		"name: a\ntriggers: [manual]\nsteps:\n  - action: alert.list\n    timeout: 5\n",
		"name: a\ntriggers: [manual]\nsteps:\n  - set: {state: {kee: x, value: 1}}\n",
		"name: a\ntriggers: [manual]\nsteps:\n  - set: {state: [{key: x}]}\n",
	} {
		found, err := actions.Check(s, plain(t, []byte(src)))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			t.Errorf("nothing is found in:\n%s", src)
		}
	}
}

// plain reads YAML as plain values.
func plain(t *testing.T, src []byte) any {
	t.Helper()
	doc, findings := document.Read("test.yaml", src)
	if doc.Root == nil || findings.HasErrors() {
		t.Fatalf("findings:\n%s", render(t, findings))
	}
	return doc.Root.Any()
}
