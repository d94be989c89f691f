package playbooks_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// generator draws playbooks: every construct of the language, nested in each other, with the values that people write
// and now and then others.
type generator struct {
	*rapid.T
	used  map[string]bool // keys of bodies and kinds of triggers
	steps int
	plain bool // only steps that may stand anywhere: nothing ends the run, asks or sets
}

type object = map[string]any

// chance is true once in so many times. Small numbers are drawn more often than others.
func (g *generator) chance(of int) bool { return rapid.IntRange(1, of).Draw(g.T, "chance") == (of+1)/2 }

func drawn[V any](g *generator, of ...V) V { return rapid.SampledFrom(of).Draw(g.T, "one") }

// rarely draws what is odd, and almost always one of the others.
func rarely[V any](g *generator, odd V, of ...V) V {
	if g.chance(60) {
		return odd
	}
	return drawn(g, of...)
}

// maybe adds a key sometimes.
func (g *generator) maybe(o object, key string, value func() any) {
	if g.chance(3) {
		o[key] = value()
	}
}

func (g *generator) use(key string) {
	if g.used == nil {
		g.used = map[string]bool{}
	}
	g.used[key] = true
}

func (g *generator) playbook() object {
	p := object{"name": drawn(g, "a", "close-noise-2", "x1"), "triggers": g.triggers(), "vars": object{"n": 1, "t": "x", "l": []any{1, "${{ tenant.name }}"}}}
	texts := func(odd string, of ...string) func() any { return func() any { return rarely(g, odd, of...) } }
	g.maybe(p, "description", texts("${{ no }}", "What it does.", strings.Repeat("ü", 512)))
	p["owner"], p["reason"], p["expires"] = "me", "because", drawn(g, "2027-03-31", "2027-03-31T18:00:00Z", "2027-03-31T18:00:00+02:00")
	g.maybe(p, "tags", func() any { return rarely(g, []any{"a", "a"}, []any{}, []any{"a", "b"}) })
	g.maybe(p, "tenants", func() any { return []any{"contoso"} })
	g.maybe(p, "priority", func() any { return rarely[any](g, 1001, 0, -1000, 1000) })
	g.maybe(p, "mode", texts("dry", "live", "shadow"))
	g.maybe(p, "enabled", func() any { return rarely[any](g, "yes", true, false) })
	g.maybe(p, "when", func() any {
		return rarely[any](g, "", true, `tenant.name != ""`, `"x" in lists.known_noise`, `playbook.mode == "live"`)
	})
	g.maybe(p, "concurrency", func() any { return object{"key": rarely(g, " ", "one", "${{ tenant.name }}")} })
	g.maybe(p, "limits", func() any { return object{"runs": rarely(g, "50", "50/1h", "1/7d", "10 / 1h30m")} })
	g.maybe(p, "dedupe", func() any { return object{"key": "${{ tenant.name }}", "window": g.duration("1s", "90d")} })
	p["steps"] = g.list(2)
	g.plain = true
	g.maybe(p, "on_failure", func() any { return g.list(1) })
	g.maybe(p, "finally", func() any { return g.list(1) })
	g.maybe(p, "outputs", func() any { return object{"n": "${{ vars.n }}", "fixed": []any{1, nil, object{"a": true}}} })
	return p
}

// duration draws a time between two that are allowed.
func (g *generator) duration(least, most string) string {
	return rarely(g, drawn(g, "5", "1m1h", "1000d"), least, most, "1m", "1h", "90s", "60000ms", "30m500ms")
}

