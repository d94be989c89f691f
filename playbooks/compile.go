package playbooks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// Options are what the compiler knows about the world outside of the file.
type Options struct {
	// Catalog finds actions. If it also has Specs() []actions.Spec, misspelt names get a suggestion.
	Catalog Catalog
	// Schedule checks a cron expression and a time zone. Nil: they are not checked.
	Schedule func(cron, zone string) error
	// Lists are the watchlists that exist, by name. Nil: any name is taken.
	Lists map[string]ListInfo
	// Calendars are the calendars that exist, by name. Nil: any name is taken.
	Calendars map[string]bool
	// Rotas are the names of the rotas that exist. Nil: any name is taken.
	Rotas []string
	// Now is the time by which expiry is judged. Zero: it is not judged.
	Now time.Time

	// AsItWas says that the text ran before. It must compile as it did then: what a later checker
	// finds about its conditions, its quotes and its size must not keep a run from going on.
	AsItWas bool

	// Callees are the playbooks that steps can call, by name. Load and CompileRecorded find them.
	Callees map[string]*Playbook

	written map[string]*actions.Schema // authoring schemas by action, shared within one Load
	known   []string                   // names of playbooks that are there besides Callees
	broken  map[string]bool            // playbooks that are there and have mistakes
	cycles  map[string]string          // playbooks that lead back to this one, and by which way
}

// ListInfo is what the compiler knows about a watchlist.
type ListInfo struct {
	Entries int
	Item    expression.Type // of its entries; the zero Type: text
}

