package calendar_test

import (
	"fmt"
	"io/fs"
	"maps"
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

// A decision keeps the content of the calendars that it was made by.
func TestACalendarMadeOfItsContentIsTheSame(t *testing.T) {
	t.Parallel()
	c := parse(t, emea)
	again, err := calendar.Restore("test", c.Content())
	if err != nil || again.Digest != c.Digest || again.Name != c.Name || string(again.Content()) != string(c.Content()) {
		t.Fatalf("%+v, %v; want %+v", again, err, c)
	}
	begin := at(t, "2026-12-01T00:00:00Z")
	rapid.Check(t, func(t *rapid.T) {
		from := begin.Add(time.Duration(rapid.IntRange(0, 60*24*60).Draw(t, "from")) * time.Minute)
		to := from.Add(time.Duration(rapid.IntRange(0, 14*24*60).Draw(t, "for")) * time.Minute)
		if got, want := again.Elapsed(from, to), c.Elapsed(from, to); got != want || again.Open(from) != c.Open(from) {
			t.Fatalf("from %s to %s: %s, want %s", from, to, got, want)
		}
	})
	other := parse(t, strings.Replace(emea, "18:00", "17:00", 1))
	if other.Digest == c.Digest {
		t.Error("other hours have the same digest")
	}
	if same := parse(t, "# a comment\n"+emea); same.Digest != c.Digest {
		t.Error("a comment makes another calendar")
	}
}

func TestContentThatIsNoCalendarIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `[]`, `{"timezone":"Mars/Base"}`, `{"timezone":"UTC","week":[[[5,4]]]}`, `{"timezone":"UTC","week":[[[0,99999]]]}`,
		`{"timezone":"UTC","week":[[[0,10],[5,20]]]}`, `{"timezone":"UTC","exceptions":{"20000":[[-1,4]]}}`} {
		if c, err := calendar.Restore("test", []byte(text)); err == nil {
			t.Errorf("%s is %+v", text, c)
		}
	}
}

func TestADirectoryOfCalendarsIsReadWithItsMistakes(t *testing.T) {
	t.Parallel()
	good := &fstest.MapFile{Data: []byte(emea)}
	fsys := fstest.MapFS{"calendars/office.yaml": good, "calendars/office.yml": good, "calendars/Bad Name.yaml": good, "calendars/broken.yaml": {Data: []byte("[]")},
		"calendars/big.yaml": {Data: []byte(strings.Repeat(" ", 1<<20))}, "calendars/notes.txt": good, "calendars/.hidden.yaml": good}
	set, findings := calendar.Load(fsys, "calendars")
	if got := strings.Join(set.Names(), " "); got != "office" {
		t.Errorf("calendars %q", got)
	}
	codes := map[string]string{}
	for _, f := range findings {
		codes[f.Pos.File] = f.Code
	}
	want := map[string]string{"calendars/office.yml": calendar.CodeTwice, "calendars/Bad Name.yaml": calendar.CodeName, "calendars/broken.yaml": calendar.CodeForm,
		"calendars/big.yaml": calendar.CodeLimit}
	if !maps.Equal(codes, want) {
		t.Errorf("findings %v, want %v", codes, want)
	}
	if set, findings = calendar.Load(fstest.MapFS{}, "calendars"); len(set.Names())+len(findings) > 0 {
		t.Errorf("without a directory: %v, %v", set.Names(), findings)
	}
}

func TestThereAreNoMoreCalendarsThanAllowed(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{}
	for i := range calendar.MaxCalendars + 1 {
		fsys[fmt.Sprintf("c%03d.yaml", i)] = &fstest.MapFile{Data: []byte("{timezone: UTC, hours: {mon: closed}}")}
	}
	set, findings := calendar.Load(fsys, ".")
	if len(set.Names()) != calendar.MaxCalendars || len(findings) != 1 || findings[0].Code != calendar.CodeLimit {
		t.Errorf("%d calendars, findings %v", len(set.Names()), findings)
	}
}

// days writes dates, each with something behind it.
func days(n int, behind string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s%s, ", time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly), behind)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

func TestACalendarIsTakenUpToItsLimitsAndNoFurther(t *testing.T) {
	t.Parallel()
	head := "timezone: UTC\nhours: {mon: 08:00-09:00}\n"
	file := head + "holidays: [{file: x.ics}]\n"
	for name, c := range map[string]struct {
		text, ics, code string
	}{
		"holidays":            {head + "holidays: [" + days(calendar.MaxHolidays, "") + "]", "", ""},
		"one holiday more":    {head + "holidays: [" + days(calendar.MaxHolidays+1, "") + "]", "", calendar.CodeLimit},
		"exceptions":          {head + "exceptions: {" + days(calendar.MaxExceptions, ": closed") + "}", "", ""},
		"one exception more":  {head + "exceptions: {" + days(calendar.MaxExceptions+1, ": closed") + "}", "", calendar.CodeForm},
		"an iCalendar file":   {file, padded(calendar.MaxFile), ""},
		"one byte of it more": {file, padded(calendar.MaxFile + 1), calendar.CodeFile},
	} {
		_, findings := calendar.Parse("a", "a.yaml", []byte(c.text), func(string) ([]byte, error) { return []byte(c.ics), nil })
		if c.code == "" && len(findings) > 0 || c.code != "" && (len(findings) != 1 || findings[0].Code != c.code) {
			t.Errorf("%s: %.300v, want %q", name, findings, c.code)
		}
	}
}

// padded is an iCalendar file of n bytes.
func padded(n int) string {
	const begin, end = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nX-PAD:", "\r\nEND:VCALENDAR\r\n"
	return begin + strings.Repeat("x", n-len(begin)-len(end)) + end
}

func TestBusinessTimeIsLookedForTenYearsAhead(t *testing.T) {
	t.Parallel()
	from := at(t, "2026-01-01T00:00:00Z")
	last := from.Add(calendar.MaxAhead)
	for open, want := range map[time.Time]bool{last.AddDate(0, 0, -1): true, last: false} {
		c := parse(t, "timezone: UTC\nhours: {mon: closed}\nexceptions: {"+open.Format(time.DateOnly)+": 00:00-24:00}")
		if _, err := c.Add(from, time.Hour); (err == nil) != want {
			t.Errorf("open on %s: %v", open.Format(time.DateOnly), err)
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
