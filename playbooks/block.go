package playbooks

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/playbookd/playbookd/internal/document"
)

// block is a map of the document whose keys are known to the language. Reading every map through
// one makes sure that no key is ever ignored.
type block struct {
	c    *compiler
	node *document.Node
	what string
}

// block checks a map's keys. later are keys of the language that this version doesn't know yet:
// they are refused, because a playbook that says more than it does is dangerous.
func (c *compiler) block(n *document.Node, what string, keys, later []string) (*block, bool) {
	if !c.isMap(n, what) {
		return nil, false
	}
	for _, p := range n.Pairs {
		switch {
		case slices.Contains(keys, p.Key.Text):
		case slices.Contains(later, p.Key.Text):
			c.notYet(p.Key, p.Key.Text)
		default:
			c.fail(p.Key, codeUnknownKey, didYouMean(p.Key.Text, keys), "%s has no key %q", what, shorten(p.Key.Text))
		}
	}
	return &block{c: c, node: n, what: what}, true
}

// notYet reports a construct of the language that this version cannot do.
func (c *compiler) notYet(n *document.Node, name string) {
	c.fail(n, codeNotYet, notYetMend(name), "%s is not supported yet", name)
}

// notYetMend says how to get by without a construct, where there is a way.
func notYetMend(name string) string {
	switch name {
	case "undo":
		return "give the steps that may fail on_error: [steps]"
	case "subscription":
		return "use poll: it finds the same changes a little later"
	}
	return "remove it"
}

func (c *compiler) isMap(n *document.Node, what string) bool {
	if n.Kind == document.Map {
		return true
	}
	c.fail(n, codeKind, "write key: value lines", "%s is a map, not %s", what, n)
	return false
}

func (c *compiler) isList(n *document.Node, what string) bool {
	if n.Kind == document.List {
		return true
	}
	c.fail(n, codeKind, `start each entry with "- "`, "%s is a list, not %s", what, n)
	return false
}

// get returns the value of a key, nil if the key is absent.
func (b *block) get(key string) *document.Node { return b.node.Get(key) }

// need returns the value of a key that must be there.
func (b *block) need(key, description string) (*document.Node, bool) {
	if n := b.node.Get(key); n != nil {
		return n, true
	}
	b.c.fail(b.node, codeMissing, fmt.Sprintf("add %s: %s", key, description), "%s needs the key %s", b.what, key)
	return nil, false
}

// text reads a short text without expressions.
func (b *block) text(key string, limit int) string {
	n := b.get(key)
	if n == nil {
		return ""
	}
	return b.c.text(n, key, limit)
}

// text reads a scalar as text that is used as it stands.
func (c *compiler) text(n *document.Node, what string, limit int) string {
	s, ok := n.Str()
	switch {
	case !ok && (n.Kind == document.Int || n.Kind == document.Float || n.Kind == document.Bool):
		c.fail(n, codeKind, fmt.Sprintf("put quotes around it: %q", n.Text), "%s is text, not %s", what, n)
	case !ok:
		c.fail(n, codeKind, "write a text", "%s is text, not %s", what, n)
	case strings.Contains(s, "${{"):
		c.fail(n, codeKind, "write it out", "%s is fixed when the playbook is loaded and takes no expressions", what)
	case utf8.RuneCountInString(s) > limit:
		c.fail(n, codeLimit, "shorten it", "%s has %d characters; at most %d are allowed", what, utf8.RuneCountInString(s), limit)
	case strings.TrimSpace(s) == "":
		c.fail(n, codeKind, "write something, or remove the key", "%s is empty", what)
	default:
		return s
	}
	return ""
}

// word reads one of a few words; absent means fallback.
func (b *block) word(key, fallback string, words ...string) string {
	n := b.get(key)
	if n == nil {
		return fallback
	}
	if w, ok := b.c.oneOf(n, key, words); ok {
		return w
	}
	return fallback
}