func (g *generator) triggers() []any {
	subject := drawn(g, "alert", "incident", "event")
	var all []any
	for i := range rapid.IntRange(1, 2).Draw(g.T, "triggers") {
		kinds := []string{"poll", "poll", "change", "sla", "webhook", "manual"}
		if subject == "event" {
			kinds = []string{"schedule", "schedule", "run", "run", "webhook", "manual"}
		}
		switch kind := drawn(g, kinds...); {
		case kind == "poll":
			g.use("poll")
			poll := object{"resource": subject + "s"}
			g.maybe(poll, "every", func() any { return g.duration("10s", "1d") })
			g.maybe(poll, "filter", func() any {
				return rarely(g, "x", "severity eq 'high'", "status ne 'resolved' and createdDateTime ge 2026-01-01T00:00:00Z")
			})
			g.maybe(poll, "on", func() any { return drawn[any](g, "created", "updated", []any{"created"}, []any{"created", "updated"}) })
			if subject == "incident" {
				poll["expand"] = "alerts"
			}
			all = append(all, object{"poll": poll})
		case kind == "change":
			g.use("change")
			change := object{"resource": subject + "s", "field": rarely(g, "state", "status", "assignedTo", "classification")}
			g.maybe(change, "from", func() any { return rarely[any](g, "closed", nil, "unknown", []any{"unknown", nil}) })
			g.maybe(change, "to", func() any { return rarely[any](g, []any{}, "resolved", []any{"resolved"}) })
			g.maybe(change, "by", func() any { return drawn(g, "us", "person", "anyone") })
			if subject == "incident" {
				change["expand"] = "alerts"
			}
			all = append(all, object{"change": change})
		case kind == "run":
			g.use("run")
			run := object{"playbook": rarely[any](g, "Not One", "other", []any{"other", "another"})}
			g.maybe(run, "state", func() any { return rarely[any](g, "parked", "failed", []any{"failed", "canceled"}) })
			all = append(all, object{"run": run})
		case kind == "sla" && !g.used["sla"]: // there is one clock for a playbook
			g.use("sla")
			sla := object{"resource": subject + "s", "start": subject + ".createdDateTime"}
			g.maybe(sla, "every", func() any { return g.duration("10s", "1d") })
			g.maybe(sla, "pause", func() any { return subject + `.severity == "low"` })
			g.maybe(sla, "stop", func() any { return drawn(g, subject+`.status == "resolved"`, "false") })
			g.maybe(sla, "calendar", func() any { return rarely(g, "nowhere", "office") })
			target := []any{object{"within": g.duration("1s", "365d")}}
			if drawn(g, false, true) {
				target = append([]any{object{"if": subject + `.severity == "high"`, "within": g.duration("1s", "365d")}}, target...)
			}
			sla["target"] = target
			sla["stages"] = drawn(g, object{"breached": "100%"}, object{"breached": "100%"}, object{"late": "45m"}, object{"late": "many"})
			all = append(all, object{"sla": sla})
		case kind == "schedule":
			g.use("schedule")
			schedule := object{"cron": drawn(g, "0 8 * * 1-5", "*/10 * * * *")}
			g.maybe(schedule, "timezone", func() any { return rarely(g, "Mars", "Europe/Berlin", "UTC") })
			g.maybe(schedule, "missed", func() any { return drawn(g, "skip", "once") })
			all = append(all, object{"schedule": schedule})
		case kind == "manual" && i == 0:
			g.use("manual")
			all = append(all, drawn[any](g, "manual", object{"manual": nil}, object{"manual": object{}}, object{"manual": object{"inputs": g.inputs()}}))
		default:
			g.use("webhook")
			all = append(all, object{"webhook": object{"path": fmt.Sprintf("hook-%d", i), "as": subject, "auth": drawn(g, object{"hmac": "key"}, object{"apiKey": "key-1"})}})
		}
	}
	return all
}

func (g *generator) inputs() object {
	in := object{"host": drawn[any](g, "text", "int", "list", object{}, object{"type": "text", "required": true})}
	g.maybe(in, "depth", func() any { return object{"type": "int", "default": rarely[any](g, 1.5, 3), "description": "How far."} })
	g.maybe(in, "kind", func() any { return object{"enum": []any{"full", "part"}, "default": "full"} })
	g.maybe(in, "share", func() any { return object{"type": "number", "default": 0.5} })
	return in
}

func (g *generator) list(depth int) []any {
	var all []any
	for range rapid.IntRange(1, 3).Draw(g.T, "steps") {
		all = append(all, g.step(depth))
	}
	if !g.plain && g.chance(6) { // at the end, where nothing follows
		ends := drawn(g, "stop", "fail")
		g.use(ends)
		all = append(all, object{ends: rarely(g, "", "done", "because of ${{ vars.t }}")})
	}
	return all
}

func (g *generator) condition() any {
	return drawn[any](g, true, `vars.n > 1`, `vars.t == "x"`, `tenant.name == "contoso"`, `run.mode == "live"`, `"a" in lists.known_noise`, `len(vars.l) > 0`)
}

// step draws one step.
func (g *generator) step(depth int) object {
	kinds := []string{"action", "wait", "action", "playbook"}
	if !g.plain {
		kinds = append(kinds, "set", "approve", "ask")
	}
	if depth > 0 {
		kinds = append(kinds, "then", "switch", "parallel", "foreach", "wait", "then", "switch", "foreach")
	}
	kind := drawn(g, kinds...)
	s := object{}
	g.maybe(s, "name", func() any { return rarely(g, "", "What it does", strings.Repeat("n", 512)) })
	if kind != "then" {
		g.maybe(s, "if", func() any { return g.condition() })
	}
	if g.chance(4) {
		g.steps++
		s["id"] = fmt.Sprintf("s%d", g.steps)
	}
	g.use(kind)
	g.body(s, kind, depth)
	if kind != "set" {
		g.maybe(s, "on_error", func() any {
			if depth > 0 && g.chance(2) {
				return g.list(0)
			}
			return drawn[any](g, "fail", "continue")
		})
	}
	return s
}

