package playbooks

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/document"
)

// Limits say how often a playbook may run and act before a person is asked.
type Limits struct {
	Runs    Rate         // of runs that start; zero: no limit
	Effects []ActionRate // by action, in the order of the file
}

// Rate is a number within a time that slides: 50/1h.
type Rate struct {
	Most   int
	Within time.Duration
}

// String writes a rate as a playbook does.
func (r Rate) String() string { return fmt.Sprintf("%d/%s", r.Most, FormatDuration(r.Within)) }

// ActionRate is how often an action may be begun.
type ActionRate struct {
	Action string
	Rate
}

// Of returns the rate of an action; false if it has none.
func (l Limits) Of(action string) (Rate, bool) {
	for _, e := range l.Effects {
		if e.Action == action {
			return e.Rate, true
		}
	}
	return Rate{}, false
}

// limits reads how often the playbook may run and act.
func (c *compiler) limits(n *document.Node) {
	b, ok := c.block(n, "limits", limitKeys(), nil)
	if !ok {
		return
	}
	if len(n.Pairs) == 0 {
		c.fail(n, codeMissing, "add runs: 50/1h, or effects: {ACTION: 5/1h}", "limits is empty")
	}
	if runs := b.get("runs"); runs != nil {
		c.book.Limits.Runs = c.rate(runs, "runs")
	}
	effects := b.get("effects")
	if effects == nil || !c.isMap(effects, "effects") {
		return
	}
	switch {
	case len(effects.Pairs) == 0:
		c.fail(effects, codeMissing, "add ACTION: 5/1h", "effects is empty")
	case len(effects.Pairs) > MaxLimitedActions:
		c.fail(effects.Pairs[MaxLimitedActions].Key, codeLimit, "limit fewer actions", "effects has %d entries; at most %d are allowed", len(effects.Pairs), MaxLimitedActions)
		return
	}
	for _, p := range effects.Pairs {
		rate := c.rate(p.Value, p.Key.Text)
		switch action, ok := c.action(p.Key); {
		case !ok:
		case !writesAnything(action.Spec()):
			c.fail(p.Key, codeConflict, "remove it", "%s only reads: it has no effects to limit", p.Key.Text)
		default:
			c.book.Limits.Effects = append(c.book.Limits.Effects, ActionRate{Action: p.Key.Text, Rate: rate})
		}
	}
}

// unusedLimits refuses limits for actions that the playbook never calls: whoever wrote one believes in a
// protection that is not there.
func (c *compiler) unusedLimits(n *document.Node) {
	if n == nil || c.findings.HasErrors() {
		return
	}
	for _, e := range c.book.Limits.Effects {
		if !c.book.acts(e.Action) {
			c.fail(n.Get("effects").Pair(e.Action).Key, codeUnknownName, "remove it, or name the action that the steps call",
				"no step of this playbook calls %s", e.Action)
		}
	}
}

// acts says whether a step of the playbook, or of one that it calls, calls an action.
func (p *Playbook) acts(action string) (found bool) {
	look := func(s *Step) {
		act, ok := s.Body.(*Act)
		found = found || ok && act.Spec.Name == action
	}
	p.every(look)
	for _, callee := range p.Calls {
		callee.every(look)
	}
	return found
}

// rate reads a number within a time.
func (c *compiler) rate(n *document.Node, what string) Rate {
	const mend = "write a number, a slash and a time: 50/1h"
	s, ok := n.Str()
	number, within, cut := strings.Cut(s, "/")
	if !ok || !cut {
		c.fail(n, codeRate, mend, "%s is a number within a time, not %s", what, n)
		return Rate{}
	}
	most, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil {
		c.fail(n, codeRate, mend, "%s: %q is not a whole number", what, shorten(number))
		return Rate{}
	}
	d, err := ParseDuration(strings.TrimSpace(within))
	switch {
	case err != nil:
		c.fail(n, codeRate, mend, "%s: %q is not a time: %v", what, shorten(within), err)
	case most < 1 || most > MaxRate:
		c.fail(n, codeLimit, fmt.Sprintf("choose between 1 and %d; to forbid it, take the step out", MaxRate), "%s: the number is %d", what, most)
	case d < MinRateWindow || d > MaxRateWindow:
		c.fail(n, codeLimit, fmt.Sprintf("choose between %s and %s", FormatDuration(MinRateWindow), FormatDuration(MaxRateWindow)), "%s: the time is %s", what, FormatDuration(d))
	default:
		return Rate{Most: most, Within: d}
	}
	return Rate{}
}
