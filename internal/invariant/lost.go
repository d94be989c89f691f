package invariant

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/triggers"
)

// Poll is what a poll could see in the end. The durations are the poller's; zero means its defaults.
type Poll struct {
	Tenant   string // as the journal calls it
	Resource string // alerts or incidents
	Objects  []Object

	// LastPass is when the last complete poll began. Zero: it is taken that everything was polled
	// up to the position.
	LastPass   time.Time
	Overlap    time.Duration
	SweepEvery time.Duration
	SweepBack  time.Duration
	// Grace is how much later than due a sweep may be: it fails while Graph is down.
	Grace time.Duration
}

// Object is a document that can be seen, and since when; zero: always.
type Object struct {
	Document map[string]any
	Since    time.Time
}

// lost checks that every object below a poll's position has an event for the version that it has.
//
// An object that surfaced on time must be known. One that surfaced late, after a poll had passed
// its time, is found by the next poll if the overlap reaches it, else by the next sweep; until then
// it may be unknown. What surfaced later than any sweep reaches back can't be known, and what was
// updated before the first look-back is nobody's wish.
func (c *check) lost(ctx context.Context) error {
	if c.Books == nil {
		return nil
	}
	for _, p := range c.Polls {
		if err := c.lostOf(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// reach is what a poller has read for certain, as the journal has it.
type reach struct {
	Poll
	position, swept, floor time.Time
	now                    time.Time
}

func (c *check) lostOf(ctx context.Context, p Poll) error {
	r := reach{Poll: p, now: c.Now}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{
		{&r.Overlap, triggers.DefaultOverlap}, {&r.SweepEvery, triggers.DefaultSweepEvery},
		{&r.SweepBack, triggers.DefaultSweepBack}, {&r.Grace, triggers.DefaultOverlap},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	position, err := c.Journal.Position(ctx, p.Tenant+"/poll/"+p.Resource)
	if err != nil {
		return err
	}
	sweeps, err := c.Journal.Position(ctx, p.Tenant+"/sweep/"+p.Resource)
	if err != nil {
		return err
	}
	swept, floor, _ := strings.Cut(sweeps, "/")
	r.position, r.swept, r.floor = timeOf(position), timeOf(swept), timeOf(floor)
	if r.position.IsZero() || r.floor.IsZero() {
		return nil // the first poll is not over
	}
	must := map[string]string{} // event → why
	var ids []string
	for _, o := range p.Objects {
		id, updated := text(o.Document, "id"), text(o.Document, "lastUpdateDateTime")
		why := r.must(timeOf(updated), o.Since)
		if why == "" || !c.wanted(p, o) {
			continue
		}
		event := p.Tenant + "/" + p.Resource + "/" + identity(id) + "/" + identity(updated)
		must[event] = why
		ids = append(ids, event)
	}
	for chunk := range slices.Chunk(ids, page) {
		known, err := c.Journal.Known(ctx, chunk)
		if err != nil {
			return err
		}
		for _, id := range chunk {
			if !known[id] {
				c.say(Lost, "event "+id, "%s, the position is %s, and the journal does not know it", must[id], position)
			}
		}
	}
	return nil
}

// must says why an object that was updated at a time and surfaced at another has to be known; ""
// if it need not be.
func (r reach) must(updated, since time.Time) string {
	if updated.IsZero() || updated.After(r.position) || updated.Before(r.floor) {
		return ""
	}
	passed := r.LastPass
	if passed.IsZero() {
		passed = r.position
	}
	if !since.After(updated) {
		if updated.After(passed) {
			return "" // others dated ahead moved the position
		}
		return "it was there in time"
	}
	if !r.LastPass.IsZero() && !since.After(r.LastPass) && !updated.Before(r.position.Add(-r.Overlap)) {
		return "the overlap of the last poll reaches it"
	}
	// A sweep reads back from where the position was then, which was not behind us.
	from := r.position
	if !from.After(r.now) && r.swept.Before(from) {
		from = r.swept
	}
	if !since.After(r.swept) && !updated.Before(from.Add(-r.SweepBack)) {
		return "the sweep of " + stamp(r.swept) + " reaches it"
	}
	due := since.Add(r.SweepEvery + r.Grace)
	if r.now.After(due) && !updated.Before(due.Add(-r.SweepBack)) {
		return "a sweep was due since"
	}
	return ""
}

// wanted says whether a loaded playbook asks for an object. One whose filter can't be evaluated
// does not.
func (c *check) wanted(poll Poll, o Object) bool {
	var raw json.RawMessage
	for _, p := range c.Books.Playbooks {
		if !p.Enabled || len(p.Tenants) > 0 && !slices.Contains(p.Tenants, poll.Tenant) {
			continue
		}
		for _, t := range p.Triggers {
			if t.Poll == nil || t.Poll.Resource != poll.Resource {
				continue
			}
			if t.Poll.Filter == nil {
				return true
			}
			if raw == nil {
				raw, _ = json.Marshal(o.Document) // it came from JSON
			}
			if passes(p, t, raw, c.Now) {
				return true
			}
		}
	}
	return false
}

func passes(p *playbooks.Playbook, t playbooks.Trigger, raw json.RawMessage, now time.Time) bool {
	subject, err := expression.Decode(raw, p.SubjectType)
	if err != nil {
		return false
	}
	ok, _, err := t.Poll.Filter.Program.Match(map[string]any{p.Subject: subject}, now)
	return err == nil && ok
}

func text(document map[string]any, field string) string {
	s, _ := document[field].(string)
	return s
}

func timeOf(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// identity is how an id or version becomes a part of an event's ID: as it is, or its hash if it is
// long or holds what does not print. It is written here a second time on purpose.
func identity(s string) string {
	plain := s != "" && len(s) <= triggers.MaxIdentity && utf8.ValidString(s)
	if plain && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return fmt.Sprintf("sha256:%s", hex.EncodeToString(sum[:16]))
}
