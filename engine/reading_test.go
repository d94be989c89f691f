package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// onDisk gives the lab a journal in SQLite.
func onDisk(l *lab) {
	db, err := store.Open(l.t.Context(), filepath.Join(l.t.TempDir(), "journal.db"), store.Options{})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = db.Close() })
	l.journal = db
}

// onBothJournals runs a test with a journal in memory and with a real one.
func onBothJournals(t *testing.T, test func(*testing.T, *lab)) {
	t.Helper()
	t.Parallel()
	for name, change := range map[string]func(*lab){"memory": func(*lab) {}, "sqlite": onDisk} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newLab(t, change))
		})
	}
}

// withUser is an alert with a user in its evidence.
func withUser(id, user string) engine.Event {
	return version(id, 1, fmt.Sprintf(`{"id":%q,"title":"t %s","status":"new","severity":"low","evidence":[
		{"@odata.type":"#microsoft.graph.security.userEvidence","userAccount":{"userPrincipalName":%q}}]}`, id, id, user))
}

// prepared uses playbooks whose questions the journal has an index for.
func (l *lab) prepared(books ...*playbooks.Playbook) {
	l.t.Helper()
	l.set = playbooks.NewSet(books...)
	if err := l.engine.Prepare(context.Background(), l.set, false); err != nil {
		l.t.Fatal(err)
	}
	l.engine.Use(l.set)
}

// decided is the decision of the only playbook about an event.
func (l *lab) decided(ev engine.Event) engine.Match {
	l.t.Helper()
	list, err := l.journal.Decisions(context.Background(), ev.ID)
	if err != nil || len(list) != 1 {
		l.t.Fatalf("decisions about %s: %v, %v", ev.ID, list, err)
	}
	return list[0]
}

const put = "steps: [{action: test.put, with: {value: x}}]\n"

func TestAKeyIsSeenOnceWithinItsWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("once", "when: 'alert.severity == \"low\" and not seen(alert.title, \"1h\")'\n"+put))
		same := func(id string) engine.Event {
			return version(id, 1, fmt.Sprintf(`{"id":%q,"title":"Port scan","severity":"low"}`, id))
		}
		if r := l.deliver(same("a"), same("b")); r.Matched != 1 {
			t.Errorf("of two in a batch %d matched", r.Matched)
		}
		if r := l.deliver(same("a")); r.Duplicates != 1 {
			t.Errorf("an event that is known: %+v", r)
		}
		time.Sleep(time.Hour)
		if r := l.deliver(same("c")); r.Matched != 0 {
			t.Error("at the end of the window it was not seen any more")
		}
		time.Sleep(time.Hour + time.Nanosecond)
		if r := l.deliver(same("d")); r.Matched != 1 {
			t.Error("beyond the window it was still seen")
		}
		got := l.decided(same("c"))
		want := []engine.Reading{{Name: "seen", By: "once", Args: json.RawMessage(`["Port scan",3600]`), Value: json.RawMessage("true")}}
		if diff := cmp.Diff(want, got.Readings); diff != "" || got.Verdict != engine.NotMatched {
			t.Errorf("%s, readings (-want +got):\n%s", got.Verdict, diff)
		}
	})
}

func TestAConditionThatStopsEarlierAsksNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("once", "when: 'int(alert.description ?? \"0\") > 0 and not seen(\"k\", \"1h\")'\n"+put))
		l.deliver(version("a", 1, `{"id":"a","description":"0"}`))
		if got := l.decided(version("a", 1, "")); len(got.Readings) > 0 {
			t.Errorf("it asked %v", got.Readings)
		}
		if r := l.deliver(version("b", 1, `{"id":"b","description":"1"}`)); r.Matched != 1 {
			t.Error("a key that nobody asked for was seen")
		}
	})
}

