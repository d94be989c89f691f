package flow

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/playbookd/playbookd/actions"
)

func say(t *testing.T, message string) (logged map[string]any, said string) {
	t.Helper()
	input, err := json.Marshal(map[string]any{"message": message, "fields": map[string]any{"alert": message, "n": 3}})
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	out, err := Actions()[0].Do(t.Context(), actions.Call{Part: "log", Input: input, Log: slog.New(slog.NewJSONHandler(&lines, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(lines.Bytes(), &logged); err != nil {
		t.Fatalf("not one line of JSON: %v: %s", err, lines.String())
	}
	var o logOutput
	if err := json.Unmarshal(out, &o); err != nil {
		t.Fatal(err)
	}
	return logged, o.Message
}

func TestWhatAPlaybookSaysIsAValueOfTheLogLine(t *testing.T) {
	t.Parallel()
	const evil = "done\"}\n{\"level\":\"ERROR\",\"msg\":\"forged"
	logged, said := say(t, evil)
	fields, _ := logged["fields"].(map[string]any)
	if logged["msg"] != "playbook message" || logged["text"] != evil || fields["alert"] != evil || fields["n"] != "3" || said != evil {
		t.Errorf("logged %v, said %q", logged, said)
	}
}

func TestALongMessageIsCutVisibly(t *testing.T) {
	t.Parallel()
	for n, cut := range map[int]bool{MaxMessage: false, MaxMessage + 1: true} {
		_, said := say(t, strings.Repeat("ä", n))
		if utf8.RuneCountInString(said) != MaxMessage || strings.HasSuffix(said, "…") != cut {
			t.Errorf("of %d characters %d are kept", n, utf8.RuneCountInString(said))
		}
	}
}
