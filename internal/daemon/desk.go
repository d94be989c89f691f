package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/secret"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/server"
	"github.com/playbookd/playbookd/store"
	"github.com/playbookd/playbookd/triggers"
)

// MaxApprovals is how many runs have their open questions listed.
const MaxApprovals = 1000

// desk is where people's words reach runs.
type desk struct{ d *Daemon }

// Approvals implements [server.Desk].
func (k desk) Approvals(ctx context.Context) (list []engine.Question, more int, err error) {
	runs, all, err := k.d.db.Asking(ctx, MaxApprovals)
	if err != nil {
		return nil, 0, err
	}
	for _, run := range runs {
		open, err := k.d.engine.Questions(ctx, run.ID)
		if err != nil {
			k.d.log.Error("the questions of a run can't be read", "run", run.ID, "err", err)
			continue
		}
		list = append(list, open...)
	}
	slices.SortStableFunc(list, func(a, b engine.Question) int {
		return cmp.Or(a.Asked.Until.Compare(b.Asked.Until), cmp.Compare(a.Asked.ID, b.Asked.ID))
	})
	return list, all - len(runs), nil
}

// Question implements [server.Desk].
func (k desk) Question(ctx context.Context, id string) (engine.Question, error) {
	if !engine.IsQuestionID(id) {
		return engine.Question{}, noQuestion(id)
	}
	runs, err := k.d.db.AskedBy(ctx, id)
	if err != nil {
		return engine.Question{}, err
	}
	for _, run := range runs {
		open, err := k.d.engine.Questions(ctx, run)
		if err != nil {
			return engine.Question{}, err
		}
		if i := slices.IndexFunc(open, func(q engine.Question) bool { return q.Asked.ID == id }); i >= 0 {
			return open[i], nil
		}
	}
	return engine.Question{}, noQuestion(id)
}

func noQuestion(id string) error {
	return fmt.Errorf("%w: there is no open question %.64q", engine.ErrNotFound, id)
}

// Answer implements [server.Desk].
func (k desk) Answer(ctx context.Context, q engine.Question, a engine.AnsweredData) error {
	return k.d.engine.Answer(ctx, q.Run, q.Asked.ID, a)
}

// Cancel implements [server.Desk].
func (k desk) Cancel(ctx context.Context, ref string, c engine.CancelData) (engine.RunID, error) {
	return k.toRun(ctx, ref, func(id engine.RunID) error { return k.d.engine.Cancel(ctx, id, c) })
}

// Resolve implements [server.Desk].
func (k desk) Resolve(ctx context.Context, ref, step string, d engine.ResolveData) (engine.RunID, error) {
	return k.toRun(ctx, ref, func(id engine.RunID) error { return k.d.engine.Resolve(ctx, id, step, d) })
}

// Release implements [server.Desk].
func (k desk) Release(ctx context.Context, ref string, d engine.ReleasedData) (engine.RunID, error) {
	return k.toRun(ctx, ref, func(id engine.RunID) error { return k.d.engine.Release(ctx, id, d) })
}

// toRun says something to the run that somebody means.
func (k desk) toRun(ctx context.Context, ref string, say func(engine.RunID) error) (engine.RunID, error) {
	loaded, err := k.d.db.Run(ctx, ref)
	if many, ok := errors.AsType[*store.AmbiguousError](err); ok {
		return "", server.Refuse("%v", many)
	}
	if err != nil {
		return "", err
	}
	return loaded.Run.ID, say(loaded.Run.ID)
}

// Start implements [server.Desk].
func (k desk) Start(ctx context.Context, name, by string, event, inputs json.RawMessage) (engine.RunID, error) {
	p, ok := k.d.engine.Playbooks().Lookup(name)
	if !ok {
		return "", fmt.Errorf("%w: there is no playbook %.64q", engine.ErrNotFound, name)
	}
	if !slices.ContainsFunc(p.Triggers, func(t playbooks.Trigger) bool { return t.Manual != nil }) {
		return "", server.Refuse("playbook %s has no manual trigger", name)
	}
	ev, err := triggers.Manual(triggers.ManualRun{Playbook: p, Tenant: k.d.c.Tenants[0].Name, Event: event, Inputs: inputs, By: by}, k.d.o.Now())
	if err != nil {
		return "", server.Refuse("%v", err)
	}
	receipt, err := k.d.engine.Deliver(ctx, engine.Batch{Events: []engine.Event{ev}})
	if err != nil {
		return "", err
	}
	if len(receipt.Started) == 0 {
		return "", server.Refuse("the event does not match: see playbookd show %s", ev.ID)
	}
	return receipt.Started[0], nil
}

// people are those of the configuration.
func (d *Daemon) people() []server.Person {
	var list []server.Person
	for _, name := range slices.Sorted(maps.Keys(d.c.People)) {
		list = append(list, server.Person{Name: name, Roles: d.c.People[name].Roles, Token: func() (secret.Value, error) {
			return d.secrets.Resolve(personSecret + name)
		}})
	}
	return list
}

// personSecret begins the name of a person's token among the secrets. No other secret can have such a
// name.
const personSecret = "person/"
