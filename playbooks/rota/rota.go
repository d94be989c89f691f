// Package rota knows who is on duty. The function onDuty(rota, time) asks it.
//
// A rota is a file in the rotas directory, NAME.yaml. The simplest is people who take turns:
//
//	timezone: Europe/Berlin
//	start: 2026-01-05          # a Monday: the first turn begins, with the first of the members
//	every: 1w                  # how long a turn is, in days or weeks
//	handover: 08:00            # when a turn begins and ends
//	margin: 30m                # so long before its end, what is new goes to the next one
//	members: [ann@contoso.example, bob@contoso.example]
//
// A day that is shared has shifts, each with members of its own who take turns:
//
//	shifts:
//	  - {days: mon-fri, hours: 08:00-20:00, members: [ann@contoso.example, bob@contoso.example]}
//	  - {days: mon-fri, hours: 20:00-08:00, members: [cy@contoso.example]}
//	overrides:
//	  - {from: 2026-12-24T08:00, to: 2026-12-27T08:00, who: dee@contoso.example}
//
// Times are what clocks show in the time zone of the rota. A shift belongs to the day on which it begins, and
// the turn of a member is counted in days, so clocks that change move nobody's turn. A moment that clocks show
// twice is the same for both times.
//
// A rota never changes once it is read; its digest says which text it was.
package rota

import (
	"slices"
	"time"
)

// Limits of rotas.
const (
	MaxRotas     = 200
	MaxShifts    = 50
	MaxMembers   = 100 // of one shift
	MaxOverrides = 1000
	MaxEvery     = 366 // days of a turn
	MaxMargin    = 12 * time.Hour
	MaxWho       = 256 // bytes of a name
)

// Rota is who is on duty when. It is immutable.
type Rota struct {
	Name   string
	Digest string
	Zone   *time.Location

	margin    time.Duration
	shifts    []shift
	overrides []override
}

// shift is a part of the day with people who take turns.
type shift struct {
	days    [7]bool // on which it begins, by weekday
	from    int     // minutes since midnight
	length  int     // minutes
	start   int     // the day of the first turn
	every   int     // days of a turn
	members []string
}

type override struct {
	from, to time.Time
	who      string
}

const minutesPerDay = 24 * 60

// day numbers the days of a calendar, from that of 1970-01-01.
func day(y int, m time.Month, d int) int {
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (minutesPerDay * 60))
}

// OnDuty says who is on duty at a time, "" if nobody is. Within the margin before the end of a turn it is who
// comes next, so that nobody is given work a moment before going home.
func (r *Rota) OnDuty(t time.Time) string {
	if who := r.who(t.Add(r.margin)); who != "" {
		return who
	}
	return r.who(t)
}

func (r *Rota) who(t time.Time) string {
	for _, o := range r.overrides {
		if !t.Before(o.from) && t.Before(o.to) {
			return o.who
		}
	}
	local := t.In(r.Zone)
	today, minute := day(local.Date()), local.Hour()*60+local.Minute()
	for _, s := range r.shifts {
		for _, begin := range []int{today, today - 1} {
			if who := s.who(begin, (today-begin)*minutesPerDay+minute); who != "" {
				return who
			}
		}
	}
	return ""
}

// who says whose turn the shift of a day is, if that many minutes after the midnight at which the day begins are within it.
func (s shift) who(begin, minute int) string {
	if begin < s.start || !s.days[weekday(begin)] || minute < s.from || minute >= s.from+s.length {
		return ""
	}
	return s.members[(begin-s.start)/s.every%len(s.members)]
}

// weekday of a day that is not before 1970, where Sunday is 0.
func weekday(d int) int { return (d + 4) % 7 } // 1970 began on a Thursday

// Set is the rotas that were read together.
type Set struct{ byName map[string]*Rota }

// Names lists the rotas, sorted. It is never nil: a set without rotas is one, too.
func (s *Set) Names() []string {
	names := []string{}
	if s != nil {
		for name := range s.byName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// OnDuty says who is on duty by the rota of a name, and the digest of its text; false if there is no such rota.
func (s *Set) OnDuty(name string, at time.Time) (who, digest string, ok bool) {
	if s == nil || s.byName[name] == nil {
		return "", "", false
	}
	r := s.byName[name]
	return r.OnDuty(at), r.Digest, true
}
