package playtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/diag"
)

// Problem is one expectation that was not met.
type Problem struct {
	Pos  diag.Position `json:"-"`
	At   string        `json:"at"`
	Want string        `json:"want"`
	Got  string        `json:"got"`
}

func (s *stage) fail(pos diag.Position, want, got string) {
	s.problems = append(s.problems, Problem{Pos: pos, At: pos.String(), Want: want, Got: got})
}

// judgeUntil looks at what is expected before a moment, as things stand now.
func (s *stage) judgeUntil(moment time.Time) {
	for len(s.checks) > 0 && s.checks[0].After != nil && s.c.At.Add(*s.checks[0].After).Before(moment) {
		s.judge(s.checks[0])
		s.checks = s.checks[1:]
	}
}

// judgeAll looks at all that is expected still. Nothing more will happen.
func (s *stage) judgeAll() {
	for _, e := range s.checks {
		s.judge(e)
	}
	for _, a := range s.answers {
		s.fail(a.Pos, "somebody who asks "+a.By, "nobody did")
	}
	if c := s.cancel; c != nil {
		s.fail(c.Pos, "a run that can be called off", "none could")
	}
	if r := s.release; r != nil {
		s.fail(r.Pos, "a run that a limit holds", "none did")
	}
	for _, what := range s.world.unread {
		s.fail(s.c.Pos, "to be told what "+what+" finds", "no mock says so: add mocks: [{action: …, output: {…}}]")
	}
	s.checks = nil
}

// judge looks at one expectation.
func (s *stage) judge(e Expect) {
	matched := s.match.Verdict == engine.Matched
	if e.Matched != nil && *e.Matched != matched {
		s.fail(e.Pos, verdict(*e.Matched, "", ""), verdict(matched, s.match.Reason, s.match.Detail))
		return
	}
	if e.Because != "" && squeeze(e.Because) != squeeze(s.match.Detail) {
		s.fail(e.Pos, "not matched, because this is false: "+squeeze(e.Because), verdict(matched, s.match.Reason, s.match.Detail))
	}
	if e.Skipped != "" && e.Skipped != s.match.Reason {
		s.fail(e.Pos, "skipped, "+e.Skipped, verdict(matched, s.match.Reason, s.match.Detail))
	}
	if e.Effects != nil {
		s.judgeEffects(e)
	}
	if e.State != "" && e.State != string(s.latest().last.State) {
		s.fail(e.Pos, "the run is "+e.State, strings.TrimSpace(fmt.Sprintf("it is %s %s", s.latest().last.State, s.latest().last.Message)))
	}
	if e.Message != "" && !strings.Contains(s.latest().last.Message, e.Message) {
		s.fail(e.Pos, fmt.Sprintf("a message with %q", e.Message), fmt.Sprintf("%q", s.latest().last.Message))
	}
	s.judgeSteps(e)
	s.judgeAsked(e)
	s.judgeOutputs(e)
	s.judgeStages(e)
	s.judgeKept(e)
}

func (s *stage) judgeStages(e Expect) {
	if e.Stages == nil {
		return
	}
	var fired []string
	if s.clock != nil {
		fired = s.clock.fired
	}
	if !slices.Equal(fired, *e.Stages) {
		s.fail(e.Pos, fmt.Sprintf("the stages %q", *e.Stages), fmt.Sprintf("%q", fired))
	}
}

