package playbooks_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks"
)

// compile reads a playbook that must be good, but for warnings.
func compile(t *testing.T, src string) *playbooks.Playbook {
	t.Helper()
	p, findings := playbooks.Compile("test.yaml", []byte(src), options())
	if p == nil {
		t.Fatalf("findings:\n%s", render(t, findings))
	}
	return p
}

// codesOf reads a playbook and returns the codes of what is found, in order.
func codesOf(t *testing.T, src string) string {
	t.Helper()
	_, findings := playbooks.Compile("test.yaml", []byte(src), options())
	var codes []string
	for _, f := range findings {
		codes = append(codes, f.Code)
	}
	return strings.Join(codes, " ")
}

// errorsOf is codesOf without warnings, and with more actions.
func errorsOf(t *testing.T, src string) string {
	t.Helper()
	o := options()
	o.Catalog = wideCatalog()
	_, findings := playbooks.Compile("test.yaml", []byte(src), o)
	var codes []string
	for _, f := range findings {
		if f.Severity == diag.Error {
			codes = append(codes, f.Code)
		}
	}
	return strings.Join(codes, " ")
}

const nested = `
name: nested
triggers:
  - poll: {resource: alerts, filter: "severity eq 'high'"}
  - manual
  - webhook: {path: edr, as: alert, auth: {hmac: edr_key}}
steps:
  - action: alert.list
    on_error:
      - stop: No list.
  - if: len(ips(alert)) > 0
    then:
      - foreach: ips(alert)
        as: ip
        do:
          - action: alert.list
          - if: ip == "10.0.0.1"
            stop: Ours.
    else:
      - fail: No address.
  - set: {n: "${{ vars.n + 1 }}"}
vars: {n: 0}
`

func TestPathsComeFromTheSyntaxTreeAlone(t *testing.T) {
	t.Parallel()
	var paths []string
	var walk func([]playbooks.Step)
	walk = func(steps []playbooks.Step) {
		for _, s := range steps {
			paths = append(paths, fmt.Sprintf("%s %T", s.Path, s.Body))
			walk(s.OnError.Steps)
			switch b := s.Body.(type) {
			case *playbooks.Branch:
				walk(b.Then)
				walk(b.Else)
			case *playbooks.Foreach:
				walk(b.Do)
			}
		}
	}
	walk(compile(t, nested).Steps)
	want := []string{
		"steps/0 *playbooks.Act", "steps/0/on_error/0 *playbooks.Stop",
		"steps/1 *playbooks.Branch", "steps/1/then/0 *playbooks.Foreach",
		"steps/1/then/0/do/0 *playbooks.Act", "steps/1/then/0/do/1 *playbooks.Stop",
		"steps/1/else/0 *playbooks.Fail", "steps/2 *playbooks.Assign",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("paths differ (-want +got):\n%s", diff)
	}
}

func TestTriggersNameTheirSources(t *testing.T) {
	t.Parallel()
	p := compile(t, nested)
	var got []string
	for _, trigger := range p.Triggers {
		got = append(got, trigger.Source)
	}
	if diff := cmp.Diff([]string{"poll/alerts", "manual/nested", "webhook/edr"}, got); diff != "" {
		t.Errorf("sources differ (-want +got):\n%s", diff)
	}
	if p.Subject != "alert" {
		t.Errorf("subject is %q", p.Subject)
	}
}

func TestWhatIsLeftOutHasAHarmlessDefault(t *testing.T) {
	t.Parallel()
	p := compile(t, "name: a\ntriggers:\n  - poll: {resource: alerts}\nsteps:\n  - foreach: ips(alert)\n    do:\n      - stop: \"${{ item }}\"\n")
	loop := p.Steps[0].Body.(*playbooks.Foreach)
	poll := p.Triggers[0].Poll
	switch {
	case p.Mode != playbooks.Live || !p.Enabled || p.Priority != 0 || !p.Expires.IsZero():
		t.Errorf("playbook: %+v", p)
	case poll.Every != playbooks.DefaultPollEvery || !poll.Created || !poll.Updated || poll.Expand || poll.Filter != nil:
		t.Errorf("poll: %+v", poll)
	case loop.As != playbooks.DefaultItem || loop.Concurrency != 1 || loop.Continue:
		t.Errorf("foreach: %+v", loop)
	}
}

