package playbooks

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// slaSubject is the name under which expressions see the clock that brought an event.
const slaSubject = "sla"

// sla reads an sla trigger. Its expressions are left for clock: they name the event, and what that is
// called is settled by all triggers together.
func (c *compiler) sla(n *document.Node) (*SLA, string) {
	b, ok := c.block(n, slaSubject, slaKeys(), nil)
	if !ok {
		return nil, ""
	}
	s := &SLA{Every: b.duration("every", MinPollEvery, MaxPollEvery, DefaultPollEvery)}
	s.Target = c.targets(b)
	s.Stages = c.stages(b)
	c.rising(b.get("stages"), s)
	if n := b.get("calendar"); n != nil {
		if s.Calendar = c.text(n, "calendar", MaxIdentifier); s.Calendar != "" {
			c.knowsCalendar(n, s.Calendar, 0, n.Length)
		}
	}
	resource, ok := b.need("resource", "alerts or incidents")
	if !ok {
		return s, ""
	}
	if s.Resource, ok = c.oneOf(resource, "resource", []string{alertsResource, incidentsResource}); !ok {
		return s, ""
	}
	s.Expand = c.expand(b.get("expand"), s.Resource)
	return s, subjectOf(s.Resource)
}

// targets reads the rows of target without their conditions.
func (c *compiler) targets(b *block) []Target {
	n, ok := b.need("target", "a list of how much time there is: [{if: alert.severity == \"high\", within: 30m}, {within: 4h}]")
	if !ok || !c.isList(n, "target") {
		return nil
	}
	switch {
	case len(n.Items) == 0:
		c.fail(n, codeMissing, "add {within: 4h}", "target is empty, so no clock would ever run out")
	case len(n.Items) > MaxTargets:
		c.fail(n.Items[MaxTargets], codeLimit, "join some rows", "target has %d rows; at most %d are allowed", len(n.Items), MaxTargets)
		return nil
	}
	var list []Target
	for i, item := range n.Items {
		row, ok := c.block(item, "a row of target", targetKeys(), nil)
		if !ok {
			continue
		}
		if _, ok := row.need("within", "how much time there is, such as 30m"); ok {
			list = append(list, Target{Within: row.duration("within", MinWithin, MaxWithin, 0)})
		}
		if row.get("if") == nil && i < len(n.Items)-1 {
			c.fail(n.Items[i+1], codeUnreachable, "put the row without if last", "this row is never looked at: the one above holds always")
			return list
		}
	}
	return list
}

// stages reads how much of the target is used up when the playbook is to act.
func (c *compiler) stages(b *block) []Stage {
	n, ok := b.need("stages", "when to act: {at_risk: 75%, breached: 100%}")
	if !ok || !c.isMap(n, "stages") {
		return nil
	}
	switch {
	case len(n.Pairs) == 0:
		c.fail(n, codeMissing, "add breached: 100%", "stages is empty, so nothing starts this playbook")
	case len(n.Pairs) > MaxStages:
		c.fail(n.Pairs[MaxStages].Key, codeLimit, "leave some out", "there are %d stages; at most %d are allowed", len(n.Pairs), MaxStages)
		return nil
	}
	var list []Stage
	for _, p := range n.Pairs {
		if !c.identifier(p.Key, "a stage") {
			continue
		}
		if s, ok := c.stage(p.Value); ok {
			s.Name = p.Key.Text
			list = append(list, s)
		}
	}
	return list
}

// stage reads when a stage is reached: 75% of the target, or a time after the start.
func (c *compiler) stage(n *document.Node) (s Stage, ok bool) {
	const mend = "write a part of the target such as 75%, or a time after the start such as 45m"
	text, isText := n.Str()
	if !isText {
		c.fail(n, codeStage, mend, "a stage is reached at a part of the target or at a time, not at %s", n)
		return s, false
	}
	if number, percent := strings.CutSuffix(text, "%"); percent {
		v, err := strconv.Atoi(number)
		if err != nil || v < 1 || v > MaxStagePercent || strings.HasPrefix(number, "+") {
			c.fail(n, codeStage, "write a whole number from 1% to "+strconv.Itoa(MaxStagePercent)+"%", "%q is no part of the target", shorten(text))
			return s, false
		}
		return Stage{Percent: v}, true
	}
	d, err := ParseDuration(text)
	if err != nil {
		c.fail(n, codeStage, mend, "%q is neither a part of the target nor a time", shorten(text))
		return s, false
	}
	if d < MinWithin || d > MaxWithin {
		c.fail(n, codeLimit, "choose between "+FormatDuration(MinWithin)+" and "+FormatDuration(MaxWithin), "the stage is reached after %s", FormatDuration(d))
		return s, false
	}
	return Stage{After: d}, true
}

