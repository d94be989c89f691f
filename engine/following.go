package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/playbookd/playbookd/playbooks"
)

// The end of a run is an event for playbooks that wait for it. It is admitted in the same transaction
// as the end, under an ID made from the run's, so none is lost and none comes twice. Ends that nobody
// waits for are no events.

// EndEvent is the payload of the event that a run's end is.
type EndEvent struct {
	Playbook  string          `json:"playbook"`
	State     RunState        `json:"state"`
	Message   string          `json:"message"`
	Run       RunID           `json:"run"`
	URL       string          `json:"url"`
	Mode      playbooks.Mode  `json:"mode"`
	By        string          `json:"by,omitempty"` // who started it, if a person did
	StartedAt time.Time       `json:"startedAt"`
	EndedAt   time.Time       `json:"endedAt"`
	Outputs   json.RawMessage `json:"outputs,omitempty"`
	Failure   *EndFailure     `json:"failure,omitempty"`
	Event     EndCause        `json:"event"`            // that started the run
	Object    *EndObject      `json:"object,omitempty"` // that the run was about
}

// EndFailure says why a run failed, as on_failure knows it.
type EndFailure struct {
	Step    string `json:"step"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// EndCause names the event that started a run.
type EndCause struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	Kind   string `json:"kind"`
	Title  string `json:"title"`
}

// EndObject names an object by the resource it is of, alerts or incidents, and Graph's id.
type EndObject struct {
	Resource string `json:"resource"`
	ID       string `json:"id"`
}

func causeOf(ev Event) EndCause {
	return EndCause{ID: ev.ID, Source: ev.Source, Kind: ev.Kind, Title: ev.Title}
}

// awaits says whether a playbook waits for such an end.
func (x *index) awaits(run Run, state RunState) bool {
	for _, r := range x.ends[run.Playbook] {
		if r.Wants(run.Playbook, string(state)) {
			return true
		}
	}
	return false
}

// store appends to the run's history, and admits what its end is to others.
func (d *driver) store(ctx context.Context, a Append) error {
	e, run := d.e, d.run
	x := e.index.Load()
	if !a.State.Final() || !x.awaits(run, a.State) {
		return e.o.Journal.Append(ctx, a)
	}
	run.State, run.Message, run.Ended = a.State, a.Message, a.Ended
	ev, err := d.ending(run, a.Entries)
	if err != nil {
		return fmt.Errorf("the event of the run's end: %w", err)
	}
	pl := newPlanner(ctx, e, x, run.Ended)
	pl.origin = &run
	planned, err := pl.plan(ctx, ev)
	if err != nil {
		return err
	}
	following := Admission{Events: []Planned{planned}, Documents: pl.docs, Set: pl.index.stored}
	receipt, err := e.o.Journal.End(ctx, a, following)
	if err != nil {
		return err
	}
	pl.handOver(receipt)
	pl.tellHeld(following.Events, receipt)
	return nil
}

// ending makes the event that a run's end is.
func (d *driver) ending(run Run, entries []Entry) (_ Event, err error) {
	p := EndEvent{Playbook: run.Playbook, State: run.State, Message: run.Message, Run: run.ID, URL: run.ID.URL(), Mode: run.Mode, By: run.By,
		StartedAt: run.Created, EndedAt: run.Ended,
		Event: d.cause}
	if resource, id, ok := strings.Cut(run.Object, "/"); ok {
		p.Object = &EndObject{Resource: resource, ID: id}
	}
	if f := d.machine.play.failure; run.State == Failed && f.Code != "" {
		p.Failure = &EndFailure{Step: f.step, Code: f.Code, Message: f.Message}
	}
	if p.Outputs, err = outputsOf(entries); err != nil {
		return Event{}, err
	}
	payload, err := json.Marshal(p)
	return Event{
		ID: run.Tenant + "/" + playbooks.RunSource + "/" + string(run.ID), Tenant: run.Tenant, Source: playbooks.RunSource,
		Kind: "event", Title: run.Playbook + " " + string(run.State), Occurred: run.Ended, Seen: run.Ended,
		Payload: payload, By: run.By,
	}, err
}

// outputsOf reads what a run leaves behind from the last of its entries, with times as people write them.
func outputsOf(entries []Entry) (json.RawMessage, error) {
	if len(entries) == 0 || entries[len(entries)-1].Kind != Ended {
		return nil, nil
	}
	end, err := decodeData[EndedData](entries[len(entries)-1])
	if err != nil || len(end.Outputs) == 0 {
		return nil, err
	}
	outputs, err := decodeFields(end.Outputs)
	if err != nil {
		return nil, err
	}
	return inputJSON(outputs)
}
