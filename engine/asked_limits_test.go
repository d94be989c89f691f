package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// outcome runs the steps of a playbook in a world and says how the run ended.
func outcome(t *testing.T, steps string, w engine.World) string {
	t.Helper()
	m := begin(t, compile(t, new(world).Registry(), steps))
	m.Consult(w)
	_, d := drive(t, m, fine)
	return d.Message
}

func TestAWindowIsFromItsLeastToItsMost(t *testing.T) {
	t.Parallel()
	for d, ok := range map[time.Duration]bool{
		playbooks.MinWindow: true, playbooks.MinWindow - 1: false, playbooks.MaxWindow: true, playbooks.MaxWindow + 1: false,
	} {
		if _, err := playbooks.Window(d); (err == nil) != ok {
			t.Errorf("a window of %s: %v", d, err)
		}
	}
}

func TestASetKeepsSoManyValuesForSoLong(t *testing.T) {
	t.Parallel()
	fits := func(state string) bool {
		text := "name: x\ntriggers: [{poll: {resource: alerts}}]\nsteps: [{set: {state: " + state + "}}]\n"
		_, findings := playbooks.Compile("x.yaml", []byte(text), playbooks.Options{Catalog: new(world).Registry()})
		return !findings.HasErrors()
	}
	lasts := func(d time.Duration) string { return "{key: k, value: 1, for: " + playbooks.FormatDuration(d) + "}" }
	many := func(n int) string { return "[" + strings.Repeat("{key: k, value: 1}, ", n) + "]" }
	for state, ok := range map[string]bool{
		lasts(playbooks.MinStateFor): true, lasts(playbooks.MinStateFor - time.Second): false,
		lasts(playbooks.MaxStateFor): true, lasts(playbooks.MaxStateFor + time.Second): false,
		many(playbooks.MaxStateWrites): true, many(playbooks.MaxStateWrites + 1): false,
	} {
		if fits(state) != ok {
			t.Errorf("%.60s is taken: %v", state, !ok)
		}
	}
}

func TestAQuestionHasSoManyValues(t *testing.T) {
	t.Parallel()
	history := `steps: [{stop: "${{ string(history({\"window\": \"1d\", \"user\": map(1..%d, string(#))})) }}"}]`
	people := `steps: [{stop: "${{ leastLoaded(map(1..%d, string(#))) }}"}]`
	for _, c := range []struct {
		steps string
		most  int
	}{{history, playbooks.MaxHistoryValues}, {people, playbooks.MaxPeople}} {
		if got := outcome(t, fmt.Sprintf(c.steps, c.most), &elsewhere{}); strings.Contains(got, "more than") {
			t.Errorf("%d: %s", c.most, got)
		}
		if got := outcome(t, fmt.Sprintf(c.steps, c.most+1), &elsewhere{}); !strings.Contains(got, fmt.Sprint("more than ", c.most)) {
			t.Errorf("%d: %s", c.most+1, got)
		}
	}
}

// hearing is a world that remembers the keys that it was asked for.
type hearing struct{ keys []string }

func (h *hearing) Read(_ engine.Asker, _, _ string, args []any) (any, error) {
	h.keys = append(h.keys, fmt.Sprint(args[0]))
	return false, nil
}

func TestOfALongKeyTheHashIsUsed(t *testing.T) {
	t.Parallel()
	h := &hearing{}
	at, beyond := strings.Repeat("k", engine.MaxKey), strings.Repeat("k", engine.MaxKey+1)
	outcome(t, fmt.Sprintf(`steps: [{if: 'seen(%q, "1h") or seen(%q, "1h")', then: [{stop: it was}]}]`, at, beyond), h)
	if len(h.keys) != 2 || h.keys[0] != at || !strings.HasPrefix(h.keys[1], "sha256:") || len(h.keys[1]) != 71 {
		t.Errorf("keys %.90q", h.keys)
	}
}

