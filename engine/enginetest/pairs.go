package enginetest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/playbooks"
)

// pair is a construct of the language in a place where steps may stand.
type pair struct{ construct, place string }

func (p pair) String() string { return p.construct + " in " + p.place }

// constructs are all that a step can be, and what may be said beside it, each as the smallest step of its kind.
var constructs = map[string]string{
	"action":   "{id: one, name: One, action: test.put, with: {value: x}}",
	"await":    "{action: test.start, with: {value: x}, await: 5m}",
	"retry":    "{action: test.put, with: {value: x}, retry: {attempts: 3}}",
	"guard":    "{action: test.put, with: {value: x}, guard: alert.title contains 'worm'}",
	"timeout":  "{action: test.put, with: {value: x}, timeout: 5s}",
	"skip":     "{if: alert.title contains 'worm', action: test.put, with: {value: x}}",
	"continue": "{action: test.put, with: {value: x}, on_error: continue}",
	"rescue":   "{action: test.put, with: {value: x}, on_error: [{wait: 1m}]}",
	"if":       "{if: alert.title contains 'scan', then: [{wait: 1m}], else: [{wait: 2m}]}",
	"switch":   "{switch: [{if: alert.title contains 'scan', do: [{wait: 1m}]}]}",
	"foreach":  "{foreach: '[1, 2]', as: n, concurrency: 2, do: [{wait: 1m}]}",
	"parallel": "{parallel: [[{wait: 1m}], [{wait: 2m}]]}",
	"race":     "{join: any, parallel: [[{wait: 1m}], [{wait: 2m}]]}",
	"wait":     "{wait: 1m}",
	"poll":     "{wait: {until: last != nil, every: 1m, within: 5m, do: [{action: test.read, with: {value: x}}]}}",
	"approve":  "{approve: {title: 'Go on?', by: [anna], within: 1h}}",
	"ask":      "{ask: {title: 'Which?', by: [anna], within: 1h, choices: [this, that]}}",
	"call":     "{playbook: sub, with: {}}",
	"set":      "{set: {said: x}}",
	"stop":     "{if: alert.title contains 'scan', stop: enough}",
	"fail":     "{if: alert.title contains 'scan', fail: enough}",
}

// places are where steps may stand, each as a playbook around them; called is the place in another playbook.
var places = map[string]string{
	"steps":      "steps: [STEP]",
	"if":         "steps: [{if: alert.severity == 'low', then: [STEP]}]",
	"switch":     "steps: [{switch: [{if: alert.severity == 'low', do: [STEP]}]}]",
	"foreach":    "steps: [{foreach: '[1, 2]', as: each, do: [STEP]}]",
	"parallel":   "steps: [{parallel: [[STEP], [{wait: 1m}]]}]",
	"race":       "steps: [{join: any, parallel: [[STEP], [{wait: 1m}]]}]",
	"poll":       "steps: [{wait: {until: 'true', within: 1h, do: [STEP]}}]",
	"rescue":     "steps: [{action: test.put, with: {value: y}, on_error: [STEP]}]",
	"on_failure": "steps: [{action: test.put, with: {value: y}}]\non_failure: [STEP]",
	"finally":    "steps: [{action: test.put, with: {value: y}}]\nfinally: [STEP]",
	called:       "steps: [STEP]",
}

// called is the place in a playbook that another one calls.
const called = "call"

// head is how the playbooks of the table begin.
const head = "triggers: [{poll: {resource: alerts, every: 1m}}]\nvars: {said: nothing}\n"

// lasting are the constructs during which something else can happen: a cancellation.
func lasting() []string {
	return []string{"action", "await", "retry", "timeout", "wait", "poll", "approve", "ask", "call"}
}

// unknown lists the keys of a step that are in no construct of the table: something new in the language.
func unknown() []string {
	all := " " + strings.Join(slices.Collect(maps.Values(constructs)), " ")
	return slices.DeleteFunc(playbooks.StepKeys(), func(key string) bool {
		return strings.Contains(all, "{"+key+": ") || strings.Contains(all, " "+key+": ")
	})
}

