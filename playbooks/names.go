package playbooks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// names checks the roots of an expression against the rules of the language and remembers what it
// uses. It returns the watchlists that the expression reads.
func (c *compiler) names(n *document.Node, src string, base int, s *scope) (map[string]expression.Type, bool) {
	u := &usage{c: c, node: n, source: src, base: base, scope: s, lists: map[string]expression.Type{}, ok: true}
	refs := references(src)
	for i, ref := range refs {
		switch {
		case ref.local || u.local[ref.root]:
			u.bind(ref)
		case ref.call:
			u.call(refs[i])
		default:
			u.root(refs[i])
		}
	}
	return u.lists, u.ok
}

// usage is the check of one expression's names.
type usage struct {
	c      *compiler
	node   *document.Node
	source string
	base   int // where the expression begins in the node's text
	scope  *scope
	local  map[string]bool // names that let gives
	lists  map[string]expression.Type
	ok     bool
}

func (u *usage) bind(ref reference) {
	if u.local == nil {
		u.local = map[string]bool{}
	}
	u.local[ref.root] = true
}

// fail reports an error at the root of a path.
func (u *usage) fail(ref reference, code, mend, format string, args ...any) {
	u.ok = false
	u.c.report(u.node.ErrorIn(u.base+ref.offset, len([]rune(ref.root)), code, fmt.Sprintf(format, args...), mend))
}

// failName reports an error at the name behind the root.
func (u *usage) failName(ref reference, code, mend, format string, args ...any) {
	u.ok = false
	u.c.report(u.node.ErrorIn(u.base+ref.nameOffset, len([]rune(ref.name)), code, fmt.Sprintf(format, args...), mend))
}

// root judges one path by its root.
func (u *usage) root(ref reference) {
	s := u.scope
	if ref.root == "vars" || ref.root == "inputs" {
		u.c.read[ref.root+"."+ref.name] = true
	}
	switch {
	case ref.root == "secrets":
		u.fail(ref, codeSecret, "only a field of an action that takes a secret may be ${{ secrets.NAME }}, and nothing else",
			"a secret cannot be used in an expression")
	case ref.root == "lists":
		u.list(ref)
	case ref.root == AskState:
		u.state(ref)
	case slices.Contains([]string{"vars", "steps", "run", "last", "inputs"}, ref.root) && !s.running:
		u.fail(ref, codePhase, "use the event itself here", "%s has no value yet: this is worked out before a run exists", ref.root)
	case ref.root == "steps":
		u.step(ref)
	case ref.root == "vars" && ref.name != "":
		if _, ok := s.vars[ref.name]; !ok {
			u.failName(ref, codeUnknownName, orElse(didYouMean(ref.name, sortedNames(s.vars)), "declare it under vars, above its use"),
				"there is no variable %q", ref.name)
		}
	case s.has(ref.root):
	case ref.root == "failure":
		u.fail(ref, codePhase, "use it in the steps of on_error", "failure has a value only in the steps of an on_error")
	case ref.root == "change":
		u.fail(ref, codePhase, "add a trigger such as change: {resource: alerts, field: status}", "change has a value only in a playbook with a change trigger")
	case ref.root == slaSubject:
		u.fail(ref, codeUnknownName, "add one: - sla: {resource: alerts, start: alert.createdDateTime, …}", "sla is the clock of an sla trigger, and has no value here")
	case slices.Contains([]string{alertSubject, incidentSubject, eventSubject}, ref.root):
		u.fail(ref, codeSubject, "write "+u.c.book.Subject, "the triggers of this playbook bring an %s, not an %s", u.c.book.Subject, ref.root)
	case ref.root == "inputs":
		u.fail(ref, codeUnknownName, "declare them: - manual: {inputs: {host: text}}", "this playbook has no inputs")
	}
}

func orElse(mend, fallback string) string {
	if mend == "" {
		return fallback
	}
	return mend
}

// call judges a function by its name.
func (u *usage) call(ref reference) {
	if _, asks := askedFunctions()[ref.root]; asks && !u.scope.asks {
		u.fail(ref, codePhase, "use it in when, or in a step", "%s() cannot be asked here, where the answer would not be recorded", ref.root)
	}
}

// state judges a look into the state, which is by key only.
func (u *usage) state(ref reference) {
	after := strings.TrimSpace(string([]rune(u.source)[ref.offset+len(AskState):]))
	switch {
	case !u.scope.asks:
		u.fail(ref, codePhase, "use it in when, or in a step", "state cannot be read here, where the answer would not be recorded")
	case ref.name == "" && !strings.HasPrefix(after, "[") && !strings.HasPrefix(after, "?.["):
		u.fail(ref, codeUnknownName, `write state["key"] or state.key`, "the state is read by key")
	}
}

func (u *usage) list(ref reference) {
	known := u.c.o.Lists
	switch _, exists := known[ref.name]; {
	case ref.name == "":
		u.fail(ref, codeUnknownList, "write lists.NAME", "a watchlist is named when the playbook is loaded, not worked out")
	case known != nil && !exists:
		u.failName(ref, codeUnknownList, orElse(didYouMean(ref.name, sortedNames(known)), "add a file of that name to the watchlists"),
			"there is no watchlist %q", ref.name)
	default:
		u.lists[ref.name] = expression.List(known[ref.name].Item)
		if item := known[ref.name].Item; exists && item.IsAny() {
			u.lists[ref.name] = expression.List(expression.Text)
		}
		u.c.lists[ref.name] = true
	}
}

func (u *usage) step(ref reference) {
	visible := u.scope.steps
	_, here := visible[ref.name]
	declared := u.c.ids[ref.name]
	switch {
	case ref.name == "":
		u.fail(ref, codeUnknownName, "write steps.ID", "a step is named when the playbook is loaded, not worked out")
	case here:
		u.c.used[ref.name] = true
	case declared != nil:
		u.c.used[ref.name] = true
		at := u.node.OffsetPos(u.base + ref.nameOffset)
		switch {
		case declared.Pos.Compare(at) > 0 || u.c.open[ref.name]:
			u.failName(ref, codeLaterStep, "use it in a later step, or move this one down", "the step %q has not ended at this place", ref.name)
		default:
			u.failName(ref, codeLaterStep, "read steps.ID.items of the foreach instead",
				"the step %q is inside of a foreach and cannot be read from outside", ref.name)
		}
	default:
		u.failName(ref, codeUnknownName, didYouMean(ref.name, sortedNames(visible)), "there is no step %q", ref.name)
	}
}
