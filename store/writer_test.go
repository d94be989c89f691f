package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// occupy keeps the writer busy until the returned function is called.
func occupy(t *testing.T, db *DB) (release func()) {
	t.Helper()
	begun, gate, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- db.writer.write(context.Background(), func(*tx) error {
			close(begun)
			<-gate
			return nil
		})
	}()
	<-begun
	return func() {
		close(gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestThoseWhoWaitTogetherShareACommit(t *testing.T) {
	t.Parallel()
	// In a bubble it is certain who waits: everybody.
	synctest.Test(t, func(t *testing.T) {
		for _, crowd := range []int{1, MaxGroup - 1, MaxGroup, MaxGroup + 1, 2*MaxGroup + 1} {
			db := newTest(t)
			mustAdmit(t, db, engine.Admission{}) // so that nothing is left to prepare
			before := db.Stats()
			release := occupy(t, db)
			var wg sync.WaitGroup
			for i := range crowd {
				wg.Go(func() {
					ev := someEvent(fmt.Sprint("a", i), 1)
					if _, err := db.Admit(context.Background(), admissionOf(ev, someRun(ev, "triage"))); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			release()
			wg.Wait()
			after := db.Stats()
			groups := int64((crowd + MaxGroup - 1) / MaxGroup)
			if got := after.Commits - before.Commits - 1; got != groups {
				t.Errorf("%d writes: %d commits, want %d", crowd, got, groups)
			}
			if after.Largest != min(crowd, MaxGroup) || after.Works-before.Works != int64(crowd+1) {
				t.Errorf("%d writes: %+v", crowd, after)
			}
			counts, err := db.Counts(context.Background())
			if err != nil || counts[engine.Ready] != crowd {
				t.Errorf("%v, %v", counts, err)
			}
		}
	})
}

func TestCommitsAreFewerThanAppendsWhenManyAppend(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	var wg sync.WaitGroup
	for i := range 32 {
		run := mustStart(t, db, fmt.Sprint("a", i), 1, "triage")
		wg.Go(func() {
			for seq := 1; seq <= 20; seq++ {
				a := engine.Append{Run: run.ID, State: engine.Ready, Entries: []engine.Entry{{Seq: seq, Kind: engine.Intent}}}
				if err := db.Append(t.Context(), a); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := db.Stats()
	if s.Works != 32+32*20 || s.Commits >= s.Works/2 || s.Largest < 2 {
		t.Errorf("%+v", s)
	}
}

func TestAWriteThatFailsLeavesThoseOfItsGroupAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newTest(t)
		release := occupy(t, db)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				ev := someEvent(fmt.Sprint("a", i), 1)
				a := admissionOf(ev, someRun(ev, "triage"))
				if i%2 == 1 { // fails after the event and half of its rows were written
					a = admissionOf(ev, someRun(ev, "triage"), someRun(ev, "triage"))
					a.Set = engine.PlaybookSet{Digest: fmt.Sprint("set", i)}
				}
				if _, err := db.Admit(context.Background(), a); (err != nil) != (i%2 == 1) {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		synctest.Wait()
		release()
		wg.Wait()
		for i := range 20 {
			known, err := db.Known(context.Background(), []string{someEvent(fmt.Sprint("a", i), 1).ID})
			if err != nil || (len(known) == 1) != (i%2 == 0) {
				t.Errorf("%d: %v, %v", i, known, err)
			}
		}
		if s := db.Stats(); s.Commits != 2 || s.Failed != 10 {
			t.Errorf("%+v", s)
		}
		// What those that failed had learnt is forgotten: their set is stored now.
		a := admissionOf(someEvent("b", 1))
		a.Set = engine.PlaybookSet{Digest: "set1", Members: []engine.SetMember{{Name: "x"}}}
		mustAdmit(t, db, a)
		list, err := db.Decisions(context.Background(), someEvent("b", 1).ID)
		if err != nil || len(list) != 1 {
			t.Errorf("%v, %v", list, err)
		}
		if err := db.CheckIntegrity(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestACommitThatFailsFailsTheWholeGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newTest(t)
		release := occupy(t, db)
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				err := db.writer.write(context.Background(), func(tx *tx) error {
					if _, err := tx.exec(sqlMove, fmt.Sprint("s", i), "p"); err != nil {
						return err
					}
					if i == 3 { // as SQLite does by itself when an I/O error leaves it no choice
						if _, err := tx.exec(sqlRollback); err != nil {
							return err
						}
						return errors.New("the disk is on fire")
					}
					return nil
				})
				if err == nil || !strings.Contains(err.Error(), "on fire") && i > 3 {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		synctest.Wait()
		release()
		wg.Wait()
		for i := range 5 {
			if p, err := db.Position(context.Background(), fmt.Sprint("s", i)); p != "" || err != nil {
				t.Errorf("%d: %q, %v", i, p, err)
			}
		}
		mustStart(t, db, "a", 1, "triage") // and the writer goes on
	})
}

func TestACallerCanGiveUpBeforeItsTurnAndIsToldTheTruthAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newTest(t)
		release := occupy(t, db)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		run := func(alert string) engine.Admission {
			ev := someEvent(alert, 1)
			return admissionOf(ev, someRun(ev, "triage"))
		}
		if _, err := db.Admit(ctx, run("waits")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		release()
		known, err := db.Known(context.Background(), []string{someEvent("waits", 1).ID})
		if err != nil || len(known) != 0 {
			t.Errorf("somebody gave up and it happened all the same: %v, %v", known, err)
		}
		// Its turn has come: giving up now changes nothing.
		ctx, cancel = context.WithCancel(context.Background())
		err = db.writer.write(ctx, func(tx *tx) error {
			cancel()
			_, err := tx.exec(sqlMove, "s", "p")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := db.Position(context.Background(), "s"); p != "p" || err != nil {
			t.Errorf("%q, %v", p, err)
		}
	})
}

func TestWhoWaitsWhenTheDatabaseIsClosedIsToldSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newTest(t)
		release := occupy(t, db)
		waits := make(chan error, 1)
		go func() {
			_, err := db.Admit(context.Background(), engine.Admission{})
			waits <- err
		}()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- db.Close() }()
		synctest.Wait()
		release()
		if err := <-waits; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if _, err := db.Ready(context.Background(), moments(0), 1); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

func TestAFullDiskIsToldLeavesNothingHalfWrittenAndIsSurvived(t *testing.T) {
	t.Parallel()
	const limit = 120
	db := newTest(t, Options{maxPages: limit})
	run := mustStart(t, db, "first", 1, "triage")
	large := json.RawMessage(`"` + strings.Repeat("x", 60<<10) + `"`)
	stored := 0
	var err error
	for i := 1; i < 100 && err == nil; i++ {
		ev := someEvent(fmt.Sprint("a", i), 1)
		ev.Payload = large
		a := admissionOf(ev, someRun(ev, "triage"))
		a.Cursor = &engine.Cursor{Source: "s", From: position(i - 1), Position: position(i)}
		if _, err = db.Admit(t.Context(), a); err == nil {
			stored = i
		}
	}
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "make room") {
		t.Fatal(err)
	}
	err = db.Append(t.Context(), engine.Append{
		Run: run.ID, State: engine.Parked, Entries: []engine.Entry{{Seq: 1, Kind: engine.Outcome, Data: large}},
	})
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if p, err := db.Position(t.Context(), "s"); p != position(stored) || err != nil {
		t.Errorf("position %q, %v; %d events", p, err, stored)
	}
	counts, err := db.Counts(t.Context())
	if err != nil || counts[engine.Ready] != stored+1 {
		t.Errorf("%v, %v; %d events", counts, err, stored)
	}
	l, err := db.Load(t.Context(), run.ID)
	if err != nil || len(l.Entries) != 0 || l.Run.State != engine.Ready {
		t.Errorf("%+v, %v", l, err)
	}
	if err := db.CheckIntegrity(t.Context()); err != nil {
		t.Error(err)
	}
	if s := db.Stats(); !errors.Is(s.Trouble, ErrFull) || !strings.Contains(s.Trouble.Error(), "make room") {
		t.Errorf("the trouble is %v", s.Trouble)
	}
	// Room is made.
	err = db.writer.write(t.Context(), func(tx *tx) error {
		_, err := tx.get(fmt.Sprintf("PRAGMA max_page_count = %d", 10*limit), nil, new(int))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, engine.Append{
		Run: run.ID, State: engine.Parked, Entries: []engine.Entry{{Seq: 1, Kind: engine.Outcome, Data: large}},
	})
	if s := db.Stats(); s.Trouble != nil || s.LastCommit.IsZero() || s.Took.Count() != uint64(s.Commits+s.Aborted) {
		t.Errorf("after there is room: %+v", s)
	}
}

func TestWhatDoesNotFitTheJournalIsNoTroubleOfTheDisk(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	a := engine.Admission{Cursor: &engine.Cursor{Source: "s", From: "elsewhere", Position: "1"}}
	if _, err := db.Admit(t.Context(), a); !errors.Is(err, engine.ErrCursorMoved) {
		t.Fatal(err)
	}
	if s := db.Stats(); s.Trouble != nil || s.Failed != 1 {
		t.Errorf("trouble %v, %d failed", s.Trouble, s.Failed)
	}
}

func TestGroupsAreCountedBySize(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 64: 6, 65: 7, 128: 7, 1000: 7} {
		if got := bucket(size, 8); got != want {
			t.Errorf("%d: %d, want %d", size, got, want)
		}
	}
}
