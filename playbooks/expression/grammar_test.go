package expression_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/playbooks/schema"
)

// grammar writes expressions over the schema of an alert. Bytes choose: the same bytes give the same text, and a
// fuzzer that changes one changes one choice. Without bytes the simplest is chosen, so every text ends.
type grammar struct {
	choices []byte
	paths   map[string][]string // constant paths by the name of their type
	items   []expression.Type   // of the loops around
	lets    int
	wrong   bool // now and then a value of another type than is needed
}

func newGrammar(choices []byte, wrong bool) *grammar {
	g := &grammar{choices: choices, paths: map[string][]string{}, wrong: wrong}
	g.walk("alert", schema.Alert(), 3)
	g.paths["text"] = append(g.paths["text"], `lists.known_noise[0]`)
	g.paths["list"] = append(g.paths["list"], "lists.known_noise", "lists.scanner_ranges")
	g.paths["any"] = append(g.paths["any"], "steps", "steps.contain.items", "vars.x", `alert["x-new"]`)
	return g
}

// walk collects the paths below a value.
func (g *grammar) walk(path string, t expression.Type, depth int) {
	g.paths[word(t)] = append(g.paths[word(t)], path)
	if depth == 0 || !t.IsObject() {
		return
	}
	for _, name := range t.Fields() {
		if strings.ContainsAny(name, "@.") {
			continue
		}
		field, _ := t.Field(name)
		g.walk(path+"."+name, field, depth-1)
	}
}

// word names the kind of a type.
func word(t expression.Type) string {
	_, list := t.IsList()
	switch {
	case list:
		return "list"
	case t.IsText():
		return "text"
	case t.IsBool():
		return "bool"
	case t.IsNumber():
		return "number"
	case t.IsTime():
		return "time"
	case t.IsDuration():
		return "duration"
	case t.IsObject():
		return "object"
	}
	return "any"
}

var kinds = []expression.Type{
	expression.Bool, expression.Text, expression.Int, expression.Number, expression.Time, expression.Duration,
	expression.List(expression.Any), expression.OpenObject(nil), expression.Any,
}

// pick chooses one of n.
func (g *grammar) pick(n int) int {
	if len(g.choices) == 0 {
		return 0
	}
	c := int(g.choices[0])
	g.choices = g.choices[1:]
	return c % n
}

func oneOf[T any](g *grammar, of ...T) T { return of[g.pick(len(of))] }

// value writes an expression of a type.
func (g *grammar) value(t expression.Type, depth int) string {
	if g.wrong && g.pick(24) == 23 {
		t = oneOf(g, kinds...)
	}
	if depth <= 0 {
		return g.leaf(t)
	}
	switch g.pick(8) {
	case 0, 1:
		return g.leaf(t)
	case 2:
		return g.call(t, depth)
	case 3:
		return fmt.Sprintf("(%s ? %s : %s)", g.value(expression.Bool, depth-1), g.value(t, depth-1), g.value(t, depth-1))
	case 4:
		return fmt.Sprintf("(%s ?? %s)", g.value(t, depth-1), g.value(t, depth-1))
	case 5:
		g.lets++
		name := fmt.Sprintf("v%d", g.lets)
		return fmt.Sprintf("(let %s = %s; [%s, %s][%d])", name, g.value(t, depth-1), name, g.value(t, depth-1), g.pick(2))
	}
	return g.form(t, depth)
}

// leaf writes a constant, a path, or the item of a loop.
func (g *grammar) leaf(t expression.Type) string {
	if n := len(g.items); n > 0 && g.pick(2) == 1 {
		item := g.items[n-1]
		if word(item) == word(t) {
			return "#"
		}
		for _, name := range item.Fields() {
			if field, _ := item.Field(name); word(field) == word(t) && !strings.ContainsAny(name, "@.") && g.pick(3) == 0 {
				return "." + name
			}
		}
		if item.IsAny() {
			return oneOf(g, "#", `#["x"]`, ".x")
		}
	}
	if paths := g.paths[word(t)]; len(paths) > 0 && g.pick(3) > 0 {
		return paths[(g.pick(256)*256+g.pick(256))%len(paths)]
	}
	switch word(t) {
	case "bool":
		return oneOf(g, "true", "false")
	case "text":
		return oneOf(g, `"a"`, `""`, `"new"`, `"10.0.0.1"`, `"ü\u{1F600}"`, "`x\n`", `'it\'s'`, `"2027-03-31T08:00:00Z"`, `"1h"`, `"[1, {}]"`)
	case "number":
		return oneOf(g, "1", "0", "-1", "9223372036854775807", "0x1F", "1.5", "1e300", "-9223372036854775807")
	case "time":
		return oneOf(g, "now()", `date("2027-03-31")`, "alert.createdDateTime")
	case "duration":
		return oneOf(g, `duration("1h")`, `duration("-1ns")`, `duration("290y")`)
	case "list":
		return oneOf(g, "[]", `["a", "b"]`, "1..3", `[1, nil, "x", [2]]`, "alert.evidence", "alert.mitreTechniques")
	case "object":
		return oneOf(g, "{}", `{"a": 1}`, "alert", `{"x": alert.evidence}`)
	}
	return oneOf(g, "nil", "steps", `alert["other"]`)
}

