package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// ClockState says whether time counts.
type ClockState string

// The states of a clock. A stopped one goes on where it stood if its object takes back what stopped it.
const (
	ClockRunning ClockState = "running"
	ClockPaused  ClockState = "paused"
	ClockStopped ClockState = "stopped"
)

// Clock is the clock that the sla trigger of a playbook keeps for one object.
//
// What it counts by is the object's own time: Start, and when the versions came about by which it was
// paused, resumed or stopped. Our clock has one say only, whether a stage is due by now; so one that is
// set back or forward never changes what has elapsed. Each stage has at most one mark, and one with a
// mark never fires again.
type Clock struct {
	Tenant   string     `json:"tenant"`
	Playbook string     `json:"playbook"`
	Object   string     `json:"object"`
	Title    string     `json:"title,omitempty"` // for people: hostile text, never parsed
	Revision int        `json:"revision"`        // counts changes, so that two of them can't overtake each other
	Seen     time.Time  `json:"seen"`            // by our clock: the version that it was last counted by
	State    ClockState `json:"state"`
	// Start is when the clock began; zero: it could not be worked out yet, see Fault.
	Start time.Time `json:"start,omitzero"`
	// At is since when the clock is in its state, and Elapsed what had elapsed by then. While it runs,
	// the time since At counts too.
	At      time.Time     `json:"at,omitzero"`
	Elapsed time.Duration `json:"elapsed"`
	Within  time.Duration `json:"within"` // the target; 0: there is none
	Marks   []Mark        `json:"marks,omitempty"`
	// Next is the stage that comes next if nothing changes, and Due when it does; zero: never.
	Next string    `json:"next,omitempty"`
	Due  time.Time `json:"due,omitzero"`
	// Breach is when the target is used up if nothing changes, or was; zero: never.
	Breach   time.Time `json:"breach,omitzero"`
	Calendar string    `json:"calendar,omitempty"` // its name; "": every hour counts
	// Fault says why the clock can't be counted; nothing fires then.
	Fault string `json:"fault,omitempty"`
}

// Mark says what became of a stage.
type Mark struct {
	Stage string    `json:"stage"`
	At    time.Time `json:"at"` // by our clock
	// Fired is false for a stage that was passed over: a later one was due at the same time, or it was
	// due before the playbook kept the clock.
	Fired bool `json:"fired"`
}

// SLA is what an event of a clock says besides its object.
type SLA struct {
	Stage   string    `json:"stage"`
	Target  string    `json:"target"`  // a duration, as playbooks write them
	Elapsed string    `json:"elapsed"` // business time, to the second
	Start   time.Time `json:"start"`
	Due     time.Time `json:"due,omitzero"` // when the target is used up, to the second
}

// value is what expressions see as sla.
func (s *SLA) value() any {
	if s == nil {
		return nil
	}
	v := map[string]any{"stage": s.Stage, "start": s.Start, "due": s.Due}
	for name, text := range map[string]string{"target": s.Target, "elapsed": s.Elapsed} {
		v[name] = nil
		if d, err := playbooks.ParseDuration(text); err == nil {
			v[name] = d
		}
	}
	if s.Due.IsZero() {
		v["due"] = nil
	}
	return v
}

// slaPrefix begins the source of the events of clocks.
var slaPrefix = playbooks.SLASource("")

// FromClock says that an event is a stage of a clock. Its payload is that of a version that the journal
// had already, so it is no version of its object.
func FromClock(ev Event) bool { return strings.HasPrefix(ev.Source, slaPrefix) }

// isVersion says that an event is a version of an object as a poll has read it. What somebody pushes or
// enters by hand may be a part of an object, or made up.
func isVersion(ev Event) bool {
	return ev.Object != "" && strings.HasPrefix(ev.Source, "poll/") && strings.HasPrefix(ev.ID, ev.Tenant+"/"+ev.Object+"/")
}

// every hour of every day.
type everyHour struct{}

func (everyHour) Open(time.Time) bool                      { return true }
func (everyHour) Elapsed(from, to time.Time) time.Duration { return to.Sub(from) }
func (everyHour) Add(from time.Time, d time.Duration) (time.Time, error) {
	return from.Add(d), nil
}

