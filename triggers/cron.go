package triggers

import (
	"errors"
	"fmt"
	"math/bits"
	"sort"
	"strings"
	"time"
	"unicode"

	"github.com/robfig/cron/v3"
)

// The limits of schedules.
const (
	// MaxSpec is how long a cron expression may be.
	MaxSpec = 256
	// MinInterval is the shortest "@every". Five fields can't say less anyway.
	MinInterval = time.Minute
	// MaxInterval is the longest "@every".
	MaxInterval = 366 * 24 * time.Hour

	// horizon is how many years a schedule is searched for a slot: enough for a 29th of February
	// around the year 2100, which is none.
	horizon = 9
)

// Schedule is a cron expression in a time zone. It is immutable and safe for concurrent use.
//
// On the days when clocks change it does what people expect:
//
//   - Fixed hours (0 2 * * *) that the spring gap swallows run at the first instant after the
//     gap, and those that the autumn brings twice run once, the first time. So each slot of the
//     local calendar fires exactly once.
//   - Stepped hours (0 */2 * * *) follow elapsed time: in the repeated hour they run both times.
//     What the gap swallows runs after it.
//   - All hours (*/15 * * * *) follow elapsed time too. The gap swallows nothing of them, since
//     the hour before and the hour after it are neighbours.
//   - "@every 90m" knows no clock changes: its slots are multiples of the interval since 1970 UTC,
//     the same in every process.
type Schedule struct {
	spec  string
	zone  *time.Location
	every time.Duration // of "@every"; the fields below are unused then

	minutes, hours, days, months, weekdays uint64
	either                                 bool // both days and weekdays are given: one of them is enough

	twice bool // run in both occurrences of a repeated hour
	catch bool // run after a gap what it swallowed
}

// CheckSchedule says what is wrong with a schedule, and how to mend it.
func CheckSchedule(spec, zone string) error {
	_, err := ParseSchedule(spec, zone)
	return err
}

// ParseSchedule reads a cron expression of five fields, or one of @hourly, @daily, @midnight,
// @weekly, @monthly, @yearly, @annually and "@every DURATION". An empty zone is UTC.
func ParseSchedule(spec, zone string) (*Schedule, error) {
	loc, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	spec = strings.TrimSpace(spec)
	switch upper := strings.ToUpper(spec); {
	case spec == "":
		return nil, errors.New(`the schedule is empty: write five fields, such as "0 6 * * 1-5" for six o'clock on working days`)
	case len(spec) > MaxSpec:
		return nil, fmt.Errorf("the schedule is longer than %d characters: split it into several triggers", MaxSpec)
	case strings.ContainsFunc(spec, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsControl(r) }):
		return nil, errors.New("the schedule has characters that no cron expression has: write five fields in one line, such as 0 6 * * 1-5")
	case strings.HasPrefix(upper, "TZ="), strings.HasPrefix(upper, "CRON_TZ="):
		return nil, errors.New("the schedule must not name a time zone: write it in the field timezone")
	case strings.HasPrefix(spec, "@every"):
		return parseEvery(spec, loc)
	}
	return parseFields(spec, loc)
}

// loadZone refuses the zone of the machine: a playbook must mean the same everywhere.
func loadZone(zone string) (*time.Location, error) {
	switch zone {
	case "":
		return time.UTC, nil
	case "Local":
		return nil, errors.New("time zone Local differs from machine to machine: name one, such as Europe/Berlin")
	}
	if len(zone) > MaxSpec {
		return nil, errors.New("the time zone is not a name: use one such as Europe/Berlin or UTC")
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %.60q: use an IANA name such as Europe/Berlin or UTC", zone)
	}
	return loc, nil
}

// parseEvery reads "@every DURATION".
func parseEvery(spec string, loc *time.Location) (*Schedule, error) {
	text := strings.TrimSpace(strings.TrimPrefix(spec, "@every"))
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%.40q is not a duration: write @every 10m or @every 1h30m", text)
	case d < MinInterval:
		return nil, fmt.Errorf("@every %s is too often: use one minute or more", d)
	case d > MaxInterval:
		return nil, fmt.Errorf("@every %s is more than a year: name a date in five fields, such as 0 6 1 1 *", d)
	case d%time.Second != 0:
		return nil, fmt.Errorf("@every %s has a fraction of a second: use whole seconds", d)
	}
	return &Schedule{spec: spec, zone: loc, every: d}, nil
}

