//go:build !mutant

package mutant

// Built says whether this program can be broken.
const Built = false

// On says whether a rule is to be broken: never.
func On(Name) bool { return false }
