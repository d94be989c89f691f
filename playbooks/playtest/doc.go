// Package playtest runs the tests that are written beside playbooks.
//
// A test gives a playbook an event and says what must come of it: whether it matches, and why not
// if not; which effects, in which order, with which inputs; how the run ends. It is played by the
// same decision function that the daemon uses, with a clock of its own, so half an hour of waiting
// costs nothing, and with a world of its own, so nothing is asked of a network and no database is
// opened. Thousands of tests take seconds.
//
//	NAME.test.yaml ─► File ─► Consider ─► Machine ◄─► clock, mocked answers, people of the test
//	                                        └─► what it did ─► expectations ─► Report, Coverage
//
// What it promises:
//
//   - A test that passes says what the daemon would do with the same event, lists and answers.
//   - An action that reads the world and is not told what it finds fails the test: a playbook is
//     not proved by guesses.
//   - Runs are played live whatever the playbook's mode: a shadow playbook is tested for what it
//     would do.
package playtest
