package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/memory"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/store"
)

// manyTerms are what conditions of many teams consist of, and what only few would write.
func manyTerms(r *rand.Rand) string {
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	n := func() string { return fmt.Sprint(r.IntN(6)) }
	switch r.IntN(26) {
	case 0, 1, 2, 3:
		return `alert.status == "` + one("new", "new", "new", "inProgress", "resolved") + `"`
	case 4, 5:
		return `alert.severity in ["high", "` + one("medium", "low") + `"]`
	case 6, 7, 8:
		return `alert.title == "T` + n() + `"`
	case 9:
		return `alert.title != "T` + n() + `"`
	case 10:
		return `alert.title in lists.` + one("noise", "numbers", "none")
	case 11:
		return `alert.title not in lists.noise`
	case 12:
		return `"T100` + n() + `" in alert.mitreTechniques`
	case 13:
		return `any(alert.evidence, .mdeDeviceId ` + one(`== "d1"`, `== "d2"`, `in ["d1", "d2", "d3"]`) + `)`
	case 14:
		return `not any(alert.evidence, .mdeDeviceId in ["d1", "d` + n() + `"])`
	case 15:
		return `alert.assignedTo ` + one("==", "!=") + ` nil`
	case 16:
		return `(alert.severity == "low" or alert.severity == "` + one("high", "medium") + `")`
	case 17:
		return `(alert.severity == "low" or alert.status == "new")`
	case 18:
		return `alert["custom"] ` + one(`== 5`, `!= "x"`, `in ["x", 5, true]`, `in lists.numbers`, `not in lists.numbers`)
	case 19:
		return `alert["custom"]["deep"] ` + one(`== "x"`, `!= 1`)
	case 20:
		return one(`"x" in alert["custom"]`, `"x" not in alert["custom"]`, `any(alert["custom"], .deep == 5)`)
	case 21:
		return `alert.title contains "` + n() + `"`
	case 22:
		return `int(alert.title) > 1`
	case 23:
		return one(`tenant.name == "contoso"`, `playbook.mode == "live"`, `tenant.name != "fabrikam"`)
	case 24:
		return `len(alert.evidence ?? []) > ` + n()
	}
	return `alert.mitreTechniques == nil`
}

// manyBook writes a playbook.
func manyBook(r *rand.Rand, n int) string {
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	var b strings.Builder
	fmt.Fprintf(&b, "name: p%03d\npriority: %d\n", n, r.IntN(3))
	b.WriteString(one("", "", "", "", "enabled: false\n", "expires: 2001-01-01\n", "expires: 2999-01-01\n", "tenants: [contoso]\n", "tenants: [fabrikam, contoso]\n", "tenants: [fabrikam]\n"))
	poll := func() string {
		return "  - poll: {resource: alerts, every: 1m" +
			one("", "", "", "", ", on: created", ", on: updated") +
			one("", "", "", `, filter: "severity eq 'low'"`, `, filter: "severity in ('low','high') and status eq 'new'"`, `, filter: "assignedTo eq null"`,
				`, filter: "status ne 'resolved' and createdDateTime ge 2026-01-01T00:00:00Z"`, `, filter: "not (severity eq 'low')"`) + "}\n"
	}
	b.WriteString("triggers:\n")
	switch r.IntN(10) {
	case 0:
		b.WriteString("  - poll: {resource: incidents, every: 1m}\nwhen: incident.status == \"active\"\nsteps: [{action: test.read, with: {value: x}}]\n")
		return b.String()
	case 1:
		b.WriteString(poll() + poll())
	case 2:
		b.WriteString("  - webhook: {path: edr, auth: {apiKey: k}, as: alert}\n" + poll())
	case 3:
		b.WriteString("  - manual\n" + poll())
	case 4:
		b.WriteString("  - change: {resource: alerts, field: " + one("status", "severity", "assignedTo, from: null", "status, to: resolved", "severity, by: us", "title, from: T1") + "}\n" +
			one("", "", poll(), "  - change: {resource: alerts, field: severity, from: low}\n"))
	default:
		b.WriteString(poll())
	}
	if terms := r.IntN(5); terms > 0 {
		b.WriteString("when: >-\n  " + manyTerms(r) + "\n")
		for range terms - 1 {
			b.WriteString("  and " + manyTerms(r) + "\n")
		}
	}
	b.WriteString("steps: [{action: test.read, with: {value: x}}]\n")
	return b.String()
}

// manyBooks compiles n playbooks.
func manyBooks(t *testing.T, n int) []*playbooks.Playbook {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 11))
	var books []*playbooks.Playbook
	o := playbooks.Options{Catalog: new(world).Registry(), AsItWas: true, Lists: map[string]playbooks.ListInfo{"noise": {Entries: 3}, "numbers": {Entries: 3}, "none": {}}}
	for i := range n {
		text := manyBook(r, i)
		p, findings := playbooks.Compile(fmt.Sprintf("p%03d.yaml", i), []byte(text), o)
		if err := findings.Err(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		books = append(books, p)
	}
	return books
}

