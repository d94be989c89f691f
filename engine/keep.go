package engine

import (
	"context"
	"errors"
	"time"

	"github.com/playbookd/playbookd/internal/mutant"
)

// KeepPause is the longest pause between two tries to record an outcome.
const KeepPause = 5 * time.Second

// keep makes the outcome of an attempt durable, however long the journal refuses it: whether an
// effect happened is known here and, once forgotten, to nobody. Meanwhile the run keeps its worker,
// so that what is held in memory is bounded by the workers: no more than the attempts that they
// had in the air. It gives up when attempts are cut off because the process ends, and when the run's
// history is not what it was: then somebody else has gone on with it. What has to be decided anew is
// given back at once.
func (d *driver) keep(ctx, attempts context.Context, dec Decision) error {
	err := d.append(ctx, dec)
	if err == nil || errors.Is(err, ErrMoved) || mutant.On(mutant.ForgetOutcome) {
		return err
	}
	d.e.keeping.Add(1)
	defer d.e.keeping.Add(-1)
	pause := JournalPause
	for tries := 1; err != nil; tries++ {
		if errors.Is(err, ErrOutOfOrder) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrMoved) {
			return err
		}
		if tries&(tries-1) == 0 { // less and less often
			d.e.log.Error("an outcome can't be recorded: it is kept in memory and tried again", "run", d.run.ID,
				"playbook", d.run.Playbook, "tries", tries, "err", err)
		}
		sleep(attempts, pause)
		if attempts.Err() != nil {
			d.e.log.Error("the process ends before an outcome could be recorded: the attempt counts as cut off", "run", d.run.ID,
				"playbook", d.run.Playbook, "err", err)
			return err
		}
		pause = min(2*pause, KeepPause)
		err = d.append(ctx, dec)
	}
	d.e.log.Info("the outcome is recorded", "run", d.run.ID, "playbook", d.run.Playbook)
	return nil
}

// Keeping is how many runs hold outcomes that the journal did not take yet. Ending the process now
// would forget them.
func (e *Engine) Keeping() int { return int(e.keeping.Load()) }
