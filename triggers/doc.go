// Package triggers turns what happens outside into events: changes of alerts and incidents that
// it asks Graph for ([Poller]), messages that others push ([Webhooks]), slots of cron schedules
// ([Scheduler]), stages of the clocks of sla triggers ([Clocks]) and runs that a person starts
// ([Manual]).
//
// # Promises
//
// No event is lost. A source moves its position only together with the events that it has read
// up to there, in one batch that is durable when [Sink].Deliver returns; whatever fails in
// between is read again. A webhook is answered 202 only after that.
//
// No event is counted twice. An event's ID is made from what happened and never from when or how
// we noticed it: an alert and its version, a sender's delivery, a slot of a schedule. Whoever
// reads the same thing again makes the same ID, and the journal knows it.
//
// Our clock is not trusted to bound a question to Graph: positions are times that Graph gave.
//
// Memory is bounded whatever arrives: pages, batches, bodies and filters have limits, each a
// named constant. All that comes from outside is hostile, text of alerts as much as a body
// without a signature: it becomes data of events and never text of a log line or an answer.
//
// A source runs in one goroutine, [Source].Run, which ends with its context. What it does can be
// changed while it runs.
package triggers

import (
	"context"

	"github.com/playbookd/playbookd/engine"
)

// Source produces events until its context ends.
type Source interface {
	// Name identifies the source in logs and on the health page.
	Name() string
	// Run works until ctx ends and then returns nil. It returns an error only if it can't go on;
	// whatever may pass by itself is tried again.
	Run(ctx context.Context) error
}

// Sink takes events. When Deliver returns nil they are durable; when it returns an error,
// nothing of the batch happened.
type Sink interface {
	Deliver(ctx context.Context, b engine.Batch) (engine.Receipt, error)
}

// Positions remembers how far sources have come. [engine.Journal] does.
type Positions interface {
	// Position returns a source's position, or "" if it has none yet.
	Position(ctx context.Context, source string) (string, error)
}

// Journal is what a poller asks of the record of past events.
type Journal interface {
	Positions
	// Known returns those of the IDs that belong to admitted events.
	Known(ctx context.Context, ids []string) (map[string]bool, error)
}
