package playtest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
)

// The codes of findings about test files.
const (
	CodeForm  = "PT001"
	CodeEvent = "PT002"
	CodeLimit = "PT003"
)

// Codes explains the findings of this package.
func Codes() []diag.Code {
	return []diag.Code{
		{Code: CodeForm, Severity: diag.Error, Title: "The test is not written as tests are",
			Help: "A test file names a playbook and lists tests. Each has a name, an event, and under expect what must come of it; what else it may have is in docs/playbook-tests.md. A key that nobody reads would be a test that proves less than it says, so it is refused."},
		{Code: CodeEvent, Severity: diag.Error, Title: "The test's event cannot be used",
			Help: "An event stands in the test itself or in a JSON file, named relative to the test's own directory. An export of Graph (an object with value) is taken with its first element. patch changes single fields: \"evidence[0].ipAddress\": 203.0.113.7."},
		{Code: CodeLimit, Severity: diag.Error, Title: "A test file beyond a limit",
			Help: "A file holds at most 500 tests, a test 100 mocks, 50 answers, 50 updates and 50 expectations, an event 1 MiB."},
	}
}

// Read reads a test file. Files that it names are read from fsys, relative to the test's directory.
func Read(fsys fs.FS, name string) (*File, diag.Findings) {
	src, err := document.File(fsys, name, document.MaxSize)
	if err != nil {
		return nil, diag.Findings{{Code: CodeForm, Severity: diag.Error, Pos: diag.Position{File: name}, Message: "cannot be read: " + err.Error(), Mend: "check that it exists and may be read"}}
	}
	doc, findings := document.Read(name, src)
	if doc.Root == nil {
		return nil, findings
	}
	r := &reader{fsys: fsys, dir: path.Dir(name), findings: findings, file: &File{Path: name, Lists: map[string][]any{}, Calendars: map[string]*calendar.Calendar{}}}
	r.read(doc.Root)
	r.findings.Sort()
	if r.findings.HasErrors() {
		return nil, r.findings
	}
	return r.file, r.findings
}

// reader walks one test file.
type reader struct {
	fsys     fs.FS
	dir      string
	findings diag.Findings
	file     *File
}

func (r *reader) fail(n *document.Node, code, mend, format string, args ...any) {
	r.findings = append(r.findings, n.Error(code, fmt.Sprintf(format, args...), mend))
}

// fields reads a map: every key must be one of those that read knows.
func (r *reader) fields(n *document.Node, what string, read map[string]func(*document.Node)) bool {
	if n == nil || n.Kind != document.Map {
		if n != nil {
			r.fail(n, CodeForm, "write key: value lines", "%s is a map, not %s", what, n)
		}
		return false
	}
	for _, p := range n.Pairs {
		if f, ok := read[p.Key.Text]; ok {
			f(p.Value)
			continue
		}
		names := make([]string, 0, len(read))
		for name := range read {
			names = append(names, name)
		}
		slices.Sort(names)
		mend := "known here: " + strings.Join(names, ", ")
		if near := actions.Closest(p.Key.Text, names); near != "" {
			mend = fmt.Sprintf("did you mean %q?", near)
		}
		r.fail(p.Key, CodeForm, mend, "%s has no key %.60q", what, p.Key.Text)
	}
	return true
}

func (r *reader) list(n *document.Node, what string, most int, each func(*document.Node)) {
	if n.Kind != document.List {
		r.fail(n, CodeForm, `start each entry with "- "`, "%s is a list, not %s", what, n)
		return
	}
	if len(n.Items) > most {
		r.fail(n.Items[most], CodeLimit, "split the file", "%s has %d entries; at most %d are allowed", what, len(n.Items), most)
		return
	}
	for _, item := range n.Items {
		each(item)
	}
}

func (r *reader) text(into *string) func(*document.Node) {
	return func(n *document.Node) {
		s, ok := n.Str()
		if !ok {
			r.fail(n, CodeForm, fmt.Sprintf("put quotes around it: %q", n.Text), "text is needed here, not %s", n)
			return
		}
		*into = s
	}
}

func (r *reader) flag(into *bool) func(*document.Node) {
	return func(n *document.Node) {
		b, ok := n.Bool()
		if !ok {
			r.fail(n, CodeForm, "write true or false", "true or false is needed here, not %s", n)
		}
		*into = b
	}
}

func (r *reader) duration(into *time.Duration) func(*document.Node) {
	return func(n *document.Node) {
		d, err := playbooks.ParseDuration(n.Text)
		if err != nil || n.Kind != document.String {
			r.fail(n, CodeForm, "write a number with a unit: 30s, 5m, 2h, 7d", "a time with a unit is needed here, not %s", n)
		}
		*into = d
	}
}

