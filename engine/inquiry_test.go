package engine_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/engine"
)

const twoOf = `
steps:
  - id: ok
    approve:
      title: Close ${{ alert.title }}?
      details: ${{ alert.id }}
      by: [role:lead, boss]
      count: 2
      within: 15m
      otherwise: reject
  - if: steps.ok.approved
    then: [{action: test.put, with: {value: yes}}]
    else: [{action: test.add, with: {value: no}}]
`

// asked begins a run that was started by a person and returns its only question.
func asked(t *testing.T, text, by string) (*engine.Machine, engine.Question, []engine.Entry) {
	t.Helper()
	text = strings.NewReplacer("value: yes", `value: "yes"`, "value: no", `value: "no"`).Replace(text)
	p := compile(t, new(world).Registry(), text)
	ev := alert("")
	run := newRun(p, ev)
	run.By = by
	m, err := engine.Begin(p, run, ev, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := m.Next(epoch)
	list := m.Questions()
	if d.State != engine.Waiting || len(list) != 1 {
		t.Fatalf("the run is %s (%s) with the questions %+v", d.State, d.Message, list)
	}
	return m, list[0], d.Record
}

func TestAnApprovalNeedsAsManyDifferentPeopleAsItSays(t *testing.T) {
	t.Parallel()
	m, q, history := asked(t, twoOf, "lena")
	if q.Asked.Title != "Close Port scan?" || q.Asked.Details != "a1" || q.Step != "ok" || !q.Asked.Until.Equal(epoch.Add(15*time.Minute)) {
		t.Errorf("people are shown %+v", q)
	}
	lead := []string{"lead"}
	for _, c := range []struct {
		name string
		say  engine.AnsweredData
		want error
		part string
	}{
		{"who started the run may not", engine.AnsweredData{By: "lena", Roles: lead, Approve: true, Digest: q.Asked.Digest}, engine.ErrMayNot, "started the run"},
		{"who is not asked may not", engine.AnsweredData{By: "eve", Roles: []string{"analyst"}, Approve: true, Digest: q.Asked.Digest}, engine.ErrMayNot, "not among those"},
		{"what was not shown can't be agreed to", engine.AnsweredData{By: "boss", Approve: true, Digest: "sha256:other"}, engine.ErrMayNot, "another question"},
		{"nobody is nobody", engine.AnsweredData{Approve: true, Digest: q.Asked.Digest}, engine.ErrMayNot, "no name"},
		{"the first yes", engine.AnsweredData{By: "boss", Approve: true, Digest: q.Asked.Digest, Comment: "seen it"}, nil, ""},
		{"the same person is not two people", engine.AnsweredData{By: "boss", Approve: true, Digest: q.Asked.Digest}, engine.ErrMayNot, "already"},
		{"the second yes", engine.AnsweredData{By: "anna", Roles: lead, Approve: true, Digest: q.Asked.Digest}, nil, ""},
		{"afterwards nothing is open", engine.AnsweredData{By: "otto", Roles: lead, Approve: true, Digest: q.Asked.Digest}, engine.ErrNotFound, ""},
	} {
		e, err := m.Answer(q.Asked.ID, c.say, epoch.Add(time.Minute))
		if !errors.Is(err, c.want) || c.want != nil && !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s: %v, want %v (%s)", c.name, err, c.want, c.part)
		}
		if err == nil {
			history = append(history, e)
		}
	}
	more, d := drive(t, m, fine)
	if diff := cmp.Diff([]string{"steps/1/then/0:put#1"}, intents(more)); diff != "" || d.State != engine.Succeeded {
		t.Errorf("attempts (-want +got):\n%s%s %s", diff, d.State, d.Message)
	}
	text := strings.NewReplacer("value: yes", `value: "yes"`, "value: no", `value: "no"`).Replace(twoOf)
	p := compile(t, new(world).Registry(), text)
	run := newRun(p, alert(""))
	run.By = "lena"
	again, err := engine.Begin(p, run, alert(""), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Replay(append(history, more...)); err != nil {
		t.Errorf("the history does not replay: %v", err)
	}
}

func TestOneNoIsEnough(t *testing.T) {
	t.Parallel()
	m, q, _ := asked(t, twoOf, "")
	if _, err := m.Answer(q.Asked.ID, engine.AnsweredData{By: "boss", Digest: q.Asked.Digest}, epoch); err != nil {
		t.Fatal(err)
	}
	history, _ := drive(t, m, fine)
	if diff := cmp.Diff([]string{"steps/1/else/0:add#1"}, intents(history)); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

func TestSilenceMeansWhatThePlaybookSays(t *testing.T) {
	t.Parallel()
	for otherwise, want := range map[string]string{"reject": "steps/1/else/0:add#1", "approve": "steps/1/then/0:put#1"} {
		m, q, _ := asked(t, strings.ReplaceAll(twoOf, "otherwise: reject", "otherwise: "+otherwise), "")
		if _, err := m.Answer(q.Asked.ID, engine.AnsweredData{By: "boss", Approve: true, Digest: q.Asked.Digest}, epoch.Add(15*time.Minute)); !errors.Is(err, engine.ErrMayNot) {
			t.Errorf("an answer that comes too late: %v", err)
		}
		history, _ := drive(t, m, fine)
		if diff := cmp.Diff([]string{want}, intents(history)); diff != "" {
			t.Errorf("%s: attempts (-want +got):\n%s", otherwise, diff)
		}
	}
	m, _, _ := asked(t, strings.ReplaceAll(twoOf, "otherwise: reject", "otherwise: fail"), "")
	if _, d := drive(t, m, fine); d.State != engine.Failed || !strings.Contains(d.Message, "nobody answered in time") {
		t.Errorf("otherwise fail: %s (%s)", d.State, d.Message)
	}
}

func TestAnAnswerIsOneOfTheChoicesOrAFilledInForm(t *testing.T) {
	t.Parallel()
	const choices = `
steps:
  - {id: was, ask: {title: "Was it you?", by: [anna], within: 2h, choices: ["it was me", "not me"], otherwise: "not me"}}
  - {action: test.put, with: {value: "${{ steps.was.answer }}"}}
`
	const form = `
steps:
  - {id: was, ask: {title: "How many?", by: [anna], within: 2h, form: {n: {type: int, required: true}, why: {type: text, default: none}}}}
  - {action: test.put, with: {value: "${{ string(steps.was.answer.n) + steps.was.answer.why }}"}}
`
	for _, c := range []struct{ text, answer, want, value string }{
		{choices, `"it was me"`, "", "it was me"},
		{choices, `"somebody"`, "choose one of", ""},
		{choices, `7`, "choose one of", ""},
		{choices, `{`, "not JSON", ""},
		{form, `{"n": 3}`, "", "3none"},
		{form, `{"n": 3, "why": "because"}`, "", "3because"},
		{form, `{"why": "because"}`, "input n is missing", ""},
		{form, `{"n": "three"}`, "a whole number", ""},
		{form, `{"n": 3, "odd": 1}`, "no field", ""},
		{form, `"3"`, "fill in", ""},
		{form, `{"n": 3, "why": "` + strings.Repeat("x", engine.MaxAnswer) + `"}`, "bytes", ""},
	} {
		m, q, _ := asked(t, c.text, "")
		_, err := m.Answer(q.Asked.ID, engine.AnsweredData{By: "anna", Digest: q.Asked.Digest, Answer: json.RawMessage(c.answer)}, epoch)
		if c.want != "" {
			if !errors.Is(err, engine.ErrMayNot) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%.60s: %v, want %q", c.answer, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%.60s: %v", c.answer, err)
			continue
		}
		var got in
		drive(t, m, func(a engine.Attempt) answer { _ = json.Unmarshal(a.Input, &got); return fine(a) })
		if got.Value != c.value {
			t.Errorf("%.60s: later steps see %q, want %q", c.answer, got.Value, c.value)
		}
	}
	m, _, _ := asked(t, choices, "")
	var got in
	drive(t, m, func(a engine.Attempt) answer { _ = json.Unmarshal(a.Input, &got); return fine(a) })
	if got.Value != "not me" {
		t.Errorf("silence: later steps see %q", got.Value)
	}
}

func TestARunThatOnlyWatchesAsksNobodyAndGoesOn(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), "mode: shadow\n"+strings.NewReplacer("value: yes", `value: "yes"`, "value: no", `value: "no"`).Replace(twoOf))
	m := begin(t, p)
	d := m.Next(epoch)
	if d.State != engine.Succeeded || len(m.Questions()) > 0 {
		t.Errorf("the run is %s (%s)", d.State, d.Message)
	}
	paths := []string{}
	for _, e := range d.Record {
		paths = append(paths, string(e.Kind)+" "+e.Path)
	}
	if diff := cmp.Diff([]string{"began ", "asked steps/0", "chose steps/1", "outcome steps/1/then/0:put", "ended "}, paths); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}
