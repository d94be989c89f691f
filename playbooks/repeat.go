package playbooks

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// A playbook that polls is shown every version of an object. The version that it makes itself it
// knows for its own and passes over. But somebody else will change the object one day: Defender
// adds evidence, a person comments. If the condition still holds then, the playbook does again what
// it did: comments once more, or takes back what a person changed. That is no mistake only where
// the steps themselves make the condition false, or the playbook says how often it may act.

// writing is a step that writes to the object of the event, or may.
type writing struct {
	step   *Step
	at     *expression.Claim // what holds where the step stands
	own    bool              // it is certain that it is this object
	fields map[string]expression.Change
	gives  []string // those of the fields that it gives a value, sorted; the others follow, or only grow
}

// act remembers what an action writes to the object of the event.
func (j *judge) act(s *Step, b *Act, at *expression.Claim) {
	if w, ok := writes(j.book, b); ok {
		w.step, w.at = s, at
		j.acts = append(j.acts, w)
	}
}

// call remembers that a called playbook may write to the object.
func (j *judge) call(b *Call, at *expression.Claim) {
	if b.Playbook != nil && changesAnything(b.Playbook) {
		j.acts = append(j.acts, writing{at: at, fields: map[string]expression.Change{j.book.Subject: {Unknown: true}}})
	}
}

// changesAnything says whether any step of a playbook does more than reading.
func changesAnything(p *Playbook) (changes bool) {
	p.every(func(s *Step) {
		switch b := s.Body.(type) {
		case *Act:
			changes = changes || writesAnything(b.Spec)
		case *Call:
			changes = true
		}
	})
	return changes
}

// writes says what an action writes to the object that the event brings. The action itself knows
// what it touches; expressions in its input are values that nobody knows yet.
func writes(p *Playbook, b *Act) (writing, bool) {
	resource := map[string]string{alertSubject: alertsResource, incidentSubject: incidentsResource}[p.Subject]
	if resource == "" || !writesAnything(b.Spec) {
		return writing{}, false
	}
	w := writing{fields: map[string]expression.Change{}}
	unknown := func(names ...string) {
		for _, name := range names {
			w.fields[p.Subject+"."+name] = expression.Change{Unknown: true}
		}
	}
	input, err := json.Marshal(asWritten(b.With))
	if err != nil {
		return writing{}, false
	}
	parts, err := b.Action.Plan(input)
	if err != nil { // what a field will hold decides what is written
		w.fields[p.Subject] = expression.Change{Unknown: true}
		return w, true
	}
	touched := false
	for _, part := range parts {
		for _, t := range b.Action.Touches(part, input) {
			touched = true
			id, same := strings.CutPrefix(t.Object, resource+"/")
			if !same || !isSubjectID(p.Subject, id) {
				// Another object, or the same under another name. What is done to an incident shows in its alerts.
				w.fields[p.Subject] = expression.Change{Unknown: true}
				continue
			}
			w.own = true
			for _, name := range sortedNames(t.Fields) {
				path := p.Subject + "." + name
				w.fields[path] = changeTo(t.Fields[name])
				if _, grows := t.Fields[name].(actions.ListChange); !grows {
					w.gives = append(w.gives, path)
				}
			}
			unknown(t.Derived...)
			if t.Comment {
				unknown("comments")
			}
			unknown("lastUpdateDateTime", "lastModifiedBy")
		}
	}
	return w, touched
}

var subjectID = regexp.MustCompile(`^\$\{\{\s*(\w+)\.id\s*\}\}$`)

// isSubjectID says whether a written id is that of the event's object.
func isSubjectID(subject, id string) bool {
	m := subjectID.FindStringSubmatch(strings.TrimSpace(id))
	return m != nil && m[1] == subject
}

// changeTo is the new value of a field, as far as it is written out.
func changeTo(v any) expression.Change {
	switch v := v.(type) {
	case nil, bool, float64, int, int64:
		return expression.Change{Value: v}
	case string:
		if !actions.IsTemplate(v) {
			return expression.Change{Value: v}
		}
	}
	return expression.Change{Unknown: true}
}

// asWritten is a value with its expressions as the text that stands in the file.
func asWritten(v Value) any {
	switch v := v.(type) {
	case Literal:
		return v.Value
	case Text:
		return v.Template.Source()
	case List:
		list := make([]any, len(v))
		for i := range v {
			list[i] = asWritten(v[i])
		}
		return list
	case Object:
		m := make(map[string]any, len(v))
		for _, b := range v {
			m[b.Name] = asWritten(b.Value)
		}
		return m
	}
	return nil
}

// maxWays is how many combinations of new values are looked at. Beyond it nothing is said.
const maxWays = 64

// repeats warns of a playbook whose condition holds after its steps as it did before.
func (j *judge) repeats() {
	p := j.book
	ways, ok := waysOf(j.acts)
	if p.Dedupe != nil || !ok {
		return
	}
	for _, w := range j.acts {
		if !w.own {
			continue
		}
		for _, t := range p.Triggers {
			if t.Poll == nil || !t.Poll.Updated || t.Change != nil { // another change does not fire it
				continue
			}
			holds := expression.All(j.passes(t.Poll), j.matches(), w.at)
			if slices.ContainsFunc(ways, func(way map[string]expression.Change) bool { return !j.stays(holds, way) }) {
				continue
			}
			j.c.warnAt(w.step.Pos, codeRepeats,
				"say on: created in the poll, add dedupe, or a term to when that this step makes false, such as "+p.Subject+`.status == "`+firstStatus(p.Subject)+`"`,
				"this changes the "+p.Subject+", and the conditions hold as before: with every later change of the "+p.Subject+" it is done again")
			return
		}
	}
}

func firstStatus(subject string) string {
	if subject == incidentSubject {
		return "active"
	}
	return "new"
}

// stays says whether a condition certainly holds in the next run, after a way of changes.
func (j *judge) stays(holds *expression.Claim, way map[string]expression.Change) bool {
	next := holds.After(way).Fixed(func(path string) bool {
		root, _ := splitPath(path)
		return slices.Contains([]string{j.book.Subject, "tenant", "playbook", "lists"}, root)
	})
	return j.think.Impossible(expression.All(holds, next.Not()))
}

// waysOf lists what the object may look like after a run: each field has any of the values that a
// step gives it, or the one that it had. It is false if there are too many.
func waysOf(all []writing) ([]map[string]expression.Change, bool) {
	values := map[string][]expression.Change{}
	for _, w := range all {
		for path, change := range w.fields {
			if !slices.Contains(values[path], change) {
				values[path] = append(values[path], change)
			}
		}
	}
	ways := []map[string]expression.Change{{}}
	for _, path := range sortedNames(values) {
		var next []map[string]expression.Change
		for _, way := range ways {
			if slices.ContainsFunc(values[path], func(c expression.Change) bool { return c.Unknown }) {
				way[path] = expression.Change{Unknown: true} // which is any of them
				next = append(next, way)
				continue
			}
			next = append(next, way)
			for _, change := range values[path] {
				with := map[string]expression.Change{path: change}
				for p, c := range way {
					if p != path {
						with[p] = c
					}
				}
				next = append(next, with)
			}
		}
		if ways = next; len(ways) > maxWays {
			return nil, false
		}
	}
	return ways, true
}

// splitPath cuts a path behind its first name.
func splitPath(path string) (root, rest string) {
	root, rest, _ = strings.Cut(path, ".")
	return root, rest
}

// isWorld says that a path stands for a function that looks at the world, or for nobody knows what.
func isWorld(path string) bool { return strings.HasSuffix(path, "()") || path == expression.AnyRead }
