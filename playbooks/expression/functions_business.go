package expression

import (
	"fmt"
	"time"
)

// Calendar says when people work. Package calendar has one.
type Calendar interface {
	// Open says whether a moment is within the hours.
	Open(t time.Time) bool
	// Elapsed is the business time between two moments; negative if to is before from.
	Elapsed(from, to time.Time) time.Duration
	// Add is the first moment at which so much business time has passed since another.
	Add(from time.Time, d time.Duration) (time.Time, error)
}

// Calendars are calendars by name. A scope brings them along under [CalendarsName].
type Calendars map[string]Calendar

// CalendarsName is where a scope holds its [Calendars]. Expressions can't name it: functions take a
// calendar by the name that is written in the call.
const CalendarsName = "\x00calendars"

// CalendarUse is a place at which an expression names a calendar.
type CalendarUse struct {
	Name           string
	Offset, Length int // characters of the expression
}

// MaxBusinessSpan is how far apart the two moments of businessElapsed may be: what lies further apart is
// a date that stands for none, such as the year 1.
const MaxBusinessSpan = 10 * 366 * 24 * time.Hour

func businessFunctions() []function {
	return []function{
		{name: "businessElapsed", calendar: true, summary: "the business time from a time to another, or to now(); negative if that is earlier",
			params: []param{need("from", Time), allow("to", Time)}, typ: Duration, call: businessElapsed},
		{name: "businessAdd", calendar: true, summary: "the first time at which so much business time has passed since another",
			params: []param{need("from", Time), need("duration", Duration)}, typ: Time, call: businessAdd},
		{name: "inBusinessHours", calendar: true, summary: "whether a time is within the hours of a calendar",
			params: []param{need("time", Time)}, typ: Bool, call: inBusinessHours},
	}
}

// calendarIn finds the calendar that the last argument names, and returns the others.
func calendarIn(m *meter, args []any) (Calendar, []any, error) {
	last := len(args) - 1
	name, _ := args[last].(string)
	all, _ := m.scope[CalendarsName].(Calendars)
	c := all[name]
	if c == nil {
		return nil, nil, fmt.Errorf("there is no calendar %s here", quoted(name))
	}
	return c, args[:last], nil
}

// moments reads times; ok is false if one of them is nil.
func moments(args []any) (times []time.Time, ok bool, err error) {
	for _, a := range args {
		switch t := a.(type) {
		case nil:
			return nil, false, nil
		case time.Time:
			times = append(times, t)
		default:
			return nil, false, fmt.Errorf("a time is needed, this is %s", describe(a))
		}
	}
	return times, true, nil
}

// span charges for walking the days of a stretch of time.
func (m *meter) span(d time.Duration) error { return m.spend(1 + int(d.Abs()/(12*time.Hour))) }

func businessElapsed(m *meter, args []any) (any, error) {
	c, args, err := calendarIn(m, args)
	if err != nil {
		return nil, err
	}
	if len(args) == 1 {
		args = []any{args[0], m.now}
	}
	t, ok, err := moments(args)
	if !ok || err != nil {
		return nil, err
	}
	distance := t[1].Sub(t[0])
	if distance.Abs() > MaxBusinessSpan {
		return nil, fmt.Errorf("%s and %s are more than ten years apart", t[0].Format(time.DateOnly), t[1].Format(time.DateOnly))
	}
	if err := m.span(distance); err != nil {
		return nil, err
	}
	return c.Elapsed(t[0], t[1]), nil
}

func businessAdd(m *meter, args []any) (any, error) {
	c, args, err := calendarIn(m, args)
	if err != nil {
		return nil, err
	}
	from, ok, err := moments(args[:1])
	if !ok || err != nil || args[1] == nil {
		return nil, err
	}
	d, ok := args[1].(time.Duration)
	if !ok {
		return nil, fmt.Errorf("a duration is needed, this is %s", describe(args[1]))
	}
	at, err := c.Add(from[0], d)
	if err != nil {
		return nil, err
	}
	return at, m.span(at.Sub(from[0]))
}

func inBusinessHours(m *meter, args []any) (any, error) {
	c, args, err := calendarIn(m, args)
	if err != nil {
		return nil, err
	}
	t, ok, err := moments(args)
	if !ok || err != nil {
		return nil, err
	}
	return c.Open(t[0]), nil
}