func TestOfManyDeliveriesAtOnceOneSeesTheKeyFirst(t *testing.T) {
	onBothJournals(t, func(t *testing.T, l *lab) {
		l.use(l.book("once", "when: 'not seen(\"k\", \"1h\")'\n"+put))
		const n = 40
		var all sync.WaitGroup
		var mu sync.Mutex
		matched := 0
		for i := range n {
			all.Go(func() {
				r, err := l.engine.Deliver(context.Background(), engine.Batch{Events: []engine.Event{numbered(i)}})
				mu.Lock()
				defer mu.Unlock()
				if matched += r.Matched; err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if matched != 1 {
			t.Errorf("%d of %d saw the key first", matched, n)
		}
	})
}

const countingUp = `
steps:
  - set: {state: {key: "n", value: "${{ (state[\"n\"] ?? 0) + 1 }}"}}
  - action: test.put
    with: {value: "${{ string(state.n) }}"}
`

func TestACountInTheStateLosesNothing(t *testing.T) {
	onBothJournals(t, func(t *testing.T, l *lab) {
		l.use(l.book("counts", countingUp))
		stop := l.run()
		const n = 30
		var events []engine.Event
		for i := range n {
			events = append(events, numbered(i))
		}
		l.deliver(events...)
		deadline := time.Now().Add(time.Minute)
		for l.states()[engine.Succeeded] < n && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		l.all(engine.Succeeded)
		raw, err := l.journal.State(context.Background(), engine.StateKey{Tenant: "contoso", Playbook: "counts", Key: "n"}, time.Now())
		if err != nil || string(raw) != fmt.Sprint(n) {
			t.Errorf("the state is %s (%v) after %d runs", raw, err, n)
		}
		for _, id := range l.ids {
			if r, err := engine.Readings(l.load(id).Entries); err != nil || len(r) == 0 {
				t.Errorf("run %s has no record of what it read: %v", id, err)
			}
		}
	})
}

func TestStateEndsWhenItSaysAndCanBeForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("keeps", `
when: state[alert.title] == nil
steps:
  - set: {state: {key: "${{ alert.title }}", value: {at: "${{ now() }}"}, for: 1h}}
  - if: alert.severity == "high"
    then: [{set: {state: [{key: "${{ alert.title }}", value: null}]}}]
`))
		stop := l.run()
		defer stop()
		send := func(id, severity string) int {
			r := l.deliver(version(id, 1, fmt.Sprintf(`{"id":%q,"title":"t","severity":%q}`, id, severity)))
			wait(time.Second)
			return r.Matched
		}
		if send("a", "high") != 1 || send("b", "low") != 1 {
			t.Error("what was forgotten is still there")
		}
		if send("c", "low") != 0 {
			t.Error("what was kept is not there")
		}
		time.Sleep(time.Hour)
		if send("d", "low") != 1 {
			t.Error("it is there beyond its time")
		}
		l.all(engine.Succeeded)
	})
}

func TestTheStateOfAPlaybookIsItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		l.use(l.book("one", `steps: [{set: {state: {key: k, value: 1}}}]`), l.book("two", "when: state.k == 1\n"+put))
		stop := l.run()
		defer stop()
		l.deliver(numbered(1))
		wait(time.Second)
		if r := l.deliver(numbered(2)); r.Matched != 1 {
			t.Errorf("%d playbooks matched: one reads the state of the other", r.Matched)
		}
	})
}

// elsewhere is a world that answers something else each time.
type elsewhere struct{ n int }

func (w *elsewhere) Read(_ engine.Asker, _, name string, args []any) (any, error) {
	w.n++
	switch name {
	case playbooks.AskSeen:
		return w.n%2 == 0, nil
	case playbooks.AskState, playbooks.AskHistory:
		return int64(w.n), nil
	case playbooks.AskLeastLoaded:
		return args[w.n%len(args)], nil
	case playbooks.AskOnDuty:
		return fmt.Sprintf("person %d", w.n), nil
	}
	return true, nil
}