// twoLists are watchlists of which one does not exist.
type twoLists struct{}

func (twoLists) Get(name string) (values []any, content []byte, ok bool) {
	switch name {
	case "noise":
		return []any{"T1", "T2", "x"}, []byte(`["T1","T2","x"]`), true
	case "numbers":
		return []any{"T3", int64(5), 2.5}, []byte(`["T3",5,2.5]`), true
	}
	return nil, nil, false
}

func (l twoLists) all() map[string]any {
	all := map[string]any{}
	for _, name := range []string{"noise", "numbers"} {
		all[name], _, _ = l.Get(name)
	}
	return all
}

// manyEvent draws a version of an alert.
func manyEvent(t *rapid.T, n int) engine.Event {
	fields := map[string]any{"id": "a"}
	draw := func(name string, values ...any) {
		if v := rapid.SampledFrom(append(values, "-")).Draw(t, name); v != "-" {
			fields[name] = v
		}
	}
	draw("status", "new", "new", "NEW", "inProgress", "resolved", nil)
	draw("severity", "high", "low", "medium", "Low", nil, 3)
	draw("title", "T0", "T1", "T2", "T3", "T4", "T5", "5", nil, 5, []any{"T1"})
	draw("assignedTo", nil, "ann")
	draw("mitreTechniques", []any{}, nil, []any{"T1001", "T1002"}, []any{"T1001", 7}, "T1001", map[string]any{"T1003": 1})
	device := func(id any) any { return map[string]any{"mdeDeviceId": id} }
	draw("evidence", nil, []any{}, []any{device("d1"), device("d2")}, []any{device("d3"), "text", device("d4")}, []any{device(nil)}, map[string]any{"a": 1}, "text")
	draw("createdDateTime", "2025-12-31T00:00:00Z", "2026-12-31T00:00:00Z", "2026-12-31T00:00:00Z")
	draw("custom", nil, "x", 5, 5.0, 2.5, true, []any{"x", 5}, map[string]any{"deep": "x", "x": 1}, []any{map[string]any{"deep": 5}}, map[string]any{"deep": []any{}})
	payload, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	if rapid.IntRange(0, 9).Draw(t, "odd payload") == 0 {
		payload = json.RawMessage(rapid.SampledFrom([]string{`[1]`, `"text"`, `5`, `null`, `{"id":`}).Draw(t, "payload"))
	}
	return engine.Event{
		ID: fmt.Sprint("contoso/alerts/", n), Object: fmt.Sprint("alerts/", n), Kind: "alert", Title: "An alert", Payload: payload, Seen: epoch, Occurred: epoch,
		Tenant: rapid.SampledFrom([]string{"contoso", "contoso", "fabrikam"}).Draw(t, "tenant"),
		Source: rapid.SampledFrom([]string{"poll/alerts", "poll/alerts", "poll/alerts", "webhook/edr", "manual/p003", "poll/incidents"}).Draw(t, "source"),
	}
}

// recalling is a journal that recalls writes that nobody made.
type recalling struct {
	journal
	writes []engine.Write
}

func (r *recalling) Writes(context.Context, string, string, time.Time) ([]engine.Write, error) {
	return r.writes, nil
}

// expect asks every playbook of a set.
func expect(t *rapid.T, set *playbooks.Set, ev engine.Event, updated bool, echo map[string]bool) []engine.Match {
	var list []engine.Match
	for _, p := range set.Playbooks {
		subject, err := expression.Decode(ev.Payload, p.SubjectType)
		listens := slices.ContainsFunc(p.Triggers, func(t playbooks.Trigger) bool { return t.Source == ev.Source })
		if err != nil && listens {
			list = append(list, engine.Match{Playbook: p.Name, Digest: p.Digest, Verdict: engine.Skipped, Reason: engine.SkipError, Detail: err.Error()})
			continue
		}
		m, err := engine.Consider(p, ev, subject, engine.Circumstances{Now: time.Now(), Updated: updated, Echo: echo[p.Name], Lists: twoLists{}.all()})
		if err != nil {
			t.Fatal(err)
		}
		if m.Verdict == engine.Matched {
			m.Run = engine.NewRunID(p.Name, ev.ID)
		}
		list = append(list, m)
	}
	return list
}

