package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// end lets a run succeed.
func end(t *testing.T, db *DB, run engine.Run, when time.Time) {
	t.Helper()
	mustAppend(t, db, engine.Append{Run: run.ID, State: engine.Succeeded, Ended: when, Entries: []engine.Entry{
		{Seq: 1, Kind: engine.Ended, At: when, Data: json.RawMessage(`"` + strings.Repeat("x", Inline) + `"`)},
	}})
}

func prune(t *testing.T, db *DB, before time.Time, limit int) Pruned {
	t.Helper()
	p, err := db.Prune(t.Context(), before, limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.CheckIntegrity(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRetentionDeletesAllOfOldRunsAndNothingElse(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	old := mustStart(t, db, "a", 1, "triage")
	end(t, db, old, moments(100))
	late := mustStart(t, db, "b", 1, "triage")
	end(t, db, late, moments(200))
	open := mustStart(t, db, "c", 1, "triage")
	for v := 2; v < 4; v++ { // so that none of those above is the latest of its object
		for _, alert := range []string{"a", "b", "c"} {
			ev := someEvent(alert, v)
			ev.Seen = moments(500)
			ev.Payload = json.RawMessage(strings.Repeat(" ", Inline) + "1")
			mustAdmit(t, db, admissionOf(ev))
		}
	}
	got := prune(t, db, moments(200), 1000) // late ended at that very moment, not before it
	if diff := cmp.Diff(Pruned{Runs: 1, Events: 1}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := db.Load(t.Context(), old.ID); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
	for _, run := range []engine.Run{late, open} {
		if _, err := db.Load(t.Context(), run.ID); err != nil {
			t.Error(err)
		}
	}
	got = prune(t, db, moments(501), 1000)
	if diff := cmp.Diff(Pruned{Runs: 1, Events: 4}, got); diff != "" {
		t.Error(diff)
	}
	for table, want := range map[string]int{
		"runs": 1, "history": 0, "blobs": 3, "events": 4, "matches": 1, "writes": 0, "documents": 1,
	} {
		if n := count(t, db, table); n != want {
			t.Errorf("%d rows of %s, want %d", n, table, want)
		}
	}
	if diff := cmp.Diff(Pruned{}, prune(t, db, moments(501), 1000)); diff != "" {
		t.Error(diff)
	}
}

func TestRetentionKeepsWhatUnfinishedRunsNeedForEver(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	for i, a := range []engine.Append{
		{State: engine.Ready}, {State: engine.Waiting, Wake: moments(1)}, {State: engine.Parked},
	} {
		a.Run = mustStart(t, db, "a", i, "triage").ID
		a.Entries = []engine.Entry{{Seq: 1, Kind: engine.Began}}
		mustAppend(t, db, a)
	}
	before := tell(t, db.Reader)
	got := prune(t, db, moments(0).Add(100*ObjectMemory/10), 1000)
	if diff := cmp.Diff(Pruned{}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, tell(t, db.Reader)); diff != "" {
		t.Error(diff)
	}
}

func TestTheLatestEventOfAnObjectIsKeptLongerSoThatItIsNotNewAgain(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	mustAdmit(t, db, admissionOf(someEvent("a", 1)))
	mustAdmit(t, db, admissionOf(someEvent("a", 2)))
	none := someEvent("b", 1)
	none.Object = ""
	mustAdmit(t, db, admissionOf(none))
	seen := someEvent("a", 2).Seen
	if got := prune(t, db, seen.Add(ObjectMemory), 1000); got.Events != 2 {
		t.Errorf("%+v", got)
	}
	if ev, err := db.Latest(t.Context(), "contoso", "alerts/a"); err != nil || ev.ID != someEvent("a", 2).ID {
		t.Errorf("%+v, %v", ev, err)
	}
	if got := prune(t, db, seen.Add(ObjectMemory+1), 1000); got.Events != 1 {
		t.Errorf("%+v", got)
	}
	if n := count(t, db, "events"); n != 0 {
		t.Errorf("%d events", n)
	}
}

func TestClocksAreKeptAsLongAsAnyEventOfTheirObject(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	for _, alert := range []string{"a", "b"} {
		c := engine.Clock{Tenant: "contoso", Playbook: "triage", Object: "alerts/" + alert, Revision: 1, Seen: moments(1), State: engine.ClockStopped}
		a := admissionOf(someEvent(alert, 1))
		a.Events[0].Clocks = []engine.Clock{c}
		mustAdmit(t, db, a)
	}
	later := someEvent("b", 2)
	later.Seen = moments(1000)
	mustAdmit(t, db, admissionOf(later))
	stage := someEvent("b", 3)
	stage.ID, stage.Source, stage.SLA = "contoso/sla/triage/breached/alerts/b", "sla/triage", &engine.SLA{Stage: "breached"}
	mustAdmit(t, db, admissionOf(stage))
	if p := prune(t, db, moments(500), 1000); p.Clocks != 0 || p.Events != 2 { // the older version of b, and the stage
		t.Errorf("%+v", p)
	}
	if p := prune(t, db, moments(500).Add(ObjectMemory), 1000); p.Clocks != 1 || p.Events != 1 {
		t.Errorf("after the memory for objects is over: %+v", p)
	}
	if left, err := db.Clocks(t.Context(), "contoso", "alerts/b"); err != nil || len(left) != 1 {
		t.Errorf("clocks of b: %+v, %v", left, err)
	}
}

func TestRetentionDeletesNoMoreThanItWasToldAndGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	const runs = 2*PruneBatch + 7
	for i := range runs {
		end(t, db, mustStart(t, db, fmt.Sprint("a", i%3), i, "triage"), moments(i))
	}
	total := Pruned{}
	for limit := range 1000 {
		got := prune(t, db, moments(5000), 10*limit)
		if got.Runs > 10*limit || got.Events > 10*limit {
			t.Errorf("limit %d: %+v", 10*limit, got)
		}
		total.Runs += got.Runs
		total.Events += got.Events
		if limit > 0 && got == (Pruned{}) {
			break
		}
	}
	if total.Runs != runs || total.Events != runs-3 {
		t.Errorf("%+v", total)
	}
	counts, err := db.Counts(t.Context())
	if err != nil || counts[engine.Succeeded] != 0 {
		t.Errorf("%v, %v", counts, err)
	}
}

func TestADedupeKeyOutlivesItsRunUntilItsWindowIsOver(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	first := someRun(someEvent("a", 0), "triage")
	first.DedupeKey, first.DedupeWindow = "k", time.Hour
	mustAdmit(t, db, admissionOf(someEvent("a", 0), first))
	end(t, db, first.Run, moments(10))
	until := first.Run.Created.Add(time.Hour)
	if got := prune(t, db, until, 1000); got.Runs != 1 || got.Dedupe != 0 {
		t.Errorf("%+v", got)
	}
	second := someRun(someEvent("a", 1), "triage")
	second.DedupeKey, second.DedupeWindow, second.Run.Created = "k", time.Hour, until.Add(-1)
	if r := mustAdmit(t, db, admissionOf(someEvent("a", 1), second)); r.Matched != 0 {
		t.Errorf("%+v", r)
	}
	if got := prune(t, db, until.Add(1), 1000); got.Dedupe != 1 {
		t.Errorf("%+v", got)
	}
}

// A version that came late is admitted last, and is not what the next one is compared with.
func TestTheNewestVersionOfAnObjectIsKeptLongerToo(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	newest, late, pushed := someEvent("a", 5), someEvent("a", 1), someEvent("a", 2)
	pushed.Source, pushed.ID = "webhook/edr", "contoso/webhook/edr/1"
	older, last := someEvent("a", 3), someEvent("a", 4)
	last.Source, last.ID = "webhook/siem", "contoso/webhook/siem/1"
	for _, ev := range []engine.Event{older, newest, pushed, late, last} {
		mustAdmit(t, db, admissionOf(ev))
	}
	if got := prune(t, db, moments(1000), 1000); got.Events != 2 {
		t.Errorf("%+v, want the older and the late one", got)
	}
	for source, want := range map[string]engine.Event{"poll/alerts": newest, "webhook/edr": pushed, "webhook/siem": last} {
		if ev, err := db.Newest(t.Context(), "contoso", "alerts/a", source); err != nil || ev.ID != want.ID {
			t.Errorf("%s: %+v, %v", source, ev, err)
		}
	}
}

func TestWhatSomebodyBroughtByHandIsNoVersionToCompareWith(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	byHand, version := someEvent("a", 1), someEvent("a", 2)
	byHand.ID, byHand.Source, byHand.By = "contoso/manual/triage/1", "manual/triage", "ann"
	for _, ev := range []engine.Event{byHand, version} {
		mustAdmit(t, db, admissionOf(ev))
	}
	if got := prune(t, db, moments(1000), 1000); got.Events != 1 || count(t, db, "events") != 1 {
		t.Errorf("%+v, and %d events are left: want the version alone", got, count(t, db, "events"))
	}
}

func TestWhatALimitCountsOutlivesItsRunAsLongAsAnyLimitReachesBack(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	first := someRun(someEvent("a", 0), "triage")
	first.Limit = engine.RunLimit{Rate: playbooks.Rate{Most: 5, Within: time.Hour}}
	mustAdmit(t, db, admissionOf(someEvent("a", 0), first))
	end(t, db, first.Run, moments(10))
	gone := first.Run.Created.Add(playbooks.MaxRateWindow)
	if got := prune(t, db, gone, 1000); got.Runs != 1 || got.Uses != 0 {
		t.Errorf("%+v", got)
	}
	use, _ := first.Start()
	if n, err := db.Uses(t.Context(), use, first.Run.Created.Add(-1)); n != 1 || err != nil {
		t.Errorf("%d uses, %v", n, err)
	}
	if got := prune(t, db, gone.Add(1), 1000); got.Uses != 1 {
		t.Errorf("%+v", got)
	}
}

func TestDocumentsAndSetsThatNobodyNeedsAreDeletedButNotWhatWasHandedOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	db := openTest(t, path)
	for i := range 2 {
		p := someRun(someEvent("a", i), fmt.Sprint("p", i))
		a := admissionOf(someEvent("a", i), p)
		a.Set = engine.PlaybookSet{Digest: fmt.Sprint("set", i)}
		mustAdmit(t, db, a)
		end(t, db, p.Run, moments(10))
	}
	got := prune(t, db, moments(5000), 1000)
	if got.Documents != 0 || got.Sets != 1 {
		t.Errorf("%+v", got)
	}
	// Who handed a document over counts on it, and who used a set before may use it again.
	again := someRun(someEvent("a", 7), "p0")
	a := admissionOf(someEvent("a", 7), again)
	a.Documents, a.Set = nil, engine.PlaybookSet{Digest: "set0", Members: []engine.SetMember{{Name: "x"}}}
	mustAdmit(t, db, a)
	if list, err := db.Decisions(t.Context(), someEvent("a", 7).ID); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openTest(t, path)
	if got := prune(t, db, moments(5000), 1000); got.Documents != 1 {
		t.Errorf("after opening again: %+v", got)
	}
	if l, err := db.Load(t.Context(), again.Run.ID); err != nil || string(l.Source) != string(textOf("p0")) {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestABackupIsACompleteDatabaseMadeWhileTheOtherIsInUse(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	story(t, db)
	want := tell(t, db.Reader)
	path := filepath.Join(t.TempDir(), "it's a copy.db")
	if err := db.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	mustStart(t, db, "later", 1, "triage")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	if diff := cmp.Diff(want, tell(t, openTest(t, path).Reader)); diff != "" {
		t.Error(diff)
	}
}

func TestABackupReplacesNoFileAndLeavesNoHalfOne(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	story(t, db)
	dir := t.TempDir()
	path := filepath.Join(dir, "copy.db")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := db.Backup(t.Context(), path)
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "another name") {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
	if err := db.Backup(t.Context(), filepath.Join(dir, "none", "copy.db")); err == nil {
		t.Error("a backup in a directory that is not there")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}

func TestWhatWasLeftForQuestionsGoesWhenItAnswersNothingAnyMore(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	inquisitive(t, db) // a mark until 3602, a value until 3600, a trait since 2
	for _, c := range []struct {
		before int
		want   string
	}{{0, "true 1 [alerts/q]"}, {3, "true 1 []"}, {3601, "true  []"}, {3603, "false  []"}} {
		prune(t, db, moments(c.before), 1000)
		seen, err1 := db.Seen(t.Context(), engine.Sighting{Tenant: "contoso", Playbook: "triage", Key: "k", Event: "other", At: moments(3), Window: time.Hour})
		state, err2 := db.State(t.Context(), engine.StateKey{Tenant: "contoso", Playbook: "triage", Key: "k"}, moments(4))
		objects, err3 := db.History(t.Context(), engine.HistoryQuery{Tenant: "contoso", Kind: "alert", From: moments(0), To: moments(9), Limit: 9,
			Where: []engine.HistoryTerm{{Field: "user", Values: []string{"ann"}}}})
		if got := fmt.Sprint(seen, " ", string(state), " ", objects); got != c.want || errors.Join(err1, err2, err3) != nil {
			t.Errorf("after retention to %d: %s, want %s (%v)", c.before, got, c.want, errors.Join(err1, err2, err3))
		}
	}
}

// An event may leave a hundred values in the index behind, and the daemon calls Prune with a limit for runs and events.
func TestRetentionLeavesNothingBehindOfWhatAnEventMayLeaveManyOf(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	x := engine.IndexedEvent{Tenant: "contoso", Object: "alerts/a", Seen: moments(1)}
	for i := range 2*PruneBatch + 7 {
		x.Traits = append(x.Traits, engine.Trait{Kind: "alert", Field: "ip", Value: fmt.Sprint(i)})
	}
	if err := db.Index(t.Context(), engine.Indexed{Events: []engine.IndexedEvent{x}}); err != nil {
		t.Fatal(err)
	}
	prune(t, db, moments(2), 1)
	if n := count(t, db, "traits"); n != 0 {
		t.Errorf("%d values of an event that is beyond the retention are still in the index", n)
	}
}

func TestValuesThatHaveExpiredDoNotPileUp(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	run := mustStart(t, db, "a", 1, "triage")
	for i := range 50 {
		mustAppend(t, db, engine.Append{Run: run.ID, State: engine.Ready, Left: engine.Left{Puts: []engine.Put{{
			Tenant: "contoso", Playbook: "triage", Key: fmt.Sprint(i), Value: json.RawMessage("1"), At: moments(100 * i), Expires: moments(100*i + 1)}}}})
	}
	var n int
	err := db.look(t.Context(), func(v *view) error {
		_, err := v.get("SELECT count(*) FROM kept", nil, &n)
		return err
	})
	if err != nil || n != 1 {
		t.Errorf("%d values are stored, of which one has not expired; %v", n, err)
	}
}
