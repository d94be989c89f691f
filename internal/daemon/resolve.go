package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// Resolve records a person's word on an uncertain step of a parked run, in the journal at path,
// which no daemon may hold. The run goes on when the daemon starts.
func Resolve(ctx context.Context, path, ref, step string, d engine.ResolveData, catalog playbooks.Catalog) (engine.RunID, error) {
	return settle(ctx, path, ref, engine.Options{Compile: Recompile(catalog)}, func(e *engine.Engine, id engine.RunID) error {
		return e.Resolve(ctx, id, step, d)
	})
}

// Release lets a held run go on at the next start, or calls it off, in the journal at path, which no
// daemon may hold.
func Release(ctx context.Context, path, ref string, d engine.ReleasedData, catalog playbooks.Catalog) (engine.RunID, error) {
	return settle(ctx, path, ref, engine.Options{Compile: Recompile(catalog)}, func(e *engine.Engine, id engine.RunID) error { return e.Release(ctx, id, d) })
}

// settle says something to a run in a journal that no daemon holds.
func settle(ctx context.Context, path, ref string, o engine.Options, say func(*engine.Engine, engine.RunID) error) (engine.RunID, error) {
	id, err := settleable(ctx, path, ref)
	if err != nil {
		return "", err
	}
	db, err := store.Open(ctx, path, store.Options{})
	if err != nil {
		return "", err
	}
	o.Journal = db
	return id, errors.Join(say(engine.New(o), id), db.Close())
}

// settleable finds the run. It only reads: a journal that is not there is not made.
func settleable(ctx context.Context, path, ref string) (id engine.RunID, err error) {
	r, err := store.OpenReader(ctx, path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	loaded, err := r.Run(ctx, ref)
	if errors.Is(err, engine.ErrNotFound) {
		return "", fmt.Errorf("there is no run %.64q: `playbookd runs` lists them", ref)
	}
	if err != nil {
		return "", err
	}
	switch run := loaded.Run; run.State {
	case engine.Succeeded, engine.Failed, engine.Canceled:
		return "", fmt.Errorf("run %s is over (%s): only a parked run can be settled", run.ID, run.State)
	default:
		return run.ID, nil
	}
}
