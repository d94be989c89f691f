package engine_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks/expression"
)

func TestEveryDecisionHasItsReason(t *testing.T) {
	t.Parallel()
	const on = "triggers: [{poll: {resource: alerts, every: 1m, "
	const steps = "steps: [{action: test.put, with: {value: x}}]\n"
	for _, c := range []struct {
		name, text string
		change     func(*engine.Event, *engine.Circumstances)
		verdict    engine.Verdict
		reason     string
		detail     string
	}{
		{"no condition", steps, nil, engine.Matched, "", ""},
		{"the condition holds", "when: alert.severity == \"low\"\n" + steps, nil, engine.Matched, "", ""},
		{"the condition does not hold", "when: alert.severity == \"low\" and alert.status == \"resolved\"\n" + steps, nil,
			engine.NotMatched, "", `alert.status == "resolved"`},
		{"the condition can't be evaluated", "when: 'int(alert.title) > 1'\n" + steps, nil, engine.Skipped, engine.SkipError, ""},
		{"another source", steps, func(e *engine.Event, _ *engine.Circumstances) { e.Source = "poll/incidents" },
			engine.Skipped, engine.SkipNoTrigger, ""},
		{"disabled", "enabled: false\n" + steps, nil, engine.Skipped, engine.SkipDisabled, ""},
		{"about to expire", "expires: 2026-11-22T09:00:01Z\n" + steps, nil, engine.Matched, "", ""},
		{"expired", "expires: 2026-11-22T09:00:00Z\n" + steps, nil, engine.Skipped, engine.SkipExpired, ""},
		{"a tenant that is named", "tenants: [fabrikam, contoso]\n" + steps, nil, engine.Matched, "", ""},
		{"another tenant", "tenants: [fabrikam]\n" + steps, nil, engine.Skipped, engine.SkipTenant, "contoso"},
		{"the filter takes it", on + "filter: severity eq 'low'}}]\n" + steps, nil, engine.Matched, "", ""},
		{"the filter leaves it out", on + "filter: severity eq 'high'}}]\n" + steps, nil, engine.Skipped, engine.SkipFilter, ""},
		{"first version wanted and seen", on + "on: created}}]\n" + steps, nil, engine.Matched, "", ""},
		{"first version wanted, later seen", on + "on: created}}]\n" + steps, updated, engine.Skipped, engine.SkipVersion, ""},
		{"later version wanted, first seen", on + "on: updated}}]\n" + steps, nil, engine.Skipped, engine.SkipVersion, ""},
		{"later version wanted and seen", on + "on: updated}}]\n" + steps, updated, engine.Matched, "", ""},
		{"an echo", "when: alert.severity == \"high\"\n" + steps, func(_ *engine.Event, c *engine.Circumstances) { c.Updated, c.Echo = true, true },
			engine.Skipped, engine.SkipEcho, ""},
		{"one of two triggers takes it", "triggers:\n  - poll: {resource: alerts, every: 1m, on: updated}\n  - poll: {resource: alerts, every: 1m, on: created}\n" + steps,
			nil, engine.Matched, "", ""},
		{"none of two triggers takes it", "triggers:\n  - poll: {resource: alerts, every: 1m, filter: severity eq 'high'}\n  - poll: {resource: alerts, every: 1m, on: updated}\n" + steps,
			nil, engine.Skipped, engine.SkipVersion, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newLab(t).book("considered", c.text)
			ev := alert("")
			now := engine.Circumstances{Now: epoch}
			if c.change != nil {
				c.change(&ev, &now)
			}
			subject, err := expression.Decode(ev.Payload, p.SubjectType)
			if err != nil {
				t.Fatal(err)
			}
			got, err := engine.Consider(p, ev, subject, now)
			if err != nil {
				t.Fatal(err)
			}
			if c.reason == engine.SkipError && got.Detail == "" || c.reason == engine.SkipFilter && got.Detail == "" ||
				c.reason == engine.SkipExpired && !strings.Contains(got.Detail, "2026-11-22") {
				t.Errorf("the detail %q does not say why", got.Detail)
			}
			if c.reason == engine.SkipError || c.reason == engine.SkipFilter || c.reason == engine.SkipExpired {
				got.Detail = ""
			}
			want := engine.Match{Playbook: "considered", Digest: p.Digest, Verdict: c.verdict, Reason: c.reason, Detail: c.detail}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func updated(_ *engine.Event, c *engine.Circumstances) { c.Updated = true }

func TestAnEventThatCantBeReadIsStoredWithTheReason(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("reader", addTitle), l.book("deaf", "triggers: [{poll: {resource: incidents, every: 1m}}]\n"+
			"steps: [{action: test.put, with: {value: x}}]\n"), l.book("keyed", "dedupe: {key: '${{ int(alert.title) }}', window: 1h}\n"+addTitle))
		defer l.run()()
		synctest.Wait()
		broken, odd := numbered(1), numbered(2)
		broken.Payload = json.RawMessage(`{"id": `)
		l.deliver(broken, odd)
		wait(time.Second)
		for _, c := range []struct {
			event engine.Event
			want  []string
		}{
			{broken, []string{"deaf skipped no_trigger", "keyed skipped condition_error", "reader skipped condition_error"}},
			{odd, []string{"deaf skipped no_trigger", "keyed skipped condition_error", "reader matched "}},
		} {
			decisions, err := l.journal.Decisions(t.Context(), c.event.ID)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range decisions {
				got = append(got, d.Playbook+" "+string(d.Verdict)+" "+d.Reason)
				if d.Reason == engine.SkipError && d.Detail == "" {
					t.Errorf("%s: no detail", d.Playbook)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("decisions about %s (-want +got):\n%s", c.event.ID, diff)
			}
		}
		l.each("add alert 2")
	})
}

func TestAPositionThatSomebodyElseMovedAdmitsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Workers = 1 })
		l.use(l.book("adder", addTitle))
		defer l.run()()
		synctest.Wait()
		for range 3 {
			_, err := l.engine.Deliver(t.Context(), engine.Batch{Events: []engine.Event{numbered(1)},
				Cursor: &engine.Cursor{Source: "s", From: "elsewhere", Position: "p"}})
			if !errors.Is(err, engine.ErrCursorMoved) {
				t.Errorf("got %v", err)
			}
		}
		if _, err := l.engine.Deliver(t.Context(), engine.Batch{Events: []engine.Event{numbered(1)}, Cursor: &engine.Cursor{Source: "s", Position: "p"}}); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		l.each("add alert 1")
		if at, err := l.journal.Position(t.Context(), "s"); err != nil || at != "p" {
			t.Errorf("position %q, %v", at, err)
		}
	})
}
