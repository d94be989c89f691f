package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/memory"
	"github.com/playbookd/playbookd/playbooks"
)

// The database and the journal in memory were written apart. Whatever is done to both, they must
// say the same.
func TestTheDatabaseSaysWhatTheJournalInMemorySays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		db, err := Open(t.Context(), filepath.Join(dir, fmt.Sprint(round, ".db")), Options{Readers: 1})
		if err != nil {
			rt.Fatal(err)
		}
		defer db.Close()
		m := &twins{db: db, memory: memory.New(), ctx: t.Context(), seqs: map[engine.RunID]int{}}
		rt.Repeat(map[string]func(*rapid.T){"admit": m.admit, "append": m.append, "": m.compare})
	})
}

type twins struct {
	db     *DB
	memory *memory.Journal
	ctx    context.Context
	runs   []engine.RunID
	seqs   map[engine.RunID]int
	now    int
	latest int
}

// clock is the latest moment so far: what has expired once may be gone when clocks go back, and need not.
func (m *twins) clock() int {
	m.latest = max(m.latest, m.now)
	return m.latest
}

// kind reduces an error to what callers can tell apart.
func kind(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, engine.ErrNotFound):
		return "not found"
	case errors.Is(err, engine.ErrOutOfOrder):
		return "out of order"
	case errors.Is(err, engine.ErrCursorMoved):
		return "cursor moved"
	case errors.Is(err, engine.ErrMoved):
		return "moved"
	}
	return "other"
}

func same(t *rapid.T, what string, a, b any, errA, errB error) {
	t.Helper()
	if kind(errA) != kind(errB) {
		t.Fatalf("%s: database %v, memory %v", what, errA, errB)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Fatalf("%s (-database +memory):\n%s", what, diff)
	}
}

func (m *twins) admit(t *rapid.T) {
	m.now += rapid.IntRange(-2, 20).Draw(t, "passed")
	a := engine.Admission{Documents: map[string][]byte{}, Set: engine.PlaybookSet{
		Digest: "s", Members: []engine.SetMember{{Name: "p", Digest: digestOf(textOf("p"))}, {Name: "idle", Digest: "d"}},
	}}
	for range rapid.IntRange(0, 3).Draw(t, "events") {
		ev := someEvent(fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "alert")), rapid.IntRange(0, 20).Draw(t, "version"))
		var runs []engine.PlannedRun
		for _, playbook := range []string{"p", "q"} {
			if rapid.Bool().Draw(t, "matches "+playbook) {
				runs = append(runs, m.plan(t, ev, playbook))
			}
		}
		one := admissionOf(ev, runs...)
		a.Events = append(a.Events, one.Events...)
		for digest, content := range one.Documents {
			if rapid.IntRange(0, 9).Draw(t, "forgets the document") > 0 {
				a.Documents[digest] = content
			}
		}
	}
	if rapid.Bool().Draw(t, "moves") {
		a.Cursor = &engine.Cursor{Source: "s", From: rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "from"),
			Position: rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "to")}
	}
	ra, errA := m.db.Admit(m.ctx, a)
	rb, errB := m.memory.Admit(m.ctx, a)
	same(t, "admit", ra, rb, errA, errB)
	m.runs = append(m.runs, ra.Started...)
}

func (m *twins) plan(t *rapid.T, ev engine.Event, playbook string) engine.PlannedRun {
	p := someRun(ev, playbook)
	p.Run.Created = moments(m.now)
	p.Run.Key = rapid.SampledFrom([]string{"", "k", "l"}).Draw(t, "key")
	p.DedupeKey = rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "dedupe")
	p.DedupeWindow = time.Duration(rapid.IntRange(0, 40).Draw(t, "window")) * time.Second
	p.Limit = engine.RunLimit{Rate: playbooks.Rate{Most: rapid.IntRange(0, 3).Draw(t, "limit"), Within: 20 * time.Second}}
	p.Limit.Instead = rapid.SampledFrom([]string{"", "", "noted"}).Draw(t, "instead")
	p.Run.State, p.Run.Wake, p.Run.Ended = m.state(t)
	return p
}

// state chooses where a run stands, sometimes where it can't.
func (m *twins) state(t *rapid.T) (s engine.RunState, wake, ended time.Time) {
	s = rapid.SampledFrom([]engine.RunState{
		engine.Ready, engine.Waiting, engine.Parked, engine.Succeeded, engine.Canceled, engine.Ready, engine.Waiting,
	}).Draw(t, "state")
	correct := rapid.IntRange(0, 9).Draw(t, "wrong") > 0
	if (s == engine.Waiting) == correct {
		wake = moments(m.now + rapid.IntRange(-5, 30).Draw(t, "wake"))
	}
	if s.Final() == correct {
		ended = moments(m.now)
	}
	return s, wake, ended
}

