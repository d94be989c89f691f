package playtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

// Did is an effect that a run had in the test's world.
type Did struct {
	Action string          `json:"action"`
	Step   string          `json:"step,omitempty"`
	Path   string          `json:"path"`
	Input  json.RawMessage `json:"input"`
	At     time.Duration   `json:"after"` // since the start of the test
	run    engine.RunID
}

// world is what the actions of a test meet. An effect without a mock succeeds as its preview says;
// what reads the world must be told what it finds.
type world struct {
	mocks  []Mock
	used   []int // how often each mock has answered
	began  time.Time
	did    []Did
	took   map[string]json.RawMessage // by idempotency key: what happened
	unread []string                   // actions that read and were not told what they find
}

func newWorld(c Case) *world {
	return &world{mocks: c.Mocks, used: make([]int, len(c.Mocks)), began: c.At, took: map[string]json.RawMessage{}}
}

// answer decides how an attempt ends.
func (w *world) answer(run engine.RunID, a engine.Attempt, step string, now time.Time) (out json.RawMessage, absent bool, err error) {
	name := a.Action.Spec().Name
	if a.Probe {
		out, happened := w.took[a.Key]
		return out, !happened, nil
	}
	preview := a.Action.Preview(a.Part, a.Input)
	i := w.find(name, step, a)
	part, _ := a.Action.Spec().Part(a.Part)
	switch {
	case i < 0 && part.Awaits: // the end of what was started is a part of the effect
		return preview, false, nil
	case i < 0 && a.Effect == actions.Reads:
		w.unread = append(w.unread, fmt.Sprintf("%s at %s", name, a.Path))
		return nil, false, actions.Failf("unmocked", "the test does not say what %s finds", name)
	case i < 0:
		w.happen(run, a, name, step, preview, now)
		return preview, false, nil
	}
	m := w.mocks[i]
	w.used[i]++
	if m.Fault != nil {
		if m.Took {
			w.happen(run, a, name, step, preview, now)
		}
		fault := *m.Fault
		return nil, false, &fault
	}
	w.happen(run, a, name, step, m.Output, now)
	return m.Output, false, nil
}

// find looks for the mock that answers: the first that fits and has not answered as often as it may.
func (w *world) find(action, step string, a engine.Attempt) int {
	for i, m := range w.mocks {
		fits := (m.Action == "" || m.Action == action) && (m.Step == "" || m.Step == step) && (m.Part == "" || m.Part == a.Part) &&
			(m.Times == 0 || w.used[i] < m.Times)
		if fits && (m.With == nil || differs("", m.With, decoded(a.Input)) == "") {
			return i
		}
	}
	return -1
}

// happen notes an effect. The parts of one step are one effect for the reader of a test.
func (w *world) happen(run engine.RunID, a engine.Attempt, action, step string, out json.RawMessage, now time.Time) {
	w.took[a.Key] = out
	if a.Effect == actions.Reads {
		return
	}
	path, _, _ := strings.Cut(a.Path, ":")
	if slices.ContainsFunc(w.did, func(d Did) bool { return d.Path == path && d.run == run }) {
		return
	}
	w.did = append(w.did, Did{Action: action, Step: step, Path: path, Input: a.Input, At: now.Sub(w.began), run: run})
}

func decoded(raw json.RawMessage) any {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	return v
}
