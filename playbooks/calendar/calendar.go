// Package calendar knows when people work: weekly hours in a time zone, holidays, days with hours of
// their own. SLA clocks and the functions businessElapsed, businessAdd and inBusinessHours count by it.
//
// Business time is real time: the set of moments at which the local clock stands within the hours of
// its date. On the day on which clocks go forward the night shift is an hour shorter, on the day on
// which they go back an hour longer. Nothing else is special about those days, and none of the
// arithmetic depends on when they are: a stretch of constant offset is a stretch of local time, and
// in local time hours are plain numbers.
//
// A calendar is a file in the calendars directory, NAME.yaml:
//
//	timezone: Europe/Berlin
//	hours: {mon-fri: 08:00-18:00, sat: [09:00-12:00, 13:00-15:00]}
//	holidays: [2026-12-25, {file: germany.ics}]
//	exceptions: {2026-12-24: 08:00-12:00, 2026-12-31: closed}
//
// A calendar never changes once it is read. Its content is written out in one form, whatever files it came
// from; the digest of a [Calendar] identifies that, and [Restore] makes the same calendar of it years later.
package calendar

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// Limits of calendars.
const (
	MaxCalendars  = 200
	MaxSpans      = 8    // of one day
	MaxHolidays   = 5000 // of one calendar, those from files too
	MaxExceptions = 1000
	// MaxAhead is how far business time is looked for: a calendar that is closed for longer has no end.
	MaxAhead = 10 * 366 * 24 * time.Hour
)

// span is a part of a day, in seconds since its midnight: from (included) to (not included), which is
// at most 24 hours.
type span struct{ from, to int }

// date is a day, as days since 1970.
type date int

func dateOf(y int, m time.Month, d int) date {
	return date(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / secondsPerDay)
}

const secondsPerDay = 24 * 60 * 60

// Calendar is when people work. It is immutable.
type Calendar struct {
	Name   string
	Digest string // of the content
	Zone   *time.Location

	week     [7][]span // by weekday
	holidays map[date]bool
	own      map[date][]span // days with hours of their own
	content  []byte
}

// spans are the hours of a day.
func (c *Calendar) spans(d date) []span {
	if own, ok := c.own[d]; ok {
		return own
	}
	if c.holidays[d] {
		return nil
	}
	weekday := (int(d) + 4) % 7 // the first day of 1970 was a Thursday
	if weekday < 0 {
		weekday += 7
	}
	return c.week[weekday]
}

// Open says whether a moment is within the hours.
func (c *Calendar) Open(t time.Time) bool {
	local := t.Unix() + int64(c.offset(t))
	day := floor(local)
	second := int(local - int64(day)*secondsPerDay)
	return slices.ContainsFunc(c.spans(day), func(s span) bool { return s.from <= second && second < s.to })
}

// Elapsed is the business time between two moments; negative if to is before from.
func (c *Calendar) Elapsed(from, to time.Time) time.Duration {
	if to.Before(from) {
		return -c.Elapsed(to, from)
	}
	var sum time.Duration
	for p := range c.pieces(from, to) {
		c.each(p, func(begin, end time.Time) bool {
			sum += end.Sub(begin)
			return true
		})
	}
	return sum
}

// Add is the first moment at which so much business time has passed since another.
func (c *Calendar) Add(from time.Time, d time.Duration) (time.Time, error) {
	if d <= 0 {
		return from, nil
	}
	left, at := d, time.Time{}
	for p := range c.pieces(from, from.Add(MaxAhead)) {
		c.each(p, func(begin, end time.Time) bool {
			if open := end.Sub(begin); open < left {
				left -= open
				return true
			}
			at = begin.Add(left)
			return false
		})
		if !at.IsZero() {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("calendar %s: %s of business time do not pass within ten years of %s", c.Name, d, from.Format(time.DateOnly))
}

// piece is a stretch of time in which the zone's offset stays the same.
type piece struct {
	from, to time.Time
	offset   int // seconds
}

// pieces cuts a stretch at the moments at which the offset changes.
func (c *Calendar) pieces(from, to time.Time) func(yield func(piece) bool) {
	return func(yield func(piece) bool) {
		for at := from; at.Before(to); {
			next := c.change(at, to)
			if !yield(piece{at, next, c.offset(at)}) {
				return
			}
			at = next
		}
	}
}

// probe is how far apart the offset is looked at. No zone changes its offset twice within it.
const probe = 12 * time.Hour

// change is when the offset changes next, or to. It feels its way: what the time library says about
// the bounds of a zone is wrong on some days beyond its tables.
func (c *Calendar) change(from, to time.Time) time.Time {
	offset := c.offset(from)
	for at := from; at.Before(to); {
		next := at.Add(probe)
		if next.After(to) {
			next = to
		}
		if c.offset(next) != offset {
			begin := at.Truncate(time.Second)
			n := int(next.Sub(begin)/time.Second) + 1
			second := sort.Search(n, func(i int) bool { return c.offset(begin.Add(time.Duration(i)*time.Second)) != offset })
			change := begin.Add(time.Duration(second) * time.Second)
			if change.After(to) {
				return to
			}
			return change
		}
		at = next
	}
	return to
}

func (c *Calendar) offset(t time.Time) int {
	_, seconds := t.In(c.Zone).Zone()
	return seconds
}

func floor(seconds int64) date {
	d := seconds / secondsPerDay
	if seconds%secondsPerDay < 0 {
		d--
	}
	return date(d)
}

// each gives the open parts of a piece in order, until yield returns false.
func (c *Calendar) each(p piece, yield func(begin, end time.Time) bool) {
	shift := time.Duration(p.offset) * time.Second
	from, to := p.from.UTC().Add(shift), p.to.UTC().Add(shift) // local time, written as UTC
	for day := floor(from.Unix()); day <= floor(to.Unix()); day++ {
		midnight := time.Unix(int64(day)*secondsPerDay, 0).UTC()
		for _, s := range c.spans(day) {
			begin, end := midnight.Add(time.Duration(s.from)*time.Second), midnight.Add(time.Duration(s.to)*time.Second)
			if begin.Before(from) {
				begin = from
			}
			if end.After(to) {
				end = to
			}
			if begin.Before(end) && !yield(begin.Add(-shift), end.Add(-shift)) {
				return
			}
		}
	}
}
