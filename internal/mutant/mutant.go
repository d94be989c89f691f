// Package mutant breaks the program on purpose, one rule at a time, so that every suite that
// guards a rule can be seen to notice.
//
// A suite that has never failed proves nothing. In a program built with the tag "mutant" the
// environment variable PLAYBOOKD_MUTANT names the rule to break; the place in the code that keeps
// the rule asks [On]. In every other build On is the constant false and the compiler leaves both
// the question and the broken branch out: TestAnOrdinaryBuildHasNoMutants holds it to that.
package mutant

// Name is a rule that can be broken.
type Name string

// Mutant is a rule, what breaking it does, and the suites that must notice.
type Mutant struct {
	Name  Name
	Does  string   // what the broken program does
	Suite []string // names of the tests that must fail, as "package TestName"
}

// The rules that can be broken. All lists them with what must notice.
const (
	DropIntent  Name = "drop-intent"  // the effect happens without an intent
	CursorFirst Name = "cursor-first" // the position moves before the events are admitted
	RetryOnce   Name = "retry-once"   // a once-part whose answer was lost is repeated
	SkipSync    Name = "skip-sync"    // commits are not synced to the disk

	SkipCandidate Name = "skip-candidate" // the index leaves out a playbook that an event concerns
	NoCeiling     Name = "no-ceiling"     // a playbook may start itself for ever

	EarlyCursor    Name = "early-cursor"    // the position moves with the first batch of a first pass
	ForgetDelivery Name = "forget-delivery" // a delivery of a webhook that is sent again counts as another
	KeepSlow       Name = "keep-slow"       // senders of webhooks that only trickle keep their places
	// an outcome that can't be recorded at once is given up
	ForgetOutcome Name = "forget-outcome"
)
