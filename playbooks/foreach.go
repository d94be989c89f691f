package playbooks

import (
	"slices"

	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// foreach reads a loop. Steps of its body can be named inside of it and nowhere else: outside,
// there would be one for each item.
func (c *compiler) foreach(b *block, step *Step, depth int, s *scope) afterStep {
	body := &Foreach{As: DefaultItem, Concurrency: b.number("concurrency", 1, MaxItemsConcurrency, 1)}
	var item expression.Type
	body.Items, item = c.items(b.get("foreach"), s)
	at := b.get("foreach")
	if as := b.get("as"); as != nil && c.identifier(as, "an item") {
		body.As, at = as.Text, as
	}
	if s.has(body.As) || slices.Contains(languageNames(), body.As) {
		c.fail(at, codeName, "choose another with as", "the name %q means something here already", body.As)
	}
	inside := s.withName(body.As, item)
	step.Body = body

	var results []expression.Type
	if n, ok := b.need("do", "a list of steps"); ok {
		if c.foreaches++; c.foreaches > MaxForeachDepth {
			c.fail(n, codeLimit, "write it flatter", "foreach is nested more than %d deep", MaxForeachDepth)
		} else {
			if body.Concurrency > 1 {
				c.parallel++
			}
			body.Do, results = c.loopBody(n, step.Path+"/do", depth+1, inside)
			if body.Concurrency > 1 {
				c.parallel--
			}
		}
		c.foreaches--
	}
	c.onError(b, step, depth, s)
	body.Continue = step.OnError.Continue
	return afterStep{scope: s, step: stepType(map[string]expression.Type{
		"items": expression.List(rowType(body.As, item, results)),
	})}
}

// loopBody reads the steps of a loop and returns the types of what their last one puts out.
func (c *compiler) loopBody(n *document.Node, path string, depth int, s *scope) ([]Step, []expression.Type) {
	steps, _ := c.stepList(n, path, depth, s)
	if len(steps) == 0 {
		return steps, nil
	}
	if act, ok := steps[len(steps)-1].Body.(*Act); ok {
		return steps, []expression.Type{act.Output}
	}
	return steps, nil
}

// rowType is one row of steps.ID.items.
func rowType(as string, item expression.Type, results []expression.Type) expression.Type {
	output := expression.Any
	if len(results) == 1 {
		output = results[0]
	}
	return expression.Object(map[string]expression.Type{
		"status": expression.Enum(stepStatuses()...),
		"output": output,
		"error":  errorType(),
		as:       item,
	})
}
