package notify

import "github.com/playbookd/playbookd/actions"

// anyKind finds a channel whatever listens at its address.
const anyKind Kind = ""

func (d Deps) send() actions.Action {
	return actions.Define(actions.Spec{
		Name:        "notify.send",
		Summary:     "Writes a message to a channel, whatever kind it is.",
		Description: "A Teams or Slack channel gets the message in its own form; a webhook gets an object with title, text and facts.",
		Example: `- action: notify.send
  with:
    channel: soc
    title: "Nobody has taken ${{ alert.title }}"`,
		Rule: d.rule(anyKind),
	}, once(anyKind, d, func(m message) string { return m.Channel }, d.inItsForm))
}

// inItsForm is the message as the channel takes it.
func (d Deps) inItsForm(m message) (any, error) {
	c, err := d.find(anyKind, m.Channel)
	if err != nil {
		return nil, err
	}
	switch c.Kind {
	case Teams:
		return card(m), nil
	case Slack:
		return blocks(m), nil
	}
	facts := object{}
	for _, f := range sorted(m.Facts) {
		facts[f.name] = f.value
	}
	return object{"title": m.title(), "text": plain(m.Text), "facts": facts}, nil
}
