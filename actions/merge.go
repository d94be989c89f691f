package actions

import (
	"encoding/json"
	"fmt"
)

// Merge joins the outputs of an action's parts, in order: a later field wins over an earlier
// one, and null never wins. It is how a step with two requests has one output.
func Merge(outputs ...json.RawMessage) (json.RawMessage, error) {
	if len(outputs) == 1 {
		return outputs[0], nil
	}
	all := map[string]json.RawMessage{}
	for _, out := range outputs {
		if len(out) == 0 {
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(out, &fields); err != nil {
			return nil, fmt.Errorf("output of a part is not an object: %w", err)
		}
		for name, value := range fields {
			if string(value) != "null" {
				all[name] = value
			}
		}
	}
	return json.Marshal(all)
}