func (g *generator) body(s object, kind string, depth int) {
	switch kind {
	case "action":
		g.action(s)
	case "set":
		kept := object{"key": drawn(g, "x", "${{ vars.t }}"), "value": drawn[any](g, nil, 1, object{"a": "${{ vars.n }}"})}
		g.maybe(kept, "for", func() any { return g.duration("1m", "366d") })
		s["set"] = drawn(g, object{"n": "${{ vars.n + 1 }}"}, object{"t": "x", "n": 2}, object{"l": []any{1, object{"a": "${{ vars.t }}"}}},
			object{"state": kept}, object{"n": 3, "state": []any{kept, kept}})
	case "wait":
		s["wait"] = g.wait(depth)
	case "approve", "ask":
		s[kind] = g.question(kind)
	case "playbook":
		s["playbook"] = "callee"
		g.maybe(s, "with", func() any { return object{"host": drawn[any](g, "a", "${{ vars.t }}")} })
	case "then":
		s["if"], s["then"] = g.condition(), g.list(depth-1)
		g.maybe(s, "else", func() any { return g.list(depth - 1) })
	case "switch":
		ways := []any{object{"if": g.condition(), "do": g.list(depth - 1)}}
		if g.chance(2) {
			ways = append(ways, object{"if": g.condition(), "do": g.list(depth - 1)})
		}
		if g.chance(2) {
			ways = append(ways, object{"else": g.list(depth - 1)})
		}
		s["switch"] = ways
	case "parallel":
		before := g.plain
		g.plain = true
		s["parallel"] = []any{g.list(depth - 1), g.list(depth - 1)}
		g.plain = before
		g.maybe(s, "join", func() any { return drawn(g, "all", "any") })
	case "foreach":
		before := g.plain
		g.plain = true
		s["foreach"], s["do"] = drawn(g, "vars.l", "1..3", `["a", "b"]`), g.list(depth-1)
		g.plain = before
		g.steps++
		s["as"] = fmt.Sprintf("i%d", g.steps)
		g.maybe(s, "concurrency", func() any { return rarely[any](g, 51, 1, 50) })
	}
}

func (g *generator) action(s object) {
	s["action"] = drawn(g, "alert.update", "alert.list", "message.send")
	switch s["action"] {
	case "alert.update":
		with := object{"alert": drawn(g, "a1", "${{ vars.t }}")}
		g.maybe(with, "status", func() any { return rarely(g, "closed", "new", "resolved", "${{ vars.t }}") })
		g.maybe(with, "assignedTo", func() any { return drawn[any](g, nil, "me", "${{ vars.t }}") })
		g.maybe(with, "tags", func() any { return rarely[any](g, "a", []any{"a", "${{ vars.t }}"}, "${{ vars.l }}") })
		g.maybe(with, "comment", func() any { return "Seen by ${{ playbook.name }}." })
		s["with"] = with
	case "alert.list":
		g.maybe(s, "with", func() any { return object{"top": rarely[any](g, 101, 1, 100, "${{ vars.n }}")} })
	default:
		s["with"] = object{"to": "soc", "text": "hi", "token": "${{ secrets.teams }}", "urgent": drawn[any](g, true, "${{ vars.n > 1 }}"), "facts": object{"any name": "x"}}
	}
	g.maybe(s, "guard", func() any { return drawn(g, "vars.n > 0", "vars.t != ''") })
	g.maybe(s, "timeout", func() any { return g.duration("1s", "1h") })
	g.maybe(s, "retry", func() any {
		r := object{}
		g.maybe(r, "attempts", func() any { return drawn[any](g, 1, 20) })
		g.maybe(r, "backoff", func() any { return drawn(g, "exponential", "constant") })
		g.maybe(r, "initial", func() any { return drawn(g, "1s", "2s") })
		g.maybe(r, "max", func() any { return drawn(g, "1m", "1d") })
		return r
	})
}

func (g *generator) wait(depth int) any {
	switch rapid.IntRange(0, 2).Draw(g.T, "wait") {
	case 0:
		return g.duration("1s", "90d")
	case 1:
		return object{"until": `now() + duration("1h")`}
	}
	w := object{"until": g.condition(), "within": drawn(g, "10m", "12h")}
	g.maybe(w, "every", func() any { return drawn(g, "5s", "1m") })
	if depth > 0 {
		g.maybe(w, "do", func() any { return g.list(depth - 1) })
	}
	return w
}

func (g *generator) question(kind string) object {
	q := object{"title": drawn(g, "Really?", "Close ${{ vars.t }}?"), "by": drawn(g, []any{"role:lead"}, []any{"a", "b", "${{ vars.t }}"}), "within": drawn(g, "15m", "1d")}
	g.maybe(q, "details", func() any { return "Because of ${{ vars.n }}." })
	if kind == "approve" {
		g.maybe(q, "count", func() any { return drawn[any](g, 1, 2, 10) })
		g.maybe(q, "otherwise", func() any { return drawn(g, "approve", "reject", "fail") })
		return q
	}
	if g.chance(2) {
		q["form"] = g.inputs()
		return q
	}
	q["choices"] = []any{"yes", "no"}
	g.maybe(q, "otherwise", func() any { return rarely(g, "maybe", "yes", "fail") })
	return q
}
