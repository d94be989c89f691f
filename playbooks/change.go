package playbooks

import (
	"fmt"
	"slices"

	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// Change concerns versions of an object in which one field differs from the version before.
type Change struct {
	Field string
	From  []any  // values before: texts, whole numbers, booleans, nil for none; empty: any
	To    []any  // values after
	By    string // ByPerson, ByUs or ByAnyone
}

// Who makes changes, and whose changes a trigger wants.
const (
	ByUs     = "us"     // a playbook of this program wrote it
	ByPerson = "person" // somebody else did; Graph seldom says whether that was a person
	ByApp    = "app"    // somebody else did, and Graph says that it was a program
	ByAnyone = "anyone" // of a trigger: whoever
)

// change reads a change trigger. It brings a poll of its own, without a filter: a filter is about
// the new version, and would keep versions back that later changes are told by.
func (c *compiler) change(n *document.Node) (*Poll, *Change, string) {
	b, ok := c.block(n, "change", changeKeys(), nil)
	if !ok {
		return nil, nil, ""
	}
	p := &Poll{Every: b.duration("every", MinPollEvery, MaxPollEvery, DefaultPollEvery), Updated: true}
	subject := c.polled(b, p)
	ch := &Change{By: b.word("by", ByAnyone, ByPerson, ByUs, ByAnyone)}
	field, ok := b.need("field", "the field that changes, such as status")
	if !ok || subject == "" {
		return p, ch, subject
	}
	typ, ok := c.changeField(field, subject)
	if !ok {
		return p, ch, subject
	}
	ch.Field = field.Text
	ch.From, ch.To = c.changeValues(b, "from", ch.Field, typ), c.changeValues(b, "to", ch.Field, typ)
	if len(ch.From) == 1 && slices.Equal(ch.From, ch.To) {
		c.fail(b.get("to"), codeConflict, "write another value, or leave one of the two out",
			"from and to are both %s, and a field that keeps its value does not change", b.get("to"))
	}
	return p, ch, subject
}

// changeField finds out what Graph knows of a field.
func (c *compiler) changeField(n *document.Node, subject string) (expression.Type, bool) {
	name := c.text(n, "field", MaxIdentifier)
	if name == "" {
		return expression.Any, false
	}
	if typ, ok := SubjectTypeOf(subject).Field(name); ok {
		return typ, true
	}
	mend := orElse(didYouMean(name, SubjectTypeOf(subject).Fields()), "use a field of the "+subject+" itself, not one inside of another")
	c.fail(n, codeUnknownName, mend, "an %s has no field %q", subject, shorten(name))
	return expression.Any, false
}

// changeValues reads the values of from or to: one, or a list of them.
func (c *compiler) changeValues(b *block, key, field string, typ expression.Type) []any {
	n := b.get(key)
	if n == nil {
		return nil
	}
	_, list := typ.IsList()
	if list || typ.IsObject() || typ.IsTime() {
		c.fail(b.node.Pair(key).Key, codeConflict, "leave it out, and compare change.old and change.new in when",
			"%s is %s: from and to take single values", field, typ)
		return nil
	}
	items := []*document.Node{n}
	if n.Kind == document.List {
		items = n.Items
	}
	switch {
	case len(items) == 0:
		c.fail(n, codeMissing, "write a value, or leave it out", "%s is empty, so nothing would start this playbook", key)
	case len(items) > MaxEnumValues:
		c.fail(items[MaxEnumValues], codeLimit, "name fewer", "%s has %d values; at most %d are allowed", key, len(items), MaxEnumValues)
		return nil
	}
	var values []any
	for _, item := range items {
		if v, ok := c.changeValue(item, key, field, typ); ok {
			values = append(values, v)
		}
	}
	return values
}

func (c *compiler) changeValue(n *document.Node, key, field string, typ expression.Type) (any, bool) {
	fits := false
	switch n.Kind {
	case document.Null:
		return nil, true
	case document.String:
		fits = typ.IsText()
	case document.Bool:
		fits = typ.IsBool()
	case document.Int:
		fits = typ.IsNumber()
	}
	if !fits && !typ.IsAny() {
		c.fail(n, codeKind, "write a value that the field can have", "%s of %s is %s, but the field is %s", key, field, n, typ)
		return nil, false
	}
	words := typ.Values()
	if n.Kind != document.String || len(words) == 0 || slices.Contains(words, n.Text) {
		return n.Any(), true
	}
	c.fail(n, codeFilterLiteral, typ.Meant(n.Text), "%s is never %q", field, shorten(n.Text))
	return nil, false
}

// changeType is what expressions know of the change that started the playbook: nil where another
// trigger did.
func (c *compiler) changeType() (expression.Type, bool) {
	var fields []string
	var value expression.Type
	for _, t := range c.book.Triggers {
		if t.Change == nil || slices.Contains(fields, t.Change.Field) {
			continue
		}
		value, _ = SubjectTypeOf(c.book.Subject).Field(t.Change.Field)
		fields = append(fields, t.Change.Field)
	}
	if len(fields) > 1 {
		value = expression.Any // of one field or another
	}
	return expression.Object(map[string]expression.Type{
		"field": expression.Enum(fields...), "old": value, "new": value, "by": expression.Enum(ByUs, ByPerson, ByApp),
	}), len(fields) > 0
}

// String says what a change trigger waits for.
func (ch *Change) String() string {
	text := ch.Field
	for _, side := range []struct {
		word   string
		values []any
	}{{"from", ch.From}, {"to", ch.To}} {
		if len(side.values) > 0 {
			text += fmt.Sprintf(" %s %v", side.word, side.values)
		}
	}
	if ch.By != ByAnyone {
		text += " by " + ch.By
	}
	return text
}
