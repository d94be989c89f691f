// Package library holds the playbooks that ship with playbookd, and the watchlists they read.
//
// They are examples to copy, and they work: each passes check without a finding, does one job that
// most security teams have, and can be left running, because what it does takes away the reason
// for doing it again.
package library

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml lists/*.txt
var files embed.FS

// FS returns the playbooks (*.yaml) and, in the directory lists, their watchlists.
func FS() fs.FS { return files }
