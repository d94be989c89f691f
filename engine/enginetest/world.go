package enginetest

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/playbookd/playbookd/actions"
)

// In is the input of every action of a [World].
type In struct {
	Value string `json:"value,omitempty"`
	Note  string `json:"note,omitempty"`
	List  []any  `json:"list,omitempty"`
}

// Out is what they put out.
type Out struct {
	Value string `json:"value,omitempty"`
	Note  string `json:"note,omitempty"`
}

// told is the input of notify.send, in the form that a question's channels need.
type told struct {
	Channel string `json:"channel"`
	Title   string `json:"title"`
	Text    string `json:"text,omitempty"`
}

// World is where the test actions act: they do nothing but remember, and what becomes of an attempt is for its hooks to
// say. The zero value is a world in which everything goes well.
type World struct {
	// Before is asked before an attempt takes effect. An error means that nothing happened.
	Before func(ctx context.Context, c actions.Call) error
	// After is asked afterwards. An error means that it happened, and that the answer got lost.
	After func(ctx context.Context, c actions.Call) error
	// Say is what an attempt puts out, instead of the value that it was given.
	Say func(c actions.Call) string

	mu  sync.Mutex
	did []actions.Call
}

// Did lists what took effect, in order.
func (w *World) Did() []actions.Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.did)
}

// Effects lists what took effect as "PART VALUE", in order.
func (w *World) Effects() []string {
	list := []string{}
	for _, c := range w.Did() {
		list = append(list, effect(c))
	}
	return list
}

// effect is a call as "PART VALUE".
func effect(c actions.Call) string {
	i := inputOf(c)
	return c.Part + " " + i.Value + i.Channel
}

// inputOf is the input of a call, of whichever action.
func inputOf(c actions.Call) (i struct {
	In
	told
}) {
	_ = json.Unmarshal(c.Input, &i) // only what fits an action's input gets here
	return i
}

func (w *World) act(ctx context.Context, c actions.Call) error {
	if w.Before != nil {
		if err := w.Before(ctx, c); err != nil {
			return err
		}
	}
	w.mu.Lock()
	w.did = append(w.did, c)
	w.mu.Unlock()
	if w.After != nil {
		return w.After(ctx, c)
	}
	return nil
}

func (w *World) do(ctx context.Context, c actions.Call, i In) (Out, error) {
	if err := w.act(ctx, c); err != nil {
		return Out{}, err
	}
	if w.Say != nil {
		return Out{Value: w.Say(c)}, nil
	}
	return Out{Value: i.Value}, nil
}

func (w *World) tell(ctx context.Context, c actions.Call, _ told) (Out, error) {
	return Out{}, w.act(ctx, c)
}

// happened says whether something with the key of a call took effect.
func (w *World) happened(key string) bool {
	return slices.ContainsFunc(w.Did(), func(c actions.Call) bool { return c.Key == key })
}

func (w *World) probe(_ context.Context, c actions.Call, i In) (Out, bool, error) {
	return Out{Value: i.Value}, w.happened(c.Key), nil
}

// Registry declares the test actions over the world: test.read, test.put, test.add and test.once, one for each effect
// class; test.both with two parts; test.start, which only starts something; and notify.send, by which people are told
// that they are asked.
func (w *World) Registry() *actions.Registry {
	part := func(name string, e actions.Effect) actions.Part {
		return actions.Part{Name: name, Effect: e, Summary: name}
	}
	preview := func(i In) Out { return Out{Value: "preview of " + i.Value} }
	one := func(name string, e actions.Effect) actions.Action {
		d := actions.Doing[In, Out]{Part: part(name, e), Do: w.do, Preview: preview}
		if e == actions.Adds {
			d.Probe = w.probe
		}
		if e == actions.Converges {
			d.Touches = func(i In) []actions.Touch {
				return []actions.Touch{{Object: "alerts/a1", Fields: map[string]any{"status": i.Value}}}
			}
		}
		return actions.Define(actions.Spec{Name: "test." + name, Summary: "Test " + name + "."}, d)
	}
	both := actions.Define(actions.Spec{Name: "test.both", Summary: "Test two parts."},
		actions.Doing[In, Out]{Part: part("put", actions.Converges), Do: w.do},
		actions.Doing[In, Out]{Part: part("note", actions.Adds), Do: w.do, Probe: w.probe, When: func(i In) bool { return i.Note != "" }})
	end := part("await", actions.Reads)
	end.Awaits = true
	start := actions.Define(actions.Spec{Name: "test.start", Summary: "Test what only starts something."},
		actions.Doing[In, Out]{Part: part("start", actions.Adds), Do: w.do, Probe: w.probe, Preview: preview},
		actions.Doing[In, Out]{Part: end, Do: w.do})
	send := actions.Define(actions.Spec{Name: "notify.send", Summary: "Test telling a channel."},
		actions.Doing[told, Out]{Part: part("tell", actions.Once), Do: w.tell})
	return actions.NewRegistry(one("read", actions.Reads), one("put", actions.Converges), one("add", actions.Adds), one("once", actions.Once), both, start, send)
}