// parseFields reads five fields or a descriptor.
func parseFields(spec string, loc *time.Location) (*Schedule, error) {
	fields := strings.Fields(spec)
	if !strings.HasPrefix(spec, "@") {
		if err := checkFields(fields); err != nil {
			return nil, err
		}
	}
	parsed, err := guarded(spec)
	if err != nil {
		return nil, mended(spec, err)
	}
	const star = 1 << 63
	s := &Schedule{
		spec: spec, zone: loc,
		minutes: parsed.Minute &^ star, hours: parsed.Hour &^ star, days: parsed.Dom &^ star,
		months: parsed.Month &^ star, weekdays: parsed.Dow &^ star,
		either: parsed.Dom&star == 0 && parsed.Dow&star == 0,
	}
	all := s.hours == 1<<24-1
	s.catch = !all
	s.twice = all || len(fields) == 5 && strings.ContainsAny(fields[1], "*?/")
	if s.calendar(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("schedule %.60q never fires: no month that it names has such a day", spec)
	}
	return s, nil
}

// checkFields refuses what the parser lets through although it can't be meant.
func checkFields(fields []string) error {
	if len(fields) != 5 {
		return fmt.Errorf("the schedule has %d fields instead of five: minute, hour, day of month, month, day of week, such as 0 6 * * 1-5", len(fields))
	}
	for i, f := range fields {
		for part := range strings.SplitSeq(f, ",") {
			body, _, _ := strings.Cut(part, "/")
			switch {
			case part == "":
				return fmt.Errorf("field %d of the schedule, %.40q, has an empty part: remove the comma", i+1, f)
			case len(body) > 1 && (body[0] == '*' || body[0] == '?'):
				return fmt.Errorf("field %d of the schedule, %.40q, has something after the star: write * or a range such as 1-5", i+1, f)
			}
		}
	}
	return nil
}

// guarded calls the cron package, which is known to panic for some texts.
func guarded(spec string) (s *cron.SpecSchedule, err error) {
	defer func() {
		if recover() != nil {
			s, err = nil, errors.New("it is not a cron expression")
		}
	}()
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	parsed, err := parser.Parse(spec)
	if err != nil {
		return nil, err
	}
	s, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("it is not a cron expression")
	}
	return s, nil
}

// mended adds to the parser's complaint what to do about it.
func mended(spec string, err error) error {
	advice := "write minute, hour, day of month, month and day of week, such as 0 6 * * 1-5"
	fields := strings.Fields(spec)
	switch {
	case strings.HasPrefix(spec, "@"):
		advice = `use @hourly, @daily, @weekly, @monthly, @yearly or "@every 10m"`
	case len(fields) == 5 && strings.Contains(fields[4], "7"):
		advice = "days of the week count from 0, Sunday, to 6, Saturday"
	}
	return fmt.Errorf("schedule %.60q: %w; %s", spec, err, advice)
}

// String is the expression as written.
func (s *Schedule) String() string { return s.spec }

// Next is the first slot after a time, in UTC; zero if there is none within nine years.
func (s *Schedule) Next(after time.Time) time.Time {
	after = after.UTC().Round(0)
	if s.every > 0 {
		step := int64(s.every / time.Second)
		n := after.Unix() / step
		if after.Unix()%step < 0 {
			n-- // before 1970 division rounds the wrong way
		}
		return time.Unix((n+1)*step, 0).UTC()
	}
	limit := after.AddDate(horizon, 0, 0)
	// Begin early enough to know how far the local clock had come before the present offset.
	stretch := s.stretchAt(after.Add(-reach))
	reached := stretch.local(stretch.begin)
	for !stretch.begin.After(limit) {
		if t := s.within(stretch, reached, after); !t.IsZero() {
			return t
		}
		if stretch.end.IsZero() {
			return time.Time{}
		}
		if end := stretch.local(stretch.end); end.After(reached) {
			reached = end
		}
		stretch = s.stretchAt(stretch.end)
	}
	return time.Time{}
}

