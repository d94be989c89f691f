// Package journaltest holds the promises of a journal as tests. Whoever writes a journal runs
// them against it:
//
//	func TestJournal(t *testing.T) {
//		journaltest.Run(t, open, reopen)
//	}
//
// The promises are those of [engine.Journal] and, where that is silent, these:
//
//   - Text is kept byte for byte, also where it holds zero bytes or is not UTF-8: alerts come
//     from outside. So are payloads and the data of entries; an empty one comes back as nil.
//   - Times keep their nanoseconds and come back in UTC. One that a journal can't hold becomes the
//     nearest that it can: no earlier than 1678 and no later than 2261 is always exact.
//   - A dedupe window begins with the run that takes the key, is over when its length has passed,
//     and is not prolonged by what it suppresses.
//   - The oldest run is the one that was admitted first.
//   - A run that could not go on is refused: without its documents, waiting without a time to
//     wake, over without a time of ending, in an unknown state or mode. A run that is over takes
//     no more entries: that is ErrOutOfOrder.
//   - A document has the digest that it is handed over with, where that begins with "sha256:".
//   - Nothing is shared between what was handed in, what is stored and what is handed out.
package journaltest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// Run checks all promises. open makes an empty journal that ends with the test. reopen closes a
// journal and opens it again; nil if the journal does not outlive the process.
func Run(t *testing.T, open func(t *testing.T) engine.Journal, reopen func(t *testing.T, j engine.Journal) engine.Journal) {
	groups := map[string]map[string]func(*testing.T, world){
		"Admit": admitting(), "Dedupe": deduping(), "Hold": holding(), "Append": appending(), "Ready": readying(),
		"Look": looking(), "Count": counting(), "End": ending(), "Values": values(), "Together": together(), "Clocks": clocking(), "Ask": asking(),
	}
	for group, tests := range groups {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			for name, test := range tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, world{Journal: open(t), t: t})
				})
			}
		})
	}
	t.Run("all of it is there after opening again", func(t *testing.T) {
		t.Parallel()
		if reopen == nil {
			t.Skip("this journal does not outlive the process")
		}
		survives(t, open, reopen)
	})
}

// world is a journal under test.
type world struct {
	engine.Journal
	t *testing.T
}

// start is the moment at which the tests take place.
func start() time.Time { return time.Date(2026, 11, 23, 9, 30, 0, 123456789, time.UTC) }

// at is so many seconds later.
func at(seconds int) time.Time { return start().Add(time.Duration(seconds) * time.Second) }

func source(playbook string) []byte { return []byte("name: " + playbook + "\n") }

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// event makes an event of an object of its own.
func event(id string) engine.Event {
	return engine.Event{
		ID: id, Tenant: "contoso", Source: "poll/alerts", Kind: "alert", Object: "alerts/" + id,
		Title: "Suspicious " + id, Occurred: at(-60), Seen: at(0), Payload: json.RawMessage(`{"id":"` + id + `"}`),
	}
}

// plan makes a run of a playbook for an event.
func plan(ev engine.Event, playbook string) engine.PlannedRun {
	return engine.PlannedRun{Run: engine.Run{
		ID: engine.NewRunID(playbook, ev.ID), Playbook: playbook, Digest: digest(source(playbook)), Semantics: 1,
		Event: ev.ID, Tenant: ev.Tenant, Object: ev.Object, Title: ev.Title, Mode: playbooks.Live,
		State: engine.Ready, Created: at(0),
	}}
}

// planned is an event with the runs that it starts.
func planned(ev engine.Event, runs ...engine.PlannedRun) engine.Planned {
	p := engine.Planned{Event: ev, Runs: runs}
	for _, r := range runs {
		p.Matches = append(p.Matches, engine.Match{
			Playbook: r.Run.Playbook, Digest: r.Run.Digest, Verdict: engine.Matched, Run: r.Run.ID,
		})
	}
	return p
}

// admission puts events together with the documents that their runs need.
func admission(events ...engine.Planned) engine.Admission {
	a := engine.Admission{Events: events, Documents: map[string][]byte{}}
	for _, p := range events {
		for _, r := range p.Runs {
			a.Documents[r.Run.Digest] = source(r.Run.Playbook)
		}
	}
	return a
}

func entry(seq int) engine.Entry {
	return engine.Entry{
		Seq: seq, Path: fmt.Sprintf("steps/%d:update", seq), Kind: engine.Intent, Attempt: 1, At: at(seq),
		Data: json.RawMessage(fmt.Sprintf(`{"n": %d}`, seq)),
	}
}

func write(r engine.Run, object string, when time.Time) engine.Write {
	return engine.Write{
		Tenant: r.Tenant, Playbook: r.Playbook, Run: r.ID, Path: "steps/0:update", At: when,
		Touch: actions.Touch{Object: object, Fields: map[string]any{"status": "resolved"}},
	}
}

func (w world) admit(a engine.Admission) engine.Receipt {
	w.t.Helper()
	r, err := w.Admit(w.t.Context(), a)
	if err != nil {
		w.t.Fatalf("admit: %v", err)
	}
	return r
}

// begin admits one event with one run.
func (w world) begin(id, playbook string, change ...func(*engine.PlannedRun)) engine.Run {
	w.t.Helper()
	ev := event(id)
	p := plan(ev, playbook)
	for _, c := range change {
		c(&p)
	}
	w.admit(admission(planned(ev, p)))
	return p.Run
}

func keyed(key string) func(*engine.PlannedRun) {
	return func(p *engine.PlannedRun) { p.Run.Key = key }
}

func waiting(until time.Time) func(*engine.PlannedRun) {
	return func(p *engine.PlannedRun) { p.Run.State, p.Run.Wake = engine.Waiting, until }
}

func (w world) append(a engine.Append) {
	w.t.Helper()
	if err := w.Append(w.t.Context(), a); err != nil {
		w.t.Fatal(err)
	}
}

func (w world) finish(r engine.Run) {
	w.t.Helper()
	w.append(engine.Append{Run: r.ID, State: engine.Succeeded, Ended: at(100)})
}

func (w world) load(id engine.RunID) engine.Loaded {
	w.t.Helper()
	l, err := w.Load(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// ready names the runs that have something to do.
func (w world) ready(now time.Time, limit int) []engine.RunID {
	w.t.Helper()
	runs, err := w.Ready(w.t.Context(), now, limit)
	if err != nil {
		w.t.Fatal(err)
	}
	ids := []engine.RunID{}
	for _, r := range runs {
		ids = append(ids, r.ID)
	}
	return ids
}

func (w world) nextWake() time.Time {
	w.t.Helper()
	next, err := w.NextWake(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return next
}

func (w world) knows(id string) bool {
	w.t.Helper()
	known, err := w.Known(w.t.Context(), []string{id})
	if err != nil {
		w.t.Fatal(err)
	}
	return known[id]
}

func (w world) position(source string) string {
	w.t.Helper()
	p, err := w.Position(w.t.Context(), source)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// decisions returns what was decided about an event.
func (w world) decisions(id string) []engine.Match {
	w.t.Helper()
	list, err := w.show(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// show asks for the decisions, if the journal lets us see them.
func (w world) show(id string) ([]engine.Match, error) {
	w.t.Helper()
	d, ok := w.Journal.(interface {
		Decisions(ctx context.Context, event string) ([]engine.Match, error)
	})
	if !ok {
		w.t.Skip("this journal does not show decisions")
	}
	return d.Decisions(w.t.Context(), id)
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}