// versionTime is when a version came about. A time far ahead of our clock is a mistake of somebody, and
// would stop the clock for years.
func versionTime(ev Event) time.Time {
	if ev.Occurred.IsZero() || ev.Occurred.After(ev.Seen.Add(MaxAhead)) || mutant.On(mutant.OwnTime) {
		return ev.Seen
	}
	return ev.Occurred
}

// MaxAhead is how far ahead of our clock the time of a version may be and still count.
const MaxAhead = 24 * time.Hour

// Count brings a clock up to date with a version of its object. old is nil if there is none yet; false
// means that there still is none, because start has no value. It is pure; subject is the event's
// payload, decoded with the playbook's SubjectType.
func Count(p *playbooks.Playbook, old *Clock, ev Event, subject any, c Circumstances) (Clock, bool) {
	k := counting{p: p, sla: p.SLA(), now: ev.Seen, scope: eventScope(p, ev, subject, c, roomOfEvent)}
	clock := Clock{Tenant: ev.Tenant, Playbook: p.Name, Object: ev.Object, State: ClockRunning}
	if old != nil {
		clock = *old
		clock.Marks = slices.Clone(old.Marks)
	}
	clock.Title, clock.Seen, clock.Fault, clock.Calendar = strings.ToValidUTF8(ev.Title, "\uFFFD"), ev.Seen, "", k.sla.Calendar
	err := k.count(&clock, versionTime(ev), c)
	if err == nil && clock.Start.IsZero() && old == nil {
		return Clock{}, false
	}
	if err != nil {
		clock.Fault = err.Error()
	}
	k.plan(&clock)
	return clock, true
}

// counting is one look at a clock.
type counting struct {
	p     *playbooks.Playbook
	sla   *playbooks.SLA
	hours expression.Calendar
	now   time.Time
	scope map[string]any
}

// hoursOf finds the calendar of a playbook's clocks.
func hoursOf(sla *playbooks.SLA, calendars expression.Calendars) (expression.Calendar, error) {
	if sla.Calendar == "" {
		return everyHour{}, nil
	}
	if hours := calendars[sla.Calendar]; hours != nil {
		return hours, nil
	}
	return nil, fmt.Errorf("there is no calendar %s", sla.Calendar)
}

func (k *counting) count(c *Clock, at time.Time, circumstances Circumstances) (err error) {
	if k.hours, err = hoursOf(k.sla, circumstances.Calendars); err != nil {
		return err
	}
	if c.Start.IsZero() {
		v, err := k.sla.Start.Eval(k.scope, k.now)
		start, ok := v.(time.Time)
		if err != nil || !ok {
			return err
		}
		// A date that stands for none may lie at either end of time, and what is due after the end of it can't be stored.
		if earliest, latest := at.Add(-expression.MaxBusinessSpan), at.Add(expression.MaxBusinessSpan); start.Before(earliest) {
			start = earliest
		} else if start.After(latest) {
			start = latest
		}
		c.Start, c.At = start.UTC(), start.UTC()
	}
	state, err := k.state()
	if err != nil {
		return err
	}
	if at.Before(c.At) {
		at = c.At
	}
	if state != c.State {
		if c.State == ClockRunning {
			c.Elapsed += k.hours.Elapsed(c.At, at)
		}
		c.State, c.At = state, at.UTC()
	}
	c.Within, err = k.target()
	return err
}

// state says what the version makes of the clock.
func (k *counting) state() (ClockState, error) {
	for _, rule := range []struct {
		state ClockState
		when  *expression.Program
	}{{ClockStopped, k.sla.Stop}, {ClockPaused, k.sla.Pause}} {
		if rule.when == nil {
			continue
		}
		holds, err := rule.when.Bool(k.scope, k.now)
		if err != nil {
			return "", err
		}
		if holds {
			return rule.state, nil
		}
	}
	return ClockRunning, nil
}

// target is how much time there is: the first row that holds; 0 if none does.
func (k *counting) target() (time.Duration, error) {
	for _, row := range k.sla.Target {
		if row.If == nil {
			return row.Within, nil
		}
		holds, err := row.If.Bool(k.scope, k.now)
		if err != nil {
			return 0, err
		}
		if holds {
			return row.Within, nil
		}
	}
	return 0, nil
}

