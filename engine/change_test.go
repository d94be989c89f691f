package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/engine"
)

// onChange is a playbook that says what changed.
func onChange(trigger string) string {
	return "triggers: [{change: {resource: alerts, " + trigger + "}}]\n" +
		"steps: [{action: test.add, with: {value: \"${{ change.field }} ${{ change.old ?? 'nothing' }} → ${{ change.new ?? 'nothing' }} by ${{ change.by }}\"}}]\n"
}

// at dates a version: so many minutes after the epoch.
func at(minutes int, ev engine.Event) engine.Event {
	ev.Occurred = epoch.Add(time.Duration(minutes) * time.Minute)
	return ev
}

func fieldsAt(minutes int, fields string) engine.Event {
	return at(minutes, version("a1", minutes, `{"id":"a1",`+fields+`}`))
}

func byHand(ev engine.Event) engine.Event {
	ev.By = "ana"
	return ev
}

func TestAChangeFiresOnceForEachTwoVersionsThatDiffer(t *testing.T) {
	for _, c := range []struct {
		name, trigger string
		versions      []engine.Event
		want          []string
	}{
		{"the first version changes nothing", "field: status", []engine.Event{fieldsAt(1, `"status":"new"`)}, nil},
		{"each change is one", "field: status", []engine.Event{fieldsAt(1, `"status":"new"`), fieldsAt(2, `"status":"inProgress"`), fieldsAt(3, `"status":"inProgress"`), fieldsAt(4, `"status":"resolved"`)},
			[]string{"add status new → inProgress by person", "add status inProgress → resolved by person"}},
		{"only the field that is watched counts", "field: status", []engine.Event{fieldsAt(1, `"status":"new","severity":"low"`), fieldsAt(2, `"status":"new","severity":"high"`)}, nil},
		{"from and to choose", "field: status, from: [new, inProgress], to: resolved", []engine.Event{fieldsAt(1, `"status":"new"`), fieldsAt(2, `"status":"inProgress"`),
			fieldsAt(3, `"status":"resolved"`), fieldsAt(4, `"status":"new"`)}, []string{"add status inProgress → resolved by person"}},
		{"a field that comes, and goes", "field: assignedTo", []engine.Event{fieldsAt(1, `"status":"new"`), fieldsAt(2, `"assignedTo":"ana"`), fieldsAt(3, `"assignedTo":null`)},
			[]string{"add assignedTo nothing → ana by person", "add assignedTo ana → nothing by person"}},
		{"null and a field that is not there are the same", "field: assignedTo", []engine.Event{fieldsAt(1, `"status":"new"`), fieldsAt(2, `"assignedTo":null`)}, nil},
		{"from nothing", "field: assignedTo, from: null", []engine.Event{fieldsAt(1, `"assignedTo":null`), fieldsAt(2, `"assignedTo":"ana"`), fieldsAt(3, `"assignedTo":"ben"`)},
			[]string{"add assignedTo nothing → ana by person"}},
		{"a version that comes late changes nothing, and nothing twice", "field: status",
			[]engine.Event{fieldsAt(1, `"status":"new"`), fieldsAt(3, `"status":"resolved"`), fieldsAt(2, `"status":"new"`), fieldsAt(4, `"status":"resolved"`)},
			[]string{"add status new → resolved by person"}},
		{"what somebody brings by hand is no version that the next one is compared with", "field: status",
			[]engine.Event{fieldsAt(1, `"status":"new"`), byHand(fieldsAt(5, `"status":"resolved"`)), fieldsAt(3, `"status":"inProgress"`)},
			[]string{"add status new → resolved by person", "add status new → inProgress by person"}},
		{"a version that comes again changes nothing", "field: status",
			[]engine.Event{fieldsAt(1, `"status":"new"`), fieldsAt(2, `"status":"resolved"`), fieldsAt(1, `"status":"new"`), fieldsAt(2, `"status":"resolved"`)},
			[]string{"add status new → resolved by person"}},
	} {
		for _, batch := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, batch %v", c.name, batch), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					l := newLab(t)
					l.use(l.book("watcher", onChange(c.trigger)))
					defer l.run()()
					synctest.Wait()
					if batch {
						l.deliver(c.versions...)
					} else {
						for _, ev := range c.versions {
							l.deliver(ev)
							wait(time.Second)
						}
					}
					wait(time.Second)
					l.each(c.want...)
				})
			})
		}
	}
}

