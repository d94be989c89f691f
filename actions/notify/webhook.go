package notify

import (
	"encoding/json"

	"github.com/playbookd/playbookd/actions"
)

// webhookInput is the input of notify.webhook.
type webhookInput struct {
	Channel string          `json:"channel" play:"min=1;max=100;example=pager;doc=The channel's name in the configuration."`
	Payload json.RawMessage `json:"payload" play:"doc=What is sent, as JSON."`
}

func (d Deps) webhook() actions.Action {
	return actions.Define(actions.Spec{
		Name:    "notify.webhook",
		Summary: "Sends a JSON value to a webhook.",
		Description: "Every attempt carries the same Idempotency-Key header. The value is data and is not escaped: what " +
			"shows it must treat it as text from outside.",
		Example: `- action: notify.webhook
  with:
    channel: pager
    payload: {summary: "${{ alert.title }}", severity: critical}`,
		Rule: d.rule(Webhook),
	}, once(Webhook, d, func(in webhookInput) string { return in.Channel }, func(in webhookInput) (any, error) { return in.Payload, nil }))
}