func TestASecretBecomesAReferenceAndNeverAnExpression(t *testing.T) {
	t.Parallel()
	p := compile(t, "name: a\ntriggers: [manual]\nsteps:\n  - action: message.send\n    with: {to: soc, text: hi, token: \"${{secrets.teams}}\"}\n")
	act := p.Steps[0].Body.(*playbooks.Act)
	got, err := act.With.Eval(nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"to": "soc", "text": "hi", "token": "secret:teams"}, got); diff != "" {
		t.Errorf("input differs (-want +got):\n%s", diff)
	}
	violations, err := playbooks.CheckInput(act, got)
	if err != nil || len(violations) > 0 {
		t.Errorf("the input does not fit: %v %v", violations, err)
	}
	if violations, err := playbooks.CheckInput(act, []byte(`{"to": "soc"}`)); err != nil || len(violations) != 2 {
		t.Errorf("an incomplete input gives %v, %v", violations, err)
	}
}

func TestExpiryBeginsWithTheDayInUTC(t *testing.T) {
	t.Parallel()
	p := compile(t, "name: a\nexpires: 2027-03-31\ntriggers: [manual]\nsteps: [{stop: done}]\n")
	if want := time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC); !p.Expires.Equal(want) {
		t.Errorf("expires at %s, want %s", p.Expires, want)
	}
}

func TestShadowPlaybooksMayCloseWithoutAnOwner(t *testing.T) {
	t.Parallel()
	src := "name: a\nmode: %s\ntriggers:\n  - poll: {resource: alerts}\nsteps:\n  - action: alert.update\n    with: {alert: x, %s}\n"
	for _, c := range []struct{ mode, with, want string }{
		{"live", "status: resolved", "PB046"},
		{"live", `status: "${{ alert.status }}"`, "PB046"},
		{"live", "classification: falsePositive", "PB046"},
		{"live", "classification: truePositive", ""},
		{"live", "status: inProgress", ""},
		{"shadow", "status: resolved", ""},
	} {
		if got := codesOf(t, fmt.Sprintf(src, c.mode, c.with)); got != c.want {
			t.Errorf("mode %s with %s gives %q, want %q", c.mode, c.with, got, c.want)
		}
	}
}

func TestListsAreThoseThatExpressionsName(t *testing.T) {
	t.Parallel()
	p := compile(t, "name: a\ntriggers:\n  - poll: {resource: alerts}\nwhen: alert.title in lists.known_noise\nsteps:\n  - stop: \"${{ join(lists[\\\"scanner_ranges\\\"]) }} $${{ lists.other }}\"\n")
	if diff := cmp.Diff([]string{"known_noise", "scanner_ranges"}, p.Lists); diff != "" {
		t.Errorf("lists differ (-want +got):\n%s", diff)
	}
}

func TestTheSameTextHasTheSameDigest(t *testing.T) {
	t.Parallel()
	a, b := compile(t, nested), compile(t, nested)
	if a.Digest != b.Digest || a.Digest != playbooks.Digest([]byte(nested)) || !strings.HasPrefix(a.Digest, "sha256:") {
		t.Errorf("digests %s and %s", a.Digest, b.Digest)
	}
}

