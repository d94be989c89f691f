package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

// The versions of the echo tests are seen a quarter of an hour apart.
var (
	seenBefore = epoch
	seenAfter  = epoch.Add(15 * time.Minute)
)

// wrote is a write of a playbook called mine, at some time after the first version was seen.
func wrote(after time.Duration, fields map[string]any) engine.Write {
	return engine.Write{Tenant: "contoso", Playbook: "mine", Run: "r1", Path: "steps/0:update", At: seenBefore.Add(after),
		Touch: actions.Touch{Object: "alerts/a1", Fields: fields}}
}

func status(after time.Duration, value string) engine.Write {
	return wrote(after, map[string]any{"status": value})
}

func by(playbook string, w engine.Write) engine.Write {
	w.Playbook, w.Run = playbook, engine.RunID("r-"+playbook)
	return w
}

// commented is a write of a comment; the mark that the comment carries is the run's and path's.
func commented(playbook string) engine.Write {
	return engine.Write{Tenant: "contoso", Playbook: playbook, Run: engine.RunID("r-" + playbook), Path: "steps/0:comment",
		At: seenBefore.Add(time.Minute), Touch: actions.Touch{Object: "alerts/a1", Comment: true}}
}

func comments(texts ...string) string {
	list := []map[string]string{}
	for i, text := range texts {
		list = append(list, map[string]string{"comment": text, "createdDateTime": fmt.Sprint(i)})
	}
	raw, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return `"comments":` + string(raw)
}

func TestOnlyWhatAPlaybookWroteItselfIsItsEcho(t *testing.T) {
	t.Parallel()
	ours := actions.Mark("closed", engine.Key("r-mine", "steps/0:comment"))
	theirs := actions.Mark("closed", engine.Key("r-other", "steps/0:comment"))
	refused := wrote(2*time.Minute, nil)
	for _, c := range []struct {
		name, before, after string // fields of the object
		writes              []engine.Write
		echo                bool
	}{
		{"our change alone", `"status":"new"`, `"status":"resolved"`, []engine.Write{status(time.Minute, "resolved")}, true},
		{"our change and what follows from it", `"status":"new","resolvedDateTime":null`, `"status":"resolved","resolvedDateTime":"t"`,
			[]engine.Write{status(time.Minute, "resolved")}, true},
		{"a field taken away", `"assignedTo":"ana"`, `"assignedTo":null`, []engine.Write{wrote(time.Minute, map[string]any{"assignedTo": nil})}, true},
		{"an object as a value", `"customDetails":{}`, `"customDetails":{"a":"b"}`,
			[]engine.Write{wrote(time.Minute, map[string]any{"customDetails": map[string]string{"a": "b"}})}, true},
		{"two changes of ours", `"status":"new","severity":"low"`, `"status":"inProgress","severity":"high"`,
			[]engine.Write{status(time.Minute, "inProgress"), wrote(2*time.Minute, map[string]any{"severity": "high"})}, true},
		{"written again without a change", `"status":"resolved"`, `"status":"resolved"`, []engine.Write{status(time.Minute, "resolved")}, true},
		{"in flight when the earlier version was seen", `"status":"new"`, `"status":"resolved"`, []engine.Write{status(-engine.EchoLag, "resolved")}, true},
		{"the first of two changes, the second in flight", `"status":"new","severity":"low"`, `"status":"inProgress","severity":"low"`,
			[]engine.Write{status(14*time.Minute+50*time.Second, "inProgress"), wrote(14*time.Minute+55*time.Second, map[string]any{"severity": "high"})}, true},

		{"nobody wrote anything", `"status":"new"`, `"status":"resolved"`, nil, false},
		{"our change and a person's", `"status":"new","assignedTo":null`, `"status":"resolved","assignedTo":"ana"`,
			[]engine.Write{status(time.Minute, "resolved")}, false},
		{"a person changed the field again", `"status":"new"`, `"status":"inProgress"`, []engine.Write{status(time.Minute, "resolved")}, false},
		{"a person changed the field back", `"status":"new"`, `"status":"new"`, []engine.Write{status(time.Minute, "resolved")}, false},
		{"a person changed back, and another change of ours is there", `"status":"new","severity":"low"`, `"status":"new","severity":"high"`,
			[]engine.Write{status(time.Minute, "resolved"), wrote(2*time.Minute, map[string]any{"severity": "high"})}, false},
		{"a person went back to what we wrote first", `"status":"new"`, `"status":"inProgress"`,
			[]engine.Write{status(time.Minute, "inProgress"), status(2*time.Minute, "resolved")}, false},
		{"resolved again by a person, while we wrote something else", `"status":"resolved","resolvedDateTime":"t1","severity":"low"`,
			`"status":"resolved","resolvedDateTime":"t2","severity":"high"`, []engine.Write{wrote(time.Minute, map[string]any{"severity": "high"})}, false},
		{"our write was refused, a person made the change", `"status":"new"`, `"status":"resolved"`,
			[]engine.Write{status(time.Minute, "resolved"), refused}, false},
		{"refused at first, then made", `"status":"new"`, `"status":"resolved"`,
			[]engine.Write{status(time.Minute, "resolved"), refused, status(3*time.Minute, "resolved")}, true},
		{"another playbook's change", `"status":"new"`, `"status":"resolved"`, []engine.Write{by("other", status(time.Minute, "resolved"))}, false},
		{"another playbook's change beside ours", `"status":"new","severity":"low"`, `"status":"resolved","severity":"high"`,
			[]engine.Write{status(time.Minute, "resolved"), by("other", wrote(time.Minute, map[string]any{"severity": "high"}))}, false},
		{"another playbook's change over ours", `"status":"new"`, `"status":"resolved"`,
			[]engine.Write{status(time.Minute, "inProgress"), by("other", status(5*time.Minute, "resolved"))}, false},
		{"only a time changed, and what we wrote is not there", `"status":"new"`, `"status":"new"`, []engine.Write{status(14*time.Minute+50*time.Second, "resolved")}, false},
		{"a person is named as the last to change it", `"status":"new","lastModifiedBy":"API-App:us"`, `"status":"resolved","lastModifiedBy":"ana@contoso.example"`,
			[]engine.Write{status(time.Minute, "resolved")}, false},
		{"an application is named as the last to change it", `"status":"new","lastModifiedBy":"ana@contoso.example"`, `"status":"resolved","lastModifiedBy":"API-App:us"`,
			[]engine.Write{status(time.Minute, "resolved")}, true},

		{"our comment", comments("a person's"), comments("a person's", ours), []engine.Write{commented("mine")}, true},
		{"our comment, the first of all", `"comments":null`, comments(ours), []engine.Write{commented("mine")}, true},
		{"a person's comment", comments(), comments("looking into it"), []engine.Write{commented("mine")}, false},
		{"a person's comment beside ours", comments(), comments(ours, "reopened"), []engine.Write{commented("mine")}, false},
		{"a person quotes our comment", comments(ours), comments(ours, ours+"\nthis is wrong"), []engine.Write{commented("mine")}, false},
		{"a person pretends to be some playbook", comments(), comments("[playbookd 0123456789ab]"), []engine.Write{commented("mine")}, false},
		{"another playbook's comment", comments(), comments(theirs), []engine.Write{commented("mine"), commented("other")}, false},
		{"another playbook's comment beside ours", comments(), comments(ours, theirs), []engine.Write{commented("mine"), commented("other")}, false},
		{"a comment was removed while we added one", comments("a person's"), comments(ours), []engine.Write{commented("mine")}, false},
		{"all comments were removed", comments("a person's"), comments(), []engine.Write{commented("mine")}, false},
		{"comments that are no list", comments(), `"comments":"ours"`, []engine.Write{commented("mine")}, false},
		{"a nested alert changed", `"status":"active","alerts":[{"id":"x"}]`, `"status":"resolved","alerts":[{"id":"x"},{"id":"y"}]`,
			[]engine.Write{status(time.Minute, "resolved")}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before := engine.Event{Seen: seenBefore, Payload: json.RawMessage(`{"id":"a1","lastUpdateDateTime":"1",` + c.before + `}`)}
			after := engine.Event{Seen: seenAfter, Payload: json.RawMessage(`{"id":"a1","lastUpdateDateTime":"2",` + c.after + `}`)}
			if got := engine.EchoOf(before, after, c.writes)["mine"]; got != c.echo {
				t.Errorf("from %s to %s: echo is %t, want %t", c.before, c.after, got, c.echo)
			}
		})
	}
}

