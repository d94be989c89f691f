// Package invariant holds the one checker that every robustness suite uses: it lays what the journal
// says beside what really happened, and answers with a list of violations. An empty list is the
// proof that no effect was unrecorded, none recorded without being done, none done twice, no event
// lost or left undecided, and no run left without a next step.
//
// What really happened comes from the logs of the systems that were acted upon: the simulator's, or
// that of any receiver of a test, see [Target]. What the journal believes is read through [Journal].
// The checker shares as little as possible with what it checks: it reads histories by itself and
// uses the engine only to replay them.
//
// The journal must be at rest while it is checked: the daemon stopped or killed, or a simulated
// world in which nobody moves. It is read run by run and event by event, so that a hundred thousand
// of them need no more memory than the logs have.
//
// Each kind of violation has a stable code, and a test that forges exactly it.
package invariant

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/playbooks"
)

// Code names a kind of violation.
type Code string

// The codes of violations.
const (
	// Of effects.
	Unrecorded Code = "unrecorded"  // an effect without an intent in the journal
	Early      Code = "early"       // an effect before the time of its intent
	NotDurable Code = "not-durable" // an effect whose intent was not committed when it happened, see Witness
	Missing    Code = "missing"     // recorded as done, and it did not happen
	Denied     Code = "denied"      // recorded as certainly not done, and it happened
	Repeated   Code = "repeated"    // one request carried out more than once
	AddedTwice Code = "added-twice" // an adding part done more than once
	OnceTwice  Code = "once-twice"  // a once-part done more than once
	Blind      Code = "blind"       // an adding or once-part tried again while nobody knew of the attempt before

	// Of what is left behind.
	Marker Code = "marker" // a comment of ours is not there exactly once
	Value  Code = "value"  // a field does not have the value that its last writer recorded

	// Of events and decisions.
	Lost      Code = "lost"      // an object below the poll's position has no event for its version
	Undecided Code = "undecided" // an event without a decision of a playbook that listens to it
	Verdict   Code = "verdict"   // a decision that does not say why
	NoRun     Code = "no-run"    // a decision names a run that does not exist
	Unasked   Code = "unasked"   // a run that no decision names

	// Of runs.
	NoEnd      Code = "no-end"     // a run is over and its history does not say so
	NoWake     Code = "no-wake"    // a run waits for no moment
	NoReason   Code = "no-reason"  // a run is parked and nothing needs a person
	Undrivable Code = "undrivable" // a run is to go on and its history can't be replayed
	State      Code = "state"      // the history replayed gives another state than the row claims
	Stuck      Code = "stuck"      // a run is kept from going on by no other
	Overtaken  Code = "overtaken"  // two runs with one concurrency key may go on
)

// Violation is one broken promise.
type Violation struct {
	Code  Code   `json:"code"`
	About string `json:"about"` // the run, event, object or request
	Text  string `json:"text"`
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s: %s", v.Code, v.About, v.Text) }

// Case is what is checked.
type Case struct {
	Journal Journal
	Targets []Target
	Polls   []Poll
	// Books are the playbooks that were loaded. Without them neither lost events nor forgotten
	// decisions can be told.
	Books *playbooks.Set
	// Compile turns a recorded text into a playbook; nil: with the built-in actions.
	Compile func(name string, source []byte) (*playbooks.Playbook, error)
	Now     time.Time     // zero: time.Now()
	Slack   time.Duration // by how much the clocks of journal and targets may differ
	// Retained is since when the journal keeps everything: retention may have deleted the runs of
	// events that were seen before.
	Retained time.Time
}

// check is one Case under way.
type check struct {
	Case
	violations []Violation
	targets    []*ledger
	compiled   map[string]*playbooks.Playbook
	runs       map[string]bool // by ID: whether a decision names it
	turns      map[[2]string]*turn
}

func (c *check) say(code Code, about, format string, args ...any) {
	c.violations = append(c.violations, Violation{Code: code, About: about, Text: fmt.Sprintf(format, args...)})
}

// Check answers with what is wrong, sorted. The error says that the journal can't be read.
func (c Case) Check(ctx context.Context) ([]Violation, error) {
	k := &check{Case: c, compiled: map[string]*playbooks.Playbook{}, runs: map[string]bool{}, turns: map[[2]string]*turn{}}
	if k.Now.IsZero() {
		k.Now = time.Now()
	}
	if k.Compile == nil {
		k.Compile = builtinCompile()
	}
	for i := range k.Targets {
		k.targets = append(k.targets, newLedger(&k.Targets[i]))
	}
	for _, step := range []func(context.Context) error{k.eachRun, k.lines, k.finalValues, k.eachEvent, k.lost} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("check the journal: %w", err)
		}
	}
	slices.SortStableFunc(k.violations, func(a, b Violation) int {
		return strings.Compare(string(a.Code)+"\x00"+a.About, string(b.Code)+"\x00"+b.About)
	})
	return k.violations, nil
}
