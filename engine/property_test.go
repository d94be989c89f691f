package engine_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// careless draws a playbook as somebody writes it who does not know where what may stand: every construct, in every
// place, also with names that there are not.
type careless struct {
	t *rapid.T
	n int // steps so far
}

func (g *careless) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(g.t, label)
}

// slip is one of the first, or now and then odd.
func (g *careless) slip(label, odd string, from ...string) string {
	if rapid.IntRange(0, 39).Draw(g.t, "slip") == 0 {
		return odd
	}
	return g.pick(label, from...)
}

// block is a list of steps in flow style.
func (g *careless) block(depth int) string {
	var steps []string
	for range rapid.IntRange(1, 3).Draw(g.t, "steps") {
		steps = append(steps, g.step(depth))
	}
	return "[" + strings.Join(steps, ", ") + "]"
}

func (g *careless) step(depth int) string {
	g.n++
	head := fmt.Sprintf("id: s%d, ", g.n)
	kinds := []string{"act", "act", "act", "await", "set", "stop", "fail", "wait", "until", "approve", "ask", "call"}
	if depth > 0 {
		kinds = append(kinds, "if", "switch", "foreach", "parallel", "poll")
	}
	kind := g.pick("kind", kinds...)
	body, may := g.body(kind, depth)
	if most := rapid.IntRange(0, 4).Draw(g.t, "if"); (most == 0 || most < 4 && (kind == "stop" || kind == "fail")) && !strings.HasPrefix(body, "if:") {
		head += "if: " + g.condition() + ", "
	}
	if may && rapid.IntRange(0, 3).Draw(g.t, "on_error") == 0 {
		body += ", on_error: " + g.pick("how", "continue", "fail", "[{action: test.add, with: {value: \"${{ failure.code }}\"}}]", g.deeper(depth))
	}
	return "{" + head + body + "}"
}

// deeper is a block one deeper, as long as there is one.
func (g *careless) deeper(depth int) string {
	if depth == 0 {
		return "[{wait: 1s}]"
	}
	return g.block(depth - 1)
}

func (g *careless) condition() string {
	return g.slip("condition", "'alert.noSuchField'", "'true'", "'alert.severity == \"low\"'", "'alert.severity == \"high\"'", "'int(alert.title) > 1'", "'last == nil'")
}

func (g *careless) value() string {
	return g.slip("value", "\"${{ nowhere }}\"", "a", "\"${{ vars.said }}\"", "\"${{ alert.title }}\"", "\"${{ string(int(alert.title)) }}\"")
}

// body is what a step does, and whether on_error may stand beside it.
func (g *careless) body(kind string, depth int) (text string, may bool) {
	switch kind {
	case "await":
		return "action: test.start, with: {value: a}, await: 1m", true
	case "set":
		return "set: {said: " + g.value() + "}", false
	case "stop", "fail":
		return kind + ": " + g.value(), false
	case "wait":
		return "wait: " + g.pick("time", "1s", "10m", "2d"), true
	case "until":
		return "wait: {until: " + g.slip("moment", "alert.title", "'now() + duration(\"1h\")'", "alert.createdDateTime") + "}", true
	case "approve":
		return "approve: {title: 'Go on?', by: [" + g.pick("by", "anna", "'role:lead'", "'${{ alert.assignedTo }}'") + "], within: 1h, otherwise: " +
			g.pick("silence", "approve", "reject", "fail") + "}", true
	case "ask":
		return "ask: {title: 'Which?', by: [anna], within: 1h, choices: [this, that], otherwise: " + g.pick("silence", "this", "fail") + "}", true
	case "call":
		return "playbook: sub, with: {value: " + g.pick("given", "a", "stop", "fail") + "}", true
	case "if":
		return "if: " + g.condition() + ", then: " + g.block(depth-1) + ", else: " + g.block(depth-1), true
	case "switch":
		return "switch: [{if: " + g.condition() + ", do: " + g.block(depth-1) + "}, {else: " + g.block(depth-1) + "}]", true
	case "foreach":
		return fmt.Sprintf("foreach: %s, as: i%d, concurrency: %s, do: %s", g.slip("items", "alert.title", "'[1, 2, 3]'", "alert.evidence"), g.n,
			g.pick("concurrency", "1", "2"), g.block(depth-1)), true
	case "parallel":
		return "join: " + g.pick("join", "all", "any") + ", parallel: [" + g.block(depth-1) + ", " + g.block(depth-1) + "]", true
	case "poll":
		return "wait: {until: " + g.condition() + ", every: 1m, within: 3m, do: " + g.block(depth-1) + "}", true
	}
	return "action: test." + g.pick("action", "read", "put", "add", "once", "both") + ", with: {value: " + g.value() + "}", true
}

func (g *careless) playbook() string {
	text := "vars: {said: nothing}\nsteps: " + g.block(2) + "\n"
	for _, tail := range []string{"on_failure", "finally"} {
		if rapid.Bool().Draw(g.t, tail) {
			text += tail + ": " + g.block(1) + "\n"
		}
	}
	return text
}

