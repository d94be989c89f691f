package expression

import (
	"errors"
	"slices"
	"time"
)

// Metered is the outcome of a match with what it cost.
type Metered struct {
	Holds       bool
	FirstFalse  string
	Err         string
	Offset      int // of the Fault
	Work, Bytes int
}

// MatchMetered is Match with its cost.
func MatchMetered(p *Program, scope map[string]any, now time.Time) Metered {
	m := meter{now: now, scope: scope}
	var got Metered
	var err error
	got.Holds, got.FirstFalse, err = p.match(&m)
	if err != nil {
		got.Err = err.Error()
		if f, ok := errors.AsType[*Fault](err); ok {
			got.Offset = f.Offset
		}
	}
	got.Work, got.Bytes = m.work, m.bytes
	return got
}

// MatchByMachine is MatchMetered with every term evaluated by a new machine.
func MatchByMachine(p *Program, scope map[string]any, now time.Time) Metered {
	slow := *p
	slow.terms = slices.Clone(p.terms)
	for i := range slow.terms {
		slow.terms[i].direct = nil
	}
	return MatchMetered(&slow, scope, now)
}

// Direct counts the terms that need no machine.
func Direct(p *Program) int {
	n := 0
	for _, t := range p.terms {
		if t.direct != nil {
			n++
		}
	}
	return n
}
