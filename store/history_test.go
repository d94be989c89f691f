package store

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/engine"
)

func TestEntriesOfOneWriteComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	entries := []engine.Entry{
		{Seq: 7, Path: `steps/0[1]/do/0:up"date\`, Kind: engine.Intent, Attempt: 2, At: moments(3), Data: json.RawMessage(`{"a":"ä"}`)},
		{Seq: 8, Kind: "\xff\n", At: time.Time{}},
		{Seq: 9, Path: "x", Kind: engine.Ended, At: moments(4), Data: json.RawMessage(`{}`)},
	}
	var p packed
	p.pack(entries)
	got, err := p.unpack(nil, 7)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(entries, got); diff != "" {
		t.Errorf("-stored +read:\n%s", diff)
	}
}

func TestHistoryThatDoesNotAddUpIsDamage(t *testing.T) {
	t.Parallel()
	for _, p := range [][3]string{
		{``}, {`{}`}, {`[[]]`}, {`[null]`}, {`[["a"]]`}, {`[[1,1,1,2]]`, `ab`}, {`[[1,1,1,2,3,4]]`, `ab`, `xyz`},
		{`[[1,1,1,2,3]]`, `ab`, `xy`}, {`[[1,1,1,2,1]]`, `ab`, `xy`}, {`[[1,1,1,2,-1]]`, `ab`, `xy`}, {`[[2,1,1,2,0]]`, `ab`},
		{`[[1,1,1,2,0]]`, `abc`}, {`[[-1,1,1,2,0]]`, `a`}, {`[[1,1,1,2,9223372036854775807]]`, `ab`, `x`}, {`[[1,1,1,2,9223372036854775808]]`, `ab`, `x`},
	} {
		list, err := packed{[]byte(p[0]), []byte(p[1]), []byte(p[2])}.unpack(nil, 1)
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v, %v", p, list, err)
		}
	}
}

// A group whose writes all succeed is not isolated from each other; one that fails must still be
// undone alone, and what the group counted before must not count twice.
func TestCountsStayTrueWhenAGroupIsRunAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newTest(t)
		release := occupy(t, db)
		results := make(chan error, 6)
		for i := range 6 {
			go func() {
				ev := someEvent(string(rune('a'+i)), 1)
				a := admissionOf(ev, someRun(ev, "triage"))
				if i == 3 {
					a.Cursor = &engine.Cursor{Source: "s", From: "elsewhere", Position: "x"}
				}
				_, err := db.Admit(context.Background(), a)
				results <- err
			}()
		}
		synctest.Wait()
		release()
		failed := 0
		for range 6 {
			if err := <-results; err != nil {
				failed++
			}
		}
		counts, err := db.Counts(context.Background())
		if err != nil || failed != 1 || counts[engine.Ready] != 5 {
			t.Errorf("%d failed, %v, %v", failed, counts, err)
		}
		if err := db.CheckIntegrity(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
