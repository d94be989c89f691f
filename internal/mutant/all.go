package mutant

// Mutant is a rule, what the program does once it is broken, and the tests that must notice.
type Mutant struct {
	Name  Name
	Does  string
	Tests []Test
}

// Test is a test by its package, below the module's root, and its name.
type Test struct{ Package, Name string }

// All is every rule that can be broken. `make mutants` breaks one after the other and fails if any of
// its tests passes nevertheless.
var All = []Mutant{
	{DropIntent, "An attempt is made before its intent is durable.", []Test{
		{"internal/sweep", "TestKilledAtEveryWriteAndExchangeNothingIsLostOrDoubled"},
		{"internal/invariant", "TestEachViolationIsFoundAndNoOther"},
	}},
	{ForgetOutcome, "An outcome that the journal refuses is given up instead of kept.", []Test{
		{"engine", "TestAnOutcomeIsKeptUntilTheJournalTakesIt"},
	}},
	{RetryOnce, "A part that may happen once is repeated after a lost answer.", []Test{
		{"internal/sweep", "TestKilledAtEveryWriteAndExchangeNothingIsLostOrDoubled"},
		{"engine", "TestNoOrderOfFailuresLosesOrDoublesAnEffect"},
		{"engine", "TestTheEffectClassDecidesWhatFollowsALostAnswer"},
		{"engine/enginetest", "TestTheEmbeddedEngineConforms"},
	}},
	{BlindAdd, "A part that adds is repeated after a lost answer without a look whether it happened.", []Test{
		{"internal/sweep", "TestKilledAtEveryWriteAndExchangeNothingIsLostOrDoubled"},
		{"engine", "TestNoOrderOfFailuresLosesOrDoublesAnEffect"},
		{"engine/enginetest", "TestTheEmbeddedEngineConforms"},
	}},
	{IgnoreRetryAfter, "A service that asks for a pause is asked again sooner.", []Test{
		{"engine", "TestRetriesFollowThePolicyAndWhatTheServiceAsksFor"},
	}},
	{NoCeiling, "A playbook may start itself for ever.", []Test{
		{"engine", "TestAPlaybookRunsForOneObjectUpToTheCeilingAndNoFurther"},
	}},
	{NoLimit, "A limit on effects lets everything through.", []Test{
		{"engine", "TestAnEffectBeyondItsLimitHoldsTheRunAtItsStep"},
		{"engine", "TestALimitCountsBeginningsOfActionsWithinARunToo"},
	}},
	{CountAside, "Runs count at the same time what a limit lets through.", []Test{
		{"engine", "TestRunsAtTheSameTimeShareALimit"},
	}},
	{BackwardChange, "A version that comes late is a change.", []Test{
		{"engine", "TestAChangeFiresOnceForEachTwoVersionsThatDiffer"},
	}},
	{SkipCandidate, "The index leaves out a playbook that an event may concern.", []Test{
		{"engine", "TestEveryDecisionIsWhatEvaluatingAllPlaybooksSays"},
	}},
	{CursorFirst, "A poll's position becomes durable before the events that it has passed.", []Test{
		{"internal/sweep", "TestKilledAtEveryWriteAndExchangeNothingIsLostOrDoubled"},
	}},
	{EarlyCursor, "A poll's position moves with the first batch of a first pass.", []Test{
		{"triggers", "TestThePositionMovesOnlyAfterACompletePass"},
	}},
	{OnePass, "A window of several pages is read once.", []Test{
		{"triggers", "TestRowsThatSlipThroughThePagesAreFound"},
	}},
	{ForgetDelivery, "A delivery of a webhook that is sent again counts as another.", []Test{
		{"internal/stress", "TestEveryDeliveryOfAFloodIsInTheJournalOnceOrTheSenderWasToldOtherwise"},
	}},
	{KeepSlow, "Senders of webhooks that only trickle keep their places.", []Test{
		{"triggers", "TestStrangersWhoTrickleKeepNobodyOut"},
	}},
	{ForgetDecision, "Decisions that start no run are not stored.", []Test{
		{"internal/sweep", "TestKilledAtEveryWriteAndExchangeNothingIsLostOrDoubled"},
		{"store", "TestKeepsThePromisesOfAJournal"},
	}},
	{LostDuplicate, "A dedupe key that is in use starts another run.", []Test{
		{"store", "TestKeepsThePromisesOfAJournal"},
	}},
	{NoTurn, "Runs with the same concurrency key do not wait for each other.", []Test{
		{"store", "TestKeepsThePromisesOfAJournal"},
	}},
	{StaleAnswer, "A decision is stored although what it was made by has changed.", []Test{
		{"store", "TestKeepsThePromisesOfAJournal"},
		{"engine", "TestOfManyDeliveriesAtOnceOneSeesTheKeyFirst"},
	}},
	{SkipSync, "Commits are not synced to the disk.", []Test{
		{"internal/powerloss", "TestWhatAPowerCutLeavesIsTheTruth"},
	}},
	{LeakSecrets, "Secrets that are known are not taken out of logs, answers and errors.", []Test{
		{"internal/daemon", "TestSecretsTurnUpNowhereAndAlertTextForgesNoLine"},
	}},
	{EarlyStage, "A stage of a clock fires when it is due, without waiting for a poll to say how its object is.", []Test{
		{"internal/daemon", "TestWhilePollsFailAStageWaits"},
	}},
	{OwnTime, "A clock counts by when versions were read, and not by when they came about.", []Test{
		{"engine", "TestAClockCountsFromTheVersionsOwnTimesHoweverLateTheyAreRead"},
		{"engine", "TestClocksCountWhatCountingMinutesGives"},
	}},
}
