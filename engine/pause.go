package engine

import (
	"strconv"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// pause is a wait in progress.
//
//	for, until a time:      timed ──(its time)──► woke: over
//	until a condition:      timed (the end of within)
//	                          └► do ─► chose ──yes──► over
//	                              ▲      └─no─(every)─► woke
//	                              └───────────────────────┘
type pause struct {
	body  *playbooks.Wait
	begun bool
	until time.Time // when it is over, or gives up
	ready time.Time // of a condition: when the next look is due
	round int
	do    *sequence // of a condition: the steps of the round
}

func (p *pause) settle(m *Machine, f *frame) {
	if p.do == nil {
		return
	}
	p.do.settle(m)
	if p.do.done && p.do.result.bad() {
		f.finish(p.do.result)
	}
}

func (p *pause) next(t *turn, f *frame) bool {
	switch {
	case !p.begun:
		t.record(f.path, Timed, 0, p.time(t, f))
		return true
	case p.do != nil && !p.do.done:
		return p.do.next(t)
	case p.do != nil && p.ready.IsZero():
		var d choseData
		look := *f
		look.scope = p.do.scope
		d.Take, d.Fault = look.test(t, "until", p.body.Poll.Until)
		t.record(f.path, Chose, 0, d)
		return true
	}
	due := p.until
	if p.body.Poll != nil {
		due = p.ready
	}
	if t.now.Before(due) {
		t.sleepUntil(due)
		return false
	}
	t.record(f.path, Woke, 0, struct{}{})
	return true
}

// time works out when the wait ends.
func (p *pause) time(t *turn, f *frame) timedData {
	switch {
	case p.body.Poll != nil:
		return timedData{Until: t.now.Add(p.body.Poll.Within).UTC()}
	case p.body.Until == nil:
		return timedData{Until: t.now.Add(p.body.For).UTC()}
	}
	v, err := p.body.Until.Eval(f.scope, t.m.run.Created)
	if err != nil {
		return timedData{Fault: expressionFault("until", err)}
	}
	until, ok := v.(time.Time)
	switch {
	case !ok:
		return timedData{Fault: actions.Failf("expression", "until: the value is no time but %T", v)}
	case until.Sub(t.now) > playbooks.MaxWait:
		return timedData{Fault: actions.Failf("limit", "until: %s is further away than %s", until.Format(time.RFC3339), playbooks.FormatDuration(playbooks.MaxWait))}
	}
	return timedData{Until: until.UTC()}
}

func (p *pause) fold(_ *Machine, f *frame, e Entry, _ string) error {
	switch {
	case e.Kind == Timed && !p.begun:
		d, err := decodeData[timedData](e)
		switch {
		case err != nil:
			return err
		case d.Fault != nil:
			f.finish(failed(d.Fault))
			return nil
		}
		p.begun, p.until = true, d.Until
		if p.body.Poll != nil {
			p.look(f)
		}
		return nil
	case e.Kind == Woke && p.begun && p.body.Poll == nil:
		f.finish(result{status: "ok"})
		return nil
	case e.Kind == Woke && !p.ready.IsZero():
		p.round++
		p.look(f)
		return nil
	case e.Kind == Chose && p.do != nil && p.do.done && p.ready.IsZero():
		return p.foldLook(f, e)
	}
	return f.strange(e)
}

// look begins a round.
func (p *pause) look(f *frame) {
	p.ready = time.Time{}
	p.do = f.inner(p.body.Poll.Do, "["+strconv.Itoa(p.round)+"]/do", f.scope.fork())
}

func (p *pause) foldLook(f *frame, e Entry) error {
	d, err := decodeData[choseData](e)
	switch {
	case err != nil:
		return err
	case d.Fault != nil:
		f.finish(failed(d.Fault))
	case d.Take:
		f.finish(result{status: "ok", output: p.do.result.output})
	case !e.At.Before(p.until):
		f.finish(failed(actions.Failf(actions.CodeTimeout, "the condition did not hold within %s", playbooks.FormatDuration(p.body.Poll.Within))))
	default:
		p.ready = e.At.Add(p.body.Poll.Every)
		if p.ready.After(p.until) {
			p.ready = p.until // one last look
		}
	}
	return nil
}

func (p *pause) drop(m *Machine) {
	if p.do != nil {
		p.do.drop(m)
	}
}

// sleepUntil asks to be called again at a time.
func (t *turn) sleepUntil(at time.Time) {
	if t.wake.IsZero() || at.Before(t.wake) {
		t.wake = at
	}
}
