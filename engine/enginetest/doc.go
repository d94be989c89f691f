// Package enginetest holds what any engine for playbooks has to do, as cases: small playbooks with what happens to them
// and what must come of it. testdata/conformance holds the cases and says how to read them. Whoever writes an engine runs
// them against it:
//
//	enginetest.Suite{Dir: "testdata/conformance", Engine: newEngine, Journal: newJournal}.Run(t)
//
// A case is played in a bubble of package testing/synctest, on a [World] whose actions only remember, by what an engine
// exports and by what stands in its journal: as it stands, and then once for each moment at which the process can die.
//
//	             ┌──────────── script: endings of attempts, words of people
//	             ▼
//	event ─► Engine ─► mortal journal ──(n-th entry)──► dead
//	             │            │                          │
//	             ▼            ▼                          ▼
//	          World        history ◄──────────────── another Engine
//
// [Missing] is what the cases leave out: it asks the checker of the language which constructs can nest.
package enginetest
