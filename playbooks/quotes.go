package playbooks

import (
	"slices"
	"strings"

	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// given is a text that the playbook gives a variable.
type given struct {
	node  *document.Node
	scope *scope
	asked []string // languages in which quotes were asked for
}

// gives remembers what a variable is given. Where all of a query is a variable, its text is looked at.
func (c *compiler) gives(name string, n *document.Node, v Value, s *scope) {
	_, ok := v.(Text)
	if ok || n.Kind == document.String && !strings.Contains(n.Text, "${{") {
		c.given[name] = append(c.given[name], &given{node: n, scope: s})
	}
}

// authored says whether a variable holds a text that is written out, and no step gives it another.
func (c *compiler) authored(name string) bool {
	texts := c.given[name]
	return len(texts) == 1 && !strings.Contains(texts[0].node.Text, "${{") && !c.setVars[name]
}

// quoted asks that what comes from outside is quoted where a text is one of another language.
func (c *compiler) quoted(n *document.Node, s *scope, language string) {
	all := embedded(n.Text)
	for i, e := range all {
		names, ok := c.names(n, e.source, e.offset, s)
		if !ok {
			continue
		}
		// What stands first in a URL, or is all of a text, may be text of the language itself, if the playbook gives it.
		whole := strings.HasPrefix(n.Text, "${{") && i == 0 && (language == "url" || len(all) == 1 && strings.HasSuffix(n.Text, "}}"))
		trusted := func(root, field string) bool {
			switch {
			case slices.Contains([]string{"playbook", "run", "tenant", "lists"}, root), whole && root == "inputs":
				return true
			case whole && root == "vars":
				c.quotedIn(field, language)
				return true
			}
			return root == "vars" && c.authored(field)
		}
		if p := expression.Bare(e.source, s.env(names), language, trusted); p != nil {
			c.report(n.ErrorIn(e.offset+p.Offset, p.Length, codeBare, p.Message, p.Mend))
		}
	}
}

// quotedIn asks the same of what a variable is given, once for each language.
func (c *compiler) quotedIn(name, language string) {
	for _, g := range c.given[name] {
		if slices.Contains(g.asked, language) {
			continue
		}
		g.asked = append(g.asked, language)
		c.quoted(g.node, g.scope, language)
	}
}
