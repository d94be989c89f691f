// Package document reads one strict YAML document into a tree in which every node knows its place.
//
// YAML is pleasant to write and full of traps: aliases that grow without bound, tags that change what a value
// is, keys given twice, "no" that is a boolean for some readers and a country for others. A text that decides
// what happens to security alerts must mean the same to everybody who reads it. So this reader accepts the
// plain part of YAML 1.2 and reports the rest with a code, a place and advice.
//
// Promises:
//
//   - A document is at most MaxSize bytes of UTF-8, nested at most MaxDepth deep; reading it costs time and
//     memory in proportion to its size. Anchors, aliases, merge keys, tags, duplicate keys, a second document
//     and a byte order mark are findings, not surprises.
//   - Scalars are resolved by the core schema of YAML 1.2 and no other. What YAML 1.1 would read differently
//     (yes, off, 0777) must be quoted.
//   - Every node has a position, and every character of a scalar's value can be traced to the character of the
//     file it came from, also through quotes and folded lines. So an expression inside a "when: >" block is
//     reported where it stands.
//   - Nothing is decoded into Go structs: whoever reads a document walks the tree and can report what it
//     does not know.
//
// It is the only package that imports the YAML library.
package document

import (
	"fmt"
	"strconv"

	"github.com/playbookd/playbookd/internal/diag"
)

// Limits of a document.
const (
	// MaxSize is the largest document that is read, in bytes.
	MaxSize = 256 << 10
	// MaxDepth is how deep maps and lists may be nested. The document's own node has depth 1.
	MaxDepth = 32
)

// Kind says what a node is.
type Kind int

// The kinds of nodes.
const (
	Null Kind = iota
	Bool
	Int
	Float
	String
	List
	Map
)

// String returns the kind as people call it.
func (k Kind) String() string {
	switch k {
	case Null:
		return "nothing"
	case Bool:
		return "true or false"
	case Int:
		return "a whole number"
	case Float:
		return "a number"
	case String:
		return "text"
	case List:
		return "a list"
	case Map:
		return "a map"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Style says how a scalar was written.
type Style int

// The styles of scalars.
const (
	Plain        Style = iota // without quotes
	SingleQuoted              // 'like this'
	DoubleQuoted              // "like this"
	Literal                   // a block after |
	Folded                    // a block after >
)

// Quoted reports whether the author marked the scalar as text.
func (s Style) Quoted() bool { return s != Plain }

// Node is one value of a document. Nodes are not changed after reading.
type Node struct {
	Kind   Kind
	Style  Style         // of a scalar
	Text   string        // of a scalar: its value as text, as YAML defines it
	Pos    diag.Position // where it starts
	Length int           // how many characters it takes on its first line
	Pairs  []Pair        // of a Map, in the order written
	Items  []*Node       // of a List

	bool  bool
	int   int64
	float float64
	doc   *Document
}

// Pair is one entry of a Map.
type Pair struct {
	Key   *Node
	Value *Node
}

// Document is a text together with the tree read from it.
type Document struct {
	File string
	Root *Node // nil if the text is not YAML

	lines []string
	runes [][]rune // the lines again, to count in characters without counting from the start each time
}

// Line returns a line of the source, counted from 1, without its line break; "" if there is no such line.
func (d *Document) Line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	return d.lines[n-1]
}

// Lines is how many lines the source has.
func (d *Document) Lines() int { return len(d.lines) }

// Finding makes a finding about a place in the document, with its line as excerpt.
func (d *Document) Finding(code string, severity diag.Severity, pos diag.Position, length int, message, mend string) diag.Finding {
	return diag.Finding{
		Code: code, Severity: severity, Pos: pos, Length: length,
		Message: message, Mend: mend, Excerpt: d.Line(pos.Line),
	}
}

// Error makes an error about the node.
func (n *Node) Error(code, message, mend string) diag.Finding {
	return n.doc.Finding(code, diag.Error, n.Pos, n.Length, message, mend)
}

// Warning makes a warning about the node.
func (n *Node) Warning(code, message, mend string) diag.Finding {
	return n.doc.Finding(code, diag.Warning, n.Pos, n.Length, message, mend)
}

// ErrorIn makes an error about some characters of a scalar's value, placed where they stand in the file.
// Offset and length count characters of Text.
func (n *Node) ErrorIn(offset, length int, code, message, mend string) diag.Finding {
	return n.doc.Finding(code, diag.Error, n.OffsetPos(offset), n.span(offset, length), message, mend)
}

// WarningIn is ErrorIn for a warning.
func (n *Node) WarningIn(offset, length int, code, message, mend string) diag.Finding {
	return n.doc.Finding(code, diag.Warning, n.OffsetPos(offset), n.span(offset, length), message, mend)
}

// Document returns the document the node belongs to.
func (n *Node) Document() *Document { return n.doc }

// Get returns the value of a key, or nil if the node is not a map or has no such key.
func (n *Node) Get(key string) *Node {
	if p := n.Pair(key); p != nil {
		return p.Value
	}
	return nil
}

// Pair returns the entry with a key, or nil.
func (n *Node) Pair(key string) *Pair {
	if n == nil || n.Kind != Map {
		return nil
	}
	for i := range n.Pairs {
		if n.Pairs[i].Key.Text == key {
			return &n.Pairs[i]
		}
	}
	return nil
}

// Find walks a path of keys and list indexes. If the path leads out of the tree, it returns the last node
// that exists, and false: that is where something is missing.
func (n *Node) Find(path []string) (*Node, bool) {
	for _, step := range path {
		next := n.child(step)
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}

// FindKey returns the key at the end of a path, to point at a name rather than at its value. If the last step
// is not a key it returns what Find returns.
func (n *Node) FindKey(path []string) (*Node, bool) {
	if len(path) == 0 {
		return n, true
	}
	parent, ok := n.Find(path[:len(path)-1])
	if !ok {
		return parent, false
	}
	if p := parent.Pair(path[len(path)-1]); p != nil {
		return p.Key, true
	}
	return parent.Find(path[len(path)-1:])
}

// child is one step of a path.
func (n *Node) child(step string) *Node {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Map:
		return n.Get(step)
	case List:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Items) {
			return n.Items[i]
		}
	}
	return nil
}

