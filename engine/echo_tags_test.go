package engine_test

import (
	"encoding/json"
	"testing"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

func TestATagThatWasAddedIsOurEchoAndAPersonsTagIsNot(t *testing.T) {
	t.Parallel()
	incident := func(version, tags string) engine.Event {
		return engine.Event{ID: "contoso/incidents/i1/" + version, Tenant: "contoso", Source: "poll/incidents", Kind: "incident",
			Object: "incidents/i1", Seen: epoch, Payload: json.RawMessage(`{"id":"i1","lastUpdateDateTime":"` + version + `","customTags":` + tags + `}`)}
	}
	write := engine.Write{Tenant: "contoso", Playbook: "tagger", Run: "r1", Path: "steps/0:update", At: epoch,
		Touch: actions.Touch{Object: "incidents/i1", Fields: map[string]any{"customTags": actions.ListChange{Add: []string{"ours"}, Remove: []string{"old"}}}}}
	for _, c := range []struct {
		name, before, after string
		echo                bool
	}{
		{"our tag beside others", `["theirs"]`, `["theirs","ours"]`, true},
		{"our tag where there was none", `null`, `["ours"]`, true},
		{"a tag that we removed", `["old","theirs"]`, `["theirs","ours"]`, true},
		{"written again without effect", `["ours"]`, `["ours"]`, true},
		{"a person's tag beside ours", `[]`, `["ours","theirs"]`, false},
		{"a person removed a tag", `["theirs"]`, `["ours"]`, false},
		{"a person took ours away", `["ours"]`, `[]`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := engine.EchoOf(incident("1", c.before), incident("2", c.after), []engine.Write{write})["tagger"]; got != c.echo {
				t.Errorf("from %s to %s: echo is %t, want %t", c.before, c.after, got, c.echo)
			}
		})
	}
}