// reach is longer than any jump of a local clock: zones have crossed the date line, a whole day.
const reach = 50 * time.Hour

// stretch is a time with one offset from UTC. The next one may have the same. Local times are
// written as if they were UTC.
type stretch struct {
	begin, end time.Time // end zero: unlimited
	offset     time.Duration
}

func (st stretch) local(t time.Time) time.Time { return t.Add(st.offset) }

// stretchAt is the stretch that begins, for us, at a time.
func (s *Schedule) stretchAt(t time.Time) stretch {
	st := stretch{begin: t, offset: s.offset(t)}
	_, end := t.In(s.zone).ZoneBounds()
	switch {
	case end.IsZero():
	case end.After(t):
		st.end = end.UTC()
	default:
		// On the last day of leap years beyond the tables of the zone, ZoneBounds of Go 1.26
		// returns an end that has passed. Feel the way.
		st.end = t.Add(time.Hour)
		if s.offset(st.end) != st.offset {
			seconds := sort.Search(3600, func(i int) bool { return s.offset(t.Add(time.Duration(i)*time.Second)) != st.offset })
			st.end = t.Add(time.Duration(seconds) * time.Second)
		}
	}
	return st
}

func (s *Schedule) offset(t time.Time) time.Duration {
	_, seconds := t.In(s.zone).Zone()
	return time.Duration(seconds) * time.Second
}

// within is the first slot after a time that lies in a stretch. The local clock had reached a
// time before the stretch: if the stretch begins later there is a gap, if earlier a repetition.
func (s *Schedule) within(st stretch, reached, after time.Time) time.Time {
	from := st.local(st.begin)
	if st.begin.After(after) {
		if from.After(reached) && s.catch {
			if slot := s.calendar(reached); !slot.IsZero() && slot.Before(from) {
				return st.begin
			}
		}
	} else {
		from = st.local(after).Add(1) // later than after, not at it
	}
	if !s.twice && from.Before(reached) {
		from = reached
	}
	slot := s.calendar(from)
	if slot.IsZero() {
		return time.Time{}
	}
	t := slot.Add(-st.offset)
	if !st.end.IsZero() && !t.Before(st.end) {
		return time.Time{}
	}
	return t
}

// calendar is the first minute at or after a local time that the fields name, in a calendar
// without clock changes.
func (s *Schedule) calendar(from time.Time) time.Time {
	t := from.Truncate(time.Minute)
	if t.Before(from) {
		t = t.Add(time.Minute)
	}
	for limit := t.Year() + horizon; t.Year() <= limit; {
		year, month, day := t.Date()
		switch {
		case s.months>>month&1 == 0:
			t = time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
		case !s.onDay(day, t.Weekday()):
			t = time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
		default:
			if h, m, ok := s.timeOfDay(t.Hour(), t.Minute()); ok {
				return time.Date(year, month, day, h, m, 0, 0, time.UTC)
			}
			t = time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
		}
	}
	return time.Time{}
}

// onDay follows cron's custom: if both kinds of day are restricted, either is enough.
func (s *Schedule) onDay(day int, weekday time.Weekday) bool {
	d, w := s.days>>day&1 == 1, s.weekdays>>weekday&1 == 1
	if s.either {
		return d || w
	}
	return d && w
}

// timeOfDay is the first time of day at or after h:m that the fields name.
func (s *Schedule) timeOfDay(h, m int) (hour, minute int, ok bool) {
	if s.hours>>h&1 == 1 {
		if rest := s.minutes >> m << m; rest != 0 {
			return h, bits.TrailingZeros64(rest), true
		}
	}
	later := s.hours >> (h + 1) << (h + 1)
	if later == 0 || s.minutes == 0 {
		return 0, 0, false
	}
	return bits.TrailingZeros64(later), bits.TrailingZeros64(s.minutes), true
}
