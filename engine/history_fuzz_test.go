package engine_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// recorded are playbooks whose histories are recorded and then damaged.
var recorded = []string{
	"steps: [{action: test.once, with: {value: a}}, {action: test.add, with: {value: b}}]\n",
	"steps: [{action: test.both, with: {value: a, note: b}}, {action: test.put, with: {value: c}, on_error: continue}]\n",
	"vars: {who: \"${{ alert.title }}\", when: \"${{ now() }}\"}\nsteps:\n  - foreach: '[1, 2, 3]'\n    as: n\n    do: [{action: test.once, with: {value: a}}, {set: {who: \"${{ n }}\"}}]\n",
	"steps:\n  - if: alert.severity == \"low\"\n    then:\n      - {id: one, action: test.read, with: {value: a}, on_error: [{action: test.add, with: {value: b}}]}\n    else: [{stop: done}]\n  - {if: 'steps.one.status == \"ok\"', fail: \"it was ${{ steps.one.output.value }}\"}\n",
	"steps:\n  - foreach: '[1, 2, 3]'\n    as: n\n    concurrency: 2\n    do: [{action: test.add, with: {value: a}}]\n",
	"mode: shadow\nsteps: [{action: test.both, with: {value: a, note: b}}, {action: test.read, with: {value: c}}]\n",
}

// damage changes a history as the bytes say: entries are swapped, doubled, dropped, given the kind, path, data or
// attempt of others, and numbered anew or not.
func damage(history []engine.Entry, how []byte) []engine.Entry {
	h := slices.Clone(history)
	for ; len(how) >= 3 && len(h) > 0; how = how[3:] {
		i, j := int(how[1])%len(h), int(how[2])%len(h)
		switch how[0] % 9 {
		case 0:
			h[i], h[j] = h[j], h[i]
		case 1:
			h = slices.Insert(h, j, h[i])
		case 2:
			h = slices.Delete(h, i, i+1)
		case 3:
			h[i].Kind = h[j].Kind
		case 4:
			h[i].Path = h[j].Path
		case 5:
			h[i].Data = h[j].Data
		case 6:
			h[i].Attempt = int(how[2]) - 2
		case 7:
			h = h[:i+1]
		case 8:
			h[i].At = h[i].At.Add(time.Duration(int(how[2])-128) * time.Hour)
		}
	}
	return h
}

// FuzzHistory replays histories that were damaged, or made up. The machine refuses them, or goes on from them as from
// any history: every attempt that it asks for is one that the playbook knows and stands in the record that is made
// durable first, what may happen only once is not asked for again while nobody knows, the run ends or waits for a
// person, and all that was recorded replays to the same decision. Telling what happened never panics either.
func FuzzHistory(f *testing.F) {
	reg := new(world).Registry()
	books := make([]*playbooks.Playbook, len(recorded))
	for i, text := range recorded {
		books[i] = compile(f, reg, text)
		for _, script := range [][]ending{nil, {endsLost, endsWell, endsNowhere}, {endsKilled, endsThrottled, endsKilledOff}, {endsRefused}, {endsLost, endsRefused, endsLost}} {
			fail := func(format string, args ...any) { f.Fatalf(format, args...) }
			history, _, _ := play(nil, fail, books[i], script)
			text, err := json.Marshal(history)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), text, []byte{}, true)
			for k := range byte(9) {
				f.Add(uint8(i), text, []byte{k, 1, 2, k * 5, 3, 1, 7, 4, 0}, true)
				f.Add(uint8(i), text, []byte{k, 2, 3}, false)
			}
		}
	}
	for _, data := range []string{"null", "[]", "7", `{"status":"fault"}`, `{"status":"dry","parts":["odd"]}`, `{"parts":["add","add"],"key":"x"}`, `{"vars":{"$time":"soon"}}`, `{"vars":{"a":1e999}}`,
		`{"items":[{"$as":{"$as":{"$time":1}}}]}`, `{"state":"resting"}`, `{"fault":{"code":"","unknown":true}}`, strings.Repeat(`{"vars":`, 3000)} {
		f.Add(uint8(0), []byte(fmt.Sprintf(`[{"seq":1,"path":"","kind":"began","data":%s},{"seq":2,"path":"steps/0:once","kind":"intent","attempt":1,"data":%s}]`, data, data)), []byte{}, false)
	}
	f.Fuzz(func(t *testing.T, book uint8, text []byte, how []byte, numbered bool) {
		var history []engine.Entry
		if len(text) > 64<<10 || json.Unmarshal(text, &history) != nil || len(history) > 300 {
			return
		}
		history = damage(history, how)
		if numbered {
			for i := range history {
				history[i].Seq = i + 1
			}
		}
		p := books[int(book)%len(books)]
		engine.Trace(p, history)
		engine.Trace(nil, history)
		m := begin(t, p)
		if err := m.Replay(history); err != nil {
			if !engine.IsHistoryError(err) {
				t.Fatalf("an odd complaint: %v", err)
			}
			return
		}
		goOn(t, p, m, history)
	})
}

