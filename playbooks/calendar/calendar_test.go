package calendar_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/playbooks/calendar"
)

func parse(t testing.TB, text string) *calendar.Calendar {
	t.Helper()
	c, findings := calendar.Parse("test", "test.yaml", []byte(text), func(string) ([]byte, error) { return nil, fs.ErrNotExist })
	if findings.HasErrors() {
		t.Fatal(findings)
	}
	return c
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const emea = `
timezone: Europe/Berlin
hours: {mon-fri: 08:00-18:00, sat: [09:00-12:00, 13:00-15:00]}
holidays: [2026-12-25]
exceptions: {2026-12-24: 08:00-12:00, 2026-12-31: closed}
`

func TestBusinessTimeIsTheTimeWithinTheHours(t *testing.T) {
	t.Parallel()
	c := parse(t, emea)
	for _, x := range []struct {
		name, from, to string
		want           time.Duration
	}{
		{"within a day", "2026-11-23T09:00:00+01:00", "2026-11-23T10:30:00+01:00", 90 * time.Minute},
		{"over a night", "2026-11-23T17:00:00+01:00", "2026-11-24T09:00:00+01:00", 2 * time.Hour},
		{"over a weekend", "2026-11-27T17:00:00+01:00", "2026-11-30T09:00:00+01:00", 7 * time.Hour},
		{"over Christmas", "2026-12-23T17:00:00+01:00", "2026-12-26T10:00:00+01:00", 6 * time.Hour},
		{"over the last day of the year", "2026-12-30T17:00:00+01:00", "2027-01-01T09:00:00+01:00", 2 * time.Hour},
		{"closed all the time", "2026-11-29T00:00:00+01:00", "2026-11-30T07:00:00+01:00", 0},
		{"backwards", "2026-11-23T10:00:00+01:00", "2026-11-23T09:00:00+01:00", -time.Hour},
	} {
		if got := c.Elapsed(at(t, x.from), at(t, x.to)); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
	end, err := c.Add(at(t, "2026-11-27T17:30:00+01:00"), time.Hour)
	if err != nil || !end.Equal(at(t, "2026-11-28T09:30:00+01:00")) {
		t.Errorf("an hour after Friday evening is %v (%v)", end, err)
	}
}

// The night on which clocks go forward lasts an hour less, that on which they go back an hour more.
func TestTheNightShiftIsShorterOrLongerWhenClocksChange(t *testing.T) {
	t.Parallel()
	c := parse(t, "timezone: Europe/Berlin\nhours: {mon-sun: 00:00-06:00}\n")
	for day, want := range map[string]time.Duration{"2026-03-28": 6 * time.Hour, "2026-03-29": 5 * time.Hour, "2026-10-25": 7 * time.Hour, "2026-10-26": 6 * time.Hour} {
		from, err := time.ParseInLocation(time.DateOnly, day, c.Zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Elapsed(from, from.AddDate(0, 0, 1)); got != want {
			t.Errorf("%s has %s, want %s", day, got, want)
		}
	}
}

// zones lists every time zone that this Go knows.
func zones(t testing.TB) []string {
	t.Helper()
	const root = "/usr/share/zoneinfo"
	var names []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, root+"/")
		if err != nil {
			return nil // a machine without them: below
		}
		if e.IsDir() || strings.ToLower(name[:1]) == name[:1] || strings.Contains(name, ".") {
			return nil
		}
		if _, err := time.LoadLocation(name); err == nil {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 50 {
		names = []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "Africa/Casablanca", "America/Sao_Paulo", "UTC"}
	}
	return names
}

// Whatever the zone and whatever the day, business time is what counting the minutes one by one gives.
func TestElapsedIsWhatCountingMinutesGivesInEveryZone(t *testing.T) {
	t.Parallel()
	all := zones(t)
	rapid.Check(t, func(rt *rapid.T) {
		zone := rapid.SampledFrom(all).Draw(rt, "zone")
		hours := rapid.SampledFrom([]string{"{mon-sun: 00:00-24:00}", "{mon-fri: 08:00-18:00}", "{mon-sun: [00:30-02:15, 02:45-03:00, 23:00-24:00]}", "{sat-mon: 01:00-05:00, wed: 12:00-13:00}"}).Draw(rt, "hours")
		c, findings := calendar.Parse("test", "test.yaml", []byte("timezone: "+zone+"\nhours: "+hours+"\nholidays: [2011-12-30, 2024-03-31]\n"), nil)
		if findings.HasErrors() {
			rt.Fatal(findings)
		}
		from := time.Unix(rapid.Int64Range(1_000_000_000/60, 2_100_000_000/60).Draw(rt, "from")*60, 0)
		to := from.Add(time.Duration(rapid.IntRange(0, 4*24*60).Draw(rt, "minutes")) * time.Minute)
		var want time.Duration
		for m := from; m.Before(to); m = m.Add(time.Minute) {
			if c.Open(m) {
				want += time.Minute
			}
		}
		if got := c.Elapsed(from, to); got != want {
			rt.Fatalf("%s %s: %v to %v: %s, want %s", zone, hours, from.In(c.Zone), to.In(c.Zone), got, want)
		}
		if d := time.Duration(rapid.IntRange(1, 100).Draw(rt, "hours")) * 30 * time.Minute; true {
			end, err := c.Add(from, d)
			if err != nil {
				rt.Fatal(err)
			}
			if got := c.Elapsed(from, end); got != d {
				rt.Fatalf("%s after %v is %v, and that is %s of business time", d, from.In(c.Zone), end.In(c.Zone), got)
			}
		}
	})
}

func TestACalendarThatNeverOpensHasNoEnd(t *testing.T) {
	t.Parallel()
	c := parse(t, "timezone: UTC\nhours: {}\nexceptions: {2026-12-24: 08:00-12:00}\n")
	if end, err := c.Add(at(t, "2026-01-01T00:00:00Z"), 5*time.Hour); err == nil || !strings.Contains(err.Error(), "do not pass") {
		t.Errorf("five hours end at %v (%v)", end, err)
	}
	if end, err := c.Add(at(t, "2026-01-01T00:00:00Z"), 4*time.Hour); err != nil || !end.Equal(at(t, "2026-12-24T12:00:00Z")) {
		t.Errorf("four hours end at %v (%v)", end, err)
	}
}

const germany = `BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20201225
DTEND;VALUE=DATE:20201227
RRULE:FREQ=YEARLY
SUMMARY:Christmas
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART;VALUE=DATE:20270326
SUMMARY:Good Friday
END:VEVENT
BEGIN:VEVENT
UID:3
DTSTART:20270329T090000Z
DTEND:20270329T100000Z
SUMMARY:a meeting
END:VEVENT
END:VCALENDAR
`

func TestHolidaysComeFromAnICSFileToo(t *testing.T) {
	t.Parallel()
	set, findings := calendar.Load(fstest.MapFS{
		"cal/soc.yaml":    {Data: []byte("timezone: UTC\nhours: {mon-sun: 00:00-24:00}\nholidays: [{file: germany.ics}]\n")},
		"cal/germany.ics": {Data: []byte(strings.ReplaceAll(germany, "\n", "\r\n"))},
	}, "cal")
	if findings.HasErrors() || len(set.Names()) != 1 {
		t.Fatal(findings, set.Names())
	}
	c := set.Get("soc")
	for day, open := range map[string]bool{"2026-12-24": true, "2026-12-25": false, "2031-12-26": false, "2031-12-27": true, "2027-03-26": false, "2027-03-29": true} {
		if got := c.Open(at(t, day+"T12:00:00Z")); got != open {
			t.Errorf("%s: open is %t, want %t", day, got, open)
		}
	}
}

func TestMistakesInCalendarsAreFindings(t *testing.T) {
	t.Parallel()
	hours := "timezone: UTC\nhours: {mon: 08:00-09:00}\n"
	for text, want := range map[string]string{
		"[]":                                                             "a calendar is a map",
		"hours: {mon: 08:00-09:00}":                                      "has no timezone",
		"timezone: UTC":                                                  "has no hours",
		"timezone: Mars/Base\nhours: {}":                                 "is no time zone",
		"timezone: Local\nhours: {}":                                     "is no time zone",
		"timezone: UTC\nhours: {moon: closed}":                           "names no days",
		"timezone: UTC\nhours: {mon: 8-9}":                               "is no span",
		"timezone: UTC\nhours: {mon: 09:00-08:00}":                       "is no span",
		"timezone: UTC\nhours: {mon: 09:00-24:30}":                       "is no span",
		"timezone: UTC\nhours: {mon: [08:00-10:00, 09:00-11:00]}":        "begins before the span above",
		"timezone: UTC\nhours: {mon-tue: 08:00-10:00, tue: 09:00-11:00}": "has its hours already",
		hours + "holidays: [2026-02-30]":                                 "is no date",
		hours + "holidays: 2026-02-20":                                   "holidays is a list",
		hours + "holidays: [{file: ../x.ics}]":                           "is no file beside",
		hours + "holidays: [{file: x.ics}]":                              "can't be read",
		hours + "exceptions: {2026-02-20: noon}":                         "is no span",
		hours + "odd: 1":                                                 "no key",
		fmt.Sprintf("timezone: UTC\nhours: {mon: [%s]}", strings.Repeat("08:00-09:00, ", calendar.MaxSpans+1)): "9 spans",
	} {
		_, findings := calendar.Parse("a", "a.yaml", []byte(text), func(string) ([]byte, error) { return nil, fs.ErrNotExist })
		if got := fmt.Sprint(findings); !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %q", text, got, want)
		}
	}
}

func FuzzICS(f *testing.F) {
	f.Add(germany)
	f.Add("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\nRRULE:FREQ=SECONDLY\nEND:VEVENT\nEND:VCALENDAR\n")
	f.Add("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\nRRULE:FREQ=YEARLY;INTERVAL=0\nEND:VEVENT\nEND:VCALENDAR\n")
	f.Add("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30\nEND:VEVENT\nEND:VCALENDAR\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, findings := calendar.Parse("a", "a.yaml", []byte("timezone: UTC\nhours: {mon: 08:00-09:00}\nholidays: [{file: x.ics}]\n"), func(string) ([]byte, error) { return []byte(text), nil })
		_ = findings // whatever it is, it is an answer
	})
}
