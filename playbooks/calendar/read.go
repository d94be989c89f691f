package calendar

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/named"
)

// The codes of findings about calendars.
const (
	CodeName  = "CA001"
	CodeForm  = "CA002"
	CodeLimit = "CA003"
	CodeFile  = "CA004"
	CodeTwice = "CA005"
)

// Codes explains the findings of this package.
func Codes() []diag.Code {
	return []diag.Code{
		{Code: CodeName, Severity: diag.Error, Title: "Calendar name", Help: "A calendar is named by its file, NAME.yaml, with lower-case letters, digits, - and _."},
		{Code: CodeForm, Severity: diag.Error, Title: "Not a calendar", Help: "A calendar has a timezone, hours for the days of the week (mon-fri: 08:00-18:00), holidays (dates, or {file: NAME.ics}), and exceptions: days with hours of their own, or closed."},
		{Code: CodeLimit, Severity: diag.Error, Title: "Calendar beyond a limit", Help: "There may be 200 calendars, each with 8 spans a day, 5,000 holidays and 1,000 exceptions."},
		{Code: CodeFile, Severity: diag.Error, Title: "The holidays' file can't be used", Help: "holidays: [{file: NAME.ics}] names an iCalendar file beside the calendar. Its all-day events are holidays, yearly ones too."},
		{Code: CodeTwice, Severity: diag.Error, Title: "Calendar given twice", Help: "NAME.yaml and NAME.yml both define a calendar. Keep one."},
	}
}

// Set is the calendars that were read together.
type Set struct{ byName map[string]*Calendar }

