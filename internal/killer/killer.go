// Package killer keeps the texts that have killed, stalled or fooled programs that took them as they came:
// libraries below this one, earlier versions of this one, and others of its kind.
//
// Fuzz targets begin with them, and TestEveryKnownKillerEndsInAFinding holds each to the finding that it must end in.
// A crash that a fuzz target finds stays in the corpus of that target; a text goes here if it concerns more than
// one target, or if somebody should know it by name.
package killer

import (
	"fmt"
	"strings"
)

// Killer is a text and what becomes of it.
type Killer struct {
	Name string
	Text string
	Code string // of the finding, where it stands in a playbook
}

// nest writes something around something n times.
func nest(before, middle, after string, n int) string {
	return strings.Repeat(before, n) + middle + strings.Repeat(after, n)
}

// Limits of the language that some texts stay below on purpose, so that more than their length is tried.
const (
	maxSource = 4 << 10
	maxFile   = 256 << 10
)

// Expressions are refused when they are compiled.
func Expressions() []Killer {
	var list []Killer
	for _, k := range [][2]string{
		{"nested repeat", `repeat(repeat("a", 1000000), 1000000)`},
		{"repeat by the back door", `::repeat("a", 1000000000)`},
		{"a million nots", strings.Repeat("!", 1_000_000) + "true"},
		{"nots that fit", strings.Repeat("!", maxSource-10) + "true"},
		{"minuses that fit", strings.Repeat("-", maxSource-10) + "1"},
		{"100,000 parentheses", nest("(", "1", ")", 100_000)},
		{"20,001 terms", "1" + strings.Repeat(" + 1", 20_000)},
		{"terms that fit", "1" + strings.Repeat("+1", maxSource/2-10)},
		{"large range", `1..1000000000`},
		{"range of a name", `1..len(alert.title)`},
		{"negative range", `-9223372036854775807..9223372036854775807`},
		{"loops in loops", nest("any(alert.evidence, ", "true", ")", 6)},
		{"loops over long lists", `any(1..1000, any(1..1000, any(1..1000, true)))`},
		{"nested comparisons in a row", nest("1 < (", "1", ") < 1", 60)},
		{"comparisons in a row", "1" + strings.Repeat(" < 1", 400)},
		{"nested elvis", nest("(", "alert.title", " ?: 1)", 60)},
		{"run-time built pattern", `alert.title matches alert.title`},
		{"run-time joined pattern", `alert.title matches ("(a*)*" + alert.title)`},
		{"pattern that is too deep", `alert.title matches "` + nest("(", "a", ")", 1100) + `"`},
		{"pattern that is too wide", `alert.title matches "(((a{1000}){1000}){1000})"`},
		{"broken text", "alert.title == \"\xff\""},
		{"empty", " "},
		{"deep members", `alert["x"]` + strings.Repeat(".a", 300)},
		{"deep lists", nest("[", "1", "]", 300)},
		{"deep calls", nest("lower(", `"a"`, ")", 300)},
		{"deep ternaries", nest("true ? 1 : (", "1", ")", 250)},
		{"deep lets", strings.Repeat("let a = 1; ", 350) + "a"},
		{"deep pipes", "alert" + strings.Repeat(" | toJSON()", 300)},
		{"unclosed comment", `1 /* `},
		{"unclosed quote", `"`},
		{"lonely pointer", `#`},
		{"lonely operator", `??`},
		{"a method of Go", `alert.createdDateTime.AddDate(1, 2, 3)`},
		{"the environment", `$env["alert"]`},
		{"a sequence", `true; false`},
		{"bytes", `b"x"`},
	} {
		code := "PB030"
		if k[0] == "broken text" {
			code = "PB002" // the file is refused before anybody looks for expressions in it
		}
		if len(k[1]) > maxFile-1000 {
			code = "PB001"
		}
		list = append(list, Killer{k[0], k[1], code})
	}
	return list
}