func TestADecisionSaysWhichChangeATriggerWaitsFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("closed", onChange("field: status, to: resolved")), l.book("raised", onChange("field: severity, by: person")),
			l.book("either", "triggers: [{poll: {resource: alerts, on: created}}, {change: {resource: alerts, field: status}}]\nwhen: change == nil or change.old == \"new\"\nsteps: [{stop: seen}]\n"))
		defer l.run()()
		synctest.Wait()
		l.deliver(fieldsAt(1, `"status":"new"`))
		l.deliver(fieldsAt(2, `"status":"inProgress"`))
		l.deliver(fieldsAt(3, `"status":"inProgress"`))
		for minute, want := range map[int]string{
			1: "closed skipped version, either matched, raised skipped version",
			2: "closed skipped unchanged status to [resolved], either matched, raised skipped unchanged severity by person",
			3: "closed skipped unchanged status to [resolved], either skipped unchanged status, raised skipped unchanged severity by person",
		} {
			decisions, err := l.journal.Decisions(t.Context(), fmt.Sprintf("contoso/alerts/a1/%d", minute))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range decisions {
				got = append(got, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", m.Playbook, m.Verdict, m.Reason, m.Detail)), " "))
			}
			if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("version %d (-want +got):\n%s", minute, diff)
			}
		}
	})
}

// A playbook's change starts the playbooks that wait for it, and not itself.
func TestAChangeIsOursOnlyIfAPlaybookWroteJustThat(t *testing.T) {
	for _, c := range []struct{ name, version, want string }{
		{"what the playbook wrote", `"status":"resolved","lastModifiedBy":"API-App:playbookd"`, "us"},
		{"another value", `"status":"inProgress"`, "person"},
		{"with a person's name", `"status":"resolved","lastModifiedBy":"ana@contoso.example"`, "person"},
		{"another value, with a program's name", `"status":"inProgress","lastModifiedBy":"API-App:other"`, "app"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := newLab(t)
				l.use(l.book("closer", "triggers: [{poll: {resource: alerts, on: created}}]\nsteps: [{action: test.put, with: {value: resolved}}]\n"),
					l.book("us", onChange("field: status, by: us")), l.book("person", onChange("field: status, by: person")), l.book("anyone", onChange("field: status")))
				defer l.run()()
				synctest.Wait()
				l.deliver(fieldsAt(1, `"status":"new","lastModifiedBy":null`))
				wait(time.Minute)
				started := l.deliver(fieldsAt(2, c.version)).Started
				names := map[string]bool{}
				for _, id := range started {
					names[l.load(id).Run.Playbook] = true
				}
				if !names["anyone"] || names["us"] != (c.want == "us") || names["person"] != (c.want == "person") || names["closer"] {
					t.Errorf("started %v, want those that wait for %s", names, c.want)
				}
				wait(time.Second)
				if got := l.world.Effects(); !strings.HasSuffix(got[len(got)-1], "by "+c.want) {
					t.Errorf("done was %q", got)
				}
			})
		})
	}
}

// What changed is kept with the event: a run that goes on a month later, when the earlier version may be
// gone, sees the same.
func TestAChangeIsKeptWithItsEvent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		text := strings.Replace(onChange("field: status"), "steps: [", "steps: [{wait: 30d}, ", 1)
		l.use(l.book("watcher", text))
		stop := l.run()
		synctest.Wait()
		l.deliver(fieldsAt(1, `"status":"new"`))
		id := l.deliver(fieldsAt(2, `"status":"resolved"`)).Started[0]
		wait(time.Second)
		stop()
		want := map[string]engine.Change{"status": {Old: json.RawMessage(`"new"`), New: json.RawMessage(`"resolved"`), By: "person"}}
		if diff := cmp.Diff(want, l.load(id).Event.Changes); diff != "" {
			t.Errorf("the event's changes (-want +got):\n%s", diff)
		}
		l.use() // nobody watches any more
		l.restart()
		defer l.run()()
		wait(31 * 24 * time.Hour)
		l.each("add status new → resolved by person")
	})
}

// Where the journal can't say what there was before, nothing is decided: not without the change, either.
func TestAChangeIsNotLostWhenTheJournalFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		bad := &faulty{}
		l := newLab(t, func(l *lab) { bad.journal = l.journal; l.journal = bad })
		l.use(l.book("watcher", onChange("field: status")))
		defer l.run()()
		synctest.Wait()
		l.deliver(fieldsAt(1, `"status":"new"`))
		bad.before = func(op string, _ int) error {
			if op == "Newest" {
				return errDisk
			}
			return nil
		}
		if _, err := l.engine.Deliver(t.Context(), engine.Batch{Events: []engine.Event{fieldsAt(2, `"status":"resolved"`)}}); err == nil {
			t.Error("a version was admitted that could not be compared")
		}
		bad.before = nil
		l.deliver(fieldsAt(2, `"status":"resolved"`))
		wait(time.Second)
		l.each("add status new → resolved by person")
	})
}
