package engine

import (
	"bytes"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// kept works out what a set keeps in the state. It becomes durable with the entry that says so.
func (f *frame) kept(t *turn, writes []playbooks.StateWrite) ([]KeptData, *actions.Fault) {
	if len(writes) == 0 {
		return nil, nil
	}
	var list []KeptData
	for _, w := range writes {
		k, fault := f.keep(t, w)
		if fault != nil {
			return nil, fault
		}
		if k.Key != "" {
			list = append(list, k)
		}
	}
	asker := t.m.reads.asker
	for _, k := range list {
		p := Put{Tenant: asker.Tenant, Playbook: k.Playbook, Key: k.Key, At: asker.At, Expires: k.Expires}
		if !bytes.Equal(k.Value, null) {
			p.Value = k.Value
		}
		p.Read, p.Was = t.m.reads.was(k.Playbook, k.Key)
		t.puts = append(t.puts, p)
	}
	return list, nil
}

var null = []byte("null")

// keep works out one value. A key without a value is none: nothing is kept.
func (f *frame) keep(t *turn, w playbooks.StateWrite) (k KeptData, fault *actions.Fault) {
	at := t.m.run.Created
	v, err := w.Key.Eval(f.scope, at)
	if err != nil {
		return k, expressionFault("set.state.key", err)
	}
	key, ok, err := keyOf(v)
	if err != nil || !ok {
		if err != nil {
			fault = expressionFault("set.state.key", err)
		}
		return k, fault
	}
	value, err := w.Value.Eval(f.scope, at)
	if err != nil {
		return k, expressionFault("set.state.value", err)
	}
	k = KeptData{Playbook: f.seq.play.book.Name, Key: key, Expires: t.now.Add(w.For).UTC()}
	if k.Value, err = encodeValue(value); err != nil {
		return k, expressionFault("set.state.value", err)
	}
	if len(k.Value) > MaxStateValue {
		return k, actions.Failf("limit", "set.state: the value of %.60q has %d bytes; at most %d are kept", key, len(k.Value), MaxStateValue)
	}
	if value == nil {
		return k, nil // to forget needs no room
	}
	room, err := t.m.reads.ask(k.Playbook, askRoom, []any{key})
	switch {
	case err != nil:
		return k, expressionFault("set.state", err)
	case room != true:
		return k, actions.Failf("limit", "set.state: the state of %s has %d keys; no more are kept", k.Playbook, MaxStateKeys)
	}
	return k, nil
}

// was is what was read of a key in this evaluation, if it was.
func (a *reads) was(by, key string) (read bool, value []byte) {
	raw, err := encodeValue([]any{key})
	if err != nil {
		return false, nil
	}
	for _, r := range a.list {
		if r.is(playbooks.AskState, by, raw) {
			if bytes.Equal(r.Value, null) {
				return true, nil
			}
			return true, r.Value
		}
	}
	return false, nil
}