func (r *reader) words(into *[]string) func(*document.Node) {
	return func(n *document.Node) {
		r.list(n, "this", MaxAnswers, func(item *document.Node) {
			var s string
			r.text(&s)(item)
			*into = append(*into, s)
		})
	}
}

func (r *reader) json(into *json.RawMessage) func(*document.Node) {
	return func(n *document.Node) {
		raw, err := json.Marshal(n.Any())
		if err != nil {
			r.fail(n, CodeForm, "write plain values", "this is no JSON: %v", err)
		}
		*into = raw
	}
}

func (r *reader) read(root *document.Node) {
	tests := 0
	ok := r.fields(root, "a test file", map[string]func(*document.Node){
		"playbook": r.text(&r.file.Playbook),
		"lists": func(n *document.Node) {
			if n.Kind != document.Map {
				r.fail(n, CodeForm, "write name: [entries]", "lists is a map of lists, not %s", n)
				return
			}
			for _, p := range n.Pairs {
				values, ok := p.Value.Any().([]any)
				if !ok {
					r.fail(p.Value, CodeForm, "write [entry, entry]", "a watchlist is a list, not %s", p.Value)
				}
				r.file.Lists[p.Key.Text] = values
			}
		},
		"calendars": r.calendars,
		"rotas":     r.rotas(&r.file.Rotas),
		"tests": func(n *document.Node) {
			r.list(n, "tests", MaxCases, func(item *document.Node) { tests++; r.test(item) })
		},
	})
	switch {
	case !ok:
	case r.file.Playbook == "":
		r.fail(root, CodeForm, "add playbook: NAME", "the file does not say which playbook it tests")
	case tests == 0:
		r.fail(root, CodeForm, "add tests:", "the file has no tests")
	}
}

// calendars reads calendars that stand in the test. They name no files.
func (r *reader) calendars(n *document.Node) {
	for _, p := range r.pairs(n, "calendars") {
		c, findings := calendar.Read(p.Key.Text, p.Value)
		r.findings = append(r.findings, findings...)
		if c != nil {
			r.file.Calendars[p.Key.Text] = c
		}
	}
}

func (r *reader) update(n *document.Node, c *Case) {
	u := Update{Pos: n.Pos}
	ok := r.fields(n, "an update", map[string]func(*document.Node){
		"after": r.duration(&u.After),
		"patch": r.object(&u.Patch, "patch"),
	})
	if ok && (u.After <= 0 || len(u.Patch) == 0) {
		r.fail(n, CodeForm, "write {after: 10m, patch: {status: resolved}}", "an update says when the object changes, and what")
	}
	if last := len(c.Updates); last > 0 && u.After <= c.Updates[last-1].After {
		r.fail(n, CodeForm, "write updates in the order in which they happen", "this update does not come after the one above")
	}
	c.Updates = append(c.Updates, u)
}

func (r *reader) test(n *document.Node) {
	c := Case{Pos: n.Pos, Tenant: "test", At: Start, ChangedBy: playbooks.ByPerson}
	keys := map[string]func(*document.Node){
		"name":    r.text(&c.Name),
		"event":   func(n *document.Node) { r.event(n, &c) },
		"trigger": r.text(&c.Trigger),
		"updated": r.flag(&c.Updated),
		"before":  func(n *document.Node) { r.object(&c.Before, "before")(n); c.Updated = true },
		"changed_by": func(n *document.Node) {
			if r.text(&c.ChangedBy)(n); !slices.Contains([]string{playbooks.ByPerson, playbooks.ByUs, playbooks.ByApp}, c.ChangedBy) {
				r.fail(n, CodeForm, "write person, us or app", "changed_by says who made the change, not %s", n)
			}
		},
		"earlier": func(n *document.Node) { r.earlier(n, &c) },
		"updates": func(n *document.Node) { r.list(n, "updates", MaxUpdates, func(n *document.Node) { r.update(n, &c) }) },
		"inputs":  r.json(&c.Inputs),
		"by":      r.text(&c.By),
		"tenant":  r.text(&c.Tenant),
		"at": func(n *document.Node) {
			at, err := time.Parse(time.RFC3339, n.Text)
			if err != nil {
				r.fail(n, CodeForm, "write 2026-11-22T09:00:00Z", "at is a time, not %s", n)
			}
			c.At = at
		},
		"mocks":   func(n *document.Node) { r.list(n, "mocks", MaxMocks, func(n *document.Node) { r.mock(n, &c) }) },
		"answers": func(n *document.Node) { r.list(n, "answers", MaxAnswers, func(n *document.Node) { r.answer(n, &c) }) },
		"cancel": func(n *document.Node) {
			c.Cancel = r.word(n, "cancel")
		},
		"release": func(n *document.Node) { c.Release = r.word(n, "release") },
		"expect": func(n *document.Node) {
			if n.Kind != document.List {
				r.expect(n, &c)
				return
			}
			r.list(n, "expect", MaxExpects, func(n *document.Node) { r.expect(n, &c) })
		},
	}
	maps.Copy(keys, r.given(&c.Given))
	r.fields(n, "a test", keys)
	if c.Name == "" {
		r.fail(n, CodeForm, "add name: what it promises", "a test needs a name")
	}
	if len(c.Expects) == 0 {
		r.fail(n, CodeForm, "add expect: {matched: true}", "a test that expects nothing cannot fail")
	}
	r.file.Cases = append(r.file.Cases, c)
}

