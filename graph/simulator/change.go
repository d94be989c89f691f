package simulator

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
)

// bodyObject decodes the body, which must be a JSON object.
func (x *exchange) bodyObject() (map[string]any, error) {
	value, err := decodeJSON(x.body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, refuse(http.StatusBadRequest, "The request body must be a JSON object.")
	}
	return object, nil
}

// unwanted answers for a field that has no place in a body: refused, or ignored by a knob.
func (x *exchange) unwanted(name string) error {
	if strings.HasPrefix(name, "@odata.") || x.s.opts.Behaviour.IgnoreUnknownFields {
		return nil
	}
	e := refuse(http.StatusBadRequest, "The property '%s' cannot be set by this request.", name)
	e.code = "InvalidRequestBody"
	return e
}

// patch reads the fields of a PATCH body that may be written, checked and in wire form.
func (x *exchange) patch(res *resource) (Document, error) {
	body, err := x.bodyObject()
	if err != nil {
		return nil, err
	}
	fields := Document{}
	for name, value := range body {
		p, known := res.properties[name]
		if !known || !p.writable {
			if err := x.unwanted(name); err != nil {
				return nil, err
			}
			continue
		}
		if fields[name], err = x.writable(name, p, value); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// writable checks one value of a PATCH body.
func (x *exchange) writable(name string, p property, value any) (any, error) {
	wrong := func(want string) error {
		return refuse(http.StatusBadRequest, "The value of '%s' must be %s.", name, want)
	}
	if value == nil {
		if !p.nullable {
			return nil, wrong("set: it cannot be null")
		}
		return nil, nil
	}
	switch p.form {
	case formTexts:
		list, ok := value.([]any)
		if !ok || slices.ContainsFunc(list, func(v any) bool { _, ok := v.(string); return !ok }) {
			return nil, wrong("a list of strings")
		}
		return list, nil
	case formOpen:
		object, ok := value.(map[string]any)
		if !ok {
			return nil, wrong("an object")
		}
		for key, v := range object {
			if _, ok := v.(string); !ok && v != nil {
				return nil, refuse(http.StatusBadRequest, "The value of '%s/%s' must be a string.", name, key)
			}
		}
		return object, nil
	}
	text, ok := value.(string)
	if !ok {
		return nil, wrong("a string")
	}
	if p.form == formEnum {
		if x.s.opts.Behaviour.AcceptPascalCase {
			text = lowerFirst(text)
		}
		if !slices.Contains(p.members, text) || slices.Contains(p.readOnly, text) {
			return nil, refuse(http.StatusBadRequest, "The value '%s' is not allowed for '%s'.", text, name)
		}
	}
	return text, nil
}

// apply writes fields and tells what changed. Absent fields stay.
func (e *entry) apply(fields Document) map[string]Change {
	changed := map[string]Change{}
	for name, value := range fields {
		if old := e.doc[name]; !reflect.DeepEqual(old, value) {
			changed[name] = Change{Old: old, New: value}
		}
		e.doc[name] = value
	}
	return changed
}

// update performs a PATCH on a document: the fields, what follows from them, and the time.
func (x *exchange) update(e *entry, fields Document) map[string]Change {
	changed := e.apply(fields)
	if len(changed) > 0 || !x.s.opts.Behaviour.RepeatKeepsUpdateTime {
		x.s.store.touch(e, x.now)
	}
	return changed
}

// comment reads the body of a comment.
func (x *exchange) comment() (string, error) {
	body, err := x.bodyObject()
	if err != nil {
		return "", err
	}
	for name, value := range body {
		switch name {
		case "comment":
		case "@odata.type":
			if kind, _ := value.(string); trimType(kind) != "alertComment" {
				return "", refuse(http.StatusBadRequest, "A comment has the type microsoft.graph.security.alertComment.")
			}
		default:
			if err := x.unwanted(name); err != nil {
				return "", err
			}
		}
	}
	text, ok := body["comment"].(string)
	if !ok || strings.TrimSpace(text) == "" {
		return "", refuse(http.StatusBadRequest, "The property 'comment' must be a string that is not empty.")
	}
	return text, nil
}

// addComment appends to the comments of a document. Identical posts are not merged.
func (st *store) addComment(e *entry, text, author string, now time.Time, keepTime bool) {
	old, _ := e.doc["comments"].([]any)
	e.doc["comments"] = append(slices.Clip(slices.Clone(old)), map[string]any{
		"comment": text, "createdByDisplayName": author, "createdDateTime": formatTime(now.UTC().Truncate(tick)),
	})
	if !keepTime {
		st.touch(e, now)
	}
}

// postComment performs a comment request and answers with the whole list.
func (x *exchange) postComment(res *resource, e *entry, op string) (reply, error) {
	text, err := x.comment()
	if err != nil {
		return reply{}, err
	}
	x.say(e, text)
	id := e.doc.text("id")
	changed := map[string]Change{"comments": {Old: nil, New: text}}
	if err := x.effect(op, res.object+"/"+id, changed, nil); err != nil {
		return reply{}, err
	}
	list, _ := cloneValue(e.doc["comments"]).([]any)
	if x.s.opts.Behaviour.NewestCommentFirst {
		slices.Reverse(list)
	}
	return x.json(http.StatusOK, nil, map[string]any{
		"@odata.context": fmt.Sprintf("%s/$metadata#security/%s('%s')/comments", x.base(), res.segment, strings.ReplaceAll(id, "'", "''")),
		"value":          list,
	}), nil
}

// say adds a comment in the name of the calling application.
func (x *exchange) say(e *entry, text string) {
	author := orDefault(x.s.opts.Behaviour.CommentAuthor, x.actor())
	x.s.store.addComment(e, text, author, x.now, x.s.opts.Behaviour.CommentKeepsUpdateTime)
}

// actor is how the service writes down the calling application.
func (x *exchange) actor() string { return "API-App:" + x.caller.client }

// effect writes a line of the effect log.
func (x *exchange) effect(op, object string, changed map[string]Change, answer map[string]any) error {
	return x.s.effects.add(Effect{
		Time: x.now.UTC(), Tenant: x.caller.tenant, Client: x.caller.client,
		ClientRequestID: x.clientRequestID, RequestID: x.requestID, Method: x.r.Method, Path: x.path,
		Op: op, Object: object, Body: x.body, Changed: changed, Answer: answer,
	})
}
