package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/secret"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/server"
	"github.com/playbookd/playbookd/store"
	"github.com/playbookd/playbookd/triggers"
)

// MaxApprovals is how many open questions are listed.
const MaxApprovals = 1000

// desk is where people's words reach runs.
type desk struct{ d *Daemon }

// Approvals implements [server.Desk].
func (k desk) Approvals(ctx context.Context) ([]engine.Question, error) {
	var runs []engine.Run
	for _, state := range []engine.RunState{engine.Waiting, engine.Ready} {
		more, err := k.d.db.Runs(ctx, store.RunFilter{State: state, Asking: true, Limit: MaxApprovals})
		if err != nil {
			return nil, err
		}
		runs = append(runs, more...)
	}
	var list []engine.Question
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
	return list, nil
}

// Answer implements [server.Desk].
func (k desk) Answer(ctx context.Context, question string, a engine.AnsweredData) error {
	list, err := k.Approvals(ctx)
	if err != nil {
		return err
	}
	for _, q := range list {
		if q.Asked.ID == question {
			return k.d.engine.Answer(ctx, q.Run, question, a)
		}
	}
	return fmt.Errorf("%w: there is no open question %.64q", engine.ErrNotFound, question)
}

// Cancel implements [server.Desk].
func (k desk) Cancel(ctx context.Context, ref string, c engine.CancelData) error {
	loaded, err := k.d.db.Run(ctx, ref)
	if many, ok := errors.AsType[*store.AmbiguousError](err); ok {
		return server.Refuse("%v", many)
	}
	if err != nil {
		return err
	}
	return k.d.engine.Cancel(ctx, loaded.Run.ID, c)
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
	ev, err := triggers.Manual(triggers.ManualRun{Playbook: p, Tenant: k.d.c.Tenants[0].Name, Event: event, Inputs: inputs, By: by}, time.Now())
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
