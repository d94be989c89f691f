package triggers

import (
	"bufio"
	"os"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/internal/killer"
)

func mustParse(t testing.TB, spec, zone string) *Schedule {
	t.Helper()
	s, err := ParseSchedule(spec, zone)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchedulesThatCannotBeMeantAreRefusedWithTheMend(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ spec, zone, mend string }{
		{"", "", "write five fields"},
		{"   ", "", "write five fields"},
		{"TZ=UTC", "", "timezone"},
		{"CRON_TZ=UTC", "", "timezone"},
		{"TZ=UTC 0 * * * *", "", "timezone"},
		{"CRON_TZ=Europe/Berlin 0 * * * *", "", "timezone"},
		{"tz=UTC 0 * * * *", "", "timezone"},
		{"@every 0s", "", "one minute or more"},
		{"@every -1h", "", "one minute or more"},
		{"@every 59s", "", "one minute or more"},
		{"@every 1m0.5s", "", "whole seconds"},
		{"@every 366d", "", "write @every 10m"},
		{"@every 8785h", "", "five fields"},
		{"@every", "", "write @every 10m"},
		{"@reboot", "", "@hourly"},
		{"0 0 30 2 *", "", "never fires"},
		{"0 0 31 4,6,9,11 *", "", "never fires"},
		{"* * * *", "", "instead of five"},
		{"0 * * * * *", "", "instead of five"},
		{"60 * * * *", "", "such as 0 6"},
		{"0 24 * * *", "", "such as 0 6"},
		{"0 0 * * 7", "", "0, Sunday"},
		{"0 *-5 * * *", "", "after the star"},
		{"0,, * * * *", "", "empty part"},
		{", * * * *", "", "empty part"},
		{"0 0 \x1b[31m * *", "", "one line"},
		{strings.Repeat("0,", MaxSpec) + "0 * * * *", "", "split"},
		{"0 * * * *", "Local", "differs from machine to machine"},
		{"0 * * * *", "Mars/Olympus", "IANA name"},
		{"0 * * * *", "../../etc/passwd", "IANA name"},
		{"0 * * * *", strings.Repeat("z", MaxSpec+1), "Europe/Berlin"},
	} {
		err := CheckSchedule(tt.spec, tt.zone)
		if err == nil || !strings.Contains(err.Error(), tt.mend) {
			t.Errorf("%q in %q: got %v, want a text with %q", tt.spec, tt.zone, err, tt.mend)
		}
	}
}

func TestSchedulesFireWhenPeopleExpect(t *testing.T) {
	t.Parallel()
	const newYork, berlin, saoPaulo, apia, lordHowe = "America/New_York", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe"
	for _, tt := range []struct {
		name, spec, zone, after string
		want                    []string
	}{
		{"working days", "0 6 * * 1-5", "", "2026-11-20T06:00:00Z", []string{"2026-11-23T06:00:00Z", "2026-11-24T06:00:00Z"}},
		{"either kind of day is enough", "0 0 1 * 1", "", "2026-11-28T00:00:00Z", []string{"2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z", "2026-12-07T00:00:00Z"}},
		{"leap day over the year 2100", "0 0 29 2 *", "", "2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
		{"names", "0 0 * jan sun", "", "2026-01-01T00:00:00Z", []string{"2026-01-04T00:00:00Z"}},
		{"hourly", "@hourly", berlin, "2026-11-20T06:10:00Z", []string{"2026-11-20T07:00:00Z"}},
		{"every is counted from 1970", "@every 90m", berlin, "2026-11-20T00:00:00Z", []string{"2026-11-20T01:30:00Z", "2026-11-20T03:00:00Z"}},
		{"a slot is after the time, not at it", "30 6 * * *", "", "2026-11-20T06:29:59.999Z", []string{"2026-11-20T06:30:00Z", "2026-11-21T06:30:00Z"}},

		{"fixed hour in the gap runs after it", "30 2 * * *", newYork, "2026-03-07T12:00:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"}},
		{"several in the gap run once", "*/15 2 * * *", newYork, "2026-03-07T12:00:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"}},
		{"the gap's end is no second slot", "0 2,3 * * *", newYork, "2026-03-07T12:00:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z", "2026-03-09T07:00:00Z"}},
		{"fixed hour that occurs twice runs the first time", "30 1 * * *", newYork, "2026-11-01T00:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		{"also when asked between the two", "30 1 * * *", newYork, "2026-11-01T06:10:00Z", []string{"2026-11-02T06:30:00Z"}},
		{"all hours go on in the repeated hour", "*/30 * * * *", newYork, "2026-11-01T05:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:00:00Z"}},
		{"all hours don't notice the gap", "30 * * * *", newYork, "2026-03-08T06:00:00Z", []string{"2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z"}},
		{"stepped hours follow elapsed time over the gap", "0 */2 * * *", newYork, "2026-03-08T05:00:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"}},
		{"stepped hours run in both repeated hours", "0 1-23/2 * * *", newYork, "2026-11-01T04:00:00Z", []string{"2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T08:00:00Z"}},
		{"midnight that does not exist", "0 0 * * *", saoPaulo, "2018-11-03T12:00:00Z", []string{"2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"}},
		{"a day that does not exist", "0 9 30 12 *", apia, "2011-12-29T00:00:00Z", []string{"2011-12-30T10:00:00Z", "2012-12-29T19:00:00Z"}},
		{"half an hour of gap", "15 2 * * *", lordHowe, "2026-10-03T00:00:00Z", []string{"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := mustParse(t, tt.spec, tt.zone)
			var got []string
			at := mustTime(t, tt.after)
			for range tt.want {
				at = s.Next(at)
				got = append(got, at.Format(time.RFC3339))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("slots of %q in %s (-want +got):\n%s", tt.spec, tt.zone, diff)
			}
		})
	}
}

