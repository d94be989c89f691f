package journaltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/engine"
)

func values() map[string]func(*testing.T, world) {
	return map[string]func(*testing.T, world){
		"payloads and entries are kept byte for byte": func(t *testing.T, w world) {
			for i, text := range []string{
				`{"b":1,  "a":2, "a":3}`, "{\n\t\"n\": 1.10e+02, \"big\": 123456789012345678901234567890}\n",
				`"\u0041\ud800 \/ \u0000"`, `null`, `[]`, "not JSON \x00\xff at all", " ",
			} {
				keeps(t, w, fmt.Sprint("e", i), []byte(text))
			}
		},
		"nothing and an empty value are the same": func(t *testing.T, w world) {
			ev := event("e1")
			ev.Payload, ev.Inputs = json.RawMessage{}, nil
			p := plan(ev, "triage")
			p.Entries = []engine.Entry{{Seq: 1, Kind: engine.Began, Data: json.RawMessage{}, At: at(0)}}
			w.admit(admission(planned(ev, p)))
			l := w.load(p.Run.ID)
			if l.Event.Payload != nil || l.Event.Inputs != nil || l.Entries[0].Data != nil {
				t.Fatalf("%#v %#v %#v", l.Event.Payload, l.Event.Inputs, l.Entries[0].Data)
			}
		},
		"large values are kept like small ones": func(t *testing.T, w world) {
			for _, size := range []int{1, 32<<10 - 1, 32 << 10, 32<<10 + 1, 1 << 20, 6<<20 + 1} {
				keeps(t, w, fmt.Sprint("e", size), bytes.Repeat([]byte("x"), size))
			}
		},
		"text from outside is kept as it is": func(t *testing.T, w world) {
			for i, text := range []string{
				"zero\x00byte", "\xff\xfe not UTF-8 \xc3", "'; DROP TABLE runs; --", `"quoted" \ %s ?1 $1 :x`,
				"\u202eleft\u2066", "\U0001f4a9 line\nbreak\r\t\x1b[31m", " ",
			} {
				ev := engine.Event{
					ID: fmt.Sprint(i, text), Tenant: text, Source: text, Kind: text, Object: text, Title: text,
					Occurred: at(0), Seen: at(1), Payload: []byte(`{}`), By: text,
				}
				p := plan(ev, "triage"+text)
				p.Run.By = text
				p.Run.ID += engine.RunID(text)
				p.Run.Message, p.Run.Key, p.DedupeKey, p.DedupeWindow = text, text, text, time.Hour
				p.Entries = []engine.Entry{{Seq: 1, Path: text, Kind: engine.EntryKind(text), At: at(1)}}
				p.Writes = []engine.Write{{
					Tenant: text, Playbook: text, Run: p.Run.ID, Path: text, At: at(1), Touch: actions.Touch{Object: text},
				}}
				a := admission(planned(ev, p))
				a.Cursor = &engine.Cursor{Source: text, Position: text}
				w.admit(a)
				same(t, "loaded", w.load(p.Run.ID), engine.Loaded{
					Run: p.Run, Event: ev, Entries: p.Entries, Source: source("triage" + text),
				})
				same(t, "known", w.knows(ev.ID), true)
				same(t, "position", w.position(text), text)
				latest, err := w.Latest(t.Context(), text, text)
				if err != nil {
					t.Fatal(err)
				}
				same(t, "latest", latest, ev)
				writes, err := w.Writes(t.Context(), text, text, at(0))
				if err != nil {
					t.Fatal(err)
				}
				same(t, "writes", writes, p.Writes)
			}
			// What differs only after a zero byte differs.
			same(t, "known", w.knows("0zero\x00bite"), false)
			same(t, "position", w.position("zero\x00"), "")
		},
		"fields that are written have the types of JSON": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			wr := write(r, "alerts/x", at(1))
			wr.Fields = map[string]any{"n": 3, "s": "x", "l": []string{"a"}, "nil": nil, "m": map[string]int{"b": 1}}
			w.append(engine.Append{Run: r.ID, State: engine.Ready, Writes: []engine.Write{wr}})
			got, err := w.Writes(t.Context(), r.Tenant, "alerts/x", at(0))
			if err != nil || len(got) != 1 {
				t.Fatal(got, err)
			}
			same(t, "fields", got[0].Fields, map[string]any{
				"n": 3.0, "s": "x", "l": []any{"a"}, "nil": nil, "m": map[string]any{"b": 1.0},
			})
		},
		"fields that can't be written as JSON are refused": func(t *testing.T, w world) {
			r := w.begin("e1", "triage")
			wr := write(r, "alerts/x", at(1))
			wr.Fields = map[string]any{"f": func() {}}
			if err := w.Append(t.Context(), engine.Append{Run: r.ID, State: engine.Parked, Writes: []engine.Write{wr}}); err == nil {
				t.Fatal("appended")
			}
			same(t, "run", w.load(r.ID).Run, r)
		},
		"times keep their nanoseconds and come back in UTC": func(t *testing.T, w world) {
			for i, when := range []time.Time{
				start(), {}, time.Unix(0, 0), time.Unix(0, 1), time.Unix(0, -1), time.Now(),
				start().In(time.FixedZone("Nepal", 20700)),
				time.Date(1678, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(2261, 12, 31, 23, 59, 59, 999999999, time.UTC),
			} {
				l := w.withTime(fmt.Sprint("e", i), when)
				want := when.Round(0).UTC()
				same(t, "occurred", l.Event.Occurred, want)
				same(t, "seen", l.Event.Seen, want)
				same(t, "at", l.Entries[0].At, want)
			}
		},
		"times that can't be kept don't block the others": func(t *testing.T, w world) {
			l := w.withTime("late", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
			if l.Event.Occurred.Year() < 2262 || l.Event.Occurred.IsZero() {
				t.Errorf("late: %v", l.Event.Occurred)
			}
			l = w.withTime("early", time.Date(2, 1, 1, 0, 0, 0, 0, time.UTC))
			if l.Event.Occurred.Year() > 1678 || l.Event.Occurred.IsZero() {
				t.Errorf("early: %v", l.Event.Occurred)
			}
			l = w.withTime("year zero", time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))
			if l.Event.Occurred.Year() > 1678 {
				t.Errorf("year zero: %v", l.Event.Occurred)
			}
		},
		"what was handed in and what is handed out is not shared": func(t *testing.T, w world) {
			ev := event("e1")
			p := plan(ev, "triage")
			list := []byte(`["ann"]`)
			p.Run.Lists = map[string]string{"vips": digest(list)}
			p.Entries = []engine.Entry{entry(1)}
			p.Writes = []engine.Write{write(p.Run, "alerts/x", at(1))}
			a := admission(planned(ev, p))
			a.Documents[digest(list)] = list
			w.admit(a)
			spoil := func(l engine.Loaded) {
				l.Event.Payload[0], l.Entries[0].Data[0], l.Entries[0].Path = 'X', 'X', "X"
				l.Run.Lists["vips"] = "X"
			}
			want := w.load(p.Run.ID)
			again := w.load(p.Run.ID)
			again.Source[0], again.Lists["vips"][0] = 'X', 'X'
			spoil(again)
			spoil(engine.Loaded{Event: ev, Entries: p.Entries, Run: p.Run})
			p.Writes[0].Fields["status"] = "X"
			list[0] = 'X'
			got := w.load(p.Run.ID)
			same(t, "loaded", got, want)
			same(t, "payload", string(got.Event.Payload), `{"id":"e1"}`)
			same(t, "list", string(got.Lists["vips"]), `["ann"]`)
			for range 2 {
				writes, err := w.Writes(t.Context(), ev.Tenant, "alerts/x", at(0))
				if err != nil {
					t.Fatal(err)
				}
				same(t, "fields", writes[0].Fields, map[string]any{"status": "resolved"})
				writes[0].Fields["status"] = "X"
			}
		},
	}
}

