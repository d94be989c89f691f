package calendar

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	ics "github.com/arran4/golang-ical"
	"github.com/teambition/rrule-go"
)

// Limits of an iCalendar file.
const (
	MaxFile = 4 << 20 // bytes
	// Years is how far yearly holidays are looked for, before and after 2026.
	yearsFrom, yearsTo = 2000, 2060
)

// holidaysOf reads the all-day events of an iCalendar file, repeated ones too. Events with a time of
// day are meetings and no holidays.
func holidaysOf(text []byte) (days []date, err error) {
	if len(text) > MaxFile {
		return nil, fmt.Errorf("it has %d bytes; %d are allowed", len(text), MaxFile)
	}
	defer func() {
		if r := recover(); r != nil {
			days, err = nil, errors.New("it is no iCalendar file")
		}
	}()
	file, err := ics.ParseCalendar(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("it is no iCalendar file: %w", err)
	}
	for _, e := range file.Events() {
		more, err := holidayOf(e)
		if err != nil {
			return nil, err
		}
		if days = append(days, more...); len(days) > 4*MaxHolidays {
			return nil, fmt.Errorf("it has more than %d days", 4*MaxHolidays)
		}
	}
	return days, nil
}

func holidayOf(e *ics.VEvent) ([]date, error) {
	start := e.GetProperty(ics.ComponentPropertyDtStart)
	if start == nil || len(start.Value) != len("20261225") {
		return nil, nil
	}
	from, err := time.Parse("20060102", start.Value)
	if err != nil {
		return nil, fmt.Errorf("%q is no date", start.Value)
	}
	length := 1
	if end := e.GetProperty(ics.ComponentPropertyDtEnd); end != nil {
		to, err := time.Parse("20060102", end.Value)
		if err != nil || to.Before(from) || to.Sub(from) > 366*24*time.Hour {
			return nil, fmt.Errorf("the event of %s ends at %.20q", start.Value, end.Value)
		}
		length = max(1, int(to.Sub(from)/(24*time.Hour))) // the end is the day after the last
	}
	begins := []time.Time{from}
	if rule := e.GetProperty(ics.ComponentPropertyRrule); rule != nil {
		r, err := rrule.StrToRRule(rule.Value)
		if err != nil {
			return nil, fmt.Errorf("the event of %s repeats by a rule that can't be read: %w", start.Value, err)
		}
		if r.OrigOptions.Freq > rrule.WEEKLY {
			return nil, fmt.Errorf("the event of %s repeats more often than a holiday does", start.Value)
		}
		r.DTStart(from)
		begins = r.Between(time.Date(yearsFrom, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(yearsTo, 1, 1, 0, 0, 0, 0, time.UTC), true)
	}
	var days []date
	for _, begin := range begins {
		for i := range length {
			days = append(days, dateOf(begin.AddDate(0, 0, i).Date()))
		}
	}
	return days, nil
}
