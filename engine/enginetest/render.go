package enginetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// Result is what came of a case.
type Result struct {
	State   engine.RunState
	Message string
	Outputs string
	Effects []string // what took effect, in order, without what reads: "PART VALUE"
	Facts   []string // what was decided, in no order: the journal without attempts and times
	Journal []string // a line for each entry
	Wrong   []string // what must not be, whatever is expected

	kinds []engine.EntryKind
}

// String is the result as a case's file has it.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", strings.TrimSpace(string(r.State)+" "+r.Message))
	if r.Outputs != "" {
		fmt.Fprintf(&b, "outputs %s\n", r.Outputs)
	}
	fmt.Fprintf(&b, "\neffects\n%s\njournal\n%s", indented(r.Effects), indented(r.Journal))
	return b.String()
}

func indented(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString("    " + l + "\n")
	}
	return b.String()
}

// outcome is what a death of the process must not change. Attempts at the same time may come in another order, and what
// only tells somebody may be lost.
func (r Result) outcome() string {
	effects := slices.DeleteFunc(slices.Sorted(slices.Values(r.Effects)), func(e string) bool { return strings.HasPrefix(e, "tell ") })
	return fmt.Sprintf("%s %s\noutputs %s\neffects\n%sdecided\n%s", r.State, r.Message, r.Outputs, indented(effects), indented(r.Facts))
}

// diff lists the lines that are in only one of two texts; "" if the texts are the same.
func diff(want, got string) string {
	if want == got {
		return ""
	}
	var b strings.Builder
	for _, side := range []struct{ sign, in, of string }{{"-", want, got}, {"+", got, want}} {
		other := strings.Split(side.of, "\n")
		for _, l := range strings.Split(side.in, "\n") {
			i := slices.Index(other, l)
			if i >= 0 {
				other = slices.Delete(other, i, i+1)
				continue
			}
			fmt.Fprintf(&b, "%s %s\n", side.sign, l)
		}
	}
	if b.Len() == 0 {
		return "it is in another order:\n" + got
	}
	return b.String() + "(- is wanted)\n" + got
}

// result reads what came of the case.
func (p *player) result() Result {
	l := p.load()
	r := Result{State: l.Run.State, Message: l.Run.Message, kinds: slices.Clone(p.journal.kinds)}
	for _, e := range l.Entries {
		r.Journal = append(r.Journal, p.line(e, true))
		switch e.Kind {
		case engine.Intent, engine.Outcome, engine.Resolve:
		case engine.Ended:
			var d engine.EndedData
			if json.Unmarshal(e.Data, &d) == nil && len(d.Outputs) > 0 {
				r.Outputs = p.flow("", decoded(d.Outputs), true)
			}
		default:
			r.Facts = append(r.Facts, p.line(e, false))
		}
	}
	slices.Sort(r.Facts)
	p.effects(&r)
	if !r.State.Final() {
		p.complain("the run is %s after %s", r.State, patience)
	}
	p.again(l)
	if p.lives == 1 {
		p.unsaid()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Wrong = p.wrong
	return r
}

// effects lists what took effect, each once: what converges may be repeated, and nothing else.
func (p *player) effects(r *Result) {
	times := map[string]int{}
	for _, c := range p.world.Did() {
		switch times[c.Key]++; {
		case c.Part == "read" || c.Part == "await":
		case times[c.Key] == 1:
			r.Effects = append(r.Effects, effect(c))
		case c.Part != "put":
			p.complain("%s took effect %d times", effect(c), times[c.Key])
		}
	}
}

// unsaid complains about lines of the script that did not come to pass: they are mistakes of the case.
func (p *player) unsaid() {
	for _, effect := range p.oracle.unheard() {
		p.complain("the script speaks of %q, and no such attempt was made", effect)
	}
	for i, l := range p.c.Script {
		if l.Verb != "" && !p.said[i] {
			p.complain("it was over before %s %s, %s after its beginning", l.By, l.Verb, l.After)
		}
	}
}

// again decides the recorded history again, which must come out the same.
func (p *player) again(l engine.Loaded) {
	m, err := engine.Rebuild(p.book, l)
	if err != nil {
		p.complain("the history does not replay: %v", err)
		return
	}
	if d := m.Next(time.Now()); d.State != l.Run.State || d.Message != l.Run.Message || len(d.Record)+len(d.Invoke) > 0 {
		p.complain("decided again, the run is %s (%s) with %d more entries; it was %s (%s)", d.State, d.Message, len(d.Record), l.Run.State, l.Run.Message)
	}
}

// line is an entry as people read it. Without times it is what does not depend on when something happened.
func (p *player) line(e engine.Entry, times bool) string {
	what := fmt.Sprintf("%-9s %s", e.Kind, e.Path)
	if times {
		what = fmt.Sprintf("%-7s %s", p.moment(e.At), what)
	}
	if e.Attempt > 0 {
		what += "#" + strconv.Itoa(e.Attempt)
	}
	if data := p.flow("", decoded(e.Data), times); data != "{}" {
		what = strings.TrimSpace(what) + " " + data
	}
	return strings.TrimSpace(what)
}

// moment is a time since the run began, to the second.
func (p *player) moment(at time.Time) string { return at.Sub(p.began).Truncate(time.Second).String() }

func decoded(raw json.RawMessage) any {
	var v any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if len(raw) > 0 && dec.Decode(&v) != nil {
		return string(raw)
	}
	return v
}

// unseen are fields that are hashes of what stands beside them.
var unseen = map[string]bool{"key": true, "requestId": true, "digest": true, "id": true}

var bare = regexp.MustCompile(`^[A-Za-z][\w ./@-]*$`)

// flow writes a value of JSON as YAML does in one line, without times unless they are wanted.
func (p *player) flow(name string, v any, times bool) string {
	switch v := v.(type) {
	case nil:
		return "{}"
	case map[string]any:
		var fields []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if !unseen[k] && (times || k != "until") {
				fields = append(fields, k+": "+p.flow(k, v[k], times))
			}
		}
		return "{" + strings.Join(fields, ", ") + "}"
	case []any:
		var items []string
		for _, x := range v {
			items = append(items, p.flow("", x, times))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil && name == "until" {
			return p.moment(at)
		}
		if bare.MatchString(v) {
			return v
		}
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}
