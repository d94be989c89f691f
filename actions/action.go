// Package actions is the contract between playbooks and what they can do.
//
// An action is declared once: an input struct, an output struct, and one function for each
// request that it makes of the world. From that declaration come the checks at load and at run
// time, the JSON Schema for editors, the static types of later expressions, the reference
// documentation and the list of Graph permissions. Nothing about an action is written twice.
//
// An action is made of parts. Most have one; alert.update with a comment has two, a PATCH and a
// POST, because the two behave differently when repeated. Each part states its [Effect], and
// that statement alone decides what the engine does after a lost answer or a crash:
//
//	reads      repeat it
//	converges  repeat it: any number of calls ends in the same state
//	adds       ask the part's probe whether it happened, then repeat it or take the answer
//	once       never repeat it; a person decides
//
// What this package promises: an input that does not fit the schema never reaches a part; a
// part sees the same [Call.Key] on every attempt; a dry run performs only parts that read.
package actions

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
)

// Effect says what repeating a part of an action does. Recovery depends on it.
type Effect string

// The effect classes, from harmless to irreversible.
const (
	Reads     Effect = "reads"     // changes nothing
	Converges Effect = "converges" // any number of calls ends in the same state
	Adds      Effect = "adds"      // each call adds something; a probe can find it
	Once      Effect = "once"      // must not happen twice and cannot be probed
)

// Part is one request that an action makes, as its declaration describes it.
type Part struct {
	Name        string   `json:"name"` // unique within the action: "update", "comment"
	Effect      Effect   `json:"effect"`
	Summary     string   `json:"summary,omitempty"`
	Permissions []string `json:"permissions,omitempty"` // least Graph application permissions
	// Awaits marks the part that looks whether what the others only started has come to its end. It
	// is taken by steps that say await; until the end it returns the fault [NotYet]. It reads, it
	// is the last, and it finds what the others put out in Call.Started.
	Awaits bool `json:"awaits,omitempty"`
}

// Spec is everything an action says about itself.
type Spec struct {
	Name        string  `json:"name"`    // "alert.comment"
	Summary     string  `json:"summary"` // one sentence
	Description string  `json:"description,omitempty"`
	Example     string  `json:"example,omitempty"` // a step, as YAML
	Parts       []Part  `json:"parts"`
	Input       *Schema `json:"input"`  // filled by Define
	Output      *Schema `json:"output"` // filled by Define

	// Rule finds what a schema cannot say: fields that exclude each other, values that do not go
	// together. It is pure. At load it sees values as they are written, so it must leave alone
	// whatever [IsTemplate], and must not take a missing field for an empty one.
	Rule func(input map[string]any) []Violation `json:"-"`
}

// Part returns the declaration of the part called name.
func (s Spec) Part(name string) (Part, bool) {
	for _, p := range s.Parts {
		if p.Name == name {
			return p, true
		}
	}
	return Part{}, false
}

// Awaiting returns the part that awaits, if there is one.
func (s Spec) Awaiting() (Part, bool) {
	if n := len(s.Parts); n > 0 && s.Parts[n-1].Awaits {
		return s.Parts[n-1], true
	}
	return Part{}, false
}

// Permissions is the union of what the parts need, sorted.
func (s Spec) Permissions() []string {
	var all []string
	for _, p := range s.Parts {
		all = append(all, p.Permissions...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Call is one attempt at one part.
type Call struct {
	Key       string // the same for every attempt at this part of this step of this run
	RequestID string // a UUID, new for each attempt: travels to Graph as client-request-id
	Tenant    string
	Playbook  string
	Run       string
	Part      string
	Input     json.RawMessage
	Started   json.RawMessage // for a part that awaits: what the parts before it put out
	Log       *slog.Logger    // nil: say nothing
}

// Touch is a change that a part makes to a Graph object. The engine records it before the
// effect, so that a later poll can tell our own echo from somebody's change.
type Touch struct {
	Object string `json:"object"` // "alerts/ID" or "incidents/ID"
	// Fields are the values written, by Graph's names. A [ListChange] stands for a list that is
	// added to.
	Fields map[string]any `json:"fields,omitempty"`
	// Derived names fields whose new value only Graph knows: those that follow from a written
	// one (resolvedDateTime from status), and those where the new value depends on the old (tags
	// that are added). lastUpdateDateTime follows from every change and is not listed.
	Derived []string `json:"derived,omitempty"`
	Comment bool     `json:"comment,omitempty"`
}

// ListChange is what is written to a list whose other items stay as they are.
type ListChange struct {
	Add    []string `json:"$add,omitempty"`
	Remove []string `json:"$remove,omitempty"`
}

// Action is what a step calls. Use [Define] to make one.
type Action interface {
	Spec() Spec
	// Plan names, in order, the parts that this input takes, but not one that awaits. It is pure.
	Plan(input json.RawMessage) ([]string, error)
	// Touches says what a part will change in Graph. It is pure.
	Touches(part string, input json.RawMessage) []Touch
	// Preview is the output a part would probably have: what a dry run shows. It is pure.
	Preview(part string, input json.RawMessage) json.RawMessage
	// Do performs the part call.Part once. A nil error means that it took effect. Any other
	// error is read with FaultOf.
	Do(ctx context.Context, call Call) (json.RawMessage, error)
	// Probe tells whether an earlier attempt with the same key took effect, and its output.
	// Only parts that add have one.
	Probe(ctx context.Context, call Call) (out json.RawMessage, happened bool, err error)
}