func TestVersionsThatCantBeComparedAreNoEcho(t *testing.T) {
	t.Parallel()
	good := `{"status":"resolved"}`
	for _, bad := range []string{``, `null`, `[]`, `"text"`, `{"status":`} {
		for _, pair := range [][2]string{{bad, good}, {good, bad}, {bad, bad}} {
			before := engine.Event{Seen: seenBefore, Payload: json.RawMessage(pair[0])}
			after := engine.Event{Seen: seenAfter, Payload: json.RawMessage(pair[1])}
			if engine.EchoOf(before, after, []engine.Write{status(time.Minute, "resolved")})["mine"] {
				t.Errorf("from %q to %q is taken for an echo", pair[0], pair[1])
			}
		}
	}
}

// A person who works on an alert that a playbook works on, too, is never mistaken for it.
func TestAPersonWhoDoesWhatThePlaybookDidIsSeen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("closer", "steps: [{action: test.put, with: {value: resolved}}]\n"))
		attempts := 0
		l.world.Before = func(context.Context, actions.Call) error {
			if attempts++; attempts == 2 {
				return &actions.Fault{Code: "forbidden", Message: "no"}
			}
			return nil
		}
		defer l.run()()
		synctest.Wait()
		n := 0
		see := func(status, want string) {
			t.Helper()
			n++
			ev := version("a1", n, fmt.Sprintf(`{"id":"a1","status":%q,"lastUpdateDateTime":"2026-11-22T09:00:%02dZ"}`, status, n))
			l.deliver(ev)
			d, err := l.journal.Decisions(t.Context(), ev.ID)
			if err != nil || d[0].Reason != want {
				t.Errorf("version %d (%s): %+v, %v; want %q", n, status, d, err, want)
			}
			wait(10 * time.Minute)
		}
		see("new", "")                   // the playbook resolves it
		see("resolved", engine.SkipEcho) // that was us
		see("new", "")                   // a person reopens it; the playbook's write is refused
		see("resolved", "")              // so that was a person
		see("resolved", engine.SkipEcho) // our write, which changed nothing
		see("inProgress", "")            // a person
		see("resolved", engine.SkipEcho) // us
		see("new", "")                   // a person
		see("inProgress", "")            // a person, and not us, who wrote "resolved" in between
	})
}
