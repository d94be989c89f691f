package playbooks

import (
	"slices"
	"strings"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/internal/document"
)

// A playbook that closes alerts hides them from people. What this file checks keeps that honest:
// the verdict must be one that Defender knows, and somebody must answer for it.

// verdict checks what an action writes about an alert or incident, where it is written out.
func (c *compiler) verdict(n *document.Node, spec actions.Spec, in *input) {
	if n.Kind != document.Map || !writesAnything(spec) || spec.Input == nil {
		return
	}
	determination, classification := n.Get("determination"), n.Get("classification")
	if d := determination; d != nil && spec.Input.Properties["determination"] != nil && slices.Contains(retiredDeterminations(), d.Text) {
		in.judge([]string{"determination"})
		c.fail(d, codeRetired, mendRetired(d.Text), "Defender no longer takes the determination %s", d.Text)
		determination = nil
	}
	if determination != nil && classification != nil {
		c.pair(classification, determination, in)
	}
	if field := spec.Input.Properties["status"]; field != nil {
		if words, _ := enumWords(field); slices.Contains(words, "resolved") {
			c.closes(n.Get("status"), "resolved")
		}
	}
	if spec.Input.Properties["classification"] != nil {
		c.closes(classification, "falsePositive", "informationalExpectedActivity")
	}
}

// listFilter looks at the filter of a list action that is written out. Graph takes more there than
// it documents, and differs between tenants, so these are warnings.
func (c *compiler) listFilter(n *document.Node, spec actions.Spec) {
	resources := map[string]string{"alert.list": alertsResource, "incident.list": incidentsResource}
	resource := resources[spec.Name]
	if n == nil || n.Kind != document.String || resource == "" || strings.Contains(n.Text, "${{") {
		return
	}
	_, problems := translateFilter(n.Text, resource, alertSubject)
	for _, p := range problems {
		c.report(n.WarningIn(characters(n.Text, p.offset), characters(n.Text[p.offset:], p.length), p.code, p.message, p.mend))
	}
}

// writesAnything says whether an action changes anything.
func writesAnything(spec actions.Spec) bool {
	return slices.ContainsFunc(spec.Parts, func(p actions.Part) bool { return p.Effect != actions.Reads })
}

func mendRetired(determination string) string {
	if determination == "apt" {
		return "write multiStagedAttack or maliciousUserActivity"
	}
	return "write securityTesting"
}

// pair checks that a determination goes with its classification. Graph takes any pair; the portal
// then shows an alert that fits into none of its reports.
func (c *compiler) pair(classification, determination *document.Node, in *input) {
	fitting := pairs(classification.Text)
	known := slices.Contains(determinations(), determination.Text) && determination.Text != "unknown"
	if fitting == nil || !known || slices.Contains(fitting, determination.Text) {
		return
	}
	in.judge([]string{"determination"})
	in.judge([]string{"classification"})
	c.fail(determination, codePair, "with "+classification.Text+" go "+strings.Join(fitting, ", "),
		"the determination %s does not go with the classification %s", determination.Text, classification.Text)
}

// closes remembers the first place that closes something, or may close something.
func (c *compiler) closes(n *document.Node, words ...string) {
	if n == nil || c.closing != nil && c.closing.Pos.Compare(n.Pos) < 0 {
		return
	}
	if slices.Contains(words, n.Text) || strings.Contains(n.Text, "${{") {
		c.closing = n
	}
}

// closingIsOwned asks for an owner, a reason and an end of every live playbook that closes.
func (c *compiler) closingIsOwned(b *block) {
	if c.closing == nil || c.book.Mode != Live {
		return
	}
	var missing []string
	for _, key := range []string{"owner", "reason", "expires"} {
		if b.get(key) == nil {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return
	}
	c.report(c.doc.Finding(codeUnowned, diag.Error, c.closing.Pos, c.closing.Length,
		"a playbook that closes alerts needs "+strings.Join(missing, ", "),
		"add "+strings.Join(missing, ", ")+" at the top, or set mode: shadow while you try it"))
}