// plan works out what comes next.
func (k *counting) plan(c *Clock) {
	c.Next, c.Due, c.Breach = "", time.Time{}, time.Time{}
	if c.State != ClockRunning || c.Within == 0 || c.Fault != "" || c.Start.IsZero() {
		return
	}
	c.Breach = c.reach(c.Within, k.hours)
	if left := c.left(k.sla); len(left) > 0 {
		c.Next, c.Due = left[0].Name, c.reach(left[0].At(c.Within), k.hours)
	}
}

// left are the stages that can still fire: those behind the last one that has a mark.
func (c *Clock) left(sla *playbooks.SLA) []playbooks.Stage {
	for i, stage := range slices.Backward(sla.Stages) {
		if slices.ContainsFunc(c.Marks, func(m Mark) bool { return m.Stage == stage.Name }) {
			return sla.Stages[i+1:]
		}
	}
	return sla.Stages
}

// reach is when so much time has elapsed, if the clock goes on running; zero: never.
func (c *Clock) reach(need time.Duration, hours expression.Calendar) time.Time {
	if need <= c.Elapsed {
		return c.At
	}
	at, err := hours.Add(c.At, need-c.Elapsed)
	if err != nil {
		return time.Time{} // the calendar is closed for ten years
	}
	return at.UTC()
}

// Strike marks the stages that are due at asOf and says which of them fires: the last. Those before it
// are passed over: three runs at once for what was missed help nobody. now is the time of the marks.
func (c *Clock) Strike(p *playbooks.Playbook, calendars expression.Calendars, asOf, now time.Time) (*SLA, bool) {
	k := counting{p: p, sla: p.SLA()}
	var err error
	if k.hours, err = hoursOf(k.sla, calendars); err != nil {
		return nil, false
	}
	due := c.dueAt(k, asOf)
	if due == 0 {
		return nil, false
	}
	for i, stage := range c.left(k.sla)[:due] {
		c.Marks = append(c.Marks, Mark{Stage: stage.Name, At: now.UTC(), Fired: i == due-1})
	}
	k.plan(c)
	elapsed := c.Elapsed
	if now.After(c.At) {
		elapsed += k.hours.Elapsed(c.At, now)
	}
	return &SLA{
		Stage: c.Marks[len(c.Marks)-1].Stage, Target: playbooks.FormatDuration(c.Within),
		Elapsed: playbooks.FormatDuration(elapsed.Truncate(time.Second)), Start: c.Start, Due: c.Breach.Truncate(time.Second),
	}, true
}

// dueAt is how many of the stages left are due at a time.
func (c *Clock) dueAt(k counting, asOf time.Time) int {
	if c.Due.IsZero() {
		return 0
	}
	due := 0
	for i, stage := range c.left(k.sla) {
		if at := c.reach(stage.At(c.Within), k.hours); !at.IsZero() && !at.After(asOf) {
			due = i + 1
		}
	}
	return due
}

// skip marks the stages that are due at asOf as passed over, and says whether there were any.
func (c *Clock) skip(p *playbooks.Playbook, calendars expression.Calendars, asOf time.Time) bool {
	_, due := c.Strike(p, calendars, asOf, asOf)
	if due {
		c.Marks[len(c.Marks)-1].Fired = false
	}
	return due
}

// Event is what a stage of a clock is to the journal. Its ID is made from object, playbook and stage, so
// that the same stage of the same object is known however often it is delivered.
func (c *Clock) Event(sla *SLA, version Event, now time.Time) Event {
	return Event{
		ID:     fmt.Sprintf("%s/%s/%s/%s", c.Tenant, playbooks.SLASource(c.Playbook), sla.Stage, c.Object),
		Tenant: c.Tenant, Source: playbooks.SLASource(c.Playbook), Kind: version.Kind, Object: c.Object, Title: version.Title,
		Occurred: now.UTC(), Seen: now.UTC(), Payload: version.Payload, SLA: sla,
	}
}
