package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/playbookd/playbookd/actions"
)

// What the entries of each kind hold.
type (
	beganData struct {
		Vars  json.RawMessage `json:"vars,omitempty"`
		Fault *actions.Fault  `json:"fault,omitempty"`
	}
	choseData struct {
		Take  bool           `json:"take"`
		Way   int            `json:"way,omitempty"` // of a switch: which of the cases, from 0
		Fault *actions.Fault `json:"fault,omitempty"`
	}
	loopedData struct {
		Items json.RawMessage `json:"items,omitempty"`
		Fault *actions.Fault  `json:"fault,omitempty"`
	}
	assignData struct {
		Values  json.RawMessage `json:"values,omitempty"`
		State   []KeptData      `json:"state,omitempty"`   // what a set keeps
		Message string          `json:"message,omitempty"` // of a stop or fail
		Fault   *actions.Fault  `json:"fault,omitempty"`
	}
	// KeptData is a key of the state with its new value; null forgets it.
	KeptData struct {
		Playbook string          `json:"playbook"`
		Key      string          `json:"key"`
		Value    json.RawMessage `json:"value"`
		Expires  time.Time       `json:"expires"`
	}
	// IntentData is what an [Intent] entry holds. Input and Parts stand in the first intent of a
	// step only.
	IntentData struct {
		Key       string          `json:"key"`
		RequestID string          `json:"requestId"`
		Effect    actions.Effect  `json:"effect"`
		Probe     bool            `json:"probe,omitempty"` // asks whether an earlier attempt happened
		Parts     []string        `json:"parts,omitempty"`
		Input     json.RawMessage `json:"input,omitempty"`
		Limits    []Counted       `json:"limits,omitempty"` // that let it begin
	}
	// OutcomeData is what an [Outcome] entry holds.
	OutcomeData struct {
		Status      OutcomeStatus   `json:"status"`
		Probe       bool            `json:"probe,omitempty"`
		Interrupted bool            `json:"interrupted,omitempty"` // the process ended during the attempt
		Parts       []string        `json:"parts,omitempty"`       // of a dry step, in its first outcome
		Input       json.RawMessage `json:"input,omitempty"`       // of a step that had no intent
		Limits      []Counted       `json:"limits,omitempty"`      // of a dry step, in its first outcome
		Output      json.RawMessage `json:"output,omitempty"`
		Fault       *actions.Fault  `json:"fault,omitempty"`
	}
	// ResolveData is what a [Resolve] entry holds: a person's word on an uncertain step.
	ResolveData struct {
		Happened bool   `json:"happened"`
		By       string `json:"by"`
		Note     string `json:"note,omitempty"`
	}
	timedData struct {
		Until time.Time      `json:"until"`
		Last  bool           `json:"last,omitempty"` // of a wait with a condition: within ends then
		Fault *actions.Fault `json:"fault,omitempty"`
	}
	// AskedData is what an [Asked] entry holds: what people are shown, and who may answer.
	AskedData struct {
		ID        string         `json:"id"`
		Approve   bool           `json:"approve,omitempty"` // else an answer is wanted
		Title     string         `json:"title"`
		Details   string         `json:"details,omitempty"`
		By        []string       `json:"by"` // names, or role:NAME
		Except    []string       `json:"except,omitempty"`
		Count     int            `json:"count"`
		Choices   []string       `json:"choices,omitempty"`
		Until     time.Time      `json:"until"`
		Otherwise string         `json:"otherwise"`
		Digest    string         `json:"digest"` // of all of it: what an answer is to
		Dry       bool           `json:"dry,omitempty"`
		Fault     *actions.Fault `json:"fault,omitempty"`
	}
	// AnsweredData is what an [Answered] entry holds: one person's answer.
	AnsweredData struct {
		By      string          `json:"by"`
		Roles   []string        `json:"roles,omitempty"` // that the person had then
		Digest  string          `json:"digest"`
		Approve bool            `json:"approve,omitempty"`
		Answer  json.RawMessage `json:"answer,omitempty"`
		Comment string          `json:"comment,omitempty"`
	}
	// CancelData is what a [Canceling] entry holds: who called the run off, and why.
	CancelData struct {
		By     string `json:"by"`
		Reason string `json:"reason,omitempty"`
	}
	// EndedData is what the [Ended] entry holds.
	EndedData struct {
		State   RunState        `json:"state"`
		Message string          `json:"message,omitempty"`
		Outputs json.RawMessage `json:"outputs,omitempty"`
	}
)

