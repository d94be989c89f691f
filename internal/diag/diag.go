// Package diag holds what the program tells people about the texts they wrote: findings with a stable
// code, a place, a sentence about what is wrong and a sentence about how to mend it.
//
// Every reader of playbooks, tests and configuration reports through this package and nothing else, so
// that a finding looks the same in a terminal, in JSON, in a SARIF upload and on the console's pages.
//
// Promises:
//
//   - A position counts lines and characters from 1; a character is a Unicode code point.
//   - What is rendered is safe to print. Excerpts and messages may quote hostile text (a playbook from a
//     pull request, a value from an alert), so control characters, bidirectional overrides and over-long
//     lines never reach the terminal as they are.
//   - Findings are sorted by place, so the same input gives the same output, byte for byte.
//
// The package imports nothing of ours.
package diag

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a finding stops a text from being used.
type Severity string

const (
	// Error means that the text cannot be used as it stands.
	Error Severity = "error"
	// Warning means that the text can be used but probably does not say what its author meant.
	Warning Severity = "warning"
)

// Position is a place in a file. Line and Column start at 1; Column counts characters, not bytes. A zero
// Line means that the finding is about the file as a whole.
type Position struct {
	File   string
	Line   int
	Column int
}

// String returns "file:line:column", leaving out what is unknown.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Compare orders positions by file, line and column.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// Finding is one thing that is wrong, or doubtful, in a text.
type Finding struct {
	Code     string
	Severity Severity
	Pos      Position
	Length   int    // how many characters from Pos on are meant; at least one is underlined
	Message  string // what is wrong
	Mend     string // what to do about it
	Excerpt  string // the line of the source that Pos points into, as it was read
}

// String is the finding on one line, safe to print.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s %s: %s", plain(f.Pos.String()), f.Severity, f.Code, plain(f.Message))
}

// Findings is what a reader reports; the zero value reports nothing.
type Findings []Finding

// Sort orders findings by place, errors before warnings at the same place.
func (fs Findings) Sort() {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(
			a.Pos.Compare(b.Pos),
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Message, b.Message),
		)
	})
}

// HasErrors reports whether any finding stops the text from being used.
func (fs Findings) HasErrors() bool {
	return slices.ContainsFunc(fs, func(f Finding) bool { return f.Severity == Error })
}

// Err returns nil if there are no errors among the findings, and otherwise a *Failure that holds them all.
func (fs Findings) Err() error {
	if !fs.HasErrors() {
		return nil
	}
	return &Failure{Findings: fs}
}

// Failure is findings as an error, for callers that only pass on that a text was refused.
type Failure struct{ Findings Findings }

// Error quotes the first error and counts the others.
func (e *Failure) Error() string {
	var (
		first Finding
		count int
	)
	for _, f := range e.Findings {
		if f.Severity != Error {
			continue
		}
		if count == 0 {
			first = f
		}
		count++
	}
	switch count {
	case 0:
		return "no errors"
	case 1:
		return first.String()
	}
	return fmt.Sprintf("%s (and %d more)", first, count-1)
}

// Code explains one kind of finding. Each package that reports findings keeps its codes as a slice next to
// the checks that use them; whoever assembles the program puts the slices together.
type Code struct {
	Code     string   `json:"code"`     // "PB012"
	Title    string   `json:"title"`    // a few words, as in a table of contents
	Severity Severity `json:"severity"` // what findings of this code usually are
	Help     string   `json:"help"`     // why this is reported and what to do, in a paragraph of Markdown
}

// Lookup finds a code in a list, ignoring case.
func Lookup(codes []Code, name string) (Code, bool) {
	for _, c := range codes {
		if strings.EqualFold(c.Code, name) {
			return c, true
		}
	}
	return Code{}, false
}