const asksAll = `
vars:
  duty: ${{ onDuty("tier1", now()) }}
  none: "${{ onDuty(\"tier1\", now() - duration(\"1h\")) }}"
steps:
  - if: seen(alert.title, "1h") or state.x > 3
    then: [{action: test.put, with: {value: a}}]
    else: [{action: test.add, with: {value: b}}]
  - foreach: 'map(["p", "q"], # + string(state[#]))'
    as: n
    do: [{action: test.put, with: {value: "${{ n }} ${{ leastLoaded([\"x\", \"y\", \"z\"]) }}"}}]
  - set: {state: {key: x, value: "${{ state.x + 1 }}"}}
  - parallel:
      - [{action: test.put, with: {value: "${{ vars.duty }} ${{ vars.none }}"}}]
      - [{action: test.read, with: {value: "${{ string(history({\"window\": \"1d\", \"user\": \"ann\"})) }}"}}]
  - wait: 1h
  - if: seen(alert.title, "1h")
    then: [{stop: "${{ string(state.x) }}"}]
outputs: {x: "${{ state.x }}"}
`

func TestDecidingAgainFromTheRecordGivesTheSameInAWorldThatHasChanged(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), asksAll)
	ev := alert("")
	m := begin(t, p)
	m.Consult(&elsewhere{})
	history, d := drive(t, m, fine)
	if d.State != engine.Succeeded {
		t.Fatalf("the run %s: %s", d.State, d.Message)
	}
	for cut := range history {
		if cut > 0 && history[cut-1].Kind == engine.Intent {
			continue // an attempt is in the air: what follows is its outcome
		}
		again, err := engine.Begin(p, newRun(p, ev), ev, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Replay(history[:cut]); err != nil {
			t.Fatalf("after %d entries: %v", cut, err)
		}
		rest, err := engine.Readings(history[cut:])
		if err != nil {
			t.Fatal(err)
		}
		again.Consult(engine.Recall(rest...))
		next := again.Next(history[cut].At)
		for i, e := range next.Record {
			if diff := cmp.Diff(history[cut+i], e); diff != "" {
				t.Fatalf("after %d entries, entry %d (-recorded +decided again):\n%s", cut, i, diff)
			}
		}
	}
}

func TestAConditionIsDecidedAgainFromItsReadings(t *testing.T) {
	t.Parallel()
	p := compile(t, new(world).Registry(), "when: 'not seen(\"k\", \"1h\") and state.x == 2 and onDuty(\"tier1\") != \"ann\"'\n"+put)
	ev := alert("")
	c := engine.Circumstances{Now: epoch, World: &elsewhere{}}
	first, err := engine.Consider(p, ev, map[string]any{}, c)
	if err != nil || first.Verdict != engine.Matched || len(first.Readings) != 3 {
		t.Fatalf("%+v, %v", first, err)
	}
	c.World = engine.Recall(first.Readings...)
	second, err := engine.Consider(p, ev, map[string]any{}, c)
	if diff := cmp.Diff(first, second); diff != "" || err != nil {
		t.Errorf("decided again (-first +second): %v\n%s", err, diff)
	}
}

// mute is a journal that answers no questions for a while.
type mute struct {
	journal
	mu    sync.Mutex
	quiet bool
}

var errMute = errors.New("nothing can be read")

func (m *mute) set(quiet bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quiet = quiet
}

func (m *mute) State(ctx context.Context, key engine.StateKey, now time.Time) (json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quiet {
		return nil, errMute
	}
	return m.journal.State(ctx, key, now)
}

func TestWhatCannotBeAnsweredDecidesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		quiet := &mute{quiet: true}
		l := newLab(t, func(l *lab) { quiet.journal, l.journal = l.journal, quiet })
		l.use(l.book("asks", "when: state.x == nil\n"+put))
		if _, err := l.engine.Deliver(context.Background(), engine.Batch{Events: []engine.Event{numbered(1)}}); !errors.Is(err, errMute) {
			t.Errorf("the event was delivered: %v", err)
		}
		l.use(l.book("asks", "steps: [{if: state.x == nil, action: test.put, with: {value: x}}]"))
		stop := l.run()
		defer stop()
		l.deliver(numbered(2))
		wait(10 * time.Second)
		if r := l.load(l.ids[0]).Run; r.State != engine.Waiting || !strings.Contains(r.Message, errMute.Error()) {
			t.Errorf("the run is %s: %s", r.State, r.Message)
		}
		quiet.set(false)
		wait(10 * time.Second)
		l.all(engine.Succeeded)
		l.each("put x")
	})
}