// rising refuses stages that come in another order than they are written, for any of the targets: the
// later one stands for more.
func (c *compiler) rising(n *document.Node, s *SLA) {
	if n == nil || n.Kind != document.Map || len(s.Stages) != len(n.Pairs) {
		return
	}
	for i := 1; i < len(s.Stages); i++ {
		for _, t := range s.Target {
			if t.Within > 0 && s.Stages[i].At(t.Within) <= s.Stages[i-1].At(t.Within) {
				c.fail(n.Pairs[i].Key, codeStage, "write the stages in the order in which they come", "with the target %s, %s does not come after %s",
					FormatDuration(t.Within), s.Stages[i].Name, s.Stages[i-1].Name)
				break
			}
		}
	}
}

// clock compiles the expressions of an sla trigger.
func (c *compiler) clock(n *document.Node, s *SLA) {
	scope := c.matchScope().withoutAsking()
	delete(scope.names, slaSubject)
	b := &block{c: c, node: n, what: slaSubject}
	if start, ok := b.need("start", "the time at which the clock starts: "+c.book.Subject+".createdDateTime"); ok {
		s.Start = c.program(start, scope, expression.WantTime, "start")
	}
	if pause := b.get("pause"); pause != nil {
		s.Pause = c.conditionAs(pause, scope, "pause")
	}
	if stop := b.get("stop"); stop != nil {
		s.Stop = c.conditionAs(stop, scope, "stop")
	}
	rows := b.get("target")
	if rows == nil || len(s.Target) != len(rows.Items) {
		return // what is wrong with a row is said already
	}
	for i, row := range rows.Items {
		if cond := row.Get("if"); cond != nil {
			s.Target[i].If = c.conditionAs(cond, scope, "if")
		}
	}
}

// clocks compiles what the sla triggers left.
func (c *compiler) clocks(b *block) {
	n := b.get("triggers")
	for _, t := range c.book.Triggers {
		if t.SLA == nil {
			continue
		}
		i := slices.IndexFunc(n.Items, func(item *document.Node) bool { return item.Pos == t.Pos })
		c.clock(n.Items[i].Get(slaSubject), t.SLA)
	}
}

// At is how much time has passed when the stage is reached.
func (s Stage) At(within time.Duration) time.Duration {
	if s.Percent == 0 {
		return s.After
	}
	return time.Duration(int64(within) / 100 * int64(s.Percent))
}

// SLA is the sla trigger of a playbook; nil if it has none.
func (p *Playbook) SLA() *SLA {
	for i := range p.Triggers {
		if p.Triggers[i].SLA != nil {
			return p.Triggers[i].SLA
		}
	}
	return nil
}

// slaType is what expressions know of sla.
func slaType(s *SLA) expression.Type {
	names := make([]string, len(s.Stages))
	for i, stage := range s.Stages {
		names[i] = stage.Name
	}
	return expression.Object(map[string]expression.Type{
		"stage": expression.Enum(names...), "target": expression.Duration, "elapsed": expression.Duration,
		"start": expression.Time, "due": expression.Time,
	})
}

// knowsCalendar reports a calendar that does not exist, at some characters of a scalar.
func (c *compiler) knowsCalendar(n *document.Node, name string, offset, length int) bool {
	if c.o.Calendars == nil || c.o.Calendars[name] {
		return true
	}
	c.report(n.ErrorIn(offset, length, codeCalendar, `there is no calendar "`+shorten(name)+`"`,
		orElse(didYouMean(name, sortedNames(c.o.Calendars)), "put "+shorten(name)+".yaml into the directory of the calendars")))
	return false
}

// useCalendars remembers the calendars that an expression names.
func (c *compiler) useCalendars(n *document.Node, uses []expression.CalendarUse, base int) {
	for _, u := range uses {
		if c.knowsCalendar(n, u.Name, base+u.Offset, u.Length) {
			c.calendars[u.Name] = true
		}
	}
}