// goOn takes turns until the run ends or is parked.
func goOn(t *testing.T, p *playbooks.Playbook, m *engine.Machine, history []engine.Entry) {
	now := epoch.Add(1000 * time.Hour)
	history = append(history, m.Interrupt(now, false)...)
	for range 1000 {
		d := m.Next(now)
		for _, a := range d.Invoke {
			checkAttempt(t, a, history, d.Record)
		}
		history = append(history, d.Record...)
		switch {
		case d.State.Final() || d.State == engine.Parked:
			decided := len(d.Record) > 0 || d.State == engine.Parked // otherwise the record says so, and nothing more
			if decided && d.State != engine.Succeeded && d.Message == "" {
				t.Fatalf("the run is %s and nobody says why", d.State)
			}
			replaysTo(t, p, history, d, now)
			return
		case len(d.Invoke) > 0:
			for _, a := range d.Invoke {
				s := fine(a)
				e, err := m.Settle(a, s.out, false, nil, now)
				if err != nil {
					t.Fatalf("settle: %v", err)
				}
				history = append(history, e)
			}
		case d.More:
		case d.Wake.IsZero():
			t.Fatalf("nothing to do and nothing to wait for: %+v", d)
		default:
			now = d.Wake
		}
	}
	t.Fatalf("the run does not end")
}

// checkAttempt fails the test unless an attempt may be made now.
func checkAttempt(t *testing.T, a engine.Attempt, history, record []engine.Entry) {
	t.Helper()
	if a.Action == nil || !json.Valid(a.Input) || a.Key == "" || !slices.Contains([]actions.Effect{actions.Reads, actions.Converges, actions.Adds, actions.Once}, a.Effect) {
		t.Fatalf("an attempt that the playbook does not know: %+v", a)
	}
	if !slices.ContainsFunc(record, func(e engine.Entry) bool {
		var d engine.IntentData
		return e.Kind == engine.Intent && e.Path == a.Path && e.Attempt == a.Number && json.Unmarshal(e.Data, &d) == nil && d.Key == a.Key && d.Probe == a.Probe && d.Effect == a.Effect
	}) {
		t.Fatalf("the attempt %s#%d is asked for without a record", a.Path, a.Number)
	}
	if a.Effect != actions.Once {
		return
	}
	for _, e := range slices.Backward(history) {
		if e.Path != a.Path {
			continue
		}
		var out engine.OutcomeData
		var word engine.ResolveData
		switch e.Kind {
		case engine.Outcome:
			if json.Unmarshal(e.Data, &out) != nil || out.Fault == nil || out.Fault.Unknown {
				t.Fatalf("%s is asked for again after %s", a.Path, e.Data)
			}
		case engine.Resolve:
			if json.Unmarshal(e.Data, &word) != nil || word.Happened {
				t.Fatalf("%s is asked for again after %s", a.Path, e.Data)
			}
		default:
			t.Fatalf("%s is asked for again after an entry %s", a.Path, e.Kind)
		}
		return
	}
}

// replaysTo fails the test unless a history leads another machine to the same decision.
func replaysTo(t *testing.T, p *playbooks.Playbook, history []engine.Entry, d engine.Decision, now time.Time) {
	t.Helper()
	again := begin(t, p)
	if err := again.Replay(history); err != nil {
		t.Fatalf("what was recorded does not replay: %v", err)
	}
	if d2 := again.Next(now); d2.State != d.State || d2.Message != d.Message || len(d2.Record) > 0 {
		t.Fatalf("decided %s (%s), and from the record %s (%s) with %d new entries", d.State, d.Message, d2.State, d2.Message, len(d2.Record))
	}
}
