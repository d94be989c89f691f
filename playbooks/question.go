package playbooks

import (
	"slices"
	"strconv"
	"strings"

	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// What silence means: the values of otherwise that are words of the language.
const (
	OtherwiseApprove = "approve"
	OtherwiseReject  = "reject"
	OtherwiseFail    = "fail"
)

// notifyAction tells a channel of any kind that somebody is asked.
const notifyAction = "notify.send"

// approve reads a step that goes on only if people agree.
func (c *compiler) approve(b *block, step *Step, depth int, s *scope) afterStep {
	after := afterStep{scope: s, step: stepType(map[string]expression.Type{"approved": expression.Bool})}
	q, ok := c.block(b.get("approve"), "approve", approveKeys(), nil)
	if !ok {
		return after
	}
	body := &Question{Approve: true, Count: q.number("count", 1, MaxApprovers, 1)}
	body.Otherwise = q.word("otherwise", OtherwiseReject, OtherwiseApprove, OtherwiseReject, OtherwiseFail)
	c.question(q, body, step, depth, s)
	if people := len(body.By); people > 0 && people < body.Count && !slices.ContainsFunc(q.get("by").Items, namesMany) {
		c.fail(q.get("count"), codeConflict, "name more people, or a role", "%d different people are needed, but by names only %d", body.Count, people)
	}
	c.onError(b, step, depth, s)
	return after
}

// namesMany says whether an entry of by stands for more than one person, as far as we can know.
func namesMany(n *document.Node) bool {
	return strings.HasPrefix(n.Text, "role:") || strings.Contains(n.Text, "${{")
}

// ask reads a step that asks people something.
func (c *compiler) ask(b *block, step *Step, depth int, s *scope) afterStep {
	after := afterStep{scope: s, step: stepType(map[string]expression.Type{"answer": expression.Any})}
	q, ok := c.block(b.get("ask"), "ask", askKeys(), nil)
	if !ok {
		return after
	}
	body := &Question{Count: 1, Choices: q.texts("choices", MaxChoices)}
	answer := expression.Text
	switch form := q.get("form"); {
	case form != nil && q.get("choices") != nil:
		c.fail(form, codeConflict, "keep one of them", "an answer is a choice or a form, not both")
	case form != nil:
		body.Form = c.inputList(form, "form")
		fields := map[string]expression.Type{}
		for _, in := range body.Form {
			fields[in.Name] = inputType(in)
		}
		answer = expression.Object(fields)
	case q.get("choices") == nil:
		c.fail(q.node, codeMissing, `add choices: ["yes", "no"], or form with fields`, "ask needs choices or a form")
	default:
		answer = expression.Enum(body.Choices...)
	}
	body.Otherwise = OtherwiseFail
	if n := q.get("otherwise"); n != nil {
		body.Otherwise, _ = c.oneOf(n, "otherwise", append(slices.Clone(body.Choices), OtherwiseFail))
	}
	after.step = stepType(map[string]expression.Type{"answer": answer})
	c.question(q, body, step, depth, s)
	c.onError(b, step, depth, s)
	return after
}

// question reads what approve and ask have in common.
func (c *compiler) question(q *block, body *Question, step *Step, depth int, s *scope) {
	step.Body = body
	if c.finally > 0 {
		c.fail(q.node, codeConflict, "ask before the end", "finally must come to an end by itself, so it asks nobody")
	}
	if n, ok := q.need("title", "what people are asked"); ok {
		body.Title = c.message(n, s)
	}
	if n := q.get("details"); n != nil {
		body.Details = c.message(n, s)
	}
	if n, ok := q.need("by", "who may answer, such as [role:lead]"); ok && c.isList(n, "by") {
		if len(n.Items) == 0 || len(n.Items) > MaxAskedPeople {
			c.fail(n, codeLimit, "name between 1 and 20, or use role:NAME", "by has %d entries; between 1 and %d are allowed", len(n.Items), MaxAskedPeople)
		}
		for _, item := range n.Items {
			if item.Kind != document.String || strings.TrimSpace(item.Text) == "" {
				c.fail(item, codeKind, "write a person's name in the configuration, or role:NAME", "an entry of by is text, not %s", item)
				continue
			}
			if t := c.template(item, s); t != nil {
				body.By = append(body.By, t)
			}
		}
	}
	if _, ok := q.need("within", "how long to wait for an answer, such as 15m"); ok {
		body.Within = q.duration("within", MinAsk, MaxWait, 0)
	}
	body.Notify = c.channels(q, step, s)
}

// channels makes a step for each channel that is told about the question.
func (c *compiler) channels(q *block, step *Step, s *scope) []Step {
	names := q.texts("channels", MaxAskChannels)
	if len(names) == 0 {
		return nil
	}
	n := q.get("channels")
	action, ok := c.lookup(notifyAction)
	if !ok {
		c.fail(n, codeUnknownAction, "", "this program has no action %s, by which channels are told", notifyAction)
		return nil
	}
	inside := s.withName("question", questionType())
	steps := make([]Step, len(names))
	for i, name := range names {
		with := Object{{Name: "channel", Value: Literal{name}}}
		for _, field := range []struct{ name, text string }{{"title", "${{ question.title }}"}, {"text", "${{ question.text }}"}} {
			t, problem := expression.ParseTemplate(field.text, inside.env(nil))
			if problem != nil {
				c.fail(n, codeExpression, "", "%s", problem.Message)
				return nil
			}
			with = append(with, Binding{Name: field.name, Value: Text{t}})
		}
		spec := action.Spec()
		steps[i] = Step{Path: step.Path + "/ask/" + strconv.Itoa(i), Pos: n.Items[i].Pos, Name: "tell " + name, OnError: OnError{Continue: true},
			Body: &Act{Action: action, Spec: spec, With: with, Output: shapeOf(spec.Output)}}
	}
	return steps
}

// questionType is what the steps that tell about a question know of it.
func questionType() expression.Type {
	return expression.Object(map[string]expression.Type{"id": expression.Text, "title": expression.Text, "text": expression.Text})
}