func TestEveryDecisionIsWhatEvaluatingAllPlaybooksSays(t *testing.T) {
	t.Parallel()
	books := manyBooks(t, 400)
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "journal.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	n, verdicts := 0, map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.IntRange(0, len(books)-1).Draw(t, "first playbook")
		set := playbooks.NewSet(books[from:min(len(books), from+rapid.IntRange(1, 150).Draw(t, "playbooks"))]...)
		journals := []*recalling{{journal: memory.New()}, {journal: db}}
		for range rapid.IntRange(1, 4).Draw(t, "events") {
			n++
			first := manyEvent(t, n)
			second := first
			second.ID += "/later"
			second.Payload = json.RawMessage(strings.Replace(string(first.Payload), `"new"`, `"inProgress"`, 1))
			writes := []engine.Write{{Tenant: first.Tenant, Playbook: rapid.SampledFrom(set.Playbooks).Draw(t, "writer").Name, Run: "r1", Path: "steps/0:put",
				At: time.Now(), Touch: actions.Touch{Object: first.Object, Fields: map[string]any{"status": "inProgress"}}}}
			for _, j := range journals {
				e := engine.New(engine.Options{Journal: j, Lists: twoLists{}})
				e.Use(set)
				for _, ev := range []engine.Event{first, second} {
					j.writes = writes
					if _, err := e.Deliver(context.Background(), engine.Batch{Events: []engine.Event{ev}}); err != nil {
						t.Fatal(err)
					}
					var echo map[string]bool
					if ev.ID == second.ID {
						echo = engine.EchoOf(first, second, writes)
					}
					got, err := j.Decisions(context.Background(), ev.ID)
					if err != nil {
						t.Fatal(err)
					}
					stored, err := j.Latest(context.Background(), ev.Tenant, ev.Object)
					if err != nil {
						t.Fatal(err)
					}
					ev.Changes = stored.Changes // that they are what changed is for others to say
					want := expect(t, set, ev, ev.ID == second.ID, echo)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("decisions about %s %s (-evaluating all +%T):\n%s", ev.Source, ev.Payload, j.journal, diff)
					}
					for _, m := range got {
						verdicts[strings.TrimSpace(string(m.Verdict)+" "+m.Reason)]++
					}
				}
			}
		}
	})
	for _, v := range []string{"matched", "not_matched", "skipped no_trigger", "skipped filter", "skipped version", "skipped unchanged", "skipped disabled", "skipped expired",
		"skipped tenant", "skipped own_echo", "skipped condition_error"} {
		if verdicts[v] == 0 {
			t.Errorf("nothing was %s: %v", v, verdicts)
		}
	}
}

// counting counts what is stored.
type counting struct {
	journal
	rows int
}

func (c *counting) Admit(ctx context.Context, a engine.Admission) (engine.Receipt, error) {
	for _, p := range a.Events {
		c.rows += len(p.Matches)
	}
	return c.journal.Admit(ctx, a)
}

func TestWhatIsStoredForAnEventDoesNotGrowWithThePlaybooksThatItDoesNotConcern(t *testing.T) {
	t.Parallel()
	for _, form := range []string{
		`alert.status == "new" and alert.title == "T%d"`,
		`alert.status == "new" and alert.severity in ["low", "high"] and "T%d" in alert.mitreTechniques`,
		`alert.status == "new" and any(alert.evidence, .mdeDeviceId == "T%d")`,
		`alert.title not in lists.noise and alert.assignedTo in ["T%d", "nobody"]`,
	} {
		j := &counting{journal: memory.New()}
		e := engine.New(engine.Options{Journal: j, Lists: twoLists{}})
		var books []*playbooks.Playbook
		for i := range 300 {
			when := fmt.Sprintf(form, i)
			p, findings := playbooks.Compile("p.yaml", []byte(fmt.Sprintf("name: p%d\ntriggers: [{poll: {resource: alerts, every: 1m}}]\nwhen: >-\n  %s\nsteps: [{action: test.read, with: {value: x}}]\n", i, when)),
				playbooks.Options{Catalog: new(world).Registry(), Lists: map[string]playbooks.ListInfo{"noise": {Entries: 3}}})
			if err := findings.Err(); err != nil {
				t.Fatal(err)
			}
			books = append(books, p)
		}
		e.Use(playbooks.NewSet(books...))
		ev := alert(`,"mitreTechniques":["T7"],"evidence":[{"mdeDeviceId":"T7"}],"assignedTo":"T7"`)
		ev.Payload = json.RawMessage(strings.Replace(string(ev.Payload), "Port scan", "T7", 1))
		if _, err := e.Deliver(t.Context(), engine.Batch{Events: []engine.Event{ev}}); err != nil {
			t.Fatal(err)
		}
		got, err := j.Decisions(t.Context(), ev.ID)
		if err != nil {
			t.Fatal(err)
		}
		matched := slices.DeleteFunc(got, func(m engine.Match) bool { return m.Verdict != engine.Matched })
		if j.rows != 1 || len(matched) != 1 || matched[0].Playbook != "p7" {
			t.Errorf("%s: %d rows for 300 playbooks, %v matched", form, j.rows, matched)
		}
	}
}
