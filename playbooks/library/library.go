// Package library holds the playbooks that ship with playbookd, and the watchlists, calendars and rotas
// they read.
//
// They are examples to copy, and they work: each passes check without a finding, does one job that
// most security teams have, and can be left running, because what it does takes away the reason
// for doing it again. Beside each lies a test that sees every step and every way it can take, and
// docs/library has a page about it, made from both.
package library

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml lists/*.txt calendars/*.yaml rotas/*.yaml
var files embed.FS

// FS returns the playbooks (NAME.yaml), their tests (NAME.test.yaml) without the events, and what they
// read in the directories lists, calendars and rotas.
func FS() fs.FS { return files }