// Growing are expressions that compile and are stopped when they are evaluated. They read steps.long, a list of
// long texts, and steps.text, a long text.
func Growing() []Killer {
	doubling := func(first, format string) string {
		var b strings.Builder
		fmt.Fprintf(&b, `let v0 = %s; `, first)
		for i := 1; i <= 30; i++ {
			fmt.Fprintf(&b, format+"; ", i, i-1, i-1)
		}
		return b.String()
	}
	const pairs = "let v%d = [v%d, v%d]"
	return []Killer{
		{Name: "text doubled", Text: doubling("steps.text", "let v%d = v%d + v%d") + "len(v30)"},
		{Name: "lists doubled", Text: doubling("steps.long", "let v%d = concat(v%d, v%d)") + "len(v30)"},
		{Name: "shared lists as JSON", Text: doubling("steps.long", pairs) + "toJSON(v30)"},
		{Name: "shared lists as text", Text: doubling("steps.long", pairs) + "string(v30)"},
		{Name: "shared lists as a value", Text: doubling("steps.long", pairs) + "v30"},
		{Name: "shared lists compared", Text: doubling("steps.long", pairs) + "v30 == [v29, v28]"},
		{Name: "shared lists made unique", Text: doubling("steps.long", pairs) + "uniq(v30)"},
		{Name: "replace", Text: `replace(steps.text, "a", steps.text)`},
		{Name: "join", Text: `join(steps.long, steps.text)`},
		{Name: "reduce", Text: `reduce(steps.long, #acc + #acc, "aaaaaaaa")`},
		{Name: "split", Text: `map(steps.long, split(steps.text, "a"))`},
		{Name: "loops", Text: `any(steps.long, any(steps.long, any(steps.long, false)))`},
		{Name: "loops over text", Text: `any(steps.long, any(steps.long, steps.text contains "b"))`},
		{Name: "patterns over text", Text: `any(steps.long, any(steps.long, steps.text matches "b$"))`},
		{Name: "globs over text", Text: `any(steps.long, glob(steps.text, "*a*a*a*a*b"))`},
		{Name: "many empty loops", Text: `any(steps.long, any(steps.long, any([], false)))`},
		{Name: "lists in lists", Text: `map(steps.long, map(steps.long, ({"a": 1, "b": 2})))`},
		{Name: "lookups", Text: `all(steps.long, all(steps.long, # not in ["x", "y", "z"] and # != 1 and map(steps.long, #index) != []))`},
		{Name: "upper", Text: `map(steps.long, upper(steps.text))`},
		{Name: "hash", Text: `map(steps.long, hash(steps.text))`},
		{Name: "table", Text: `table(map(steps.long, ({"a": steps.text})))`},
		{Name: "kql", Text: `map(steps.long, kql(steps.long))`},
		{Name: "from JSON", Text: `map(steps.long, fromJSON("[" + join(steps.long, ",") + "]"))`},
	}
}

