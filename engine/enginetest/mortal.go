package enginetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/playbookd/playbookd/engine"
)

// Kill is where a process ends.
type Kill struct {
	// Entry is the entry of the run's history at which it ends, counted from 1; 0: it doesn't.
	Entry int
	// Before is set if it ends before the entry is durable. What the entry is about has happened by then. Otherwise it ends
	// at once afterwards: what the entry announces has not.
	Before bool
}

func (k Kill) String() string {
	if k.Before {
		return fmt.Sprintf("before entry %d", k.Entry)
	}
	return fmt.Sprintf("after entry %d", k.Entry)
}

// mortal is a journal whose process ends at an entry. What one transaction writes is cut there, as if each entry were one
// of its own: not every engine writes them together. Of what a dead process still asks for, nothing happens.
type mortal struct {
	engine.Journal
	mu    sync.Mutex
	kill  Kill
	kinds []engine.EntryKind // of the entries that are durable, in order
	died  chan struct{}      // closed by the death
}

func newMortal(j engine.Journal, k Kill) *mortal {
	return &mortal{Journal: j, kill: k, died: make(chan struct{})}
}

func (m *mortal) dead() bool {
	select {
	case <-m.died:
		return true
	default:
		return false
	}
}

// errDead is what a dead process learns about every run: there is nothing for it to go on with.
var errDead = fmt.Errorf("%w: the process is dead", engine.ErrNotFound)

// cut says how many of some entries become durable, and whether the process ends with them.
func (m *mortal) cut(list []engine.Entry) (keep int, dies bool) {
	if m.kill.Entry == 0 || len(m.kinds)+len(list) < m.kill.Entry {
		return len(list), false
	}
	keep = m.kill.Entry - len(m.kinds)
	if m.kill.Before {
		keep--
	}
	return keep, true
}

// write makes the first of some entries durable and ends the process if it is time to.
func (m *mortal) write(list []engine.Entry, do func(keep int) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead() {
		return errDead
	}
	keep, dies := m.cut(list)
	var err error
	if keep > 0 || !dies { // a process that dies before the first entry writes nothing at all
		if err = do(keep); err == nil {
			for _, e := range list[:keep] {
				m.kinds = append(m.kinds, e.Kind)
			}
		}
	}
	if dies {
		close(m.died)
		return errDead
	}
	return err
}

func (m *mortal) Admit(ctx context.Context, a engine.Admission) (receipt engine.Receipt, err error) {
	first := &engine.PlannedRun{}
	if len(a.Events) > 0 && len(a.Events[0].Runs) > 0 {
		first = &a.Events[0].Runs[0] // the one run of the case
	}
	all := first.Entries
	err = m.write(all, func(keep int) (err error) {
		if keep < len(all) {
			first.Entries, first.Writes = all[:keep], nil
			first.Run.State, first.Run.Message, first.Run.Wake, first.Run.Ended = engine.Ready, "", time.Time{}, time.Time{}
		}
		receipt, err = m.Journal.Admit(ctx, a)
		return err
	})
	if err != nil {
		return engine.Receipt{}, err
	}
	return receipt, nil
}

func (m *mortal) Append(ctx context.Context, a engine.Append) error {
	return m.write(a.Entries, func(keep int) error {
		if keep < len(a.Entries) {
			a = engine.Append{Run: a.Run, Entries: a.Entries[:keep], State: engine.Ready}
		}
		return m.Journal.Append(ctx, a)
	})
}

// End is an Append: what follows from the end comes with it or, if the process dies before the last entry,
// not at all.
func (m *mortal) End(ctx context.Context, a engine.Append, following engine.Admission) (receipt engine.Receipt, err error) {
	err = m.write(a.Entries, func(keep int) (err error) {
		if keep < len(a.Entries) {
			return m.Journal.Append(ctx, engine.Append{Run: a.Run, Entries: a.Entries[:keep], State: engine.Ready})
		}
		receipt, err = m.Journal.End(ctx, a, following)
		return err
	})
	return receipt, err
}