// Any returns the value as plain Go: map[string]any, []any, string, int64, float64, bool or nil.
func (n *Node) Any() any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Bool:
		return n.bool
	case Int:
		return n.int
	case Float:
		return n.float
	case String:
		return n.Text
	case List:
		list := make([]any, len(n.Items))
		for i, item := range n.Items {
			list[i] = item.Any()
		}
		return list
	case Map:
		m := make(map[string]any, len(n.Pairs))
		for _, p := range n.Pairs {
			m[p.Key.Text] = p.Value.Any()
		}
		return m
	}
	return nil
}

// Bool returns the value of a Bool node.
func (n *Node) Bool() (value, ok bool) {
	if n == nil || n.Kind != Bool {
		return false, false
	}
	return n.bool, true
}

// Int returns the value of an Int node.
func (n *Node) Int() (int64, bool) {
	if n == nil || n.Kind != Int {
		return 0, false
	}
	return n.int, true
}

// Float returns the value of a Float or Int node.
func (n *Node) Float() (float64, bool) {
	switch {
	case n == nil:
		return 0, false
	case n.Kind == Int:
		return float64(n.int), true
	case n.Kind == Float:
		return n.float, true
	}
	return 0, false
}

// Str returns the value of a String node. A number or boolean without quotes is not text.
func (n *Node) Str() (string, bool) {
	if n == nil || n.Kind != String {
		return "", false
	}
	return n.Text, true
}

// IsNull reports whether there is no value: no node, or an empty one.
func (n *Node) IsNull() bool { return n == nil || n.Kind == Null }

// String describes the node for messages, never with its whole text.
func (n *Node) String() string {
	if n == nil {
		return "nothing"
	}
	switch n.Kind {
	case Null, List, Map:
		return n.Kind.String()
	}
	const most = 40
	text := []rune(n.Text)
	if len(text) > most {
		text = append(text[:most:most], '…')
	}
	return fmt.Sprintf("%s %q", n.Kind, string(text))
}
