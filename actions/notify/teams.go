package notify

import (
	"strings"

	"github.com/playbookd/playbookd/actions"
)

// Limits of a message to Teams, in bytes. Teams refuses messages beyond about 28 KB; the parts
// add up to less whatever is in them.
const (
	MaxTeamsBytes  = 28 << 10
	maxTeamsTitle  = 500
	maxTeamsText   = 14_000
	maxTeamsName   = 80
	maxTeamsValue  = 400
	teamsCardStyle = "1.4" // the newest version of adaptive cards that all Teams clients show
)

func (d Deps) teams() actions.Action {
	return actions.Define(actions.Spec{
		Name:        "notify.teams",
		Summary:     "Writes a message to a Teams channel, as an adaptive card.",
		Description: "The channel's address is that of an incoming webhook, or of a workflow that posts adaptive cards.",
		Example: `- action: notify.teams
  with:
    channel: soc
    title: "SLA breached: ${{ alert.title }}"
    facts: {severity: "${{ alert.severity }}"}`,
		Rule: d.rule(Teams),
	}, once(Teams, d, func(m message) string { return m.Channel }, func(m message) (any, error) { return card(m), nil }))
}

type object = map[string]any

// card builds the message. Every text stands in a TextRun: unlike a TextBlock or a FactSet it
// knows no markdown, so there is nothing to escape and nothing to forget.
func card(m message) any {
	body := []object{rich(object{"type": "TextRun", "text": still(fit(m.title(), maxTeamsTitle, bytesOf)), "weight": "Bolder", "size": "Medium"})}
	if text := strings.TrimSpace(plain(m.Text)); text != "" {
		body = append(body, rich(object{"type": "TextRun", "text": still(fit(text, maxTeamsText, bytesOf))}))
	}
	for _, f := range sorted(m.Facts) {
		body = append(body, rich(
			object{"type": "TextRun", "text": still(fit(f.name, maxTeamsName, bytesOf)) + ": ", "weight": "Bolder"},
			object{"type": "TextRun", "text": still(fit(f.value, maxTeamsValue, bytesOf))},
		))
	}
	return object{
		"type": "message",
		"attachments": []object{{
			"contentType": "application/vnd.microsoft.card.adaptive",
			"content": object{
				"$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
				"type":    "AdaptiveCard", "version": teamsCardStyle,
				"msteams": object{"width": "Full"},
				"body":    body,
			},
		}},
	}
}

func rich(runs ...object) object {
	return object{"type": "RichTextBlock", "inlines": runs}
}

// still breaks the one thing that cards evaluate in any text: {{DATE(…)}} and {{TIME(…)}}.
func still(text string) string {
	for strings.Contains(text, "{{") {
		text = strings.ReplaceAll(text, "{{", "{ {")
	}
	return text
}
