package triggers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/mutant"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// parseBody reads the events of a body: one JSON object, an array of them, or one in each line.
func parseBody(r *http.Request, body []byte) ([]json.RawMessage, *refusal) {
	lines, no := contentType(r.Header)
	if no != nil {
		return nil, no
	}
	// The signature covers the mark, so it is taken away only here.
	text := bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF"))
	if offset := invalidUTF8(text); offset >= 0 {
		return nil, badAt(text, offset, "not UTF-8")
	}
	if offset := tooDeep(text); offset >= 0 {
		return nil, badAt(text, offset, fmt.Sprintf("nested deeper than %d levels", MaxDepth))
	}
	var items []json.RawMessage
	if !lines && expression.Valid(text) {
		items, no = values(text)
	} else {
		items, no = splitLines(text, lines)
	}
	if no != nil {
		return nil, no
	}
	switch {
	case len(items) == 0:
		return nil, badRequest("the body holds no event: send a JSON object")
	case len(items) > MaxItems:
		return nil, badRequest(fmt.Sprintf("the body holds more than %d events: send several requests", MaxItems))
	}
	for i, item := range items {
		if item[0] != '{' {
			return nil, badRequest(fmt.Sprintf("event %d of the body is not a JSON object", i+1))
		}
	}
	return items, nil
}

// contentType accepts JSON in UTF-8, and says whether it declares one value in each line.
func contentType(head http.Header) (lines bool, no *refusal) {
	unsupported := func(message string) (bool, *refusal) {
		return false, &refusal{status: http.StatusUnsupportedMediaType, message: message, why: "content type"}
	}
	if e := strings.ToLower(head.Get("Content-Encoding")); e != "" && e != "identity" {
		return unsupported("send the body without Content-Encoding")
	}
	declared := head.Get("Content-Type")
	if declared == "" {
		return false, nil
	}
	kind, params, err := mime.ParseMediaType(declared)
	if err != nil {
		return unsupported("the Content-Type can't be read: use application/json or application/x-ndjson")
	}
	if c := strings.ToLower(params["charset"]); c != "" && c != "utf-8" && c != "utf8" && c != "us-ascii" {
		return unsupported("send the body in UTF-8")
	}
	switch {
	case kind == "application/x-ndjson", kind == "application/ndjson", kind == "application/jsonl":
		return true, nil
	case kind == "application/json", kind == "text/json",
		strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"):
		return false, nil
	}
	return unsupported("use Content-Type application/json or application/x-ndjson")
}

// values takes a JSON text apart: an array into its elements, anything else is one value.
func values(text []byte) ([]json.RawMessage, *refusal) {
	text = bytes.TrimSpace(text)
	if text[0] != '[' {
		return []json.RawMessage{text}, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, badRequest("the body is not a JSON array")
	}
	return items, nil
}

// splitLines reads one value from each line. A body that was not declared as lines and does not
// look like them either is reported as the JSON text that it was meant to be.
func splitLines(text []byte, declared bool) ([]json.RawMessage, *refusal) {
	var items []json.RawMessage
	offset := 0
	for line := range bytes.Lines(text) {
		value := bytes.TrimSpace(line)
		if len(value) == 0 {
			offset += len(line)
			continue
		}
		if len(items) > MaxItems {
			break // one more than allowed is enough to refuse it
		}
		if at, message := syntaxError(line); message != "" {
			if whole, text2 := syntaxError(text); !declared && len(items) == 0 && text2 != "" {
				return nil, badAt(text, whole, text2)
			}
			return nil, badAt(text, offset+at, message)
		}
		items = append(items, json.RawMessage(value))
		offset += len(line)
	}
	return items, nil
}

// syntaxError finds the first mistake in a JSON text: where, and in our words, since the
// decoder's would repeat what was sent.
func syntaxError(text []byte) (offset int, message string) {
	var v json.RawMessage
	err := json.Unmarshal(text, &v)
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return 0, ""
	case errors.As(err, &syntax) && strings.Contains(syntax.Error(), "unexpected end"):
		return len(bytes.TrimRight(text, " \t\r\n")), "the JSON text ends too early"
	case errors.As(err, &syntax):
		return max(int(syntax.Offset)-1, 0), "not JSON"
	}
	return 0, "not JSON"
}

// badAt names a place by line and column, in characters, counting from one.
func badAt(text []byte, offset int, message string) *refusal {
	before := text[:min(offset, len(text))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return badRequest(fmt.Sprintf("line %d, column %d: %s", line, column, message))
}

// invalidUTF8 is where a text stops being UTF-8, or -1.
func invalidUTF8(text []byte) int {
	if utf8.Valid(text) {
		return -1 // as a rule, and quickly
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return -1
}

// tooDeep is where a text nests too deep, or -1. It runs before the decoder, which recurses.
func tooDeep(text []byte) int {
	if bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) <= MaxDepth {
		return -1 // as a rule, and quickly
	}
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\n' {
				quoted = false // no string goes over a line; the decoder reports it
			}
		case c == '[' || c == '{':
			if depth++; depth > MaxDepth {
				return i
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return -1
}

// events makes events of one delivery.
func (h *hook) events(items []json.RawMessage, delivery string, now time.Time) []engine.Event {
	if mutant.On(mutant.ForgetDelivery) {
		delivery += now.Format(time.RFC3339Nano)
	}
	events := make([]engine.Event, len(items))
	for i, item := range items {
		e := engine.Event{
			ID:     fmt.Sprintf("webhook/%s/%s/%d", h.Path, delivery, i),
			Tenant: h.Tenant, Source: "webhook/" + h.Path, Kind: h.As,
			Occurred: now.UTC(), Seen: now.UTC(), Payload: item,
		}
		describe(&e)
		events[i] = e
	}
	return events
}

// describe reads from a payload what people and later versions of the same object recognise it
// by. Names count exactly as they are written: the decoder's own matching ignores case.
func describe(e *engine.Event) {
	var id, title, name, updated string
	topFields(e.Payload, func(field string, value []byte) {
		switch field { // of a field that is given twice the last counts, as everywhere
		case "id":
			id = plainText(value)
		case "title":
			title = plainText(value)
		case "displayName":
			name = plainText(value)
		case "lastUpdateDateTime":
			updated = plainText(value)
		}
	})
	resource := ""
	switch e.Kind {
	case "alert":
		resource = "alerts"
	case "incident":
		resource, e.Title = "incidents", name
	}
	if e.Title == "" {
		e.Title = title
	}
	e.Title = shorten(e.Title)
	if resource == "" {
		return
	}
	if id := identity(id); id != "" {
		e.Object = resource + "/" + id
	}
	if t, ok := parseTime(updated); ok {
		e.Occurred = t
	}
}
