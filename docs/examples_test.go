package docs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/expression"
)

// example is an expression with what it gives, as JSON.
type example struct{ source, gives string }

// examples has one for each function of the language.
func examples() map[string]example {
	return map[string]example{
		"abs":             {`abs(-3)`, `3`},
		"businessAdd":     {`businessAdd(date("2026-11-20 17:00:00"), duration("2h"), "office")`, `"2026-11-23T09:00:00Z"`},
		"businessElapsed": {`string(businessElapsed(date("2026-11-20 17:00:00"), date("2026-11-23 09:00:00"), "office"))`, `"2h"`},
		"card":            {`card("a*b")`, `"a\\*b"`},
		"ceil":            {`ceil(1.2)`, `2`},
		"concat":          {`concat([1], [2, 3])`, `[1,2,3]`},
		"csv":             {`csv(["=1+1", "a,b"])`, `"\"'=1+1\",\"a,b\""`},
		"date":            {`date("2027-03-31")`, `"2027-03-31T00:00:00Z"`},
		"defang":          {`defang("https://evil.example/x")`, `"hxxps://evil[.]example/x"`},
		"devices":         {`map(devices(alert), .deviceDnsName)`, `["ws-1.contoso.example"]`},
		"domainOf":        {`domainOf("ann@Contoso.example")`, `"contoso.example"`},
		"duration":        {`string(duration("1h30m"))`, `"1h30m"`},
		"files":           {`map(files(alert), .fileName)`, `["a.exe"]`},
		"first":           {`first([1, 2])`, `1`},
		"flatten":         {`flatten([[1], [2, 3]])`, `[1,2,3]`},
		"float":           {`float("1.5")`, `1.5`},
		"floor":           {`floor(1.8)`, `1`},
		"fromBase64":      {`fromBase64("YQ==")`, `"a"`},
		"fromJSON":        {`fromJSON("[1, 2]")`, `[1,2]`},
		"fromPairs":       {`fromPairs([["a", 1]])`, `{"a":1}`},
		"glob":            {`glob("srv-eu-17", "srv-*-17")`, `true`},
		"hasPrefix":       {`hasPrefix("srv-17", "srv-")`, `true`},
		"hasSuffix":       {`hasSuffix("a.exe", ".exe")`, `true`},
		"hash":            {`take(split(hash("a"), ""), 4)`, `["c","a","9","7"]`},
		"html":            {`html("<b>")`, `"&lt;b&gt;"`},
		"inBusinessHours": {`inBusinessHours(date("2026-11-22 12:00:00"), "office")`, `false`},
		"inCIDR":          {`inCIDR("10.9.1.2", ["10.9.0.0/16"])`, `true`},
		"indexOf":         {`indexOf("abc", "b")`, `1`},
		"int":             {`int("3")`, `3`},
		"ips":             {`ips(alert)`, `["10.9.1.2"]`},
		"join":            {`join(["a", "b"], ", ")`, `"a, b"`},
		"keys":            {`keys({"b": 1, "a": 2})`, `["a","b"]`},
		"kql":             {`kql(["ws-1", "o'neil"])`, `"\"ws-1\", \"o\\'neil\""`},
		"last":            {`last([1, 2])`, `2`},
		"lastIndexOf":     {`lastIndexOf("abab", "b")`, `3`},
		"len":             {`len([1, 2])`, `2`},
		"lower":           {`lower("A")`, `"a"`},
		"mails":           {`map(mails(alert), .subject)`, `["Invoice"]`},
		"markdown":        {`markdown("a*b")`, `"a\\*b"`},
		"max":             {`max(1, 3, 2)`, `3`},
		"mean":            {`mean([1, 2])`, `1.5`},
		"median":          {`median([3, 1, 2])`, `2`},
		"min":             {`min([3, 1, 2])`, `1`},
		"now":             {`now() > date("2026-01-01")`, `true`},
		"odata":           {`odata("o'neil")`, `"'o''neil'"`},
		"processes":       {`map(processes(alert), .commandLine)`, `["a.exe /s"]`},
		"replace":         {`replace("a-b-c", "-", "+")`, `"a+b+c"`},
		"reverse":         {`reverse([1, 2])`, `[2,1]`},
		"round":           {`round(1.5)`, `2`},
		"sort":            {`sort([2, 1], "desc")`, `[2,1]`},
		"split":           {`split("a,b", ",")`, `["a","b"]`},
		"string":          {`string([1, nil])`, `"[1,null]"`},
		"table":           {`table([{"a": 1, "b": {"c": 2}}], ["a", "b.c"])`, `"| a | b\\.c |\n| --- | --- |\n| 1 | 2 |"`},
		"take":            {`take([1, 2, 3], 2)`, `[1,2]`},
		"techniqueIn":     {`techniqueIn("T1003.001", ["T1003"])`, `true`},
		"toBase64":        {`toBase64("a")`, `"YQ=="`},
		"toJSON":          {`toJSON([1, "a"])`, `"[1,\"a\"]"`},
		"toPairs":         {`toPairs({"b": 1, "a": 2})`, `[["a",2],["b",1]]`},
		"trim":            {`trim("  a ")`, `"a"`},
		"trimPrefix":      {`trimPrefix("srv-17", "srv-")`, `"17"`},
		"trimSuffix":      {`trimSuffix("a.exe", ".exe")`, `"a"`},
		"truncate":        {`truncate("abcdef", 4)`, `"abc…"`},
		"type":            {`type([1])`, `"array"`},
		"uniq":            {`uniq([1, 2, 1])`, `[1,2]`},
		"upper":           {`upper("a")`, `"A"`},
		"url":             {`url("a b/c")`, `"a%20b%2Fc"`},
		"urls":            {`urls(alert)`, `["https://evil.example/x"]`},
		"users":           {`map(users(alert), .userPrincipalName)`, `["ann@contoso.example"]`},
		"values":          {`values({"b": 1, "a": 2})`, `[2,1]`},
	}
}