func TestARunThatCannotBeAnsweredLeavesItsWorkerToOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) {
			l.journal, l.options.Workers = &mute{journal: l.journal, quiet: true}, 1
		})
		l.use(l.book("asks", "when: alert.id == \"a1\"\nsteps: [{if: state.x == nil, action: test.put, with: {value: asked}}]"),
			l.book("other", "when: alert.id == \"a2\"\n"+put))
		defer l.run()()
		l.deliver(numbered(1))
		wait(time.Second)
		l.deliver(numbered(2))
		wait(time.Minute)
		l.each("put x")
	})
}

func TestARunThatCannotBeAnsweredGoesOnAskingPeople(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.journal = &mute{journal: l.journal, quiet: true} })
		l.use(l.book("asks", `
steps:
  - parallel:
      - [{approve: {title: "Isolate?", by: [ann], within: 1h, otherwise: reject}}]
      - [{if: state.x == nil, action: test.put, with: {value: x}}]
`))
		defer l.run()()
		l.deliver(numbered(1))
		wait(time.Minute)
		if run := l.load(l.ids[0]).Run; !askedID.MatchString(run.Message) || !strings.HasPrefix(run.Message, engine.AskingPrefix) {
			t.Errorf("the run is %s: %s", run.State, run.Message)
		}
	})
}

func TestAnEvaluationAsksForSoManyThings(t *testing.T) {
	t.Parallel()
	at := func(text string) string {
		p := compile(t, new(world).Registry(), text)
		m := begin(t, p)
		m.Consult(&elsewhere{})
		_, d := drive(t, m, fine)
		return d.Message
	}
	most := `steps: [{if: "len(map(1..%d, state[string(#)])) > 0", then: [{stop: enough}]}]`
	if got := at(fmt.Sprintf(most, engine.MaxReadings)); got != "enough" {
		t.Errorf("%d questions: %s", engine.MaxReadings, got)
	}
	if got := at(fmt.Sprintf(most, engine.MaxReadings+1)); !strings.Contains(got, fmt.Sprintf("more than %d things", engine.MaxReadings)) {
		t.Errorf("one more: %s", got)
	}
}

func TestHistoryCountsOtherObjectsWithTheSameValue(t *testing.T) {
	onBothJournals(t, func(t *testing.T, l *lab) {
		l.use(l.book("before", put))
		l.deliver(withUser("a", "Ann@contoso.example"), withUser("b", "bob@contoso.example"))
		// Only now somebody asks: what is stored already counts.
		l.prepared(l.book("third", `
when: >
  history({window: "24h", user: map(users(alert), .userPrincipalName)}) >= 2
`+put))
		if r := l.deliver(withUser("c", "ann@contoso.example")); r.Matched != 0 {
			t.Error("the second one is taken for the third")
		}
		later := withUser("c", "ann@contoso.example")
		later.ID += "0"
		if r := l.deliver(later); r.Matched != 0 {
			t.Error("another version of the same alert counts")
		}
		if r := l.deliver(withUser("d", "ann@contoso.example"), withUser("e", "bob@contoso.example"), withUser("f", "bob@contoso.example")); r.Matched != 2 {
			t.Errorf("of a third of one, and a second and a third of another, %d matched", r.Matched)
		}
		if r := l.deliver(version("g", 1, `{"id":"g","severity":"low"}`)); r.Matched != 0 {
			t.Error("alerts without users have them in common")
		}
		// Another process, which has not loaded anything yet, knows what is indexed.
		l.restart()
		l.prepared(slices.Collect(slices.Values(l.set.Playbooks))...)
		if r := l.deliver(withUser("h", "bob@contoso.example")); r.Matched != 1 {
			t.Error("after a restart it counts no more")
		}
	})
}