// limits are playbooks at a limit and one beyond it.
func TestEveryLimitHoldsAtAndBeyondIt(t *testing.T) {
	t.Parallel()
	head := "name: a\ntriggers:\n  - poll: {resource: alerts}\n"
	steps := "steps:\n  - stop: done\n"
	many := func(n int, line string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(line, "%i", fmt.Sprint(i)))
		}
		return b.String()
	}
	// depth puts lists of steps into each other; open begins a step whose key inner holds the next.
	depth := func(n int, open, inner string) string {
		src := "[{stop: done}]"
		for i := range n {
			src = "[" + strings.ReplaceAll(open, "%i", fmt.Sprint(i)) + ", " + inner + ": " + src + "}]"
		}
		return "steps: " + src + "\n"
	}
	for name, c := range map[string]struct {
		limit int
		src   func(n int) string
	}{
		"name": {playbooks.MaxNameLength, func(n int) string {
			return strings.Replace(head, "name: a", "name: "+strings.Repeat("a", n), 1) + steps
		}},
		"description": {playbooks.MaxTextLength, func(n int) string { return head + "description: " + strings.Repeat("d", n) + "\n" + steps }},
		"tags":        {playbooks.MaxTags, func(n int) string { return head + "tags:\n" + many(n, "  - t%i\n") + steps }},
		"tenants":     {playbooks.MaxTenants, func(n int) string { return head + "tenants:\n" + many(n, "  - t%i\n") + steps }},
		"priority":    {playbooks.MaxPriority, func(n int) string { return head + fmt.Sprintf("priority: %d\n", n) + steps }},
		"triggers": {playbooks.MaxTriggers, func(n int) string {
			return "name: a\ntriggers:\n" + many(n, "  - webhook: {path: w%i, auth: {hmac: k}}\n") + steps
		}},
		"inputs": {playbooks.MaxInputs, func(n int) string {
			return "name: a\ntriggers:\n  - manual:\n      inputs:\n" + many(n, "        i%i: text\n") + steps
		}},
		"enum": {playbooks.MaxEnumValues, func(n int) string {
			return "name: a\ntriggers:\n  - manual:\n      inputs:\n        i:\n          enum:\n" + many(n, "            - e%i\n") + steps
		}},
		"vars":       {playbooks.MaxVars, func(n int) string { return head + "vars:\n" + many(n, "  v%i: 1\n") + steps }},
		"identifier": {playbooks.MaxIdentifier, func(n int) string { return head + "vars: {" + strings.Repeat("v", n) + ": 1}\n" + steps }},
		"steps":      {playbooks.MaxSteps, func(n int) string { return head + "steps:\n" + many(n, "  - action: alert.list\n") }},
		"step depth": {playbooks.MaxStepDepth, func(n int) string { return head + depth(n-1, "{if: 'len(ips(alert)) > %i'", "then") }},
		"foreach depth": {playbooks.MaxForeachDepth, func(n int) string {
			return head + depth(n, "{foreach: ips(alert), as: i%i", "do")
		}},
		"outputs": {playbooks.MaxOutputs, func(n int) string { return head + steps + "outputs:\n" + many(n, "  o%i: 1\n") }},
		"cases": {playbooks.MaxCases, func(n int) string {
			return head + "steps:\n  - switch:\n" + many(n, "      - {if: len(ips(alert)) == %i, do: [{wait: 1m}]}\n")
		}},
		"branches": {playbooks.MaxBranches, func(n int) string {
			return head + "steps:\n  - parallel:\n" + many(n, "      - [{action: alert.list}]\n")
		}},
		"approvers": {playbooks.MaxApprovers, func(n int) string {
			return head + fmt.Sprintf("steps:\n  - approve: {title: t, by: [\"role:lead\"], within: 1h, count: %d}\n", n)
		}},
		"asked people": {playbooks.MaxAskedPeople, func(n int) string {
			return head + "steps:\n  - approve:\n      title: t\n      within: 1h\n      by:\n" + many(n, "        - p%i\n")
		}},
		"channels": {playbooks.MaxAskChannels, func(n int) string {
			return head + "steps:\n  - approve:\n      title: t\n      within: 1h\n      by: [a]\n      channels:\n" + many(n, "        - c%i\n")
		}},
		"choices": {playbooks.MaxChoices, func(n int) string {
			return head + "steps:\n  - ask:\n      title: t\n      within: 1h\n      by: [a]\n      choices:\n" + many(n, "        - c%i\n")
		}},
		"looks of a wait": {playbooks.MaxWaitRounds, func(n int) string {
			return head + fmt.Sprintf("steps:\n  - wait: {until: last != nil, every: 5s, within: %ds}\n", 5*n)
		}},
		"concurrency": {playbooks.MaxItemsConcurrency, func(n int) string {
			return head + fmt.Sprintf("steps:\n  - foreach: ips(alert)\n    concurrency: %d\n    do:\n      - stop: done\n", n)
		}},
		"attempts": {playbooks.MaxAttempts, func(n int) string {
			return head + fmt.Sprintf("steps:\n  - action: alert.list\n    retry: {attempts: %d}\n", n)
		}},
		"webhook path": {playbooks.MaxWebhookPath, func(n int) string {
			return "name: a\ntriggers:\n  - webhook: {path: " + strings.Repeat("p", n) + ", auth: {hmac: k}}\n" + steps
		}},
		"runs within a limit": {playbooks.MaxRate, func(n int) string { return head + fmt.Sprintf("limits: {runs: %d/1h}\n", n) + steps }},
		"values of a change": {playbooks.MaxEnumValues, func(n int) string {
			return "name: a\ntriggers:\n  - change:\n      resource: alerts\n      field: title\n      from:\n" + many(n, "        - t%i\n") + steps
		}},
		"playbooks waited for": {playbooks.MaxEndedPlaybooks, func(n int) string {
			return "name: a\ntriggers:\n  - run:\n      playbook:\n" + many(n, "        - b%i\n") + steps
		}},
		"target": {playbooks.MaxTargets, func(n int) string {
			return slaOf("{within: 1h}", strings.TrimSuffix(strings.Repeat("{if: 'true', within: 1h}, ", n-1), ", "), "breached: 100%")
		}},
		"stages": {playbooks.MaxStages, func(n int) string {
			stages := ""
			for i := range n {
				stages += fmt.Sprintf("s%d: %d%%, ", i, i+1)
			}
			return slaOf("{within: 1h}", "", strings.TrimSuffix(stages, ", "))
		}},
		"filter length": {playbooks.MaxFilterLength, func(n int) string {
			text := "assignedTo eq ''"
			return "name: a\ntriggers:\n  - poll: {resource: alerts, filter: \"assignedTo eq '" + strings.Repeat("x", n-len(text)) + "'\"}\n" + steps
		}},
		"filter depth": {playbooks.MaxFilterDepth, func(n int) string {
			return "name: a\ntriggers:\n  - poll: {resource: alerts, filter: \"" + strings.Repeat("(", n) + "status eq 'new'" + strings.Repeat(")", n) + "\"}\n" + steps
		}},
		"filter comparisons": {playbooks.MaxFilterComparisons, func(n int) string {
			return "name: a\ntriggers:\n  - poll: {resource: alerts, filter: \"" + strings.TrimSuffix(strings.Repeat("status eq 'new' or ", n), " or ") + "\"}\n" + steps
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := errorsOf(t, c.src(c.limit)); got != "" {
				t.Errorf("at the limit of %d: %s\n%s", c.limit, got, c.src(c.limit))
			}
			if got := errorsOf(t, c.src(c.limit+1)); got != "PB024" {
				t.Errorf("beyond the limit of %d: %q, want PB024", c.limit, got)
			}
		})
	}
}

