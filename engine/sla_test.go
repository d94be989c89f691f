package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/memory"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/store"
)

// triage says at each stage what it sees of the clock.
const triage = `
triggers:
  - sla:
      resource: alerts
      start: alert.createdDateTime
      pause: alert.assignedTo == "vendor"
      stop: alert.status != "new"
      target: [{if: 'alert.severity == "high"', within: 40m}, {if: 'alert.severity == "low"', within: 4h}]
      stages: {at_risk: 75%, breached: 100%, escalated: 200%}
steps:
  - {action: test.add, with: {value: "${{ alert.id }} ${{ sla.stage }} ${{ sla.elapsed }} of ${{ sla.target }}"}}
`

// clocked is a lab whose playbooks keep clocks. It can be restarted, and its journal be a database.
type clocked struct {
	*lab
	hours *calendar.Set
	n     int // versions so far
}

// onEachJournal runs a test in a bubble, with a journal in memory and with a real one.
func onEachJournal(t *testing.T, test func(*clocked)) {
	t.Helper()
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { test(newClocked(t, memory.New())) })
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir() // outside of the bubble, which can't clean up what SQLite's threads hold
		synctest.Test(t, func(t *testing.T) {
			db, err := store.Open(context.Background(), filepath.Join(dir, "journal.db"), store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			test(newClocked(t, db))
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}

// onTriage is onEachJournal with triage in use.
func onTriage(t *testing.T, test func(*clocked)) {
	t.Helper()
	onEachJournal(t, func(l *clocked) {
		l.use(l.book("triage", triage))
		test(l)
	})
}

func newClocked(t *testing.T, j journal) *clocked {
	l := &clocked{hours: &calendar.Set{}}
	l.lab = newLab(t, func(lab *lab) {
		lab.journal = j
		lab.options.Calendars = l
	})
	return l
}

// Get implements [engine.Calendars].
func (l *clocked) Get(name string) *calendar.Calendar { return l.hours.Get(name) }

// hear makes a version of an alert known, as a poll that reads it now. changed is when it came about.
func (l *clocked) hear(id string, created, changed time.Time, fields string) {
	l.t.Helper()
	l.n++
	l.deliver(alertVersion(l.n, id, created, changed, fields))
}

func alertVersion(n int, id string, created, changed time.Time, fields string) engine.Event {
	ev := version(id, n, fmt.Sprintf(`{"id":%q,"title":"t","createdDateTime":%q,"status":"new","severity":"high"%s}`, id, created.UTC().Format(time.RFC3339), fields))
	ev.Occurred = changed
	return ev
}

// strike lets everything fire that is due, and the runs go on. The objects are known up to now.
func (l *clocked) strike() time.Time {
	l.t.Helper()
	return l.strikeAsOf(time.Now())
}

func (l *clocked) strikeAsOf(asOf time.Time) time.Time {
	l.t.Helper()
	next, err := l.engine.Strike(context.Background(), []string{"contoso"}, func(string, string) time.Time { return asOf })
	if err != nil {
		l.t.Fatal(err)
	}
	stop := l.run()
	wait(0)
	stop()
	return next
}

func (l *clocked) clock(playbook, id string) engine.Clock {
	l.t.Helper()
	list, err := l.journal.Clocks(context.Background(), "contoso", "alerts/"+id)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, c := range list {
		if c.Playbook == playbook {
			return c
		}
	}
	return engine.Clock{}
}

// A clock that can't be stored would keep its alert, and all that comes with it, from being admitted.
func TestAStartAtTheEndOfTimeHoldsNothingUp(t *testing.T) {
	onEachJournal(t, func(l *clocked) {
		l.use(l.book("triage", triage))
		created := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		l.hear("a", created, time.Now(), "")
		if c := l.clock("triage", "a"); !c.Start.Equal(time.Now().Add(expression.MaxBusinessSpan)) || !c.Due.After(c.Start) {
			l.t.Errorf("the clock starts at %v, and its first stage is due at %v", c.Start, c.Due)
		}
	})
}

func TestEachStageFiresOnceAndSaysWhereTheClockStands(t *testing.T) {
	onTriage(t, func(l *clocked) {
		l.hear("a", time.Now(), time.Now(), "")
		for range 100 {
			l.strike()
			time.Sleep(time.Minute)
		}
		l.each("add a at_risk 30m of 40m", "add a breached 40m of 40m", "add a escalated 1h20m of 40m")
		ctx := context.Background()
		stage := "contoso/sla/triage/breached/alerts/a"
		decisions, err := l.journal.Decisions(ctx, stage)
		if err != nil || len(decisions) != 1 || decisions[0].Verdict != engine.Matched {
			l.t.Fatalf("decisions about the stage: %+v, %v", decisions, err)
		}
		loaded := l.load(decisions[0].Run)
		if loaded.Run.Object != "alerts/a" || loaded.Event.Source != "sla/triage" || loaded.Event.SLA.Stage != "breached" {
			l.t.Errorf("run %+v for %+v", loaded.Run, loaded.Event)
		}
	})
}

func TestNextSaysWhenTheFirstClockIsDue(t *testing.T) {
	onTriage(t, func(l *clocked) {
		if next := l.strike(); !next.IsZero() {
			l.t.Errorf("without a clock: %v", next)
		}
		began := time.Now()
		l.hear("later", began, began, `,"severity":"low"`)
		l.hear("sooner", began, began, "")
		if next, want := l.strike(), began.Add(30*time.Minute); !next.Equal(want) {
			l.t.Errorf("the next is due at %v, want %v", next, want)
		}
	})
}

func TestTimeDoesNotCountWhileAClockIsPausedOrStopped(t *testing.T) {
	onTriage(t, func(l *clocked) {
		began := time.Now()
		l.hear("a", began, began, "")
		time.Sleep(10 * time.Minute) // of these, 10 count
		l.hear("a", began, time.Now(), `,"assignedTo":"vendor"`)
		time.Sleep(5 * time.Hour)
		l.strike()
		l.hear("a", began, time.Now(), `,"status":"resolved"`)
		time.Sleep(24 * time.Hour)
		l.strike()
		l.each()
		if c := l.clock("triage", "a"); c.State != engine.ClockStopped || c.Elapsed != 10*time.Minute || !c.Due.IsZero() {
			l.t.Errorf("stopped: %+v", c)
		}
		l.hear("a", began, time.Now(), "") // opened again: it goes on where it stood
		time.Sleep(19 * time.Minute)
		l.strike()
		l.each()
		time.Sleep(time.Minute)
		l.strike()
		l.each("add a at_risk 30m of 40m")
	})
}

func TestAStageThatHasFiredDoesNotFireAgainWhenTheObjectIsReopened(t *testing.T) {
	onTriage(t, func(l *clocked) {
		began := time.Now()
		l.hear("a", began, began, "")
		time.Sleep(30 * time.Minute)
		l.strike()
		l.hear("a", began, time.Now(), `,"status":"resolved"`)
		l.hear("a", began, time.Now(), "")
		time.Sleep(9 * time.Minute)
		l.strike()
		time.Sleep(time.Minute)
		l.strike()
		l.each("add a at_risk 30m of 40m", "add a breached 40m of 40m")
	})
}

func TestOfStagesThatAreDueAtOnceOnlyTheLastFires(t *testing.T) {
	onTriage(t, func(l *clocked) {
		l.strike()
		l.hear("late", time.Now().Add(-time.Hour), time.Now(), "") // as a poll after a long time reads it
		l.strike()
		l.each("add late breached 1h of 40m")
		want := []engine.Mark{{Stage: "at_risk", At: time.Now().UTC()}, {Stage: "breached", At: time.Now().UTC(), Fired: true}}
		if diff := cmp.Diff(want, l.clock("triage", "late").Marks); diff != "" {
			l.t.Errorf("marks (-want +got):\n%s", diff)
		}
	})
}

func TestAClockCountsFromTheVersionsOwnTimesHoweverLateTheyAreRead(t *testing.T) {
	onTriage(t, func(l *clocked) {
		began := time.Now()
		time.Sleep(3 * time.Hour)
		l.hear("a", began, began.Add(10*time.Minute), `,"assignedTo":"vendor"`)
		l.strike()
		l.each()
		if c := l.clock("triage", "a"); c.Elapsed != 10*time.Minute || c.State != engine.ClockPaused {
			l.t.Errorf("%+v", c)
		}
	})
}

func TestAnObjectWithoutATargetHasNoClockThatRunsOut(t *testing.T) {
	onTriage(t, func(l *clocked) {
		began := time.Now()
		l.hear("a", began, began, `,"severity":"informational"`)
		time.Sleep(48 * time.Hour)
		l.strike()
		l.each()
		l.hear("a", began, time.Now(), `,"severity":"low"`) // now it has one, of which all is used up
		l.strike()
		l.each("add a escalated 48h of 4h")
	})
}

func TestAStageFiresByTheObjectsAsTheyAreKnown(t *testing.T) {
	onTriage(t, func(l *clocked) {
		began := time.Now()
		l.hear("a", began, began, "")
		time.Sleep(35 * time.Minute)
		l.strikeAsOf(began.Add(29 * time.Minute)) // the last poll began before the stage was due
		l.each()
		l.hear("a", began, began.Add(20*time.Minute), `,"status":"resolved"`) // and this is what the next one reads
		l.strike()
		l.each()
	})
}

func TestAVersionThatCameWhileThePlaybookWasAwayCounts(t *testing.T) {
	onEachJournal(t, func(l *clocked) {
		book := l.book("triage", triage)
		l.use(book)
		began := time.Now()
		l.hear("a", began, began, "")
		l.strike()
		l.use(l.book("other", "steps: [{stop: done}]"))
		l.hear("a", began, time.Now(), `,"status":"resolved"`)
		l.use(book)
		time.Sleep(time.Hour)
		l.strike()
		l.each()
	})
}

func TestAClockThatStartsLaterHasUsedUpNothingBefore(t *testing.T) {
	onTriage(t, func(l *clocked) {
		start := time.Now().Add(time.Hour)
		l.hear("a", start, time.Now(), `,"assignedTo":"vendor"`)
		l.hear("a", start, time.Now(), "")
		time.Sleep(89 * time.Minute)
		l.strike()
		l.each()
		time.Sleep(time.Minute)
		l.strike()
		l.each("add a at_risk 30m of 40m")
	})
}

func TestATimeFarAheadOfOurClockIsNotBelieved(t *testing.T) {
	onTriage(t, func(l *clocked) {
		began := time.Now()
		for ahead, want := range map[time.Duration]time.Duration{engine.MaxAhead: engine.MaxAhead, engine.MaxAhead + time.Nanosecond: 0} {
			id := fmt.Sprint("a", int64(ahead))
			l.hear(id, began, began.Add(ahead), `,"assignedTo":"vendor"`)
			if c := l.clock("triage", id); c.Elapsed != want {
				l.t.Errorf("paused by a version %s ahead, %s had elapsed; want %s", ahead, c.Elapsed, want)
			}
		}
	})
}

func TestAVersionThatIsOlderThanTheOneBeforeTakesNothingBack(t *testing.T) {
	onTriage(t, func(l *clocked) {
		began := time.Now()
		time.Sleep(time.Hour)
		l.hear("a", began, began.Add(20*time.Minute), `,"assignedTo":"vendor"`)
		l.hear("a", began, began.Add(30*time.Minute), "")
		l.hear("a", began, began.Add(25*time.Minute), `,"assignedTo":"vendor"`)
		if c := l.clock("triage", "a"); c.Elapsed != 20*time.Minute {
			l.t.Errorf("%+v", c)
		}
	})
}

func TestADateThatStandsForNoneDoesNotStopAClock(t *testing.T) {
	onTriage(t, func(l *clocked) {
		l.hear("a", time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), "")
		l.strike()
		l.each("add a escalated 87840h of 40m") // ten years at most
		l.hear("b", time.Now(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), `,"assignedTo":"vendor"`)
		l.hear("b", time.Now(), time.Now(), "")
		time.Sleep(30 * time.Minute)
		l.strike()
		l.each("add a escalated 87840h of 40m", "add b at_risk 30m of 40m")
	})
}

func TestAPlaybookThatIsNewActsOnWhatIsDueFromThenOn(t *testing.T) {
	onEachJournal(t, func(l *clocked) {
		l.use(l.book("other", "steps: [{stop: done}]"))
		began := time.Now()
		l.hear("breached", began, began, "")
		time.Sleep(35 * time.Minute)
		l.hear("fresh", time.Now(), time.Now(), "")
		time.Sleep(10 * time.Minute)
		l.use(l.book("triage", triage))
		l.strike()
		l.each() // one is breached already, which nobody asked for at that time
		time.Sleep(20 * time.Minute)
		l.strike()
		l.each("add fresh at_risk 30m of 40m")
		time.Sleep(15 * time.Minute)
		l.strike()
		l.each("add fresh at_risk 30m of 40m", "add fresh breached 45m of 40m", "add breached escalated 1h20m of 40m")
	})
}

func TestAnEditedPlaybookCountsItsClocksAnew(t *testing.T) {
	onTriage(t, func(l *clocked) {
		began := time.Now()
		l.hear("a", began, began, "")
		time.Sleep(10 * time.Minute)
		l.strike()
		l.each()
		l.use(l.book("triage", strings.Replace(triage, "within: 40m", "within: 10m", 1)))
		l.strike()
		l.each("add a breached 10m of 10m")
	})
}

func TestADisabledPlaybookKeepsNoClocks(t *testing.T) {
	onEachJournal(t, func(l *clocked) {
		l.use(l.book("triage", "enabled: false\n"+triage))
		l.hear("a", time.Now(), time.Now(), "")
		time.Sleep(2 * time.Hour)
		l.strike()
		if c := l.clock("triage", "a"); c.Playbook != "" {
			l.t.Errorf("%+v", c)
		}
		l.use(l.book("triage", triage))
		l.strike()
		l.each()
	})
}

func TestWhatAClockCantBeCountedByIsSaidAndMended(t *testing.T) {
	onEachJournal(t, func(l *clocked) {
		l.use(l.book("triage", strings.Replace(triage, `alert.assignedTo == "vendor"`, `alert.evidence[0]["n"] > 3`, 1)))
		began := time.Now()
		l.hear("a", began, began, `,"evidence":[{"n":"many"}]`)
		time.Sleep(30 * time.Minute)
		l.strike()
		l.each()
		if c := l.clock("triage", "a"); c.Fault == "" || !c.Due.IsZero() {
			l.t.Errorf("%+v", c)
		}
		l.hear("a", began, time.Now(), `,"evidence":[{"n":1}]`)
		l.strike()
		l.each("add a at_risk 30m of 40m")
	})
}

// While the clock of the machine is wrong a stage may fire too early or too late, but no stage fires twice,
// and what has elapsed is not changed by it.
func TestAClockOfTheMachineThatIsSetMovesNothing(t *testing.T) {
	onEachJournal(t, func(l *clocked) {
		var ahead time.Duration
		l.options.Now = func() time.Time { return time.Now().Add(ahead) }
		l.restart()
		l.use(l.book("triage", triage))
		began := time.Now()
		l.hear("a", began, began, "")
		set := func(to time.Duration) {
			ahead = to
			l.strikeAsOf(l.options.Now())
		}
		set(35 * time.Minute) // at_risk, early
		set(-time.Hour)
		l.each("add a at_risk 35m of 40m")
		time.Sleep(45 * time.Minute)
		set(-time.Hour) // breached, but not by this clock
		l.each("add a at_risk 35m of 40m")
		set(0)
		l.each("add a at_risk 35m of 40m", "add a breached 45m of 40m")
		set(-time.Hour)
		set(0)
		l.each("add a at_risk 35m of 40m", "add a breached 45m of 40m")
		l.hear("a", began, time.Now(), `,"assignedTo":"vendor"`)
		if c := l.clock("triage", "a"); c.Elapsed != 45*time.Minute {
			l.t.Errorf("%+v", c)
		}
	})
}

func office(t *testing.T, text string) *calendar.Set {
	t.Helper()
	c, findings := calendar.Parse("office", "office.yaml", []byte(text), nil)
	if c == nil {
		t.Fatal(findings)
	}
	return calendar.NewSet(c)
}

const businessTriage = `
triggers:
  - sla: {resource: alerts, start: alert.createdDateTime, target: [{within: 4h}], calendar: office, stages: {breached: 100%}}
steps:
  - {action: test.add, with: {value: "${{ sla.elapsed }} since ${{ sla.start }} by ${{ sla.due }}"}}
`

// The night shift of the day on which clocks go forward has an hour less: four hours of business time
// that begin at 23:00 end at 04:00 by the clock on the wall.
func TestBusinessTimeIsRightWhenClocksChange(t *testing.T) {
	onEachJournal(t, func(l *clocked) {
		l.hours = office(l.t, `{timezone: Europe/Berlin, hours: {mon-sun: ["00:00-06:00", "22:00-24:00"]}}`)
		l.use(l.book("triage", businessTriage))
		berlin, _ := time.LoadLocation("Europe/Berlin")
		began := time.Date(2000, 3, 25, 23, 0, 0, 0, berlin) // clocks go forward at 02:00
		time.Sleep(time.Until(began))
		l.hear("a", began, began, "")
		due := time.Date(2000, 3, 26, 4, 0, 0, 0, berlin)
		if next := l.strike(); !next.Equal(due) {
			l.t.Errorf("due at %v, want %v", next.In(berlin), due)
		}
		time.Sleep(time.Until(due))
		l.strike()
		l.each("add 4h since 2000-03-25T22:00:00Z by 2000-03-26T02:00:00Z")
	})
}

func TestACalendarThatChangesCountsForWhatIsRunning(t *testing.T) {
	onEachJournal(t, func(l *clocked) {
		l.hours = office(l.t, `{timezone: UTC, hours: {mon-sun: "08:00-10:00"}}`)
		book := l.book("triage", businessTriage)
		l.use(book)
		began := time.Date(2000, 1, 3, 8, 0, 0, 0, time.UTC)
		time.Sleep(time.Until(began))
		l.hear("a", began, began, "")
		if next, want := l.strike(), began.Add(26*time.Hour); !next.Equal(want) {
			l.t.Errorf("due at %v, want %v", next, want)
		}
		l.hours = office(l.t, `{timezone: UTC, hours: {mon-sun: "08:00-18:00"}}`)
		l.use(book) // as a reload does
		if next, want := l.strike(), began.Add(4*time.Hour); !next.Equal(want) {
			l.t.Errorf("with the new hours due at %v, want %v", next, want)
		}
		l.hours = &calendar.Set{}
		l.use(book)
		l.strike()
		if c := l.clock("triage", "a"); !strings.Contains(c.Fault, "no calendar office") {
			l.t.Errorf("without its calendar: %+v", c)
		}
	})
}

// A run counts by the calendar that it was started with, also in another process and years later.
func TestARunKeepsItsCalendar(t *testing.T) {
	onEachJournal(t, func(l *clocked) {
		l.hours = office(l.t, `{timezone: UTC, hours: {mon-sun: "08:00-10:00"}}`)
		l.use(l.book("late", `
when: businessElapsed(alert.createdDateTime, "office") == duration("0s")
steps:
  - wait: 1h
  - {action: test.add, with: {value: "${{ businessAdd(alert.createdDateTime, duration('3h'), 'office') }} ${{ inBusinessHours(now(), 'office') }}"}}
`))
		l.hear("a", time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Now(), "")
		stop := l.run()
		wait(time.Minute)
		stop()
		l.hours = office(l.t, `{timezone: UTC, hours: {mon-sun: "00:00-24:00"}}`)
		l.restart()
		stop = l.run()
		wait(2 * time.Hour)
		stop()
		l.each("add 2000-01-02T09:00:00Z false")
		if lists := l.load(l.ids[0]).Run.Lists; lists["calendar/office"] == "" {
			l.t.Errorf("kept with the run: %v", lists)
		}
	})
}

func TestACalledPlaybookReadsListsAndCalendarsThatItsCallerDoesNotName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newClocked(t, memory.New())
		l.hours = office(t, `{timezone: UTC, hours: {mon-sun: "08:00-10:00"}}`)
		l.options.Lists = twoLists{}
		l.restart()
		sub := l.book("sub", `
triggers: [manual]
steps:
  - {action: test.add, with: {value: "${{ 'T1' in lists.noise }} ${{ inBusinessHours(date('2000-01-01T09:00:00Z'), 'office') }}"}}
`)
		l.use(l.bookCalling("caller", "steps: [{playbook: sub}]", sub))
		l.hear("a", time.Now(), time.Now(), "")
		stop := l.run()
		wait(time.Minute)
		stop()
		l.each("add true true")
	})
}