// Whoever writes a playbook is told what is wrong with it, or it comes to an end: whatever becomes of its attempts, whether
// people answer or not, and however often the process dies.
func TestAnyPlaybookHasFindingsOrRunsToAnEnd(t *testing.T) {
	t.Parallel()
	o := playbooks.Options{Catalog: new(world).Registry()}
	sub, findings := playbooks.Compile("sub.yaml", []byte(called), o)
	if findings.HasErrors() {
		t.Fatal(findings)
	}
	o.Callees = map[string]*playbooks.Playbook{"sub": sub}
	found, ended := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		g := careless{t: rt}
		text := "name: test\ntriggers: [{poll: {resource: alerts, every: 1m}}]\n" + g.playbook()
		p, findings := playbooks.Compile("test.yaml", []byte(text), o)
		if findings.HasErrors() {
			found++
			return
		}
		ended++
		s := saga{t: rt, p: p, text: text, now: epoch, world: truth{}}
		s.rebuild()
		s.toItsEnd()
	})
	t.Logf("%d had findings, %d ran", found, ended)
	if found == 0 || ended == 0 {
		t.Errorf("%d playbooks had findings and %d ran: the draw is no test", found, ended)
	}
}

// saga is a run with all that can happen to it.
type saga struct {
	t       *rapid.T
	p       *playbooks.Playbook
	text    string
	m       *engine.Machine
	now     time.Time
	history []engine.Entry
	world   truth
}

// rebuild makes the machine from the history, as another process does.
func (s *saga) rebuild() {
	s.t.Helper()
	ev := alert("")
	m, err := engine.Begin(s.p, newRun(s.p, ev), ev, nil)
	if err == nil {
		err = m.Replay(s.history)
	}
	if err != nil {
		s.t.Fatalf("the history does not replay: %v\n%s", err, s.text)
	}
	s.m = m
	s.history = append(s.history, m.Interrupt(s.now, false)...)
}

// turns is more than any of the drawn playbooks takes.
const turns = 20_000

func (s *saga) toItsEnd() {
	s.t.Helper()
	for range turns {
		d := s.m.Next(s.now)
		s.history = append(s.history, d.Record...)
		switch {
		case d.State.Final():
			return
		case len(d.Invoke) > 0:
			s.attempts(d.Invoke)
		case d.State == engine.Parked:
			s.settle(d)
		case !d.More && !s.people() && d.Wake.IsZero():
			s.t.Fatalf("nothing to do and nothing to wait for: %+v\n%s", d, s.text)
		case !d.More && d.Wake.After(s.now):
			s.now = d.Wake
		}
	}
	s.t.Fatalf("the run does not end\n%s", s.text)
}

func (s *saga) attempts(list []engine.Attempt) {
	killed := false
	for _, a := range list {
		e := endsWell
		if rapid.IntRange(0, 2).Draw(s.t, "trouble") == 0 {
			e = rapid.SampledFrom(endings).Draw(s.t, "ending")
		}
		if e == endsKilled || e == endsKilledOff {
			if killed = true; e == endsKilled && !a.Probe {
				s.world[a.Key]++
			}
			continue
		}
		got := settle(a, e, s.world)
		if a.Part == "await" && e == endsThrottled {
			got = answer{err: actions.NotYet("still at it")}
		}
		entry, err := s.m.Settle(a, got.out, got.absent, got.err, s.now)
		if err != nil {
			s.t.Fatalf("settle: %v\n%s", err, s.text)
		}
		s.history = append(s.history, entry)
	}
	if killed {
		s.rebuild()
	}
}

// settle is a person's word on a step in doubt: only for that a run may be parked.
func (s *saga) settle(d engine.Decision) {
	paths := s.m.Uncertain()
	if len(paths) == 0 {
		s.t.Fatalf("parked, and nothing is in doubt: %s\n%s", d.Message, s.text)
	}
	slices.Sort(paths)
	e, err := s.m.Resolve(paths[0], engine.ResolveData{By: "ana", Happened: rapid.Bool().Draw(s.t, "happened")}, s.now)
	if err != nil {
		s.t.Fatalf("resolve: %v\n%s", err, s.text)
	}
	s.history = append(s.history, e)
}

// people say something now and then while a run waits.
func (s *saga) people() bool {
	word := rapid.IntRange(0, 9).Draw(s.t, "word")
	if word == 0 {
		e, err := s.m.Cancel(engine.CancelData{By: "boss"}, s.now)
		if err == nil {
			s.history = append(s.history, e)
		}
		return err == nil
	}
	list := s.m.Questions()
	if len(list) == 0 || word > 6 {
		return false
	}
	q := list[0]
	e, err := s.m.Answer(q.Asked.ID, engine.AnsweredData{By: "anna", Roles: []string{"lead"}, Digest: q.Asked.Digest,
		Approve: word > 3, Answer: json.RawMessage(`"that"`)}, s.now)
	if err == nil {
		s.history = append(s.history, e)
	}
	return err == nil
}