func TestActionsThatAreLimitedAreFewEnough(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{playbooks.MaxLimitedActions: "", playbooks.MaxLimitedActions + 1: "PB024"} {
		var list []actions.Action
		limits, steps := "limits:\n  effects:\n", "steps:\n"
		for i := range n {
			name := fmt.Sprintf("test.%c", 'a'+rune(i))
			list = append(list, define[sendIn, sendOut](name, actions.Once, nil))
			limits += fmt.Sprintf("    %s: 5/1h\n", name)
			steps += fmt.Sprintf("  - {action: %s, with: {to: x, text: x, token: \"${{ secrets.t }}\"}}\n", name)
		}
		_, findings := playbooks.Compile("a.yaml", []byte("name: a\ntriggers: [manual]\n"+limits+steps), playbooks.Options{Catalog: actions.NewRegistry(list...)})
		got := ""
		for _, f := range findings {
			got += f.Code
		}
		if got != want {
			t.Errorf("%d actions give %q, want %q", n, got, want)
		}
	}
}

// slaOf is a playbook with an sla trigger: the rows of its target, the last one apart, and its stages.
func slaOf(last, rows, stages string) string {
	if rows != "" {
		last = rows + ", " + last
	}
	return "name: a\ntriggers:\n  - sla: {resource: alerts, start: alert.createdDateTime, target: [" + last + "], stages: {" + stages + "}}\nsteps: [{stop: done}]\n"
}

func TestAStageIsReachedAtAPartOfTheTargetWithinLimits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"1%": "", fmt.Sprintf("%d%%", playbooks.MaxStagePercent): "", "0%": "PB071",
		fmt.Sprintf("%d%%", playbooks.MaxStagePercent+1): "PB071", "-5%": "PB071", "+5%": "PB071", "7.5%": "PB071"} {
		if got := codesOf(t, slaOf("{within: 1h}", "", "breached: "+text)); got != want {
			t.Errorf("%s gives %q, want %q", text, got, want)
		}
	}
}

