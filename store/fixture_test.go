package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// update makes the fixture of the newest schema anew. Those of released schemas are never made
// again: that files look as they did then is what they are for.
var update = flag.Bool("update", false, "write the fixture of the newest schema")

func moments(seconds int) time.Time {
	return time.Date(2026, 11, 23, 9, 0, 0, 987654321, time.UTC).Add(time.Duration(seconds) * time.Second)
}

func textOf(playbook string) []byte { return []byte("name: " + playbook + "\n") }

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// someEvent makes version v of an alert.
func someEvent(alert string, v int) engine.Event {
	return engine.Event{
		ID: fmt.Sprintf("contoso/alerts/%s/%d", alert, v), Tenant: "contoso", Source: "poll/alerts", Kind: "alert",
		Object: "alerts/" + alert, Title: "Alert " + alert, Occurred: moments(v), Seen: moments(v + 1),
		Payload: json.RawMessage(fmt.Sprintf(`{"id": %q, "v": %d}`, alert, v)),
	}
}

// someRun plans a ready run.
func someRun(ev engine.Event, playbook string) engine.PlannedRun {
	return engine.PlannedRun{Run: engine.Run{
		ID: engine.NewRunID(playbook, ev.ID), Playbook: playbook, Digest: digestOf(textOf(playbook)), Semantics: 1,
		Event: ev.ID, Tenant: ev.Tenant, Object: ev.Object, Title: ev.Title, Mode: playbooks.Live,
		State: engine.Ready, Created: ev.Seen,
	}}
}

// admissionOf puts an event and its runs together with their documents.
func admissionOf(ev engine.Event, runs ...engine.PlannedRun) engine.Admission {
	p := engine.Planned{Event: ev, Runs: runs}
	a := engine.Admission{Documents: map[string][]byte{}}
	for _, r := range runs {
		a.Documents[r.Run.Digest] = textOf(r.Run.Playbook)
		p.Matches = append(p.Matches, engine.Match{
			Playbook: r.Run.Playbook, Digest: r.Run.Digest, Verdict: engine.Matched, Run: r.Run.ID,
		})
	}
	a.Events = []engine.Planned{p}
	return a
}

