package engine

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// ErrMayNot means that a person may not answer a question, or not any more. Nothing was recorded.
var ErrMayNot = errors.New("the answer does not count")

// Limits of what a question shows and of what an answer may hold.
const (
	MaxQuestionTitle   = 300    // characters; more is cut
	MaxQuestionDetails = 10_000 // characters; more is cut
	MaxAnswerComment   = 2000   // characters of whatever a person adds in words; more is cut
	MaxAnswer          = 64 << 10
)

// inquiry is an approve or an ask in progress.
//
//	asked ─► (channels are told) ─► answered … answered ─► decided
//	                             └─► lapsed: silence means what the playbook says
type inquiry struct {
	body  *playbooks.Question
	asked *AskedData
	votes []AnsweredData
	tell  *sequence
}

// Question is a question that a run waits for an answer to.
type Question struct {
	Run   RunID             `json:"run"`
	Path  string            `json:"path"`
	Step  string            `json:"step,omitempty"` // its id
	Asked AskedData         `json:"asked"`
	Form  []playbooks.Input `json:"form,omitempty"`
	Votes []AnsweredData    `json:"votes,omitempty"`
}

func (a *inquiry) settle(m *Machine, f *frame) {
	if a.tell != nil && f.stage == working {
		a.tell.settle(m)
	}
}

func (a *inquiry) next(t *turn, f *frame) bool {
	switch {
	case a.asked == nil:
		t.record(f.path, Asked, 0, a.ask(t, f))
		return true
	case a.tell.next(t):
		return true
	case t.now.Before(a.asked.Until):
		t.sleepUntil(a.asked.Until)
		return false
	}
	t.record(f.path, Lapsed, 0, struct{}{})
	return true
}

// ask works out what people are shown. From then on it stays as it is: an answer is to exactly this.
func (a *inquiry) ask(t *turn, f *frame) AskedData {
	run, at := t.m.run, t.m.run.Created
	d := AskedData{
		ID: questionID(run.ID, f.path), Approve: a.body.Approve, Count: a.body.Count, Choices: a.body.Choices,
		Otherwise: a.body.Otherwise, Until: t.now.Add(a.body.Within).UTC(), Dry: run.Mode == playbooks.Shadow,
	}
	title, err := message(a.body.Title, f.scope, at)
	if err != nil {
		return AskedData{Fault: expressionFault("title", err)}
	}
	details, err := message(a.body.Details, f.scope, at)
	if err != nil {
		return AskedData{Fault: expressionFault("details", err)}
	}
	d.Title, d.Details = shortened(title, MaxQuestionTitle), shortened(details, MaxQuestionDetails)
	for _, who := range a.body.By {
		name, err := message(who, f.scope, at)
		if err != nil {
			return AskedData{Fault: expressionFault("by", err)}
		}
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(d.By, name) {
			d.By = append(d.By, name)
		}
	}
	if len(d.By) == 0 {
		return AskedData{Fault: actions.Failf("nobody", "by: there is nobody to ask")}
	}
	if d.Count > 1 && run.By != "" {
		d.Except = []string{run.By} // who started it can't be one of the two that agree
	}
	d.Digest = d.digest(run.ID, f.path)
	return d
}

// questionID is how people name the question.
func questionID(run RunID, path string) string {
	sum := sha256.Sum256([]byte("question\x00" + string(run) + "\x00" + path))
	return "q" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:8]))
}

// IsQuestionID says whether a text has the form of a question's ID. Others need not be looked for.
func IsQuestionID(id string) bool {
	rest, ok := strings.CutPrefix(id, "q")
	return ok && rest != "" && strings.Trim(rest, "0123456789abcdefghijklmnopqrstuv") == ""
}

