package triggers

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/playbooks"
)

const (
	// MaxPayload is how large the event of a manual run may be.
	MaxPayload = 4 << 20
	// MaxInputs is how large the inputs of a manual run may be, as JSON.
	MaxInputs = 256 << 10
)

// ManualRun is what a person wants to run.
type ManualRun struct {
	Playbook *playbooks.Playbook
	Tenant   string
	// ID makes the run repeatable: the same ID is the same event and never runs twice. Empty
	// means a new one.
	ID string
	// Event is a JSON object: the alert, incident or event that the playbook is to see, as it is
	// or below its name, as in {"alert": {…}}. Empty means an empty object.
	Event []byte
	By    string // who starts it
	// Inputs is a JSON object with the values of the playbook's inputs. Empty means none.
	Inputs []byte
}

// Manual builds the event of a manual run. The inputs are checked against those that the
// playbook declares, and defaults are filled in.
func Manual(m ManualRun, now time.Time) (engine.Event, error) {
	if m.Playbook == nil {
		return engine.Event{}, errors.New("a manual run needs a playbook")
	}
	source, declared, err := manualSource(m.Playbook)
	if err != nil {
		return engine.Event{}, err
	}
	if m.Tenant == "" {
		return engine.Event{}, errors.New("a manual run needs a tenant: name one of those in the configuration")
	}
	payload, err := manualPayload(m.Event, m.Playbook.Subject)
	if err != nil {
		return engine.Event{}, err
	}
	inputs, err := manualInputs(m.Inputs, declared)
	if err != nil {
		return engine.Event{}, fmt.Errorf("inputs of %s: %w", m.Playbook.Name, err)
	}
	id := identity(m.ID)
	if id == "" {
		id = strings.ToLower(rand.Text())
	}
	e := engine.Event{
		ID:     m.Tenant + "/" + source + "/" + id,
		Tenant: m.Tenant, Source: source, Kind: m.Playbook.Subject,
		Occurred: now.UTC(), Seen: now.UTC(), Payload: payload, Inputs: inputs, By: m.By,
	}
	describe(&e)
	return e, nil
}

// manualSource is the source under which a person's event comes, and the inputs that go with it. A
// playbook without a manual trigger sees the event as if its first trigger had brought it: that
// is how a playbook is tried on an alert.
func manualSource(p *playbooks.Playbook) (source string, declared []playbooks.Input, err error) {
	for _, t := range p.Triggers {
		if t.Manual != nil {
			return "manual/" + p.Name, t.Manual.Inputs, nil
		}
	}
	if len(p.Triggers) == 0 {
		return "", nil, fmt.Errorf("playbook %s has no triggers: add \"- manual\"", p.Name)
	}
	return p.Triggers[0].Source, nil, nil
}

// manualPayload reads the event, also below its name.
func manualPayload(text []byte, subject string) (json.RawMessage, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return json.RawMessage("{}"), nil
	}
	fields, err := object(text, "the event", MaxPayload)
	if err != nil {
		return nil, err
	}
	if inner, ok := fields[subject]; ok && len(fields) == 1 && inner[0] == '{' {
		return inner, nil
	}
	return json.RawMessage(bytes.TrimSpace(text)), nil
}

// manualInputs checks values against what is declared.
func manualInputs(text []byte, declared []playbooks.Input) (json.RawMessage, error) {
	values := map[string]any{}
	if len(bytes.TrimSpace(text)) > 0 {
		fields, err := object(text, "the inputs", MaxInputs)
		if err != nil {
			return nil, err
		}
		for name, raw := range fields {
			at := slices.IndexFunc(declared, func(in playbooks.Input) bool { return in.Name == name })
			if at < 0 {
				return nil, fmt.Errorf("%.60q is not one of them: %s", name, names(declared))
			}
			var v any
			if err := json.Unmarshal(raw, &v); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if err := declared[at].Check(v); err != nil {
				return nil, fmt.Errorf("%s %w", name, err)
			}
			values[name] = v
		}
	}
	for _, in := range declared {
		if _, given := values[in.Name]; given {
			continue
		}
		if in.Required {
			return nil, fmt.Errorf("%s is missing: give it a value (%s)", in.Name, in.Type)
		}
		if in.Default != nil {
			values[in.Name] = in.Default
		}
	}
	return json.Marshal(values)
}

// names lists the inputs that there are.
func names(declared []playbooks.Input) string {
	if len(declared) == 0 {
		return "the playbook takes none"
	}
	list := make([]string, len(declared))
	for i, in := range declared {
		list[i] = in.Name
	}
	return "the playbook takes " + strings.Join(list, ", ")
}

// object reads a JSON object within limits, and says where it is wrong.
func object(text []byte, what string, most int) (map[string]json.RawMessage, error) {
	if len(text) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", what, most)
	}
	if offset := invalidUTF8(text); offset >= 0 {
		return nil, fmt.Errorf("%s: %s", what, badAt(text, offset, "not UTF-8").message)
	}
	if offset := tooDeep(text); offset >= 0 {
		return nil, fmt.Errorf("%s: %s", what, badAt(text, offset, "nested too deep").message)
	}
	if offset, message := syntaxError(text); message != "" {
		return nil, fmt.Errorf("%s: %s", what, badAt(text, offset, message).message)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil || fields == nil {
		return nil, fmt.Errorf("%s is not a JSON object: write it in braces", what)
	}
	return fields, nil
}