func verdict(matched bool, reason, detail string) string {
	switch {
	case matched:
		return "matched"
	case reason != "":
		return strings.TrimSuffix("skipped, "+reason+": "+squeeze(detail), ": ")
	case detail != "":
		return "not matched, because this is false: " + squeeze(detail)
	}
	return "not matched"
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

func (s *stage) judgeEffects(e Expect) {
	for i, want := range *e.Effects {
		if i >= len(s.world.did) {
			s.fail(e.Pos, fmt.Sprintf("effect %d: %s", i+1, want.Action), "the playbook did nothing more"+s.didSoFar())
			return
		}
		did := s.world.did[i]
		if did.Action != want.Action {
			s.fail(e.Pos, fmt.Sprintf("effect %d: %s", i+1, want.Action), fmt.Sprintf("%s %s", did.Action, did.Input))
			return
		}
		if diff := differs("", want.With, decoded(did.Input)); want.With != nil && diff != "" {
			s.fail(e.Pos, fmt.Sprintf("effect %d: %s with %s", i+1, want.Action, written(want.With)), diff)
		}
	}
	if more := s.world.did[min(len(*e.Effects), len(s.world.did)):]; len(more) > 0 {
		s.fail(e.Pos, fmt.Sprintf("%d effects", len(*e.Effects)), fmt.Sprintf("%d; also %s %s", len(s.world.did), more[0].Action, more[0].Input))
	}
}

func (s *stage) didSoFar() string {
	if len(s.world.did) == 0 {
		return ""
	}
	names := make([]string, len(s.world.did))
	for i, d := range s.world.did {
		names[i] = d.Action
	}
	return " than " + strings.Join(names, ", ")
}

func (s *stage) judgeSteps(e Expect) {
	if e.Steps == nil {
		return
	}
	status := map[string]string{}
	for _, step := range engine.Trace(s.playbook, s.latest().history) {
		if step.ID != "" {
			status[step.ID] = step.Status
		}
	}
	for _, id := range slices.Sorted(maps.Keys(e.Steps)) {
		got := status[id]
		if got == "" {
			got = "pending"
		}
		if got != e.Steps[id] {
			s.fail(e.Pos, fmt.Sprintf("step %s is %s", id, e.Steps[id]), "it is "+got)
		}
	}
}

func (s *stage) judgeAsked(e Expect) {
	if e.Asked == nil || len(s.runs) == 0 {
		return
	}
	titles := []string{}
	for _, r := range s.runs {
		for _, q := range r.questions() {
			titles = append(titles, q.Asked.Title)
		}
	}
	if !slices.Equal(titles, *e.Asked) {
		s.fail(e.Pos, fmt.Sprintf("open questions %q", *e.Asked), fmt.Sprintf("%q", titles))
	}
}

func (s *stage) judgeOutputs(e Expect) {
	if e.Outputs == nil {
		return
	}
	var end engine.EndedData
	history := s.latest().history
	if n := len(history); n > 0 && history[n-1].Kind == engine.Ended {
		_ = json.Unmarshal(history[n-1].Data, &end) // our own record
	}
	got, _ := decoded(end.Outputs).(map[string]any)
	if diff := differs("", e.Outputs, plainTimes(got)); diff != "" {
		s.fail(e.Pos, "outputs "+written(e.Outputs), diff)
	}
}

// plainTimes writes recorded times as people write them.
func plainTimes(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = plainTimes(v[i])
		}
	case map[string]any:
		if t, ok := v["$time"].(string); ok && len(v) == 1 {
			return t
		}
		for k := range v {
			v[k] = plainTimes(v[k])
		}
	}
	return v
}

// differs says how a value differs from what a test wants of it: an object must have the wanted
// fields and may have others; {contains: TEXT} and {matches: REGEX} look into a text.
func differs(at string, want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		if len(w) == 1 {
			if diff, is := differsText(at, w, got); is {
				return diff
			}
		}
		fields, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%sis %s", dotted(at), written(got))
		}
		for _, name := range slices.Sorted(maps.Keys(w)) {
			value, there := fields[name]
			if !there && w[name] != nil {
				return fmt.Sprintf("there is no %s", strings.TrimPrefix(at+"."+name, "."))
			}
			if diff := differs(at+"."+name, w[name], value); diff != "" {
				return diff
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(w) {
			return fmt.Sprintf("%sis %s", dotted(at), written(got))
		}
		for i := range w {
			if diff := differs(fmt.Sprintf("%s[%d]", at, i), w[i], list[i]); diff != "" {
				return diff
			}
		}
		return ""
	}
	if reflect.DeepEqual(plainNumber(want), plainNumber(got)) {
		return ""
	}
	return fmt.Sprintf("%sis %s", dotted(at), written(got))
}

func differsText(at string, want map[string]any, got any) (diff string, is bool) {
	text, _ := got.(string)
	if part, ok := want["contains"].(string); ok {
		if strings.Contains(text, part) {
			return "", true
		}
		return fmt.Sprintf("%sis %s, without %q", dotted(at), written(got), part), true
	}
	if pattern, ok := want["matches"].(string); ok {
		re, err := regexp.Compile(pattern)
		switch {
		case err != nil:
			return fmt.Sprintf("%q is no regular expression: %v", pattern, err), true
		case re.MatchString(text):
			return "", true
		}
		return fmt.Sprintf("%sis %s, which does not match %q", dotted(at), written(got), pattern), true
	}
	return "", false
}

func plainNumber(v any) any {
	switch n := v.(type) {
	case int64:
		return float64(n)
	case int:
		return float64(n)
	}
	return v
}

func dotted(at string) string {
	if at == "" {
		return ""
	}
	return strings.TrimPrefix(at, ".") + " "
}

// written shows a value on one line, shortened.
func written(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const most = 300
	if r := []rune(string(raw)); len(r) > most {
		return string(r[:most]) + "…"
	}
	return string(raw)
}