// faltering is a journal of which some admissions fail, before or after they became durable: as when the
// process is killed, or the disk has no answer.
type faltering struct {
	journal
	r *rand.Rand
}

var errFaltered = errors.New("faltered")

func (j *faltering) Admit(ctx context.Context, a engine.Admission) (engine.Receipt, error) {
	if j.r.IntN(8) == 0 {
		return engine.Receipt{}, errFaltered
	}
	r, err := j.journal.Admit(ctx, a)
	if err == nil && j.r.IntN(8) == 0 {
		return engine.Receipt{}, errFaltered
	}
	return r, err
}

// timeline is what a clock should be, counted minute by minute.
type timeline struct {
	began  time.Time
	states []versionState // in order, as they became known
	marked map[string]bool
	fired  []string
}

type versionState struct {
	since  time.Time
	state  engine.ClockState
	within time.Duration
}

// elapsed counts the minutes in which the clock ran.
func (l *timeline) elapsed(at time.Time) (n time.Duration) {
	for m := l.began; m.Before(at); m = m.Add(time.Minute) {
		state := engine.ClockRunning // before the first version
		for _, v := range l.states {
			if !v.since.After(m) {
				state = v.state
			}
		}
		if state == engine.ClockRunning {
			n += time.Minute
		}
	}
	return n
}

