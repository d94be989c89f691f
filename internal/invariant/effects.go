package invariant

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// part is a part of a step of a run: all the attempts that share an idempotency key.
type part struct {
	run      engine.Run
	path     string // "steps/0:comment"
	action   string // "" if the playbook can't be read
	key      string
	effect   actions.Effect
	input    json.RawMessage // of the step; the first part has it
	attempts []*attempt
	found    bool // a probe found that it had happened
	joined   bool // the output says that somebody else's doing was followed
	doubt    bool // nobody knows whether the last attempt took effect
	blind    int  // an attempt that was made all the same
}

type attempt struct {
	number  int
	request string
	at      time.Time
	status  engine.OutcomeStatus
	unknown bool // the outcome says that it may have taken effect
}

// may says that the attempt may have taken effect, as far as the journal knows.
func (a *attempt) may() bool { return a.status != engine.Faulty || a.unknown }

// about names the part in a violation.
func (p *part) about() string { return fmt.Sprintf("run %s %s", p.run.ID, p.path) }

// parts reads a history by itself, without the engine's help.
func parts(p *playbooks.Playbook, l engine.Loaded) ([]*part, error) {
	named := map[string]string{}
	for _, step := range engine.Trace(p, l.Entries) {
		named[step.Path] = step.Action
	}
	byPath := map[string]*part{}
	var list []*part
	for _, e := range l.Entries {
		at := byPath[e.Path]
		switch {
		case e.Kind == engine.Intent:
			var d engine.IntentData
			if err := json.Unmarshal(e.Data, &d); err != nil {
				return nil, fmt.Errorf("entry %d: %w", e.Seq, err)
			}
			if at == nil {
				step, _, _ := strings.Cut(e.Path, ":")
				at = &part{run: l.Run, path: e.Path, action: named[step], key: d.Key, effect: d.Effect, input: d.Input}
				byPath[e.Path] = at
				list = append(list, at)
			}
			if !d.Probe {
				at.intent(e, d)
			}
		case e.Kind == engine.Outcome && at != nil:
			var d engine.OutcomeData
			if err := json.Unmarshal(e.Data, &d); err != nil {
				return nil, fmt.Errorf("entry %d: %w", e.Seq, err)
			}
			at.outcome(e, d)
		case e.Kind == engine.Resolve && at != nil:
			at.doubt = false
		}
	}
	return list, nil
}

func (p *part) intent(e engine.Entry, d engine.IntentData) {
	if p.doubt && p.blind == 0 {
		p.blind = e.Attempt
	}
	p.doubt = true
	p.attempts = append(p.attempts, &attempt{number: e.Attempt, request: d.RequestID, at: e.At})
}

func (p *part) outcome(e engine.Entry, d engine.OutcomeData) {
	if d.Probe {
		p.found = p.found || d.Status == engine.Took
		p.doubt = p.doubt && d.Status == engine.Faulty
		return
	}
	for _, a := range p.attempts {
		if a.number == e.Attempt {
			a.status, a.unknown = d.Status, d.Fault != nil && d.Fault.Unknown
			p.doubt = d.Status == engine.Faulty && a.unknown
			var out struct {
				Joined bool `json:"joined"`
			}
			p.joined = json.Unmarshal(d.Output, &out) == nil && out.Joined
		}
	}
}

// effects lays the parts of a run beside the logs.
func (c *check) effects(l engine.Loaded, p *playbooks.Playbook) {
	list, err := parts(p, l)
	if err != nil {
		c.say(Undrivable, "run "+string(l.Run.ID), "%v", err)
		return
	}
	for _, p := range list {
		repeatable := p.effect == actions.Reads || p.effect == actions.Converges
		if p.blind > 0 && !repeatable {
			c.say(Blind, p.about(), "it %s, and attempt %d was made while nobody knew of the one before", p.effect, p.blind)
		}
		for _, t := range c.targets {
			done := t.match(c, p)
			if p.effect == actions.Reads || t.Takes == nil || !t.Takes(p.action) {
				continue
			}
			if t.told() {
				c.byRequest(t, p)
			} else {
				c.byKey(t, p)
			}
			if len(done) > 1 && p.effect == actions.Adds {
				c.say(AddedTwice, p.about(), "%s adds, and was done %d times", p.action, len(done))
			}
			if len(done) > 1 && p.effect == actions.Once {
				c.say(OnceTwice, p.about(), "%s may happen once, and was done %d times", p.action, len(done))
			}
			c.markers(t, p, done)
		}
	}
}

