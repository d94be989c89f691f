package playbooks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// What expressions ask the world besides the event. Each answer is recorded with what was decided by it, so
// a playbook that asks nothing pays for nothing: [Playbook.Asks] says which do.
const (
	AskSeen        = "seen"
	AskHistory     = "history"
	AskState       = "state" // a name and no function: state["key"]
	AskOnDuty      = "onDuty"
	AskLeastLoaded = "leastLoaded"
)

// Limits of what is asked.
const (
	MinWindow        = time.Second
	MaxWindow        = 90 * 24 * time.Hour
	MinStateFor      = time.Minute
	MaxStateFor      = 366 * 24 * time.Hour
	MaxStateWrites   = 20   // values of the state that one step sets
	MaxHistory       = 1000 // what history() counts to
	MaxHistoryValues = 20   // values of one field of history()
	MaxPeople        = 100  // of leastLoaded()
)

// DefaultStateFor is how long a value of the state is kept when the step doesn't say.
const DefaultStateFor = 90 * 24 * time.Hour

// askedFunctions are the types of what can be asked.
func askedFunctions() map[string]expression.Signature {
	return map[string]expression.Signature{
		AskSeen:        {Params: []expression.Type{expression.Any, expression.Any}, Result: expression.Bool},
		AskHistory:     {Params: []expression.Type{expression.Object(nil)}, Result: expression.Int},
		AskOnDuty:      {Params: []expression.Type{expression.Text, expression.Time}, Optional: 1, Result: expression.Text},
		AskLeastLoaded: {Params: []expression.Type{expression.List(expression.Any)}, Result: expression.Text},
	}
}

// HistoryField is a field of events of one kind that some playbook counts by. Only these are indexed.
type HistoryField struct {
	Kind  string // alert or incident
	Field string
}

// HistoryFields are the fields by which history() counts. What they hold is for the engine to say.
func HistoryFields() []string {
	return []string{"category", "detector", "device", "file", "ip", "service", "severity", "technique", "title", "url", "user"}
}

// Questions are what expressions can ask the world.
func Questions() []string {
	return append(sortedNames(askedFunctions()), AskState)
}

// questions remembers what an expression asks, and checks what is written out of it.
func (c *compiler) questions(n *document.Node, names []string, calls []expression.Asking) {
	if slices.Contains(names, AskState) {
		c.asksFor(AskState)
	}
	for _, call := range calls {
		c.asksFor(call.Name)
		switch call.Name {
		case AskSeen:
			c.window(n, call.Args[1])
		case AskHistory:
			c.history(n, call)
		case AskOnDuty:
			c.rota(n, call.Args[0])
		}
	}
}

func (c *compiler) asksFor(name string) {
	if !slices.Contains(c.book.Asks, name) {
		c.book.Asks = append(c.book.Asks, name)
		slices.Sort(c.book.Asks)
	}
}

// wrong reports an argument.
func (c *compiler) wrong(n *document.Node, a expression.Argument, code, mend, format string, args ...any) {
	c.report(n.ErrorIn(a.Offset, a.Length, code, fmt.Sprintf(format, args...), mend))
}

// window checks a window that is written out.
func (c *compiler) window(n *document.Node, a expression.Argument) {
	if !a.Constant {
		return
	}
	if _, err := Window(a.Value); err != nil {
		c.wrong(n, a, codeExpression, `write a text such as "24h"`, "%v", err)
	}
}

// Window reads a window as seen() and history() take it: a duration, or the text of one.
func Window(v any) (time.Duration, error) {
	d, ok := v.(time.Duration)
	if text, is := v.(string); is {
		var err error
		if d, err = ParseDuration(text); err != nil {
			return 0, fmt.Errorf("the window is no time: %w", err)
		}
		ok = true
	}
	switch {
	case !ok:
		return 0, fmt.Errorf(`the window is a time such as "24h"`)
	case d < MinWindow || d > MaxWindow:
		return 0, fmt.Errorf("the window is %s; it may be from %s to %s", FormatDuration(d), FormatDuration(MinWindow), FormatDuration(MaxWindow))
	}
	return d, nil
}

