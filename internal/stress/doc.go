// Package stress holds the suites that give the daemon more than it can do at once, and look
// whether anything is lost and how much memory it takes.
//
// The daemon runs in a process of its own, with a real file and real HTTPS, so that what is
// measured is the daemon and nothing else; the simulator and the senders of webhooks are in the
// process of the test. What must hold, whatever the load: every event is admitted once and has a
// decision for every playbook, every matched one has its run, what was answered 2xx is in the
// journal exactly once, and memory stays within a bound that does not depend on how much waits,
// because what waits lies on disk.
//
// `go test` runs each suite small. `make stress` sets PLAYBOOKD_STRESS=full, which is the size that
// the names of the tests promise.
package stress