func TestTheLeastLoadedIsWhoHasTheFewestOpenObjects(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t)
		assigned := func(id, who, status string) engine.Event {
			return version(id, 1, fmt.Sprintf(`{"id":%q,"status":%q,"assignedTo":%q}`, id, status, who))
		}
		l.use(l.book("before", put))
		l.deliver(assigned("a", "Ann", "new"), assigned("b", "bob", "resolved"), assigned("c", "ann", "inProgress"))
		l.prepared(l.book("assigns", assigns))
		stop := l.run()
		defer stop()
		for _, c := range []struct{ who, want string }{
			{`["ann", "bob", "cy"]`, "bob"}, // of those with nothing, who is named first
			{`["cy", "bob"]`, "cy"},
			{`["ANN"]`, "ANN"},
			{`[]`, "nobody"},
		} {
			if got := l.leastLoaded(c.who); got != c.want {
				t.Errorf("of %s the least loaded is %s, want %s", c.who, got, c.want)
			}
		}
		l.deliver(assigned("d", "bob", "new"))
		if got := l.leastLoaded(`["bob", "cy"]`); got != "cy" {
			t.Errorf("bob has one, and %s is the least loaded", got)
		}
	})
}

// assigns says who is the least loaded.
const assigns = `
triggers: [{manual: {inputs: {who: list}}}]
steps: [{stop: "${{ leastLoaded(inputs.who) ?? \"nobody\" }}"}]
`

// leastLoaded has the playbook that assigns say who it is.
func (l *lab) leastLoaded(who string) string {
	l.t.Helper()
	l.deliver(engine.Event{ID: fmt.Sprint("ask", len(l.ids)), Tenant: "contoso", Source: "manual/assigns", Kind: "event",
		Payload: json.RawMessage("{}"), Inputs: json.RawMessage(`{"who":` + who + `}`)})
	wait(time.Second)
	return l.load(l.ids[len(l.ids)-1]).Run.Message
}

// The playbook that writes need not ask for anything itself: its run begins with its event.
func TestWhatAPlaybookHasWrittenCountsBeforeItIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		refuses error
		least   string
	}{
		"it took effect":  {nil, "ann"}, // who had the alert
		"it was refused":  {&actions.Fault{Code: "forbidden", Message: "no"}, "bob"},
		"nobody knows it": {&actions.Fault{Code: "cut", Message: "no answer", Unknown: true}, "ann"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := newLab(t)
				l.world.Before = func(context.Context, actions.Call) error { return c.refuses }
				l.prepared(l.book("assigns", assigns), l.book("closes", "steps: [{action: test.put, with: {value: resolved}}]"))
				defer l.run()()
				synctest.Wait()
				l.deliver(version("a1", 1, `{"id":"a1","status":"new","assignedTo":"ann"}`))
				wait(time.Second)
				if got := l.leastLoaded(`["ann", "bob"]`); got != c.least {
					t.Errorf("ann had an alert that was to be resolved, and the least loaded is %s, want %s", got, c.least)
				}
			})
		})
	}
}

// rotas is who is on duty, until somebody else is.
type rotas struct {
	mu  sync.Mutex
	who string
}

func (r *rotas) OnDuty(name string, _ time.Time) (string, string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.who, "sha256:" + r.who, name == "tier1"
}

func (r *rotas) turn(who string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.who = who
}

func TestWhoIsOnDutyIsAskedOnceAndRecordedWithItsVersion(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		duty := &rotas{who: "ann"}
		l := newLab(t, func(l *lab) { l.options.Rotas = duty })
		l.use(l.book("assigns", `
vars: {who: "${{ onDuty(\"tier1\") }}"}
steps:
  - wait: 1h
  - {action: test.put, with: {value: "${{ vars.who }} ${{ onDuty(\"tier1\") }}"}}
  - {action: test.put, with: {value: "${{ onDuty(alert.title) }}"}, on_error: continue}
`))
		stop := l.run()
		defer stop()
		l.deliver(numbered(1))
		wait(time.Minute)
		duty.turn("bob")
		wait(2 * time.Hour)
		l.all(engine.Succeeded)
		l.each("put ann bob")
		list, err := engine.Readings(l.load(l.ids[0]).Entries)
		if err != nil || len(list) != 3 || list[0].Version != "sha256:ann" || list[1].Version != "sha256:bob" || !strings.Contains(list[2].Fault, "no rota") {
			t.Errorf("readings %+v, %v", list, err)
		}
	})
}

