// Package store keeps the journal in one SQLite file.
//
// There is one writer: a goroutine with a connection of its own. What is to be written is handed
// to it as a function; it takes all the functions that wait, runs them in one transaction, commits
// once and answers all of them. If one fails, all are run again, each in a savepoint of its own, so
// that only the one that is wrong fails: a function may run twice. A commit that the disk has confirmed
// costs about a millisecond however much is in it, so under load a hundred callers share one,
// and a caller who is alone never waits for company.
//
//	Admit ─┐
//	Append ─┼─► writer: BEGIN · each · COMMIT (synced) ─► answers
//	Prune ─┘
//	Ready, Load, Runs … ─► readers: connections that can't write, each with its own snapshot
//
// What the package promises:
//
//   - A write that was answered with nil survives a crash and a loss of power. One that was
//     answered with an error left nothing behind. A caller can give up while it waits for its
//     turn, but not once its turn has come: what it is told is what happened.
//   - Of writes that share a commit only those that are wrong themselves fail.
//   - One process writes. A second one is told who holds the database. Others may read.
//   - A file of a newer version, of another program or with a damaged structure is refused with
//     a message that says what to do; it is never changed. Before an upgrade a copy is made.
//   - Nothing that a file contains makes the program panic.
//   - Retention never touches what an unfinished run needs, nor what keeps an object from being
//     taken for new.
//
// A disk that is full is [ErrFull]: the write did not happen, and the next one after space was
// made succeeds.
package store