// digest identifies all that people are shown.
func (d AskedData) digest(run RunID, path string) string {
	d.Digest = ""
	h := sha256.New()
	fmt.Fprintf(h, "question\x00%s\x00%s\x00%s", run, path, encode(d))
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func shortened(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func (a *inquiry) fold(m *Machine, f *frame, e Entry, _ string) error {
	switch {
	case e.Kind == Asked && a.asked == nil:
		m.asks = true
		return a.foldAsked(f, e)
	case e.Kind == Answered && a.asked != nil:
		return a.foldAnswered(f, e)
	case e.Kind == Lapsed && a.asked != nil:
		a.lapse(f)
		return nil
	}
	return f.strange(e)
}

func (a *inquiry) foldAsked(f *frame, e Entry) error {
	d, err := decodeData[AskedData](e)
	if err != nil {
		return err
	}
	if d.Fault != nil {
		f.finish(failed(d.Fault))
		return nil
	}
	a.asked = &d
	if d.Dry {
		a.suppose(f)
		return nil
	}
	s := f.scope.child("question", map[string]any{"id": d.ID, "title": d.Title, "text": d.text()})
	a.tell = f.inner(a.body.Notify, "/ask", s)
	return nil
}

// text tells a channel what is asked and how to answer.
func (d AskedData) text() string {
	var b strings.Builder
	if d.Details != "" {
		b.WriteString(d.Details + "\n")
	}
	if d.Approve {
		fmt.Fprintf(&b, "Decide with: playbookd approve %s, or playbookd reject %s", d.ID, d.ID)
	} else {
		fmt.Fprintf(&b, "Answer with: playbookd answer %s", d.ID)
	}
	fmt.Fprintf(&b, " (before %s)", d.Until.Format("2006-01-02 15:04 MST"))
	return b.String()
}

// suppose goes on in a run that only watches, as if people had agreed: it shows what would follow.
func (a *inquiry) suppose(f *frame) {
	switch {
	case a.body.Approve:
		a.decide(f, true)
	case slices.Contains(a.body.Choices, a.asked.Otherwise):
		f.finish(result{status: "ok", answer: a.asked.Otherwise})
	case len(a.body.Choices) > 0:
		f.finish(result{status: "ok", answer: a.body.Choices[0]})
	default:
		f.finish(result{status: "ok"})
	}
}

func (a *inquiry) lapse(f *frame) {
	switch o := a.asked.Otherwise; {
	case o == playbooks.OtherwiseFail:
		f.finish(failed(actions.Failf(actions.CodeTimeout, "nobody answered in time: %s", a.asked.Title)))
	case a.body.Approve:
		a.decide(f, o == playbooks.OtherwiseApprove)
	default:
		f.finish(result{status: "ok", answer: o})
	}
}

func (a *inquiry) decide(f *frame, yes bool) { f.finish(result{status: "ok", approved: &yes}) }

func (a *inquiry) foldAnswered(f *frame, e Entry) error {
	d, err := decodeData[AnsweredData](e)
	if err != nil {
		return err
	}
	if err := a.check(d); err != nil {
		return fmt.Errorf("%w: entry %d: %w", errNotFollowing, e.Seq, err)
	}
	a.votes = append(a.votes, d)
	switch {
	case !a.body.Approve:
		answer, err := decodeValue(d.Answer)
		if err != nil {
			return err
		}
		f.finish(result{status: "ok", answer: answer})
	case !d.Approve:
		a.decide(f, false)
	case len(a.votes) >= a.asked.Count:
		a.decide(f, true)
	}
	return nil
}

// check says why an answer does not count.
func (a *inquiry) check(d AnsweredData) error {
	q := a.asked
	switch {
	case d.By == "":
		return fmt.Errorf("%w: it has no name to it", ErrMayNot)
	case d.Digest != q.Digest:
		return fmt.Errorf("%w: it is to another question than the one that is asked: look at it again", ErrMayNot)
	case slices.Contains(q.Except, d.By):
		return fmt.Errorf("%w: %s started the run and can't be one of those who agree", ErrMayNot, d.By)
	case !slices.Contains(q.By, d.By) && !slices.ContainsFunc(d.Roles, func(r string) bool { return slices.Contains(q.By, "role:"+r) }):
		return fmt.Errorf("%w: %s is not among those who are asked: %s", ErrMayNot, d.By, strings.Join(q.By, ", "))
	case slices.ContainsFunc(a.votes, func(v AnsweredData) bool { return v.By == d.By }):
		return fmt.Errorf("%w: %s has answered already", ErrMayNot, d.By)
	}
	return nil
}

// value checks what a person answers to an ask, and completes it.
func (a *inquiry) value(raw json.RawMessage) (json.RawMessage, error) {
	var v any
	if len(raw) > MaxAnswer {
		return nil, fmt.Errorf("%w: it has %d bytes; at most %d are allowed", ErrMayNot, len(raw), MaxAnswer)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("%w: it is not JSON", ErrMayNot)
	}
	if len(a.body.Choices) > 0 {
		if s, ok := v.(string); !ok || !slices.Contains(a.body.Choices, s) {
			return nil, fmt.Errorf("%w: choose one of %s", ErrMayNot, strings.Join(a.body.Choices, ", "))
		}
		return encodeValue(v)
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: fill in the fields of the form", ErrMayNot)
	}
	for name := range fields {
		if !slices.ContainsFunc(a.body.Form, func(in playbooks.Input) bool { return in.Name == name }) {
			return nil, fmt.Errorf("%w: the form has no field %.60q", ErrMayNot, name)
		}
	}
	complete, err := playbooks.Complete(a.body.Form, fields)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMayNot, err)
	}
	return encodeValue(complete)
}