func TestLimitsOfTimesHoldAtAndBeyondThem(t *testing.T) {
	t.Parallel()
	every := "name: a\ntriggers:\n  - poll: {resource: alerts, every: %s}\nsteps: [{stop: done}]\n"
	window := "name: a\ntriggers:\n  - poll: {resource: alerts}\ndedupe: {key: x, window: %s}\nsteps: [{stop: done}]\n"
	timeout := "name: a\ntriggers: [manual]\nsteps:\n  - action: alert.list\n    timeout: %s\n"
	backoff := "name: a\ntriggers: [manual]\nsteps:\n  - action: alert.list\n    retry: {initial: %[1]s, max: %[1]s}\n"
	rate := "name: a\ntriggers: [manual]\nlimits: {runs: 5/%s}\nsteps: [{stop: done}]\n"
	for _, c := range []struct {
		src         string
		least, most time.Duration
		beyond      string
	}{
		{every, playbooks.MinPollEvery, playbooks.MaxPollEvery, "PB024"},
		{window, playbooks.MinDedupeWindow, playbooks.MaxDedupeWindow, "PB024"},
		{rate, playbooks.MinRateWindow, playbooks.MaxRateWindow, "PB024"},
		{timeout, playbooks.MinTimeout, playbooks.MaxTimeout, "PB024"},
		{slaOf("{within: %s}", "", "breached: 100%%"), playbooks.MinWithin, playbooks.MaxWithin, "PB024"},
		{slaOf("{within: 1h}", "", "breached: %s"), playbooks.MinWithin, playbooks.MaxWithin, "PB024"},
		{backoff, playbooks.MinBackoff, playbooks.MaxBackoff, "PB024 PB024"},
		{"name: a\ntriggers: [manual]\nsteps:\n  - wait: %s\n", playbooks.MinWait, playbooks.MaxWait, "PB024"},
		{"name: a\ntriggers: [manual]\nsteps:\n  - approve: {title: t, by: [a], within: %s}\n", playbooks.MinAsk, playbooks.MaxWait, "PB024"},
		{"name: a\ntriggers: [manual]\nsteps:\n  - {action: scan.start, await: %s}\n", playbooks.MinAwait, playbooks.MaxAwait, "PB024"},
		{"name: a\ntriggers: [manual]\nsteps:\n  - wait: {until: last != nil, every: %s, within: 1h}\n", playbooks.MinWaitEvery, playbooks.MaxWait, "PB024"},
	} {
		for d, want := range map[time.Duration]string{
			c.least: "", c.most: "", c.least - time.Millisecond: c.beyond, c.most + time.Millisecond: c.beyond,
		} {
			if got := errorsOf(t, fmt.Sprintf(c.src, playbooks.FormatDuration(d))); got != want {
				t.Errorf("%s gives %q, want %q", playbooks.FormatDuration(d), got, want)
			}
		}
	}
}

func TestARunGoesOnThoughALaterCheckerRefusesItsPlaybook(t *testing.T) {
	t.Parallel()
	const head = "name: a\ntriggers:\n  - poll: {resource: alerts, on: created}\n"
	for code, src := range map[string]string{
		"PB039": head + "when: alert.status == 'new'\nsteps:\n  - {if: alert.status == 'resolved', wait: 1m}\n",
		"PB059": head + "steps:\n  - {action: alert.list, with: {filter: \"title eq '${{ alert.title }}'\"}}\n",
		"PB060": head + "when: alert.status == 'new' and alert.status == 'resolved'\nsteps: [{wait: 1m}]\n",
	} {
		if got := codesOf(t, src); got != code {
			t.Errorf("a new playbook has %q, want %s", got, code)
		}
		if p, findings := playbooks.CompileRecorded("a", []byte(src), options()); p == nil {
			t.Errorf("a run of it would stop:\n%s", render(t, findings))
		}
	}
}

// chain are playbooks that call each other, n of them inside each other.
func chain(n int) fstest.MapFS {
	fsys := fstest.MapFS{"p0.yaml": file("name: p0\n" + simple)}
	for i := 1; i < n; i++ {
		fsys[fmt.Sprintf("p%d.yaml", i)] = file(fmt.Sprintf("name: p%d\ntriggers: [manual]\nsteps: [{playbook: p%d}]\n", i, i-1))
	}
	return fsys
}

func TestCallsInsideEachOtherHaveALimit(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{playbooks.MaxCallDepth: 0, playbooks.MaxCallDepth + 1: 1} {
		if _, findings := playbooks.Load(chain(n), "", options()); len(findings) != want || want > 0 && findings[0].Code != "PB024" {
			t.Errorf("%d playbooks inside each other:\n%s", n, render(t, findings))
		}
	}
}

