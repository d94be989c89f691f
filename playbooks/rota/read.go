package rota

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/named"
)

// The codes of findings about rotas.
const (
	CodeName  = "RO001"
	CodeForm  = "RO002"
	CodeLimit = "RO003"
)

// Codes explains the findings of this package.
func Codes() []diag.Code {
	return []diag.Code{
		{Code: CodeName, Severity: diag.Error, Title: "Rota name", Help: "A rota is named by its file, NAME.yaml, with lower-case letters, digits, - and _."},
		{Code: CodeForm, Severity: diag.Error, Title: "Not a rota", Help: "A rota has a timezone, a start (the date on which the first turn begins), and members who take turns, or shifts with members of their own. every is how long a turn is (7d, 1w), handover when it begins, margin how long before its end new work goes to the next one, overrides who stands in from when to when."},
		{Code: CodeLimit, Severity: diag.Error, Title: "Rota beyond a limit", Help: "There may be 200 rotas, each with 50 shifts of 100 members and 1,000 overrides. A turn has at most 366 days, a margin 12 hours, a name 256 bytes."},
	}
}

var files = named.Kind{
	What: "a rota", Form: regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`), FormMend: "lower-case letters, digits, - and _",
	Extensions: []string{".yaml", ".yml"}, MaxFiles: MaxRotas, MaxSize: document.MaxSize,
	Codes: named.Codes{Name: CodeName, Unreadable: CodeForm, Limit: CodeLimit, Twice: CodeName},
}

// Load reads every rota in a directory. A directory that does not exist holds none. A broken one is left out,
// and said.
func Load(fsys fs.FS, dir string) (*Set, diag.Findings) {
	set := &Set{byName: map[string]*Rota{}}
	return set, named.Read(fsys, dir, files, func(name, file string, src []byte) diag.Findings {
		r, findings := Parse(name, file, src)
		if r != nil {
			set.byName[name] = r
		}
		return findings
	})
}

// Parse reads a rota.
func Parse(name, file string, src []byte) (*Rota, diag.Findings) {
	doc, findings := document.Read(file, src)
	if doc.Root == nil {
		return nil, findings
	}
	sum := sha256.Sum256(src)
	r := &reader{findings: findings, rota: &Rota{Name: name, Digest: "sha256:" + hex.EncodeToString(sum[:]), Zone: time.UTC}, every: 7}
	r.root(doc.Root)
	r.findings.Sort()
	if r.findings.HasErrors() {
		return nil, r.findings
	}
	return r.rota, r.findings
}

type reader struct {
	findings diag.Findings
	rota     *Rota
	start    int // of all turns
	every    int // of shifts that don't say
	handover int
}

func (r *reader) fail(n *document.Node, code, mend, format string, args ...any) {
	r.findings = append(r.findings, n.Error(code, fmt.Sprintf(format, args...), mend))
}

// fields refuses what is no map, and the keys that nobody reads.
func (r *reader) fields(n *document.Node, what string, keys ...string) bool {
	if n.Kind != document.Map {
		r.fail(n, CodeForm, "write key: value lines", "%s is a map, not %s", what, n)
		return false
	}
	for _, p := range n.Pairs {
		if !slices.Contains(keys, p.Key.Text) {
			r.fail(p.Key, CodeForm, "known here: "+strings.Join(keys, ", "), "%s has no key %.60q", what, p.Key.Text)
		}
	}
	return true
}

func (r *reader) root(n *document.Node) {
	if !r.fields(n, "a rota", "timezone", "start", "every", "handover", "margin", "members", "shifts", "overrides") {
		return
	}
	r.zone(n)
	if start := n.Get("start"); start == nil {
		r.fail(n, CodeForm, "add start: 2026-01-05, the day on which the first turn begins", "the rota has no start")
	} else {
		r.start = r.date(start)
	}
	if every := n.Get("every"); every != nil {
		r.every = r.turn(every)
	}
	if at := n.Get("handover"); at != nil {
		r.handover = r.clock(at, at.Text)
	}
	if margin := n.Get("margin"); margin != nil {
		r.margin(margin)
	}
	members, shifts := n.Get("members"), n.Get("shifts")
	switch {
	case (members == nil) == (shifts == nil):
		r.fail(n, CodeForm, "write one of them", "a rota has members, or shifts with members")
	case members != nil:
		r.rota.shifts = []shift{{days: everyDay(), from: r.handover, length: minutesPerDay, start: r.start, every: r.every, members: r.members(members)}}
	case n.Get("handover") != nil:
		r.fail(n.Get("handover"), CodeForm, "leave it out", "shifts have their hours: there is no other time of hand-over")
	default:
		r.shifts(shifts)
	}
	if o := n.Get("overrides"); o != nil {
		r.overrides(o)
	}
}

func everyDay() (days [7]bool) {
	for i := range days {
		days[i] = true
	}
	return days
}

func (r *reader) zone(n *document.Node) {
	zone := n.Get("timezone")
	if zone == nil {
		r.fail(n, CodeForm, "add timezone: Europe/Berlin, or UTC", "the rota has no timezone")
		return
	}
	loc, ok := calendar.Zone(zone.Text)
	if !ok {
		r.fail(zone, CodeForm, "write a name of the time zone database, such as Europe/Berlin", "%.60q is no time zone", zone.Text)
		return
	}
	r.rota.Zone = loc
}

func (r *reader) date(n *document.Node) int {
	t, err := time.Parse(time.DateOnly, n.Text)
	if err != nil || t.Year() < 1970 {
		r.fail(n, CodeForm, "write 2026-01-05", "%.60q is no date", n.Text)
		return 0
	}
	return day(t.Date())
}

var turnForm = regexp.MustCompile(`^([1-9][0-9]{0,2})(d|w)$`)

// turn reads how many days a turn has.
func (r *reader) turn(n *document.Node) int {
	m := turnForm.FindStringSubmatch(n.Text)
	if m == nil {
		r.fail(n, CodeForm, "write 1d, 7d or 2w", "%.60q is no number of days or weeks", n.Text)
		return 1
	}
	days, _ := strconv.Atoi(m[1]) // the form says that they are digits
	if m[2] == "w" {
		days *= 7
	}
	if days > MaxEvery {
		r.fail(n, CodeLimit, fmt.Sprintf("choose at most %d days", MaxEvery), "a turn of %d days", days)
	}
	return days
}

var clockForm = regexp.MustCompile(`^([01][0-9]|2[0-3]):([0-5][0-9])$`)

// clock reads a time of the day, in minutes.
func (r *reader) clock(n *document.Node, text string) int {
	m := clockForm.FindStringSubmatch(text)
	if m == nil || n.Kind != document.String {
		r.fail(n, CodeForm, "write 08:00", "%.60q is no time of the day", text)
		return 0
	}
	hours, _ := strconv.Atoi(m[1]) // the form says that they are digits
	minutes, _ := strconv.Atoi(m[2])
	return hours*60 + minutes
}

func (r *reader) margin(n *document.Node) {
	d, err := time.ParseDuration(n.Text)
	switch {
	case err != nil || n.Kind != document.String || d < 0:
		r.fail(n, CodeForm, "write 30m or 1h", "%.60q is no margin", n.Text)
	case d > MaxMargin:
		r.fail(n, CodeLimit, "choose at most 12h", "the margin is %s", n.Text)
	}
	r.rota.margin = d
}

func (r *reader) members(n *document.Node) []string {
	if n.Kind != document.List || len(n.Items) == 0 {
		r.fail(n, CodeForm, "write [ann@contoso.example, bob@contoso.example]", "members is a list of people, not %s", n)
		return []string{""}
	}
	if len(n.Items) > MaxMembers {
		r.fail(n, CodeLimit, "split the rota", "there are %d members; at most %d are allowed", len(n.Items), MaxMembers)
		return []string{""}
	}
	var list []string
	for _, item := range n.Items {
		list = append(list, r.who(item))
	}
	return list
}

func (r *reader) who(n *document.Node) string {
	who := strings.TrimSpace(n.Text)
	switch {
	case n.Kind != document.String || who == "":
		r.fail(n, CodeForm, "write a user's name as Defender has it: ann@contoso.example", "a person is named by text, not %s", n)
	case len(who) > MaxWho:
		r.fail(n, CodeLimit, "write a user's name", "the name has %d bytes; at most %d are allowed", len(who), MaxWho)
	}
	return who
}

func (r *reader) shifts(n *document.Node) {
	if n.Kind != document.List || len(n.Items) == 0 {
		r.fail(n, CodeForm, `start each with "- "`, "shifts is a list, not %s", n)
		return
	}
	if len(n.Items) > MaxShifts {
		r.fail(n, CodeLimit, "split the rota", "there are %d shifts; at most %d are allowed", len(n.Items), MaxShifts)
		return
	}
	for _, item := range n.Items {
		if r.fields(item, "a shift", "days", "hours", "every", "members") {
			r.rota.shifts = append(r.rota.shifts, r.shift(item))
		}
	}
}

func (r *reader) shift(n *document.Node) shift {
	s := shift{days: everyDay(), start: r.start, every: r.every, length: minutesPerDay}
	if days := n.Get("days"); days != nil {
		s.days = r.days(days)
	}
	if hours := n.Get("hours"); hours != nil {
		from, to, _ := strings.Cut(hours.Text, "-")
		s.from = r.clock(hours, from)
		end := minutesPerDay // 24:00 is how a day ends
		if to != "24:00" {
			end = r.clock(hours, to)
		}
		if s.length = end - s.from; s.length <= 0 {
			s.length += minutesPerDay // it ends on the next day
		}
	}
	if every := n.Get("every"); every != nil {
		s.every = r.turn(every)
	}
	members := n.Get("members")
	if members == nil {
		r.fail(n, CodeForm, "add members: [ann@contoso.example]", "the shift has no members")
		return s
	}
	s.members = r.members(members)
	return s
}

// days reads mon, mon-fri, or a list of such.
func (r *reader) days(n *document.Node) (days [7]bool) {
	items := []*document.Node{n}
	if n.Kind == document.List {
		items = n.Items
	}
	for _, item := range items {
		list, ok := calendar.Days(item.Text)
		if !ok {
			r.fail(item, CodeForm, "write mon, tue, wed, thu, fri, sat, sun, or a range such as mon-fri", "%.60q names no days", item.Text)
		}
		for _, day := range list {
			days[day] = true
		}
	}
	return days
}

func (r *reader) overrides(n *document.Node) {
	if n.Kind != document.List {
		r.fail(n, CodeForm, "write - {from: 2026-12-24T08:00, to: 2026-12-27T08:00, who: dee@contoso.example}", "overrides is a list, not %s", n)
		return
	}
	if len(n.Items) > MaxOverrides {
		r.fail(n, CodeLimit, "leave out what is over", "there are %d overrides; at most %d are allowed", len(n.Items), MaxOverrides)
		return
	}
	for _, item := range n.Items {
		if !r.fields(item, "an override", "from", "to", "who") {
			continue
		}
		from, to, who := item.Get("from"), item.Get("to"), item.Get("who")
		if from == nil || to == nil || who == nil {
			r.fail(item, CodeForm, "write all three", "an override has from, to and who")
			continue
		}
		o := override{from: r.moment(from), to: r.moment(to), who: r.who(who)}
		if !o.from.Before(o.to) {
			r.fail(to, CodeForm, "write a time behind from", "the override ends before it begins")
		}
		r.rota.overrides = append(r.rota.overrides, o)
	}
}

// moment reads a time as clocks in the rota's zone show it.
func (r *reader) moment(n *document.Node) time.Time {
	t, err := time.ParseInLocation("2006-01-02T15:04", n.Text, r.rota.Zone)
	if err != nil {
		r.fail(n, CodeForm, "write 2026-12-24T08:00", "%.60q is no time", n.Text)
	}
	return t
}