func TestAValueOfTheStateIsAtMostSoLarge(t *testing.T) {
	t.Parallel()
	// Sixteen texts in a list: each with two quotes and a comma or bracket, and one bracket more.
	const texts = 16
	each := (engine.MaxStateValue - 1 - 3*texts) / texts
	rest := engine.MaxStateValue - 1 - 3*texts - texts*each
	steps := func(more int) string {
		list := make([]string, texts)
		for i := range list {
			list[i] = fmt.Sprintf("%q", strings.Repeat("x", each))
		}
		list[0] = fmt.Sprintf("%q", strings.Repeat("x", each+rest+more))
		return "steps: [{set: {state: {key: k, value: [" + strings.Join(list, ", ") + "]}}}]"
	}
	if got := outcome(t, steps(0), &elsewhere{}); got != "" {
		t.Errorf("at the limit: %s", got)
	}
	if got := outcome(t, steps(1), &elsewhere{}); !strings.Contains(got, fmt.Sprintf("%d bytes; at most %d", engine.MaxStateValue+1, engine.MaxStateValue)) {
		t.Errorf("beyond it: %s", got)
	}
}

func TestAFullStateTakesNoMoreKeysButNewValues(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("full", `steps: [{set: {state: {key: "${{ alert.id }}", value: 1}}}]`))
		stop := l.run()
		defer stop()
		l.deliver(numbered(0))
		wait(time.Second)
		l.all(engine.Succeeded)
		l.deliver(engine.Event{ID: "other", Tenant: "contoso", Source: "poll/alerts", Kind: "alert", Payload: json.RawMessage(`{"id":"k1"}`)})
		wait(time.Second)
		var left engine.Left
		for i := range engine.MaxStateKeys - 2 {
			left.Puts = append(left.Puts, engine.Put{Tenant: "contoso", Playbook: "full", Key: fmt.Sprint("x", i), Value: json.RawMessage("1"),
				At: time.Now(), Expires: time.Now().Add(time.Hour)})
		}
		// Any run that is not over can leave them; this one waits.
		l.use(l.book("full", `steps: [{wait: 1h}]`))
		l.deliver(numbered(7))
		wait(time.Second)
		if err := l.journal.Append(context.Background(), engine.Append{Run: l.ids[2], State: engine.Waiting, Wake: time.Now().Add(time.Hour), Left: left}); err != nil {
			t.Fatal(err)
		}
		l.use(l.book("full", `steps: [{set: {state: {key: "${{ alert.id }}", value: 2}}}]`))
		again := numbered(0)
		again.ID += "again"
		l.deliver(again, numbered(9))
		wait(time.Second)
		if r := l.load(l.ids[3]).Run; r.State != engine.Succeeded {
			t.Errorf("a key that is there: %s %s", r.State, r.Message)
		}
		if r := l.load(l.ids[4]).Run; r.State != engine.Failed || !strings.Contains(r.Message, fmt.Sprint(engine.MaxStateKeys)) {
			t.Errorf("another key: %s %s", r.State, r.Message)
		}
	})
}

func TestACountIsAtMostSoHigh(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.prepared(l.book("counts", fmt.Sprintf("when: >\n  history({window: \"24h\", title: \"t\"}) == %d\n", playbooks.MaxHistory)+put))
	var x engine.Indexed
	for i := range playbooks.MaxHistory {
		x.Events = append(x.Events, engine.IndexedEvent{Tenant: "contoso", Object: fmt.Sprint("alerts/x", i), Seen: time.Now(),
			Traits: []engine.Trait{{Kind: "alert", Field: "title", Value: "t"}}})
	}
	send := func(id string) int { return l.deliver(version(id, 1, `{"id":"`+id+`"}`)).Matched }
	index := func(x engine.Indexed) {
		if err := l.journal.Index(context.Background(), x); err != nil {
			t.Fatal(err)
		}
	}
	index(engine.Indexed{Events: x.Events[1:]})
	if send("a") != 0 {
		t.Error("one less is counted as all")
	}
	index(x)
	if send("b") != 1 {
		t.Errorf("%d are not counted", playbooks.MaxHistory)
	}
	x.Events[0].Object = "alerts/more"
	index(x)
	if send("c") != 1 {
		t.Error("beyond it the count is another")
	}
}

