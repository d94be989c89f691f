// Package soak lets the whole daemon live for weeks of simulated time: a real SQLite file, a real
// azidentity credential, every trigger, inside a testing/synctest bubble in which a day takes
// seconds, against the Graph simulator in process.
//
// All that happens to it comes from one number, the seed: which alerts arrive and how late, what
// people change meanwhile, which request meets which fault, when Graph is gone, when the daemon is
// stopped, crashes or reads edited playbooks, and when the service's clock or its own is set, ahead or back. At the end the
// weather is fair for a while, and then nothing may be lost, done twice, undecided or stuck: as
// internal/invariant tells from journal and logs, and as a user tells by looking at the alerts.
//
// The same seed is the same life. A test that fails names its seed;
//
//	PLAYBOOKD_SOAK_SEEDS=7 PLAYBOOKD_SOAK_DAYS=30 go test ./internal/soak -run Weeks
//
// lives it again.
package soak
