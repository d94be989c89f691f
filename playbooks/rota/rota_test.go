package rota_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/playbooks/rota"
)

func parse(t *testing.T, text string) *rota.Rota {
	t.Helper()
	r, findings := rota.Parse("tier1", "tier1.yaml", []byte(text))
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	return r
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	when, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

const weekly = `
timezone: Europe/Berlin
start: 2026-01-05
handover: 08:00
margin: 30m
members: [ann, bob, cy]
`

const shared = `
timezone: Europe/Berlin
start: 2026-01-05
every: 1d
shifts:
  - {days: mon-fri, hours: 08:00-20:00, members: [ann, bob]}
  - {days: mon-fri, hours: 20:00-08:00, members: [cy]}
  - {days: [sat, sun], hours: 10:00-24:00, members: [dee], every: 1w}
overrides:
  - {from: 2026-01-06T12:00, to: 2026-01-06T14:00, who: eve}
`

func TestWhoIsOnDuty(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, text, when, who string }{
		{"before the start nobody is", weekly, "2026-01-05 07:29", ""},
		{"within the margin the first one is", weekly, "2026-01-05 07:30", "ann"},
		{"the first turn", weekly, "2026-01-05 08:00", "ann"},
		{"to its last day", weekly, "2026-01-12 07:29", "ann"},
		{"within the margin before the end it is the next one", weekly, "2026-01-12 07:30", "bob"},
		{"the second turn", weekly, "2026-01-12 08:00", "bob"},
		{"it begins anew behind the last", weekly, "2026-01-26 09:00", "ann"},
		{"over the day on which clocks go forward", weekly, "2026-03-30 08:00", "ann"},
		{"and not before", weekly, "2026-03-30 07:29", "cy"},
		{"a shift of the day", shared, "2026-01-05 08:00", "ann"},
		{"with daily turns", shared, "2026-01-06 08:00", "bob"},
		{"an override", shared, "2026-01-06 12:00", "eve"},
		{"to its end", shared, "2026-01-06 13:59", "eve"},
		{"and not further", shared, "2026-01-06 14:00", "bob"},
		{"a night belongs to the day on which it begins", shared, "2026-01-10 07:59", "cy"},
		{"between shifts nobody is", shared, "2026-01-10 08:00", ""},
		{"a shift to the end of the day", shared, "2026-01-11 23:59", "dee"},
		{"and not further", shared, "2026-01-12 00:00", ""},
	} {
		if got := parse(t, c.text).OnDuty(at(t, c.when)); got != c.who {
			t.Errorf("%s: at %s %q is on duty, want %q", c.what, c.when, got, c.who)
		}
	}
}

func TestEveryTurnHasTheSameNumberOfHandOversWhateverClocksDo(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"} {
		r := parse(t, fmt.Sprintf("timezone: %s\nstart: 2026-01-05\nevery: 1d\nhandover: 09:00\nmembers: [a, b, c, d, e]\n", zone))
		rapid.Check(t, func(rt *rapid.T) {
			day := rapid.IntRange(0, 3000).Draw(rt, "day")
			minute := rapid.IntRange(0, 24*60-1).Draw(rt, "minute")
			local := time.Date(2026, 1, 5+day, minute/60, minute%60, 0, 0, r.Zone)
			if local.Hour()*60+local.Minute() != minute {
				return // clocks don't show this time on this day
			}
			turn := day
			if minute < 9*60 {
				turn--
			}
			want := ""
			if turn >= 0 {
				want = string("abcde"[turn%5])
			}
			if got := r.OnDuty(local); got != want {
				rt.Fatalf("%s: %q is on duty at %s, want %q", zone, got, local, want)
			}
		})
	}
}

func TestWhatIsNoRotaIsSaidWithItsPlace(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", rota.MaxWho+1)
	for _, c := range []struct{ text, want string }{
		{"[]", "a rota is a map"},
		{"start: 2026-01-05\nmembers: [a]", "no timezone"},
		{"timezone: Mars\nstart: 2026-01-05\nmembers: [a]", "no time zone"},
		{"timezone: UTC\nmembers: [a]", "no start"},
		{"timezone: UTC\nstart: soon\nmembers: [a]", `"soon" is no date`},
		{"timezone: UTC\nstart: 1969-01-05\nmembers: [a]", "is no date"},
		{"timezone: UTC\nstart: 2026-01-05", "has members, or shifts"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [a]\nshifts: []", "has members, or shifts"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: []", "members is a list"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [1]", "named by text"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [" + long + "]", "257 bytes"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [" + strings.Repeat("a, ", rota.MaxMembers) + "a]", "101 members"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [a]\nevery: 367d", "367 days"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [a]\nevery: 1h", "no number of days"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [a]\nhandover: 8", "no time of the day"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [a]\nhandover: 24:00", "no time of the day"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [a]\nmargin: 12h1s", "margin is 12h1s"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [a]\nmargin: -1h", "no margin"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [a]\nwho: a", `no key "who"`},
		{"timezone: UTC\nstart: 2026-01-05\nhandover: 08:00\nshifts: [{members: [a]}]", "no other time of hand-over"},
		{"timezone: UTC\nstart: 2026-01-05\nshifts: [{days: monday, members: [a]}]", "names no days"},
		{"timezone: UTC\nstart: 2026-01-05\nshifts: [{hours: 8-20, members: [a]}]", "no time of the day"},
		{"timezone: UTC\nstart: 2026-01-05\nshifts: [{days: mon}]", "no members"},
		{"timezone: UTC\nstart: 2026-01-05\nshifts: [" + strings.Repeat("{members: [a]}, ", rota.MaxShifts) + "{members: [a]}]", "51 shifts"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [a]\noverrides: [{from: 2026-01-05T08:00, to: 2026-01-05T08:00, who: b}]", "ends before it begins"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [a]\noverrides: [{from: 2026-01-05, to: 2026-01-06, who: b}]", "is no time"},
		{"timezone: UTC\nstart: 2026-01-05\nmembers: [a]\noverrides: [{who: b}]", "has from, to and who"},
	} {
		r, findings := rota.Parse("tier1", "tier1.yaml", []byte(c.text))
		if err := findings.Err(); r != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "tier1.yaml:") {
			t.Errorf("%.80q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestABrokenRotaIsLeftOutAndTheOthersStay(t *testing.T) {
	t.Parallel()
	set, findings := rota.Load(fstest.MapFS{
		"rotas/tier1.yaml": {Data: []byte(weekly)}, "rotas/broken.yaml": {Data: []byte("members: 1")},
		"rotas/Tier2.yaml": {Data: []byte(weekly)}, "rotas/notes.txt": {Data: []byte("x")},
	}, "rotas")
	if got := fmt.Sprint(set.Names()); got != "[tier1]" || !findings.HasErrors() {
		t.Errorf("rotas %s, findings %v", got, findings)
	}
	who, digest, ok := set.OnDuty("tier1", at(t, "2026-01-06 12:00"))
	if who != "ann" || !strings.HasPrefix(digest, "sha256:") || !ok {
		t.Errorf("on duty is %q by %q, %v", who, digest, ok)
	}
	if _, _, ok := set.OnDuty("tier9", time.Time{}); ok {
		t.Error("a rota that does not exist answers")
	}
}

func FuzzRota(f *testing.F) {
	f.Add(weekly, int64(1767600000))
	f.Add(shared, int64(1767700000))
	f.Fuzz(func(t *testing.T, text string, when int64) {
		if r, _ := rota.Parse("x", "x.yaml", []byte(text)); r != nil {
			r.OnDuty(time.Unix(when, 0))
		}
	})
}