// Documents are refused when they are read as YAML.
func Documents() []Killer {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 10), ", "))
	}
	return []Killer{
		{"alias bomb", bomb, "PB006"},
		{"alias to itself", "a: &a [*a]\n", "PB006"},
		{"anchor alone", "a: &a 1\n", "PB006"},
		{"merge key", "a: {x: 1}\n<<: {name: b}\n", "PB006"},
		{"merge key with an alias", "a: &a {name: b}\n<<: *a\n", "PB006"},
		{"binary tag", "name: !!binary aGk=\n", "PB007"},
		{"tag that makes a type", "name: !!float 1\n", "PB007"},
		{"tag of somebody else", "name: !ruby/object:Gem {}\n", "PB007"},
		{"tag by address", "name: !<tag:yaml.org,2002:python/object/apply:os.system> [id]\n", "PB007"},
		{"second document", "name: a\n---\nname: b\n", "PB005"},
		{"second document without a name", "name: a\n---\n", "PB005"},
		{"end and more", "name: a\n...\n---\nsteps: []\n", "PB005"},
		{"nothing but a comment", "# name: a\n", "PB005"},
		{"null", "~\n", "PB023"},
		{"the same key twice", "name: a\nname: b\n", "PB008"},
		{"the same key written differently", "name: a\n\"n\\u0061me\": b\n", "PB008"},
		{"key that is a list", "? [a]\n: b\n", "PB010"},
		{"key that is an expression", "a: {${{ x }}: 1}\n", "PB003"},
		{"nested lists in one line", "a: " + nest("[", "", "]", 5000) + "\n", "PB009"},
		{"nested lists without an end", strings.Repeat("[", 9000), "PB003"},
		{"more brackets than a parser's limit", strings.Repeat("[", 20_000), "PB003"},
		{"nested lists by dashes", strings.Repeat("- ", 5000) + "a\n", "PB009"},
		{"nested maps by question marks", strings.Repeat("? ", 5000) + "a\n", "PB010"},
		{"nested maps in one line", nest("{a: ", "b", "}", 2000), "PB009"},
		{"text of 300 KiB", "name: " + strings.Repeat("x", 300<<10) + "\n", "PB001"},
		{"many quotes", "name: '" + strings.Repeat("''", 100_000) + "\n", "PB003"},
		{"byte order mark", "\xef\xbb\xbfname: a\n", "PB002"},
		{"UTF-16", "\xff\xfen\x00a\x00", "PB002"},
		{"line break that is not shown", "name: a\u2028b\n", "PB002"},
		{"zero byte", "name: a\x00b\n", "PB002"},
		{"direction change", "name: \"\x1b[31m\"\n", "PB002"},
		{"tab", "name:\n\t- a\n", "PB004"},
		{"boolean of 1.1", "name: a\nenabled: yes\n", "PB011"},
		{"octal of 1.1", "name: 0777\n", "PB012"},
		{"sexagesimal of 1.1", "name: a\npriority: 1:30\n", "PB023"},
		{"number beyond 64 bits", "priority: 99999999999999999999\n", "PB014"},
		{"infinite number", "priority: .inf\n", "PB014"},
		{"number beyond floats", "priority: 1e999\n", "PB014"},
		{"directive", "%YAML 9.9\n---\nname: a\n", "PB003"},
	}
}

// Schedules are refused as cron expressions.
func Schedules() []Killer {
	var list []Killer
	for _, s := range []string{
		"TZ=UTC", "CRON_TZ=UTC", "TZ=", "CRON_TZ=Europe/Berlin 0 6 * * *", "@every 0s", "@every -1h", "@every 1ns", "@every 59s",
		"@every 2562047h47m16.854775807s", "@every", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "*/0 * * * *", "5/0 * * * *", "0-0-0 * * * *",
		"1/2/3 * * * *", "4294967296 * * * *", "-1 * * * *", "60 * * * *", ", , , , ,", "* * * * * *", "@reboot", "0 6 * *",
		strings.Repeat("0,", 300) + "0 * * * *",
	} {
		code := "PB045"
		if len(s) > 64 {
			code = "PB024"
		}
		list = append(list, Killer{Name: s[:min(len(s), 40)], Text: s, Code: code})
	}
	return list
}

// Filters are refused as OData filters of a poll.
func Filters() []Killer {
	return []Killer{
		{"deep parentheses", nest("(", "severity eq 'high'", ")", 400), "PB024"},
		{"parentheses without an end", strings.Repeat("(", 2000), "PB024"},
		{"nots in a row", strings.Repeat("not ", 400) + "severity eq 'high'", "PB024"},
		{"nots with parentheses", nest("not (", "severity eq 'high'", ")", 300), "PB024"},
		{"more comparisons than are allowed", "severity eq 'high'" + strings.Repeat(" or severity eq 'high'", 80), "PB024"},
		{"a filter that is too long", "title eq '" + strings.Repeat("x", 3000) + "'", "PB024"},
		{"unclosed text", "severity eq 'high", "PB042"},
		{"a second query option", "severity eq 'high'&$top=1", "PB042"},
		{"lambda", "evidence/any(e: e/x eq 1)", "PB042"},
		{"function", "contains(title, 'x')", "PB042"},
		{"a property that nobody has", "severty eq 'high'", "PB043"},
		{"a day that does not exist", "createdDateTime ge 2026-02-30T00:00:00Z", "PB044"},
	}
}
