// Package engine decides and does.
//
// A run is a playbook, an event and a history. [Machine] is the decision function: it folds the
// history entry by entry and says what comes next. It is pure: it reads no clock, blocks on
// nothing and knows no database, so a run can be decided again years later, on another machine,
// or inside another engine for durable execution, and comes out the same. [Engine] is the one
// loop that does what a machine says and writes down the intent before and the outcome after.
//
//	event ─► Consider ─► Admit ─┐            ┌─► attempt ─► Outcome ─┐
//	         (decision)         ▼            │                      ▼
//	                        Machine.Next ─► Append ◄──── Machine.Settle
//	                                        (durable before the attempt)
//
// What the package promises:
//
//   - Every event has a decision for every playbook, with its reason, stored in the same
//     transaction as the event and the position of its source.
//   - No attempt is made before its intent is durable. An attempt whose outcome nobody knows is
//     repeated, probed or left to a person, as the effect class of the action says.
//   - A run goes on with the text of the playbook that it started with.
//   - Each stage of a clock fires at most once for each object, in one transaction with the decision
//     about it and the run that it starts.
//   - A history that the playbook's text can't have produced stops the run; it is never guessed
//     around.
//
// What it does not promise: an order between runs, except for runs that share a concurrency key.
package engine