// exampleAlert is the alert that the examples look at.
const exampleAlert = `{"id": "da1", "title": "Port scan", "severity": "low", "evidence": [
	{"@odata.type": "#microsoft.graph.security.userEvidence", "userAccount": {"userPrincipalName": "ann@contoso.example"}},
	{"@odata.type": "#microsoft.graph.security.deviceEvidence", "deviceDnsName": "ws-1.contoso.example"},
	{"@odata.type": "#microsoft.graph.security.ipEvidence", "ipAddress": "10.9.1.2"},
	{"@odata.type": "#microsoft.graph.security.urlEvidence", "url": "https://evil.example/x"},
	{"@odata.type": "#microsoft.graph.security.fileEvidence", "fileDetails": {"fileName": "a.exe"}},
	{"@odata.type": "#microsoft.graph.security.processEvidence", "processId": 4, "processCommandLine": "a.exe /s"},
	{"@odata.type": "#microsoft.graph.security.analyzedMessageEvidence", "subject": "Invoice"}]}`

func TestEveryFunctionHasAnExampleThatGivesWhatThePageSays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	alert, err := expression.Decode([]byte(exampleAlert), playbooks.SubjectTypeOf("alert"))
	if err != nil {
		t.Fatal(err)
	}
	office, findings := calendar.Parse("office", "office.yaml", []byte("timezone: UTC\nhours: {mon-fri: 08:00-18:00}\n"), nil)
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	scope := map[string]any{"alert": alert, expression.CalendarsName: expression.Calendars{"office": office}}
	env := &expression.Env{Vars: map[string]expression.Type{"alert": playbooks.SubjectTypeOf("alert")}}
	all := examples()
	for _, f := range expression.Functions() {
		e, ok := all[f.Name]
		delete(all, f.Name)
		if !ok || !strings.Contains(e.source, f.Name+"(") {
			t.Errorf("%s has no example", f.Name)
			continue
		}
		p, problem := expression.Compile(e.source, env, expression.WantAny)
		if problem != nil {
			t.Errorf("%s: %v", e.source, problem)
			continue
		}
		v, err := p.Eval(scope, now)
		if got := plainJSON(v); err != nil || got != e.gives {
			t.Errorf("%s gives %s (%v), the page says %s", e.source, got, err, e.gives)
		}
	}
	for name := range all {
		t.Errorf("there is an example for %s, which does not exist", name)
	}
}

// plainJSON is JSON as people write it.
func plainJSON(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(b.String())
}

// question is what an expression can ask the world.
type question struct {
	name, form, gives string
	condition         string // an example: it holds in the world that answers does
}