func TestKilledAtAnyWriteARunKeepsItsStateOnceAndItsAnswers(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} { // the write itself, or only the word that it was done
		for n := 1; n <= 12; n++ {
			t.Run(fmt.Sprintf("write %d, done %v", n, lost), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					var dead atomic.Bool
					die := func(op string, at int) error {
						if op != "Append" {
							return nil
						}
						if at == n {
							dead.Store(true)
						}
						if dead.Load() {
							return errDisk
						}
						return nil
					}
					var f *faulty
					duty := &rotas{who: "ann"}
					l := newLab(t, func(l *lab) {
						f = &faulty{journal: l.journal}
						if lost {
							f.after = die
						} else {
							f.before = die
						}
						l.journal, l.options.Rotas = f, duty
					})
					l.use(l.book("counts", `
vars: {who: "${{ onDuty(\"tier1\") }}"}
steps:
  - {action: test.put, with: {value: "${{ vars.who }}"}}
  - set: {state: {key: n, value: "${{ (state.n ?? 0) + 1 }}"}}
  - {action: test.put, with: {value: "${{ string(state.n) }}"}}
  - if: seen("k", "1h")
    then: [{fail: it has seen itself}]
  - {action: test.put, with: {value: "${{ vars.who }}"}}
`))
					stop := l.run()
					l.deliver(numbered(1))
					wait(time.Minute)
					before, err := engine.Readings(l.load(l.ids[0]).Entries)
					if err != nil {
						t.Fatal(err)
					}
					stop()
					f.before, f.after = nil, nil
					if len(before) > 0 {
						duty.turn("bob") // the world goes on while nobody looks
					}
					l.restart()
					stop = l.run()
					wait(time.Minute)
					stop()
					l.all(engine.Succeeded)
					raw, err := l.journal.State(context.Background(), engine.StateKey{Tenant: "contoso", Playbook: "counts", Key: "n"}, time.Now())
					if err != nil || string(raw) != "1" {
						t.Errorf("the state is %s, %v", raw, err)
					}
					for _, did := range l.world.Effects() {
						if did != "put ann" && did != "put 1" {
							t.Errorf("it did %q", did)
						}
					}
				})
			})
		}
	}
}

func TestADecisionThatIsRefusedIsMadeAnewAndNothingIsDoneTwice(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 10; n++ {
		t.Run(fmt.Sprint("write ", n), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				refused := false
				l := newLab(t, func(l *lab) {
					l.journal = &faulty{journal: l.journal, before: func(op string, at int) error {
						if op == "Append" && (at == n || at == n+1) {
							refused = true
							return engine.ErrMoved
						}
						return nil
					}}
				})
				l.use(l.book("moves", `
steps:
  - parallel:
      - - {action: test.once, with: {value: a}}
        - set: {state: {key: n, value: "${{ (state.n ?? 0) + 1 }}"}}
      - - {action: test.once, with: {value: b}}
        - {action: test.put, with: {value: "${{ string(seen(\"k\", \"1h\")) }}"}}
`))
				stop := l.run()
				l.deliver(numbered(1))
				wait(time.Minute)
				stop()
				l.all(engine.Succeeded)
				l.each("once a", "once b", "put false")
				raw, err := l.journal.State(context.Background(), engine.StateKey{Tenant: "contoso", Playbook: "moves", Key: "n"}, time.Now())
				if err != nil || string(raw) != "1" {
					t.Errorf("the state is %s, %v", raw, err)
				}
				if n == 1 && !refused {
					t.Error("nothing was refused")
				}
			})
		})
	}
}