// match finds what a target has of a part, and notes that the journal knows of it.
func (l *ledger) match(c *check, p *part) []int {
	done := l.byKey[p.key]
	for i, at := range done {
		l.known[at], l.writers[at] = true, place{p.run.ID, p.path}
		if i == 0 {
			c.inTime(l, p, p.attempts[0], at)
		}
	}
	for _, a := range p.attempts {
		for i, at := range l.byRequest[a.request] {
			l.known[at], l.writers[at] = true, place{p.run.ID, p.path}
			done = append(done, at)
			if i == 0 {
				c.inTime(l, p, a, at)
			}
		}
	}
	return done
}

// told says that a target is told request ids, as Graph is.
func (l *ledger) told() bool { return len(l.byRequest) > 0 || l.Tenant != "" }

func (c *check) inTime(l *ledger, p *part, a *attempt, at int) {
	if when := l.Effects[at].Time; !when.IsZero() && when.Add(c.Slack).Before(a.at) {
		c.say(Early, p.about(), "attempt %d was carried out at %s, its intent is of %s", a.number, when.Format(time.RFC3339Nano), a.at.Format(time.RFC3339Nano))
	}
}

// byRequest compares attempt by attempt.
func (c *check) byRequest(l *ledger, p *part) {
	any := false
	for _, a := range p.attempts {
		n := len(l.byRequest[a.request])
		any = any || n > 0
		switch {
		case n > 1:
			c.say(Repeated, p.about(), "request %s of attempt %d was carried out %d times", a.request, a.number, n)
		case n == 0 && a.status == engine.Took && p.effect == actions.Converges && !l.needless(p):
			c.say(Missing, p.about(), "attempt %d is recorded as done, and nothing happened", a.number)
		case n > 0 && !a.may():
			c.say(Denied, p.about(), "attempt %d is recorded as certainly not done, and it was", a.number)
		}
	}
	// What adds may find before an attempt that an earlier one was made after all.
	if p.effect != actions.Converges && !any && (p.found || p.took()) && !l.needless(p) {
		c.say(Missing, p.about(), "it is recorded as done, and nothing happened")
	}
}

func (p *part) took() bool {
	for _, a := range p.attempts {
		if a.status == engine.Took {
			return true
		}
	}
	return false
}

// byKey compares how often: which attempt an effect belongs to, such a target does not know.
func (c *check) byKey(l *ledger, p *part) {
	done, took, may := len(l.byKey[p.key]), 0, 0
	for _, a := range p.attempts {
		if a.status == engine.Took {
			took++
		}
		if a.may() {
			may++
		}
	}
	switch {
	case done < took:
		c.say(Missing, p.about(), "it is recorded as done %d times, and was done %d times", took, done)
	case done > may && p.effect != actions.Once || done > 0 && may == 0:
		c.say(Denied, p.about(), "it was done %d times, and %d attempts are recorded as certainly not done", done, len(p.attempts)-may)
	}
}

// needless says that there was nothing to do: merges look first whether all is one already, and
// changes of tags whether they are there; and what was asked of a device may have been under way already.
func (l *ledger) needless(p *part) bool {
	var in map[string]any
	if json.Unmarshal(p.input, &in) != nil {
		return false
	}
	switch p.action {
	case "incident.update":
		for field := range in {
			if !slices.Contains([]string{"incident", "comment", "addTags", "removeTags"}, field) {
				return false
			}
		}
		return true
	case "device.isolate", "device.release":
		return p.joined
	case "incident.merge":
		list, _ := in["incidents"].([]any)
		ends := map[string]bool{}
		for _, v := range list {
			id, _ := v.(string)
			ends[l.survivor(id)] = true
		}
		return len(ends) == 1
	}
	return false
}

// survivor is the incident that another was merged into in the end.
func (l *ledger) survivor(id string) string {
	for range l.Documents {
		next, _ := l.Documents["incidents/"+id]["redirectIncidentId"].(string)
		if next == "" {
			return id
		}
		id = next
	}
	return id
}

// lines finds the lines of the logs that nothing in the journal accounts for.
func (c *check) lines(context.Context) error {
	for _, t := range c.targets {
		for i, known := range t.known {
			if e := t.Effects[i]; !known {
				id := e.RequestID
				if id == "" {
					id = e.Key
				}
				c.say(Unrecorded, "request "+id, "%s on %s was done, and no intent in the journal says so", e.Op, e.Object)
			}
		}
	}
	return nil
}
