package engine

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
)

// CommentMark begins the marker that our comments carry, so that they are told from people's.
const CommentMark = "[playbookd "

// derived are fields that Graph changes by itself when somebody writes another one.
var derived = map[string]bool{
	"lastUpdateDateTime": true, "resolvedDateTime": true, "lastModifiedBy": true,
	"@odata.context": true, "@odata.etag": true,
}

// echoOf says which playbooks alone can have made the difference between two versions of an
// object: those whose own writes explain every field that changed. Where nothing but a
// timestamp changed, whoever wrote anything explains it. A comment is explained if all new
// comments carry our marker.
func echoOf(before, after json.RawMessage, writes []Write) map[string]bool {
	if len(writes) == 0 {
		return nil
	}
	var old, cur map[string]any
	if json.Unmarshal(before, &old) != nil || json.Unmarshal(after, &cur) != nil {
		return nil // not comparable: treat it as somebody's change
	}
	echoes := map[string]bool{}
	for _, w := range writes {
		echoes[w.Playbook] = true
	}
	for name := range unionKeys(old, cur) {
		if derived[name] || reflect.DeepEqual(old[name], cur[name]) {
			continue
		}
		for playbook := range echoes {
			if !explains(playbook, name, old[name], cur[name], writes) {
				delete(echoes, playbook)
			}
		}
	}
	return echoes
}

func unionKeys(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, b)
	return all
}

func explains(playbook, field string, old, cur any, writes []Write) bool {
	for _, w := range writes {
		if w.Playbook != playbook {
			continue
		}
		if field == "comments" {
			if w.Comment && onlyOurs(old, cur) {
				return true
			}
			continue
		}
		if v, ok := w.Fields[field]; ok && reflect.DeepEqual(normal(v), cur) {
			return true
		}
	}
	return false
}

// normal gives a value the shape it has when read from JSON.
func normal(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if json.Unmarshal(raw, &out) != nil {
		return v
	}
	return out
}

// onlyOurs says whether every comment of cur that old does not have carries our marker.
func onlyOurs(old, cur any) bool {
	before, _ := old.([]any)
	after, ok := cur.([]any)
	if !ok || len(after) < len(before) {
		return false
	}
	for _, c := range after {
		known := false
		for _, b := range before {
			known = known || reflect.DeepEqual(b, c)
		}
		if known {
			continue
		}
		fields, _ := c.(map[string]any)
		text, _ := fields["comment"].(string)
		if !strings.Contains(text, CommentMark) {
			return false
		}
	}
	return true
}