func TestSoManyValuesOfAnEventAreIndexed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.prepared(l.book("counts", `
when: >
  history({window: "24h", technique: alert.mitreTechniques}) > 0
`+put))
	many := make([]string, engine.MaxTraits+1)
	for i := range many {
		many[i] = fmt.Sprintf("%q", fmt.Sprint("T", i))
	}
	l.deliver(version("a", 1, `{"id":"a","mitreTechniques":[`+strings.Join(many, ",")+`]}`))
	for i, want := range map[int]int{engine.MaxTraits - 1: 1, engine.MaxTraits: 0} {
		id := fmt.Sprint("b", i)
		if got := l.deliver(version(id, 1, fmt.Sprintf(`{"id":%q,"mitreTechniques":["T%d"]}`, id, i))).Matched; got != want {
			t.Errorf("value %d is found: %d", i+1, got)
		}
	}
}

func TestACountByTwoFieldsLooksAtSoManyObjects(t *testing.T) {
	t.Parallel()
	l := newLab(t, onDisk)
	now := time.Now()
	event := func(i int, traits ...engine.Trait) engine.IndexedEvent {
		return engine.IndexedEvent{Tenant: "contoso", Object: fmt.Sprint("alerts/", i), Seen: now.Add(time.Duration(i) * time.Millisecond), Traits: traits}
	}
	user, title := engine.Trait{Kind: "alert", Field: "user", Value: "ann"}, engine.Trait{Kind: "alert", Field: "title", Value: "t"}
	x := engine.Indexed{Events: []engine.IndexedEvent{event(0, user, title)}} // the oldest one has both
	for i := 1; i < engine.MaxHistoryScan; i++ {
		x.Events = append(x.Events, event(i, user))
	}
	found := func() int {
		list, err := l.journal.History(context.Background(), engine.HistoryQuery{Tenant: "contoso", Kind: "alert", From: now.Add(-time.Hour), To: now.Add(time.Hour),
			Limit: 10, Where: []engine.HistoryTerm{{Field: "user", Values: []string{"ann"}}, {Field: "title", Values: []string{"t"}}}})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	for n, want := range []int{1, 0} { // at the limit, and beyond it
		if err := l.journal.Index(context.Background(), x); err != nil {
			t.Fatal(err)
		}
		if got := found(); got != want {
			t.Errorf("of %d objects %d are found", engine.MaxHistoryScan+n, got)
		}
		x.Events = []engine.IndexedEvent{event(engine.MaxHistoryScan, user)}
	}
}

// endless is a journal in which there are always more stored events.
type endless struct {
	journal
	given, indexed int
}

func (e *endless) Stored(_ context.Context, _ string, limit int) ([]engine.Event, error) {
	list := make([]engine.Event, limit)
	for i := range list {
		e.given++
		list[i] = version(fmt.Sprint(e.given), 1, `{"title":"t"}`)
	}
	return list, nil
}

func (e *endless) Index(_ context.Context, x engine.Indexed) error {
	e.indexed += len(x.Events)
	return nil
}

func TestSoManyStoredEventsAreIndexedWhenAPlaybookBeginsToAsk(t *testing.T) {
	t.Parallel()
	var e *endless
	l := newLab(t, func(l *lab) { e = &endless{journal: l.journal}; l.journal = e })
	l.prepared(l.book("counts", "when: >\n  history({window: \"24h\", title: alert.title}) > 0\n"+put))
	if e.given != engine.MaxBackfill || e.indexed != engine.MaxBackfill {
		t.Errorf("%d were read, %d indexed", e.given, e.indexed)
	}
}