// object reads a map of any values.
func (r *reader) object(into *map[string]any, what string) func(*document.Node) {
	return func(n *document.Node) {
		r.pairs(n, what)
		*into, _ = n.Any().(map[string]any)
	}
}

// numbers reads a map of numbers.
func (r *reader) numbers(into *map[string]int, what string) func(*document.Node) {
	return func(n *document.Node) {
		*into = map[string]int{}
		for _, p := range r.pairs(n, what) {
			(*into)[p.Key.Text] = r.whole(p.Value, p.Key.Text)
		}
	}
}

func (r *reader) pairs(n *document.Node, what string) []document.Pair {
	if n.Kind != document.Map {
		r.fail(n, CodeForm, "write {name: value}", "%s is a map, not %s", what, n)
		return nil
	}
	return n.Pairs
}

func (r *reader) whole(n *document.Node, what string) int {
	v, ok := n.Int()
	if !ok || v < 0 || v > math.MaxInt32 {
		r.fail(n, CodeForm, "write a number from 0", "%s is a number from 0, not %s", what, n)
		return 0
	}
	return int(v)
}

// word reads what somebody does to the run from outside.
func (r *reader) word(n *document.Node, what string) *Answer {
	a := &Answer{Pos: n.Pos, By: "somebody"}
	r.fields(n, what, map[string]func(*document.Node){
		"by": r.text(&a.By), "reason": r.text(&a.Reason), "after": r.duration(&a.After)})
	return a
}

// earlier reads what limits count from before the test.
func (r *reader) earlier(n *document.Node, c *Case) {
	r.fields(n, "earlier", map[string]func(*document.Node){
		"runs":    func(n *document.Node) { c.Earlier.Runs = r.whole(n, "the number of runs") },
		"effects": r.numbers(&c.Earlier.Effects, "effects"),
	})
}

func (r *reader) mock(n *document.Node, c *Case) {
	m := Mock{}
	fault := &actions.Fault{Code: "mocked", Message: "the test says so"}
	ok := r.fields(n, "a mock", map[string]func(*document.Node){
		"action": r.text(&m.Action), "step": r.text(&m.Step), "part": r.text(&m.Part),
		"with":   func(n *document.Node) { m.With = n.Any() },
		"output": r.json(&m.Output),
		"fault": func(n *document.Node) {
			m.Fault = fault
			r.fields(n, "fault", map[string]func(*document.Node){
				"code": r.text(&fault.Code), "message": r.text(&fault.Message), "retry": r.flag(&fault.Retry),
				"unknown": r.flag(&fault.Unknown), "after": r.duration(&fault.After), "took_effect": r.flag(&m.Took)})
			if m.Took {
				fault.Unknown = true
			}
		},
		"times": func(n *document.Node) {
			times, ok := n.Int()
			if !ok || times < 1 {
				r.fail(n, CodeForm, "write a number from 1", "times is how often the mock answers, not %s", n)
			}
			m.Times = int(times)
		},
	})
	switch {
	case !ok:
	case m.Action == "" && m.Step == "":
		r.fail(n, CodeForm, "add action: NAME or step: ID", "the mock does not say for what it answers")
	case (m.Output == nil) == (m.Fault == nil):
		r.fail(n, CodeForm, "give it one of them", "a mock answers with an output or with a fault")
	}
	c.Mocks = append(c.Mocks, m)
}

