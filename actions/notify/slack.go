package notify

import (
	"strings"
	"unicode/utf8"

	"github.com/playbookd/playbookd/actions"
)

// Limits of a message to Slack, in characters after escaping, as Slack documents them.
const (
	maxSlackTitle = 150
	maxSlackText  = 3000
	maxSlackField = 2000
	maxSlackName  = 200
	maxSlackRow   = 10 // fields in one section
)

func (d Deps) slack() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "notify.slack",
		Summary: "Writes a message to a Slack channel.",
		Example: `- action: notify.slack
  with:
    channel: soc-chat
    title: "New incident: ${{ incident.displayName }}"
    text: "Assigned to ${{ incident.assignedTo }}."`,
		Rule: d.rule(Slack),
	}, once(Slack, d, func(m message) string { return m.Channel }, func(m message) (any, error) { return blocks(m), nil }))
}

// blocks builds the message. Texts are of type plain_text, which knows no formatting, and are
// escaped as well: Slack reads <!channel> and <url|text> before anything else.
func blocks(m message) any {
	title := escaped(m.title(), maxSlackTitle)
	all := []object{{"type": "header", "text": plainText(title)}}
	if text := strings.TrimSpace(plain(m.Text)); text != "" {
		all = append(all, object{"type": "section", "text": plainText(escaped(text, maxSlackText))})
	}
	var fields []object
	for _, f := range sorted(m.Facts) {
		name := escaped(f.name, maxSlackName)
		fields = append(fields, plainText(name+":\n"+escaped(f.value, maxSlackField-utf8.RuneCountInString(name)-2)))
	}
	for len(fields) > 0 {
		n := min(len(fields), maxSlackRow)
		all = append(all, object{"type": "section", "fields": fields[:n]})
		fields = fields[n:]
	}
	return object{
		"text":   title, // shown in notifications, and where blocks cannot be
		"mrkdwn": false, "link_names": false, "unfurl_links": false, "unfurl_media": false,
		"blocks": all,
	}
}

func plainText(text string) object {
	return object{"type": "plain_text", "text": text, "emoji": false}
}

// escaped cuts a text so that it fits after escaping, and escapes it.
func escaped(text string, limit int) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(fit(text, limit, slackCost))
}

func slackCost(r rune) int {
	switch r {
	case '&':
		return len("&amp;")
	case '<', '>':
		return len("&lt;")
	}
	return 1
}
