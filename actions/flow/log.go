// Package flow holds the actions about the run itself: log.
package flow

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/playbookd/playbookd/actions"
)

// MaxMessage is how many characters of a message are logged and kept.
const MaxMessage = 4096

// Actions lists the actions of this package.
func Actions() []actions.Action { return []actions.Action{log()} }

// logInput is the input of log.
type logInput struct {
	Message actions.Scalar            `json:"message" play:"example=Nothing to do.;doc=What to say."`
	Fields  map[string]actions.Scalar `json:"fields,omitempty" play:"max=50;doc=Values beside it, by name."`
}

// logOutput is the output of log.
type logOutput struct {
	Message string `json:"message" play:"doc=What was said."`
}

func log() actions.Action {
	return actions.Define(actions.Spec{
		Name:        "log",
		Summary:     "Writes a line to the run's record and to the log.",
		Description: "It changes nothing, so a dry run does it as well.",
		Example: `- action: log
  with: {message: "${{ len(vars.hosts) }} hosts", fields: {alert: "${{ alert.id }}"}}`,
	}, actions.Doing[logInput, logOutput]{
		Part:    actions.Part{Name: "log", Effect: actions.Reads, Summary: "A line of the log."},
		Do:      write,
		Preview: func(in logInput) logOutput { return logOutput{Message: shorten(string(in.Message))} },
	})
}

// write logs the text as a value, never as the line's own message: it may come from an alert.
func write(ctx context.Context, call actions.Call, in logInput) (logOutput, error) {
	out := logOutput{Message: shorten(string(in.Message))}
	fields := make(map[string]string, len(in.Fields))
	for name, value := range in.Fields {
		fields[name] = shorten(string(value))
	}
	call.Log.InfoContext(ctx, "playbook message", "text", out.Message, "fields", fields)
	return out, nil
}

// shorten keeps a text within the limit, visibly.
func shorten(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if utf8.RuneCountInString(text) <= MaxMessage {
		return text
	}
	return string([]rune(text)[:MaxMessage-1]) + "…"
}