func (c *compiler) oneOf(n *document.Node, what string, words []string) (string, bool) {
	if s, ok := n.Str(); ok && slices.Contains(words, s) {
		return s, true
	}
	c.fail(n, codeWord, didYouMean(n.Text, words), "%s is one of %s, not %s", what, strings.Join(words, ", "), n)
	return "", false
}

// duration reads a time such as 30s; absent means fallback.
func (b *block) duration(key string, least, most, fallback time.Duration) time.Duration {
	n := b.get(key)
	if n == nil {
		return fallback
	}
	s, ok := n.Str()
	if !ok {
		mend := "write a number with a unit: 30s, 5m, 2h, 7d"
		if n.Kind == document.Int {
			mend = fmt.Sprintf("add a unit: %ss, %sm, %sh or %sd", n.Text, n.Text, n.Text, n.Text)
		}
		b.c.fail(n, codeDuration, mend, "%s is a time with a unit, not %s", key, n)
		return fallback
	}
	d, err := ParseDuration(s)
	switch {
	case err != nil:
		b.c.fail(n, codeDuration, "write a number with a unit: 30s, 5m, 2h, 7d", "%s is not a time: %v", key, err)
	case d < least || d > most:
		b.c.fail(n, codeLimit, fmt.Sprintf("choose between %s and %s", FormatDuration(least), FormatDuration(most)),
			"%s is %s", key, FormatDuration(d))
	default:
		return d
	}
	return fallback
}

// number reads a whole number; absent means fallback.
func (b *block) number(key string, least, most, fallback int) int {
	n := b.get(key)
	if n == nil {
		return fallback
	}
	v, ok := n.Int()
	switch {
	case !ok:
		b.c.fail(n, codeKind, fmt.Sprintf("write a number between %d and %d", least, most), "%s is a whole number, not %s", key, n)
	case v < int64(least) || v > int64(most):
		b.c.fail(n, codeLimit, fmt.Sprintf("choose between %d and %d", least, most), "%s is %d", key, v)
	default:
		return int(v)
	}
	return fallback
}

// flag reads true or false; absent means fallback.
func (b *block) flag(key string, fallback bool) bool {
	n := b.get(key)
	if n == nil {
		return fallback
	}
	v, ok := n.Bool()
	if !ok {
		b.c.fail(n, codeKind, "write true or false", "%s is true or false, not %s", key, n)
		return fallback
	}
	return v
}

// texts reads a list of different short texts.
func (b *block) texts(key string, most int) []string {
	n := b.get(key)
	if n == nil || !b.c.isList(n, key) {
		return nil
	}
	if len(n.Items) > most {
		b.c.fail(n.Items[most], codeLimit, "remove some", "%s has %d entries; at most %d are allowed", key, len(n.Items), most)
		return nil
	}
	var out []string
	for _, item := range n.Items {
		s := b.c.text(item, "an entry of "+key, MaxIdentifier)
		switch {
		case s == "":
		case slices.Contains(out, s):
			b.c.fail(item, codeDuplicate, "remove one of them", "%s holds %q twice", key, s)
		default:
			out = append(out, s)
		}
	}
	return out
}

// identifier checks a name that expressions use.
func (c *compiler) identifier(n *document.Node, what string) bool {
	name := n.Text
	switch {
	case n.Kind != document.String || !isIdentifier(name):
		c.fail(n, codeName, "use letters, digits and _, starting with a letter", "%q cannot be the name of %s", shorten(name), what)
	case len(name) > MaxIdentifier:
		c.fail(n, codeLimit, "shorten it", "the name of %s has %d characters; at most %d are allowed", what, len(name), MaxIdentifier)
	case slices.Contains(reservedWords(), name):
		c.fail(n, codeName, "choose another", "%q means something in expressions and cannot be the name of %s", name, what)
	default:
		return true
	}
	return false
}

func isIdentifier(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// reservedWords are the words of the expression language that can't be names.
func reservedWords() []string {
	return []string{"true", "false", "nil", "null", "and", "or", "not", "in", "let", "if", "else", "matches", "contains",
		"startsWith", "endsWith"}
}

// shorten cuts a text from the file so that it can stand in a message.
func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