// pairs are all that the language allows: asking the checker is the only rule.
func pairs(o playbooks.Options) (list []pair) {
	sub, _ := playbooks.Compile("sub.yaml", []byte("name: sub\n"+head+"steps: [{set: {said: x}}]\n"), o)
	o.Callees = map[string]*playbooks.Playbook{"sub": sub}
	for construct, step := range constructs {
		for place, around := range places {
			text := "name: pair\n" + head + strings.ReplaceAll(around, "STEP", step) + "\n"
			if _, findings := playbooks.Compile("pair.yaml", []byte(text), o); !findings.HasErrors() {
				list = append(list, pair{construct, place})
			}
		}
	}
	return list
}

var indexes = regexp.MustCompile(`\[\d+\]`)

// reachedIn notes which pairs of a playbook an expected journal shows.
func reachedIn(book *playbooks.Playbook, expected string, into map[pair]bool) {
	_, journal, _ := strings.Cut(expected, "\njournal\n")
	paths := map[string]bool{}
	for line := range strings.Lines(journal) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		path, _, _ := strings.Cut(indexes.ReplaceAllString(fields[2], ""), "#")
		for path, _, _ = strings.Cut(path, ":"); path != "."; { // with all that it is in
			paths[path] = true
			i := strings.LastIndexByte(path, '/')
			if i < 0 {
				break
			}
			path = path[:i]
		}
	}
	walk(book, "", "steps", func(p pair, path string) {
		if paths[path] {
			into[p] = true
		}
	})
}

// walk visits every step of a playbook and of those that it calls, once for each construct that it is. top is the place
// of its own steps.
func walk(book *playbooks.Playbook, base, top string, visit func(p pair, path string)) {
	var list func(steps []playbooks.Step, place string)
	list = func(steps []playbooks.Step, place string) {
		for i := range steps {
			s := &steps[i]
			for _, c := range constructsOf(s) {
				visit(pair{c, place}, base+s.Path)
			}
			s.Nested(func(name string, inner []playbooks.Step) { list(inner, placeOf(s, name)) })
			if call, ok := s.Body.(*playbooks.Call); ok {
				walk(call.Playbook, base+s.Path+"/call/", called, visit)
			}
		}
	}
	list(book.Steps, top)
	list(book.OnFailure, "on_failure")
	list(book.Finally, "finally")
}

// placeOf names the place of a list of steps inside of a step.
func placeOf(s *playbooks.Step, list string) string {
	if list == "on_error" {
		return "rescue"
	}
	return bodyOf(s)
}

// bodyOf names what a step does.
func bodyOf(s *playbooks.Step) string {
	switch b := s.Body.(type) {
	case *playbooks.Branch:
		return "if"
	case *playbooks.Switch:
		return "switch"
	case *playbooks.Foreach:
		return "foreach"
	case *playbooks.Parallel:
		if b.Any {
			return "race"
		}
		return "parallel"
	case *playbooks.Wait:
		if b.Poll != nil {
			return "poll"
		}
		return "wait"
	case *playbooks.Question:
		if b.Approve {
			return "approve"
		}
		return "ask"
	case *playbooks.Call:
		return "call"
	case *playbooks.Assign:
		return "set"
	case *playbooks.Stop:
		return "stop"
	case *playbooks.Fail:
		return "fail"
	case *playbooks.Act:
		return "action"
	}
	return fmt.Sprintf("%T", s.Body) // that the table does not know, so that no case is one of it
}

// constructsOf names all that a step is.
func constructsOf(s *playbooks.Step) []string {
	list := []string{bodyOf(s)}
	add := func(name string, is bool) {
		if is {
			list = append(list, name)
		}
	}
	act, is := s.Body.(*playbooks.Act)
	add("await", is && act.Await > 0)
	add("guard", is && act.Guard != nil)
	add("retry", s.Retry != nil)
	add("timeout", s.Timeout > 0)
	add("skip", s.If != nil)
	add("continue", s.OnError.Continue)
	add("rescue", s.OnError.Steps != nil)
	return list
}
