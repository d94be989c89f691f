package triggers

import (
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/playbooks"
)

func manualBook(inputs ...playbooks.Input) *playbooks.Playbook {
	return &playbooks.Playbook{Name: "isolate", Subject: "alert", Triggers: []playbooks.Trigger{
		{Kind: playbooks.PollTrigger, Poll: &playbooks.Poll{}}, {Kind: playbooks.ManualTrigger, Manual: &playbooks.Manual{Inputs: inputs}}}}
}

func TestAManualRunBecomesAnEvent(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	book := manualBook(
		playbooks.Input{Name: "host", Type: "text", Required: true},
		playbooks.Input{Name: "limit", Type: "int", Default: 5},
		playbooks.Input{Name: "note", Type: "text"},
	)
	for _, event := range []string{`{"id":"da1","title":"Scan"}`, ` {"alert": {"id":"da1","title":"Scan"}} `} {
		e, err := Manual(ManualRun{Playbook: book, Tenant: "contoso", ID: "once", Event: []byte(event), Inputs: []byte(`{"host":"ws-17"}`)}, now)
		if err != nil {
			t.Fatal(err)
		}
		if e.ID != "contoso/manual/isolate/once" || e.Source != "manual/isolate" || e.Kind != "alert" || e.Object != "alerts/da1" ||
			e.Title != "Scan" || string(e.Payload) != `{"id":"da1","title":"Scan"}` || string(e.Inputs) != `{"host":"ws-17","limit":5}` || !e.Seen.Equal(now) {
			t.Errorf("event is %+v, payload %s, inputs %s", e, e.Payload, e.Inputs)
		}
	}
	one, err1 := Manual(ManualRun{Playbook: manualBook(), Tenant: "contoso"}, now)
	two, err2 := Manual(ManualRun{Playbook: manualBook(), Tenant: "contoso"}, now)
	if err1 != nil || err2 != nil || one.ID == two.ID || string(one.Payload) != "{}" {
		t.Errorf("two runs are %q and %q (%v, %v)", one.ID, two.ID, err1, err2)
	}
}

func TestAManualRunThatCannotWorkIsRefusedWithTheMend(t *testing.T) {
	t.Parallel()
	host := playbooks.Input{Name: "host", Type: "text", Required: true}
	for _, tt := range []struct {
		name, mend string
		run        ManualRun
	}{
		{"no playbook", "needs a playbook", ManualRun{Tenant: "contoso"}},
		{"no trigger", `add "- manual"`, ManualRun{Playbook: &playbooks.Playbook{Name: "x"}, Tenant: "contoso"}},
		{"no tenant", "name one of those", ManualRun{Playbook: manualBook()}},
		{"broken event", "line 1, column 6: the JSON text ends too early", ManualRun{Playbook: manualBook(), Tenant: "contoso", Event: []byte("{\"a\":\n")}},
		{"no object", "write it in braces", ManualRun{Playbook: manualBook(), Tenant: "contoso", Event: []byte("[1]")}},
		{"null", "write it in braces", ManualRun{Playbook: manualBook(), Tenant: "contoso", Event: []byte("null")}},
		{"deep event", "nested too deep", ManualRun{Playbook: manualBook(), Tenant: "contoso", Event: []byte(strings.Repeat("[", MaxDepth+1))}},
		{"large event", "larger than", ManualRun{Playbook: manualBook(), Tenant: "contoso", Event: []byte(`{"a":"` + strings.Repeat("x", MaxPayload) + `"}`)}},
		{"missing input", "host is missing", ManualRun{Playbook: manualBook(host), Tenant: "contoso"}},
		{"unknown input", "the playbook takes host", ManualRun{Playbook: manualBook(host), Tenant: "contoso", Inputs: []byte(`{"hots":1}`)}},
		{"no inputs", "takes none", ManualRun{Playbook: manualBook(), Tenant: "contoso", Inputs: []byte(`{"host":1}`)}},
		{"wrong kind", "host must be text", ManualRun{Playbook: manualBook(host), Tenant: "contoso", Inputs: []byte(`{"host":1}`)}},
		{"large inputs", "larger than", ManualRun{Playbook: manualBook(host), Tenant: "contoso", Inputs: []byte(`{"host":"` + strings.Repeat("x", MaxInputs) + `"}`)}},
	} {
		if _, err := Manual(tt.run, time.Now()); err == nil || !strings.Contains(err.Error(), tt.mend) {
			t.Errorf("%s: got %v, want a text with %q", tt.name, err, tt.mend)
		}
	}
}

func TestTitlesAndIdentitiesOfAnyLengthFitAnEvent(t *testing.T) {
	t.Parallel()
	if got := identity(strings.Repeat("x", MaxIdentity)); len(got) != MaxIdentity {
		t.Errorf("an identity at the limit became %q", got)
	}
	for _, s := range []string{strings.Repeat("x", MaxIdentity+1), "a b", "a\nb", "\xff", "a\x00"} {
		if got := identity(s); !strings.HasPrefix(got, "sha256:") || got != identity(s) {
			t.Errorf("%.20q became %q", s, got)
		}
	}
	if got := shorten(strings.Repeat("x", MaxTitle)); len(got) != MaxTitle {
		t.Errorf("a title at the limit became %d bytes", len(got))
	}
	if got := shorten(strings.Repeat("ä", MaxTitle)); len(got) > MaxTitle || strings.ContainsRune(got, '\uFFFD') {
		t.Errorf("a long title became %d bytes", len(got))
	}
}