// Names lists the calendars, sorted.
func (s *Set) Names() []string {
	var names []string
	if s != nil {
		for name := range s.byName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Get finds a calendar; nil if there is none.
func (s *Set) Get(name string) *Calendar {
	if s == nil {
		return nil
	}
	return s.byName[name]
}

var files = named.Kind{
	What: "a calendar", Form: regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`), FormMend: "lower-case letters, digits, - and _, beginning with a letter",
	Extensions: []string{".yaml", ".yml"}, MaxFiles: MaxCalendars, MaxSize: document.MaxSize,
	Codes: named.Codes{Name: CodeName, Unreadable: CodeForm, Limit: CodeLimit, Twice: CodeTwice},
}

// Load reads every calendar in a directory. A directory that does not exist holds none. A broken one is
// left out, and said.
func Load(fsys fs.FS, dir string) (*Set, diag.Findings) {
	set := &Set{byName: map[string]*Calendar{}}
	findings := named.Read(fsys, dir, files, func(name, file string, src []byte) diag.Findings {
		c, findings := Parse(name, file, src, func(ics string) ([]byte, error) { return document.File(fsys, path.Join(dir, ics), MaxFile) })
		if c != nil {
			set.byName[name] = c
		}
		return findings
	})
	return set, findings
}

// NewSet makes a set of calendars that were read one by one.
func NewSet(calendars ...*Calendar) *Set {
	set := &Set{byName: make(map[string]*Calendar, len(calendars))}
	for _, c := range calendars {
		set.byName[c.Name] = c
	}
	return set
}

// Parse reads a calendar. open reads the files that it names.
func Parse(name, file string, src []byte, open func(name string) ([]byte, error)) (*Calendar, diag.Findings) {
	doc, findings := document.Read(file, src)
	if doc.Root == nil {
		return nil, findings
	}
	return readNode(name, doc.Root, findings, open)
}

// Read reads a calendar that stands in another document. It names no files.
func Read(name string, n *document.Node) (*Calendar, diag.Findings) {
	return readNode(name, n, nil, func(string) ([]byte, error) { return nil, fs.ErrNotExist })
}

func readNode(name string, n *document.Node, findings diag.Findings, open func(string) ([]byte, error)) (*Calendar, diag.Findings) {
	r := &reader{findings: findings, open: open, c: &Calendar{Name: name, holidays: map[date]bool{}, own: map[date][]span{}}}
	r.root(n)
	r.findings.Sort()
	if r.findings.HasErrors() {
		return nil, r.findings
	}
	r.c.seal()
	return r.c, r.findings
}

type reader struct {
	findings diag.Findings
	c        *Calendar
	open     func(string) ([]byte, error)
}

func (r *reader) fail(n *document.Node, code, mend, format string, args ...any) {
	r.findings = append(r.findings, n.Error(code, fmt.Sprintf(format, args...), mend))
}

func (r *reader) root(n *document.Node) {
	if n.Kind != document.Map {
		r.fail(n, CodeForm, "write timezone: and hours:", "a calendar is a map, not %s", n)
		return
	}
	for _, p := range n.Pairs {
		switch p.Key.Text {
		case "timezone":
			r.zone(p.Value)
		case "hours":
			r.hours(p.Value)
		case "holidays":
			r.holidays(p.Value)
		case "exceptions":
			r.exceptions(p.Value)
		default:
			r.fail(p.Key, CodeForm, "known here: exceptions, holidays, hours, timezone", "a calendar has no key %.60q", p.Key.Text)
		}
	}
	if n.Get("timezone") == nil {
		r.fail(n, CodeForm, "add timezone: Europe/Berlin, or UTC", "the calendar has no timezone")
	}
	if n.Get("hours") == nil {
		r.fail(n, CodeForm, "add hours: {mon-fri: 08:00-18:00}", "the calendar has no hours")
	}
}

// Zone finds a time zone by its name in the time zone database. That of the machine is none of them: a file
// means the same everywhere.
func Zone(name string) (*time.Location, bool) {
	loc, err := time.LoadLocation(name)
	return loc, err == nil && name != "" && name != "Local"
}

func (r *reader) zone(n *document.Node) {
	loc, ok := Zone(n.Text)
	if !ok {
		r.fail(n, CodeForm, "write a name of the time zone database, such as Europe/Berlin", "%.60q is no time zone", n.Text)
		return
	}
	r.c.Zone = loc
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (r *reader) hours(n *document.Node) {
	if n.Kind != document.Map {
		r.fail(n, CodeForm, "write mon-fri: 08:00-18:00", "hours is a map of days, not %s", n)
		return
	}
	seen := map[int]bool{}
	for _, p := range n.Pairs {
		days, ok := Days(p.Key.Text)
		if !ok {
			r.fail(p.Key, CodeForm, "write mon, tue, wed, thu, fri, sat, sun, or a range such as mon-fri", "%.60q names no days", p.Key.Text)
			continue
		}
		spans := r.spans(p.Value)
		for _, day := range days {
			if seen[day] {
				r.fail(p.Key, CodeForm, "give each day once", "%s has its hours already", weekdays[day])
			}
			seen[day] = true
			r.c.week[day] = spans
		}
	}
}

// Days reads mon, or mon-fri, as days of the week from Sunday, which is 0. A range may go over the end of the week.
func Days(text string) ([]int, bool) {
	first, last, ranged := strings.Cut(text, "-")
	from := slices.Index(weekdays, first)
	to := from
	if ranged {
		to = slices.Index(weekdays, last)
	}
	if from < 0 || to < 0 {
		return nil, false
	}
	days := []int{from}
	for day := from; day != to; {
		day = (day + 1) % 7
		days = append(days, day)
	}
	return days, true
}

// spans reads the hours of a day: 08:00-18:00, a list of such, or closed.
func (r *reader) spans(n *document.Node) []span {
	items := []*document.Node{n}
	if n.Kind == document.List {
		items = n.Items
	} else if n.Text == "closed" {
		return nil
	}
	if len(items) > MaxSpans {
		r.fail(n, CodeLimit, "join some", "a day has %d spans; %d are allowed", len(items), MaxSpans)
		return nil
	}
	var list []span
	for _, item := range items {
		s, ok := spanOf(item.Text)
		if !ok || item.Kind != document.String {
			r.fail(item, CodeForm, "write 08:00-18:00, at most 24:00, or closed", "%.60q is no span of a day", item.Text)
			continue
		}
		if n := len(list); n > 0 && list[n-1].to > s.from {
			r.fail(item, CodeForm, "write them in order, without overlaps", "%s begins before the span above has ended", item.Text)
		}
		list = append(list, s)
	}
	return list
}

var spanForm = regexp.MustCompile(`^([0-2][0-9]):([0-5][0-9])-([0-2][0-9]):([0-5][0-9])$`)

func spanOf(text string) (span, bool) {
	m := spanForm.FindStringSubmatch(text)
	if m == nil {
		return span{}, false
	}
	at := func(hours, minutes string) int {
		h, _ := strconv.Atoi(hours) // the form says that they are digits
		n, _ := strconv.Atoi(minutes)
		return h*3600 + n*60
	}
	s := span{at(m[1], m[2]), at(m[3], m[4])}
	return s, s.from < s.to && s.to <= secondsPerDay
}

func (r *reader) date(n *document.Node, text string) (date, bool) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		r.fail(n, CodeForm, "write 2026-12-25", "%.60q is no date", text)
		return 0, false
	}
	return dateOf(t.Date()), true
}

func (r *reader) holidays(n *document.Node) {
	if n.Kind != document.List {
		r.fail(n, CodeForm, `start each with "- "`, "holidays is a list, not %s", n)
		return
	}
	for _, item := range n.Items {
		if file := item.Get("file"); file != nil && len(item.Pairs) == 1 {
			r.file(file)
			continue
		}
		if d, ok := r.date(item, item.Text); ok {
			r.c.holidays[d] = true
		}
	}
	if len(r.c.holidays) > MaxHolidays {
		r.fail(n, CodeLimit, "leave out what is over", "there are %d holidays; %d are allowed", len(r.c.holidays), MaxHolidays)
	}
}

// file reads holidays from an iCalendar file beside the calendar.
func (r *reader) file(n *document.Node) {
	if n.Kind != document.String || path.Ext(n.Text) != ".ics" || strings.ContainsAny(n.Text, `/\`) {
		r.fail(n, CodeFile, "put the file beside the calendar and write its name: germany.ics", "%.60q is no file beside the calendar", n.Text)
		return
	}
	text, err := r.open(n.Text)
	if err != nil {
		r.fail(n, CodeFile, "put it beside the calendar", "%s can't be read", n.Text)
		return
	}
	days, err := holidaysOf(text)
	if err != nil {
		r.fail(n, CodeFile, "check it with a calendar program", "%s: %v", n.Text, err)
		return
	}
	for _, d := range days {
		r.c.holidays[d] = true
	}
}

func (r *reader) exceptions(n *document.Node) {
	if n.Kind != document.Map || len(n.Pairs) > MaxExceptions {
		r.fail(n, CodeForm, "write 2026-12-24: 08:00-12:00", "exceptions is a map of at most %d dates", MaxExceptions)
		return
	}
	for _, p := range n.Pairs {
		if d, ok := r.date(p.Key, p.Key.Text); ok {
			r.c.own[d] = r.spans(p.Value)
		}
	}
}
