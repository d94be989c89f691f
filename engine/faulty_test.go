package engine_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// faulty is a journal that can fail before it does what it is asked, or after.
type faulty struct {
	journal
	mu     sync.Mutex
	calls  map[string]int
	before func(op string, n int) error // the n-th call of op, from 1
	after  func(op string, n int) error
}

func (f *faulty) call(op string, do func() error) error {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[op]++
	n := f.calls[op]
	f.mu.Unlock()
	if f.before != nil {
		if err := f.before(op, n); err != nil {
			return err
		}
	}
	err := do()
	if err == nil && f.after != nil {
		err = f.after(op, n)
	}
	return err
}

func (f *faulty) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

func (f *faulty) Admit(ctx context.Context, a engine.Admission) (r engine.Receipt, err error) {
	err = f.call("Admit", func() (err error) { r, err = f.journal.Admit(ctx, a); return err })
	if err != nil {
		r = engine.Receipt{}
	}
	return r, err
}

func (f *faulty) Append(ctx context.Context, a engine.Append) error {
	return f.call("Append", func() error { return f.journal.Append(ctx, a) })
}

func (f *faulty) End(ctx context.Context, a engine.Append, following engine.Admission) (r engine.Receipt, err error) {
	err = f.call("End", func() (err error) { r, err = f.journal.End(ctx, a, following); return err })
	if err != nil {
		r = engine.Receipt{}
	}
	return r, err
}

func (f *faulty) Newest(ctx context.Context, tenant, object, source string) (e engine.Event, err error) {
	err = f.call("Newest", func() (err error) { e, err = f.journal.Newest(ctx, tenant, object, source); return err })
	return e, err
}

func (f *faulty) Uses(ctx context.Context, like engine.Use, after time.Time) (n int, err error) {
	err = f.call("Uses", func() (err error) { n, err = f.journal.Uses(ctx, like, after); return err })
	return n, err
}

func (f *faulty) Ready(ctx context.Context, now time.Time, limit int) (runs []engine.Run, err error) {
	err = f.call("Ready", func() (err error) { runs, err = f.journal.Ready(ctx, now, limit); return err })
	return runs, err
}

func (f *faulty) NextWake(ctx context.Context) (t time.Time, err error) {
	err = f.call("NextWake", func() (err error) { t, err = f.journal.NextWake(ctx); return err })
	return t, err
}

func (f *faulty) Load(ctx context.Context, id engine.RunID) (l engine.Loaded, err error) {
	err = f.call("Load", func() (err error) { l, err = f.journal.Load(ctx, id); return err })
	return l, err
}

func (f *faulty) Latest(ctx context.Context, tenant, object string) (e engine.Event, err error) {
	err = f.call("Latest", func() (err error) { e, err = f.journal.Latest(ctx, tenant, object); return err })
	return e, err
}

func (f *faulty) Writes(ctx context.Context, tenant, object string, since time.Time) (w []engine.Write, err error) {
	err = f.call("Writes", func() (err error) { w, err = f.journal.Writes(ctx, tenant, object, since); return err })
	return w, err
}

var errDisk = errors.New("the disk is gone")

// unreadable is a journal in which some runs are damaged.
type unreadable struct {
	faulty
	bad     []engine.RunID
	damaged atomic.Bool
}

func (u *unreadable) Load(ctx context.Context, id engine.RunID) (engine.Loaded, error) {
	if u.damaged.Load() && slices.Contains(u.bad, id) {
		return engine.Loaded{}, errDisk
	}
	return u.journal.Load(ctx, id)
}
