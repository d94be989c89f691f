// Package mutant breaks the program on purpose, one rule at a time, so that every suite that
// guards a rule can be seen to notice.
//
// A suite that has never failed proves nothing. In a program built with the tag "mutant" the
// environment variable PLAYBOOKD_MUTANT names the rule to break; the place in the code that keeps
// the rule asks [On]. In every other build On is the constant false and the compiler leaves both
// the question and the broken branch out: TestAnOrdinaryBuildHasNoMutants holds it to that.
package mutant

// Env is the environment variable that names the rule to break, in a build that can be broken.
const Env = "PLAYBOOKD_MUTANT"

// Name is a rule that can be broken.
type Name string

// The rules that can be broken. All says of each what the broken program does and what must notice.
const (
	DropIntent       Name = "drop-intent"
	ForgetOutcome    Name = "forget-outcome"
	RetryOnce        Name = "retry-once"
	BlindAdd         Name = "blind-add"
	IgnoreRetryAfter Name = "ignore-retry-after"
	NoCeiling        Name = "no-ceiling"
	NoLimit          Name = "no-limit"
	CountAside       Name = "count-aside"
	BackwardChange   Name = "backward-change"
	SkipCandidate    Name = "skip-candidate"
	CursorFirst      Name = "cursor-first"
	EarlyCursor      Name = "early-cursor"
	OnePass          Name = "one-pass"
	ForgetDelivery   Name = "forget-delivery"
	KeepSlow         Name = "keep-slow"
	ForgetDecision   Name = "forget-decision"
	LostDuplicate    Name = "lost-duplicate"
	NoTurn           Name = "no-turn"
	StaleAnswer      Name = "stale-answer"
	SkipSync         Name = "skip-sync"
	LeakSecrets      Name = "leak-secrets"
	EarlyStage       Name = "early-stage"
	OwnTime          Name = "own-time"
)