// call writes a call of a function of the language, whose value may be of the type.
func (g *grammar) call(t expression.Type, depth int) string {
	var fit []expression.Call
	for _, c := range expression.Calls() {
		if word(c.Result) == word(t) || c.Result.IsAny() {
			fit = append(fit, c)
		}
	}
	if len(fit) == 0 {
		return g.leaf(t)
	}
	c := oneOf(g, fit...)
	n := c.Least + g.pick(len(c.Params)-c.Least+1)
	if c.Variadic {
		n += g.pick(3)
	}
	args := make([]string, n)
	for i := range args {
		args[i] = g.value(c.Params[min(i, len(c.Params)-1)], depth-1)
	}
	if n > 0 && g.pick(8) == 7 {
		return fmt.Sprintf("(%s | %s(%s))", args[0], c.Name, strings.Join(args[1:], ", "))
	}
	return fmt.Sprintf("%s(%s)", c.Name, strings.Join(args, ", "))
}

// form writes an operator or a loop whose value is of the type.
func (g *grammar) form(t expression.Type, depth int) string {
	v := func(t expression.Type) string { return g.value(t, depth-1) }
	binary := func(op string, l, r expression.Type) string { return fmt.Sprintf("(%s %s %s)", v(l), op, v(r)) }
	list := expression.List(expression.Any)
	switch word(t) {
	case "bool":
		switch g.pick(7) {
		case 0:
			return binary(oneOf(g, "and", "or", "&&", "||"), expression.Bool, expression.Bool)
		case 1:
			kind := oneOf(g, kinds...)
			return binary(oneOf(g, "==", "!="), kind, kind)
		case 2:
			kind := oneOf(g, expression.Number, expression.Text, expression.Time, expression.Duration)
			return binary(oneOf(g, "<", "<=", ">", ">="), kind, kind)
		case 3:
			return binary(oneOf(g, "contains", "startsWith", "endsWith"), expression.Text, expression.Text)
		case 4:
			return fmt.Sprintf("(%s matches %s)", v(expression.Text), oneOf(g, `"^a.*b$"`, `"(a|b){2,9}"`, `"\\d+"`, `"("`, `""`))
		case 5:
			return binary(oneOf(g, "in", "not in"), expression.Any, list)
		}
		return oneOf(g, "not ", "!") + v(expression.Bool)
	case "text":
		if g.pick(2) == 1 {
			return fmt.Sprintf("%s[%s]", v(t), v(expression.Int))
		}
		return binary("+", t, t)
	case "number":
		switch g.pick(4) {
		case 0:
			return g.loop(oneOf(g, "count", "findIndex", "findLastIndex"), expression.Bool, depth)
		case 1:
			return g.loop("sum", expression.Int, depth)
		case 2:
			return oneOf(g, "-", "+") + "(" + v(t) + ")"
		}
		return binary(oneOf(g, "+", "-", "*", "/", "%", "**"), t, t)
	case "time":
		return binary(oneOf(g, "+", "-"), t, expression.Duration)
	case "duration":
		if g.pick(2) == 1 {
			return binary(oneOf(g, "*", "/"), t, expression.Number)
		}
		return binary("-", expression.Time, expression.Time)
	case "list":
		switch g.pick(5) {
		case 0:
			return fmt.Sprintf("[%s, %s]", v(oneOf(g, kinds...)), v(oneOf(g, kinds...)))
		case 1:
			return fmt.Sprintf("%s[%s:%s]", v(list), v(expression.Int), oneOf(g, "", v(expression.Int)))
		case 2:
			return g.loop("sortBy", oneOf(g, expression.Text, expression.Int, expression.Time), depth)
		}
		return g.loop(oneOf(g, "map", "filter"), oneOf(g, expression.Bool, expression.Any, expression.Text), depth)
	case "object":
		if g.pick(2) == 1 {
			return g.loop("groupBy", expression.Text, depth)
		}
		return fmt.Sprintf(`{"a": %s, (%s): %s}`, v(expression.Any), v(expression.Text), v(oneOf(g, kinds...)))
	}
	switch g.pick(4) {
	case 0:
		return g.loop(oneOf(g, "find", "findLast", "any", "all", "none", "one"), expression.Bool, depth)
	case 1:
		return g.loop("reduce", expression.Any, depth)
	case 2:
		return fmt.Sprintf("%s?.x[%s]", v(expression.OpenObject(nil)), v(expression.Text))
	}
	return fmt.Sprintf("%s[%s]", v(list), v(expression.Int))
}

// loop writes a form with a predicate.
func (g *grammar) loop(name string, body expression.Type, depth int) string {
	over := g.value(expression.List(expression.Any), depth-1)
	item := expression.Any
	if over == "alert.evidence" {
		evidence, _ := schema.Alert().Field("evidence")
		item, _ = evidence.IsList()
	}
	g.items = append(g.items, item)
	inner := g.value(body, depth-1)
	g.items = slices.Delete(g.items, len(g.items)-1, len(g.items))
	if strings.HasPrefix(inner, "{") {
		inner = "(" + inner + ")"
	}
	if name == "reduce" {
		inner = fmt.Sprintf("[#acc, %s][%d]", inner, g.pick(2))
	}
	return fmt.Sprintf("%s(%s, %s)", name, over, inner)
}

// anyExpression writes an expression of any type.
func anyExpression(choices []byte, wrong bool) string {
	g := newGrammar(choices, wrong)
	return g.value(oneOf(g, kinds...), 5)
}
