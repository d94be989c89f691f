//go:build mutant

package mutant

import "os"

// Built says whether this program can be broken.
const Built = true

var chosen = Name(os.Getenv(Env))

// On says whether a rule is to be broken.
func On(n Name) bool { return n == chosen }
