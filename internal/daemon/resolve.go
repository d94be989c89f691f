package daemon

import (
	"context"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// Resolve records a person's word on an uncertain step of a parked run, in the journal at path,
// which no daemon may hold. The run goes on when the daemon starts.
func Resolve(ctx context.Context, path, ref, step string, d engine.ResolveData, catalog playbooks.Catalog) (engine.Run, error) {
	db, err := store.Open(ctx, path, store.Options{})
	if err != nil {
		return engine.Run{}, err
	}
	defer db.Close()
	loaded, err := db.Run(ctx, ref)
	if err != nil {
		return engine.Run{}, err
	}
	e := engine.New(engine.Options{Journal: db, Compile: Recompile(catalog)})
	return e.Resolve(ctx, loaded.Run.ID, step, d, time.Now())
}