func (a *inquiry) drop(m *Machine) {
	if a.tell != nil {
		a.tell.drop(m)
	}
}

// Questions lists what the run waits for an answer to, by path.
func (m *Machine) Questions() []Question {
	var list []Question
	for path, f := range m.active {
		if a, ok := f.work.(*inquiry); ok && a.asked != nil && f.stage == working && !f.dropped {
			list = append(list, Question{Run: m.run.ID, Path: path, Step: f.step.ID, Asked: *a.asked, Form: a.body.Form, Votes: slices.Clone(a.votes)})
		}
	}
	slices.SortFunc(list, func(a, b Question) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// Answer records a person's answer to the question of that ID. An answer that does not count is
// refused with ErrMayNot, a question that is not open with ErrNotFound.
func (m *Machine) Answer(id string, d AnsweredData, now time.Time) (Entry, error) {
	for _, q := range m.Questions() {
		if q.Asked.ID != id {
			continue
		}
		a := m.active[q.Path].work.(*inquiry)
		if !now.Before(a.asked.Until) {
			return Entry{}, fmt.Errorf("%w: it came too late, the time was up at %s", ErrMayNot, a.asked.Until.Format(time.RFC3339))
		}
		if err := a.check(d); err != nil {
			return Entry{}, err
		}
		d.Comment = shortened(d.Comment, MaxAnswerComment)
		if !a.body.Approve {
			var err error
			if d.Answer, err = a.value(d.Answer); err != nil {
				return Entry{}, err
			}
		}
		e := m.entry(q.Path, Answered, 0, now, d)
		return e, m.apply(e)
	}
	return Entry{}, fmt.Errorf("%w: there is no open question %s", ErrNotFound, id)
}

// AskingPrefix begins the message of a run that waits, and needs a person.
const AskingPrefix = "asks "

// WordPrefix begins it if a step of the run is uncertain or held, whatever else it asks: no ID of a question begins so.
// A run that waits for nothing besides is parked, and its message is what follows the prefix.
const WordPrefix = AskingPrefix + "for a word: "

// asking says for lists of runs what people are asked, and what they have to settle or to release.
func (m *Machine) asking() string {
	if !m.asks {
		return ""
	}
	var parts []string
	if needs := m.needs(); needs != "" {
		parts = append(parts, WordPrefix+needs)
	}
	for _, q := range m.Questions() {
		parts = append(parts, AskingPrefix+q.Asked.ID+": "+q.Asked.Title)
	}
	return strings.Join(parts, "; ")
}

// needs says what a person has to settle, or else to release: of several steps the first.
func (m *Machine) needs() string {
	unsure, held := m.stepsIn(unsure), m.stepsIn(held)
	message, more := "", len(unsure)+len(held)-1
	switch {
	case len(unsure) > 0:
		message = unsure[0].parkMessage()
	case len(held) > 0:
		message = held[0].act.heldMessage(held[0])
	}
	if more > 0 {
		message += fmt.Sprintf(" (and %d more)", more)
	}
	return message
}