// walked is what a schedule ought to do, found by walking through every minute.
type walked struct {
	spec         string
	hours        func(h int) bool
	minutes      func(m int) bool
	twice, catch bool
}

func walks() []walked {
	at := func(values ...int) func(int) bool {
		return func(v int) bool {
			for _, w := range values {
				if v == w {
					return true
				}
			}
			return false
		}
	}
	every := func(n int) func(int) bool { return func(v int) bool { return v%n == 0 } }
	return []walked{
		{"30 2 * * *", at(2), at(30), false, true},
		{"0 0 * * *", at(0), at(0), false, true},
		{"15,45 0-3 * * *", at(0, 1, 2, 3), at(15, 45), false, true},
		{"59 23 * * *", at(23), at(59), false, true},
		{"*/15 * * * *", every(1), every(15), true, false},
		{"7 * * * *", every(1), at(7), true, false},
		{"0 */2 * * *", every(2), at(0), true, true},
		{"30 */3 * * *", every(3), at(30), true, true},
	}
}

// slots walks from one time to another. reached is how far the local clock has come.
func (w walked) slots(zone *time.Location, from, to time.Time) []time.Time {
	match := func(local time.Time) bool { return w.hours(local.Hour()) && w.minutes(local.Minute()) }
	local := func(t time.Time) time.Time {
		_, offset := t.In(zone).Zone()
		return t.UTC().Add(time.Duration(offset) * time.Second)
	}
	var slots []time.Time
	lead := from.Add(-30 * time.Hour) // to know how far the clock had come
	reached := local(lead)
	for t := lead.Add(time.Minute); t.Before(to); t = t.Add(time.Minute) {
		now := local(t)
		fire := match(now) && (w.twice || now.After(reached))
		for swallowed := reached.Add(time.Minute); w.catch && swallowed.Before(now); swallowed = swallowed.Add(time.Minute) {
			fire = fire || match(swallowed)
		}
		if now.After(reached) {
			reached = now
		}
		if fire && t.After(from) {
			slots = append(slots, t)
		}
	}
	return slots
}

func compareWalk(t testing.TB, w walked, zone string, from, to time.Time) {
	t.Helper()
	s := mustParse(t, w.spec, zone)
	var got []time.Time
	for at := s.Next(from); !at.IsZero() && at.Before(to); at = s.Next(at) {
		got = append(got, at)
		if len(got) > 10000 {
			t.Fatalf("%s in %s does not move on from %s", w.spec, zone, at)
		}
	}
	if diff := cmp.Diff(w.slots(s.zone, from, to), got); diff != "" {
		t.Fatalf("%q in %s from %s (-by walking +Next):\n%s", w.spec, zone, from, diff)
	}
}