// Each of a few playbooks calls all before it: there are more ways through them than could be walked.
func TestManyWaysThroughCallsAreLoadedAtOnce(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{}
	for level := range playbooks.MaxCallDepth {
		for i := range 40 {
			calls := "steps: [{stop: done}]\n"
			if level > 0 {
				calls = "steps:\n"
				for j := range 40 {
					calls += fmt.Sprintf("  - playbook: p%d-%d\n", level-1, j)
				}
			}
			fsys[fmt.Sprintf("%d-%d.yaml", level, i)] = file(fmt.Sprintf("name: p%d-%d\ntriggers: [manual]\n", level, i) + calls)
		}
	}
	if set, findings := playbooks.Load(fsys, "", options()); len(findings) > 0 || len(set.Playbooks) != len(fsys) {
		t.Errorf("%d playbooks, findings:\n%s", len(set.Playbooks), render(t, findings))
	}
}

func TestWhatARunKeepsOfItsPlaybooksHasALimit(t *testing.T) {
	t.Parallel()
	// padded is a playbook of n bytes.
	padded := func(name, steps string, n int) *fstest.MapFile {
		src := "name: " + name + "\ntriggers: [manual]\n" + steps
		return file(src + "#" + strings.Repeat("x", n-len(src)-2) + "\n")
	}
	const called = 20
	set := func(beyond int) fstest.MapFS {
		fsys, steps, size := fstest.MapFS{}, "steps:\n", 0
		for i := range called {
			name := fmt.Sprintf("p%02d", i)
			fsys[name+".yaml"] = padded(name, "steps: [{stop: done}]\n", 200_000)
			steps += "  - playbook: " + name + "\n"
			size += len("\n--- # called: "+name+"\n") + 200_000
		}
		fsys["main.yaml"] = padded("main", steps, playbooks.MaxRecorded-size+beyond)
		return fsys
	}
	for beyond, want := range map[int]string{0: "", 1: "PB024"} {
		loaded, findings := playbooks.Load(set(beyond), "", options())
		got := ""
		for _, f := range findings {
			got += f.Code
		}
		if got != want {
			t.Errorf("%d bytes beyond the limit: findings %q, want %q", beyond, got, want)
		}
		if p, ok := loaded.Lookup("main"); ok && len(p.Recorded) != playbooks.MaxRecorded {
			t.Errorf("%d bytes are recorded", len(p.Recorded))
		}
	}
}

func TestDirectoriesInsideEachOtherHaveALimit(t *testing.T) {
	t.Parallel()
	for depth, want := range map[int]int{playbooks.MaxFileDepth: 1, playbooks.MaxFileDepth + 1: 0} {
		set, findings := playbooks.Load(fstest.MapFS{strings.Repeat("d/", depth) + "a.yaml": file("name: a\n" + simple)}, "", options())
		if len(set.Playbooks) != want || len(findings) != 1-want {
			t.Errorf("%d directories: %d playbooks, findings:\n%s", depth, len(set.Playbooks), render(t, findings))
		}
	}
}

// Thinking about conditions ends: behind more than may be looked at nothing more is said.
func TestThinkingAboutConditionsHasALimit(t *testing.T) {
	t.Parallel()
	var long []string
	for i := range 60 {
		long = append(long, fmt.Sprintf("event.x == %d", i))
	}
	src := func(steps int) string {
		return "name: a\ntriggers: [{webhook: {path: p, auth: {hmac: k}}}]\nsteps:\n" +
			strings.Repeat("  - if: "+strings.Join(long, " or ")+"\n    wait: 1m\n", steps) + "  - if: event.y == 1 and event.y == 2\n    stop: done\n"
	}
	for steps, want := range map[int]string{2: "PB060", 150: ""} {
		if got := codesOf(t, src(steps)); got != want {
			t.Errorf("%d long conditions, with %d looks for all: %q, want %q", steps, playbooks.MaxLooks, got, want)
		}
	}
}

func TestOptionsThatAreNotGivenAreNotChecked(t *testing.T) {
	t.Parallel()
	src := "name: a\nexpires: 2001-01-01\ntriggers:\n  - schedule: {cron: whenever}\nwhen: len(lists.anything) > 0\nsteps: [{stop: done}]\n"
	p, findings := playbooks.Compile("a.yaml", []byte(src), playbooks.Options{})
	if p == nil || len(findings) > 0 {
		t.Fatalf("findings:\n%s", render(t, findings))
	}
}
