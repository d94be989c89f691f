// Package docs holds the documentation, and tests that keep it true: every playbook in it
// compiles, every example configuration loads, and what is derived from the code is in step.
package docs

//go:generate go test . -run TestGeneratedPagesAreInStep -update