func questions() []question {
	return []question{
		{playbooks.AskSeen, "seen(key, window)", "whether another event asked this playbook for the key before, no longer ago than the window", `seen(alert.title, "1h")`},
		{playbooks.AskHistory, "history({window, …})", "how many other alerts or incidents had the same values: see below", `history({"window": "24h", "user": map(users(alert), .userPrincipalName)}) >= 2`},
		{playbooks.AskState, `state[key]`, "a value that the playbook has kept, nil if there is none", `(state["count"] ?? 0) < 3`},
		{playbooks.AskOnDuty, "onDuty(rota[, time])", "who is on duty, now() or at a time; nil if nobody is", `onDuty("tier1", now()) == "ann@contoso.example"`},
		{playbooks.AskLeastLoaded, "leastLoaded(people)", "who of the people has the fewest open alerts and incidents, of several the one named first; nil if there are no people", `leastLoaded(["ann", "bob"]) == "bob"`},
	}
}

// answers is the world of the examples.
type answers struct{}

func (answers) Read(_ engine.Asker, _, name string, args []any) (any, error) {
	switch name {
	case playbooks.AskSeen:
		return true, nil
	case playbooks.AskHistory:
		return int64(2), nil
	case playbooks.AskOnDuty:
		return "ann@contoso.example", nil
	case playbooks.AskLeastLoaded:
		return args[1], nil
	}
	return nil, nil
}

func TestEveryQuestionHasAnExampleThatHolds(t *testing.T) {
	t.Parallel()
	asked := map[string]bool{}
	for _, q := range questions() {
		asked[q.name] = true
		text := fmt.Sprintf("name: asks\ntriggers: [{poll: {resource: alerts}}]\nwhen: >\n  %s\nsteps: [{stop: ok}]\n", q.condition)
		p, findings := playbooks.Compile("asks.yaml", []byte(text), daemonOptions(nil))
		for _, f := range findings {
			if f.Severity == diag.Error {
				t.Fatalf("%s: %v", q.condition, f)
			}
		}
		subject, err := expression.Decode([]byte(exampleAlert), p.SubjectType)
		if err != nil {
			t.Fatal(err)
		}
		ev := engine.Event{ID: "e", Source: "poll/alerts", Kind: "alert"}
		m, err := engine.Consider(p, ev, subject, engine.Circumstances{Now: time.Now(), World: answers{}})
		if err != nil || m.Verdict != engine.Matched || len(m.Readings) != 1 {
			t.Errorf("%s: %+v, %v", q.condition, m, err)
		}
	}
	for _, name := range playbooks.Questions() {
		if !asked[name] {
			t.Errorf("%s is not on the page", name)
		}
	}
}

// questionsPage is the part of the page about what asks the world.
func questionsPage(b *bytes.Buffer) {
	fmt.Fprintf(b, `
## What asks the world

Everything above depends on its arguments alone. These ask what is outside of the event, in %[1]swhen%[1]s and in steps, but not in the keys of
%[1]sconcurrency%[1]s and %[1]sdedupe%[1]s. Each question is answered once, and the answer is recorded with the decision or the run
([playbook.md](playbook.md#what-a-playbook-remembers)).

| form | what it gives | example |
|---|---|---|
`, "`")
	for _, q := range questions() {
		fmt.Fprintf(b, "| `%s` | %s | `%s` |\n", cell(q.form), cell(q.gives), cell(q.condition))
	}
	fmt.Fprintf(b, `
%[1]shistory%[1]s takes an object that is written out: %[1]swindow%[1]s, one or more of the fields below, and %[1]sresource: "alerts"%[1]s or
%[1]s"incidents"%[1]s where it is not what the playbook's own trigger brings. Every field must fit; of a list of values, one. Texts are
compared without regard to case.

| field | compared with |
|---|---|
`, "`")
	for _, f := range playbooks.HistoryFields() {
		fmt.Fprintf(b, "| `%s` | %s |\n", f, historyText()[f])
	}
}

func historyText() map[string]string {
	return map[string]string{
		"category": "`category`", "detector": "`detectorId`", "service": "`serviceSource`", "severity": "`severity`",
		"technique": "`mitreTechniques`", "title": "`title`, of an incident `displayName`",
		"device": "`deviceDnsName`, `mdeDeviceId`, `azureAdDeviceId` and `name` of the devices in the evidence",
		"file":   "`sha256`, `sha1` and `md5` of the files", "ip": "the addresses", "url": "the URLs",
		"user": "`userPrincipalName`, `azureAdUserId` and `userSid` of the users",
	}
}