// strike is what should fire now.
func (l *timeline) strike(now time.Time) {
	if len(l.states) == 0 {
		return
	}
	last := l.states[len(l.states)-1]
	if last.state != engine.ClockRunning || last.within == 0 {
		return
	}
	elapsed, fires := l.elapsed(now), ""
	percents := []struct {
		name    string
		percent time.Duration
	}{{"at_risk", 75}, {"breached", 100}, {"escalated", 200}}
	for i, s := range slices.Backward(percents) {
		if l.marked[s.name] {
			break
		}
		if fires == "" && elapsed >= last.within*s.percent/100 {
			fires = s.name
			for _, passed := range percents[:i+1] {
				l.marked[passed.name] = true
			}
		}
	}
	if fires != "" {
		l.fired = append(l.fired, fires)
	}
}

// However the versions of an object come, and whatever fails in between, each stage fires at most once,
// exactly when counting minutes says so, and all of them have a mark in the end.
func TestClocksCountWhatCountingMinutesGives(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { livesOf(t, rand.New(rand.NewPCG(seed, 8)), memory.New()) })
		})
	}
}

func TestClocksInADatabaseCountWhatCountingMinutesGives(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				db, err := store.Open(context.Background(), filepath.Join(dir, "journal.db"), store.Options{})
				if err != nil {
					t.Fatal(err)
				}
				livesOf(t, rand.New(rand.NewPCG(seed, 9)), db)
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// livesOf lets some alerts live through a day.
func livesOf(t *testing.T, r *rand.Rand, j journal) {
	l := newClocked(t, &faltering{j, r})
	l.use(l.book("triage", triage))
	l.settle(func() error { return l.tryStrike() })
	const alerts = 4
	lives := make([]*timeline, alerts)
	for i := range lives {
		lives[i] = &timeline{began: time.Now().Add(time.Duration(r.IntN(90)) * -time.Minute), marked: map[string]bool{}}
	}
	for range 60 {
		time.Sleep(time.Duration(r.IntN(20)) * time.Minute)
		if r.IntN(6) == 0 {
			l.restart()
		}
		l.hearSome(r, lives)
		if r.IntN(3) == 0 {
			continue // nobody looks
		}
		l.settle(l.tryStrike)
		for _, life := range lives {
			life.strike(time.Now())
		}
	}
	for i, life := range lives { // in the end all of it runs, for long enough
		l.settle(func() error { return l.tell(i, life, versionState{time.Now(), engine.ClockRunning, 40 * time.Minute}) })
	}
	for range 30 {
		time.Sleep(10 * time.Minute)
		l.settle(l.tryStrike)
		for _, life := range lives {
			life.strike(time.Now())
		}
	}
	for i, life := range lives {
		object := fmt.Sprintf("alerts/a%d", i)
		if diff := cmp.Diff(life.fired, l.fired(object)); diff != "" {
			t.Errorf("stages of %s (-want +got):\n%s", object, diff)
		}
		if len(life.marked) != 3 || len(l.clock("triage", fmt.Sprint("a", i)).Marks) != 3 {
			t.Errorf("%s: marked %v, has %+v", object, life.marked, l.clock("triage", fmt.Sprint("a", i)).Marks)
		}
	}
}

// settle does something until it succeeds, as everybody who meets an error of the journal does.
func (l *clocked) settle(do func() error) {
	l.t.Helper()
	for range 200 {
		err := do()
		if err == nil {
			return
		}
		if !errors.Is(err, errFaltered) {
			l.t.Fatal(err)
		}
	}
	l.t.Fatal("it never succeeds")
}

func (l *clocked) tryStrike() error {
	_, err := l.engine.Strike(context.Background(), []string{"contoso"}, func(string, string) time.Time { return time.Now() })
	return err
}

// hearSome makes versions of some of the alerts known, each since some time after the one before.
func (l *clocked) hearSome(r *rand.Rand, lives []*timeline) {
	for i, life := range lives {
		if r.IntN(3) != 0 {
			continue
		}
		least := life.began
		if n := len(life.states); n > 0 {
			least = life.states[n-1].since
		}
		minutes := int(time.Since(least) / time.Minute)
		v := versionState{
			since:  time.Now().Add(-time.Duration(r.IntN(min(minutes, 12)+1)) * time.Minute),
			state:  []engine.ClockState{engine.ClockRunning, engine.ClockRunning, engine.ClockPaused, engine.ClockStopped}[r.IntN(4)],
			within: []time.Duration{40 * time.Minute, 4 * time.Hour, 0}[r.IntN(3)],
		}
		l.settle(func() error { return l.tell(i, life, v) })
	}
}

// tell delivers a version; one that was delivered before is a duplicate.
func (l *clocked) tell(i int, life *timeline, v versionState) error {
	fields := map[time.Duration]string{40 * time.Minute: `,"severity":"high"`, 4 * time.Hour: `,"severity":"low"`, 0: `,"severity":"informational"`}[v.within]
	fields += map[engine.ClockState]string{engine.ClockRunning: "", engine.ClockPaused: `,"assignedTo":"vendor"`, engine.ClockStopped: `,"status":"resolved"`}[v.state]
	ev := alertVersion(len(life.states), fmt.Sprint("a", i), life.began, v.since, fields)
	if _, err := l.engine.Deliver(context.Background(), engine.Batch{Events: []engine.Event{ev}}); err != nil {
		return err
	}
	life.states = append(life.states, v)
	return nil
}

// fired lists the stages of an object that became events, in order.
func (l *clocked) fired(object string) (stages []string) {
	l.t.Helper()
	for _, m := range l.clock("triage", strings.TrimPrefix(object, "alerts/")).Marks {
		if !m.Fired {
			continue
		}
		stages = append(stages, m.Stage)
		id := "contoso/sla/triage/" + m.Stage + "/" + object
		if decisions, err := l.journal.Decisions(context.Background(), id); err != nil || len(decisions) != 1 || decisions[0].Run == "" {
			l.t.Errorf("%s: decisions %+v, %v", id, decisions, err)
		}
	}
	return stages
}
