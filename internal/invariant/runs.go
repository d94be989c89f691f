package invariant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

// farAhead is later than any run waits for.
const farAhead = 100 * 365 * 24 * time.Hour

// turn is what is known of the runs that share a concurrency key and are not over.
type turn struct {
	waiting string // one that is not parked
	parked  bool
	heads   []engine.RunID // those that the journal hands out
}

// eachRun checks every run: its effects, and where it stands.
func (c *check) eachRun(ctx context.Context) error {
	ready, err := c.Journal.Ready(ctx, c.Now.Add(farAhead), math.MaxInt32)
	if err != nil {
		return err
	}
	heads := make(map[engine.RunID]bool, len(ready))
	for _, r := range ready {
		heads[r.ID] = true
	}
	err = c.Journal.EachRun(ctx, func(r engine.Run) error {
		c.runs[string(r.ID)] = false
		l, err := c.Journal.Load(ctx, r.ID)
		if err != nil {
			return err
		}
		p, compiling := c.playbook(l)
		c.effects(l, p)
		if !r.State.Final() {
			c.takesTurn(r, heads[r.ID])
		}
		c.stands(l, p, compiling)
		return nil
	})
	for key, t := range c.turns {
		about := fmt.Sprintf("playbook %s, key %q", key[0], key[1])
		switch {
		case len(t.heads) > 1:
			c.say(Overtaken, about, "%d runs with the same key may go on: %v", len(t.heads), t.heads)
		case len(t.heads) == 0 && t.waiting != "" && !t.parked:
			c.say(Stuck, "run "+t.waiting, "the journal does not hand it out, and no other run with key %q holds it up", key[1])
		}
	}
	return err
}

// takesTurn notes whether the journal hands a run out, and what may hold it up.
func (c *check) takesTurn(r engine.Run, head bool) {
	if r.Key == "" {
		if r.State != engine.Parked && !head {
			c.say(Stuck, "run "+string(r.ID), "it is %s, and the journal does not hand it out", r.State)
		}
		return
	}
	key := [2]string{r.Playbook, r.Key}
	t := c.turns[key]
	if t == nil {
		t = &turn{}
		c.turns[key] = t
	}
	switch {
	case head:
		t.heads = append(t.heads, r.ID)
	case r.State == engine.Parked:
		t.parked = true
	default:
		t.waiting = string(r.ID)
	}
}

// stands checks that a run has a next step, and that its history leads to where its row says that
// it stands.
func (c *check) stands(l engine.Loaded, p *playbooks.Playbook, compiling error) {
	r, about := l.Run, "run "+string(l.Run.ID)
	if r.State == engine.Waiting && r.Wake.IsZero() {
		c.say(NoWake, about, "it waits and nothing says until when")
		return
	}
	if r.State == engine.Parked && r.Message == "" {
		c.say(NoReason, about, "it is parked and nothing says why")
		return
	}
	if r.State.Final() && !c.ended(l) {
		return
	}
	var d engine.Decision
	var people []string
	err := compiling
	if err == nil {
		d, people, err = replay(p, l)
	}
	switch {
	case err != nil && r.State != engine.Parked:
		c.say(Undrivable, about, "it is %s, and its history can't be replayed: %v", r.State, err)
	case err != nil:
		// Parked because of it.
	case r.State == engine.Parked && len(l.Entries) == 0 && strings.HasPrefix(r.Message, engine.HeldPrefix):
		// Held before it began: a person releases it.
	case r.State == engine.Parked && len(people) == 0:
		c.say(NoReason, about, "it is parked, its history can be replayed, and no step of it is uncertain or held")
	case r.State == engine.Ready && (d.State.Final() && len(d.Record) == 0 || d.State == engine.Parked):
		c.say(State, about, "it is ready, and its history leads to %s", d.State)
	case r.State == engine.Ready:
	case d.State != r.State || d.Message != r.Message || r.State == engine.Waiting && !d.Wake.Equal(r.Wake) || len(d.Record) > 0:
		c.say(State, about, "it is %s %q %s, and its history leads to %s %q %s, with %d entries to come",
			r.State, r.Message, stamp(r.Wake), d.State, d.Message, stamp(d.Wake), len(d.Record))
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "at no time"
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// ended says whether the history of a run that is over ends with the same words.
func (c *check) ended(l engine.Loaded) bool {
	about := "run " + string(l.Run.ID)
	var last engine.Entry
	if n := len(l.Entries); n > 0 {
		last = l.Entries[n-1]
	}
	var d engine.EndedData
	switch {
	case last.Kind != engine.Ended || json.Unmarshal(last.Data, &d) != nil:
		c.say(NoEnd, about, "it is %s, and the last entry of its history is %q", l.Run.State, last.Kind)
	case l.Run.Ended.IsZero():
		c.say(NoEnd, about, "it is %s, and nothing says since when", l.Run.State)
	case d.State != l.Run.State || d.Message != l.Run.Message:
		c.say(State, about, "it is %s %q, and its history ends as %s %q", l.Run.State, l.Run.Message, d.State, d.Message)
	default:
		return true
	}
	return false
}

// replay asks the engine what comes after a history, at the time of its last entry, and which steps wait
// for people.
func replay(p *playbooks.Playbook, l engine.Loaded) (d engine.Decision, people []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("deciding panicked: %v", r)
		}
	}()
	m, err := engine.Rebuild(p, l)
	if err != nil {
		return d, nil, err
	}
	now := l.Run.Created
	if n := len(l.Entries); n > 0 {
		now = l.Entries[n-1].At
	}
	d = m.Next(now)
	if d.State != engine.Ready || len(d.Record) > 0 || len(d.Asks) > 0 {
		return d, append(m.Uncertain(), m.Held()...), nil
	}
	// Attempts are in the air: at the next start they are cut off, and something must come of it.
	if cut := m.Interrupt(now, false); len(cut) == 0 {
		return d, nil, errors.New("it waits for attempts that can't be cut off")
	}
	return d, append(m.Uncertain(), m.Held()...), nil
}
