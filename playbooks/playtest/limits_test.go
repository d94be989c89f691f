package playtest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/playbookd/playbookd/playbooks/playtest"
)

func TestATestFileHoldsAtItsLimitsAndIsRefusedBeyondThem(t *testing.T) {
	t.Parallel()
	head := "playbook: a\ntests:\n  - name: b\n"
	expect := "    expect: {matched: true}\n"
	for name, c := range map[string]struct {
		limit int
		text  func(n int) string
	}{
		"tests": {playtest.MaxCases, func(n int) string {
			return "playbook: a\ntests:\n" + strings.Repeat("  - {name: b, expect: {matched: true}}\n", n)
		}},
		"mocks": {playtest.MaxMocks, func(n int) string {
			return head + expect + "    mocks:\n" + strings.Repeat("      - {step: x, output: {}}\n", n)
		}},
		"answers": {playtest.MaxAnswers, func(n int) string {
			return head + expect + "    answers:\n" + strings.Repeat("      - {step: x, by: anna, approve: true}\n", n)
		}},
		"expectations": {playtest.MaxExpects, func(n int) string { return head + "    expect:\n" + strings.Repeat("      - {matched: true}\n", n) }},
		"event":        {playtest.MaxEventSize, func(int) string { return head + expect + "    event: {alert: event.json}\n" }},
	} {
		for beyond := range 2 {
			padded := `{"id": "a"}`
			padded += strings.Repeat(" ", playtest.MaxEventSize+beyond-len(padded))
			_, findings := playtest.Read(fstest.MapFS{"a.test.yaml": {Data: []byte(c.text(c.limit + beyond))}, "event.json": {Data: []byte(padded)}}, "a.test.yaml")
			got := ""
			for _, f := range findings {
				got += fmt.Sprintln(f)
			}
			if (beyond > 0) != strings.Contains(got, "PT003") || beyond == 0 && got != "" {
				t.Errorf("%s: %d beyond the limit of %d:\n%s", name, beyond, c.limit, got)
			}
		}
	}
}
