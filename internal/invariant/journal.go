package invariant

import (
	"context"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/builtin"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/engine/memory"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/store"
)

// Journal is what the checker reads.
type Journal interface {
	Load(ctx context.Context, id engine.RunID) (engine.Loaded, error)
	Position(ctx context.Context, source string) (string, error)
	Known(ctx context.Context, ids []string) (map[string]bool, error)
	Writes(ctx context.Context, tenant, object string, since time.Time) ([]engine.Write, error)
	Ready(ctx context.Context, now time.Time, limit int) ([]engine.Run, error)
	Decisions(ctx context.Context, event string) ([]engine.Match, error)
	// EachEvent and EachRun hand out all there are, in any order.
	EachEvent(ctx context.Context, f func(engine.Event) error) error
	EachRun(ctx context.Context, f func(engine.Run) error) error
}

// page is how many rows are read at once.
const page = 500

// Store is the journal in a database.
func Store(r *store.Reader) Journal { return stored{r} }

type stored struct{ *store.Reader }

func (s stored) EachEvent(ctx context.Context, f func(engine.Event) error) error {
	filter := store.EventFilter{Limit: page}
	for {
		events, err := s.Events(ctx, filter)
		if err != nil {
			return err
		}
		for _, ev := range events {
			if err := f(ev); err != nil {
				return err
			}
		}
		if len(events) < page {
			return nil
		}
		filter.Before = events[len(events)-1].ID
	}
}

func (s stored) EachRun(ctx context.Context, f func(engine.Run) error) error {
	filter := store.RunFilter{Limit: page}
	for {
		runs, err := s.Runs(ctx, filter)
		if err != nil {
			return err
		}
		for _, run := range runs {
			if err := f(run); err != nil {
				return err
			}
		}
		if len(runs) < page {
			return nil
		}
		filter.Before = runs[len(runs)-1].ID
	}
}

// Memory is the journal without a disk.
func Memory(j *memory.Journal) Journal { return remembered{j} }

type remembered struct{ *memory.Journal }

func (r remembered) EachEvent(_ context.Context, f func(engine.Event) error) error {
	for _, ev := range r.Events() {
		if err := f(ev); err != nil {
			return err
		}
	}
	return nil
}

func (r remembered) EachRun(_ context.Context, f func(engine.Run) error) error {
	for _, run := range r.Runs() {
		if err := f(run); err != nil {
			return err
		}
	}
	return nil
}

// builtinCompile compiles recorded texts against the actions that there are.
func builtinCompile() func(string, []byte) (*playbooks.Playbook, error) {
	catalog := actions.NewRegistry(builtin.Actions(builtin.Deps{})...)
	return func(name string, source []byte) (*playbooks.Playbook, error) {
		p, findings := playbooks.CompileRecorded(name, source, playbooks.Options{Catalog: catalog})
		return p, findings.Err()
	}
}

// maxCompiled bounds the texts that are kept compiled.
const maxCompiled = 256

// playbook compiles the text of a run, once for each text.
func (c *check) playbook(l engine.Loaded) (*playbooks.Playbook, error) {
	if p := c.compiled[l.Run.Digest]; p != nil {
		return p, nil
	}
	p, err := c.Compile(l.Run.Playbook, l.Source)
	if err != nil {
		return nil, err
	}
	if len(c.compiled) >= maxCompiled {
		clear(c.compiled)
	}
	c.compiled[l.Run.Digest] = p
	return p, nil
}