// Digest identifies a text: "sha256:" and 64 hexadecimal digits.
func Digest(src []byte) string {
	sum := sha256.Sum256(src)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Compile reads one playbook. If there is an error among the findings the playbook is nil;
// warnings come with a playbook that can be used. Findings are sorted by place.
//
// Compile never panics and never blocks, whatever the text is. It takes from o only what it
// says: the same text and options give the same result, so that a run can be decided again from
// the stored text of its playbook.
func Compile(file string, src []byte, o Options) (*Playbook, diag.Findings) {
	doc, findings := document.Read(file, src)
	if doc.Root == nil {
		return nil, findings
	}
	c := &compiler{
		o: o, doc: doc, findings: findings, unread: slices.Clone(findings), used: map[string]bool{}, open: map[string]bool{}, lists: map[string]bool{}, calendars: map[string]bool{},
		filters: map[*Poll]*document.Node{}, read: map[string]bool{}, given: map[string][]*given{},
		book: &Playbook{File: file, Source: src, Mode: Live, Enabled: true, callDepth: 1},
	}
	c.playbook(doc.Root)
	c.findings.Sort()
	if c.findings.HasErrors() {
		return nil, c.findings
	}
	c.book.Recorded = c.book.record()
	c.book.Digest = Digest(c.book.Recorded)
	return c.book, c.findings
}

// compiler walks one document. It reports all it finds and goes on wherever the rest can still be
// judged, because people mend a file in one go.
type compiler struct {
	o        Options
	doc      *document.Document
	book     *Playbook
	findings diag.Findings
	unread   diag.Findings // what the document's reader found

	conditions []written // in the order in which they were read
	filters    map[*Poll]*document.Node

	ids       map[string]*document.Node // every id of the document
	setVars   map[string]bool           // variables that some step sets
	expanded  bool                      // incidents come with their alerts
	open      map[string]bool           // ids of the steps that we are inside of
	used      map[string]bool           // ids that an expression reads
	read      map[string]bool           // vars.NAME and inputs.NAME that an expression reads; "vars." is all of them
	named     []*document.Node          // the names of vars
	asked     []*document.Node          // the names of inputs
	given     map[string][]*given       // texts of variables, by name
	lists     map[string]bool           // watchlists that an expression reads
	calendars map[string]bool           // calendars that an expression counts by
	steps     int                       // steps seen so far
	tooMany   bool                      // the limit on steps is reported once
	closing   *document.Node            // the first place that closes something
	foreaches int                       // foreach steps that we are inside of
	parallel  int                       // those of them that work on several items at once, and parallel branches
	tail      int                       // inside of on_failure or finally
	finally   int                       // inside of finally
}

// report adds a finding. Every finding of this package passes here or through problem.
func (c *compiler) report(f diag.Finding) { c.findings = append(c.findings, f) }

// fail reports an error about a node.
func (c *compiler) fail(n *document.Node, code, mend, format string, args ...any) {
	c.report(n.Error(code, fmt.Sprintf(format, args...), mend))
}

// warn reports a warning about a node.
func (c *compiler) warn(n *document.Node, code, mend, format string, args ...any) {
	c.report(n.Warning(code, fmt.Sprintf(format, args...), mend))
}

// reportAt reports an error about a place.
func (c *compiler) reportAt(pos diag.Position, code, mend, message string) {
	c.report(c.doc.Finding(code, diag.Error, pos, 1, message, mend))
}

// warnAt reports a warning about a place.
func (c *compiler) warnAt(pos diag.Position, code, mend, message string) {
	c.report(c.doc.Finding(code, diag.Warning, pos, 1, message, mend))
}

// nodeOf finds where a condition stands.
func (c *compiler) nodeOf(p *expression.Program) *document.Node {
	for _, w := range c.conditions {
		if w.program == p {
			return w.node
		}
	}
	return nil
}

// playbook reads the whole document. The order matters: triggers give the subject its type, and
// the scope grows from there to the steps.
func (c *compiler) playbook(root *document.Node) {
	b, ok := c.block(root, "a playbook", playbookKeys(), nil)
	if !ok {
		return
	}
	c.identity(b)
	c.collect(root)
	c.triggers(b)
	c.expanded = bringsAlerts(c.book.Triggers)
	c.clocks(b)
	scope := c.matchScope()
	if n := b.get("when"); n != nil {
		c.book.When = c.condition(n, scope)
	}
	c.flow(b, scope.withoutAsking())
	scope = c.runScope(scope)
	if n := b.get("vars"); n != nil {
		scope = c.vars(n, scope)
	}
	if n, ok := b.need("steps", "a list of what to do"); ok {
		c.book.Steps, scope = c.stepList(n, "steps", 1, scope)
	}
	c.after(b, scope)
	c.closingIsOwned(b)
	c.unusedIDs()
	c.unusedNames()
	c.unusedLimits(b.get("limits"))
	for _, callee := range c.book.Calls {
		c.takeOver(callee)
	}
	c.book.Lists, c.book.Calendars = sortedNames(c.lists), sortedNames(c.calendars)
	if !c.o.AsItWas && !c.findings.HasErrors() {
		c.judge()
	}
}

// takeOver adds what a called playbook reads: it is read in the caller's run, which keeps it.
func (c *compiler) takeOver(callee *Playbook) {
	for _, name := range callee.Lists {
		c.lists[name] = true
	}
	for _, name := range callee.Calendars {
		c.calendars[name] = true
	}
	for _, name := range callee.Asks {
		c.asksFor(name)
	}
	for _, f := range callee.Histories {
		if !slices.Contains(c.book.Histories, f) {
			c.book.Histories = append(c.book.Histories, f)
		}
	}
}

// flow reads what limits the runs of a playbook. Both keys are worked out before a run exists.
func (c *compiler) flow(b *block, scope *scope) {
	if n := b.get("concurrency"); n != nil {
		if cb, ok := c.block(n, "concurrency", concurrencyKeys(), nil); ok {
			if key, ok := cb.need("key", "a text: runs with the same key wait for each other"); ok {
				c.book.Concurrency = c.keyTemplate(key, scope)
			}
		}
	}
	if n := b.get("limits"); n != nil {
		c.limits(n)
	}
	n := b.get("dedupe")
	if n == nil {
		return
	}
	db, ok := c.block(n, "dedupe", dedupeKeys(), nil)
	if !ok {
		return
	}
	d := &Dedupe{}
	if key, ok := db.need("key", "a text: events with the same key start one run"); ok {
		d.Key = c.keyTemplate(key, scope)
	}
	if _, ok := db.need("window", "how long a key counts, such as 1h"); ok {
		d.Window = db.duration("window", MinDedupeWindow, MaxDedupeWindow, 0)
	}
	c.book.Dedupe = d
}

// vars reads the variables, in order: each may use those above it.
func (c *compiler) vars(n *document.Node, scope *scope) *scope {
	if !c.isMap(n, "vars") {
		return scope
	}
	if len(n.Pairs) > MaxVars {
		c.fail(n.Pairs[MaxVars].Key, codeLimit, "join some of them", "there are more than %d vars", MaxVars)
		return scope
	}
	for _, p := range n.Pairs {
		if !c.identifier(p.Key, "a variable") {
			continue
		}
		if p.Key.Text == stateKey {
			c.fail(p.Key, codeName, "choose another name", "a variable cannot be called state: set: {state: …} writes to the state")
			continue
		}
		value, typ := c.value(p.Value, scope)
		c.gives(p.Key.Text, p.Value, value, scope)
		if c.setVars[p.Key.Text] {
			typ = anything // what a step sets later may be of another type
		}
		c.book.Vars = append(c.book.Vars, Binding{Name: p.Key.Text, Value: value})
		c.named = append(c.named, p.Key)
		scope = scope.withVar(p.Key.Text, typ)
	}
	return scope
}