func (m *twins) append(t *rapid.T) {
	if len(m.runs) == 0 {
		t.Skip("no runs")
	}
	a := engine.Append{Run: rapid.SampledFrom(append(m.runs, "rnone")).Draw(t, "run")}
	a.State, a.Wake, a.Ended = m.state(t)
	first := m.seqs[a.Run] + rapid.SampledFrom([]int{1, 1, 1, 1, 0, 2}).Draw(t, "step")
	for i := range rapid.IntRange(0, 2).Draw(t, "entries") {
		a.Entries = append(a.Entries, engine.Entry{Seq: first + i, Kind: engine.Intent, At: moments(m.now)})
	}
	if rapid.Bool().Draw(t, "writes") {
		a.Writes = []engine.Write{{Tenant: "contoso", Playbook: "p", Run: a.Run, At: moments(m.now)}}
		a.Writes[0].Object = "alerts/0"
	}
	a.Left = m.left(t)
	errA, errB := m.db.Append(m.ctx, a), m.memory.Append(m.ctx, a)
	same(t, "append", nil, nil, errA, errB)
	if errA == nil {
		m.seqs[a.Run] += len(a.Entries)
	}
}

// left is what a decision leaves behind: sometimes by answers that are not true any more.
func (m *twins) left(t *rapid.T) (l engine.Left) {
	for range rapid.IntRange(0, 2).Draw(t, "marks") {
		mark := m.mark(t)
		mark.Seen = rapid.Bool().Draw(t, "seen")
		l.Sightings = append(l.Sightings, mark)
	}
	for range rapid.IntRange(0, 2).Draw(t, "puts") {
		p := engine.Put{Tenant: "contoso", Playbook: "p", Key: m.key(t), At: moments(m.clock()), Expires: moments(m.clock() + rapid.IntRange(0, 20).Draw(t, "for"))}
		p.Value = rapid.SampledFrom([]json.RawMessage{nil, json.RawMessage("1"), json.RawMessage("2")}).Draw(t, "value")
		if p.Read = rapid.IntRange(0, 3).Draw(t, "read") == 0; p.Read {
			p.Was = rapid.SampledFrom([]json.RawMessage{nil, json.RawMessage("1")}).Draw(t, "was")
		}
		l.Puts = append(l.Puts, p)
	}
	return l
}

func (m *twins) key(t *rapid.T) string { return rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key") }

func (m *twins) mark(t *rapid.T) engine.Sighting {
	return engine.Sighting{Tenant: "contoso", Playbook: "p", Key: m.key(t), Event: fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "event")),
		At: moments(m.now + rapid.IntRange(-3, 0).Draw(t, "asked")), Window: time.Duration(rapid.IntRange(1, 20).Draw(t, "within")) * time.Second}
}

func (m *twins) compare(t *rapid.T) {
	limit := rapid.IntRange(0, 5).Draw(t, "limit")
	ra, errA := m.db.Ready(m.ctx, moments(m.now), limit)
	rb, errB := m.memory.Ready(m.ctx, moments(m.now), limit)
	same(t, "ready", ra, rb, errA, errB)
	wa, errA := m.db.NextWake(m.ctx)
	wb, errB := m.memory.NextWake(m.ctx)
	same(t, "next wake", wa, wb, errA, errB)
	pa, errA := m.db.Position(m.ctx, "s")
	pb, errB := m.memory.Position(m.ctx, "s")
	same(t, "position", pa, pb, errA, errB)
	na, errA := m.db.Newest(m.ctx, "contoso", "alerts/0", "poll/alerts")
	nb, errB := m.memory.Newest(m.ctx, "contoso", "alerts/0", "poll/alerts")
	same(t, "newest", na, nb, errA, errB)
	start := engine.Use{Tenant: "contoso", Playbook: "p", Mode: playbooks.Live}
	ua, errA := m.db.Uses(m.ctx, start, moments(m.now-15))
	ub, errB := m.memory.Uses(m.ctx, start, moments(m.now-15))
	same(t, "uses", ua, ub, errA, errB)
	la, errA := m.db.Latest(m.ctx, "contoso", "alerts/0")
	lb, errB := m.memory.Latest(m.ctx, "contoso", "alerts/0")
	same(t, "latest", la, lb, errA, errB)
	if errA == nil {
		da, errA := m.db.Decisions(m.ctx, la.ID)
		db, errB := m.memory.Decisions(m.ctx, la.ID)
		same(t, "decisions", da, db, errA, errB)
	}
	xa, errA := m.db.Writes(m.ctx, "contoso", "alerts/0", moments(m.now-20))
	xb, errB := m.memory.Writes(m.ctx, "contoso", "alerts/0", moments(m.now-20))
	same(t, "writes", len(xa), len(xb), errA, errB)
	mark := m.mark(t)
	sa, errA := m.db.Seen(m.ctx, mark)
	sb, errB := m.memory.Seen(m.ctx, mark)
	same(t, "seen", sa, sb, errA, errB)
	key := engine.StateKey{Tenant: "contoso", Playbook: "p", Key: m.key(t)}
	va, errA := m.db.State(m.ctx, key, moments(m.clock()))
	vb, errB := m.memory.State(m.ctx, key, moments(m.clock()))
	same(t, "state", string(va), string(vb), errA, errB)
	if len(m.runs) > 0 {
		id := m.runs[len(m.runs)-1]
		ra, errA := m.db.Load(m.ctx, id)
		rb, errB := m.memory.Load(m.ctx, id)
		same(t, "load", ra, rb, errA, errB)
	}
}
