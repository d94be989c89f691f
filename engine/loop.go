package engine

import (
	"fmt"
	"strconv"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// tester is a compiled condition.
type tester interface {
	Bool(scope map[string]any, now time.Time) (bool, error)
}

// message evaluates a template as text. No value is no text: events that lack what a key is made
// of have no key, rather than all the same one.
func message(t *expression.Template, s scope, now time.Time) (string, error) {
	if t == nil {
		return "", nil
	}
	v, err := t.Eval(s, now)
	if err != nil || v == nil {
		return "", err
	}
	return fmt.Sprint(v), nil
}

// loop is a foreach in progress. Items start in order; up to the concurrency are in progress.
type loop struct {
	body   *playbooks.Foreach
	items  []any
	rows   []any
	begun  int
	active []*iteration
	fault  *actions.Fault // of the first item that failed
	failed int
}

type iteration struct {
	index int
	seq   *sequence
}

func newLoop(body *playbooks.Foreach, items []any) *loop {
	l := &loop{body: body, items: items, rows: make([]any, len(items))}
	for i, item := range items {
		l.rows[i] = l.row(item, result{status: "skipped"})
	}
	return l
}

// row is what steps.ID.items holds for an item.
func (l *loop) row(item any, r result) map[string]any {
	row := stepValue(r)
	delete(row, "items")
	delete(row, "attempts")
	row[l.body.As] = item
	return row
}

// settle moves every iteration on and starts new ones. It reports whether the loop is over.
func (l *loop) settle(m *Machine, f *frame) bool {
	for moved := true; moved && m.ending == nil; {
		moved = false
		rest := l.active[:0]
		for _, it := range l.active {
			it.seq.settle(m)
			if it.seq.done {
				l.close(it)
				moved = true
			} else {
				rest = append(rest, it)
			}
		}
		l.active = rest
		for len(l.active) < max(1, l.body.Concurrency) && l.begun < len(l.items) && !l.stopped() {
			l.begin(f)
			moved = true
		}
	}
	return len(l.active) == 0 && (l.begun == len(l.items) || l.stopped())
}

// stopped says that a failure keeps further items from starting.
func (l *loop) stopped() bool { return l.fault != nil && !l.body.Continue }

func (l *loop) begin(f *frame) {
	i := l.begun
	l.begun++
	l.active = append(l.active, &iteration{index: i, seq: &sequence{
		steps: l.body.Do,
		base:  f.path + "[" + strconv.Itoa(i) + "]/do",
		scope: f.scope.child(l.body.As, l.items[i]),
	}})
}

func (l *loop) close(it *iteration) {
	r := it.seq.result
	if r.bad() {
		l.failed++
		if l.fault == nil {
			l.fault = &actions.Fault{Code: r.fault.Code, Message: fmt.Sprintf("item %d: %s", it.index, r.fault.Message)}
		}
	}
	l.rows[it.index] = l.row(l.items[it.index], r)
}

// result is how the foreach as a step ended.
func (l *loop) result(body *playbooks.Foreach) result {
	r := result{status: "ok", items: l.rows}
	if l.fault != nil && !body.Continue {
		r.status, r.fault = "failed", l.fault
	}
	return r
}

// next does the first thing that can be done in any of the iterations in progress.
func (l *loop) next(t *turn) bool {
	for _, it := range l.active {
		if it.seq.next(t) {
			return true
		}
	}
	return false
}
