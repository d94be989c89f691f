// Package odata reads the part of OData 4 that Graph security answers: $filter expressions with eq, ne, gt, ge,
// lt, le, in, and, or, not, parentheses, the lambdas any and all, and $orderby.
//
// It works on decoded JSON and knows nothing of alerts. A filter is parsed once and asked often; asking cannot
// fail. What a property may be compared with is the caller's rule: [Filter.Comparisons] lists what the filter
// does, so that the caller can refuse it.
//
// Input is hostile: length, depth and the number of terms are limited, and parsing never recurses deeper than
// MaxDepth.
package odata

import (
	"fmt"
	"time"
)

// Limits of a filter.
const (
	MaxLength = 8192 // bytes
	MaxDepth  = 50   // parentheses, nots and lambdas inside one another
	MaxTerms  = 500  // comparisons and members of in-lists together
)

// Kind is the kind of a literal.
type Kind int

// The kinds of literals.
const (
	Null Kind = iota
	String
	Number
	Bool
	Time
)

// String names the kind as messages do.
func (k Kind) String() string {
	switch k {
	case String:
		return "a string"
	case Number:
		return "a number"
	case Bool:
		return "a boolean"
	case Time:
		return "a timestamp"
	}
	return "null"
}

// Literal is a constant of a filter.
type Literal struct {
	Kind   Kind
	Text   string // of a String, without quotes; otherwise as written
	number float64
	time   time.Time
}

// Comparison is one thing a filter does with a property.
type Comparison struct {
	Path     []string // segments; within a lambda the segments of the collection come first
	Op       string   // eq, ne, gt, ge, lt, le, in; "" when the property stands alone, "any" or "all" for a lambda
	Literals []Literal
}

// SyntaxError says where a filter stops making sense.
type SyntaxError struct {
	Offset  int // bytes from the start
	Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid filter clause at position %d: %s", e.Offset, e.Message)
}

// Filter is a parsed $filter.
type Filter struct {
	root        node
	comparisons []Comparison
}

// Comparisons lists what the filter compares, in the order written.
func (f *Filter) Comparisons() []Comparison { return f.comparisons }

// Match tells whether a document passes. Comparisons between things that do not compare are false.
func (f *Filter) Match(document map[string]any) bool {
	return f.root.match(scope{document: document})
}

// Parse reads a filter.
func Parse(filter string) (*Filter, error) {
	if len(filter) > MaxLength {
		return nil, &SyntaxError{MaxLength, fmt.Sprintf("the filter is longer than %d bytes", MaxLength)}
	}
	tokens, err := scan(filter)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, p.unexpected("and, or or the end")
	}
	return &Filter{root: root, comparisons: p.comparisons}, nil
}