// history checks what is counted. The fields are written out, because those that nobody names are not indexed.
func (c *compiler) history(n *document.Node, call expression.Asking) {
	arg := call.Args[0]
	if !arg.Object {
		c.wrong(n, arg, codeExpression, `write history({window: "24h", user: …})`, "the fields of history are written out, not worked out")
		return
	}
	kind, window, counted := c.book.Subject, false, false
	for _, f := range arg.Fields {
		switch {
		case f.Name == "window":
			window = true
			c.window(n, f)
		case f.Name == "resource":
			kind = c.historyKind(n, f)
		case slices.Contains(HistoryFields(), f.Name):
			counted = true
		default:
			counted = true // as was meant
			c.wrong(n, f, codeUnknownName, orElse(didYouMean(f.Name, HistoryFields()), "choose among "+strings.Join(HistoryFields(), ", ")),
				"history does not count by %q", shorten(f.Name))
		}
	}
	switch {
	case !window:
		c.wrong(n, arg, codeMissing, `add window: "24h"`, "history needs a window")
	case !counted:
		c.wrong(n, arg, codeMissing, "add one of "+strings.Join(HistoryFields(), ", "), "history needs a field to count by")
	case kind != alertSubject && kind != incidentSubject:
		c.wrong(n, arg, codeMissing, `add resource: "alerts" or "incidents"`, "history counts alerts or incidents, and this playbook has an %s", kind)
	}
	for _, f := range arg.Fields {
		if field := (HistoryField{Kind: kind, Field: f.Name}); slices.Contains(HistoryFields(), f.Name) && !slices.Contains(c.book.Histories, field) {
			c.book.Histories = append(c.book.Histories, field)
		}
	}
}

// historyKind reads the resource of a history.
func (c *compiler) historyKind(n *document.Node, f expression.Argument) string {
	switch f.Value {
	case "alerts":
		return alertSubject
	case "incidents":
		return incidentSubject
	}
	c.wrong(n, f, codeWord, `write "alerts" or "incidents"`, "history counts alerts or incidents")
	return c.book.Subject
}

// rota checks the name of a rota.
func (c *compiler) rota(n *document.Node, a expression.Argument) {
	name, ok := a.Value.(string)
	if !ok || c.o.Rotas == nil || slices.Contains(c.o.Rotas, name) {
		return
	}
	c.wrong(n, a, codeUnknownRota, orElse(didYouMean(name, c.o.Rotas), "add a file rotas/NAME.yaml"), "there is no rota %q", shorten(name))
}

// stateKey is the key under which set writes to the state instead of to a variable.
const stateKey = "state"

// stateWrites reads what a set writes to the state: one value, or a list of them.
func (c *compiler) stateWrites(n *document.Node, s *scope) []StateWrite {
	items := []*document.Node{n}
	if n.Kind == document.List {
		items = n.Items
	}
	switch {
	case len(items) == 0:
		c.fail(n, codeMissing, "add - {key: …, value: …}", "state is empty")
	case len(items) > MaxStateWrites:
		c.fail(n, codeLimit, "use several steps", "there are more than %d values", MaxStateWrites)
		return nil
	}
	c.asksFor(AskState)
	var list []StateWrite
	for _, item := range items {
		b, ok := c.block(item, "state", stateKeys(), nil)
		if !ok {
			continue
		}
		w := StateWrite{For: b.duration("for", MinStateFor, MaxStateFor, DefaultStateFor)}
		if key, ok := b.need("key", "a text: the value is read as state[key]"); ok {
			w.Key = c.keyTemplate(key, s)
		}
		if value, ok := b.need("value", "what to keep; null forgets it"); ok {
			w.Value, _ = c.value(value, s)
		}
		list = append(list, w)
	}
	return list
}