// keeps checks that a value comes back as it was, from wherever it can be stored.
func keeps(t *testing.T, w world, id string, value []byte) {
	t.Helper()
	ev := event(id)
	ev.Payload, ev.Inputs = bytes.Clone(value), bytes.Clone(value)
	p := plan(ev, "triage")
	e := entry(1)
	e.Data = bytes.Clone(value)
	p.Entries = []engine.Entry{e}
	w.admit(admission(planned(ev, p)))
	e.Seq = 2
	w.append(engine.Append{Run: p.Run.ID, Entries: []engine.Entry{e}, State: engine.Ready})
	l := w.load(p.Run.ID)
	latest, err := w.Latest(t.Context(), ev.Tenant, ev.Object)
	if err != nil {
		t.Fatal(err)
	}
	for where, got := range map[string][]byte{
		"payload": l.Event.Payload, "inputs": l.Event.Inputs, "latest payload": latest.Payload,
		"entry 1": l.Entries[0].Data, "entry 2": l.Entries[1].Data,
	} {
		if !bytes.Equal(got, value) {
			t.Fatalf("%s of %d bytes came back different, with %d", where, len(value), len(got))
		}
	}
}

// withTime stores a time wherever a source can choose it.
func (w world) withTime(id string, when time.Time) engine.Loaded {
	w.t.Helper()
	ev := event(id)
	ev.Occurred, ev.Seen = when, when
	p := plan(ev, "triage")
	e := entry(1)
	e.At = when
	p.Entries = []engine.Entry{e}
	w.admit(admission(planned(ev, p)))
	return w.load(p.Run.ID)
}
