package triggers

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Inside a bubble the clock starts at midnight UTC of 2000-01-01.

func scheduler(t *testing.T, m *memory, slots ...Slot) *Scheduler {
	t.Helper()
	s, err := NewScheduler(SchedulerOptions{Sink: m, Positions: m})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetSlots(slots); err != nil {
		t.Fatal(err)
	}
	return s
}

func slot(t *testing.T, spec, missed string) Slot {
	return Slot{Source: "schedule/report/0", Playbook: "report", Schedule: mustParse(t, spec, ""), Missed: missed, Tenants: []string{"contoso"}}
}

func TestEachSlotMakesOneEventForEachTenant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		sl := slot(t, "0 */6 * * *", MissedSkip)
		sl.Tenants = []string{"contoso", "fabrikam"}
		stop := run(t, scheduler(t, m, sl))
		time.Sleep(13 * time.Hour)
		stop()
		want := []string{
			"contoso/schedule/report/0/2000-01-01T06:00:00Z", "contoso/schedule/report/0/2000-01-01T12:00:00Z",
			"fabrikam/schedule/report/0/2000-01-01T06:00:00Z", "fabrikam/schedule/report/0/2000-01-01T12:00:00Z",
		}
		if diff := cmp.Diff(want, m.ids()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		e := m.all()[0]
		if string(e.Payload) != `{"scheduled":"2000-01-01T06:00:00Z"}` || e.Kind != "event" || e.Source != "schedule/report/0" {
			t.Errorf("event is %+v with payload %s", e, e.Payload)
		}
		if got := e.Seen.Sub(e.Occurred); got != 0 {
			t.Errorf("the slot was seen %s after it passed", got)
		}
	})
}

func TestTheFirstStartBeginsNowAndNotInThePast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		stop := run(t, scheduler(t, m, slot(t, "0 0 * * *", MissedOnce))) // it is midnight now
		time.Sleep(time.Hour)
		stop()
		if len(m.all()) != 0 {
			t.Errorf("events of the past: %v", m.ids())
		}
		if got := m.position("schedule/report/0"); got != "2000-01-01T00:00:00Z" {
			t.Errorf("position is %q", got)
		}
	})
}

func TestMissedSlotsAreSkippedOrRunOnceAsThePlaybookSays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, missed string
		asleep       time.Duration
		want         []string
	}{
		{"skip", MissedSkip, 75*time.Hour + 30*time.Minute, []string{"2000-01-04T04:00:00Z"}},
		{"once", MissedOnce, 75*time.Hour + 30*time.Minute, []string{"2000-01-04T03:00:00Z", "2000-01-04T04:00:00Z"}},
		{"within the grace a slot is on time", MissedSkip, 3*time.Hour + Grace, []string{"2000-01-01T03:00:00Z", "2000-01-01T04:00:00Z"}},
		{"beyond the grace it is not", MissedSkip, 3*time.Hour + Grace + time.Second, []string{"2000-01-01T04:00:00Z"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				m.positions["schedule/report/0"] = "2000-01-01T00:00:00Z"
				time.Sleep(tt.asleep)
				stop := run(t, scheduler(t, m, slot(t, "@hourly", tt.missed)))
				time.Sleep(59 * time.Minute)
				stop()
				want := []string{}
				for _, s := range tt.want {
					want = append(want, "contoso/schedule/report/0/"+s)
				}
				if diff := cmp.Diff(want, m.ids()); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestASlotThatCouldNotBeStoredIsNotForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := scheduler(t, m, slot(t, "0 1 * * *", MissedSkip))
		stop := run(t, s)
		time.Sleep(30 * time.Minute)
		m.setFail(errors.New("disk full"))
		time.Sleep(time.Hour) // far beyond the grace
		if st := s.State()[0]; st.LastError == "" {
			t.Error("the state does not show the error")
		}
		m.setFail(nil)
		time.Sleep(time.Minute)
		if st := s.State()[0]; st.LastError != "" || !st.Next.Equal(mustTime(t, "2000-01-02T01:00:00Z")) {
			t.Errorf("state is %+v", st)
		}
		stop()
		if diff := cmp.Diff([]string{"contoso/schedule/report/0/2000-01-01T01:00:00Z"}, m.ids()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestAPositionInTheFarFutureDoesNotStopASchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.positions["schedule/report/0"] = "2099-01-01T00:00:00Z" // the clock was wrong once
		stop := run(t, scheduler(t, m, slot(t, "@hourly", MissedOnce)))
		time.Sleep(61 * time.Minute)
		stop()
		if diff := cmp.Diff([]string{"contoso/schedule/report/0/2000-01-01T01:00:00Z"}, m.ids()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestAClockSetBackALittleRepeatsNoSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.positions["schedule/report/0"] = "2000-01-01T00:30:00Z" // this slot ran before the clock was set back
		stop := run(t, scheduler(t, m, slot(t, "*/15 * * * *", MissedOnce)))
		time.Sleep(50 * time.Minute)
		stop()
		if diff := cmp.Diff([]string{"contoso/schedule/report/0/2000-01-01T00:45:00Z"}, m.ids()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestSlotsChangeWhileTheSchedulerRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := scheduler(t, m)
		stop := run(t, s)
		time.Sleep(10 * time.Minute)
		if err := s.SetSlots([]Slot{slot(t, "15 * * * *", MissedSkip)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if err := s.SetSlots(nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		stop()
		if diff := cmp.Diff([]string{"contoso/schedule/report/0/2000-01-01T00:15:00Z"}, m.ids()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestTheLatestOfAYearOfMissedMinutesIsFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ spec, want string }{
		{"* * * * *", "2026-06-01T12:00:00Z"},
		{"0 0 29 2 *", "2024-02-29T00:00:00Z"},
		{"0 0 1 1 *", "2026-01-01T00:00:00Z"},
		{"0 5 1 * *", "2026-06-01T05:00:00Z"},
	} {
		got := mustParse(t, tt.spec, "").latest(mustTime(t, "2020-01-01T00:00:00Z"), mustTime(t, "2026-06-01T12:00:30Z"))
		if got.Format(time.RFC3339) != tt.want {
			t.Errorf("%q: got %s, want %s", tt.spec, got, tt.want)
		}
	}
}

func TestSlotsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	good := slot(t, "@hourly", MissedSkip)
	none, missed := good, good
	none.Schedule, missed.Missed = nil, "all"
	s := scheduler(t, newMemory())
	for _, slots := range [][]Slot{{good, good}, {none}, {missed}} {
		if err := s.SetSlots(slots); err == nil {
			t.Errorf("%+v was accepted", slots)
		}
	}
	if err := s.Run(canceled(t)); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