// OutcomeStatus says how an attempt ended.
type OutcomeStatus string

// The ways in which an attempt ends.
const (
	Took   OutcomeStatus = "ok"     // it took effect
	Faulty OutcomeStatus = "fault"  // see Fault; Fault.Unknown says whether it may have taken effect
	Absent OutcomeStatus = "absent" // a probe found that the earlier attempt did not happen
	Dry    OutcomeStatus = "dry"    // not made, because the playbook only watches
)

// Expressions see times as times. JSON has none, so values that later expressions read are
// written with times marked: {"$time": "2026-11-22T02:02:32Z"}. An object of somebody else that
// looks like a mark is wrapped, {"$as": {...}}, so that alert text can't pretend to be a time.
const (
	timeMark = "$time"
	wrapMark = "$as"
)

func encodeValue(v any) (json.RawMessage, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(markTimes(v)); err != nil {
		return nil, fmt.Errorf("value can't be recorded: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func markTimes(v any) any {
	switch v := v.(type) {
	case time.Time:
		return map[string]any{timeMark: v.Format(time.RFC3339Nano)}
	case time.Duration:
		return v.String()
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = markTimes(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = markTimes(x)
		}
		if len(v) == 1 {
			for k := range v {
				if k == timeMark || k == wrapMark {
					return map[string]any{wrapMark: out}
				}
			}
		}
		return out
	}
	return v
}

// KeptValue reads a value of the state as it is stored.
func KeptValue(raw json.RawMessage) (any, error) { return decodeValue(raw) }

func decodeValue(raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("%w: recorded value can't be read: %w", errNotFollowing, err)
	}
	v, err := unmark(v)
	if err != nil {
		return nil, fmt.Errorf("%w: recorded value can't be read: %w", errNotFollowing, err)
	}
	return v, nil
}

func unmark(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		return number(v)
	case []any:
		for i := range v {
			var err error
			if v[i], err = unmark(v[i]); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[string]any:
		if len(v) == 1 {
			if text, ok := v[timeMark].(string); ok {
				return time.Parse(time.RFC3339Nano, text)
			}
			if inner, ok := v[wrapMark].(map[string]any); ok {
				return unmarkFields(inner)
			}
		}
		return unmarkFields(v)
	}
	return v, nil
}

func unmarkFields(fields map[string]any) (any, error) {
	for k, x := range fields {
		var err error
		if fields[k], err = unmark(x); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// numbers is v with its numbers as expressions know them.
func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return number(v)
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = numbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// number gives whole numbers as int64, as expressions do, and others as float64.
func number(n json.Number) (any, error) {
	if !strings.ContainsAny(n.String(), ".eE") {
		if i, err := n.Int64(); err == nil {
			return i, nil
		}
	}
	f, err := n.Float64()
	if err != nil {
		return nil, fmt.Errorf("number %s is out of range", n)
	}
	return f, nil
}

var errNotFollowing = errors.New("history does not follow from the playbook")

func decodeData[T any](e Entry) (T, error) {
	var v T
	if err := json.Unmarshal(e.Data, &v); err != nil {
		return v, fmt.Errorf("%w: entry %d (%s %s): %w", errNotFollowing, e.Seq, e.Kind, e.Path, err)
	}
	return v, nil
}
