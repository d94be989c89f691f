package playbooks

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
)

// source is the text of a playbook that is not compiled yet.
type source struct {
	file string
	text []byte
	head *header // nil: not looked at yet
}

// linker compiles playbooks that call each other, the called ones first, and finds those that call
// themselves.
type linker struct {
	o       Options
	sources map[string]source // by the name of the playbook

	done     map[string]*Playbook // by file: nil if it has errors
	findings map[string]diag.Findings
	stack    []string // names of the playbooks that we are inside of
}

// link compiles a playbook and, before it, those that it calls.
func (l *linker) link(s source) (*Playbook, diag.Findings) {
	if l.done == nil {
		l.done, l.findings = map[string]*Playbook{}, map[string]diag.Findings{}
	}
	if book, ok := l.done[s.file]; ok {
		return book, l.findings[s.file]
	}
	head := s.head
	if head == nil {
		head = peek(s)
	}
	o := l.o
	o.Callees, o.cycles, o.broken = map[string]*Playbook{}, map[string]string{}, map[string]bool{}
	l.stack = append(l.stack, head.name)
	for _, callee := range head.calls {
		if i := slices.Index(l.stack, callee); i >= 0 {
			o.cycles[callee] = strings.Join(append(slices.Clone(l.stack[i:]), callee), " → ")
			continue
		}
		if next, ok := l.sources[callee]; ok {
			book, _ := l.link(next)
			if o.broken[callee] = book == nil; book != nil {
				o.Callees[callee] = book
			}
		}
	}
	l.stack = l.stack[:len(l.stack)-1]
	if len(head.calls) > 0 { // for suggestions: what is there, whether compiled or not
		for known := range maps.Keys(l.sources) {
			if _, ok := o.Callees[known]; !ok {
				o.known = append(o.known, known)
			}
		}
	}
	book, findings := Compile(s.file, s.text, o)
	l.done[s.file], l.findings[s.file] = book, findings
	return book, findings
}

// header is what must be known of a playbook before any is compiled.
type header struct {
	name  string
	calls []string // names of the playbooks that its steps call
}

// peek reads the header of a text that may be broken: what cannot be read is not there.
func peek(s source) *header {
	h := &header{}
	doc, _ := document.Read(s.file, s.text)
	if doc.Root == nil {
		return h
	}
	if n := doc.Root.Get("name"); n != nil {
		h.name = n.Text
	}
	seen := map[string]bool{}
	var walk func(list *document.Node)
	walk = func(list *document.Node) {
		if list == nil || list.Kind != document.List {
			return
		}
		for _, item := range list.Items {
			if n := item.Get("playbook"); n != nil && n.Kind == document.String && !seen[n.Text] {
				seen[n.Text] = true
				h.calls = append(h.calls, n.Text)
			}
			for _, below := range nested(item) {
				walk(below)
			}
		}
	}
	for _, key := range []string{"steps", "on_failure", "finally"} {
		walk(doc.Root.Get(key))
	}
	return h
}

// callsAny is false only for texts that certainly call nothing, so that sets without calls are read once.
func callsAny(text []byte) bool { return bytes.Contains(text, []byte("playbook:")) }
