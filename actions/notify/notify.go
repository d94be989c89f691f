// Package notify holds the actions that tell people something: in Teams, in Slack, or through a
// webhook of their own.
//
// Channels are configured by name; their addresses are secrets, because whoever knows one may
// write to it. A message is sent once: none of these services lets us look whether a message
// arrived, so only a definite refusal is followed by another attempt.
//
// Texts are shown as they are. What comes from an alert was often written by an attacker, so
// nothing in a message is ever read as markup: a title cannot make a link, mention a channel,
// hide itself or reverse the direction of the line. A text that is too long is cut visibly.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/web"
	"github.com/playbookd/playbookd/internal/secret"
)

// Kind says what listens at a channel's address.
type Kind string

// The kinds of channel.
const (
	Teams   Kind = "teams"   // an incoming webhook or workflow that takes adaptive cards
	Slack   Kind = "slack"   // an incoming webhook of Slack, or of something that acts like it
	Webhook Kind = "webhook" // anything that takes JSON
)

// Channel is one place to write to.
type Channel struct {
	Name string
	Kind Kind
	URL  actions.SecretRef // the secret that holds its address
}

// Check says what is wrong with a channel's configuration.
func (c Channel) Check() error {
	switch {
	case c.Name == "":
		return fmt.Errorf("a channel has no name")
	case c.Kind != Teams && c.Kind != Slack && c.Kind != Webhook:
		return fmt.Errorf("channel %q: kind %q is not known: use teams, slack or webhook", c.Name, c.Kind)
	case c.URL.Name() == "":
		return fmt.Errorf("channel %q has no url: name the secret that holds its address", c.Name)
	}
	return nil
}

// The codes of faults of this package.
const (
	CodeChannel = "channel" // no such channel, or one of another kind
	CodeRefused = "refused" // the service took the request and says that it did not deliver
)

// Deps are what the actions need. Without them they can be described and checked, and fail when
// they are done. With channels, their names are checked when a playbook is loaded.
type Deps struct {
	HTTP     *http.Client // of package guard
	Secrets  actions.Secrets
	Channels []Channel
}

// Actions lists the actions of this package.
func Actions(d Deps) []actions.Action {
	return []actions.Action{d.send(), d.teams(), d.slack(), d.webhook()}
}

// sent is the output of every action here.
type sent struct {
	Channel string `json:"channel" play:"doc=The channel."`
	Status  int    `json:"status,omitempty" play:"doc=The HTTP status of the answer."`
}

// message is the input of notify.teams and notify.slack.
type message struct {
	Channel string                    `json:"channel" play:"min=1;max=100;example=soc;doc=The channel's name in the configuration."`
	Title   actions.Scalar            `json:"title" play:"example=SLA breached;doc=The first line."`
	Text    actions.Scalar            `json:"text,omitempty" play:"example=Nobody has taken it for 30 minutes.;doc=What there is to say. Shown as it is: nothing in it is markup."`
	Facts   map[string]actions.Scalar `json:"facts,omitempty" play:"max=20;doc=Names and values, shown as a table in the order of the names."`
}

// once is the one part of these actions.
func once[In any](kind Kind, d Deps, channel func(In) string, body func(In) (any, error)) actions.Doing[In, sent] {
	return actions.Doing[In, sent]{
		Part: actions.Part{Name: "send", Effect: actions.Once, Summary: "POST to the channel's address."},
		Do: func(ctx context.Context, call actions.Call, in In) (sent, error) {
			payload, err := body(in)
			if err != nil {
				return sent{}, err
			}
			return d.post(ctx, call, kind, channel(in), payload)
		},
		Preview: func(in In) sent { return sent{Channel: channel(in)} },
	}
}

// post sends a payload to a channel.
func (d Deps) post(ctx context.Context, call actions.Call, kind Kind, name string, payload any) (sent, error) {
	c, err := d.find(kind, name)
	if err != nil {
		return sent{}, err
	}
	address, err := actions.Resolve(d.Secrets, c.URL)
	if err != nil {
		return sent{}, err
	}
	if u, err := url.Parse(strings.TrimSpace(address.Reveal())); err != nil || u.Host == "" {
		return sent{}, actions.Failf(actions.CodeSecret, "channel %q: the secret %q is not an address", name, c.URL.Name())
	}
	body, err := encode(payload)
	if err != nil {
		return sent{}, err
	}
	a, err := web.Exchange(ctx, d.HTTP, web.Request{
		Method: http.MethodPost,
		URL:    strings.TrimSpace(address.Reveal()),
		Header: http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {call.Key}},
		Body:   body,
		Effect: actions.Once,
		Hidden: hidden(address),
	})
	if err != nil {
		f := *actions.FaultOf(err)
		f.Message = fmt.Sprintf("channel %q: %s", name, f.Message)
		return sent{}, &f
	}
	if err := undelivered(a); err != nil {
		return sent{}, err
	}
	return sent{Channel: name, Status: a.Status}, nil
}

// find gives the channel of that name, if it is of that kind.
func (d Deps) find(kind Kind, name string) (Channel, error) {
	var names []string
	for _, c := range d.Channels {
		if c.Name == name && (c.Kind == kind || kind == anyKind) {
			return c, nil
		}
		if c.Name == name {
			return Channel{}, actions.Failf(CodeChannel, "channel %q is a %s channel: use notify.%s, or another channel", name, c.Kind, c.Kind)
		}
		names = append(names, c.Name)
	}
	switch near := actions.Closest(name, names); {
	case len(names) == 0:
		return Channel{}, actions.Failf(CodeChannel, "channel %q is not known: no channels are configured", name)
	case near != "":
		return Channel{}, actions.Failf(CodeChannel, "channel %q is not known (did you mean %q?)", name, near)
	}
	return Channel{}, actions.Failf(CodeChannel, "channel %q is not known: the configuration has %s", name, strings.Join(names, ", "))
}

// rule checks the channel's name when a playbook is loaded. Without any configured channels it
// cannot tell a wrong name from a check on another machine.
func (d Deps) rule(kind Kind) func(map[string]any) []actions.Violation {
	return func(input map[string]any) []actions.Violation {
		name, ok := input["channel"].(string)
		if !ok || name == "" || actions.IsTemplate(name) || len(d.Channels) == 0 {
			return nil
		}
		if _, err := d.find(kind, name); err != nil {
			return []actions.Violation{actions.Violationf("channel", "%s", actions.FaultOf(err).Message)}
		}
		return nil
	}
}

// hidden are the forms in which an address may come back: whole, and its path, which is where
// the token is.
func hidden(address secret.Value) []secret.Value {
	all := []secret.Value{address}
	if u, err := url.Parse(strings.TrimSpace(address.Reveal())); err == nil && len(u.RequestURI()) > 1 {
		all = append(all, secret.New(u.RequestURI()), secret.New(u.Path))
	}
	return all
}

// undelivered finds the refusals that older Teams connectors send with status 200.
func undelivered(a web.Answer) error {
	if !bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("Webhook message delivery failed")) {
		return nil
	}
	f := actions.Failf(CodeRefused, "the service answered %d and says that it did not deliver the message", a.Status)
	f.Retry = bytes.Contains(a.Body, []byte("429"))
	return f
}

// encode writes JSON without escaping < and >: nothing here ends in a page, and it would count
// against the size limits.
func encode(payload any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(payload); err != nil {
		return nil, actions.Failf(actions.CodeInput, "payload: %v", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