func zones(t testing.TB) []string {
	t.Helper()
	f, err := os.Open("testdata/zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		names = append(names, lines.Text())
	}
	return names
}

func TestEveryLocalSlotFiresOnceAroundEveryClockChangeOfEveryZone(t *testing.T) {
	t.Parallel()
	begin := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
	if testing.Short() {
		begin = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	until := time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	all, n := walks(), 0
	for _, zone := range zones(t) {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatalf("%s: %v", zone, err)
		}
		for at := begin; ; {
			_, change := at.In(loc).ZoneBounds()
			if change.IsZero() || change.After(until) {
				break
			}
			around := change.UTC().Truncate(time.Minute)
			compareWalk(t, all[n%len(all)], zone, around.Add(-26*time.Hour), around.Add(26*time.Hour))
			n++
			at = change
		}
	}
	if n < 500 {
		t.Fatalf("only %d clock changes were seen", n)
	}
}

func TestEveryLocalSlotFiresOnceWheneverYouLook(t *testing.T) {
	t.Parallel()
	names, all := zones(t), walks()
	rapid.Check(t, func(rt *rapid.T) {
		zone := rapid.SampledFrom(names).Draw(rt, "zone")
		w := rapid.SampledFrom(all).Draw(rt, "schedule")
		year := rapid.IntRange(1975, 2060).Draw(rt, "year")
		minute := rapid.IntRange(0, 365*24*60).Draw(rt, "minute")
		from := time.Date(year, 1, 1, 0, minute, 0, 0, time.UTC)
		compareWalk(t, w, zone, from, from.Add(72*time.Hour))
	})
}

func TestSchedulesDoNotStopAtTheEndOfDistantLeapYears(t *testing.T) {
	t.Parallel()
	all := walks()
	for i, zone := range zones(t) {
		for _, year := range []int{2040, 2044} {
			from := time.Date(year, 12, 30, 12, 0, 0, 0, time.UTC)
			compareWalk(t, all[i%len(all)], zone, from, from.Add(60*time.Hour))
		}
	}
	s := mustParse(t, "0 0 29 2 *", "Europe/Berlin")
	if got, want := s.Next(mustTime(t, "2040-03-01T00:00:00Z")), mustTime(t, "2044-02-28T23:00:00Z"); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzParseSchedule(f *testing.F) {
	for _, spec := range []string{"TZ=UTC", "CRON_TZ=", "@every 0s", "@every -1h", "@every 1ns", "0 0 30 2 *", "*/0 * * * *", "5/0 * * * *",
		"0-0-0 * * * *", "1/2/3 * * * *", "? ? ? ? ?", "*/15 9-17 * * 1-5", "@daily", "@every 2562047h47m16.854775807s", "4294967296 * * * *", "0 0 29 2 *", ", , , , ,"} {
		f.Add(spec, "Europe/Berlin")
		f.Add(spec, "")
	}
	for _, k := range killer.Schedules() {
		f.Add(k.Text, "America/New_York")
	}
	for _, zone := range []string{"Local", "UTC", "../../etc/passwd", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "europe/berlin", "Etc/GMT+12", strings.Repeat("x", 1000), "\x00", "Europe/Berlin\n"} {
		f.Add("*/15 1-3 * * *", zone)
		f.Add("30 2 29 2 *", zone)
	}
	from := time.Date(2026, 3, 28, 20, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, spec, zone string) {
		s, err := ParseSchedule(spec, zone)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("the error of %q holds control characters", spec)
			}
			return
		}
		at := from
		for range 5 {
			next := s.Next(at)
			if next.IsZero() {
				t.Fatalf("%q was accepted but never fires after %s", spec, at)
			}
			if !next.After(at) {
				t.Fatalf("%q goes from %s to %s", spec, at, next)
			}
			if next.Sub(at) < time.Minute && at != from {
				_, before := at.In(s.zone).Zone()
				if _, after := next.In(s.zone).Zone(); before == after {
					t.Fatalf("%q fires at %s and %s", spec, at, next)
				}
			}
			at = next
		}
	})
}
