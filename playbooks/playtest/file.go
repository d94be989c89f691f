package playtest

import (
	"encoding/json"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks/calendar"
)

// Limits of a test file.
const (
	MaxCases   = 500
	MaxMocks   = 100
	MaxAnswers = 50
	MaxExpects = 50
	MaxUpdates = 50
	// MaxTurns bounds how long one test may go on: decisions of its run.
	MaxTurns = 100_000
	// MaxEventSize is how large an event's file may be, in bytes.
	MaxEventSize = 1 << 20
)

// Start is when a test begins that says nothing about it: a Monday morning, so that a test means the
// same on every day on which it runs.
var Start = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// File is one file of tests.
type File struct {
	Path      string
	Playbook  string
	Lists     map[string][]any
	Calendars map[string]*calendar.Calendar
	Rotas     map[string]string // who is on duty; "": nobody
	Cases     []Case
}

// Case is one test.
type Case struct {
	Name      string
	Pos       diag.Position
	Kind      string          // of the event: alert, incident, event; "" if there is none
	Event     json.RawMessage // nil: an empty object
	Trigger   string          // kind of the trigger that brings it; "": the first that fits
	Updated   bool            // an earlier version of the object was seen before
	Before    map[string]any  // fields that the version before had otherwise; nil: not told
	ChangedBy string          // who made the difference: person, us or app
	Earlier   Earlier
	Inputs    json.RawMessage
	By        string // who started it
	Tenant    string
	At        time.Time
	Updates   []Update // later versions of the object, of a clock
	Mocks     []Mock
	Answers   []Answer
	Given     Given
	Cancel    *Answer // somebody calls the run off
	Release   *Answer // somebody lets it go on where a limit holds it
	Expects   []Expect
}

// Earlier is what limits count from before the test.
type Earlier struct {
	Runs    int            // of the playbook
	Effects map[string]int // by action
}

// Update makes the next version of the object that a clock is kept for.
type Update struct {
	Pos   diag.Position
	After time.Duration // from the start of the test
	Patch map[string]any
}

// Mock is what an action of the test's world answers.
type Mock struct {
	Action string // name of the action, or ""
	Step   string // id of the step, or ""
	Part   string // name of a part of it, such as await; "": all of them
	With   any    // a part of the input that must fit; nil: any
	Output json.RawMessage
	Fault  *actions.Fault // instead of an output
	Took   bool           // with a fault: the effect happened, only the answer got lost
	Times  int            // 0: always
}

// Answer is what somebody says while the run waits.
type Answer struct {
	Pos     diag.Position
	Step    string // id of the step that asks; "": whichever asks
	By      string
	Roles   []string
	Approve bool
	Value   json.RawMessage
	After   time.Duration // from the start of the test; 0: at once
	Refused bool          // the answer must not count
	Reason  string        // of a cancellation
}

// Expect is what must hold, at the end or after some time.
type Expect struct {
	Pos     diag.Position
	After   *time.Duration // nil: at the end
	Matched *bool
	Because string // the first false term
	Skipped string // a reason code
	Effects *[]Effect
	Outputs map[string]any
	State   string
	Message string            // a part of it
	Kept    map[string]any    // of the playbook's state, by key
	Steps   map[string]string // status by id
	Asked   *[]string         // titles of the questions that are open
	Stages  *[]string         // of the clock, that have fired
}

// Effect is an expected effect.
type Effect struct {
	Action string
	With   any // a part of its input
}