func (r *reader) answer(n *document.Node, c *Case) {
	a := Answer{Pos: n.Pos}
	reject := false
	ok := r.fields(n, "an answer", map[string]func(*document.Node){
		"step": r.text(&a.Step), "by": r.text(&a.By), "roles": r.words(&a.Roles), "approve": r.flag(&a.Approve), "reject": r.flag(&reject),
		"answer": r.json(&a.Value), "after": r.duration(&a.After), "refused": r.flag(&a.Refused), "comment": r.text(&a.Reason)})
	if ok && a.By == "" {
		r.fail(n, CodeForm, "add by: NAME", "an answer comes from somebody")
	}
	if reject {
		a.Approve = false
	}
	c.Answers = append(c.Answers, a)
}

func (r *reader) expect(n *document.Node, c *Case) {
	e := Expect{Pos: n.Pos}
	var matched bool
	var after time.Duration
	var asked, stages []string
	r.fields(n, "expect", map[string]func(*document.Node){
		"matched": func(n *document.Node) { r.flag(&matched)(n); e.Matched = &matched },
		"because": r.text(&e.Because), "skipped": r.text(&e.Skipped), "state": r.text(&e.State), "message": r.text(&e.Message),
		"after":   func(n *document.Node) { r.duration(&after)(n); e.After = &after },
		"effects": func(n *document.Node) { r.effects(n, &e) },
		"asked":   func(n *document.Node) { r.words(&asked)(n); e.Asked = &asked },
		"stages":  func(n *document.Node) { r.words(&stages)(n); e.Stages = &stages },
		"kept":    r.object(&e.Kept, "kept"),
		"outputs": r.object(&e.Outputs, "outputs"),
		"steps": func(n *document.Node) {
			e.Steps = map[string]string{}
			for _, p := range r.pairs(n, "steps") {
				var status string
				r.text(&status)(p.Value)
				e.Steps[p.Key.Text] = status
			}
		},
	})
	if (e.Because != "" || e.Skipped != "") && e.Matched == nil {
		e.Matched = new(bool)
	}
	c.Expects = append(c.Expects, e)
}

func (r *reader) effects(n *document.Node, e *Expect) {
	list := []Effect{}
	r.list(n, "effects", MaxTurns, func(item *document.Node) {
		switch {
		case item.Kind == document.String:
			list = append(list, Effect{Action: item.Text})
		case item.Kind == document.Map && len(item.Pairs) == 1:
			list = append(list, Effect{Action: item.Pairs[0].Key.Text, With: item.Pairs[0].Value.Any()})
		default:
			r.fail(item, CodeForm, "write - action: {field: value}", "an effect is the name of an action, with the fields of its input that matter")
		}
	})
	e.Effects = &list
}

// event reads what starts the test.
func (r *reader) event(n *document.Node, c *Case) {
	var value any
	patch := map[string]any{}
	take := func(kind string) func(*document.Node) {
		return func(n *document.Node) {
			c.Kind = kind
			if n.Kind == document.String {
				value = r.load(n)
			} else {
				value = n.Any()
			}
		}
	}
	if !r.fields(n, "event", map[string]func(*document.Node){
		"alert": take("alert"), "incident": take("incident"), "event": take("event"),
		"run": func(n *document.Node) {
			take("event")(n)
			if c.Trigger == "" {
				c.Trigger = string(playbooks.RunTrigger)
			}
		},
		"patch": r.object(&patch, "patch"),
	}) {
		return
	}
	fields, ok := value.(map[string]any)
	if value == nil {
		fields, ok = map[string]any{}, true
	}
	if !ok {
		r.fail(n, CodeEvent, "give an object, or the name of a JSON file", "the event is no object")
		return
	}
	for place, v := range patch {
		if err := change(fields, place, v); err != nil {
			r.fail(n.Get("patch"), CodeEvent, "compare the path with the event", "%s: %v", place, err)
		}
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		r.fail(n, CodeEvent, "write plain values", "the event is no JSON: %v", err)
	}
	c.Event = raw
}

// load reads an event's file. An export of Graph is taken with its first element.
func (r *reader) load(n *document.Node) any {
	name := path.Join(r.dir, n.Text)
	text, err := document.File(r.fsys, name, MaxEventSize)
	if err != nil {
		r.fail(n, CodeEvent, "name it relative to the test's directory", "%s cannot be read", name)
		return nil
	}
	if len(text) > MaxEventSize {
		r.fail(n, CodeLimit, "keep what the test needs", "%s is larger than %d bytes", name, MaxEventSize)
		return nil
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		r.fail(n, CodeEvent, "check it with a JSON tool", "%s is no JSON: %v", name, err)
		return nil
	}
	if export, ok := v.(map[string]any); ok {
		if list, ok := export["value"].([]any); ok && len(list) > 0 {
			return list[0]
		}
	}
	return v
}
