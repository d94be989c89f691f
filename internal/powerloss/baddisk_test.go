//go:build linux

package powerloss

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph/simulator"
	"github.com/playbookd/playbookd/internal/record"
	"github.com/playbookd/playbookd/internal/sandbox"
	"github.com/playbookd/playbookd/store"
)

// few is a small tenant.
func few() simulator.Options { return simulator.Options{Seed: 3, Alerts: 12} }

// persist sends an event until it is taken, as a sender does that is told to come back.
func (s *site) persist(id string) {
	s.t.Helper()
	s.until("event "+id+" is taken", func() bool { status, _ := s.push(id); return status == http.StatusAccepted })
}

// settles waits until the daemon is well and has nothing left to do.
func (s *site) settles(l *life) {
	s.t.Helper()
	s.until("all runs are over and the daemon is well", func() bool {
		select {
		case <-l.done:
			s.t.Fatalf("the daemon ended with %d", l.cmd.ProcessState.ExitCode())
		default:
		}
		counts := s.counts()
		status, _ := s.page("/readyz")
		return status == http.StatusOK && len(counts) > 0 && counts[engine.Ready]+counts[engine.Waiting] == 0
	})
	if code := l.stop(); code != 0 {
		s.t.Errorf("the daemon ended with %d", code)
	}
}

// whole checks that everything was done, once, and nothing is left to a person.
func (s *site) whole(pushed int) {
	s.t.Helper()
	s.truth()
	counts := s.counts()
	if n := counts[engine.Parked] + counts[engine.Failed] + counts[engine.Ready] + counts[engine.Waiting]; n > 0 || counts[engine.Succeeded] == 0 {
		s.t.Errorf("runs %v, want all succeeded", counts)
	}
	if n := len(s.receiver.Target().Effects); n != pushed {
		s.t.Errorf("%d messages were sent, want %d", n, pushed)
	}
}

// fail works through a life in which a call fails some times from a moment on, and returns whether
// it came to that.
func fail(t *testing.T, c Call, f Fault) bool {
	t.Helper()
	s := newSite(t, few())
	if err := s.disk.Break(c, f); err != nil {
		t.Fatal(err)
	}
	l := s.start(false)
	s.until("the daemon listens or has ended", func() bool {
		select {
		case <-l.done:
			return true
		default:
		}
		status, _ := s.page("/healthz")
		return status != 0
	})
	_, failed, err := s.disk.Count(c)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-l.done:
		// It could not begin: it says why, and begins when the disk is well.
		says := l.log.String()
		if code := l.cmd.ProcessState.ExitCode(); code != 2 || failed == 0 || !strings.Contains(says, store.ErrFull.Error()) && !strings.Contains(says, store.ErrDisk.Error()) {
			t.Fatalf("it ended with %d", code)
		}
		if err := s.disk.Break(c, Fault{}); err != nil {
			t.Fatal(err)
		}
		l = s.start(false)
		s.up()
	default:
	}
	for i := range 3 {
		s.persist(fmt.Sprint("event", i))
	}
	s.settles(l)
	s.whole(3)
	_, more, err := s.disk.Count(c)
	if err != nil {
		t.Fatal(err)
	}
	return failed+more > 0
}

// Whichever of its calls the disk answers with an error, a few times in a row: nothing is lost,
// nothing half-written is believed, nothing that happened is left to a person, and the daemon goes on
// without a restart; or it does not start, and says why.
func TestADiskThatFailsNowAndThenCostsNothing(t *testing.T) {
	t.Parallel()
	// In the usual run a few moments, else so many that each of the first calls fails once.
	moments := number(t, "PLAYBOOKD_DISK_MOMENTS", 0)
	at := func(i, step int) int { return i * step }
	if moments == 0 {
		moments, at = 3, func(i, step int) int { return (1 + 5*i*i) * step }
	}
	const row = 4
	times := map[Call]int{Write: row, Sync: row, Read: 1} // SQLite takes what can't be read twice for damaged
	kinds := []struct {
		name  string
		call  Call
		fault Fault
		step  int
	}{
		{"no space for a write", Write, Fault{Kinds: Durable | SharedMemory, Error: syscall.ENOSPC}, row},
		{"no space at a sync", Sync, Fault{Error: syscall.ENOSPC}, 1},
		{"a write fails", Write, Fault{Kinds: Durable | SharedMemory, Error: syscall.EIO}, row},
		{"a sync fails", Sync, Fault{Error: syscall.EIO}, 1},
		{"a read fails", Read, Fault{Error: syscall.EIO}, 1},
	}
	tried, met := 0, 0
	for _, k := range kinds {
		for i := range moments {
			k.fault.Skip, k.fault.Times = at(i, k.step), times[k.call]
			// One after the other: they share a machine with other tests.
			t.Run(fmt.Sprintf("%s after %d", k.name, k.fault.Skip), func(t *testing.T) {
				tried++
				if fail(t, k.call, k.fault) {
					met++
				}
			})
		}
	}
	t.Logf("%d lives, in %d of them the disk failed", tried, met)
	if met < tried/2 {
		t.Error("the disk did not fail often enough for this to say anything")
	}
	record.Keep(t, record.Suite{
		Name:   "failing-disk",
		Tries:  "has the disk answer writes, syncs and reads with ENOSPC and EIO, writes and syncs four times in a row, from different moments on, in a daemon's life each",
		Holds:  "it does not start and says why, or it goes on without a restart: nothing lost, nothing done twice, no step that happened left to a person",
		Run:    "make powerloss",
		Counts: []record.Count{{What: "lives", N: int64(tried)}, {What: "lives in which the disk failed", N: int64(met)}},
	})
}

