package engine

import (
	"encoding/json"
	"time"
)

// Event is something that happened and that playbooks may react to: a version of an alert, a
// pushed message, a slot of a schedule.
type Event struct {
	// ID is stable: the same happening has the same ID however often and by whichever way it is
	// seen. "contoso/alerts/da637…/2026-11-22T02:02:32.1234567Z".
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	// Source says which triggers it concerns: "poll/alerts", "webhook/edr", "schedule/NAME/0",
	// "sla/NAME", "manual/NAME".
	Source string `json:"source"`
	// Kind is the name under which playbooks see the payload: alert, incident or event.
	Kind string `json:"kind"`
	// Object is the identity that several versions share, "alerts/da637…"; empty if there is none.
	Object   string          `json:"object,omitempty"`
	Title    string          `json:"title,omitempty"` // for people: hostile text, never parsed
	Occurred time.Time       `json:"occurred"`        // by the source's clock
	Seen     time.Time       `json:"seen"`            // by ours
	Payload  json.RawMessage `json:"payload"`
	Inputs   json.RawMessage `json:"inputs,omitempty"` // of a manual run
	By       string          `json:"by,omitempty"`     // of a manual run: who started it; of a run's end: who started that run
	// Changes are, by field, those that a change trigger watches.
	Changes map[string]Change `json:"changes,omitempty"`
	// SLA is of a stage of a clock.
	SLA *SLA `json:"sla,omitempty"`
}

// Batch is what a source hands over: events, and the position that it has then reached. Both
// become durable together or not at all.
type Batch struct {
	Events []Event
	Cursor *Cursor // nil: the position stays
}

// Cursor is a source's position, which only the source understands. From must be the position
// that the journal holds, so that two sources can't move it past each other.
type Cursor struct {
	Source   string
	From     string
	Position string
}

// Receipt says what became of a batch.
type Receipt struct {
	Admitted   int // events that were new
	Duplicates int // events that had been admitted before
	// Repeated are the places of the duplicates in the batch.
	Repeated []int
	Matched  int // runs that the batch started
	// Started names them, in the order of the batch.
	Started []RunID
	// Held names the runs that were parked instead, because they are beyond their ceiling.
	Held []RunID
	// Limited are those of them that are beyond the limit of their playbook, and not the ceiling.
	Limited []RunID
}

// Verdict is the kind of decision that an event met at a playbook. There is no fourth.
type Verdict string

// The verdicts.
const (
	Matched    Verdict = "matched"
	NotMatched Verdict = "not_matched"
	Skipped    Verdict = "skipped"
)

// The reasons for which an event is skipped, a closed list.
const (
	SkipNoTrigger = "no_trigger"      // no trigger of the playbook listens to the event's source
	SkipFilter    = "filter"          // the trigger's filter leaves it out
	SkipVersion   = "version"         // the trigger wants only created or only updated objects
	SkipChange    = "unchanged"       // the field that the trigger watches did not change as it asks
	SkipDisabled  = "disabled"        // enabled: false
	SkipExpired   = "expired"         // past the playbook's expires date
	SkipTenant    = "tenant"          // the playbook names other tenants
	SkipEcho      = "own_echo"        // all that changed is what this playbook wrote itself
	SkipDuplicate = "duplicate"       // a run with the same dedupe key is within its window
	SkipError     = "condition_error" // the condition could not be evaluated
)

// Match is the stored decision for one event and one playbook.
type Match struct {
	Playbook string  `json:"playbook"`
	Digest   string  `json:"digest"`
	Verdict  Verdict `json:"verdict"`
	Reason   string  `json:"reason,omitempty"` // a Skip code
	// Detail is the first false term of the condition, the error, or the run that a duplicate
	// would have repeated.
	Detail string `json:"detail,omitempty"`
	Run    RunID  `json:"run,omitempty"`
	// Readings are what the condition asked the world, with the answers.
	Readings []Reading `json:"readings,omitempty"`
}
