package playbooks

import (
	"time"

	"github.com/playbookd/playbookd/internal/document"
)

// The limits of a playbook. Beyond each of them a playbook is refused with PB024, so that nothing
// that a file can say makes the daemon slow or large.
const (
	MaxNameLength        = 64  // characters of a playbook's name
	MaxIdentifier        = 64  // characters of an id, a variable, an input, the name of an item
	MaxTextLength        = 512 // characters of description, owner, reason, a step's name
	MaxTags              = 20
	MaxTenants           = 100
	MaxPriority          = 1000 // and its negative
	MaxTriggers          = 10
	MaxInputs            = 30
	MaxEnumValues        = 50
	MaxVars              = 50
	MaxSteps             = 200 // of a playbook, counted at every depth
	MaxStepDepth         = 8   // lists of steps inside lists of steps
	MaxForeachDepth      = 2   // foreach inside foreach
	MaxCases             = 30  // of a switch
	MaxBranches          = 20  // of a parallel
	MaxOutputs           = 30
	MaxApprovers         = 10 // different people that one approve may need
	MaxAskedPeople       = 20 // entries of by
	MaxAskChannels       = 5
	MaxChoices           = 20
	MaxCallDepth         = 5      // playbooks that call playbooks
	MaxWaitRounds        = 10_000 // looks of one wait with a condition
	MaxItemsConcurrency  = 50
	MaxTargets           = 20     // rows of an sla trigger's target
	MaxStages            = 10     // of an sla trigger
	MaxStagePercent      = 10_000 // of the target
	MaxAttempts          = 20
	MaxWebhookPath       = 64
	MaxEndedPlaybooks    = 20      // playbooks whose runs one run trigger waits for
	MaxLimitedActions    = 20      // actions under limits.effects
	MaxRate              = 10_000  // runs or effects that a limit lets through within its time
	MaxFilterLength      = 2048    // characters of a poll's filter
	MaxFilterDepth       = 16      // parentheses inside parentheses
	MaxFilterComparisons = 30      // literals of in count too
	MaxLooks             = 500_000 // looks at parts of conditions, to find out what they exclude; beyond it nothing more is said
)

// The limits of times in a playbook.
const (
	MinPollEvery    = 10 * time.Second
	MaxPollEvery    = 24 * time.Hour
	MinBackoff      = time.Second
	MaxBackoff      = 24 * time.Hour
	MinTimeout      = time.Second
	MaxTimeout      = time.Hour
	MinAwait        = 10 * time.Second
	MaxAwait        = 24 * time.Hour
	MinAsk          = 10 * time.Second
	MinWait         = time.Second
	MaxWait         = 90 * 24 * time.Hour
	MinWaitEvery    = 5 * time.Second
	MinWithin       = time.Second // of a target
	MaxWithin       = 365 * 24 * time.Hour
	MinDedupeWindow = time.Second
	MaxDedupeWindow = 90 * 24 * time.Hour
	MinRateWindow   = time.Second
	MaxRateWindow   = 7 * 24 * time.Hour
	ExpiresSoon     = 14 * 24 * time.Hour // a playbook that ends within this time is reported
)

// The limits of a set of playbooks.
const (
	MaxFiles        = 25_000           // entries looked at below the root of a set
	MaxFileDepth    = 16               // directories inside directories
	MaxPlaybookSize = document.MaxSize // bytes of one file
	MaxRecorded     = 4 << 20          // bytes that a run keeps: the text of its playbook, and of those that it calls
	MaxSetLooks     = 5_000_000        // looks at parts of conditions, to find out which playbooks can match one object
)

// DefaultPollEvery is how often Graph is asked when a poll doesn't say.
const DefaultPollEvery = time.Minute

// What a step's retry means where it leaves something out.
const (
	DefaultAttempts = 12
	DefaultInitial  = time.Second
	DefaultMax      = 5 * time.Minute
)

// DefaultWaitEvery is how often a wait looks whether its condition holds when it doesn't say.
const DefaultWaitEvery = time.Minute

// DefaultItem is what the item of a foreach is called where as is left out.
const DefaultItem = "item"