// A disk that stays full: senders are asked to come back, polls stay where they are, what an attempt
// in the air came to is kept; readiness names the reason. When there is room again it goes on.
func TestAFullDiskIsSurvivedWithoutARestart(t *testing.T) {
	t.Parallel()
	s := newSite(t, few())
	answered := make(chan struct{})
	s.receiver.Answer = func(http.ResponseWriter, *http.Request) { <-answered }
	l := s.start(false)
	s.up()
	s.until("the first poll is over", func() bool { return s.position() != "" })
	s.persist("before")
	s.until("its message is in the air", func() bool { return len(s.receiver.Target().Effects) == 1 })
	if err := s.disk.Break(Write, Fault{Kinds: Durable | SharedMemory, Error: syscall.ENOSPC, Times: -1}); err != nil {
		t.Fatal(err)
	}
	position := s.position()
	close(answered) // it was sent, and that can't be recorded
	s.until("readiness names the full disk and the outcome", func() bool {
		status, body := s.page("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, store.ErrFull.Error()) && strings.Contains(body, "outcome can't be recorded: 1.")
	})
	if status, body := s.page("/healthz"); status != http.StatusOK {
		t.Errorf("a supervisor would restart it, which mends nothing: %d %s", status, body)
	}
	status, header := s.push("while-full")
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("a sender is told %d, Retry-After %q; want to be asked to come back", status, header.Get("Retry-After"))
	}
	if err := s.Sim.Touch(s.Sim.Alerts()[0]["id"].(string), simulator.Document{"assignedTo": "somebody@contoso.example"}, "somebody"); err != nil {
		t.Fatal(err)
	}
	s.until("a poll has failed", func() bool { return strings.Contains(l.log.String(), "poll failed; it is tried again") })
	if now := s.position(); now != position {
		t.Errorf("the position went from %q to %q", position, now)
	}
	if err := s.disk.Break(Write, Fault{}); err != nil {
		t.Fatal(err)
	}
	s.persist("while-full")
	s.settles(l)
	s.whole(2)
}

// position is where the poll of alerts stands.
func (s *site) position() string {
	r, err := store.OpenReader(s.t.Context(), s.database())
	if err != nil {
		return "" // not there yet
	}
	defer r.Close()
	position, err := r.Position(s.t.Context(), sandbox.TenantName+"/poll/alerts")
	if err != nil {
		s.t.Fatal(err)
	}
	return position
}

// A disk that fills up while many write: some writes fit partly.
func TestADiskThatFillsUpUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, few())
	l := s.start(false)
	s.up()
	if err := s.disk.Limit(20_001); err != nil { // no multiple of a page
		t.Fatal(err)
	}
	const events = 60
	refused := make(chan struct{}, events)
	var all sync.WaitGroup
	for i := range events {
		all.Go(func() {
			for tries := 0; ; tries++ {
				status, _ := s.push(fmt.Sprint("event", i))
				if status == http.StatusAccepted || s.t.Context().Err() != nil {
					return
				}
				if status == http.StatusServiceUnavailable && tries == 0 {
					refused <- struct{}{}
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	select {
	case <-refused:
	case <-time.After(time.Minute):
		t.Error("nobody was refused: the disk was not full")
	}
	if err := s.disk.Unlimit(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	s.settles(l)
	s.whole(events)
}

// A slow disk makes everything slow, and nothing wrong.
func TestASlowDiskLosesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, few())
	if err := s.disk.Break(Sync, Fault{Delay: 150 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	l := s.start(false)
	s.up()
	const events = 40
	var all sync.WaitGroup
	for i := range events {
		all.Go(func() {
			if status, _ := s.push(fmt.Sprint("event", i)); status != http.StatusAccepted && status != http.StatusTooManyRequests {
				t.Errorf("event %d was answered with %d", i, status)
			}
		})
	}
	all.Wait()
	for i := range events {
		s.persist(fmt.Sprint("event", i)) // those that came when too many did, and again those that were taken
	}
	s.settles(l)
	s.whole(events)
}