func TestACalledPlaybookReadsItsListsAndItsOwnState(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Lists = twoLists{} })
		inner := l.book("inner", `
triggers: [{manual: {}}]
steps: [{set: {state: {key: n, value: "${{ (state.n ?? 0) + 1 }}"}}}]
outputs: {n: "${{ state.n }}", noise: "${{ len(lists.noise) }}"}
`)
		outer := l.bookCalling("outer", `
triggers: [{poll: {resource: alerts}}]
steps:
  - {id: called, playbook: inner}
  - {action: test.put, with: {value: "${{ string(steps.called.output.n) }} ${{ string(state.n) }} ${{ string(steps.called.output.noise) }}"}}
`, inner)
		l.use(outer)
		stop := l.run()
		defer stop()
		l.deliver(numbered(1))
		wait(time.Second)
		l.all(engine.Succeeded)
		l.each("put 1  3")
	})
}

func TestTheVersionsOfTheListsThatAnEventWasHeldAgainstAreKept(t *testing.T) {
	t.Parallel()
	l := newLab(t, onDisk, func(l *lab) { l.options.Lists = twoLists{} })
	l.use(l.book("listed", "when: alert.title in lists.noise\n"+put), l.book("other", "when: alert.severity == \"high\" and alert.title in lists.numbers\n"+put))
	ev := version("a", 1, `{"id":"a","title":"quiet","severity":"low"}`)
	l.deliver(ev)
	versions, err := l.journal.(*store.DB).ListVersions(context.Background(), ev.ID)
	if err != nil || !strings.HasPrefix(versions["noise"], "sha256:") {
		t.Errorf("versions %v, %v", versions, err)
	}
}

// What a clock is counted by belongs to the clock, and not to the event that comes after.
func TestAnEventIsNotHeldAgainstTheListsThatAClockIsCountedBy(t *testing.T) {
	t.Parallel()
	l := newLab(t, onDisk, func(l *lab) { l.options.Lists = twoLists{} })
	l.use(l.book("any", put), l.book("clocks", strings.Replace(triage, `alert.severity == "low"`, `alert.title in lists.noise`, 1)))
	l.deliver(alertVersion(1, "a", time.Now(), time.Now(), ""), alertVersion(1, "b", time.Now(), time.Now(), ""))
	for _, id := range []string{"a", "b"} {
		if versions, err := l.journal.(*store.DB).ListVersions(context.Background(), version(id, 1, "").ID); err != nil || len(versions) > 0 {
			t.Errorf("%s was held against %v, %v", id, versions, err)
		}
	}
}

func TestWhatIsAskedWhileALimitIsCountedIsRecordedWithTheStepThatFollows(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLab(t, func(l *lab) { l.options.Rotas = &rotas{who: "ann"} })
		l.use(l.book("limited", `
limits: {effects: {test.put: 2/1h}}
steps:
  - parallel:
      - - {action: test.put, with: {value: "${{ onDuty(\"tier1\") }}"}}
      - - set: {state: {key: n, value: "${{ (state.n ?? 0) + 1 }}"}}
        - {action: test.put, with: {value: "${{ string(state.n) }}"}}
`))
		stop := l.run()
		l.deliver(numbered(1))
		wait(time.Minute)
		stop()
		l.all(engine.Succeeded)
		l.each("put ann", "put 1")
		paths := map[string][]string{}
		for _, e := range l.load(l.ids[0]).Entries {
			if e.Kind == engine.Read {
				list, err := engine.Readings([]engine.Entry{e})
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range list {
					paths[e.Path] = append(paths[e.Path], r.Name)
				}
			}
		}
		want := map[string][]string{"steps/0/branch/0/0": {"onDuty"}, "steps/0/branch/1/0": {"state", "stateRoom"}, "steps/0/branch/1/1": {"state"}}
		if diff := cmp.Diff(want, paths); diff != "" {
			t.Errorf("what was asked, by step (-want +got):\n%s", diff)
		}
	})
}
