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
	known  bool // its items are
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

// over gives the loop its items.
func (l *loop) over(items []any) {
	l.known, l.items, l.rows = true, items, make([]any, len(items))
	for i, item := range items {
		l.rows[i] = l.row(item, result{status: "skipped"})
	}
}

// row is what steps.ID.items holds for an item.
func (l *loop) row(item any, r result) map[string]any {
	row := stepValue(r)
	for _, of := range []string{"items", "attempts", "answer", "approved"} {
		delete(row, of) // of a step, not of an item
	}
	row[l.body.As] = item
	return row
}

// settle moves every iteration on and starts new ones.
func (l *loop) settle(m *Machine, f *frame) {
	if !l.known {
		return
	}
	for moved := true; moved && !f.seq.play.halted; {
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
	if len(l.active) == 0 && (l.begun == len(l.items) || l.stopped()) {
		f.finish(l.result())
	}
}

// stopped says that a failure keeps further items from starting.
func (l *loop) stopped() bool { return l.fault != nil && !l.body.Continue }

func (l *loop) begin(f *frame) {
	i := l.begun
	l.begun++
	s := f.scope.child(l.body.As, l.items[i])
	l.active = append(l.active, &iteration{index: i, seq: f.inner(l.body.Do, "["+strconv.Itoa(i)+"]/do", s)})
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
func (l *loop) result() result {
	r := result{status: "ok", items: l.rows}
	if l.fault != nil && !l.body.Continue {
		r.status, r.fault = "failed", l.fault
	}
	return r
}

// next does the first thing that can be done in any of the iterations in progress.
func (l *loop) next(t *turn, f *frame) bool {
	if !l.known {
		t.record(f.path, Looped, 0, f.items(t, l.body))
		return true
	}
	for _, it := range l.active {
		if it.seq.next(t) {
			return true
		}
	}
	return false
}

func (l *loop) fold(_ *Machine, f *frame, e Entry, _ string) error {
	if e.Kind != Looped || l.known {
		return f.strange(e)
	}
	d, err := decodeData[loopedData](e)
	if err != nil {
		return err
	}
	if d.Fault != nil {
		f.finish(failed(d.Fault))
		return nil
	}
	v, err := decodeValue(d.Items)
	if err != nil {
		return err
	}
	items, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%w: entry %d holds no list", errNotFollowing, e.Seq)
	}
	l.over(items)
	return nil
}

func (l *loop) drop(m *Machine) {
	for _, it := range l.active {
		it.seq.drop(m)
	}
}

// items works out what a foreach goes over.
func (f *frame) items(t *turn, body *playbooks.Foreach) loopedData {
	v, err := body.Items.Eval(f.scope, t.m.run.Created)
	if err != nil {
		return loopedData{Fault: expressionFault("foreach", err)}
	}
	list, ok := v.([]any)
	switch {
	case v == nil:
		list = []any{}
	case !ok:
		return loopedData{Fault: actions.Failf("expression", "foreach: the value is no list but %T", v)}
	case len(list) > MaxItems:
		return loopedData{Fault: actions.Failf("limit", "foreach: %d items; at most %d are allowed", len(list), MaxItems)}
	}
	raw, err := encodeValue(list)
	if err != nil {
		return loopedData{Fault: expressionFault("foreach", err)}
	}
	return loopedData{Items: raw}
}