func mustAdmit(t testing.TB, db *DB, a engine.Admission) engine.Receipt {
	t.Helper()
	r, err := db.Admit(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mustStart admits an event with one run.
func mustStart(t testing.TB, db *DB, alert string, v int, playbook string) engine.Run {
	t.Helper()
	p := someRun(someEvent(alert, v), playbook)
	mustAdmit(t, db, admissionOf(someEvent(alert, v), p))
	return p.Run
}

func mustAppend(t testing.TB, db *DB, a engine.Append) {
	t.Helper()
	if err := db.Append(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// story fills a database with one of everything.
func story(t *testing.T, db *DB) {
	t.Helper()
	for i, a := range []engine.Append{
		{State: engine.Ready}, {State: engine.Waiting, Wake: moments(500), Message: "for an answer"},
		{State: engine.Parked, Message: "uncertain"}, {State: engine.Succeeded, Ended: moments(60)},
		{State: engine.Failed, Ended: moments(61), Message: "no"}, {State: engine.Canceled, Ended: moments(62)},
	} {
		ev := someEvent(fmt.Sprint("a", i), 1)
		run := someRun(ev, "triage")
		vips := []byte(`["ann"]`)
		run.Run.Lists = map[string]string{"vips": digestOf(vips)}
		run.Run.Key, run.DedupeKey, run.DedupeWindow = fmt.Sprint("key", i), fmt.Sprint("dedupe", i), time.Hour
		run.Entries = []engine.Entry{{Seq: 1, Kind: engine.Began, At: moments(10), Data: json.RawMessage(`{"vars": {}}`)}}
		ad := admissionOf(ev, run)
		ad.Documents[digestOf(vips)] = vips
		ad.Cursor = &engine.Cursor{Source: "poll/alerts", From: position(i), Position: position(i + 1)}
		ad.Set = engine.PlaybookSet{Digest: "sha256:set", Members: []engine.SetMember{
			{Name: "triage", Digest: run.Run.Digest}, {Name: "nightly", Digest: "sha256:nightly"},
		}}
		mustAdmit(t, db, ad)
		a.Run = run.Run.ID
		a.Entries = []engine.Entry{{
			Seq: 2, Path: "steps/0:update", Kind: engine.Intent, Attempt: 1, At: moments(20),
			Data: json.RawMessage(`"` + strings.Repeat("x", (Inline+100)*(i%2)) + `"`),
		}}
		a.Writes = []engine.Write{{
			Tenant: ev.Tenant, Playbook: "triage", Run: a.Run, Path: "steps/0:update", At: moments(20),
			Touch: actions.Touch{Object: ev.Object, Fields: map[string]any{"status": "resolved"}, Comment: true},
		}}
		mustAppend(t, db, a)
	}
}

// screened adds what schema 4 brought: a decision that follows from a screen and facts.
func screened(t *testing.T, db *DB) {
	t.Helper()
	a := admissionOf(someEvent("s", 1), someRun(someEvent("s", 1), "triage"))
	gate := engine.Gate{Terms: []engine.GateTerm{{Text: `alert.v in [2, nil]`, Key: "alert.v", Values: engine.Constants{int64(2), nil}}}, When: "when"}
	a.Set = engine.PlaybookSet{Digest: "sha256:screened", Members: []engine.SetMember{
		{Name: "triage", Digest: digestOf(textOf("triage")), Screen: &engine.Screen{Gates: map[string]engine.Gate{"poll/alerts": {}}}},
		{Name: "picky", Digest: "sha256:picky", Screen: &engine.Screen{Gates: map[string]engine.Gate{"poll/alerts": gate}}},
	}}
	a.Events[0].Facts = &engine.Facts{At: moments(5), Values: map[string]engine.Constants{"alert.v": {int64(1)}}}
	mustAdmit(t, db, a)
}

// changed adds what schema 7 brought: a change, and what a limit counts.
func changed(t *testing.T, db *DB) {
	t.Helper()
	ev := someEvent("c", 1)
	ev.Changes = map[string]engine.Change{"status": {Old: json.RawMessage(`"new"`), New: json.RawMessage(`null`), By: "us"}}
	run := someRun(ev, "triage")
	run.Limit = engine.RunLimit{Rate: playbooks.Rate{Most: 1, Within: time.Hour}}
	mustAdmit(t, db, admissionOf(ev, run))
}

// clocked adds what schema 8 brought: a clock, and a stage of it.
func clocked(t *testing.T, db *DB) {
	t.Helper()
	stage := someEvent("k", 1)
	stage.ID, stage.Source = "contoso/sla/triage/breached/alerts/k", "sla/triage"
	stage.SLA = &engine.SLA{Stage: "breached", Target: "30m", Elapsed: "31m", Start: moments(-1800), Due: moments(0)}
	a := admissionOf(stage, someRun(stage, "triage"))
	a.Clocks = []engine.Clock{{Tenant: "contoso", Playbook: "triage", Object: "alerts/k", Revision: 1, Seen: moments(1), State: engine.ClockRunning,
		Start: moments(-1800), At: moments(-1800), Within: 30 * time.Minute, Next: "escalated", Due: moments(1800), Breach: moments(0),
		Marks: []engine.Mark{{Stage: "breached", At: moments(5), Fired: true}}}}
	mustAdmit(t, db, a)
}

// inquisitive adds what schema 9 brought: a decision that asked, and what asking leaves behind.
func inquisitive(t *testing.T, db *DB) {
	t.Helper()
	ev := someEvent("q", 1)
	run := someRun(ev, "triage")
	a := admissionOf(ev, run)
	p := &a.Events[0]
	p.Matches[0].Readings = []engine.Reading{{Name: "seen", By: "triage", Args: json.RawMessage(`["k",3600]`), Value: json.RawMessage("false")}}
	p.Sightings = []engine.Sighting{{Tenant: ev.Tenant, Playbook: "triage", Key: "k", Event: ev.ID, At: moments(2), Window: time.Hour}}
	p.Index = &engine.IndexedEvent{Tenant: ev.Tenant, Object: ev.Object, Seen: ev.Seen,
		Traits: []engine.Trait{{Kind: "alert", Field: "user", Value: "ann"}}, Loads: []engine.Load{{Tenant: ev.Tenant, Object: ev.Object, Who: "ann", At: ev.Seen}}}
	mustAdmit(t, db, a)
	mustAppend(t, db, engine.Append{Run: run.Run.ID, State: engine.Ready, Left: engine.Left{Puts: []engine.Put{{
		Tenant: ev.Tenant, Playbook: "triage", Key: "k", Value: json.RawMessage("1"), At: moments(3), Expires: moments(3600)}}}})
	if err := db.Index(t.Context(), engine.Indexed{Fields: []playbooks.HistoryField{{Kind: "alert", Field: "user"}}}); err != nil {
		t.Fatal(err)
	}
}

// answers is what a database answers to what asking left behind.
func answers(t *testing.T, r *Reader) string {
	t.Helper()
	seen, err1 := r.Seen(t.Context(), engine.Sighting{Tenant: "contoso", Playbook: "triage", Key: "k", Event: "other", At: moments(3), Window: time.Hour})
	state, err2 := r.State(t.Context(), engine.StateKey{Tenant: "contoso", Playbook: "triage", Key: "k"}, moments(4))
	objects, err3 := r.History(t.Context(), engine.HistoryQuery{Tenant: "contoso", Kind: "alert", From: moments(0), To: moments(9), Limit: 9,
		Where: []engine.HistoryTerm{{Field: "user", Values: []string{"ann"}}}})
	loads, err4 := r.Loads(t.Context(), "contoso", []string{"ann"})
	fields, err5 := r.Indexed(t.Context())
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(seen, string(state), objects, loads, fields)
}

func position(i int) string {
	if i == 0 {
		return ""
	}
	return fmt.Sprint("position ", i)
}

// told is all that a database tells about a story.
type told struct {
	Runs      []engine.Loaded
	Decisions [][]engine.Match
	Writes    [][]engine.Write
	Clocks    []engine.Clock
	Counts    map[engine.RunState]int
	Position  string
	Starts    int // that a limit counts
}

func tell(t *testing.T, r *Reader) told {
	t.Helper()
	var s told
	events, err := r.Events(t.Context(), EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events {
		decisions, err := r.Decisions(t.Context(), ev.ID)
		if err != nil {
			t.Fatal(err)
		}
		writes, err := r.Writes(t.Context(), ev.Tenant, ev.Object, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		s.Decisions, s.Writes = append(s.Decisions, decisions), append(s.Writes, writes)
	}
	runs, err := r.Runs(t.Context(), RunFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range runs {
		l, err := r.Load(t.Context(), run.ID)
		if err != nil {
			t.Fatal(err)
		}
		s.Runs = append(s.Runs, l)
	}
	if s.Clocks, err = r.Board(t.Context(), ClockFilter{All: true}); err != nil {
		t.Fatal(err)
	}
	if s.Counts, err = r.Counts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Starts, err = r.Uses(t.Context(), engine.Use{Tenant: "contoso", Playbook: "triage", Mode: playbooks.Live}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if s.Position, err = r.Position(t.Context(), "poll/alerts"); err != nil {
		t.Fatal(err)
	}
	return s
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesOfEveryReleasedSchemaAreReadUnchanged(t *testing.T) {
	known, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		path := filepath.Join(t.TempDir(), "made.db")
		db, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		story(t, db)
		screened(t, db)
		changed(t, db)
		clocked(t, db)
		inquisitive(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		copyFile(t, path, filepath.Join("testdata", fmt.Sprintf("v%d.db", len(known))))
	}
	fresh := newTest(t)
	story(t, fresh)
	want := tell(t, fresh.Reader)
	told := answers(t, fresh.Reader)
	for version := 1; version <= len(known); version++ {
		path := filepath.Join(t.TempDir(), "journal.db")
		copyFile(t, filepath.Join("testdata", fmt.Sprintf("v%d.db", version)), path)
		db := openTest(t, path)
		switch version {
		case 4:
			screened(t, fresh)
			want = tell(t, fresh.Reader)
		case 7:
			changed(t, fresh)
			want = tell(t, fresh.Reader)
		case 8:
			clocked(t, fresh)
			want = tell(t, fresh.Reader)
		case 9:
			inquisitive(t, fresh)
			want, told = tell(t, fresh.Reader), answers(t, fresh.Reader)
		}
		if diff := cmp.Diff(told, answers(t, db.Reader)); diff != "" {
			t.Errorf("schema %d answers (-now +file):\n%s", version, diff)
		}
		if diff := cmp.Diff(want, tell(t, db.Reader)); diff != "" {
			t.Errorf("schema %d (-now +file):\n%s", version, diff)
		}
		if err := db.CheckIntegrity(t.Context()); err != nil {
			t.Error(err)
		}
		mustStart(t, db, "new", 1, "triage") // and it can be gone on with
	}
}
